//! Models and calls that machine code and the reference evaluator must agree on.

pub(crate) mod drawn;
pub(crate) mod fetched;
pub(crate) mod random;
pub(crate) mod rules;

use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;
use std::path::PathBuf;

/// A model and what it is called with.
#[derive(Default)]
pub(crate) struct Program {
    /// The `.mdl` text.
    pub(crate) text: String,
    /// Where its weights lie.
    pub(crate) folder: Option<PathBuf>,
    /// The seed of weights that are drawn.
    pub(crate) random_weights: Option<u64>,
    /// Dims that take other values than the text gives.
    pub(crate) dims: Vec<(String, i64)>,
    /// In order, on one session.
    pub(crate) calls: Vec<Call>,
    /// How far apart outputs may be, of the greater of 1 and the magnitude.
    pub(crate) allowed: f64,
}

/// One call.
#[derive(Default)]
pub(crate) struct Call {
    /// The first entry where it is `None`.
    pub(crate) entry: Option<&'static str>,
    /// By name.
    pub(crate) inputs: Vec<(String, Tensor)>,
    /// By name.
    pub(crate) sizes: Vec<(&'static str, i64)>,
    /// Whether both must refuse it, with the same code.
    pub(crate) refused: bool,
}

impl Call {
    /// A call of the first entry.
    pub(crate) fn of(inputs: &[(&str, Tensor)]) -> Call {
        let inputs = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
        Call { inputs, ..Call::default() }
    }

    /// The same with a size.
    pub(crate) fn size(mut self, name: &'static str, value: i64) -> Call {
        self.sizes.push((name, value));
        self
    }
}

/// Numbers of a seed.
pub(crate) struct Draw(u64);

impl Draw {
    /// A stream of its own for each seed.
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Floats in -2..2.
    pub(crate) fn floats(&mut self, shape: &[usize]) -> Tensor {
        let number = |_| Scalar::F64((self.next() % 40_001) as f64 / 10_000.0 - 2.0);
        Tensor::from_fn(DType::F32, shape, number).expect("a small tensor")
    }

    /// Integers in `0..below`.
    pub(crate) fn integers(&mut self, shape: &[usize], below: u64) -> Tensor {
        let number = |_| Scalar::I64((self.next() % below) as i64);
        Tensor::from_fn(DType::I64, shape, number).expect("a small tensor")
    }
}
