//! What runs a model: a session on this machine, or the reference evaluator. Verbs do not ask which.

use super::failure::Failure;
use super::inputs::Inputs;
use crate::diag::SourceMap;
use crate::graph::{Graph, ValueId};
use crate::reference::{Reference, Refusal};
use anyhow::Result;
use clap::ValueEnum;
use mlc_codegen::base::{Slot, Slots};
use mlc_codegen::kernel::Port;
use mlc_runtime::session::{Model, RunError, Session};
use mlc_runtime::tensor::Tensor;
use std::sync::Arc;

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Device {
    /// Machine code for this processor.
    #[default]
    Cpu,
    /// A CUDA device.
    Cuda,
    /// The definition of every op, in plain loops: slow, and what other devices are compared with.
    Reference,
}

/// A line of calls.
pub(super) enum Runner {
    /// On this processor.
    Cpu(Box<Session>, Model),
    /// By definition; the graph and its text are there for names and places.
    Reference(Box<Reference>, Arc<Graph>, Arc<SourceMap>),
}

/// What an entry takes and gives.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    /// The entry.
    pub(super) entry: String,
    /// Tensors in.
    pub(super) inputs: Vec<Port>,
    /// `size` arguments.
    pub(super) sizes: Vec<(String, Slot)>,
    /// Tensors out.
    pub(super) outputs: Vec<Port>,
    /// What the dims are made of.
    pub(super) slots: Slots,
}

impl Runner {
    /// A session on a model.
    pub(super) fn cpu(model: Model) -> Runner {
        Runner::Cpu(Box::new(model.session()), model)
    }

    /// The reference evaluator of a graph, where no tensor takes more memory.
    pub(super) fn reference(graph: Arc<Graph>, sources: Arc<SourceMap>, max_memory: u64) -> Runner {
        Runner::Reference(Box::new(Reference::new(graph.clone()).limited(max_memory)), graph, sources)
    }

    /// What an entry takes and gives; `None` stands for the first.
    ///
    /// # Errors
    /// There is no such entry.
    pub(super) fn interface(&self, entry: Option<&str>) -> Result<Interface, Failure> {
        let found = match self {
            Runner::Cpu(_, model) => of_plan(model, entry),
            Runner::Reference(_, graph, _) => of_graph(graph, entry),
        };
        found.ok_or_else(|| {
            let names: Vec<String> = self.entries().iter().map(|name| format!("`{name}`")).collect();
            Failure::new(
                "MDL0707",
                format!("there is no entry `{}`; entries are {}", entry.unwrap_or(""), names.join(", ")),
            )
        })
    }

    fn entries(&self) -> Vec<&str> {
        match self {
            Runner::Cpu(_, model) => model.artifact().plan.entries.iter().map(|entry| entry.name.as_str()).collect(),
            Runner::Reference(_, graph, _) => graph.entries.iter().map(|entry| entry.name.as_str()).collect(),
        }
    }

    /// Calls an entry.
    pub(super) fn run(&mut self, entry: &str, given: &Inputs) -> Result<Vec<(String, Tensor)>, RunError> {
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
    pub(super) fn reset(&mut self) {
        match self {
            Runner::Cpu(session, _) => session.reset(),
            Runner::Reference(reference, ..) => reference.reset(),
        }
    }
}

/// A refusal of the reference in the form of a session's.
pub(super) fn placed(refusal: Refusal, sources: &SourceMap) -> RunError {
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
pub(super) fn of_graph(graph: &Graph, name: Option<&str>) -> Option<Interface> {
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
