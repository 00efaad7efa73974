//! Which kernels a model becomes, what is in each, and why it ends.
//!
//! Invariant: there is a row for what each call of the plan does, in the order of the calls; `schedule` says what that is.

use super::groups::Groups;
use super::kernels::{Purpose, name};
use super::plan::{ScheduleError, schedule_reading};
use crate::graph::{ConstantData, Entry, Graph, NodeId, NodeKind, ValueId};
use crate::ops::Reads;
use crate::report::kernels::{KernelRow, Reason, Zeros};
use crate::types::Loc;
use mlc_codegen::base::{Dim, Slots, Storage};
use mlc_codegen::kernel::{EntryPlan, Step};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A row for each op or group that becomes kernels, and for each copy that one makes, in the order in which they run.
///
/// Weights are read to see how many zeros they have as [`schedule_reading`] does.
///
/// # Errors
/// The graph has no plan.
pub fn explain(graph: &Graph, most: Option<u64>) -> Result<Vec<KernelRow>, ScheduleError> {
    let scheduled = schedule_reading(graph, most)?;
    let mut zeros = vec![vec![]; scheduled.purposes.iter().map(Vec::len).sum()];
    scheduled.zeros.into_iter().for_each(|(call, found)| zeros[call].push(found));
    let mut all = Vec::new();
    for ((entry, plan), purposes) in graph.entries.iter().zip(&scheduled.plan.entries).zip(&scheduled.purposes) {
        let later = zeros.split_off(purposes.len());
        all.extend(rows(graph, entry, plan, purposes, std::mem::replace(&mut zeros, later)));
    }
    Ok(all)
}

fn rows(
    graph: &Graph,
    entry: &Entry,
    plan: &EntryPlan,
    purposes: &[Purpose],
    zeros: Vec<Vec<Zeros>>,
) -> Vec<KernelRow> {
    let outputs: Vec<ValueId> = entry.outputs.iter().map(|(_, value)| *value).collect();
    let groups = Groups::of(graph, &entry.body, &outputs);
    let readers = Readers::of(graph, &groups, entry);
    let mut explain = Explain { graph, groups, readers, slots: graph.slots.clone(), entry, rows: vec![] };
    let mut calls = Vec::new();
    flatten(&plan.steps, &Dim::from(1), &mut calls);
    assert_eq!(calls.len(), purposes.len(), "every call has a purpose");
    let mut before = None;
    for (((kernels, times), purpose), zeros) in calls.into_iter().zip(purposes).zip(zeros) {
        let call = Some((*purpose, times));
        match (explain.rows.last_mut(), &call) {
            (Some(row), call) if *call == before => row.kernels.extend(kernels),
            (_, Some((purpose, times))) => explain.call(*purpose, kernels, times),
            (_, None) => {}
        }
        explain.rows.last_mut().expect("it has a row").zeros.extend(zeros);
        before = call;
    }
    explain.rows
}

/// The kernels of each call, and how often it runs.
fn flatten(steps: &[Step], times: &Dim, calls: &mut Vec<(Vec<u32>, Dim)>) {
    for step in steps {
        match step {
            Step::Call(call) => {
                calls.push((call.variants.iter().map(|variant| variant.kernel.0).collect(), times.clone()));
            }
            Step::Loop { trips, body, .. } => flatten(body, &(times.clone() * trips), calls),
            Step::Branch { then, otherwise, .. } => {
                flatten(then, times, calls);
                flatten(otherwise, times, calls);
            }
            Step::Copy { .. } | Step::Check(_) | Step::Count { .. } => {}
        }
    }
}

/// What is done with a value.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// It must lie in memory, for this.
    Kept(Reason),
    /// An op reads it, through a view or not.
    Op(NodeId, Reads),
}

/// By value.
struct Readers(HashMap<ValueId, Vec<Reader>>);

