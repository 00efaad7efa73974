//! Kernels to functions: bytes, relocations, and for listings the text between. Runs nothing.
//!
//! Each kernel is lowered and compiled by itself with functions numbered from 0, so that kernels can be compiled side by
//! side; whoever joins them in a module shifts the numbers.

use super::cpu::Target;
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Function as Clif, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_module::{FuncId, Module, ModuleReloc, ModuleRelocTarget};
use mlc_codegen::base::Dim;
use mlc_codegen::cpu::{Code, Lowered, Probe, lower, signature};
use mlc_codegen::kernel::{Kernel, PlanError};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Kernels that cannot become code.
#[derive(Debug, thiserror::Error)]
pub enum JitError {
    /// The machine lacks what the level asks for.
    #[error("this machine's CPU has not all of {level}")]
    Cpu {
        /// The level's name.
        level: &'static str,
    },
    /// Cranelift does not know the target.
    #[error("no code for {triple}: {why}")]
    Target {
        /// The target.
        triple: String,
        /// Cranelift's reason.
        why: String,
    },
    /// Cranelift refuses a function.
    #[error("kernel `{kernel}`: {why}")]
    Function {
        /// The kernel's name.
        kernel: String,
        /// Cranelift's reason.
        why: String,
    },
    /// The module that joins the functions refuses.
    #[error("{0}")]
    Module(String),
    /// A plan that must not run.
    #[error("the plan is damaged: {0}")]
    Plan(#[from] PlanError),
}

impl JitError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        match self {
            JitError::Plan(_) => "MDL0709",
            _ => "MDL0603",
        }
    }
}

/// Functions start at multiples of so many bytes.
const ALIGNMENT: u64 = 16;

/// A compiled function.
pub(super) struct Function {
    pub(super) bytes: Vec<u8>,
    align: u64,
    pub(super) relocs: Vec<ModuleReloc>,
    pub(super) text: Option<Text>,
}

/// What Cranelift says of a function that it compiled.
pub(super) struct Text {
    /// Its input.
    pub(super) clif: String,
    /// Its output: instructions of the target.
    pub(super) instructions: String,
}

/// The functions of a kernel, numbered from 0; the last is the entry.
pub(super) struct CompiledKernel {
    pub(super) functions: Vec<Function>,
    /// Bytes of scratch for each part.
    pub(super) scratch: Dim,
    /// How it was lowered.
    pub(super) path: &'static str,
}

/// Compiles kernels on two threads; the order of the results is the kernels'.
pub(super) fn compile(kernels: &[Kernel], target: &Target, text: bool) -> Result<Vec<CompiledKernel>, JitError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((i, kernel)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, kernels.get(i)?)))
        {
            done.push((i, compile_kernel(kernel, target, text)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let helper = (kernels.len() > 1).then(|| scope.spawn(work));
        let mut done = work();
        if let Some(helper) = helper {
            done.extend(helper.join().unwrap_or_else(|payload| resume_unwind(payload)));
        }
        done
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

fn compile_kernel(kernel: &Kernel, target: &Target, text: bool) -> Result<CompiledKernel, JitError> {
    let lowered = lower(kernel, target.isa, target.driver.frontend_config(), 0);
    finish(lowered, &kernel.name, target, text)
}

/// A probe of the machine as if it were a kernel.
pub(super) fn compile_probe(probe: Probe, target: &Target) -> Result<CompiledKernel, JitError> {
    finish(probe.lower(target.isa, target.driver.frontend_config()), "probe", target, false)
}

fn finish(lowered: Lowered, name: &str, target: &Target, text: bool) -> Result<CompiledKernel, JitError> {
    let last = lowered.functions.len() - 1;
    let functions = lowered.functions.into_iter().enumerate().map(|(i, code)| match code {
        Code::Bytes(bytes) => Ok(Function { bytes, align: ALIGNMENT, relocs: vec![], text: None }),
        Code::Clif(mut function) => {
            function.name = UserFuncName::user(0, i as u32);
            let isa = if i == last { &target.driver } else { &target.leaf };
            translate(*function, isa, i, text).map_err(|why| JitError::Function { kernel: name.into(), why })
        }
    });
    let functions = functions.collect::<Result<Vec<_>, _>>()?;
    Ok(CompiledKernel { functions, scratch: lowered.scratch, path: lowered.path })
}

/// Machine code of one function, the `number`th of its kernel.
fn translate(function: Clif, isa: &OwnedTargetIsa, number: usize, text: bool) -> Result<Function, String> {
    let clif = text.then(|| function.display().to_string());
    let mut context = Context::for_function(function);
    context.set_disasm(text);
    context.compile(&**isa, &mut Default::default()).map_err(|error| error.inner.to_string())?;
    let code = context.take_compiled_code().expect("it was just compiled");
    let id = FuncId::from_u32(number as u32);
    let relocs = code.buffer.relocs().iter().map(|r| ModuleReloc::from_mach_reloc(r, &context.func, id)).collect();
    let align = u64::from(code.buffer.alignment).max(ALIGNMENT);
    let instructions = code.vcode.clone().unwrap_or_default();
    let text = clif.map(|clif| Text { clif, instructions });
    Ok(Function { bytes: code.code_buffer().to_vec(), align, relocs, text })
}

/// Defines the functions of all kernels in a module, entries as `declare` says; gives the entries.
pub(super) fn define(
    module: &mut dyn Module,
    kernels: &[CompiledKernel],
    declare: &mut dyn FnMut(&mut dyn Module, usize) -> Result<FuncId, JitError>,
) -> Result<Vec<FuncId>, JitError> {
    let refused = |error: cranelift_module::ModuleError| JitError::Module(error.to_string());
    let mut ids: Vec<Vec<FuncId>> = Vec::new();
    for (i, kernel) in kernels.iter().enumerate() {
        let leaves =
            (1..kernel.functions.len()).map(|_| module.declare_anonymous_function(&signature()).map_err(refused));
        let mut own = leaves.collect::<Result<Vec<_>, _>>()?;
        own.push(declare(module, i)?);
        ids.push(own);
    }
    for (kernel, own) in kernels.iter().zip(&ids) {
        for (function, id) in kernel.functions.iter().zip(own) {
            let relocs: Vec<_> = function.relocs.iter().map(|reloc| shifted(reloc, own)).collect();
            module.define_function_bytes(*id, function.align, &function.bytes, &relocs).map_err(refused)?;
        }
    }
    Ok(ids.iter().map(|own| *own.last().expect("a kernel has an entry")).collect())
}

/// The relocation with a kernel's own function number replaced by the module's.
fn shifted(reloc: &ModuleReloc, own: &[FuncId]) -> ModuleReloc {
    let name = match &reloc.name {
        ModuleRelocTarget::User { namespace: 0, index } => ModuleRelocTarget::from(own[*index as usize]),
        ModuleRelocTarget::FunctionOffset(id, offset) => {
            ModuleRelocTarget::FunctionOffset(own[id.as_u32() as usize], *offset)
        }
        other => other.clone(),
    };
    ModuleReloc { name, ..reloc.clone() }
}
