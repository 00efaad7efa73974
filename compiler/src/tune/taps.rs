//! Values of a graph that a call leaves behind: each is written into a state that the session shows afterwards.
//! Invariant: what the model computes does not change; a tap in a loop keeps the value of every trip.

use crate::graph::{Block, Graph, GraphBuilder, NodeId, NodeKind, State, StateId, ValueId};
use crate::ops::{Arguments, Attr, OpKind};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Slot};

/// A value that is tapped.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    /// The value.
    pub(super) value: ValueId,
    /// The state that holds it, `[trips, dims of the value]`.
    pub(super) state: String,
}

/// The graph with taps on some values of an entry. Values that cannot be tapped are left out: those of branches, of loops
/// in loops, of loops that end early, and those whose dims differ from trip to trip.
pub(super) fn tapped(graph: &Graph, entry: usize, values: &[ValueId]) -> (Graph, Vec<Tap>) {
    let mut graph = graph.clone();
    let mut taps = vec![];
    let mut body = std::mem::take(&mut graph.entries[entry].body);
    let inputs: Vec<ValueId> = graph.entries[entry].inputs.iter().map(|input| input.value).collect();
    in_block(&mut graph, &mut body, &inputs, None, values, &mut taps);
    for i in 0..body.nodes.len() {
        let node = body.nodes[i];
        let NodeKind::Repeat(repeat) = &graph.nodes[node].kind else { continue };
        let Some(trips) = repeat.trips.as_constant().filter(|_| repeat.condition.is_none()) else { continue };
        let (counter, params, mut inner) = (repeat.counter, repeat.params.clone(), repeat.body.clone());
        in_block(&mut graph, &mut inner, &params, Some((counter, trips)), values, &mut taps);
        let NodeKind::Repeat(repeat) = &mut graph.nodes[node].kind else { unreachable!("it was one") };
        repeat.body = inner;
    }
    graph.entries[entry].body = body;
    (graph, taps)
}

/// Taps the values that a block defines, at its end.
fn in_block(
    graph: &mut Graph,
    block: &mut Block,
    given: &[ValueId],
    around: Option<(Slot, i64)>,
    values: &[ValueId],
    taps: &mut Vec<Tap>,
) {
    let own = |node: &NodeId| graph.nodes[*node].outputs.clone();
    let defined: Vec<ValueId> = given.iter().copied().chain(block.nodes.iter().flat_map(own)).collect();
    for value in values.iter().filter(|value| defined.contains(value)) {
        let ty = graph.ty(*value).clone();
        let varies = |dim: &Dim| around.is_some_and(|(counter, _)| dim.slots().any(|slot| slot == counter));
        if ty.dims.iter().any(varies) {
            continue;
        }
        let name = format!("tap.{}", taps.len());
        let trips = Dim::from(around.map_or(1, |(_, trips)| trips));
        let dims = std::iter::once(trips).chain(ty.dims.iter().cloned());
        let state = State { name: name.clone(), ty: TensorType::new(ty.dtype, dims), loc: graph.values[*value].loc };
        let state = graph.states.push(state);
        if keep(graph, block, *value, state, around.map(|(counter, _)| counter)).is_some() {
            taps.push(Tap { value: *value, state: name });
        }
    }
}

/// `set state[counter] = value`.
fn keep(graph: &mut Graph, block: &mut Block, value: ValueId, state: StateId, counter: Option<Slot>) -> Option<()> {
    let (ty, loc) = (graph.ty(value).clone(), graph.values[value].loc);
    let shape = std::iter::once(Dim::from(1)).chain(ty.dims.iter().cloned()).map(Some).collect();
    let mut build = GraphBuilder { graph, block, path: String::new() };
    let arguments = Arguments { counts: vec![1], attrs: vec![Attr::Dims(shape)] };
    let row = build.apply(OpKind::Reshape, arguments, &[value], loc).ok()?.outputs[0];
    let mut starts = vec![Dim::from(0); ty.rank() + 1];
    starts[0] = counter.map_or(Dim::from(0), Dim::from);
    build.node(NodeKind::Set { state, starts }, vec![row], vec![], loc);
    Some(())
}
