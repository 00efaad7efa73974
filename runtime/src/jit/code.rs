//! Kernels to executable memory: mapped once, freed when dropped.

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable, Flags};
use cranelift_codegen::{Context, ir::Function};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{Module, ModuleReloc, default_libcall_names};
use mlc_codegen::cpu::{lower, signature};
use mlc_codegen::kernel::{Kernel, Plan, VerifyError, verify};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Kernels that cannot become code.
#[derive(Debug, thiserror::Error)]
pub enum JitError {
    /// A kernel that must not run.
    #[error("kernel `{kernel}`: {why}")]
    Refused {
        /// Its name.
        kernel: String,
        /// What is wrong with it.
        why: VerifyError,
    },
    /// The machine or Cranelift says no.
    #[error("no machine code can be made here: {0}")]
    Machine(String),
}

/// The kernel ABI: buffers, size block, part, parts.
pub(super) type Entry = unsafe extern "C" fn(*const *mut u8, *const i64, i64, i64);

/// Room that the arena may lose to each function: it grows by whole pages.
const PAGE: usize = 1 << 16;

/// The code of a plan's kernels.
pub(crate) struct Code {
    entries: Vec<Entry>,
    /// `None` only while it is dropped.
    module: Option<JITModule>,
}

// SAFETY: after `finalize_definitions` the module is never touched again but to free it, and code is only read.
unsafe impl Sync for Code {}

struct Compiled {
    bytes: Vec<u8>,
    relocations: Vec<ModuleReloc>,
}

impl Code {
    /// Verifies and compiles every kernel of a plan, on two threads.
    pub(crate) fn compile(plan: &Plan) -> Result<Code, JitError> {
        for kernel in &plan.kernels {
            verify(kernel, plan.slots.len() as u32)
                .map_err(|why| JitError::Refused { kernel: kernel.name.clone(), why })?;
        }
        let isa = host()?;
        let compiled = compile_all(&plan.kernels, &isa)?;
        Code::map(compiled, isa)
    }

    fn map(functions: Vec<Compiled>, isa: OwnedTargetIsa) -> Result<Code, JitError> {
        let need: usize = functions.iter().map(|f| f.bytes.len().next_multiple_of(PAGE) + PAGE).sum();
        let arena = ArenaMemoryProvider::new_with_size(need + PAGE).map_err(machine)?;
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        builder.memory_provider(Box::new(arena));
        let mut code = Code { entries: vec![], module: Some(JITModule::new(builder)) };
        let module = code.module.as_mut().expect("it was just put there");
        let mut ids = Vec::new();
        for function in functions {
            let id = module.declare_anonymous_function(&signature()).map_err(machine)?;
            module.define_function_bytes(id, 64, &function.bytes, &function.relocations).map_err(machine)?;
            ids.push(id);
        }
        module.finalize_definitions().map_err(machine)?;
        let addresses: Vec<*const u8> = ids.iter().map(|id| module.get_finalized_function(*id)).collect();
        for address in addresses {
            // SAFETY: the function at this address was compiled with the four words of `Entry` as parameters.
            code.entries.push(unsafe { std::mem::transmute::<*const u8, Entry>(address) });
        }
        Ok(code)
    }

    /// The function of a kernel.
    pub(super) fn entry(&self, kernel: usize) -> Entry {
        self.entries[kernel]
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

fn machine(error: impl std::fmt::Display) -> JitError {
    JitError::Machine(error.to_string())
}

fn host() -> Result<OwnedTargetIsa, JitError> {
    let mut flags = settings::builder();
    let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [("opt_level", "speed"), ("enable_verifier", verifier), ("is_pic", "false")] {
        flags.set(name, value).map_err(machine)?;
    }
    cranelift_native::builder().map_err(machine)?.finish(Flags::new(flags)).map_err(machine)
}

/// Kernels are taken in turn by two threads; the order of the results is the kernels'.
fn compile_all(kernels: &[Kernel], isa: &OwnedTargetIsa) -> Result<Vec<Compiled>, JitError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(kernel) = kernels.get(i) else { return done };
            done.push((i, compile(lower(kernel, isa.frontend_config()), isa)));
        }
    };
    let mut done = thread::scope(|scope| {
        let helper = (kernels.len() > 1).then(|| scope.spawn(work));
        let mut done = work();
        if let Some(helper) = helper {
            done.extend(helper.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)));
        }
        done
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, compiled)| compiled).collect()
}

fn compile(function: Function, isa: &OwnedTargetIsa) -> Result<Compiled, JitError> {
    let mut context = Context::for_function(function);
    context.compile(&**isa, &mut Default::default()).map_err(|error| machine(error.inner))?;
    let code = context.compiled_code().expect("it was just compiled");
    let id = cranelift_module::FuncId::from_u32(0);
    let relocations = code.buffer.relocs().iter().map(|r| ModuleReloc::from_mach_reloc(r, &context.func, id)).collect();
    Ok(Compiled { bytes: code.code_buffer().to_vec(), relocations })
}
