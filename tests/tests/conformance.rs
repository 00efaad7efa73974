//! Every op, machine code against the reference evaluator, on drawn inputs of several shapes, on one thread and on two,
//! with dims that are static and dims that are symbolic.
//!
//! The seed is printed; MLC_SEED repeats a run.

mod cases;

use cases::{elementwise, indices, made, reductions, shapes};
use libtest_mimic::{Arguments as Flags, Failed, Trial};
use mlc::diag::SourceMap;
use mlc::ops::{Attr, OpKind};
use mlc::reference::Reference;
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::session::{Model, Options, Session};
use mlc_runtime::tensor::Tensor;
use mlc_tests::forms::{self, Case};
use std::sync::Arc;

fn main() {
    let seed = std::env::var("MLC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
    });
    println!("MLC_SEED={seed}");
    for (op, why) in forms::STATIC {
        println!("{}: not run with symbolic dims: {why}", op.name());
    }
    for (op, why) in forms::ALONE {
        println!("{}: not run on work that threads share: {why}", op.name());
    }
    println!("{} of {} operators are not run with symbolic dims", forms::STATIC.len(), OpKind::ALL.len());
    let trials = OpKind::ALL.iter().map(|op| {
        Trial::test(op.name(), move || {
            let cases = cases(*op);
            if cases.is_empty() {
                return Err(format!("no use of `{}`: add a file to tests/data/ops", op.name()).into());
            }
            let mut counted = Counted::default();
            for (i, case) in cases.iter().enumerate() {
                check(case, seed.wrapping_add(i as u64), &mut counted)?;
            }
            counted.enough(*op)
        })
    });
    libtest_mimic::run(&Flags::from_args(), trials.collect()).exit();
}

/// Ones, primes, an empty tensor, broadcasts, and every element type that the op takes.
fn cases(op: OpKind) -> Vec<Case> {
    let floats = [DType::F32, DType::F64, DType::F16, DType::BF16];
    let one = |attrs: Vec<Attr>, inputs| Case { op, attrs, counts: vec![1], inputs, indices: vec![] };
    match op {
        OpKind::Softmax => floats
            .iter()
            .flat_map(|d| {
                [(0, vec![7, 13]), (1, vec![7, 13]), (1, vec![2, 3, 5]), (0, vec![1])].map(|(a, s)| (*d, a, s))
            })
            .map(|(d, axis, shape)| one(vec![Attr::Int(axis)], vec![(d, shape)]))
            .collect(),
        OpKind::Transpose => [vec![2, 3, 5], vec![1, 0, 4]]
            .into_iter()
            .map(|shape| one(vec![Attr::Ints(vec![2, 0, 1])], vec![(DType::F32, shape)]))
            .collect(),
        OpKind::Einsum => {
            let sum = |pattern: &str, dtype, shapes: &[&[usize]]| Case {
                op,
                attrs: vec![Attr::Text(pattern.into())],
                counts: vec![shapes.len() as u32],
                inputs: shapes.iter().map(|shape| (dtype, shape.to_vec())).collect(),
                indices: vec![],
            };
            let mut all: Vec<Case> = floats
                .iter()
                .chain(&[DType::I32, DType::I8])
                .map(|d| sum("... i, o i -> ... o", *d, &[&[3, 5, 17], &[11, 17]]))
                .collect();
            all.push(sum("b h q d, b h k d -> b h q k", DType::F32, &[&[2, 3, 4, 5], &[2, 3, 7, 5]]));
            all.push(sum("i i -> i", DType::F32, &[&[5, 5]]));
            all.push(sum("i j -> j", DType::F32, &[&[5, 3]]));
            all.push(sum("i, i -> ", DType::F32, &[&[19], &[19]]));
            all.push(sum("i j, j k, k l -> i l", DType::F32, &[&[2, 3], &[3, 5], &[5, 7]]));
            all.push(sum("i k, k j -> i j", DType::F32, &[&[4, 0], &[0, 3]]));
            all
        }
        OpKind::Matmul => {
            let shapes: [(&[usize], &[usize]); 5] = [
                (&[5, 7], &[7, 3]),
                (&[2, 5, 7], &[7, 3]),
                (&[2, 1, 4, 3], &[5, 3, 2]),
                (&[1, 17], &[17, 33]),
                (&[3, 0], &[0, 2]),
            ];
            let dtypes = floats.iter().chain(&[DType::I64, DType::I32]).map(|dtype| (*dtype, *dtype));
            let mixed = [(DType::F32, DType::F16), (DType::F32, DType::BF16), (DType::I8, DType::I8)];
            let pairs: Vec<(DType, DType)> = dtypes.chain(mixed).collect();
            let of = |(left, right): (DType, DType)| shapes.map(|(a, b)| Case::new(op, &[], &[(left, a), (right, b)]));
            pairs.into_iter().flat_map(of).collect()
        }
        _ => {
            let tables = [elementwise::cases, indices::cases, made::cases, reductions::cases, shapes::cases];
            let drawn: Vec<Case> = tables.into_iter().filter_map(|cases| cases(op)).flatten().collect();
            if drawn.is_empty() { literal(op) } else { drawn }
        }
    }
}

