//! Executable memory: mapped once, freed when dropped.

use super::compile::{CompiledKernel, Function, define};
use super::cpu::Target;
use super::{JitError, Region};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::default_libcall_names;
use mlc_codegen::cpu::signature;
use mlc_codegen::kernel::Kernel;

/// The kernel ABI: buffers, size block, part, parts.
type Entry = unsafe extern "C" fn(*const *mut u8, *const i64, i64, i64);

/// Room that the arena may lose to each function: it grows by whole pages.
const PAGE: usize = 1 << 16;

/// Buffers of a call whose table lies on the stack.
const FEW: usize = 24;

/// The code of a plan's kernels.
pub(super) struct Code {
    entries: Vec<Entry>,
    /// `None` only while it is dropped.
    module: Option<JITModule>,
}

// SAFETY: after `finalize_definitions` the module is never touched again but to free it, and code is only read.
unsafe impl Sync for Code {}

impl Code {
    /// Maps compiled kernels. One reserve holds all of them, so that calls between them reach with 32 bits.
    pub(super) fn map(kernels: &[CompiledKernel], target: Target) -> Result<Code, JitError> {
        let need: usize = kernels.iter().flat_map(|k| &k.functions).map(Function::reserve).sum();
        let refused = |why: String| JitError::Module(why);
        let arena = ArenaMemoryProvider::new_with_size(need + PAGE).map_err(|error| refused(error.to_string()))?;
        let mut builder = JITBuilder::with_isa(target.driver, default_libcall_names());
        builder.memory_provider(Box::new(arena));
        let mut module = JITModule::new(builder);
        let defined = define(&mut module, kernels, &mut |module, _| {
            module.declare_anonymous_function(&signature()).map_err(|error| JitError::Module(error.to_string()))
        });
        let mut code = Code { entries: vec![], module: Some(module) };
        let ids = defined?;
        let module = code.module.as_mut().expect("it was just put there");
        module.finalize_definitions().map_err(|error| refused(error.to_string()))?;
        let addresses: Vec<*const u8> = ids.iter().map(|id| module.get_finalized_function(*id)).collect();
        for address in addresses {
            // SAFETY: the function at this address was compiled with the four words of `Entry` as parameters.
            code.entries.push(unsafe { std::mem::transmute::<*const u8, Entry>(address) });
        }
        Ok(code)
    }

    /// Runs one part of a kernel on its buffers, the scratch last.
    ///
    /// # Safety
    /// `check_plan` proved that the kernel stays inside these buffers for these sizes; the scratch is as large as lowering
    /// asked for, for each part.
    pub(super) unsafe fn call(&self, kernel: usize, buffers: &[Region], sizes: &[i64], part: usize, parts: usize) {
        let mut few = [std::ptr::null_mut(); FEW];
        let many: Vec<*mut u8>;
        let pointers = if buffers.len() <= FEW {
            few.iter_mut().zip(buffers).for_each(|(pointer, buffer)| *pointer = buffer.start);
            &few[..]
        } else {
            many = buffers.iter().map(|buffer| buffer.start).collect();
            &many[..]
        };
        // SAFETY: the caller's promise; the code is mapped as long as `self` lives.
        unsafe { (self.entries[kernel])(pointers.as_ptr(), sizes.as_ptr(), part as i64, parts as i64) }
    }
}

impl Function {
    /// Bytes of address space that the arena may take for it: it grows by whole pages.
    fn reserve(&self) -> usize {
        self.bytes.len().next_multiple_of(PAGE) + PAGE
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: entries are called through `&self` only, so that none runs now, and none is called again.
            unsafe { module.free_memory() };
        }
    }
}

/// What a kernel's function is called in an object file: its number, and its name as far as symbols can hold it.
pub(super) fn symbol(what: &str, number: usize, kernel: &Kernel) -> String {
    let name: String = kernel.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("mlc_{what}_{number}_{name}")
}
