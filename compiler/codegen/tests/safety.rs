//! An untrusted kernel gives wrong numbers at worst: hostile ones are refused, and whatever the check accepts stays inside
//! buffers that end at guard pages, on every lowering path.

mod support;

use mlc_codegen::base::{DType, Dim, Packing, Scalar, Storage};
use mlc_codegen::kernel::*;
use std::collections::BTreeMap;
use support::build::{Build, slot};
use support::{Random, accepts, hold_any, random_bytes, sizes};

const F32: Storage = Storage::Plain(DType::F32);

/// A copy of as many elements as slot 0 says that reads through `access`.
fn reader(access: impl Fn(AxisId, BufferId, ExprId) -> Access) -> Kernel {
    let mut b = Build::new("reader");
    let i = b.axis("i", slot(0));
    let (x, ids, y) = (b.input(DType::F32), b.input(DType::I32), b.output(DType::F32));
    let id = b.read_dense(ids, &[i]);
    let value = b.read(access(i, x, id));
    let stores = vec![b.store_dense(y, &[i], value)];
    b.finish(Body::Map(stores))
}

fn through(coords: Vec<Coord>, x: BufferId) -> Access {
    Access::new(x, coords, Scalar::F32(0.0))
}

fn refusal(kernel: &Kernel) -> Option<VerifyError> {
    if let Err(error) = verify(kernel, support::SLOTS as u32) {
        return Some(error);
    }
    let block = sizes(&[16]);
    let ranges: Vec<_> = block.iter().map(|s| mlc_codegen::base::Interval::point(*s)).collect();
    check_call(kernel, &ranges, &[64, 64, 64]).err()
}

fn one(i: AxisId, scale: i64, plus: i64) -> Index {
    Index::affine(vec![(i, scale)], plus)
}

#[test]
fn accesses_outside_a_buffer_are_refused() {
    let out = |k: &Kernel| matches!(refusal(k), Some(VerifyError::OutOfBounds { .. }));
    assert_eq!(refusal(&reader(|i, x, _| through(vec![Coord::new(one(i, 1, 0), 1)], x))), None);
    assert_eq!(refusal(&reader(|i, x, _| through(vec![Coord::new(one(i, -1, 15), 1)], x))), None);
    assert!(out(&reader(|i, x, _| through(vec![Coord::new(one(i, 1, 1), 1)], x))), "one past the end");
    assert!(out(&reader(|i, x, _| through(vec![Coord::new(one(i, 1, -1), 1)], x))), "one before the start");
    assert!(out(&reader(|i, x, _| through(vec![Coord::new(one(i, 1, 0), 2)], x))), "a stride too large");
    assert!(out(&reader(|i, x, _| through(vec![Coord::new(one(i, 1, 1), 1).guarded(17)], x))), "a guard too large");
    assert_eq!(refusal(&reader(|i, x, _| through(vec![Coord::new(one(i, 3, -5), 1).guarded(16)], x))), None);
    let huge = reader(|i, x, _| through(vec![Coord::new(one(i, i64::MAX / 2, 0), i64::MAX / 2)], x));
    assert_eq!(refusal(&huge), Some(VerifyError::Size));
}

#[test]
fn sizes_near_64_bits_are_refused() {
    let mut long = reader(|i, x, _| through(vec![Coord::new(Index { div: 1 << 58, ..one(i, 1, 0) }, 1)], x));
    long.axes[0].extent = Dim::from(1 << 62);
    assert_eq!(refusal(&long), Some(VerifyError::Size));
    long.axes[0].extent = Dim::from(-3);
    assert_eq!(refusal(&long), Some(VerifyError::Size));
}

