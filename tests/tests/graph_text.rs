//! The text of graphs: what is printed is in the one layout, checks, prints to itself again, and runs to the same bits.

use libtest_mimic::{Arguments, Failed, Trial};
use mlc::diag::{Severity, SourceMap, human};
use mlc::export::mdl;
use mlc::frontend::{Options, check};
use mlc::graph::{Block, Entry, Graph, GraphBuilder, Input, NodeKind};
use mlc::ops::{Attr, Kind, OpKind};
use mlc::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Scalar, SlotDef};
use mlc_runtime::session::{Model, Options as Running};
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::write_safetensors;
use mlc_tests::answers::{answers, type_of};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Dims of the larger programs that shrink, so that drawn weights stay small.
const SMALLER: [(&str, &[(&str, i64)]); 2] =
    [("gpt2", &[("D", 48), ("V", 101), ("L", 3), ("ctx", 32), ("s", 5)]), ("minilm", &[("D", 48)])];

fn main() {
    let language = folder("compiler/tests/data");
    let programs = ["gpt2", "minilm", "mlp", "mobilenet_block"].map(|name| (language.join(name), true));
    let small = stems("tests/data/graph").into_iter().map(|path| (path, true));
    let examples = stems("examples").into_iter().map(|path| (path, false));
    let trials = programs.into_iter().chain(small).chain(examples).map(|(stem, drawn)| {
        let name = stem.strip_prefix(folder("")).unwrap_or(&stem).display().to_string();
        let absent = !drawn && !has_weights(&stem);
        if absent {
            println!("{name}: skipped; examples/fetch all brings its weights");
        }
        Trial::test(name, move || round(&stem, drawn)).with_ignored_flag(absent)
    });
    let written = [
        Trial::test("weights in several files", several_files),
        Trial::test("a pinned size", pinned_size),
        Trial::test("every op", every_op),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.chain(written).collect()).exit();
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the repository").join(name)
}

/// The model files of a folder, without their extension.
fn stems(name: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder(name)).expect("a folder of models").flatten().map(|entry| entry.path());
    let mut stems: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "mdl")).map(|path| path.with_extension("")).collect();
    stems.sort();
    assert!(!stems.is_empty(), "{name} has models");
    stems
}

fn has_weights(stem: &Path) -> bool {
    let text = std::fs::read_to_string(stem.with_extension("mdl")).expect("a model");
    let paths = text.lines().filter_map(|line| line.trim().strip_prefix("weights from \"")?.split('"').next());
    paths.into_iter().all(|path| stem.with_file_name(path).exists())
}

/// The graph of a file; any error is a failure.
fn graph(path: &Path, options: &Options) -> Result<(Graph, SourceMap), String> {
    let mut sources = SourceMap::default();
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let file = sources.add(path.display().to_string(), text.clone());
    let options = Options { folder: path.parent().map(Path::to_path_buf), ..options.clone() };
    let checked = check(&mut sources, file, &options);
    let wrong: Vec<String> = (checked.diagnostics.iter())
        .filter(|d| d.severity == Severity::Error)
        .map(|d| human(d, &sources, false))
        .collect();
    match checked.graph {
        Some(graph) if wrong.is_empty() => Ok((graph, sources)),
        _ => Err(format!("{}\n{text}", wrong.concat())),
    }
}

fn round(stem: &Path, drawn: bool) -> Result<(), Failed> {
    let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let smaller = SMALLER.iter().find(|(own, _)| drawn && *own == name).map_or(&[][..], |(_, dims)| dims);
    let dims = smaller.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let options = Options { random_weights: drawn.then_some(7), dims, ..Options::default() };
    reread(stem, &options)?;
    Ok(())
}

/// Weights under prefixes, kept narrower than they are read, and families whose keys follow no pattern.
fn several_files() -> Result<(), Failed> {
    let made = tempfile::tempdir().map_err(|e| e.to_string())?;
    let rows = |seed: usize| Tensor::from_fn(DType::F32, [16, 8], |i| Scalar::F64(((i * seed) % 7) as f64 - 3.0));
    let tensor = |seed| rows(seed).expect("128 numbers");
    let bent: Vec<(String, Tensor)> = [1, 4, 9].map(|i| (format!("model.bent.{i}"), tensor(i))).to_vec();
    let half = tensor(5).cast(DType::F16).map_err(|e| e.to_string())?;
    let written = [("a", bent), ("b", vec![("/odd".into(), tensor(2)), ("half".into(), half)])];
    for (name, tensors) in written {
        let path = made.path().join(name).with_extension("safetensors");
        write_safetensors(&path, &tensors).map_err(|e| e.to_string())?;
    }
    let text = r#"mdl 1

model Several {
  dim n in 1..=4
  weights from "a.safetensors" at "model"
  weights from "b.safetensors"

  entry main(x: f32[n, 16, 8]) -> f32[n, 16, 8] {
    weight half: f32[16, 8] from "half"
    weight odd: f32[16, 8] from "//odd"
    repeat i in 1..4 carry x {
      dim square = i * i
      weight bent: f32[16, 8] from "bent.{square}"
      let x = x * bent + half
    }
    return x + odd
  }
}
"#;
    std::fs::write(made.path().join("several.mdl"), text)?;
    let printed = reread(&made.path().join("several"), &Options::default())?;
    for line in [
        "#[storage(\"f16\")]",
        "weights from \"m.weights/a.safetensors\" at \"model\"",
        "stack([bent, bent_2, bent_3])",
    ] {
        if !printed.contains(line) {
            return Err(format!("no {line} in\n{printed}").into());
        }
    }
    Ok(())
}

