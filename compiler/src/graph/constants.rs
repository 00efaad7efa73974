//! The numbers of constants, read when they are asked for.

use super::{Constant, ConstantData, ConstantId, Graph};
use mlc_codegen::base::{DType, Storage};
use mlc_runtime::tensor::{Tensor, TensorError};
use mlc_runtime::weights::{Found, LoadError, dequantize};

/// Why a constant has no numbers.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    Weights(#[from] LoadError),
    /// The file has no such key any more, or two have it.
    #[error("no tensor named `{0}`")]
    Missing(String),
    /// They do not fit in memory.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl Graph {
    /// A constant as its storage has it: its numbers, or its packed groups as u8.
    ///
    /// # Errors
    /// As [`Graph::numbers`].
    pub fn stored(&self, constant: ConstantId) -> Result<Tensor, ReadError> {
        match &self.constants[constant] {
            Constant { storage: Storage::Packed(_), data: ConstantData::Tensor(bytes), .. } => Ok(bytes.clone()),
            Constant { storage: Storage::Packed(_), data: ConstantData::Weight(key), .. } => {
                let found = self.weight(key)?;
                let (_, bytes) = found.file.read_raw(found.name)?;
                Ok(Tensor::new(DType::U8, [bytes.len()], &bytes)?)
            }
            _ => self.numbers(constant),
        }
    }

    /// The numbers of a constant in the element type of its storage; those of a packed one as f32.
    ///
    /// # Errors
    /// The weight is gone, cannot be read, or does not fit in memory.
    pub fn numbers(&self, constant: ConstantId) -> Result<Tensor, ReadError> {
        let constant = &self.constants[constant];
        let tensor = match &constant.data {
            ConstantData::Tensor(tensor) => tensor.clone(),
            ConstantData::Weight(key) => {
                let found = self.weight(key)?;
                found.file.read(found.name)?
            }
        };
        match constant.storage {
            Storage::Plain(dtype) if tensor.dtype() != dtype => Ok(tensor.cast(dtype)?),
            Storage::Packed(packing) if matches!(constant.data, ConstantData::Tensor(_)) => {
                let shape = constant.ty.shape().into_iter().flatten().map(|dim| dim as usize).collect::<Vec<_>>();
                Ok(Tensor::from_f32(shape, dequantize(packing, tensor.bytes()))?)
            }
            _ => Ok(tensor),
        }
    }

    fn weight(&self, key: &str) -> Result<Found<'_>, ReadError> {
        self.weights.find(key).ok().flatten().ok_or_else(|| ReadError::Missing(key.to_owned()))
    }
}
