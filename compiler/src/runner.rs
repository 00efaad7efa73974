//! What runs a model: a session on this machine, or the reference evaluator. Verbs do not ask which.

use crate::diag::SourceMap;
use crate::graph::{Graph, ValueId};
use crate::reference::{Reference, Refusal};
use mlc_codegen::base::{Slot, Slots};
use mlc_codegen::kernel::Port;
use mlc_runtime::session::{Model, RunError, Session, list};
use mlc_runtime::tensor::Tensor;
use std::sync::Arc;

/// What a call is made with.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// By name, in the order of the entry.
    pub tensors: Vec<(String, Tensor)>,
    /// By name, in the order of the entry.
    pub sizes: Vec<(String, i64)>,
}

/// An entry that the model does not have.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no entry `{wanted}`; entries are {}", list(known.iter().map(String::as_str)))]
pub struct NoEntry {
    /// What was asked for.
    pub wanted: String,
    /// Those of the model.
    pub known: Vec<String>,
}

/// A line of calls.
pub enum Runner {
    /// On this processor.
    Cpu(Box<Session>, Model),
    /// By definition; the graph and its text are there for names and places.
    Reference(Box<Reference>, Arc<Graph>, Arc<SourceMap>),
}

/// What an entry takes and gives.
#[derive(Clone, Debug)]
pub struct Interface {
    /// The entry.
    pub entry: String,
    /// Tensors in.
    pub inputs: Vec<Port>,
    /// `size` arguments.
    pub sizes: Vec<(String, Slot)>,
    /// Tensors out.
    pub outputs: Vec<Port>,
    /// What the dims are made of.
    pub slots: Slots,
}

impl Runner {
    /// A session on a model.
    pub fn cpu(model: Model) -> Runner {
        Runner::Cpu(Box::new(model.session()), model)
    }

    /// The reference evaluator of a graph, where no tensor takes more memory.
    pub fn reference(graph: Arc<Graph>, sources: Arc<SourceMap>, max_memory: u64) -> Runner {
        Runner::Reference(Box::new(Reference::new(graph.clone()).limited(max_memory)), graph, sources)
    }

    /// What an entry takes and gives; `None` stands for the first.
    ///
    /// # Errors
    /// There is no such entry.
    pub fn interface(&self, entry: Option<&str>) -> Result<Interface, NoEntry> {
        let found = match self {
            Runner::Cpu(_, model) => of_plan(model, entry),
            Runner::Reference(_, graph, _) => of_graph(graph, entry),
        };
        let known = || self.entries().into_iter().map(str::to_owned).collect();
        found.ok_or_else(|| NoEntry { wanted: entry.unwrap_or("").to_owned(), known: known() })
    }

    fn entries(&self) -> Vec<&str> {
        match self {
            Runner::Cpu(_, model) => model.artifact().plan.entries.iter().map(|entry| entry.name.as_str()).collect(),
            Runner::Reference(_, graph, _) => graph.entries.iter().map(|entry| entry.name.as_str()).collect(),
        }
    }

    /// Calls an entry.
    pub fn run(&mut self, entry: &str, given: &Inputs) -> Result<Vec<(String, Tensor)>, RunError> {
        let inputs: Vec<(&str, &Tensor)> = given.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let sizes: Vec<(&str, i64)> = given.sizes.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        match self {
            Runner::Cpu(session, _) => session.run(Some(entry), &inputs, &sizes),
            Runner::Reference(reference, _, sources) => {
                reference.run(Some(entry), &inputs, &sizes).map_err(|refusal| placed(refusal, sources))
            }
        }
    }

    /// Clears all states.
    pub fn reset(&mut self) {
        match self {
            Runner::Cpu(session, _) => session.reset(),
            Runner::Reference(reference, ..) => reference.reset(),
        }
    }
}

/// A refusal of the reference in the form of a session's.
pub fn placed(refusal: Refusal, sources: &SourceMap) -> RunError {
    let Refusal { code, message, loc } = refusal;
    RunError { code, message, source: loc.map(|loc| crate::place(loc, sources)) }
}

fn of_plan(model: &Model, name: Option<&str>) -> Option<Interface> {
    let plan = &model.artifact().plan;
    let entry = match name {
        None => plan.entries.first(),
        Some(name) => plan.entries.iter().find(|entry| entry.name == name),
    }?;
    Some(Interface {
        entry: entry.name.clone(),
        inputs: entry.inputs.clone(),
        sizes: entry.sizes.clone(),
        outputs: entry.outputs.clone(),
        slots: plan.slots.clone(),
    })
}

/// What an entry of a graph takes and gives.
pub fn of_graph(graph: &Graph, name: Option<&str>) -> Option<Interface> {
    let entry = match name {
        None => graph.entries.first(),
        Some(name) => graph.entries.iter().find(|entry| entry.name == name),
    }?;
    let port = |name: &str, value: ValueId| {
        let ty = graph.ty(value);
        Port { name: name.into(), dtype: ty.dtype, dims: ty.dims.clone(), source: 0 }
    };
    Some(Interface {
        entry: entry.name.clone(),
        inputs: entry.inputs.iter().map(|input| port(&input.name, input.value)).collect(),
        sizes: entry.sizes.clone(),
        outputs: entry.outputs.iter().map(|(name, value)| port(name, *value)).collect(),
        slots: graph.slots.clone(),
    })
}