fn pinned_size() -> Result<(), Failed> {
    let options = Options { dims: vec![("past".into(), 4)], random_weights: Some(1), ..Options::default() };
    let printed = reread(&folder("tests/data/graph/state"), &options)?;
    if printed.contains("assert past == 4") { Ok(()) } else { Err(printed.into()) }
}

/// Every use of an op that numpy or onnxruntime answered reads back with the same arguments.
fn every_op() -> Result<(), Failed> {
    let mut ops = HashSet::new();
    for answer in answers() {
        ops.insert(answer.op);
        let types = answer.inputs.iter().map(type_of).collect();
        one_op(answer.op, &answer.arguments, types).map_err(|error| format!("{}: {error}", answer.op.name()))?;
    }
    let absent: Vec<&str> = OpKind::ALL.iter().filter(|op| !ops.contains(op)).map(|op| op.name()).collect();
    println!("without an answer, so not tried one by one: {}", absent.join(" "));
    if ops.len() * 4 > OpKind::ALL.len() * 3 { Ok(()) } else { Err(format!("only {} ops", ops.len()).into()) }
}

fn one_op(op: OpKind, arguments: &mlc::ops::Arguments, types: Vec<TensorType>) -> Result<(), String> {
    let (mut first, mut body) = (Graph::default(), Block::default());
    first.name = "One".into();
    let mut builder = GraphBuilder { graph: &mut first, block: &mut body, path: String::new() };
    let value = |(i, ty)| (format!("x{i}"), builder.value(ty, None, Loc::default()));
    let inputs: Vec<_> = types.into_iter().enumerate().map(value).collect();
    let values: Vec<_> = inputs.iter().map(|(_, value)| *value).collect();
    let applied = builder.apply(op, arguments.clone(), &values, Loc::default()).map_err(|e| e.message)?;
    let outputs = applied.outputs.into_iter().enumerate().map(|(i, value)| (format!("y{i}"), value)).collect();
    let inputs = inputs.into_iter().map(|(name, value)| Input { name, value }).collect();
    let (sizes, guards, doc, loc) = (vec![], vec![], String::new(), Loc::default());
    first.entries.push(Entry { name: "main".into(), doc, inputs, sizes, guards, body, outputs, loc });
    let text = mdl::print(&first).text;
    let mut sources = SourceMap::default();
    let file = sources.add("one.mdl", text.clone());
    let checked = check(&mut sources, file, &Options::default());
    let said: String = checked.diagnostics.iter().map(|d| human(d, &sources, false)).collect();
    let second = checked.graph.ok_or_else(|| format!("{said}\n{text}"))?;
    same("printed again", &text, &mdl::print(&second).text)?;
    let nodes = second.entries[0].body.nodes.iter().map(|id| &second.nodes[*id].kind);
    let read: Vec<&NodeKind> = nodes.collect();
    match read.as_slice() {
        [NodeKind::Op { op: own, arguments: found }] if *own == op && meaning(op, found) == meaning(op, arguments) => {
            Ok(())
        }
        other => Err(format!("{arguments:?} became {other:?} in\n{text}")),
    }
}

/// Arguments in one of the forms that mean the same.
fn meaning(op: OpKind, arguments: &mlc::ops::Arguments) -> (Vec<u32>, Vec<Attr>) {
    let params = op.op().signature().params.iter().filter(|param| !param.is_tensor());
    let plain = params.zip(&arguments.attrs).map(|(param, attr)| match (param.kind, attr) {
        (Kind::Names, Attr::None) => Attr::Names(vec![]),
        (Kind::Dim, Attr::Int(value)) => Attr::Dim((*value).into()),
        (Kind::Float, Attr::Int(value)) => Attr::Float(*value as f64),
        (Kind::Dims, Attr::Ints(values)) => Attr::Dims(values.iter().map(|value| Some((*value).into())).collect()),
        (_, attr) => attr.clone(),
    });
    (arguments.counts.clone(), plain.collect())
}

