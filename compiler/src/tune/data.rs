//! A data set: arrays of one file, samples along axis 0.

use super::error::TuneError;
use crate::runner::{Inputs, Interface};
use mlc_codegen::base::SlotDef;
use mlc_codegen::kernel::Port;
use mlc_runtime::npz::read_npz;
use mlc_runtime::tensor::Tensor;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How many samples a call takes where the model sets no bound.
const UNBOUNDED: usize = 64;

/// The arrays of a file.
pub struct DataSet {
    path: PathBuf,
    arrays: Vec<(String, Tensor)>,
}

/// How samples go into calls.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    /// All that the data set holds.
    pub all: usize,
    /// Those that are used, the first ones.
    pub samples: usize,
    /// In a call; the last may have fewer.
    pub size: usize,
    /// Whether every call takes just so many.
    pub fixed: bool,
}

impl Batches {
    /// The first samples, at most so many, in calls of at most `size` where the entry takes fewer than it could.
    pub fn at_most(self, samples: usize, size: usize) -> Batches {
        let samples = self.samples.min(samples);
        match self.fixed {
            true => Batches { samples: (samples - samples % self.size).max(self.size).min(self.all), ..self },
            false => Batches { samples, size: self.size.min(size), ..self },
        }
    }

    /// The samples of each call.
    pub fn ranges(self) -> impl ExactSizeIterator<Item = Range<usize>> {
        let count = self.samples.div_ceil(self.size.max(1));
        (0..count).map(move |i| i * self.size..((i + 1) * self.size).min(self.samples))
    }
}

impl DataSet {
    /// Reads an npz or safetensors file.
    pub fn open(path: &Path) -> Result<DataSet, TuneError> {
        Ok(DataSet { path: path.into(), arrays: read_npz(path)? })
    }

    /// What tells the file from others, as hexadecimal digits.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub fn hash(&self) -> Result<String, TuneError> {
        let read = std::fs::read(&self.path);
        let bytes = read.map_err(|cause| TuneError::data(format!("cannot read `{}`: {cause}", self.path.display())))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// Whether there is an array of this key.
    pub fn has(&self, key: &str) -> bool {
        self.arrays.iter().any(|(name, _)| name == key)
    }

    /// The array of a key.
    pub fn get(&self, key: &str) -> Result<&Tensor, TuneError> {
        let found = self.arrays.iter().find(|(name, _)| name == key);
        found.map(|(_, tensor)| tensor).ok_or_else(|| {
            let names: Vec<String> = self.arrays.iter().map(|(name, x)| format!("`{name}` {}", sketch(x))).collect();
            TuneError::data(format!("`{}` has no `{key}`; it has {}", self.path.display(), names.join(", ")))
        })
    }

    /// An array of numbers, one or a row for each sample.
    pub fn target(&self, key: &str, shape: &[usize], integers: bool) -> Result<&Tensor, TuneError> {
        let found = self.get(key)?;
        if found.shape() == shape && found.dtype().is_integer() == integers {
            return Ok(found);
        }
        let what = if integers { "integers" } else { "floats" };
        Err(TuneError::data(format!("`{key}` must be {what} of shape {shape:?}, found {}", sketch(found))))
    }

    /// How the samples of an entry's inputs are cut; the keys are the inputs' names and `suffix`.
    pub fn batches(&self, interface: &Interface, suffix: &str) -> Result<Batches, TuneError> {
        let mut batches: Option<(Batches, &str)> = None;
        for port in &interface.inputs {
            let data = self.get(&format!("{}{suffix}", port.name))?;
            let wanted = || port.show(&interface.slots);
            let (size, fixed) = match data.shape().len().checked_sub(port.dims.len()) {
                Some(0) if !port.dims.is_empty() => per_call(port, interface),
                Some(1) => (1, true),
                _ => {
                    let message =
                        format!("`{}{suffix}` is {}, and the entry takes {}", port.name, sketch(data), wanted());
                    return Err(TuneError::data(message));
                }
            };
            let samples = data.shape()[0];
            if let Some((before, other)) = batches
                && before.all != samples
            {
                let message = format!("`{other}` has {} samples, `{}` has {samples}", before.all, port.name);
                return Err(TuneError::data(message));
            }
            let size = batches.map_or(size, |(before, _)| before.size.min(size));
            let fixed = fixed || batches.is_some_and(|(before, _)| before.fixed);
            batches = Some((Batches { all: samples, samples, size, fixed }, &port.name));
        }
        let none = || TuneError::data(format!("`{}` takes no tensor to measure it on", interface.entry));
        batches.map(|(batches, _)| batches).ok_or_else(none)
    }

