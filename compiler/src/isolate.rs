//! One op or fused group as a model of its own, run as machine code on what the reference computed for it.
//!
//! Invariant: an isolated unit sees the very tensors and sizes that the reference gave it, so that a difference is its own.

use crate::diag::SourceMap;
use crate::graph::{Block, Entry, Graph, Input, NodeId, NodeKind, ValueId};
use crate::ops::Tolerance;
use crate::pipeline::{BuildError, artifact};
use crate::reference::Unit;
use mlc_codegen::base::{DType, Slot, SlotDef, Slots};
use mlc_runtime::session::{JitError, Model, Options, RunError, Session};
use mlc_runtime::tensor::Tensor;
use std::collections::HashMap;
use std::sync::Arc;

/// Why a unit did not run by itself.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// It has no plan, or what it reads is gone.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It has no machine code.
    #[error(transparent)]
    Jit(#[from] JitError),
    /// Its call was refused.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// How far two tensors are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The greatest absolute difference; infinite where one is NaN and the other is not.
    pub absolute: f64,
    /// The greatest difference of its magnitude, over elements that are not 0.
    pub relative: f64,
    /// Where the greatest excess over the tolerance is, in row-major order.
    pub at: usize,
    /// What was found there.
    pub found: f64,
    /// What the reference has there.
    pub expected: f64,
    /// Whether every element is within the tolerance.
    pub within: bool,
}

