//! Folders in the layout of ONNX's own test data: a model, and sets of inputs and outputs.
//!
//! Invariant: a case passes only if every output of every set has the type, the shape and the numbers that the data say;
//! what was not run is counted, never dropped.

mod groups;
mod record;

pub use groups::Group;
pub use record::{line, page, recorded};

use anyhow::{Context, Result, bail, ensure};
use mlc::conversion;
use mlc::diag::{Severity, SourceMap};
use mlc::frontend::{self, Options};
use mlc::import::onnx::{ImportError, Survey, read_tensor, survey};
use mlc_codegen::base::DType;
use mlc_runtime::session::{self, Model};
use mlc_runtime::tensor::Tensor;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How far a float of 32 bits or more may be from the data's: the tolerance of ONNX's own runner.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;
/// How many times that a narrower float may be, whose own steps are 1e-3 and 8e-3 apart.
const NARROW: f64 = 10.0;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All outputs are right.
    Passed,
    /// It is imported, and something is wrong.
    Failed(String),
    /// It is not imported, and this is why.
    Unsupported(String),
}

/// One folder.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The operators of its model, each once.
    pub operators: Vec<String>,
    /// Which figure it counts for.
    pub group: Group,
    /// What became of it.
    pub outcome: Outcome,
}

/// The folders below `folder` that hold a model, or the folder itself.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join("model.onnx").exists() {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = std::fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.join("model.onnx").exists());
    found.sort();
    Ok(found)
}

/// Runs the case of a folder; a panic is a failure of it.
pub fn run(folder: &Path) -> Case {
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let model = folder.join("model.onnx");
    let surveyed = std::fs::read(&model).ok().and_then(|bytes| survey(&bytes).ok());
    let survey = surveyed.unwrap_or_default();
    let group = Group::of(&name, &survey);
    let tried = catch_unwind(AssertUnwindSafe(|| attempt(folder, &model)));
    let outcome = match tried {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(error)) => match error.downcast_ref::<ImportError>() {
            Some(refused) => Outcome::Unsupported(refused.to_string()),
            None if error.downcast_ref::<Foreign>().is_some() => Outcome::Unsupported(format!("{error:#}")),
            None => Outcome::Failed(format!("{error:#}")),
        },
        Err(_) => Outcome::Failed("a panic".into()),
    };
    Case { name, operators: survey.operators, group, outcome }
}

/// A type of data that mlc lacks.
#[derive(Debug, thiserror::Error)]
#[error("its data are no tensors of a type that mlc has")]
struct Foreign;

fn attempt(folder: &Path, model: &Path) -> Result<()> {
    let Survey { inputs, outputs, .. } = survey(&std::fs::read(model)?)?;
    conversion_refusal(model)?;
    for set in 0.. {
        let set = folder.join(format!("test_data_set_{set}"));
        if !set.exists() {
            break;
        }
        let given = read(&set, "input", &inputs)?;
        let wanted = read(&set, "output", &outputs)?;
        let got = call(model, &given)?;
        ensure!(got.len() == wanted.len(), "it gives {} outputs, the data have {}", got.len(), wanted.len());
        for (name, wanted) in &wanted {
            let found = got.iter().find(|(found, _)| found == name).with_context(|| format!("no output `{name}`"))?;
            compare(name, &found.1, wanted)?;
        }
    }
    Ok(())
}

/// Operators that are not in the table are told before the data are looked at.
fn conversion_refusal(model: &Path) -> Result<()> {
    match conversion::onnx(model, &[]) {
        Err(refused @ ImportError::Operators(_)) => Err(refused.into()),
        _ => Ok(()),
    }
}

fn read(set: &Path, kind: &str, ports: &[(String, Option<DType>)]) -> Result<Vec<(String, Tensor)>> {
    let mut tensors = vec![];
    for (i, (name, _)) in ports.iter().enumerate() {
        let path = set.join(format!("{kind}_{i}.pb"));
        if !path.exists() {
            break;
        }
        let (_, tensor) = read_tensor(&std::fs::read(&path)?).map_err(|_| Foreign)?;
        tensors.push((name.clone(), tensor));
    }
    Ok(tensors)
}

/// Imports with what shapes need of the inputs, compiles, and calls.
fn call(path: &Path, given: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
    let mut bind: Vec<(String, Tensor)> = vec![];
    let made = loop {
        match conversion::onnx(path, &bind) {
            Err(ImportError::Unbound(names)) => {
                let found: Option<Vec<_>> =
                    names.iter().map(|name| given.iter().find(|(given, _)| given == name).cloned()).collect();
                bind.extend(found.ok_or(ImportError::Unbound(names))?);
            }
            made => break made?,
        }
    };
    answers(made.text, made.tensors, given)
}

/// The outputs of the model of a text that reads its weights from `tensors`; it takes what it needs of the inputs.
pub fn answers(
    text: String,
    tensors: Vec<(String, Tensor)>,
    given: &[(String, Tensor)],
) -> Result<Vec<(String, Tensor)>> {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", text.clone());
    let checked = frontend::check(&mut sources, file, &Options { given: Some(tensors), ..Options::default() });
    let errors: Vec<String> = (checked.diagnostics.iter())
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| diagnostic.message.clone())
        .collect();
    let Some(graph) = checked.graph else { bail!("its text does not check: {}\n{text}", errors.join("; ")) };
    let artifact = mlc::artifact(&graph, &sources, file)?;
    let model = Model::load(artifact, session::Options { threads: 1, ..session::Options::default() })?;
    let takes = model.artifact().plan.entries[0].inputs.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
    let inputs: Vec<(&str, &Tensor)> =
        given.iter().filter(|(name, _)| takes.contains(name)).map(|(name, t)| (name.as_str(), t)).collect();
    Ok(model.session().run(None, &inputs, &[])?)
}

fn compare(name: &str, got: &Tensor, wanted: &Tensor) -> Result<()> {
    ensure!(got.dtype() == wanted.dtype(), "`{name}` is {}, the data say {}", got.dtype(), wanted.dtype());
    ensure!(got.shape() == wanted.shape(), "`{name}` is {:?}, the data say {:?}", got.shape(), wanted.shape());
    let times = if got.dtype().bits() < 32 { NARROW } else { 1.0 };
    for i in 0..got.len() {
        let (a, b) = (got.get(i), wanted.get(i));
        let near = match got.dtype().is_float() {
            true => {
                let (a, b) = (a.as_f64(), b.as_f64());
                a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= times * (ABSOLUTE + RELATIVE * b.abs())
            }
            false => a.as_i64() == b.as_i64(),
        };
        ensure!(near, "`{name}` is {a} at {i}, the data say {b}");
    }
    Ok(())
}

/// Passed, failed and unsupported cases.
pub type Counts = (usize, usize, usize);

/// Counts of cases by the operators in their models.
pub fn by_operator(cases: &[Case]) -> BTreeMap<&str, Counts> {
    let mut table: BTreeMap<&str, Counts> = BTreeMap::new();
    for case in cases {
        for operator in &case.operators {
            add(table.entry(operator).or_default(), &case.outcome);
        }
    }
    table
}

/// Counts of all.
pub fn totals(cases: &[Case]) -> Counts {
    let mut counts = Counts::default();
    cases.iter().for_each(|case| add(&mut counts, &case.outcome));
    counts
}

fn add(counts: &mut Counts, outcome: &Outcome) {
    match outcome {
        Outcome::Passed => counts.0 += 1,
        Outcome::Failed(_) => counts.1 += 1,
        Outcome::Unsupported(_) => counts.2 += 1,
    }
}
