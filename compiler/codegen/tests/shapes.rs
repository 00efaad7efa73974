//! Maps, reductions and loops: strides, padding, gathers, scatters, several reduced axes, sizes around the lanes'.

mod support;

use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::{CLOSE, EXACT, Near, Random, hold, random_bytes};

const F32: Storage = Storage::Plain(DType::F32);

fn bytes(elements: &[(Storage, i64)]) -> Vec<Vec<u8>> {
    let mut random = Random(elements.iter().map(|e| e.1 as u64 + 3).product());
    elements.iter().map(|(storage, count)| random_bytes(*storage, *count, &mut random)).collect()
}

#[test]
fn softmax_and_norms() {
    for dtype in [DType::F32, DType::F16, DType::F64] {
        for (rows, columns) in [(3, 1), (4, 15), (2, 16), (5, 37), (1, 0), (7, 130)] {
            let mut b = Build::new("softmax");
            let (r, c) = (b.axis("r", slot(0)), b.axis("c", slot(1)));
            let (x, y) = (b.input(dtype), b.output(dtype));
            let value = b.read_dense(x, &[r, c]);
            let max = b.0.expr.push(Node::Cell(0));
            let shifted = b.binary(Binary::Sub, value, max);
            let power = b.unary(Unary::Exp, shifted);
            let sum = b.0.expr.push(Node::Cell(1));
            let result = b.binary(Binary::Div, power, sum);
            let folds = vec![Fold { kind: FoldKind::Max, value }, Fold { kind: FoldKind::Sum, value: power }];
            let stores = vec![b.store_dense(y, &[r, c], result)];
            let kernel = b.finish(Body::Reduce(Reduce { over: vec![c], folds, stores }));
            let storage = Storage::Plain(dtype);
            let near = if dtype == DType::F16 { Near { absolute: 1e-3, relative: 1e-3 } } else { CLOSE };
            hold(
                &kernel,
                &[rows, columns],
                &bytes(&[(storage, rows * columns), (storage, rows * columns)]),
                "lanes",
                near,
            );
        }
    }
}

/// Means over each choice of axes, per row.
#[test]
fn means_over_any_axes() {
    for over in [vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 2], vec![0, 1, 2]] {
        for kind in [FoldKind::Sum, FoldKind::Product, FoldKind::Max, FoldKind::Min] {
            for dtype in [DType::F32, DType::I32, DType::I64, DType::U8] {
                let mut b = Build::new("fold");
                let axes = [b.axis("i", slot(0)), b.axis("j", slot(1)), b.axis("k", slot(2))];
                let (x, y) = (b.input(dtype), b.output(dtype.compute()));
                let value = b.read_dense(x, &axes);
                let over: Vec<AxisId> = over.iter().map(|i| axes[*i]).collect();
                let rows: Vec<AxisId> = axes.iter().copied().filter(|a| !over.contains(a)).collect();
                let total = b.0.expr.push(Node::Cell(0));
                let stores = vec![b.store_dense(y, &rows, total)];
                let kernel = b.finish(Body::Reduce(Reduce { over, folds: vec![Fold { kind, value }], stores }));
                let sizes = [3, 5, 19];
                let results: i64 = rows.iter().map(|a| sizes[a.0 as usize]).product();
                let storages = [(Storage::Plain(dtype), 3 * 5 * 19), (Storage::Plain(dtype.compute()), results)];
                hold(&kernel, &sizes, &bytes(&storages), "lanes", CLOSE);
            }
        }
    }
}

