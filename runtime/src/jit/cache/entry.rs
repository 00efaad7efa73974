//! Compiled kernels as bytes: a table as JSON behind its length, then the code of all functions.

use crate::jit::compile::{CompiledKernel, Function};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::LibCall;
use cranelift_module::{FuncId, ModuleReloc, ModuleRelocTarget};
use mlc_codegen::base::Dim;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
struct KernelEntry {
    path: String,
    scratch: Dim,
    functions: Vec<FunctionEntry>,
}

#[derive(Serialize, Deserialize)]
struct FunctionEntry {
    number: usize,
    align: u64,
    bytes: usize,
    relocs: Vec<RelocEntry>,
}

/// Offset, kind, target, addend.
#[derive(Serialize, Deserialize)]
struct RelocEntry(u32, usize, Target, i64);

#[derive(Serialize, Deserialize)]
enum Target {
    Function(u32),
    Within(u32, u32),
    Library(String),
}

/// The kinds of relocation that kernels have, by number.
const KINDS: [Reloc; 10] = [
    Reloc::Abs4,
    Reloc::Abs8,
    Reloc::X86PCRel4,
    Reloc::X86CallPCRel4,
    Reloc::X86CallPLTRel4,
    Reloc::X86GOTPCRel4,
    Reloc::Arm64Call,
    Reloc::Aarch64AdrPrelPgHi21,
    Reloc::Aarch64AddAbsLo12Nc,
    Reloc::Aarch64AdrGotPage21,
];

/// The kernels' bytes; `None` where a relocation is of no kind above.
pub(super) fn encode(kernels: &[CompiledKernel]) -> Option<Vec<u8>> {
    let table: Option<Vec<KernelEntry>> = kernels.iter().map(kernel_entry).collect();
    let table = serde_json::to_vec(&table?).ok()?;
    let mut content = (table.len() as u64).to_le_bytes().to_vec();
    content.extend(&table);
    kernels.iter().flat_map(|kernel| &kernel.functions).for_each(|function| content.extend(&function.bytes));
    Some(content)
}

fn kernel_entry(kernel: &CompiledKernel) -> Option<KernelEntry> {
    let functions = kernel.functions.iter().map(|function| {
        let relocs = function.relocs.iter().map(reloc_entry).collect::<Option<_>>()?;
        Some(FunctionEntry { number: function.number, align: function.align, bytes: function.bytes.len(), relocs })
    });
    let functions = functions.collect::<Option<_>>()?;
    Some(KernelEntry { path: kernel.path.to_string(), scratch: kernel.scratch.clone(), functions })
}

fn reloc_entry(reloc: &ModuleReloc) -> Option<RelocEntry> {
    let kind = KINDS.iter().position(|kind| *kind == reloc.kind)?;
    let target = match &reloc.name {
        ModuleRelocTarget::User { namespace: 0, index } => Target::Function(*index),
        ModuleRelocTarget::FunctionOffset(function, offset) => Target::Within(function.as_u32(), *offset),
        ModuleRelocTarget::LibCall(call) => Target::Library(call.to_string()),
        _ => return None,
    };
    Some(RelocEntry(reloc.offset, kind, target, reloc.addend))
}

/// The kernels that became these bytes; `None` where the bytes are of another form.
pub(super) fn decode(content: &[u8]) -> Option<Vec<CompiledKernel>> {
    let (length, rest) = content.split_first_chunk::<8>()?;
    let (table, mut code) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let table: Vec<KernelEntry> = serde_json::from_slice(table).ok()?;
    let kernels: Option<Vec<CompiledKernel>> = table.into_iter().map(|entry| kernel(entry, &mut code)).collect();
    kernels.filter(|_| code.is_empty())
}

fn kernel(entry: KernelEntry, code: &mut &[u8]) -> Option<CompiledKernel> {
    let mut functions = Vec::new();
    for FunctionEntry { number, align, bytes, relocs } in entry.functions {
        let (own, rest) = code.split_at_checked(bytes)?;
        *code = rest;
        let relocs = relocs.into_iter().map(reloc).collect::<Option<_>>()?;
        functions.push(Function { number, bytes: own.to_vec(), align, relocs, text: None });
    }
    Some(CompiledKernel { functions, scratch: entry.scratch, path: Cow::Owned(entry.path) })
}

fn reloc(RelocEntry(offset, kind, target, addend): RelocEntry) -> Option<ModuleReloc> {
    let name = match target {
        Target::Function(index) => ModuleRelocTarget::user(0, index),
        Target::Within(function, offset) => ModuleRelocTarget::FunctionOffset(FuncId::from_u32(function), offset),
        Target::Library(name) => ModuleRelocTarget::LibCall(name.parse::<LibCall>().ok()?),
    };
    Some(ModuleReloc { offset, kind: *KINDS.get(kind)?, name, addend })
}
