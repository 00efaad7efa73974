//! From the inputs of a call to a size block.
//!
//! A dim of an input that is one given slot binds it; every other dim is compared once all slots are known.

use super::Refusal;
use crate::graph::{Entry, Graph, Input};
use mlc_codegen::base::{Dim, Slot, SlotDef};
use mlc_runtime::session::list;
use mlc_runtime::tensor::Tensor;

/// No size is negative.
const UNBOUND: i64 = i64::MIN;

/// The inputs in the order of the entry, and the filled size block.
pub(super) fn bind<'t>(
    graph: &Graph,
    entry: &Entry,
    inputs: &[(&str, &'t Tensor)],
    sizes: &[(&str, i64)],
) -> Result<(Vec<&'t Tensor>, Vec<i64>), Refusal> {
    let bind = Bind { graph, entry };
    let tensors = bind.tensors(inputs)?;
    let mut block = vec![UNBOUND; graph.slots.len()];
    bind.sizes(sizes, &mut block)?;
    let given = || entry.inputs.iter().zip(&tensors);
    given().try_for_each(|(input, tensor)| bind.shape(input, tensor, &mut block))?;
    for (slot, def) in graph.slots.iter() {
        let value = &mut block[slot.0 as usize];
        if *value == UNBOUND {
            *value = if let SlotDef::Given { lo, .. } = def { *lo } else { 0 };
        }
    }
    graph.slots.fill(&mut block).map_err(|error| bind.refuse("MDL0702", error.to_string()))?;
    for (input, tensor) in given() {
        let fits = |(dim, extent): (&Dim, &usize)| dim.eval(&block) == Some(*extent as i64);
        if !graph.ty(input.value).dims.iter().zip(tensor.shape()).all(fits) {
            return Err(bind.misfit(input, tensor));
        }
    }
    bind.guards(&block)?;
    Ok((tensors, block))
}

struct Bind<'b> {
    graph: &'b Graph,
    entry: &'b Entry,
}

impl Bind<'_> {
    fn refuse(&self, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(code, message, self.entry.loc)
    }

    fn tensors<'t>(&self, inputs: &[(&str, &'t Tensor)]) -> Result<Vec<&'t Tensor>, Refusal> {
        let (name, takes) = (&self.entry.name, &self.entry.inputs);
        let known = || list(takes.iter().map(|input| input.name.as_str()));
        if let Some((given, _)) = inputs.iter().find(|(given, _)| !takes.iter().any(|input| input.name == *given)) {
            let message = format!("`{name}` has no input `{given}`; its inputs are {}", known());
            return Err(self.refuse("MDL0701", message));
        }
        let each = takes.iter().map(|input| {
            let mut found = inputs.iter().filter(|(given, _)| *given == input.name).map(|(_, tensor)| *tensor);
            match (found.next(), found.next()) {
                (Some(tensor), None) => Ok(tensor),
                (Some(_), Some(_)) => Err(self.refuse("MDL0701", format!("input `{}` is given twice", input.name))),
                (None, _) => {
                    let wanted = self.graph.ty(input.value).show(&self.graph.slots);
                    let message = format!("input `{}` is missing; `{name}` takes {wanted}", input.name);
                    Err(self.refuse("MDL0701", message))
                }
            }
        });
        each.collect()
    }

    fn sizes(&self, sizes: &[(&str, i64)], block: &mut [i64]) -> Result<(), Refusal> {
        let (name, takes) = (&self.entry.name, &self.entry.sizes);
        for (wanted, slot) in takes {
            let given = sizes.iter().find(|(given, _)| given == wanted);
            let missing = || self.refuse("MDL0701", format!("size `{wanted}` is missing; `{name}` takes it"));
            self.put(*slot, given.ok_or_else(missing)?.1, block)?;
        }
        match sizes.iter().find(|(given, _)| !takes.iter().any(|(wanted, _)| wanted == given)) {
            None => Ok(()),
            Some((given, _)) => {
                let known = list(takes.iter().map(|(wanted, _)| wanted.as_str()));
                Err(self.refuse("MDL0701", format!("`{name}` has no size `{given}`; its sizes are {known}")))
            }
        }
    }

    fn shape(&self, input: &Input, tensor: &Tensor, block: &mut [i64]) -> Result<(), Refusal> {
        let ty = self.graph.ty(input.value);
        if tensor.dtype() != ty.dtype || tensor.shape().len() != ty.rank() {
            return Err(self.misfit(input, tensor));
        }
        for (dim, extent) in ty.dims.iter().zip(tensor.shape()) {
            let Some(slot) = dim.as_slot() else { continue };
            let SlotDef::Given { name, .. } = self.graph.slots.def(slot) else { continue };
            match block[slot.0 as usize] {
                UNBOUND => self.put(slot, *extent as i64, block)?,
                bound if bound != *extent as i64 => {
                    let mut error = self.misfit(input, tensor);
                    error.message += &format!(", and {name} is {bound} here");
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Binds a slot to a number of its range.
    fn put(&self, slot: Slot, value: i64, block: &mut [i64]) -> Result<(), Refusal> {
        if let SlotDef::Given { name, lo, hi, .. } = self.graph.slots.def(slot)
            && !(*lo..=*hi).contains(&value)
        {
            return Err(self.refuse("MDL0702", format!("{name} = {value} is outside {lo}..={hi}")));
        }
        block[slot.0 as usize] = value;
        Ok(())
    }

    fn misfit(&self, input: &Input, tensor: &Tensor) -> Refusal {
        let (wanted, name) = (self.graph.ty(input.value).show(&self.graph.slots), &self.entry.name);
        let shape = tensor.shape();
        let given = match tensor.dtype() == self.graph.ty(input.value).dtype {
            true => format!("has shape {shape:?}"),
            false => format!("is {} of shape {shape:?}", tensor.dtype()),
        };
        let message = format!("input `{}` {given}; `{name}` takes {wanted}", input.name);
        Refusal::new("MDL0701", message, self.graph.values[input.value].loc)
    }

    fn guards(&self, block: &[i64]) -> Result<(), Refusal> {
        for guard in &self.entry.guards {
            let value = guard.at_least_zero.eval(block);
            let holds = value.is_some_and(|v| if guard.exactly_zero { v == 0 } else { v >= 0 });
            if !holds {
                return Err(Refusal::new("MDL0702", guard.message.clone(), guard.loc));
            }
        }
        Ok(())
    }
}
