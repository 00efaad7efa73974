//! Kernels as text, for `--emit clif` and `--emit asm`.

use super::code::symbol;
use super::compile::{CompiledKernel, Function, compile};
use super::disassembly::disassemble;
use super::{CodeTarget, JitError};
use crate::pool::Pool;
use cranelift_module::{ModuleReloc, ModuleRelocTarget, default_libcall_names};
use mlc_codegen::kernel::Kernel;
use std::collections::BTreeMap;
use target_lexicon::Architecture;

/// A kernel and the functions that it becomes, the entry last.
#[derive(Clone, Debug)]
pub struct KernelListing {
    /// The kernel's name.
    pub name: String,
    /// How it was lowered.
    pub path: String,
    /// Its functions.
    pub functions: Vec<FunctionListing>,
}

/// A function.
#[derive(Clone, Debug)]
pub struct FunctionListing {
    /// The entry has the name of the kernel in an object file; the functions that it calls are numbered.
    pub symbol: String,
    /// Cranelift IR, where Cranelift made the function.
    pub clif: Option<String>,
    /// Instructions: of x86-64 from the bytes, with addresses; of other machines as Cranelift writes them.
    pub asm: String,
    /// Machine code, before it is linked.
    pub code: Vec<u8>,
}

/// The functions of all kernels as text and bytes.
///
/// # Errors
/// The target is unknown, or Cranelift refuses a kernel.
pub fn listing(kernels: &[Kernel], target: &CodeTarget) -> Result<Vec<KernelListing>, JitError> {
    let (triple, target) = target.resolve(true)?;
    let decoded = triple.architecture == Architecture::X86_64;
    let compiled = compile(&kernels.iter().collect::<Vec<_>>(), &target, &Pool::new(0), true)?;
    let all = kernels.iter().zip(compiled).enumerate();
    Ok(all.map(|(i, (kernel, compiled))| listed(kernel, &symbol("kernel", i, kernel), compiled, decoded)).collect())
}

fn listed(kernel: &Kernel, symbol: &str, compiled: CompiledKernel, decoded: bool) -> KernelListing {
    let entry = compiled.functions.last().map(|function| function.number);
    let name = |i: usize| if Some(i) == entry { symbol.to_owned() } else { format!("{symbol}.{i}") };
    let function = |Function { number, bytes, relocs, text, .. }: Function| {
        let (clif, instructions) = text.map_or((None, None), |text| (Some(text.clif), Some(text.instructions)));
        let asm = match instructions {
            Some(instructions) if !decoded => instructions,
            _ => disassemble(&bytes, &symbols(&relocs, &name)),
        };
        FunctionListing { symbol: name(number), clif, asm, code: bytes }
    };
    let functions = compiled.functions.into_iter().map(function).collect();
    KernelListing { name: kernel.name.clone(), path: compiled.path.into_owned(), functions }
}

/// What the linker will put where.
fn symbols(relocs: &[ModuleReloc], function: &dyn Fn(usize) -> String) -> BTreeMap<u64, String> {
    let libcalls = default_libcall_names();
    let name = |reloc: &ModuleReloc| match &reloc.name {
        ModuleRelocTarget::User { index, .. } => Some(function(*index as usize)),
        ModuleRelocTarget::LibCall(call) => Some(libcalls(*call)),
        _ => None,
    };
    relocs.iter().filter_map(|reloc| Some((u64::from(reloc.offset), name(reloc)?))).collect()
}