impl Readers {
    fn of(graph: &Graph, groups: &Groups, entry: &Entry) -> Readers {
        let mut readers = Readers(HashMap::new());
        entry.outputs.iter().for_each(|(_, value)| readers.add(*value, Reader::Kept(Reason::Returned)));
        let nodes = graph.nodes_within(&entry.body);
        for node in &nodes {
            let data = &graph.nodes[*node];
            let (kept, values) = match data.kind {
                NodeKind::Set { .. } => (Reason::StateWrite, data.inputs.clone()),
                NodeKind::Repeat(_) | NodeKind::If { .. } => {
                    (Reason::ControlFlow, data.inputs.iter().copied().chain(data.kind.named()).collect())
                }
                _ => continue,
            };
            values.into_iter().for_each(|value| readers.add(value, Reader::Kept(kept)));
        }
        for node in nodes.into_iter().rev() {
            let Some(traits) = groups.traits.get(&node) else { continue };
            let data = &graph.nodes[node];
            let passed_on = match traits.alias || groups.looked_through.contains(&node) {
                true => readers.0.get(&data.outputs[0]).cloned(),
                false => None,
            };
            for (input, reads) in data.inputs.iter().zip(&traits.reads) {
                match &passed_on {
                    Some(behind) => behind.iter().for_each(|reader| readers.add(*input, moved(*reader))),
                    None if traits.alias || groups.looked_through.contains(&node) => {}
                    None => readers.add(*input, Reader::Op(node, *reads)),
                }
            }
        }
        readers
    }

    fn add(&mut self, value: ValueId, reader: Reader) {
        self.0.entry(value).or_default().push(reader);
    }
}

/// A reader behind a view: not at the place of its own result.
fn moved(reader: Reader) -> Reader {
    match reader {
        Reader::Op(node, reads) => Reader::Op(node, Reads { elementwise: false, ..reads }),
        kept => kept,
    }
}

struct Explain<'g> {
    graph: &'g Graph,
    groups: Groups,
    readers: Readers,
    slots: Slots,
    entry: &'g Entry,
    rows: Vec<KernelRow>,
}