/// Compares tensors of one shape. The absolute part of the tolerance counts in units of the greatest magnitude where that
/// is more than 1, for sums of large terms cancel; narrow floats may differ in their last bit on top.
pub fn difference(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Difference {
    let greatest = expected.iter().map(|x| x.as_f64().abs()).filter(|x| x.is_finite()).fold(1.0, f64::max);
    let unit = match found.dtype() {
        DType::F16 => 1.0 / 1024.0,
        DType::BF16 => 1.0 / 128.0,
        _ => 0.0,
    };
    let mut worst = Difference { absolute: 0.0, relative: 0.0, at: 0, found: 0.0, expected: 0.0, within: true };
    let mut excess = f64::NEG_INFINITY;
    for (at, (a, b)) in found.iter().zip(expected.iter()).enumerate() {
        let (a, b) = (a.as_f64(), b.as_f64());
        let apart = match a == b || a.is_nan() && b.is_nan() {
            true => 0.0,
            false if (a - b).is_nan() => f64::INFINITY,
            false => (a - b).abs(),
        };
        let allowed = tolerance.absolute * greatest + (tolerance.relative + unit) * b.abs();
        worst.absolute = worst.absolute.max(apart);
        if b != 0.0 && apart > 0.0 {
            worst.relative = worst.relative.max(apart / b.abs());
        }
        if apart - allowed > excess || at == 0 {
            excess = if allowed.is_finite() { apart - allowed } else { 0.0 };
            (worst.at, worst.found, worst.expected) = (at, a, b);
        }
        worst.within &= apart == 0.0 || apart <= allowed && allowed.is_finite();
    }
    worst
}

/// Runs units by themselves; each is compiled once.
pub struct Isolate {
    graph: Graph,
    sources: Arc<SourceMap>,
    sessions: HashMap<NodeId, (Session, Entry)>,
    options: Options,
}

impl Isolate {
    /// For units of a graph, whose places are in these sources.
    pub fn new(graph: &Graph, sources: Arc<SourceMap>, options: Options) -> Isolate {
        let mut graph = graph.clone();
        graph.slots = given(&graph.slots);
        graph.states.clear();
        graph.entries.clear();
        Isolate { graph, sources, sessions: HashMap::new(), options }
    }

    /// What machine code makes of a unit's inputs, beside what the reference made.
    ///
    /// # Errors
    /// The unit does not run by itself.
    pub fn run(&mut self, unit: &Unit) -> Result<Vec<(ValueId, Tensor)>, IsolateError> {
        if !self.sessions.contains_key(&unit.node) {
            let entry = self.entry(unit.node);
            self.graph.entries = vec![entry.clone()];
            let built = artifact(&self.graph, &self.sources, 0)?;
            self.sessions.insert(unit.node, (Model::load(built, self.options)?.session(), entry));
        }
        let (session, entry) = self.sessions.get_mut(&unit.node).expect("it was just made");
        let tensors = entry.inputs.iter().map(|input| (input.name.as_str(), unit.value(input.value)));
        let tensors: Vec<(&str, &Tensor)> =
            tensors.map(|(name, x)| (name, x.expect("the reference holds what a unit reads"))).collect();
        let sizes: Vec<(&str, i64)> =
            entry.sizes.iter().map(|(name, slot)| (name.as_str(), unit.sizes[slot.0 as usize])).collect();
        let outputs = session.run(None, &tensors, &sizes)?;
        Ok(entry.outputs.iter().map(|(_, value)| *value).zip(outputs.into_iter().map(|(_, x)| x)).collect())
    }

    /// The node alone: what it reads are inputs, every slot that is not derived is a size.
    fn entry(&mut self, node: NodeId) -> Entry {
        if let NodeKind::Fused { body, .. } = &self.graph.nodes[node].kind {
            let ops = body.nodes.iter().copied().filter(|n| matches!(self.graph.nodes[*n].kind, NodeKind::Op { .. }));
            let ops: Vec<NodeId> = ops.collect();
            if let NodeKind::Fused { body, .. } = &mut self.graph.nodes[node].kind {
                body.nodes = ops;
            }
        }
        let graph = &self.graph;
        let data = &graph.nodes[node];
        let (members, outputs) = match &data.kind {
            NodeKind::Fused { body, results, .. } => (body.nodes.clone(), results.clone()),
            _ => (vec![node], data.outputs.clone()),
        };
        let made: Vec<ValueId> = members.iter().flat_map(|n| &graph.nodes[*n].outputs).copied().collect();
        let mut read: Vec<ValueId> = members.iter().flat_map(|n| &graph.nodes[*n].inputs).copied().collect();
        read.sort();
        read.dedup();
        read.retain(|value| !made.contains(value));
        let sizes = graph.slots.iter().filter(|(_, def)| matches!(def, SlotDef::Given { .. }));
        Entry {
            name: "unit".into(),
            doc: String::new(),
            inputs: read.into_iter().map(|value| Input { name: value.to_string(), value }).collect(),
            sizes: sizes.map(|(slot, _)| (size_name(slot), slot)).collect(),
            guards: vec![],
            body: Block { nodes: vec![node] },
            outputs: outputs.into_iter().map(|value| (value.to_string(), value)).collect(),
            loc: data.loc,
        }
    }
}

fn size_name(slot: Slot) -> String {
    format!("s{}", slot.0)
}

/// Counters and counted dims are numbers like all others to a unit by itself.
fn given(slots: &Slots) -> Slots {
    let mut all = Slots::default();
    for (slot, def) in slots.iter() {
        all.add(match def {
            SlotDef::Counted { .. } | SlotDef::Counter { .. } => {
                SlotDef::Given { name: size_name(slot), lo: 0, hi: i64::MAX, size: true }
            }
            other => other.clone(),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::difference;
    use crate::ops::Tolerance;
    use mlc_runtime::tensor::Tensor;

    #[test]
    fn the_worst_element_is_named() {
        let floats = |x: [f32; 3]| Tensor::from_f32([3], x).expect("three numbers");
        let tolerance = Tolerance { absolute: 0.1, relative: 0.0 };
        let far = difference(&floats([1.0, 2.5, f32::NAN]), &floats([1.05, 2.0, f32::NAN]), tolerance);
        assert_eq!((far.at, far.found, far.expected, far.within), (1, 2.5, 2.0, false));
        assert_eq!((far.absolute, far.relative), (0.5, 0.25));
        let near = difference(&floats([1.0, 2.0, 0.0]), &floats([1.05, 2.0, 0.0]), tolerance);
        assert!(near.within && near.absolute > 0.04);
        let lost = difference(&floats([f32::NAN, 0.0, 0.0]), &floats([0.0, 0.0, 0.0]), tolerance);
        assert!(!lost.within && lost.absolute == f64::INFINITY && lost.at == 0);
        let infinite = difference(&floats([1.0, 0.0, 0.0]), &floats([f32::INFINITY, 0.0, 0.0]), tolerance);
        assert!(!infinite.within && infinite.at == 0);
    }
}