#[test]
fn transposes_and_reversals() {
    for dtype in [DType::F32, DType::I8, DType::F64, DType::Bool] {
        let mut b = Build::new("transpose");
        let (i, j) = (b.axis("i", slot(0)), b.axis("j", slot(1)));
        let (x, y) = (b.input(dtype), b.output(dtype));
        let fill = Scalar::zero(dtype);
        let backwards = Index::affine(vec![(i, -1)], slot(0) - 1);
        let coords = vec![Coord::new(Index::axis(j), slot(0)), Coord::new(backwards, 1)];
        let value = b.read(Access::new(x, coords, fill));
        let stores = vec![b.store_dense(y, &[i, j], value)];
        let kernel = b.finish(Body::Map(stores));
        for (m, n) in [(1, 9), (13, 21), (8, 8)] {
            hold(
                &kernel,
                &[m, n],
                &bytes(&[(Storage::Plain(dtype), m * n), (Storage::Plain(dtype), m * n)]),
                "lanes",
                EXACT,
            );
        }
    }
}

/// Pads on every side, takes windows' maxima, and splits an axis with floor and modulus.
#[test]
fn padding_pooling_and_splitting() {
    let mut b = Build::new("pool");
    let (y, x) = (b.axis("y", slot(0)), b.axis("x", slot(1)));
    let (dy, dx) = (b.axis("dy", 3), b.axis("dx", 3));
    let (input, output) = (b.input(DType::F32), b.output(DType::F32));
    let coords = vec![
        Coord::new(Index::affine(vec![(y, 2), (dy, 1)], -1), 40).guarded(21),
        Coord::new(Index::affine(vec![(x, 2), (dx, 1)], -1), 1).guarded(40),
    ];
    let value = b.read(Access::new(input, coords, Scalar::F32(f32::NEG_INFINITY)));
    let total = b.0.expr.push(Node::Cell(0));
    let stores = vec![b.store_dense(output, &[y, x], total)];
    let folds = vec![Fold { kind: FoldKind::Max, value }];
    let kernel = b.finish(Body::Reduce(Reduce { over: vec![dy, dx], folds, stores }));
    hold(&kernel, &[11, 20], &bytes(&[(F32, 21 * 40), (F32, 220)]), "lanes", EXACT);

    let mut b = Build::new("split");
    let i = b.axis("i", 96);
    let (input, output) = (b.input(DType::F32), b.output(DType::F32));
    let outer = Index::axis(i).divided(12).expect("affine");
    let inner = Index::axis(i).modulo(12).expect("affine");
    let value = b.read(Access::new(input, vec![Coord::new(outer, 1), Coord::new(inner, 8)], Scalar::F32(0.0)));
    let stores = vec![b.store_dense(output, &[i], value)];
    hold(&b.finish(Body::Map(stores)), &[], &bytes(&[(F32, 96), (F32, 96)]), "lanes", EXACT);
}

/// An embedding with hostile indices, rows of a packed table, and a scatter beyond the capacity.
#[test]
fn gathers_and_scatters() {
    for storage in [F32, Storage::Plain(DType::BF16), Storage::Packed(mlc_codegen::base::Packing::Q8_0)] {
        for index in [DType::I64, DType::I32] {
            let mut b = Build::new("embedding");
            let (t, c) = (b.axis("t", slot(0)), b.axis("c", 64));
            let (ids, table) = (b.input(index), b.buffer("table", storage, Role::Read));
            let (state, y) = (b.output(DType::F32), b.output(DType::F32));
            let id = b.read_dense(ids, &[t]);
            let coords = vec![Coord::value(id, 64, 10), Coord::new(Index::axis(c), 1)];
            let value = b.read(Access::new(table, coords, Scalar::F32(-1.0)));
            let past = Index::affine(vec![(t, 1)], slot(1));
            let coords = vec![Coord::new(past, 64).guarded(8), Coord::new(Index::axis(c), 1)];
            let cache = Store { access: Access::new(state, coords, Scalar::F32(0.0)), value };
            let coords = vec![Coord::value(id, 64, 4), Coord::new(Index::axis(c), 1)];
            let scatter = Store { access: Access::new(y, coords, Scalar::F32(0.0)), value };
            let kernel = b.finish(Body::Map(vec![cache, scatter]));
            let mut all = bytes(&[(Storage::Plain(index), 6), (storage, 640), (F32, 8 * 64), (F32, 4 * 64)]);
            for (i, id) in [3, -1, 9, 10, i64::MAX, 0].into_iter().enumerate() {
                eval::write_element(Storage::Plain(index), &mut all[0], i as i64, Scalar::I64(id));
            }
            hold(&kernel, &[6, 4], &all, "lanes", EXACT);
        }
    }
}

