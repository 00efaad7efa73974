//! A dim as a function of the size block, for callers that are no session.

use crate::base::Dim;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, UserFuncName};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// The function `(size block: *const i64) -> i64` that evaluates a dim. Whoever calls it has made sure that the dim does
/// not leave 64 bits.
pub fn measure(dim: &Dim, target: TargetFrontendConfig) -> Function {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.push(AbiParam::new(I64));
    signature.returns.push(AbiParam::new(I64));
    let mut function = Function::with_name_signature(UserFuncName::user(0, 0), signature);
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let start = b.create_block();
    b.append_block_params_for_function_params(start);
    b.switch_to_block(start);
    let sizes = b.block_params(start)[0];
    let mut sum = b.ins().iconst(I64, 0);
    for (slots, coefficient) in dim.terms() {
        let mut product = b.ins().iconst(I64, *coefficient);
        for slot in slots {
            let flags = MemFlagsData::trusted().with_readonly();
            let factor = b.ins().load(I64, flags, sizes, slot.0 as i32 * 8);
            product = b.ins().imul(product, factor);
        }
        sum = b.ins().iadd(sum, product);
    }
    b.ins().return_(&[sum]);
    b.seal_all_blocks();
    b.finalize(target);
    function
}
