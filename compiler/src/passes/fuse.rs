//! `fuse`: joins nodes into groups that become one kernel.
//!
//! A group has at most one *anchor*, an op with a skeleton of its own (a reduction, a contraction, attention); the other
//! members are expressions of single elements. Before the anchor they are computed where it reads, after it where it
//! stores. What a group gives to others has one shape, and nothing outside needs it before the last member runs.
//! Invariant: numbers change only where a narrow float is not rounded between two members.

use crate::graph::{Block, Graph, Node, NodeId, NodeKind, ValueId};
use crate::ops::{Traits, traits_of};
use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) const DOC: &str = "\
Joins neighbours into one kernel. A group is an elementwise chain, what feeds a reduction, or what follows a contraction, \
a reduction or attention; it gives values of one shape.";

/// A group has no more members, so that its kernel compiles fast and keeps its values in registers.
const MEMBERS: usize = 32;

/// Writes the groups of every entry; gives how many there are.
pub(super) fn run(graph: &mut Graph) -> usize {
    let plan: Vec<Vec<Found>> = (0..graph.entries.len()).map(|entry| find(graph, entry)).collect();
    let mut written = 0;
    for (entry, found) in plan.into_iter().enumerate() {
        let groups = found.into_iter().filter(|group| group.members.len() > 1);
        let by_last: HashMap<NodeId, Found> = groups.map(|g| (*g.members.last().expect("two at least"), g)).collect();
        let inside: HashSet<NodeId> = by_last.values().flat_map(|group| group.members.iter().copied()).collect();
        written += by_last.len();
        let body = std::mem::take(&mut graph.entries[entry].body);
        graph.entries[entry].body = rebuilt(graph, body, &by_last, &inside);
    }
    written
}

/// A group that was found.
struct Found {
    /// In order.
    members: Vec<NodeId>,
    anchor: Option<NodeId>,
    /// Used outside.
    results: Vec<ValueId>,
}

fn find(graph: &Graph, entry: usize) -> Vec<Found> {
    let entry = &graph.entries[entry];
    let outputs: Vec<ValueId> = entry.outputs.iter().map(|(_, value)| *value).collect();
    let mut fuser = Fuser { graph, found: vec![], of_state: HashSet::new() };
    fuser.block(&entry.body, &outputs);
    fuser.found
}

struct Fuser<'g> {
    graph: &'g Graph,
    found: Vec<Found>,
    /// Values that are a state as it was read, or views of one.
    of_state: HashSet<ValueId>,
}

/// Nodes of one block that are joined so far.
#[derive(Clone)]
struct Group {
    /// Places in the block, ascending.
    members: Vec<usize>,
    anchor: Option<usize>,
    /// Members' values that are used outside.
    results: Vec<ValueId>,
    /// The first place outside that uses one of them; the last member stands before it.
    limit: usize,
    of_state: bool,
}

/// One block while its groups are found.
struct Scene<'g> {
    nodes: &'g [NodeId],
    traits: Vec<Option<Traits>>,
    /// The place where a value is made.
    made: HashMap<ValueId, usize>,
    /// Places that use a value, ascending; the block's length stands for what follows it.
    uses: HashMap<ValueId, Vec<usize>>,
    /// How many states are written before each place.
    sets: Vec<usize>,
    /// The group of each place.
    group_of: Vec<Option<usize>>,
    groups: BTreeMap<usize, Group>,
}

impl<'g> Fuser<'g> {
    fn block(&mut self, block: &'g Block, kept: &[ValueId]) {
        let graph = self.graph;
        for node in &block.nodes {
            match &graph.nodes[*node].kind {
                NodeKind::Repeat(repeat) => {
                    if let Some((condition, flag)) = &repeat.condition {
                        self.block(condition, &[*flag]);
                    }
                    self.block(&repeat.body, &repeat.results);
                }
                NodeKind::If { then, otherwise } => {
                    [then, otherwise].into_iter().for_each(|(block, results)| self.block(block, results));
                }
                _ => {}
            }
        }
        let mut scene = self.scene(block, kept);
        for place in 0..block.nodes.len() {
            if scene.traits[place].is_some() {
                self.join(&mut scene, place);
            }
        }
        for group in scene.groups.into_values() {
            let node = |place: &usize| block.nodes[*place];
            let members = group.members.iter().map(node).collect();
            self.found.push(Found { members, anchor: group.anchor.as_ref().map(node), results: group.results });
        }
    }

