//! Each op alone: its arguments come back from the text.

use crate::round::same;
use libtest_mimic::Failed;
use mlc::diag::{SourceMap, Style, human};
use mlc::export::mdl;
use mlc::frontend::{Options, check};
use mlc::graph::{Block, Entry, Graph, GraphBuilder, Input, NodeKind};
use mlc::ops::{Arguments, Attr, Kind, OpKind};
use mlc::types::{Loc, TensorType};
use mlc_tests::answers::{answers, type_of};
use std::collections::HashSet;

/// Every use of an op that numpy or onnxruntime answered reads back with the same arguments.
pub(crate) fn every_op() -> Result<(), Failed> {
    let mut ops = HashSet::new();
    for answer in answers() {
        ops.insert(answer.op);
        let types = answer.inputs.iter().map(type_of).collect();
        one_op(answer.op, &answer.arguments, types).map_err(|error| format!("{}: {error}", answer.op.name()))?;
    }
    let absent: Vec<&str> = OpKind::ALL.iter().filter(|op| !ops.contains(op)).map(|op| op.name()).collect();
    println!("without an answer, so not tried one by one: {}", absent.join(" "));
    if ops.len() * 4 > OpKind::ALL.len() * 3 { Ok(()) } else { Err(format!("only {} ops", ops.len()).into()) }
}

fn one_op(op: OpKind, arguments: &Arguments, types: Vec<TensorType>) -> Result<(), String> {
    let (mut first, mut body) = (Graph::default(), Block::default());
    first.name = "One".into();
    let mut builder = GraphBuilder { graph: &mut first, block: &mut body, path: String::new() };
    let value = |(i, ty)| (format!("x{i}"), builder.value(ty, None, Loc::default()));
    let inputs: Vec<_> = types.into_iter().enumerate().map(value).collect();
    let values: Vec<_> = inputs.iter().map(|(_, value)| *value).collect();
    let applied = builder.apply(op, arguments.clone(), &values, Loc::default()).map_err(|e| e.message)?;
    let outputs = applied.outputs.into_iter().enumerate().map(|(i, value)| (format!("y{i}"), value)).collect();
    let inputs = inputs.into_iter().map(|(name, value)| Input { name, value }).collect();
    let (sizes, guards, doc, loc) = (vec![], vec![], String::new(), Loc::default());
    first.entries.push(Entry { name: "main".into(), doc, inputs, sizes, guards, body, outputs, loc });
    let text = mdl::print(&first).text;
    let mut sources = SourceMap::default();
    let file = sources.add("one.mdl", text.clone());
    let checked = check(&mut sources, file, &Options::default());
    let said: String = checked.diagnostics.iter().map(|d| human(d, &sources, Style::default())).collect();
    let second = checked.graph.ok_or_else(|| format!("{said}\n{text}"))?;
    same("printed again", &text, &mdl::print(&second).text)?;
    let nodes = second.entries[0].body.nodes.iter().map(|id| &second.nodes[*id].kind);
    let read: Vec<&NodeKind> = nodes.collect();
    match read.as_slice() {
        [NodeKind::Op { op: own, arguments: found }] if *own == op && meaning(op, found) == meaning(op, arguments) => {
            Ok(())
        }
        other => Err(format!("{arguments:?} became {other:?} in\n{text}")),
    }
}

/// Arguments in one of the forms that mean the same.
fn meaning(op: OpKind, arguments: &Arguments) -> (Vec<u32>, Vec<Attr>) {
    let params = op.op().signature().params.iter().filter(|param| !param.is_tensor());
    let plain = params.zip(&arguments.attrs).map(|(param, attr)| match (param.kind, attr) {
        (Kind::Names, Attr::None) => Attr::Names(vec![]),
        (Kind::Dim, Attr::Int(value)) => Attr::Dim((*value).into()),
        (Kind::Float, Attr::Int(value)) => Attr::Float(*value as f64),
        (Kind::Dims, Attr::Ints(values)) => Attr::Dims(values.iter().map(|value| Some((*value).into())).collect()),
        (_, attr) => attr.clone(),
    });
    (arguments.counts.clone(), plain.collect())
}
