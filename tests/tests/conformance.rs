//! Every op, machine code against `eval`, on drawn inputs of several shapes, on one thread and on two.
//!
//! The seed is printed; MLC_SEED repeats a run.

mod cases;

use cases::{Case, elementwise, indices, made, reductions, shapes};
use libtest_mimic::{Arguments as Flags, Failed, Trial};
use mlc::diag::SourceMap;
use mlc::graph::{Block, Entry, Graph, GraphBuilder, Input, Value};
use mlc::ops::{Arguments, Attr, Call, OpKind};
use mlc::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Scalar, Slots};
use mlc_runtime::session::{Model, Options};
use mlc_runtime::tensor::Tensor;
use std::sync::Arc;

fn main() {
    let seed = std::env::var("MLC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
    });
    println!("MLC_SEED={seed}");
    let trials = OpKind::ALL.iter().map(|op| {
        Trial::test(op.name(), move || {
            let cases = cases(*op);
            if cases.is_empty() {
                return Err(format!("no case of `{}`: add one to tests/tests/conformance.rs", op.name()).into());
            }
            cases.iter().enumerate().try_for_each(|(i, case)| check(case, seed.wrapping_add(i as u64)))
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
        OpKind::Matmul => [(vec![5, 7], vec![7, 3]), (vec![2, 5, 7], vec![7, 3]), (vec![2, 1, 4, 3], vec![5, 3, 2])]
            .into_iter()
            .map(|(a, b)| Case {
                op,
                attrs: vec![],
                counts: vec![1, 1],
                inputs: vec![(DType::F32, a), (DType::F32, b)],
                indices: vec![],
            })
            .collect(),
        _ => {
            let tables = [elementwise::cases, indices::cases, made::cases, reductions::cases, shapes::cases];
            let drawn: Vec<Case> = tables.into_iter().filter_map(|cases| cases(op)).flatten().collect();
            if drawn.is_empty() { literal(op) } else { drawn }
        }
    }
}

/// The uses of an op that have answers from elsewhere, with inputs drawn anew.
fn literal(op: OpKind) -> Vec<Case> {
    let uses = mlc_tests::answers::answers().into_iter().filter(|answer| answer.op == op);
    uses.map(|answer| Case {
        op,
        attrs: answer.arguments.attrs,
        counts: answer.arguments.counts,
        inputs: answer.inputs.iter().map(|x| (x.dtype(), x.shape().to_vec())).collect(),
        indices: vec![],
    })
    .collect()
}

fn check(case: &Case, seed: u64) -> Result<(), Failed> {
    let what = format!("{} {:?} {:?}", case.op.name(), case.attrs, case.inputs);
    let mut draw = seed | 1;
    // A product of three is contracted pairwise: another order, which infinities tell from `eval`'s; so they do where a
    // product underflows in f32.
    let special = case.inputs.len() < 3 && case.op != OpKind::Prod;
    let mut inputs: Vec<Tensor> =
        case.inputs.iter().map(|(dtype, shape)| tensor(*dtype, shape, special, &mut draw)).collect();
    for (input, extent) in &case.indices {
        let drawn = &mut inputs[*input];
        for i in 0..drawn.len() {
            let index = drawn.get(i).as_i64().rem_euclid(2 * extent) - extent;
            drawn.set(i, Scalar::I64(index));
        }
    }
    let graph = graph(case).map_err(|e| format!("{what}: {e}"))?;
    let types: Vec<TensorType> = case.inputs.iter().map(|(d, s)| static_type(*d, s)).collect();
    let outputs = &graph.entries[0].outputs;
    let results: Vec<TensorType> = outputs.iter().map(|(_, value)| graph.ty(*value).clone()).collect();
    let arguments = Arguments { counts: case.counts.clone(), attrs: case.attrs.clone() };
    let signature = case.op.op().signature();
    let call = Call { signature, arguments: &arguments, inputs: &types, results: &results };
    let given: Vec<&Tensor> = inputs.iter().collect();
    let expected = case.op.op().eval(&call, &given, &[]).map_err(|e| format!("{what}: {e}"))?;
    let mut sources = SourceMap::default();
    let file = sources.add("case.mdl", "");
    let artifact =
        mlc::artifact_by(&mlc::Pipeline::none(), &graph, &sources, file).map_err(|e| format!("{what}: {e}"))?;
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
    let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(given).collect();
    let mut before: Option<Vec<Tensor>> = None;
    for threads in [1, 2] {
        let options = Options { threads, ..Options::default() };
        let model = Model::load(artifact.clone(), options).map_err(|e| format!("{what}: {e}"))?;
        let found = model.session().run(None, &named, &[]).map_err(|e| format!("{what}: {e}"))?;
        let found: Vec<Tensor> = found.into_iter().map(|(_, tensor)| tensor).collect();
        let differs = |before: &Vec<Tensor>| before.iter().zip(&found).any(|(a, b)| a.bytes() != b.bytes());
        if before.as_ref().is_some_and(differs) {
            return Err(format!("{what}: two threads give other bits than one").into());
        }
        for (a, b) in found.iter().zip(&expected) {
            compare(case.op, a, b).map_err(|e| format!("{what}: {e}"))?;
        }
        before = Some(found);
    }
    Ok(())
}

fn static_type(dtype: DType, shape: &[usize]) -> TensorType {
    TensorType::fixed(dtype, &shape.iter().map(|d| *d as i64).collect::<Vec<_>>())
}

/// A graph of the one op.
fn graph(case: &Case) -> Result<Graph, String> {
    let mut graph = Graph {
        name: "Case".into(),
        slots: Slots::default(),
        facts: vec![],
        weights: Arc::default(),
        constants: Default::default(),
        states: Default::default(),
        values: Default::default(),
        nodes: Default::default(),
        entries: vec![],
    };
    let loc = Loc::default();
    let values: Vec<_> =
        case.inputs.iter().map(|(d, s)| graph.values.push(Value { ty: static_type(*d, s), name: None, loc })).collect();
    let mut body = Block::default();
    let arguments = Arguments { counts: case.counts.clone(), attrs: case.attrs.clone() };
    let mut builder = GraphBuilder { graph: &mut graph, block: &mut body, path: String::new() };
    let applied = builder.apply(case.op, arguments, &values, loc).map_err(|e| e.message)?;
    let inputs = values.iter().enumerate().map(|(i, value)| Input { name: format!("x{i}"), value: *value }).collect();
    let outputs = applied.outputs.iter().enumerate().map(|(i, v)| (format!("y{i}"), *v)).collect();
    graph.entries.push(Entry {
        name: "main".into(),
        doc: String::new(),
        inputs,
        sizes: vec![],
        guards: vec![],
        body,
        outputs,
        loc,
    });
    Ok(graph)
}

/// Numbers of both signs; now and then, where `special` says so, a zero, an infinity or NaN.
fn tensor(dtype: DType, shape: &[usize], special: bool, state: &mut u64) -> Tensor {
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
            (true, _) => Scalar::F64(unit * 8.0),
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
    for (i, (a, b)) in found.iter().zip(expected.iter()).enumerate() {
        let (x, y) = (a.as_f64(), b.as_f64());
        let allowed = tolerance.absolute + (tolerance.relative + unit) * y.abs();
        let same = x == y || (x.is_nan() && y.is_nan()) || (y.is_finite() && (x - y).abs() <= allowed);
        if !same {
            return Err(format!("element {i} is {x}, eval says {y}"));
        }
    }
    Ok(())
}
