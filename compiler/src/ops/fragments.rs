//! Expressions that several ops build.

use super::{At, Build};
use mlc_codegen::base::DType;
use mlc_codegen::kernel::{ExprId, Node};

/// An element of an input in a compute type.
pub(super) fn input_as(k: &mut dyn Build, input: usize, at: &[At], compute: DType) -> ExprId {
    let element = k.input(input, at);
    let kernel = k.kernel();
    let same = match &kernel.expr.nodes[element.0 as usize] {
        Node::Operand(operand) => kernel.buffer(kernel.operand(*operand).buffer).storage.compute() == compute,
        _ => false,
    };
    if same { element } else { k.convert(compute, element) }
}

/// Integers below 32 bits wrap after each op; everything else is left as it is.
pub(super) fn wrapped(k: &mut dyn Build, dtype: DType, value: ExprId) -> ExprId {
    if dtype.is_integer() && dtype.bits() < 32 { k.convert(dtype, value) } else { value }
}
