//! Nodes with blocks inside: repeats, choices, fused groups.

use super::super::{Block, Node, Repeat, ValueId};
use super::{Fault, Walk};
use crate::types::TensorType;
use mlc_codegen::base::{DType, SlotDef};
use std::collections::HashSet;

impl Walk<'_> {
    pub(super) fn repeat(&mut self, node: &Node, repeat: &Repeat) -> Result<(), Fault> {
        let carried = repeat.params.len();
        self.count("initial values", node.inputs.len(), carried)?;
        self.count("next values", repeat.results.len(), carried)?;
        self.count("outputs", node.outputs.len(), carried)?;
        let known = (repeat.counter.0 as usize) < self.graph.slots.len();
        match known.then(|| self.graph.slots.def(repeat.counter)) {
            Some(SlotDef::Counter { trips, .. }) if *trips == repeat.trips => {}
            _ => return Err(Fault::Counter),
        }
        for (param, initial) in repeat.params.iter().zip(&node.inputs) {
            let ty = self.graph.ty(*initial).clone();
            self.typed(*param, &ty)?;
        }
        let (mark, here) = (self.opened.len(), self.here);
        repeat.params.iter().try_for_each(|param| self.define(*param))?;
        self.counters.push(repeat.counter);
        if let Some((block, flag)) = &repeat.condition {
            self.inner(block, &[*flag])?;
            self.condition(*flag)?;
        }
        self.inner(&repeat.body, &repeat.results)?;
        self.counters.pop();
        self.close(mark);
        self.here = here;
        for (i, param) in repeat.params.iter().enumerate() {
            let ty = self.graph.ty(*param).clone();
            self.typed(repeat.results[i], &ty)?;
            self.typed(node.outputs[i], &ty)?;
        }
        Ok(())
    }

    pub(super) fn choice(
        &mut self,
        node: &Node,
        then: &(Block, Vec<ValueId>),
        otherwise: &(Block, Vec<ValueId>),
    ) -> Result<(), Fault> {
        self.count("inputs", node.inputs.len(), 1)?;
        self.condition(node.inputs[0])?;
        let before = self.writes.clone();
        self.branch(node, then)?;
        let written = std::mem::replace(&mut self.writes, before);
        self.branch(node, otherwise)?;
        written.into_iter().for_each(|(state, nodes)| self.writes.entry(state).or_default().extend(nodes));
        Ok(())
    }

    fn branch(&mut self, node: &Node, (block, results): &(Block, Vec<ValueId>)) -> Result<(), Fault> {
        self.count("results of a branch", results.len(), node.outputs.len())?;
        self.inner(block, results)?;
        for (result, output) in results.iter().zip(&node.outputs) {
            let ty = self.graph.values.get(*output).ok_or(Fault::Absent("value"))?.ty.clone();
            self.typed(*result, &ty)?;
        }
        Ok(())
    }

    pub(super) fn fused(&mut self, node: &Node, body: &Block, results: &[ValueId]) -> Result<(), Fault> {
        self.count("inputs", node.inputs.len(), 0)?;
        self.count("outputs", node.outputs.len(), 0)?;
        let mark = self.opened.len();
        self.block(body)?;
        let own: HashSet<ValueId> = self.opened[mark..].iter().copied().collect();
        let foreign = results.iter().find(|value| !own.contains(value));
        foreign.map_or(Ok(()), |value| Err(Fault::Foreign(*value)))
    }

    fn condition(&self, flag: ValueId) -> Result<(), Fault> {
        match *self.graph.ty(flag) == TensorType::scalar(DType::Bool) {
            true => Ok(()),
            false => Err(Fault::Condition(flag)),
        }
    }
}