/// A running sum with a condition, read back from what was written.
#[test]
fn loops_with_cells_and_conditions() {
    let mut b = Build::new("cumsum");
    let (r, i) = (b.axis("r", slot(0)), b.axis("i", slot(1)));
    let (x, y) = (b.input(DType::F32), b.buffer("y", F32, Role::ReadWrite));
    let value = b.read_dense(x, &[r, i]);
    let sum = b.0.expr.push(Node::Cell(0));
    let more = b.binary(Binary::Add, sum, value);
    let zero = b.f32(0.0);
    let positive = b.0.expr.compare(Compare::Lt, zero, value);
    let own = b.read_dense(y, &[r, i]);
    let doubled = b.binary(Binary::Add, own, own);
    let statements = vec![Statement::For {
        axis: r,
        parallel: true,
        body: vec![
            Statement::SetCell { cell: 0, value: zero },
            Statement::For {
                axis: i,
                parallel: false,
                body: vec![
                    Statement::If { condition: positive, body: vec![Statement::SetCell { cell: 0, value: more }] },
                    Statement::Store(b.store_dense(y, &[r, i], sum)),
                    Statement::Store(b.store_dense(y, &[r, i], doubled)),
                ],
            },
        ],
    }];
    let kernel = b.finish(Body::Loops(Loops { cells: vec![DType::F32], statements }));
    for (rows, columns) in [(1, 5), (4, 9), (0, 3), (19, 2)] {
        hold(&kernel, &[rows, columns], &bytes(&[(F32, rows * columns), (F32, rows * columns)]), "loops", CLOSE);
    }
}

/// Positions and causal masks in lanes; a mask of bools; a result for each row and one for each element.
#[test]
fn positions_masks_and_rows() {
    let mut b = Build::new("masked");
    let (r, c) = (b.axis("r", slot(0)), b.axis("c", slot(1)));
    let (x, keep) = (b.input(DType::F32), b.input(DType::Bool));
    let (y, total, any) = (b.output(DType::F32), b.output(DType::F32), b.output(DType::Bool));
    let (value, keep) = (b.read_dense(x, &[r, c]), b.read_dense(keep, &[r, c]));
    let (row, column) = (b.0.expr.push(Node::Position(r)), b.0.expr.push(Node::Position(c)));
    let past = b.0.expr.compare(Compare::Le, column, row);
    let both = b.binary(Binary::And, past, keep);
    let hidden = b.f32(-5.0);
    let seen = b.0.expr.select(both, value, hidden);
    let sum = b.0.expr.push(Node::Cell(0));
    let found = b.0.expr.push(Node::Cell(1));
    let size = b.0.expr.push(Node::Size(slot(1)));
    let size = b.0.expr.convert(DType::F32, size);
    let mean = b.binary(Binary::Div, sum, size);
    let centred = b.binary(Binary::Sub, seen, mean);
    let folds = vec![Fold { kind: FoldKind::Sum, value: seen }, Fold { kind: FoldKind::Max, value: both }];
    let stores =
        vec![b.store_dense(y, &[r, c], centred), b.store_dense(total, &[r], mean), b.store_dense(any, &[r], found)];
    let kernel = b.finish(Body::Reduce(Reduce { over: vec![c], folds, stores }));
    let bools = Storage::Plain(DType::Bool);
    for (rows, columns) in [(5, 33), (3, 8), (2, 7)] {
        let n = rows * columns;
        hold(
            &kernel,
            &[rows, columns],
            &bytes(&[(F32, n), (bools, n), (F32, n), (F32, rows), (bools, rows)]),
            "lanes",
            CLOSE,
        );
    }
}