/// Prints the graph of a file, reads that, and compares; gives the text.
fn reread(stem: &Path, options: &Options) -> Result<String, String> {
    let (first, first_sources) = graph(&stem.with_extension("mdl"), options)?;
    let made = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = made.path().join("m.mdl");
    mdl::write(&first, &path).map_err(|e| e.to_string())?;
    let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
    let formatted = mlc_grammar::format(&text).map_err(|errors| format!("{errors:?}\n{text}"))?;
    same("the one layout", &text, &formatted)?;
    let (second, second_sources) = graph(&path, &Options::default())?;
    let again = made.path().join("n.mdl");
    mdl::write(&second, &again).map_err(|e| e.to_string())?;
    if made.path().join("n.safetensors").exists() {
        return Err(format!("constants were made of nothing\n{text}"));
    }
    let reprinted = std::fs::read_to_string(&again).map_err(|e| e.to_string())?;
    same("printed again", &text, &reprinted.replace("n.weights", "m.weights"))?;
    let load = |graph: &Graph, sources: &SourceMap| {
        let artifact = mlc::artifact(graph, sources, 0).map_err(|e| e.to_string())?;
        Model::load(artifact, Running { threads: 1, ..Running::default() }).map_err(|e| e.to_string())
    };
    let models = [load(&first, &first_sources)?, load(&second, &second_sources)?];
    agree(&models, &first).map_err(|error| format!("{error}\n{text}"))?;
    Ok(text)
}

fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    let differs = |(a, b): &(&str, &str)| a != b;
    let pairs = || expected.lines().zip(found.lines());
    match pairs().position(|pair| differs(&pair)) {
        None if expected == found => Ok(()),
        at => {
            let line = at.unwrap_or(expected.lines().count().min(found.lines().count()));
            let [a, b] = [expected, found].map(|text| text.lines().nth(line).unwrap_or("(the end)"));
            Err(format!("{what}: line {}:\n  {a}\n  {b}\nin\n{expected}", line + 1))
        }
    }
}

/// Runs every entry of both models twice with the same arguments, so that state is carried over, and with both answers
/// to what is a bool.
fn agree(models: &[Model; 2], first: &Graph) -> Result<(), String> {
    let mut sessions = [models[0].session(), models[1].session()];
    for round in 0..2 {
        for entry in 0..first.entries.len() {
            let entry = &first.entries[entry];
            let (inputs, sizes) = arguments(first, entry, round)?;
            let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
            let mut answers = Vec::new();
            for session in &mut sessions {
                answers.push(session.run(Some(&entry.name), &inputs, &sizes).map_err(|e| e.to_string())?);
            }
            for ((name, a), (other, b)) in answers[0].iter().zip(&answers[1]) {
                if name != other || a != b {
                    return Err(format!("`{name}` is {a:?}, `{other}` is {b:?}"));
                }
            }
            if answers[0].len() != answers[1].len() {
                return Err(format!("{} results and {}", answers[0].len(), answers[1].len()));
            }
        }
    }
    Ok(())
}

/// Made-up arguments of a call: small whole numbers, floats between -1 and 1, the round for a bool.
#[allow(clippy::type_complexity)]
fn arguments<'g>(
    graph: &'g Graph,
    entry: &'g Entry,
    round: u64,
) -> Result<(Vec<(&'g str, Tensor)>, Vec<(&'g str, i64)>), String> {
    let mut sizes: Vec<i64> = (graph.slots.iter())
        .map(|(_, def)| match def {
            SlotDef::Given { lo, hi, size: false, .. } => 3.clamp(*lo, *hi),
            SlotDef::Given { lo, hi, .. } => 2.clamp(*lo, *hi),
            _ => 0,
        })
        .collect();
    graph.slots.fill(&mut sizes).map_err(|e| e.to_string())?;
    let mut state = round + 1;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut inputs = Vec::new();
    for input in &entry.inputs {
        let ty = graph.ty(input.value);
        let shape = ty.shape_at(&sizes).ok_or("a size does not fit")?;
        let shape: Vec<usize> = shape.into_iter().map(|dim| dim as usize).collect();
        let tensor = Tensor::from_fn(ty.dtype, shape, |_| match ty.dtype {
            DType::Bool => Scalar::Bool(round == 0),
            dtype if dtype.is_float() => Scalar::F64(draw() as f64 / f64::from(1u32 << 30) - 1.0),
            _ => Scalar::I64((draw() % 2) as i64),
        });
        inputs.push((input.name.as_str(), tensor.map_err(|e| e.to_string())?));
    }
    let given = entry.sizes.iter().map(|(name, slot)| (name.as_str(), sizes[slot.0 as usize])).collect();
    Ok((inputs, given))
}
