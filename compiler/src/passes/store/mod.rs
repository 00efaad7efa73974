//! `store`: weights kept in fewer bytes than the numbers that they are read as.
//! Invariant: the graph computes with what its constants hold; only the holding changes. All members of a family are kept
//! alike.

mod encode;

use super::constants::numbers;
use crate::graph::{ConstantData, ConstantId, Graph};
use mlc_codegen::base::{DType, Packing, Storage};
use mlc_runtime::tensor::Tensor;

/// Whether a constant of this type can be kept so.
pub fn can_keep(graph: &Graph, constant: ConstantId, storage: Storage) -> bool {
    let constant = &graph.constants[constant];
    let plain = constant.ty.dtype == DType::F32 && constant.storage == Storage::Plain(DType::F32);
    match storage {
        Storage::Plain(DType::F16 | DType::BF16) => plain,
        Storage::Packed(Packing::Q8_0 | Packing::Q4_0 | Packing::Q4_1) => {
            let last = constant.ty.dims.last().and_then(|dim| dim.as_constant());
            plain && constant.ty.rank() >= 2 && last.is_some_and(|last| last % 32 == 0)
        }
        _ => false,
    }
}

/// Keeps constants in another storage. Gives how many were changed; those that cannot be read, or hold what is no number,
/// stay as they are.
pub fn store(graph: &mut Graph, constants: &[(ConstantId, Storage)]) -> usize {
    let mut changed = 0;
    for (constant, storage) in constants {
        let kept = numbers(graph, *constant).filter(|_| can_keep(graph, *constant, *storage));
        let Some(tensor) = kept.and_then(|tensor| encoded(&tensor, *storage)) else { continue };
        let constant = &mut graph.constants[*constant];
        constant.storage = *storage;
        constant.data = ConstantData::Tensor(tensor);
        changed += 1;
    }
    changed
}

/// Gives constants other numbers of their shape and type.
pub fn replace(graph: &mut Graph, numbers: Vec<(ConstantId, Tensor)>) {
    for (constant, tensor) in numbers {
        let constant = &mut graph.constants[constant];
        constant.storage = Storage::Plain(tensor.dtype());
        constant.data = ConstantData::Tensor(tensor);
    }
}

/// The numbers as they are kept: in the narrower type, or as the bytes of groups.
fn encoded(tensor: &Tensor, storage: Storage) -> Option<Tensor> {
    match storage {
        Storage::Plain(dtype) => tensor.cast(dtype).ok(),
        Storage::Packed(packing) => {
            let bytes = encode::packed(&tensor.to_f32_vec(), packing)?;
            Tensor::new(DType::U8, [bytes.len()], &bytes).ok()
        }
        Storage::Interleaved(_) | Storage::Sparse(_) => None,
    }
}
