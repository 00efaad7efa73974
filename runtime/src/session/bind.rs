//! From the shapes of a call's inputs to a size block.

use super::RunError;
use crate::artifact::Meta;
use crate::tensor::Tensor;
use mlc_codegen::base::{Dim, SlotDef, Slots};
use mlc_codegen::kernel::{EntryPlan, Plan, Port};

/// The inputs in the order of the entry's ports, and the filled size block.
pub(super) fn bind<'t>(
    plan: &Plan,
    meta: &Meta,
    entry: &EntryPlan,
    inputs: &[(&str, &'t Tensor)],
    sizes: &[(&str, i64)],
) -> Result<(Vec<&'t Tensor>, Vec<i64>), RunError> {
    let bind = Bind { plan, meta, entry };
    let tensors = bind.tensors(inputs)?;
    let block = bind.block(&tensors, sizes)?;
    bind.guards(&block)?;
    Ok((tensors, block))
}

/// `f32[batch, 784]`.
pub(super) fn show(port: &Port, slots: &Slots) -> String {
    let dims: Vec<String> = port.dims.iter().map(|d| slots.show(d)).collect();
    if dims.is_empty() { port.dtype.to_string() } else { format!("{}[{}]", port.dtype, dims.join(", ")) }
}

struct Bind<'b> {
    plan: &'b Plan,
    meta: &'b Meta,
    entry: &'b EntryPlan,
}

impl Bind<'_> {
    fn refuse(&self, code: &'static str, message: String, source: u32) -> RunError {
        RunError::new(code, message, self.meta.sources.get(source as usize))
    }

    fn tensors<'t>(&self, inputs: &[(&str, &'t Tensor)]) -> Result<Vec<&'t Tensor>, RunError> {
        let source = self.entry.inputs.first().map_or(0, |port| port.source);
        let name = &self.entry.name;
        let known = || self.entry.inputs.iter().map(|port| format!("`{}`", port.name)).collect::<Vec<_>>().join(", ");
        for (given, _) in inputs {
            if !self.entry.inputs.iter().any(|port| port.name == *given) {
                let message = format!("`{name}` has no input `{given}`; its inputs are {}", known());
                return Err(self.refuse("MDL0701", message, source));
            }
        }
        let find = |port: &Port| inputs.iter().find(|(given, _)| *given == port.name).map(|(_, tensor)| *tensor);
        let each = self.entry.inputs.iter().map(|port| {
            let tensor = find(port).ok_or_else(|| {
                let wanted = show(port, &self.plan.slots);
                let message = format!("input `{}` is missing; `{name}` takes {wanted}", port.name);
                self.refuse("MDL0701", message, port.source)
            })?;
            if tensor.dtype() != port.dtype || tensor.shape().len() != port.dims.len() {
                return Err(self.misfit(port, tensor));
            }
            Ok(tensor)
        });
        each.collect()
    }

    fn misfit(&self, port: &Port, tensor: &Tensor) -> RunError {
        let (wanted, name) = (show(port, &self.plan.slots), &self.entry.name);
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let message = format!("input `{}` is {dtype} of shape {shape:?}; `{name}` takes {wanted}", port.name);
        self.refuse("MDL0701", message, port.source)
    }

    fn block(&self, tensors: &[&Tensor], sizes: &[(&str, i64)]) -> Result<Vec<i64>, RunError> {
        let mut block = vec![0; self.plan.slots.len()];
        let mut bound = vec![false; block.len()];
        for (name, slot) in &self.entry.sizes {
            let given = sizes.iter().find(|(n, _)| n == name);
            let Some((_, value)) = given else {
                let message = format!("size `{name}` is missing");
                return Err(self.refuse("MDL0701", message, 0));
            };
            if (slot.0 as usize) < block.len() {
                (block[slot.0 as usize], bound[slot.0 as usize]) = (*value, true);
            }
        }
        for (port, tensor) in self.entry.inputs.iter().zip(tensors) {
            for (dim, extent) in port.dims.iter().zip(tensor.shape()) {
                if let Some(slot) = dim.as_slot().filter(|slot| bound.get(slot.0 as usize) == Some(&false)) {
                    (block[slot.0 as usize], bound[slot.0 as usize]) = (*extent as i64, true);
                }
            }
        }
        self.unbound(&mut block, &bound);
        self.plan.slots.fill(&mut block).map_err(|error| self.refuse("MDL0702", error.to_string(), 0))?;
        for (port, tensor) in self.entry.inputs.iter().zip(tensors) {
            let fits = |(dim, extent): (&Dim, &usize)| dim.eval(&block) == Some(*extent as i64);
            if !port.dims.iter().zip(tensor.shape()).all(fits) {
                return Err(self.misfit(port, tensor));
            }
        }
        Ok(block)
    }

    /// Dims of other entries have no value here; their least one keeps derived slots defined.
    fn unbound(&self, block: &mut [i64], bound: &[bool]) {
        for (slot, def) in self.plan.slots.iter() {
            if let (SlotDef::Given { lo, .. }, false) = (def, bound[slot.0 as usize]) {
                block[slot.0 as usize] = *lo;
            }
        }
    }

    fn guards(&self, block: &[i64]) -> Result<(), RunError> {
        for guard in &self.entry.guards {
            let value = guard.at_least_zero.eval(block);
            let holds = value.is_some_and(|v| if guard.exactly_zero { v == 0 } else { v >= 0 });
            if !holds {
                return Err(self.refuse("MDL0702", guard.message.clone(), guard.source));
            }
        }
        Ok(())
    }
}
