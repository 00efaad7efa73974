//! A contraction whose weights may be changed.

use super::super::constants::Family;
use super::super::rewrite::{Rewriter, Use};
use super::scales;
use crate::graph::{ConstantId, ValueId};
use crate::ops::OpKind;
use mlc_codegen::base::DType;
use std::collections::HashMap;

/// A convolution, einsum or matmul with a constant weight.
pub(super) struct Core {
    pub(super) found: Use,
    /// Which input is the weight.
    pub(super) place: usize,
    pub(super) weight: Family,
    /// The bias of a convolution.
    pub(super) bias: Option<Family>,
    /// For each axis of the result, the weight's axis that it walks.
    pub(super) axes: Vec<Option<usize>>,
    pub(super) rank: usize,
    pub(super) is_convolution: bool,
    /// The extent of axis 1 of a convolution's result.
    pub(super) channels: usize,
    pub(super) dtype: DType,
}

impl Core {
    /// The contraction that makes a value which nothing else uses.
    pub(super) fn of(cx: &Rewriter, value: ValueId, uses: &HashMap<ConstantId, u32>) -> Option<Core> {
        const OPS: [OpKind; 4] = [OpKind::Conv1d, OpKind::Conv2d, OpKind::Einsum, OpKind::Matmul];
        let found = cx.defined_by(value, &OPS).filter(|_| cx.uses(value) == 1)?;
        let (result, dtype) = (&found.results[0], found.results[0].dtype);
        let (rank, is_convolution) = (result.rank(), matches!(found.op, OpKind::Conv1d | OpKind::Conv2d));
        let constant = |input: usize| cx.family(*found.inputs.get(input)?);
        let (place, axes, bias) = if is_convolution {
            let bias = match found.inputs.len() {
                3 => Some(constant(2)?),
                _ => None,
            };
            (1, (0..rank).map(|axis| (axis == 1).then_some(0)).collect(), bias)
        } else {
            let place = (0..2).rev().find(|input| constant(*input).is_some())?;
            (place, weight_axes(&found, place)?, None)
        };
        let weight = constant(place)?;
        let shared = weight.members.iter().any(|member| uses.get(member).copied().unwrap_or(0) > 1);
        if shared || !scales(dtype) || found.types[place].dtype != dtype || !weight.is_plain(cx.graph) {
            return None;
        }
        let channels = if is_convolution { result.dims[1].as_constant()? as usize } else { 0 };
        Some(Core { place, weight, bias, axes, rank, is_convolution, channels, dtype, found })
    }
}

/// For each axis of the result, the one axis of an operand that walks with it.
fn weight_axes(found: &Use, place: usize) -> Option<Vec<Option<usize>>> {
    let whole = found.op.op().contraction(&found.call())?;
    if whole.operands.len() != 2 {
        return None;
    }
    let own = |axis: &usize| {
        let mut places = (0..whole.operands[place].len()).filter(|i| whole.operands[place][*i] == Some(*axis));
        places.next().filter(|_| places.next().is_none())
    };
    Some(whole.result.iter().map(own).collect())
}