#[test]
fn malformed_kernels_are_refused() {
    let unguarded =
        reader(|_, x, id| through(vec![Coord { source: Source::Value(id), stride: Dim::from(1), guard: None }], x));
    assert_eq!(refusal(&unguarded), Some(VerifyError::UnguardedValue));
    let outside = reader(|i, x, _| through(vec![Coord::new(Index::axis(i), slot(99))], x));
    assert_eq!(refusal(&outside), Some(VerifyError::UnknownSlot(99)));
    let division = reader(|i, x, _| through(vec![Coord::new(Index { div: 0, ..one(i, 1, 0) }, 1)], x));
    assert_eq!(refusal(&division), Some(VerifyError::BadDivisor));
    let plain = reader(|i, x, _| through(vec![Coord::new(Index::axis(i), 1)], x));
    let mut loose = plain.clone();
    let Body::Map(stores) = &loose.body else { unreachable!("a map") };
    loose.body = Body::Loops(Loops { cells: vec![], statements: vec![Statement::Store(stores[0].clone())] });
    assert!(matches!(refusal(&loose), Some(VerifyError::UnknownAxis(_))), "no loop binds the axis");
    let mut writes = plain.clone();
    writes.buffers[2].role = Role::Read;
    assert_eq!(refusal(&writes), Some(VerifyError::WriteToRead(BufferId(2))));
    let mut both = plain.clone();
    both.buffers[2].role = Role::ReadWrite;
    assert_eq!(refusal(&both), Some(VerifyError::ReadWrite(BufferId(2))));
    let mut mixed = plain.clone();
    let sum = mixed.expr.binary(Binary::Add, ExprId(0), ExprId(1));
    let Body::Map(stores) = &mut mixed.body else { unreachable!("a map") };
    stores[0].value = sum;
    assert_eq!(refusal(&mixed), Some(VerifyError::TypeMismatch(sum)));
    let mut later = plain.clone();
    later.operands[1].coords[0] = Coord::value(ExprId(1), 1, 16);
    assert_eq!(refusal(&later), Some(VerifyError::NodeOrder(ExprId(1))), "an operand whose place is its own value");
    let mut nowhere = plain;
    nowhere.operands[1].buffer = BufferId(7);
    assert_eq!(refusal(&nowhere), Some(VerifyError::UnknownBuffer(BufferId(7))));
}

/// A random quasi-affine, perhaps guarded or computed, access.
fn access(random: &mut Random, buffer: BufferId, axes: &[AxisId], computed: &[ExprId], fill: Scalar) -> Access {
    let coords = (0..random.pick(1, 4)).map(|_| {
        let stride = [0, 1, 1, 2, 5, 8, 16, -1][random.below(8) as usize];
        if !computed.is_empty() && random.below(6) == 0 {
            return Coord::value(computed[random.below(computed.len() as u64) as usize], stride, random.pick(0, 9));
        }
        let terms = axes.iter().filter(|_| random.below(2) == 0).copied().collect::<Vec<_>>();
        let terms = terms.into_iter().map(|a| (a, [1, 1, 1, 2, -1, 3][random.below(6) as usize])).collect();
        let plus = if random.below(2) == 0 { 0 } else { random.pick(-4, 8) };
        let mut index = Index::affine(terms, plus);
        if random.below(5) == 0 {
            index.div = random.pick(1, 9);
        }
        if random.below(5) == 0 {
            index.modulus = Some(random.pick(1, 9));
        }
        let coord = Coord::new(index, stride);
        if random.below(3) == 0 { coord.guarded(random.pick(0, 12)) } else { coord }
    });
    Access::new(buffer, coords.collect(), fill).at(if random.below(2) == 0 { 0 } else { random.pick(0, 20) })
}

const STORAGES: [Storage; 9] = [
    F32,
    F32,
    F32,
    Storage::Plain(DType::F16),
    Storage::Plain(DType::I8),
    Storage::Plain(DType::I64),
    Storage::Plain(DType::U4),
    Storage::Packed(Packing::Q8_0),
    Storage::Packed(Packing::Q4_1),
];