/// The uses of an op that have answers from elsewhere, with inputs drawn anew, in every element type that it takes.
fn literal(op: OpKind) -> Vec<Case> {
    let uses = mlc_tests::answers::answers().into_iter().filter(|answer| answer.op == op);
    let own = uses.map(|answer| Case {
        op,
        attrs: answer.arguments.attrs,
        counts: answer.arguments.counts,
        inputs: answer.inputs.iter().map(|x| (x.dtype(), x.shape().to_vec())).collect(),
        indices: vec![],
    });
    let retyped = |case: &Case, to: DType| {
        let other = |dtype: DType| if dtype == DType::F32 { to } else { dtype };
        let inputs = case.inputs.iter().map(|(dtype, shape)| (other(*dtype), shape.clone())).collect();
        Case { op, attrs: case.attrs.clone(), counts: case.counts.clone(), inputs, indices: vec![] }
    };
    let others = [DType::F64, DType::F16, DType::BF16, DType::I32, DType::I8];
    let each = own.flat_map(|case| {
        let more: Vec<Case> = others.iter().map(|to| retyped(&case, *to)).collect();
        let taken = more.into_iter().filter(|more| more.inputs != case.inputs && forms::graph(more, &[]).is_ok());
        let taken: Vec<Case> = taken.collect();
        std::iter::once(case).chain(taken)
    });
    each.collect()
}

/// How often an op ran, by form.
#[derive(Default)]
struct Counted {
    fixed: usize,
    symbolic: usize,
    larger: usize,
    /// On work that threads share.
    wide: bool,
}

impl Counted {
    /// Every op runs with static dims, and with symbolic ones at two sizes unless the list says why not.
    fn enough(&self, op: OpKind) -> Result<(), Failed> {
        let listed = forms::STATIC.iter().any(|(skipped, _)| *skipped == op);
        if self.wide == forms::ALONE.iter().any(|(alone, _)| *alone == op) {
            return Err("it ran on work that threads share, or none did: see the list in tests/src/forms.rs".into());
        }
        match (self.fixed > 0, self.symbolic > 0 && self.larger > 0, listed) {
            (false, ..) => Err("no case ran".into()),
            (_, false, false) => {
                Err("no case ran with symbolic dims at two sizes: say why in tests/src/forms.rs".into())
            }
            (_, true, true) => Err("it runs with symbolic dims: strike it from the list in tests/src/forms.rs".into()),
            _ => Ok(()),
        }
    }
}

fn check(case: &Case, seed: u64, counted: &mut Counted) -> Result<(), Failed> {
    let mut draw = seed | 1;
    for symbolic in std::iter::once(vec![]).chain(forms::symbolic(case)) {
        let what = format!("{} {:?} {:?} symbolic {symbolic:?}", case.op.name(), case.attrs, case.inputs);
        check_form(case, &symbolic, &mut draw, counted).map_err(|e| format!("{what}: {e}"))?;
    }
    Ok(())
}

