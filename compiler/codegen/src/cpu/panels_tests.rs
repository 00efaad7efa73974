//! Panels against the matrix that they are made of.

use super::*;

/// Element (k, n) of packed bytes, where it is.
fn element(packed: &[u8], depth: usize, k: usize, n: usize) -> f32 {
    let width = PANEL as usize;
    let at = ((n / width * depth + k) * width + n % width) * 4;
    f32::from_le_bytes(packed[at..at + 4].try_into().expect("four bytes"))
}

#[test]
fn every_element_is_where_kernels_look_for_it() {
    let numbers: Vec<u8> = (0..1000).flat_map(|i| (i as f32).to_le_bytes()).collect();
    for (columns, inner, outer, start) in [(20, 1, 100, 0), (20, 30, 1, 5), (17, 2, 60, 3), (8, 7, 1, 0)] {
        let columns = Side { extent: columns, step: inner };
        let depth = [Side { extent: 3, step: outer * 2 }, Side { extent: 2, step: outer }];
        let panels = Panels { start, columns, depth: depth.to_vec(), width: PANEL, group: 1, bytes: 4 };
        let packed = panels.pack(&numbers);
        assert_eq!(packed.len() as i64, panels.elements() * 4);
        for k in 0..6 {
            for n in 0..(columns.extent + PANEL - 1) / PANEL * PANEL {
                let wanted = start + k / 2 * outer * 2 + k % 2 * outer + n * inner;
                let wanted = if n < columns.extent { wanted as f32 } else { 0.0 };
                assert_eq!(element(&packed, 6, k as usize, n as usize), wanted, "row {k}, column {n}");
            }
        }
    }
}

#[test]
fn bytes_lie_in_groups_of_four_steps() {
    let numbers: Vec<u8> = (0..1000).map(|i| (i % 251 + 1) as u8).collect();
    for (columns, inner, outer) in [(20, 4, 1), (17, 5, 3), (8, 1, 2), (33, 7, 1)] {
        let side = |extent, step| Side { extent, step };
        let depth = vec![side(outer, inner), side(inner, 1)];
        let columns = side(columns, inner * outer);
        let panels = Panels { start: 2, columns, depth, width: PANEL, group: 4, bytes: 1 };
        let packed = panels.pack(&numbers);
        let padded = (inner + 3) / 4 * 4;
        assert_eq!(packed.len() as i64, (columns.extent + 15) / 16 * 16 * outer * padded);
        for (at, byte) in (0..).zip(&packed) {
            let (k, n) = (at % 4 + at / 64 * 4, at / 4 % 16);
            let (panel, k) = (k / (outer * padded), k % (outer * padded));
            let (column, outer, step) = (panel * 16 + n, k / padded, k % padded);
            let inside = column < columns.extent && step < inner;
            let wanted = 2 + column * columns.step + outer * inner + step;
            assert_eq!(*byte, if inside { numbers[wanted as usize] } else { 0 }, "{column} {outer} {step}");
        }
    }
}