    /// Refuses inputs that hold what is no finite number in the first samples.
    ///
    /// # Errors
    /// The first such input, by its name and its sample.
    pub fn require_finite(&self, interface: &Interface, suffix: &str, samples: usize) -> Result<(), TuneError> {
        for port in &interface.inputs {
            let data = self.get(&format!("{}{suffix}", port.name))?;
            if !data.dtype().is_float() {
                continue;
            }
            let each = data.len() / data.shape().first().copied().unwrap_or(1).max(1);
            let numbers = data.to_f64_vec();
            if let Some(at) = numbers[..each * samples].iter().position(|number| !number.is_finite()) {
                let (name, found, sample) = (&port.name, numbers[at], at / each.max(1));
                let message = format!("`{name}` of `{}` holds {found} in sample {sample}", self.path.display());
                return Err(TuneError::data(message));
            }
        }
        Ok(())
    }

    /// The inputs of a call on some samples.
    pub fn inputs(&self, interface: &Interface, suffix: &str, range: Range<usize>) -> Result<Inputs, TuneError> {
        let mut inputs = Inputs::default();
        for port in &interface.inputs {
            let data = rows(self.get(&format!("{}{suffix}", port.name))?, range.clone())?;
            let data = match data.shape().len() > port.dims.len() {
                true => {
                    let shape = data.shape()[1..].to_vec();
                    data.reshape(shape)?
                }
                false => data,
            };
            inputs.tensors.push((port.name.clone(), data));
        }
        for (name, _) in &interface.sizes {
            let value = self.get(name)?;
            if value.len() != 1 || !value.dtype().is_integer() {
                let message = format!("`{name}` is a size, one integer for all samples; found {}", sketch(value));
                return Err(TuneError::data(message));
            }
            inputs.sizes.push((name.clone(), value.get(0).as_i64()));
        }
        Ok(inputs)
    }
}

/// The samples that a call takes, the bound of the first axis, and whether it takes no other number.
fn per_call(port: &Port, interface: &Interface) -> (usize, bool) {
    let (bound, fixed) = match port.dims[0].as_constant() {
        Some(fixed) => (Some(fixed), true),
        None => match port.dims[0].as_slot().map(|slot| interface.slots.def(slot)) {
            Some(SlotDef::Given { lo, hi, .. }) if *hi != i64::MAX => (Some(*hi), lo == hi),
            _ => (None, false),
        },
    };
    (bound.and_then(|bound| usize::try_from(bound).ok()).unwrap_or(UNBOUNDED).max(1), fixed)
}

/// Positions `range` of axis 0.
pub fn rows(tensor: &Tensor, range: Range<usize>) -> Result<Tensor, TuneError> {
    let inner: usize = tensor.shape()[1..].iter().product();
    let shape = [&[range.len()], &tensor.shape()[1..]].concat();
    let bits = inner * tensor.dtype().bits() as usize;
    if bits.is_multiple_of(8) {
        let bytes = &tensor.bytes()[range.start * bits / 8..range.end * bits / 8];
        return Ok(Tensor::new(tensor.dtype(), shape, bytes)?);
    }
    Ok(Tensor::from_fn(tensor.dtype(), shape, |i| tensor.get(range.start * inner + i))?)
}

/// `f32[256, 784]`.
pub fn sketch(tensor: &Tensor) -> String {
    if tensor.shape().is_empty() {
        return tensor.dtype().to_string();
    }
    let dims: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    format!("{}[{}]", tensor.dtype(), dims.join(", "))
}
