//! Kernels to executable memory: mapped once, freed when dropped.

use cranelift_codegen::Context;
use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable, Flags};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, Module, ModuleReloc, ModuleRelocTarget, default_libcall_names};
use mlc_codegen::base::Dim;
use mlc_codegen::cpu::{Code as Lowered, Isa, lower, signature};
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
    entries: Vec<(Entry, Dim)>,
    /// `None` only while it is dropped.
    module: Option<JITModule>,
}

// SAFETY: after `finalize_definitions` the module is never touched again but to free it, and code is only read.
unsafe impl Sync for Code {}

/// The functions of a kernel, numbered from 0; the last is the entry.
struct Compiled {
    functions: Vec<(Vec<u8>, Vec<ModuleReloc>)>,
    scratch: Dim,
}

impl Code {
    /// Verifies and compiles every kernel of a plan, on two threads.
    pub(crate) fn compile(plan: &Plan) -> Result<Code, JitError> {
        for kernel in &plan.kernels {
            verify(kernel, plan.slots.len() as u32)
                .map_err(|why| JitError::Refused { kernel: kernel.name.clone(), why })?;
        }
        let machine = Machine { leaf: host("none")?, entry: host("speed")? };
        let compiled = compile_all(&plan.kernels, &machine)?;
        Code::map(compiled, machine.entry)
    }

    fn map(kernels: Vec<Compiled>, isa: OwnedTargetIsa) -> Result<Code, JitError> {
        let all = kernels.iter().flat_map(|kernel| &kernel.functions);
        let need: usize = all.map(|(bytes, _)| bytes.len().next_multiple_of(PAGE) + PAGE).sum();
        let arena = ArenaMemoryProvider::new_with_size(need + PAGE).map_err(machine)?;
        let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
        builder.memory_provider(Box::new(arena));
        let mut code = Code { entries: vec![], module: Some(JITModule::new(builder)) };
        let module = code.module.as_mut().expect("it was just put there");
        let mut entries = Vec::new();
        for kernel in kernels {
            let mut own: Vec<FuncId> = Vec::new();
            for _ in &kernel.functions {
                own.push(module.declare_anonymous_function(&signature()).map_err(machine)?);
            }
            for ((bytes, relocations), id) in kernel.functions.iter().zip(&own) {
                let relocations: Vec<ModuleReloc> = relocations.iter().map(|r| joined(r, &own)).collect();
                module.define_function_bytes(*id, 64, bytes, &relocations).map_err(machine)?;
            }
            entries.push((*own.last().expect("a kernel has an entry"), kernel.scratch));
        }
        module.finalize_definitions().map_err(machine)?;
        let addresses = entries.into_iter().map(|(id, scratch)| (module.get_finalized_function(id), scratch));
        for (address, scratch) in addresses.collect::<Vec<_>>() {
            // SAFETY: the function at this address was compiled with the four words of `Entry` as parameters.
            code.entries.push((unsafe { std::mem::transmute::<*const u8, Entry>(address) }, scratch));
        }
        Ok(code)
    }

    /// The function of a kernel, and the bytes of scratch that it needs for each part.
    pub(super) fn entry(&self, kernel: usize) -> (Entry, &Dim) {
        let (entry, scratch) = &self.entries[kernel];
        (*entry, scratch)
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

/// Cranelift for this machine: leaves keep the order they were written in, entries are optimised.
struct Machine {
    leaf: OwnedTargetIsa,
    entry: OwnedTargetIsa,
}

fn host(opt_level: &str) -> Result<OwnedTargetIsa, JitError> {
    let mut flags = settings::builder();
    let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in [("opt_level", opt_level), ("enable_verifier", verifier), ("is_pic", "false")] {
        flags.set(name, value).map_err(machine)?;
    }
    cranelift_native::builder().map_err(machine)?.finish(Flags::new(flags)).map_err(machine)
}

/// The instruction set that kernels may use here.
fn instructions() -> Isa {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        return Isa::Avx2;
    }
    Isa::Portable
}

/// The relocation with a kernel's own function number replaced by the module's.
fn joined(relocation: &ModuleReloc, own: &[FuncId]) -> ModuleReloc {
    let name = match &relocation.name {
        ModuleRelocTarget::User { namespace: 0, index } => ModuleRelocTarget::from(own[*index as usize]),
        ModuleRelocTarget::FunctionOffset(id, offset) => {
            ModuleRelocTarget::FunctionOffset(own[id.as_u32() as usize], *offset)
        }
        other => other.clone(),
    };
    ModuleReloc { name, ..relocation.clone() }
}

/// Kernels are taken in turn by two threads; the order of the results is the kernels'.
fn compile_all(kernels: &[Kernel], machine: &Machine) -> Result<Vec<Compiled>, JitError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(kernel) = kernels.get(i) else { return done };
            done.push((i, compile(kernel, machine)));
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

fn compile(kernel: &Kernel, target: &Machine) -> Result<Compiled, JitError> {
    let lowered = lower(kernel, instructions(), target.entry.frontend_config(), 0);
    let last = lowered.functions.len() - 1;
    let functions = lowered.functions.into_iter().enumerate().map(|(i, code)| match code {
        Lowered::Bytes(bytes) => Ok((bytes, vec![])),
        Lowered::Clif(mut function) => {
            function.name = UserFuncName::user(0, i as u32);
            let isa = if i == last { &target.entry } else { &target.leaf };
            let mut context = Context::for_function(*function);
            context.compile(&**isa, &mut Default::default()).map_err(|error| machine(error.inner))?;
            let code = context.compiled_code().expect("it was just compiled");
            let id = FuncId::from_u32(i as u32);
            let relocations = code.buffer.relocs().iter().map(|r| ModuleReloc::from_mach_reloc(r, &context.func, id));
            Ok((code.code_buffer().to_vec(), relocations.collect()))
        }
    });
    Ok(Compiled { functions: functions.collect::<Result<_, _>>()?, scratch: lowered.scratch })
}
