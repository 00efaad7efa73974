//! A graph as an ONNX model: each op by one row of a table from mlc's ops to operators of the format.
//!
//! A `repeat` of a known number of rounds is unrolled, a state is an input and the output `NAME.next`, a `size` argument is
//! an input of one i64, packed weights are written as the f32 numbers that they stand for. What an entry promises with
//! `assert` is not written: the format has no word for it.
//! Invariant: uses that the format has no word for are all reported in one run.

mod dims;
mod file;
mod node;
mod ops;
mod writer;

use super::ExportError;
use super::walk::{Walk, states_of};
use crate::formats::onnx::{GraphProto, ModelProto, OperatorSet, ValueInfo};
use crate::graph::{Entry, Graph, StateId, ValueId};
use crate::types::TensorType;
use mlc_codegen::base::{DType, SlotDef};
use std::path::Path;
use writer::Writer;

/// The operator sets that are written.
pub const OPSETS: [i64; 2] = [17, 21];

/// Writes an entry as a model of an operator set of [`OPSETS`]; weights beyond 1 GiB go to a file beside it, `NAME.data`.
///
/// # Errors
/// The format has no word for something, a weight cannot be read, or a file cannot be written.
pub fn write(graph: &Graph, entry: &Entry, opset: i64, path: &Path) -> Result<(), ExportError> {
    file::write(model(graph, entry, opset)?, path)
}

/// An entry as the bytes of a file.
///
/// # Errors
/// As [`write`], without the file.
pub fn bytes(graph: &Graph, entry: &Entry, opset: i64) -> Result<Vec<u8>, ExportError> {
    Ok(prost::Message::encode_to_vec(&model(graph, entry, opset)?))
}

fn model(graph: &Graph, entry: &Entry, opset: i64) -> Result<ModelProto, ExportError> {
    let mut walk = Walk::new(graph, Writer::new(graph, opset));
    let mut inputs = vec![];
    for input in &entry.inputs {
        let ty = graph.ty(input.value);
        inputs.push(walk.sink.input(&input.name, ty));
        walk.values.insert(input.value, input.name.clone());
    }
    for (name, slot) in &entry.sizes {
        inputs.push(walk.sink.input(name, &TensorType::scalar(DType::I64)));
        walk.sink.bind(*slot, name);
    }
    let states = states_of(graph, entry);
    for id in &states {
        let state = &graph.states[*id];
        let name = walk.sink.fresh(&state.name);
        inputs.push(walk.sink.input(&name, &state.ty));
        walk.states.insert(*id, name);
    }
    walk.block(&entry.body);
    if let Some(error) = walk.sink.unread.take() {
        return Err(error.into());
    }
    if !walk.refused.is_empty() {
        return Err(ExportError::Uses(walk.refused));
    }
    let outputs = outputs(&mut walk, graph, entry, &states);
    let (node, initializer) = walk.sink.finish();
    let proto = GraphProto {
        node,
        name: if graph.name.is_empty() { entry.name.clone() } else { graph.name.clone() },
        initializer,
        input: inputs,
        output: outputs,
        doc_string: entry.doc.clone(),
        ..GraphProto::default()
    };
    Ok(ModelProto {
        ir_version: if opset < 21 { 8 } else { 10 },
        producer_name: "mlc".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(proto),
        opset_import: vec![OperatorSet { domain: String::new(), version: opset }],
        ..ModelProto::default()
    })
}

/// What the entry gives, under its names, and the states after the call.
fn outputs(walk: &mut Walk<Writer>, graph: &Graph, entry: &Entry, states: &[StateId]) -> Vec<ValueInfo> {
    let own = |(name, value): &(String, ValueId)| (name.clone(), *value);
    let results: Vec<_> = entry.outputs.iter().map(own).collect();
    let mut infos = vec![];
    for (name, value) in results {
        let item = walk.values[&value].clone();
        infos.push(walk.sink.output(&name, &item, graph.ty(value)));
    }
    for id in states {
        let state = &graph.states[*id];
        let name = walk.sink.fresh(&format!("{}.next", state.name));
        infos.push(walk.sink.output(&name, &walk.states[id].clone(), &state.ty));
    }
    infos
}

/// The name of a dim in a type: a symbol, or a polynomial as text.
fn symbol(graph: &Graph, slot: mlc_codegen::base::Slot) -> Option<&str> {
    match graph.slots.def(slot) {
        SlotDef::Given { name, size: false, .. } => Some(name),
        _ => None,
    }
}
