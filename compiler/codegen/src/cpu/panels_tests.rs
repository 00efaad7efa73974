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
        let panels = Panels { start, columns, depth: depth.to_vec(), width: PANEL };
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