/// A random kernel over three inputs and one output; the skeleton is chosen by `kind`.
fn random_kernel(random: &mut Random, kind: u64) -> Kernel {
    let mut b = Build::new("random");
    let extents = [1, 2, 3, 4, 7, 8, 9, 16, 17, 20];
    let axes: Vec<AxisId> = (0..5)
        .map(|i| {
            let extent = extents[random.below(extents.len() as u64) as usize];
            let extent = if random.below(3) == 0 { slot(i) } else { Dim::from(extent) };
            b.axis("a", extent)
        })
        .collect();
    let inputs: Vec<BufferId> =
        (0..3).map(|_| b.buffer("x", STORAGES[random.below(STORAGES.len() as u64) as usize], Role::Read)).collect();
    let ids = b.input(DType::I64);
    let y = b.output([DType::F32, DType::I8, DType::F16, DType::F64][random.below(4) as usize]);
    let id = access(random, ids, &axes[..2], &[], Scalar::I64(3));
    let id = b.read(id);
    let read = |b: &mut Build, random: &mut Random, i: usize, own: &[AxisId]| {
        let fill = Scalar::zero(b.0.buffer(inputs[i]).storage.compute());
        let computed = if own.contains(&axes[0]) && own.contains(&axes[1]) { vec![id] } else { vec![] };
        let access = if random.below(3) == 0 {
            b.dense(inputs[i], own)
        } else {
            access(random, inputs[i], own, &computed, fill)
        };
        let value = b.read(access);
        b.0.expr.convert(DType::F32, value)
    };
    let store = |b: &Build, random: &mut Random, own: &[AxisId], value| {
        let access = if random.below(2) == 0 { b.dense(y, own) } else { access(random, y, own, &[], Scalar::F32(0.0)) };
        vec![Store { access: Access { fill: Scalar::zero(b.0.buffer(y).storage.compute()), ..access }, value }]
    };
    let [p, q, r, s, t] = [axes[0], axes[1], axes[2], axes[3], axes[4]];
    let acc = Node::Accumulator;
    let body = match kind {
        0 => {
            let (u, v) = (read(&mut b, random, 0, &axes), read(&mut b, random, 1, &axes));
            let sum = b.binary(Binary::Add, u, v);
            Body::Map(store(&b, random, &axes, sum))
        }
        1 => {
            let over = if random.below(2) == 0 { vec![t] } else { vec![r, t] };
            let rows: Vec<AxisId> = axes.iter().copied().filter(|a| !over.contains(a)).collect();
            let value = read(&mut b, random, 0, &axes);
            let cell = b.0.expr.push(Node::Cell(0));
            let spread = b.binary(Binary::Sub, value, cell);
            let mut stores = store(&b, random, &rows, cell);
            if random.below(2) == 0 {
                stores = store(&b, random, &axes, spread);
            }
            Body::Reduce(Reduce { over, folds: vec![Fold { kind: FoldKind::Max, value }], stores })
        }
        2 => {
            let a = read(&mut b, random, 0, &[p, q, s, t]);
            let right = read(&mut b, random, 1, &[p, r, s, t]);
            let acc = b.0.expr.push(acc);
            let residual = read(&mut b, random, 2, &[p, q, r]);
            let sum = b.binary(Binary::Add, acc, residual);
            let stores = store(&b, random, &[p, q, r], sum);
            let unused = |e: ExprId, b: &mut Build| match &b.0.expr.nodes[e.0 as usize] {
                Node::Convert(_, inner) if b.0.buffers[inputs[1].0 as usize].storage.compute() == DType::F32 => *inner,
                _ => e,
            };
            let right = unused(right, &mut b);
            let (batch, m, n, k) = (vec![p], vec![q], vec![r], vec![s, t]);
            Body::Contract(Contract { batch, m, n, k, a, b: right, accumulator: DType::F32, stores })
        }
        _ => {
            let query = read(&mut b, random, 0, &[p, q, s]);
            let key = read(&mut b, random, 1, &[p, r, s]);
            let value = read(&mut b, random, 2, &[p, r, t]);
            let acc = b.0.expr.push(acc);
            let visible = (random.below(2) == 0).then(|| {
                (one(q, random.pick(-1, 2), random.pick(-3, 3)), one(q, random.pick(0, 2), random.pick(-2, 9)))
            });
            let stores = store(&b, random, &[p, q, t], acc);
            let (batch, m) = (vec![p], vec![q]);
            let (q, k, v) = (query, key, value);
            let blind_is_zero = random.below(2) == 0;
            Body::Attention(Attention {
                batch,
                m,
                n: r,
                d: s,
                e: t,
                q,
                k,
                v,
                score: acc,
                visible,
                blind_is_zero,
                stores,
            })
        }
    };
    b.finish(body)
}

