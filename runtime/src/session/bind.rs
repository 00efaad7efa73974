//! From the inputs of a call to a size block.
//!
//! A dim of an input that is one given slot binds it; every other dim is compared once all slots are known.

use super::RunError;
use super::error::list;
use crate::artifact::{Artifact, Meta};
use crate::tensor::Tensor;
use mlc_codegen::base::{Dim, Slot, SlotDef, Slots};
use mlc_codegen::kernel::{EntryPlan, Port};

/// Fills `block` with the sizes of a call, and `order` with the place of each input among those given.
pub(super) fn bind(
    artifact: &Artifact,
    entry: &EntryPlan,
    inputs: &[(&str, &Tensor)],
    sizes: &[(&str, i64)],
    block: &mut Vec<i64>,
    order: &mut Vec<usize>,
) -> Result<(), RunError> {
    let bind = Bind { slots: &artifact.plan.slots, meta: &artifact.meta, entry };
    bind.names(inputs, order)?;
    let tensors = || entry.inputs.iter().zip(order.iter().map(|i| inputs[*i].1));
    block.clear();
    block.resize(bind.slots.len(), UNBOUND);
    bind.sizes(sizes, block)?;
    for (port, tensor) in tensors() {
        bind.shape(port, tensor, block)?;
    }
    for (slot, def) in bind.slots.iter() {
        let value = &mut block[slot.0 as usize];
        if let (SlotDef::Given { lo, .. }, UNBOUND) = (def, *value) {
            *value = *lo;
        }
    }
    bind.slots.fill(block).map_err(|error| RunError::new("MDL0702", error.to_string()).at(bind.meta, bind.source()))?;
    for (port, tensor) in tensors() {
        let fits = |(dim, extent): (&Dim, &usize)| dim.eval(block) == i64::try_from(*extent).ok();
        if !port.dims.iter().zip(tensor.shape()).all(fits) {
            return Err(bind.misfit(port, tensor));
        }
    }
    bind.guards(block)
}

/// No size is negative.
const UNBOUND: i64 = i64::MIN;

struct Bind<'b> {
    slots: &'b Slots,
    meta: &'b Meta,
    entry: &'b EntryPlan,
}

