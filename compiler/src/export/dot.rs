//! The graph for Graphviz: a box for each node, a cluster for each loop, branch and group, types on the edges.
//!
//! `mlc build m.mdl --emit dot | dot -Tsvg` draws it.

use crate::graph::{Block, Entry, Graph, NodeId, NodeKind, ValueId};
use std::collections::HashMap;
use std::fmt::Write;

/// The text of a digraph with a cluster for each entry.
pub fn print(graph: &Graph) -> String {
    let mut dot = Dot { graph, out: String::new(), indent: 1, from: HashMap::new(), fresh: 0 };
    dot.out += &format!("digraph {} {{\n", quoted(&graph.name));
    dot.line("node [shape = box, style = rounded, fontname = \"sans-serif\"]");
    dot.line("edge [fontname = \"monospace\", fontsize = 9]");
    graph.entries.iter().for_each(|entry| dot.entry(entry));
    dot.out += "}\n";
    dot.out
}

struct Dot<'g> {
    graph: &'g Graph,
    out: String,
    indent: usize,
    /// The box that a value comes from.
    from: HashMap<ValueId, String>,
    fresh: usize,
}

impl Dot<'_> {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{:1$}{text}", "", 2 * self.indent);
    }

    fn cluster(&mut self, label: &str, inside: impl FnOnce(&mut Self)) {
        let number = self.number();
        self.line(&format!("subgraph cluster_{number} {{"));
        self.indent += 1;
        self.line(&format!("label = {}", quoted(label)));
        inside(self);
        self.indent -= 1;
        self.line("}");
    }

    fn number(&mut self) -> usize {
        self.fresh += 1;
        self.fresh
    }

    /// A box, and its name.
    fn point(&mut self, label: &str, shape: &str) -> String {
        let name = format!("b{}", self.number());
        let shape = if shape.is_empty() { String::new() } else { format!(", shape = {shape}") };
        self.line(&format!("{name} [label = {}{shape}]", quoted(label)));
        name
    }

    fn edge(&mut self, value: ValueId, to: &str) {
        let Some(from) = self.from.get(&value).cloned() else { return };
        let label = self.graph.ty(value).show(&self.graph.slots);
        self.line(&format!("{from} -> {to} [label = {}]", quoted(&label)));
    }

    fn entry(&mut self, entry: &Entry) {
        self.cluster(&entry.name, |dot| {
            for input in &entry.inputs {
                let name = dot.point(&input.name, "ellipse");
                dot.from.insert(input.value, name);
            }
            dot.block(&entry.body);
            for (name, value) in &entry.outputs {
                let to = dot.point(name, "ellipse");
                dot.edge(*value, &to);
            }
        });
    }

    fn block(&mut self, block: &Block) {
        block.nodes.iter().for_each(|id| self.node(*id));
    }

    fn node(&mut self, id: NodeId) {
        let graph = self.graph;
        let node = &graph.nodes[id];
        let own = match &node.kind {
            NodeKind::Op { op, .. } => Some((op.name().to_owned(), "")),
            NodeKind::Constant { members, .. } => {
                let first = members.first().map_or("", |id| &graph.constants[*id].name);
                let more = if members.len() > 1 { format!(" and {} more", members.len() - 1) } else { String::new() };
                Some((format!("{first}{more}"), "note"))
            }
            NodeKind::Read(state) => Some((format!("read {}", graph.states[*state].name), "cylinder")),
            NodeKind::Set { state, .. } => Some((format!("set {}", graph.states[*state].name), "cylinder")),
            _ => None,
        };
        if let Some((label, shape)) = own {
            let name = self.point(&label, shape);
            node.inputs.iter().for_each(|input| self.edge(*input, &name));
            self.from.extend(node.outputs.iter().map(|output| (*output, name.clone())));
            return;
        }
        match &node.kind {
            NodeKind::Repeat(repeat) => {
                let counter = graph.slots.show(&repeat.counter.into());
                let label = format!("repeat {counter} in 0..{}", graph.slots.show(&repeat.trips));
                self.cluster(&label, |dot| {
                    dot.carry(&node.inputs, &repeat.params, "start");
                    if let Some((block, flag)) = &repeat.condition {
                        dot.cluster("while", |dot| {
                            dot.block(block);
                            dot.carry(&[*flag], &[], "goes on");
                        });
                    }
                    dot.block(&repeat.body);
                    dot.carry(&repeat.results, &node.outputs, "end");
                });
            }
            NodeKind::If { then, otherwise } => {
                let choice = self.point("if", "diamond");
                node.inputs.iter().for_each(|input| self.edge(*input, &choice));
                for (label, (block, results)) in [("then", then), ("else", otherwise)] {
                    self.cluster(label, |dot| dot.block(block));
                    results.iter().for_each(|result| self.edge(*result, &choice));
                }
                self.from.extend(node.outputs.iter().map(|output| (*output, choice.clone())));
            }
            NodeKind::Fused { name, body, .. } => self.cluster(name, |dot| dot.block(body)),
            _ => {}
        }
    }

    /// A point that values pass, where a loop hands them on.
    fn carry(&mut self, into: &[ValueId], out: &[ValueId], label: &str) {
        let name = self.point(label, "plaintext");
        into.iter().for_each(|value| self.edge(*value, &name));
        self.from.extend(out.iter().map(|value| (*value, name.clone())));
    }
}

/// A label in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
