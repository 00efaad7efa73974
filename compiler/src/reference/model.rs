//! A graph that can be called: its constants, read once, and its states.

use super::bind::bind;
use super::walk::{Values, Walk};
use super::{Refusal, drops::drops};
use crate::graph::{ConstantData, ConstantId, Entry, Graph, NodeId, NodeKind, StateId, ValueId};
use crate::types::TensorType;
use cranelift_entity::SecondaryMap;
use mlc_codegen::base::Storage;
use mlc_runtime::session::{human, list};
use mlc_runtime::tensor::Tensor;
use std::sync::Arc;

/// A tensor with more bytes is refused before it is made.
const MOST_BYTES: i64 = 16 << 30;

/// A line of calls on a graph: a session without a backend.
pub struct Reference {
    graph: Arc<Graph>,
    constants: SecondaryMap<ConstantId, Option<Tensor>>,
    /// Each made by the first call after a reset that uses it, which fixes its symbolic dims.
    states: SecondaryMap<StateId, Option<Tensor>>,
    /// No tensor is larger.
    most_bytes: i64,
}

/// An op, or a fused group, that has just been computed. What it read and made can still be looked up.
pub struct Unit<'u> {
    /// The node.
    pub node: NodeId,
    /// The size block, counters included.
    pub sizes: &'u [i64],
    pub(super) values: &'u Values,
}

impl Unit<'_> {
    /// The tensor of a value that the unit reads or makes.
    pub fn value(&self, value: ValueId) -> Option<&Tensor> {
        self.values[value].as_ref()
    }
}

impl Reference {
    /// A line of calls with empty states. Constants are read when a call first needs them.
    pub fn new(graph: Arc<Graph>) -> Reference {
        Reference { graph, constants: SecondaryMap::new(), states: SecondaryMap::new(), most_bytes: MOST_BYTES }
    }

    /// The same, where no tensor takes more bytes than this.
    #[must_use]
    pub fn limited(self, bytes: u64) -> Reference {
        Reference { most_bytes: i64::try_from(bytes).unwrap_or(i64::MAX).min(MOST_BYTES), ..self }
    }

    /// Clears all states.
    pub fn reset(&mut self) {
        self.states.clear();
    }

    /// Evaluates an entry; `None` stands for the only or first one. Gives the outputs in order.
    ///
    /// # Errors
    /// What a session refuses: inputs that do not fit, sizes out of range, indices outside their axis, tensors too large.
    pub fn run(
        &mut self,
        entry: Option<&str>,
        inputs: &[(&str, &Tensor)],
        sizes: &[(&str, i64)],
    ) -> Result<Vec<(String, Tensor)>, Refusal> {
        self.run_watched(entry, inputs, sizes, &mut |_| Ok(()))
    }

    /// As [`Reference::run`]; `watch` is called after every op and fused group, and may end the call.
    ///
    /// # Errors
    /// As [`Reference::run`], and what `watch` refuses.
    pub fn run_watched(
        &mut self,
        entry: Option<&str>,
        inputs: &[(&str, &Tensor)],
        sizes: &[(&str, i64)],
        watch: &mut dyn FnMut(&Unit) -> Result<(), Refusal>,
    ) -> Result<Vec<(String, Tensor)>, Refusal> {
        let graph = self.graph.clone();
        let entry = find(&graph, entry)?;
        let (tensors, block) = bind(&graph, entry, inputs, sizes)?;
        let states = self.states_for(entry, &block)?;
        let mut walk = Walk {
            graph: &graph,
            constants: &mut self.constants,
            states,
            values: SecondaryMap::new(),
            sizes: block,
            most_bytes: self.most_bytes,
            watch,
        };
        for (input, tensor) in entry.inputs.iter().zip(tensors) {
            walk.values[input.value] = Some(tensor.clone());
        }
        let outputs: Vec<ValueId> = entry.outputs.iter().map(|(_, value)| *value).collect();
        walk.block(&entry.body, &drops(&graph, &entry.body, &outputs))?;
        let result = entry.outputs.iter().map(|(name, value)| (name.clone(), walk.value(*value).clone())).collect();
        for (id, state) in graph.states.keys().zip(walk.states) {
            self.states[id] = state;
        }
        Ok(result)
    }

