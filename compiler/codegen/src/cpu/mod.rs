//! Kernels to machine code, as data. Knows skeletons and expressions, never tensor ops, and runs nothing.
//!
//! Every kernel is lowered through its `loops` form, element by element. Sums run in the order of the axes and each
//! element is computed by one part, so results do not depend on the number of parts.

mod convert;
mod driver;
mod functions;
mod loops;
mod math;
mod scalar;

use crate::kernel::Kernel;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, Signature, UserFuncName};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use driver::Driver;

/// The signature of every kernel: `(buffers: *const *mut u8, size block: *const i64, part: i64, parts: i64)`.
pub fn signature() -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend((0..4).map(|_| AbiParam::new(I64)));
    signature
}

/// Lowers a verified kernel to a function for Cranelift to compile.
pub fn lower(kernel: &Kernel, target: TargetFrontendConfig) -> Function {
    let general = kernel.as_loops();
    let types = general.types();
    let mut function = Function::with_name_signature(UserFuncName::user(0, 0), signature());
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let start = b.create_block();
    b.append_block_params_for_function_params(start);
    b.switch_to_block(start);
    let mut driver = Driver::new(b, &general, &types);
    loops::lower(&mut driver);
    let mut b = driver.b;
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(target);
    function
}