impl Explain<'_> {
    fn call(&mut self, purpose: Purpose, kernels: Vec<u32>, times: &Dim) {
        let graph = self.graph;
        match purpose {
            Purpose::Copy(value) => {
                let node = self.groups.defined_by.get(&value).map(|node| &graph.nodes[*node]);
                let (what, loc) = node.map_or(("an input", self.entry.loc), |node| (node.path.as_str(), node.loc));
                let name = if what.is_empty() { "copy".to_owned() } else { format!("{what}: copy") };
                let bytes = self.bytes(value, None) * 2;
                self.row(loc, name, kernels, bytes, times);
            }
            Purpose::Node(node) => match &graph.nodes[node].kind {
                NodeKind::Set { state, .. } => {
                    let written = self.bytes(graph.nodes[node].inputs[0], None) * 2;
                    let name = format!("set {}", graph.states[*state].name);
                    self.row(graph.nodes[node].loc, name, kernels, written, times);
                }
                NodeKind::Fused { body, results, .. } => {
                    let is_op = |inner: &NodeId| matches!(graph.nodes[*inner].kind, NodeKind::Op { .. });
                    let members: Vec<NodeId> = body.nodes.iter().copied().filter(is_op).collect();
                    self.unit(node, &members, results, kernels, times);
                    let row = self.rows.last_mut().expect("it was just added");
                    row.group = graph.groups().iter().position(|group| *group == node);
                }
                _ => self.unit(node, &[node], &graph.nodes[node].outputs, kernels, times),
            },
        }
    }

    fn unit(&mut self, node: NodeId, members: &[NodeId], results: &[ValueId], kernels: Vec<u32>, times: &Dim) {
        let graph = self.graph;
        let own: HashSet<ValueId> = members.iter().flat_map(|member| &graph.nodes[*member].outputs).copied().collect();
        let (mut bytes, mut read, mut views) = (Dim::from(0), HashSet::new(), vec![]);
        for member in members {
            let inputs = graph.nodes[*member].inputs.iter().enumerate();
            for (i, input) in
                inputs.filter(|(_, input)| !own.contains(*input)).filter(|(_, input)| read.insert(**input))
            {
                bytes = bytes + self.bytes(*input, Some((*member, i)));
                self.views(*input, &mut views);
            }
        }
        for result in results {
            bytes = bytes + self.bytes(*result, None);
        }
        self.row(graph.nodes[node].loc, name(graph, node), kernels, bytes, times);
        let ends: BTreeSet<Reason> = results.iter().filter_map(|result| self.end(*result, members)).collect();
        let row = self.rows.last_mut().expect("it was just added");
        row.ops = members.iter().filter_map(|member| op(graph, *member)).collect();
        (row.ends, row.views) = (ends.into_iter().collect(), views);
    }

    fn row(&mut self, loc: Loc, kernel: String, kernels: Vec<u32>, bytes: Dim, times: &Dim) {
        let row = KernelRow {
            entry: self.entry.name.clone(),
            kernel,
            loc,
            kernels,
            group: None,
            ops: vec![],
            views: vec![],
            calls: self.slots.show(times),
            bytes: self.slots.show(&bytes),
            fixed_bytes: bytes.as_constant(),
            zeros: vec![],
            ends: vec![],
        };
        self.rows.push(row);
    }

    /// The views between a value and memory.
    fn views(&self, value: ValueId, found: &mut Vec<&'static str>) {
        let free = |node: &&NodeId| {
            self.groups.looked_through.contains(node) || self.groups.traits.get(node).is_some_and(|traits| traits.alias)
        };
        if let Some(node) = self.groups.defined_by.get(&value).filter(free) {
            found.extend(op(self.graph, *node));
            self.graph.nodes[*node].inputs.iter().for_each(|input| self.views(*input, found));
        }
    }

    /// Bytes of a value as it is kept; of an input that is gathered from, no more than are picked.
    fn bytes(&mut self, value: ValueId, read: Option<(NodeId, usize)>) -> Dim {
        let ty = self.graph.ty(value);
        let mut elements = ty.elements();
        let mut storage = Storage::Plain(ty.dtype);
        let node = self.groups.defined_by.get(&value).map(|node| &self.graph.nodes[*node].kind);
        if let Some(NodeKind::Constant { members, .. }) = node {
            let constant = &self.graph.constants[members[0]];
            storage = constant.storage;
            if ty.rank() == 0 && matches!(constant.data, ConstantData::Tensor(_)) {
                return Dim::from(0);
            }
        }
        if let Some((reader, input)) = read
            && let Some(traits) = self.groups.traits.get(&reader).filter(|traits| traits.point)
            && !traits.reads[input].elementwise
        {
            let result = self.graph.ty(self.graph.nodes[reader].outputs[0]).elements();
            let picked = result * traits.reads[input].places as i64;
            elements = self.slots.min(&elements, &picked);
        }
        match storage {
            Storage::Plain(dtype) => self.slots.ceil_div(&(elements * i64::from(dtype.bits())), 8),
            Storage::Interleaved(rows) => self.slots.ceil_div(&(elements * rows.packing.bytes()), 32),
            Storage::Sparse(sparse) => Dim::from(sparse.bytes()),
            Storage::Packed(packing) => self.slots.ceil_div(&(elements * packing.bytes()), packing.elements()),
        }
    }

    /// Why a result of a unit is not consumed in it; `None` when nothing reads it.
    fn end(&self, result: ValueId, members: &[NodeId]) -> Option<Reason> {
        let readers = self.readers.0.get(&result)?;
        let outside = |reader: &&Reader| !matches!(reader, Reader::Op(node, _) if members.contains(node));
        let outside: Vec<&Reader> = readers.iter().filter(outside).collect();
        if let Some(Reader::Kept(reason)) = outside.iter().find(|reader| matches!(reader, Reader::Kept(_))) {
            return Some(*reason);
        }
        match outside.as_slice() {
            [] => None,
            [Reader::Op(reader, reads)] => Some(self.between(members, *reader, *reads)),
            _ => Some(Reason::MultiUse),
        }
    }

    /// Why a unit and the one op that reads its result are two kernels.
    fn between(&self, members: &[NodeId], reader: NodeId, reads: Reads) -> Reason {
        let traits = |node: &NodeId| &self.groups.traits[node];
        let skeleton = members.iter().map(traits).find(|member| !member.point && !member.alias);
        let costly = members.iter().any(|member| traits(member).costly);
        let after = traits(&reader);
        match skeleton {
            Some(own) if own.contracts && after.contracts => Reason::TwoContractions,
            Some(_) if !after.point => Reason::TwoReductions,
            Some(own) if !own.anchor => Reason::SeveralKernels,
            Some(_) if !reads.elementwise => Reason::ReductionThenBroadcast,
            _ if reads.guarded => Reason::GuardedRead,
            None if after.contracts || reads.places > 1 => Reason::Recompute,
            None if !after.point && !after.anchor || costly && !reads.elementwise => Reason::Recompute,
            _ => Reason::Ungrouped,
        }
    }
}

fn op(graph: &Graph, node: NodeId) -> Option<&'static str> {
    match graph.nodes[node].kind {
        NodeKind::Op { op, .. } => Some(op.name()),
        _ => None,
    }
}
