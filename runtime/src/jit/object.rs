//! Kernels as a relocatable object file, for `--emit obj`. The caller of its functions does what a session does: it finds
//! the sizes and buffers, and checks them.

use super::code::symbol;
use super::compile::{compile, define};
use super::{CodeTarget, JitError};
use crate::pool::Pool;
use cranelift_codegen::Context;
use cranelift_module::{Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use mlc_codegen::cpu::{measure, signature};
use mlc_codegen::kernel::Kernel;

/// An object file with two global functions for each kernel: `mlc_kernel_N_NAME(buffers, sizes, part, parts)`, and
/// `mlc_scratch_N_NAME(sizes)`, the bytes of scratch that each part of it needs.
///
/// # Errors
/// The target is unknown, or Cranelift refuses a kernel.
pub fn object(kernels: &[Kernel], name: &str, target: &CodeTarget) -> Result<Vec<u8>, JitError> {
    let (_, target) = target.resolve(true)?;
    let frontend = target.driver.frontend_config();
    let compiled = compile(&kernels.iter().collect::<Vec<_>>(), &target, &Pool::new(0), false)?;
    let refused = |error: String| JitError::Module(error);
    let builder =
        ObjectBuilder::new(target.driver, name, default_libcall_names()).map_err(|e| refused(e.to_string()))?;
    let mut module = ObjectModule::new(builder);
    define(&mut module, &compiled, &mut |module, i| {
        module
            .declare_function(&symbol("kernel", i, &kernels[i]), Linkage::Export, &signature())
            .map_err(|error| JitError::Module(error.to_string()))
    })?;
    for (i, kernel) in compiled.iter().enumerate() {
        let function = measure(&kernel.scratch, frontend);
        let id = module
            .declare_function(&symbol("scratch", i, &kernels[i]), Linkage::Export, &function.signature)
            .map_err(|error| refused(error.to_string()))?;
        let mut context = Context::for_function(function);
        module.define_function(id, &mut context).map_err(|error| refused(error.to_string()))?;
    }
    module.finish().emit().map_err(|error| refused(error.to_string()))
}