/// Buffers just as large as the accesses reach, or a byte less, are found by trying sizes; what the check accepts runs.
#[test]
fn accepted_kernels_stay_inside() {
    let mut paths: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..900u64 {
        let mut random = Random(seed * 0x9e37_79b9 + 12345);
        let kernel = random_kernel(&mut random, seed % 4);
        if let Err(error) = verify(&kernel, support::SLOTS as u32) {
            assert!(
                matches!(error, VerifyError::Misplaced(_) | VerifyError::UnknownAxis(_)),
                "seed {seed}: {error}\n{kernel}"
            );
            refused += 1;
            continue;
        }
        let block = sizes(&[
            random.pick(0, 20),
            random.pick(0, 10),
            random.pick(0, 30),
            random.pick(0, 20),
            random.pick(0, 40),
        ]);
        let mut buffers: Vec<Vec<u8>> =
            kernel.buffers.iter().map(|b| random_bytes(b.storage, 60_000, &mut random)).collect();
        if !accepts(&kernel, &block, &buffers) {
            refused += 1;
            continue;
        }
        for i in 0..buffers.len() {
            shrink(&kernel, &block, &mut buffers, i);
        }
        let unordered = support::Near { absolute: f64::INFINITY, relative: 0.0 };
        let near = if stores_collide(&kernel) { unordered } else { support::Near { absolute: 1e-2, relative: 1e-2 } };
        if let Some(path) = hold_or_skip(&kernel, &block, &buffers, near) {
            *paths.entry(path).or_default() += 1;
        }
        accepted += 1;
    }
    println!("{accepted} accepted, {refused} refused, {paths:?}");
    assert!(accepted > 150 && refused > 50, "the test must see both: {accepted} accepted, {refused} refused");
    assert!(["loops", "lanes", "contract", "attention"].iter().all(|path| paths.contains_key(path)), "{paths:?}");
}

/// The smallest buffer that the check accepts.
fn shrink(kernel: &Kernel, block: &[i64], buffers: &mut [Vec<u8>], i: usize) {
    let (mut low, mut high) = (0, buffers[i].len());
    let whole = buffers[i].clone();
    while low < high {
        let middle = (low + high) / 2;
        buffers[i].truncate(middle);
        let fits = accepts(kernel, block, buffers);
        buffers[i].clone_from(&whole);
        (low, high) = if fits { (low, middle) } else { (middle + 1, high) };
    }
    buffers[i].truncate(high);
}

/// Whether several points may write one element, so that the last one wins, whichever that is.
fn stores_collide(kernel: &Kernel) -> bool {
    let Some(store) = kernel.stores().first().copied().cloned() else { return false };
    let dense = store.access.coords.iter().all(|c| {
        c.guard.is_none()
            && matches!(&c.source, Source::Index(i) if i.is_affine() && i.terms.len() == 1 && i.terms[0].1 == 1)
    });
    !dense || store.access.base != Dim::from(0) || {
        let rows = store.access.coords.len();
        rows < 3
    }
}

fn hold_or_skip(kernel: &Kernel, block: &[i64], buffers: &[Vec<u8>], near: support::Near) -> Option<&'static str> {
    if near.absolute.is_finite() {
        return Some(hold_any(kernel, block, buffers, near));
    }
    // Which point writes last depends on the parts: only that nothing leaves its buffer is held.
    let mut path = None;
    for isa in support::machine::runnable() {
        let compiled = support::machine::Compiled::new(kernel, isa);
        for at_end in [true, false] {
            let mut guarded: Vec<_> = buffers.iter().map(|b| support::machine::Guarded::new(b, at_end)).collect();
            compiled.run(block, &mut guarded, 3);
        }
        path = Some(compiled.path);
    }
    path
}
