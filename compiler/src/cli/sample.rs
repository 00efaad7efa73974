//! Inputs drawn for an entry: what a model is measured with where nobody gave data.

use anyhow::{Context, Result, bail};
use mlc_codegen::base::{DType, Dim, Slot, SlotDef};
use mlc_codegen::kernel::Port;
use mlc_runtime::session::Model;
use mlc_runtime::tensor::Tensor;

/// What an entry is called with.
pub(super) struct Inputs {
    pub(super) tensors: Vec<(String, Tensor)>,
    pub(super) sizes: Vec<(String, i64)>,
}

/// Draws the inputs of an entry. A dim or size that `at` does not name takes its least value.
pub(super) fn inputs(model: &Model, entry: Option<&str>, at: &[(String, i64)]) -> Result<Inputs> {
    let plan = &model.artifact().plan;
    let entry = match entry {
        None => plan.entries.first(),
        Some(name) => plan.entries.iter().find(|entry| entry.name == name),
    };
    let entry = entry.context("there is no such entry")?;
    let mut block = vec![0; plan.slots.len()];
    let mut names = Vec::new();
    for (slot, def) in plan.slots.iter() {
        let SlotDef::Given { name, lo, .. } = def else { continue };
        block[slot.0 as usize] = at.iter().rev().find(|(given, _)| given == name).map_or(*lo, |(_, value)| *value);
        names.push(name.as_str());
    }
    if let Some((name, _)) = at.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        bail!("the model has no dim or size `{name}`; it has {}", names.join(", "));
    }
    plan.slots.fill(&mut block)?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let tensors = entry.inputs.iter().map(|port| Ok((port.name.clone(), random.tensor(port, &block)?)));
    let size = |(name, slot): &(String, Slot)| (name.clone(), block[slot.0 as usize]);
    Ok(Inputs { tensors: tensors.collect::<Result<_>>()?, sizes: entry.sizes.iter().map(size).collect() })
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Floats in -1..1, `true` for bools, and 0 or 1 for integers, which any axis of two has.
    fn tensor(&mut self, port: &Port, block: &[i64]) -> Result<Tensor> {
        let extent = |dim: &Dim| dim.eval(block).and_then(|extent| usize::try_from(extent).ok());
        let shape: Option<Vec<usize>> = port.dims.iter().map(extent).collect();
        let shape = shape.with_context(|| format!("the shape of `{}` does not fit in 64 bits", port.name))?;
        let mut tensor = Tensor::zeros(port.dtype, shape)?;
        for i in 0..tensor.len() {
            let bits = self.next() >> 11;
            tensor.set_f64(
                i,
                match port.dtype {
                    DType::Bool => 1.0,
                    dtype if dtype.is_float() => bits as f64 / (1u64 << 52) as f64 - 1.0,
                    _ => (bits & 1) as f64,
                },
            );
        }
        Ok(tensor)
    }
}
