//! There and back: the text of a graph, what is read from it, and what both answer.

use mlc::diag::{Severity, SourceMap, Style, human};
use mlc::export::mdl;
use mlc::frontend::{Options, check};
use mlc::graph::{Entry, Graph};
use mlc_codegen::base::{DType, Scalar, SlotDef};
use mlc_runtime::session::{Model, Options as Running};
use mlc_runtime::tensor::Tensor;
use std::path::Path;
use tempfile::TempDir;

/// The graph of a file; any error is a failure.
pub(crate) fn graph(path: &Path, options: &Options) -> Result<(Graph, SourceMap), String> {
    let mut sources = SourceMap::default();
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let file = sources.add(path.display().to_string(), text.clone());
    let options = Options { folder: path.parent().map(Path::to_path_buf), ..options.clone() };
    let checked = check(&mut sources, file, &options);
    let wrong: Vec<String> = (checked.diagnostics.iter())
        .filter(|d| d.severity == Severity::Error)
        .map(|d| human(d, &sources, Style::default()))
        .collect();
    match checked.graph {
        Some(graph) if wrong.is_empty() => Ok((graph, sources)),
        _ => Err(format!("{}\n{text}", wrong.concat())),
    }
}

/// Prints the graph of a file, reads that, and compares; gives the text.
pub(crate) fn reread(stem: &Path, options: &Options) -> Result<String, String> {
    let (first, sources) = graph(&stem.with_extension("mdl"), options)?;
    reread_graph(&first, &sources)
}

/// Prints a graph, reads that, and compares texts and answers; gives the text.
pub(crate) fn reread_graph(first: &Graph, first_sources: &SourceMap) -> Result<String, String> {
    let read = read_back(first)?;
    let models = [load(first, first_sources)?, load(&read.graph, &read.sources)?];
    agree(&models, first).map_err(|error| format!("{error}\n{}", read.text))?;
    Ok(read.text)
}

/// The text of a graph, and what was read from it; the weights lie in the folder.
pub(crate) struct Read {
    pub(crate) text: String,
    pub(crate) graph: Graph,
    pub(crate) sources: SourceMap,
    _folder: TempDir,
}

/// Prints a graph and reads that: the text is in the one layout, checks, and is what is printed again.
pub(crate) fn read_back(first: &Graph) -> Result<Read, String> {
    let made = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = made.path().join("m.mdl");
    mdl::write(first, &path).map_err(|e| e.to_string())?;
    let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
    let formatted = mlc_grammar::format(&text).map_err(|errors| format!("{errors:?}\n{text}"))?;
    same("the one layout", &text, &formatted)?;
    let (graph, sources) = graph(&path, &Options::default())?;
    let again = made.path().join("n.mdl");
    mdl::write(&graph, &again).map_err(|e| e.to_string())?;
    if made.path().join("n.safetensors").exists() {
        return Err(format!("constants were made of nothing\n{text}"));
    }
    let reprinted = std::fs::read_to_string(&again).map_err(|e| e.to_string())?;
    same("printed again", &text, &reprinted.replace("n.weights", "m.weights"))?;
    Ok(Read { text, graph, sources, _folder: made })
}

/// A graph, ready to run.
pub(crate) fn load(graph: &Graph, sources: &SourceMap) -> Result<Model, String> {
    let artifact = mlc::artifact(graph, sources, 0).map_err(|e| e.to_string())?;
    Model::load(artifact, Running { threads: 1, ..Running::default() }).map_err(|e| e.to_string())
}

pub(crate) fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
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
pub(crate) fn agree(models: &[Model; 2], first: &Graph) -> Result<(), String> {
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