impl Bind<'_> {
    /// Where errors point that no single input explains.
    fn source(&self) -> u32 {
        self.entry.inputs.first().or(self.entry.outputs.first()).map_or(u32::MAX, |port| port.source)
    }

    fn names(&self, inputs: &[(&str, &Tensor)], order: &mut Vec<usize>) -> Result<(), RunError> {
        let (entry, ports) = (&self.entry.name, &self.entry.inputs);
        order.clear();
        for port in ports {
            let place = inputs.iter().position(|(name, _)| *name == port.name);
            order.push(place.ok_or_else(|| {
                let takes = port.show(self.slots);
                let message = format!("input `{}` is missing; `{entry}` takes {takes}", port.name);
                RunError::new("MDL0701", message).at(self.meta, port.source)
            })?);
        }
        let stranger = (0..inputs.len()).find(|i| !order.contains(i));
        match stranger.map(|i| inputs[i].0) {
            None => Ok(()),
            Some(name) if ports.iter().any(|port| port.name == name) => {
                Err(RunError::new("MDL0701", format!("input `{name}` is given twice")).at(self.meta, self.source()))
            }
            Some(name) => {
                let known = list(ports.iter().map(|port| port.name.as_str()));
                let message = format!("`{entry}` has no input `{name}`; its inputs are {known}");
                Err(RunError::new("MDL0701", message).at(self.meta, self.source()))
            }
        }
    }

    fn sizes(&self, sizes: &[(&str, i64)], block: &mut [i64]) -> Result<(), RunError> {
        let (entry, refuse) =
            (&self.entry.name, |message| RunError::new("MDL0701", message).at(self.meta, self.source()));
        for (name, slot) in &self.entry.sizes {
            let given = sizes.iter().find(|(given, _)| given == name);
            let (_, value) = given.ok_or_else(|| refuse(format!("size `{name}` is missing; `{entry}` takes it")))?;
            self.put(*slot, *value, block)?;
        }
        match sizes.iter().find(|(given, _)| !self.entry.sizes.iter().any(|(name, _)| name == given)) {
            None => Ok(()),
            Some((name, _)) => {
                let known = list(self.entry.sizes.iter().map(|(name, _)| name.as_str()));
                Err(refuse(format!("`{entry}` has no size `{name}`; its sizes are {known}")))
            }
        }
    }

    fn shape(&self, port: &Port, tensor: &Tensor, block: &mut [i64]) -> Result<(), RunError> {
        if tensor.dtype() != port.dtype || tensor.shape().len() != port.dims.len() {
            return Err(self.misfit(port, tensor));
        }
        for (dim, extent) in port.dims.iter().zip(tensor.shape()) {
            let Some(slot) = dim.as_slot() else { continue };
            let (SlotDef::Given { name, .. }, Ok(extent)) = (self.slots.def(slot), i64::try_from(*extent)) else {
                continue;
            };
            match block[slot.0 as usize] {
                UNBOUND => self.put(slot, extent, block).map_err(|error| error.at(self.meta, port.source))?,
                bound if bound != extent => {
                    let mut error = self.misfit(port, tensor);
                    error.message += &format!(", and {name} is {bound} here");
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Binds a given slot, within its range.
    fn put(&self, slot: Slot, value: i64, block: &mut [i64]) -> Result<(), RunError> {
        if let SlotDef::Given { name, lo, hi, .. } = self.slots.def(slot)
            && !(*lo..=*hi).contains(&value)
        {
            let range = if *hi == i64::MAX { format!("below {lo}") } else { format!("outside {lo}..={hi}") };
            return Err(RunError::new("MDL0702", format!("{name} = {value} is {range}")).at(self.meta, self.source()));
        }
        block[slot.0 as usize] = value;
        Ok(())
    }

    fn misfit(&self, port: &Port, tensor: &Tensor) -> RunError {
        let (shape, takes, entry) = (tensor.shape(), port.show(self.slots), &self.entry.name);
        let given = match tensor.dtype() == port.dtype {
            true => format!("has shape {shape:?}"),
            false => format!("is {} of shape {shape:?}", tensor.dtype()),
        };
        let mut message = format!("input `{}` {given}; `{entry}` takes {takes}", port.name);
        if let Some(shape) = reshaped(port, tensor) {
            message += &format!("; reshape it to {shape:?}");
        }
        RunError::new("MDL0701", message).at(self.meta, port.source)
    }

    fn guards(&self, block: &[i64]) -> Result<(), RunError> {
        let holds = |value: Option<i64>, zero: bool| value.is_some_and(|v| if zero { v == 0 } else { v >= 0 });
        match self.entry.guards.iter().find(|g| !holds(g.at_least_zero.eval(block), g.exactly_zero)) {
            None => Ok(()),
            Some(guard) => Err(RunError::new("MDL0702", guard.message.clone()).at(self.meta, guard.source)),
        }
    }
}

/// The shape with as many elements that a port takes, where its type leaves one dim open and the tensor has other axes.
fn reshaped(port: &Port, tensor: &Tensor) -> Option<Vec<i64>> {
    let known: Vec<Option<i64>> = port.dims.iter().map(Dim::as_constant).collect();
    let product = known.iter().flatten().try_fold(1i64, |n, d| n.checked_mul(*d)).filter(|n| *n > 0)?;
    let elements = i64::try_from(tensor.len()).ok()?;
    let open = known.iter().filter(|dim| dim.is_none()).count();
    let fits =
        tensor.dtype() == port.dtype && open <= 1 && elements % product == 0 && (open == 1 || elements == product);
    fits.then(|| known.into_iter().map(|dim| dim.unwrap_or(elements / product)).collect())
}
