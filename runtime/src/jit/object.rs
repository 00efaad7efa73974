//! Kernels as a relocatable object file, for `--emit obj`. The caller of its functions does what a session does: it finds
//! the sizes and buffers, and checks them.

use super::code::symbol;
use super::compile::{compile, define};
use super::{Cpu, JitError};
use cranelift_module::{Linkage, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use mlc_codegen::cpu::signature;
use mlc_codegen::kernel::Kernel;
use std::str::FromStr;
use target_lexicon::Triple;

/// What an object file is for.
#[derive(Clone, Debug)]
pub struct ObjectTarget {
    /// A target triple, or `None` for this machine.
    pub triple: Option<String>,
    /// The level of its CPU.
    pub cpu: Cpu,
}

/// An object file with one global function for each kernel, `mlc_kernel_N_NAME(buffers, sizes, part, parts)`.
///
/// # Errors
/// The triple is unknown, or Cranelift refuses a kernel.
pub fn object(kernels: &[Kernel], name: &str, target: &ObjectTarget) -> Result<Vec<u8>, JitError> {
    let triple = match &target.triple {
        None => Triple::host(),
        Some(word) => {
            Triple::from_str(word).map_err(|error| JitError::Target { triple: word.clone(), why: error.to_string() })?
        }
    };
    let target = target.cpu.target(&triple, true)?;
    let compiled = compile(kernels, &target, false)?;
    let refused = |error: String| JitError::Module(error);
    let builder =
        ObjectBuilder::new(target.driver, name, default_libcall_names()).map_err(|e| refused(e.to_string()))?;
    let mut module = ObjectModule::new(builder);
    define(&mut module, &compiled, &mut |module, i| {
        module
            .declare_function(&symbol(i, &kernels[i]), Linkage::Export, &signature())
            .map_err(|error| JitError::Module(error.to_string()))
    })?;
    module.finish().emit().map_err(|error| refused(error.to_string()))
}