    fn scene(&mut self, block: &'g Block, kept: &[ValueId]) -> Scene<'g> {
        let graph = self.graph;
        let end = block.nodes.len();
        let mut scene = Scene {
            nodes: &block.nodes,
            traits: vec![None; end],
            made: HashMap::new(),
            uses: HashMap::new(),
            sets: vec![0; end + 1],
            group_of: vec![None; end],
            groups: BTreeMap::new(),
        };
        for (place, id) in block.nodes.iter().enumerate() {
            let node = &graph.nodes[*id];
            let inner = node.kind.blocks().into_iter().flat_map(|block| graph.uses_within(block));
            let mut used: Vec<ValueId> = node.inputs.iter().copied().chain(node.kind.named()).chain(inner).collect();
            used.sort_unstable();
            used.dedup();
            used.into_iter().for_each(|value| scene.uses.entry(value).or_default().push(place));
            let own = node.kind.blocks().into_iter().flat_map(|block| graph.nodes_within(block)).chain([*id]);
            let writes = own.into_iter().any(|n| matches!(graph.nodes[n].kind, NodeKind::Set { .. }));
            scene.sets[place + 1] = scene.sets[place] + usize::from(writes);
            if let NodeKind::Op { .. } = node.kind {
                node.outputs.iter().for_each(|value| _ = scene.made.insert(*value, place));
                let traits = graph.with_call(*id, traits_of);
                let passes_on = traits.alias || traits.view;
                if passes_on && node.inputs.iter().any(|value| self.of_state.contains(value)) {
                    self.of_state.extend(&node.outputs);
                }
                scene.traits[place] = Some(traits);
            } else if let NodeKind::Read(_) = node.kind {
                self.of_state.extend(&node.outputs);
            }
        }
        kept.iter().for_each(|value| scene.uses.entry(*value).or_default().push(end));
        scene
    }

    /// Makes a group of the node at a place, and joins those of its inputs to it.
    fn join(&mut self, scene: &mut Scene, place: usize) {
        let graph = self.graph;
        let id = scene.nodes[place];
        let node = &graph.nodes[id];
        let traits = scene.traits[place].clone().expect("an op");
        let fits = node.outputs.len() == 1 && (traits.point || traits.anchor);
        let mut group = Group {
            members: vec![place],
            anchor: (!traits.point).then_some(place),
            results: node.outputs.clone(),
            limit: node.outputs.iter().filter_map(|v| scene.uses.get(v)?.first()).min().copied().unwrap_or(usize::MAX),
            of_state: node.inputs.iter().any(|value| self.of_state.contains(value)),
        };
        let mut inputs: Vec<ValueId> = node.inputs.clone();
        inputs.dedup();
        for value in inputs {
            let Some(maker) = scene.made.get(&value).copied() else { continue };
            if traits.view && scene.traits[maker].as_ref().is_some_and(|t| t.view) {
                continue;
            }
            let Some(other) = scene.group_of[maker].filter(|_| fits && !group.members.contains(&maker)) else {
                continue;
            };
            if let Some(both) = self.joined(scene, &scene.groups[&other], &group, value, place) {
                scene.groups.remove(&other);
                group = both;
            }
        }
        if fits {
            group.members.iter().for_each(|member| scene.group_of[*member] = Some(place));
            scene.groups.insert(place, group);
        }
    }

    /// The group of a value and the one at `place`, which reads it, as one; `None` where they stay apart: others need the
    /// value before, the reader takes elements by position or through indices, both have an anchor, or a state is written
    /// between them.
    fn joined(&self, scene: &Scene, maker: &Group, reader: &Group, value: ValueId, place: usize) -> Option<Group> {
        let graph = self.graph;
        let node = &graph.nodes[scene.nodes[place]];
        let traits = scene.traits[place].as_ref().expect("an op");
        let reads: Vec<_> = node.inputs.iter().zip(&traits.reads).filter(|(v, _)| **v == value).collect();
        let checked = graph.with_call(scene.nodes[place], |op, call| op.op().checked_indices(call));
        let indexed =
            reads.iter().any(|(_, r)| r.guarded) || checked.iter().any(|check| node.inputs[check.indices] == value);
        let two = maker.anchor.is_some() && reader.anchor.is_some();
        let large = maker.members.len() + reader.members.len() > MEMBERS;
        let written = scene.sets[maker.members[0]] != scene.sets[place];
        if indexed || two || large || (maker.of_state || reader.of_state) && written {
            return None;
        }
        let elsewhere = |v: &ValueId| {
            let uses = scene.uses.get(v).into_iter().flatten();
            uses.copied().filter(|at| *at != place && !maker.members.contains(at) && !reader.members.contains(at)).min()
        };
        let outside: Vec<(ValueId, usize)> = maker.results.iter().filter_map(|v| Some((*v, elsewhere(v)?))).collect();
        if outside.iter().any(|(_, at)| *at <= place) {
            return None;
        }
        let (made, result) = (graph.ty(value), graph.ty(node.outputs[0]));
        let elementwise = traits.point && reads.iter().all(|(_, r)| r.elementwise) && made.dims == result.dims;
        let places = reads.iter().map(|(_, r)| r.places).max().unwrap_or(0);
        if !(elementwise || outside.is_empty() && places == 1 && self.is_cheap(scene, maker, value, place)) {
            return None;
        }
        let results: Vec<ValueId> = outside.iter().map(|(v, _)| *v).chain(reader.results.iter().copied()).collect();
        let mut members: Vec<usize> = maker.members.iter().chain(&reader.members).copied().collect();
        members.sort_unstable();
        let limit = outside.iter().map(|(_, at)| *at).chain([reader.limit]).min().expect("the reader has one");
        let of_state = maker.of_state || reader.of_state;
        Some(Group { members, anchor: maker.anchor.or(reader.anchor), results, limit, of_state })
    }

    /// Whether the elements of a group may be computed where a node reads them, at other places than its own: each once,
    /// or by cheap instructions in every pass of a reduction.
    fn is_cheap(&self, scene: &Scene, maker: &Group, value: ValueId, place: usize) -> bool {
        let graph = self.graph;
        let costly = maker.members.iter().any(|m| scene.traits[*m].as_ref().is_some_and(|t| t.costly));
        let traits = scene.traits[place].as_ref().expect("an op");
        let reader = graph.ty(graph.nodes[scene.nodes[place]].outputs[0]);
        let once = traits.point && graph.ty(value).elements() == reader.elements();
        maker.anchor.is_none() && (once || traits.reduces && !costly)
    }
}

/// The block with every group in the place of its last member.
fn rebuilt(graph: &mut Graph, block: Block, by_last: &HashMap<NodeId, Found>, inside: &HashSet<NodeId>) -> Block {
    let mut nodes = Vec::new();
    for node in block.nodes {
        if let Some(group) = by_last.get(&node) {
            nodes.push(grouped(graph, group));
        } else if !inside.contains(&node) {
            let mut kind =
                std::mem::replace(&mut graph.nodes[node].kind, NodeKind::Read(crate::graph::StateId::from_u32(0)));
            match &mut kind {
                NodeKind::Repeat(repeat) => {
                    if let Some((condition, _)) = &mut repeat.condition {
                        *condition = rebuilt(graph, std::mem::take(condition), by_last, inside);
                    }
                    repeat.body = rebuilt(graph, std::mem::take(&mut repeat.body), by_last, inside);
                }
                NodeKind::If { then, otherwise } => {
                    for (block, _) in [then, otherwise] {
                        *block = rebuilt(graph, std::mem::take(block), by_last, inside);
                    }
                }
                _ => {}
            }
            graph.nodes[node].kind = kind;
            nodes.push(node);
        }
    }
    Block { nodes }
}

/// The node of a group, named after its ops.
fn grouped(graph: &mut Graph, group: &Found) -> NodeId {
    const SHOWN: usize = 4;
    let mut words: Vec<&str> = Vec::new();
    for member in &group.members {
        let NodeKind::Op { op, .. } = &graph.nodes[*member].kind else { unreachable!("members are ops") };
        words.push(op.name());
    }
    let more = words.len().saturating_sub(SHOWN);
    words.truncate(SHOWN);
    let mut name = words.join("+");
    if more > 0 {
        name += &format!("+{more}");
    }
    let first = &graph.nodes[group.members[0]];
    let path = graph.nodes[group.anchor.unwrap_or(group.members[0])].path.clone();
    let loc = group.members.iter().fold(first.loc, |loc, member| loc.to(graph.nodes[*member].loc));
    let body = Block { nodes: group.members.clone() };
    let kind = NodeKind::Fused { name, body, results: group.results.clone() };
    graph.nodes.push(Node { kind, inputs: vec![], outputs: vec![], loc, path })
}