/// Runs a form at all its sizes: on the reference, and in one session for each number of threads.
fn check_form(case: &Case, symbolic: &[usize], draw: &mut u64, counted: &mut Counted) -> Result<(), String> {
    let graph = Arc::new(forms::graph(case, symbolic)?);
    let unbound: Vec<String> = graph.entries[0].sizes.iter().map(|(name, _)| name.clone()).collect();
    let mut sources = SourceMap::default();
    let file = sources.add("case.mdl", "");
    let artifact = mlc::artifact_by(&mlc::Pipeline::none(), &graph, &sources, file).map_err(|e| e.to_string())?;
    let mut sessions = vec![];
    for threads in [1, 2] {
        let options = Options { threads, ..Options::default() };
        sessions.push(Model::load(artifact.clone(), options).map_err(|e| e.to_string())?.session());
    }
    if let (false, Some(sizes)) = (counted.wide, forms::wide(case, symbolic).filter(|_| !symbolic.is_empty())) {
        counted.wide = shared(case, symbolic, &sizes, &unbound, draw, &mut sessions)?;
    }
    let mut reference = Reference::new(graph);
    for (turn, sizes) in forms::sizes(symbolic).iter().enumerate() {
        let inputs = inputs(case, symbolic, sizes, draw);
        let names: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
        let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&inputs).collect();
        let given = given(&unbound, symbolic, sizes);
        let expected = reference.run(None, &named, &given);
        let found: Vec<_> = sessions.iter_mut().map(|session| session.run(None, &named, &given)).collect();
        for found in &found {
            match (found, &expected) {
                (Ok(found), Ok(expected)) => {
                    let pairs = found.iter().zip(expected);
                    let each = pairs.map(|((_, a), (_, b))| compare(case.op, a, b));
                    each.collect::<Result<Vec<()>, _>>().map_err(|e| format!("at {sizes:?}: {e}"))?;
                }
                (Err(a), Err(b)) if a.code == b.code && turn > 0 => {}
                (found, expected) => {
                    let told = (found.as_ref().err(), expected.as_ref().err());
                    return Err(format!("at {sizes:?}: the session and the reference: {told:?}"));
                }
            }
        }
        if found[0].as_ref().ok() != found[1].as_ref().ok() {
            return Err(format!("at {sizes:?}: two threads give other bits than one"));
        }
        let count = match (symbolic.is_empty(), turn) {
            (true, _) => &mut counted.fixed,
            (false, 1 | 2) => &mut counted.larger,
            (false, _) => &mut counted.symbolic,
        };
        *count += usize::from(expected.is_ok());
    }
    Ok(())
}

/// The symbols that no input binds, at sizes.
fn given<'n>(unbound: &'n [String], symbolic: &[usize], sizes: &[usize]) -> Vec<(&'n str, i64)> {
    let size =
        |name: &String| symbolic.iter().position(|extent| format!("d{extent}") == *name).map(|i| sizes[i] as i64);
    unbound.iter().map(|name| (name.as_str(), size(name).expect("it is a symbol"))).collect()
}

/// Whether the op ran on work that two threads share; both sessions give the same bits.
fn shared(
    case: &Case,
    symbolic: &[usize],
    sizes: &[usize],
    unbound: &[String],
    draw: &mut u64,
    sessions: &mut [Session],
) -> Result<bool, String> {
    let inputs = inputs(case, symbolic, sizes, draw);
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
    let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&inputs).collect();
    let given = given(unbound, symbolic, sizes);
    let found: Vec<_> = sessions.iter_mut().map(|session| session.run(None, &named, &given)).collect();
    match (&found[0], &found[1]) {
        (Ok(one), Ok(two)) if one == two => {
            let made = one.iter().map(|(_, tensor)| tensor.len());
            Ok(made.chain(inputs.iter().map(Tensor::len)).any(|elements| elements >= 1 << 14))
        }
        (Err(one), Err(two)) if one.code == two.code => Ok(false),
        _ => Err(format!("at {sizes:?}: two threads give other bits than one")),
    }
}