    /// The states as a call of `entry` finds them: those that it uses have the dims that its sizes say.
    fn states_for(&self, entry: &Entry, block: &[i64]) -> Result<Vec<Option<Tensor>>, Refusal> {
        let graph = &self.graph;
        let nodes = graph.nodes_within(&entry.body);
        let used = |id: StateId| {
            nodes.iter().any(|node| match graph.nodes[*node].kind {
                NodeKind::Read(state) | NodeKind::Set { state, .. } => state == id,
                _ => false,
            })
        };
        let found = graph.states.iter().map(|(id, state)| {
            let before = self.states[id].clone();
            if !used(id) {
                return Ok(before);
            }
            let shape = shape(graph, &state.ty, block, self.most_bytes)?;
            match before {
                None => Tensor::zeros(state.ty.dtype, shape).map(Some).map_err(|e| ("MDL0704", e.to_string())),
                Some(tensor) if tensor.shape() == shape => Ok(Some(tensor)),
                Some(tensor) => {
                    let (name, fixed) = (&state.name, tensor.shape());
                    let message = format!("state `{name}` has shape {fixed:?} since the first call after a reset");
                    Err(("MDL0706", format!("{message}, and this call takes {shape:?}; reset the session first")))
                }
            }
            .map_err(|(code, message)| Refusal::new(code, message, state.loc))
        });
        found.collect()
    }
}

fn find<'g>(graph: &'g Graph, name: Option<&str>) -> Result<&'g Entry, Refusal> {
    let found = match name {
        None => graph.entries.first(),
        Some(name) => graph.entries.iter().find(|entry| entry.name == name),
    };
    found.ok_or_else(|| {
        let names = list(graph.entries.iter().map(|entry| entry.name.as_str()));
        let message = format!("there is no entry `{}`; entries are {names}", name.unwrap_or(""));
        Refusal::new("MDL0707", message, None)
    })
}

/// The shape of a type at a size block, when a tensor of it may be made.
pub(super) fn shape(graph: &Graph, ty: &TensorType, block: &[i64], most: i64) -> Result<Vec<usize>, Refusal> {
    let at = || {
        let dims = ty.shape_at(block)?;
        let elements = dims.iter().try_fold(1i64, |n, dim| n.checked_mul(*dim))?;
        let bytes = ty.dtype.bytes_for(elements)?;
        let shape: Vec<usize> = dims.into_iter().map(|dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
        (bytes <= most).then_some(shape)
    };
    at().ok_or_else(|| {
        let allowed = human(most.max(0) as u64);
        let message = format!("{} needs more than the {allowed} allowed; raise --max-memory", ty.show(&graph.slots));
        Refusal::new("MDL0704", message, None)
    })
}

/// A constant as the model reads it: decoded from its storage into its dtype.
pub(super) fn read(graph: &Graph, id: ConstantId) -> Result<Tensor, Refusal> {
    let constant = &graph.constants[id];
    let tensor = match &constant.data {
        ConstantData::Tensor(tensor) => tensor.clone(),
        ConstantData::Weight(key) => {
            let missing = || Refusal::new("MDL0401", format!("no tensor named `{key}`"), constant.loc);
            let found = graph.weights.find(key).ok().flatten().ok_or_else(missing)?;
            found.file.read(found.name).map_err(|error| Refusal::new("MDL0403", error.to_string(), constant.loc))?
        }
    };
    let kept = match constant.storage {
        Storage::Plain(dtype) => tensor.cast(dtype),
        Storage::Packed(_) | Storage::Interleaved(_) | Storage::Sparse(_) => Ok(tensor),
    };
    kept.and_then(|kept| kept.cast(constant.ty.dtype))
        .map_err(|error| Refusal::new("MDL0704", error.to_string(), constant.loc))
}