fn inputs(case: &Case, symbolic: &[usize], sizes: &[usize], draw: &mut u64) -> Vec<Tensor> {
    // A product of three is contracted pairwise: another order, which infinities tell from `eval`'s; so they do where a
    // product or a gate underflows in f32.
    let special = match case.op {
        OpKind::Prod | OpKind::Lstm | OpKind::Gru => false,
        OpKind::Einsum => case.inputs.len() < 3,
        _ => true,
    };
    let shape = |shape: &[usize]| forms::shape(shape, symbolic, sizes);
    // Long sums of large terms that cancel, and long products, have no tolerance of their result's size. A weight of
    // attention that underflows in f32 makes NaN of an infinite value.
    let range = match (case.op, symbolic.is_empty()) {
        (OpKind::Prod, _) => (1.0, 0.5),
        (OpKind::Attention, _) => (0.0, 1.0),
        (_, true) => (0.0, 8.0),
        (_, false) => (0.0, 1.0),
    };
    let mut inputs: Vec<Tensor> =
        case.inputs.iter().map(|(dtype, own)| tensor(*dtype, &shape(own), range, special, draw)).collect();
    for (input, extent) in &case.indices {
        let drawn = &mut inputs[*input];
        for i in 0..drawn.len() {
            let index = drawn.get(i).as_i64().rem_euclid(2 * extent) - extent;
            drawn.set(i, Scalar::I64(index));
        }
    }
    inputs
}

/// Numbers around the middle of a range, as far as its reach; now and then, where `special` says so, a zero, an infinity or NaN.
fn tensor(dtype: DType, shape: &[usize], range: (f64, f64), special: bool, state: &mut u64) -> Tensor {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    };
    let number = |_| {
        let (pick, unit) = (next() % 64, (next() % 20_001) as f64 / 10_000.0 - 1.0);
        match (dtype.is_float(), if special { pick } else { 63 }) {
            (true, 0) => Scalar::F64(0.0),
            (true, 1) => Scalar::F64(f64::NAN),
            (true, 2) => Scalar::F64(f64::INFINITY),
            (true, 3) => Scalar::F64(f64::NEG_INFINITY),
            (true, _) => Scalar::F64(range.0 + unit * range.1),
            (false, 0) => Scalar::I64(dtype.integer_range().map_or(0, |(lo, _)| lo)),
            (false, 1) => Scalar::I64(0),
            (false, _) => Scalar::I64((unit * 50.0) as i64),
        }
    };
    Tensor::from_fn(dtype, shape, number).expect("a small tensor")
}

fn compare(op: OpKind, found: &Tensor, expected: &Tensor) -> Result<(), String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        return Err(format!("{} {:?}, not {} {:?}", found.dtype(), found.shape(), expected.dtype(), expected.shape()));
    }
    let tolerance = op.op().tolerance();
    // One unit in the last place of the narrow floats on top.
    let unit = match found.dtype() {
        DType::F16 => 1.0 / 1024.0,
        DType::BF16 => 1.0 / 128.0,
        _ => 0.0,
    };
    // A recurrence rounds what it hands on at each step, and that lies in -1..1.
    let handed_on = if matches!(op, OpKind::Lstm | OpKind::Gru) { 4.0 * unit } else { 0.0 };
    for (i, (a, b)) in found.iter().zip(expected.iter()).enumerate() {
        let (x, y) = (a.as_f64(), b.as_f64());
        let allowed = tolerance.absolute + handed_on + (tolerance.relative + unit) * y.abs();
        let same = x == y || (x.is_nan() && y.is_nan()) || (y.is_finite() && (x - y).abs() <= allowed);
        if !same {
            return Err(format!("element {i} is {x}, the reference says {y}"));
        }
    }
    Ok(())
}
