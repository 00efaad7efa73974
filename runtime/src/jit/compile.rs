//! Kernels to functions: bytes, relocations, and for listings the text between. Runs nothing.
//!
//! Each kernel is lowered and compiled by itself with functions numbered from 0, so that kernels can be compiled side by
//! side; whoever joins them in a module shifts the numbers.

use super::cpu::Target;
use crate::pool::Pool;
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Function as Clif, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_module::{FuncId, Module, ModuleReloc, ModuleRelocTarget};
use mlc_codegen::base::Dim;
use mlc_codegen::cpu::{Code, Lowered, Probe, lower, signature};
use mlc_codegen::kernel::{Axis, Body, Buffer, Kernel, PlanError};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
    /// By which those of its kernel call it.
    pub(super) number: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) align: u64,
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

/// The entry of a kernel and the leaves that it calls, in the order of their numbers; the last is the entry.
pub(super) struct CompiledKernel {
    pub(super) functions: Vec<Function>,
    /// Bytes of scratch for each part.
    pub(super) scratch: Dim,
    /// How it was lowered.
    pub(super) path: Cow<'static, str>,
}

/// Compiles kernels on the threads of a pool, the largest first, so that no thread is left with one at the end. What is
/// given back is in the order of the kernels.
pub(super) fn compile(
    kernels: &[&Kernel],
    target: &Target,
    pool: &Pool,
    text: bool,
) -> Result<Vec<CompiledKernel>, JitError> {
    let mut order: Vec<usize> = (0..kernels.len()).collect();
    order.sort_by_key(|i| Reverse(size(kernels[*i])));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    pool.run(pool.threads().min(kernels.len()), &|_| {
        while let Some(i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let compiled = compile_kernel(kernels[*i], target, text);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((*i, compiled));
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

/// How much code a kernel becomes, about: expressions, and places that they are read from.
fn size(kernel: &Kernel) -> usize {
    let places =
        kernel.operands.iter().chain(kernel.stores().into_iter().map(|store| &store.access)).map(|a| a.coords.len());
    let tiles = if matches!(kernel.body, Body::Contract(_) | Body::Attention(_)) { 50 } else { 0 };
    tiles + kernel.expr.nodes.len() + 2 * places.sum::<usize>()
}

/// Kernels that differ in more than their names, and for each kernel which of them it is.
pub(super) fn distinct(kernels: &[Kernel]) -> (Vec<&Kernel>, Vec<usize>) {
    let same = |a: &Kernel, b: &Kernel| {
        let Kernel { name: _, axes, buffers, operands, expr, body } = a;
        let buffer = |(a, b): (&Buffer, &Buffer)| (a.storage, a.role) == (b.storage, b.role);
        let axis = |(a, b): (&Axis, &Axis)| a.extent == b.extent;
        axes.len() == b.axes.len()
            && buffers.len() == b.buffers.len()
            && axes.iter().zip(&b.axes).all(axis)
            && buffers.iter().zip(&b.buffers).all(buffer)
            && (operands, expr, body) == (&b.operands, &b.expr, &b.body)
    };
    let (mut found, mut of): (Vec<&Kernel>, Vec<usize>) = (vec![], vec![]);
    for kernel in kernels {
        let known = found.iter().position(|other| same(other, kernel));
        of.push(known.unwrap_or(found.len()));
        if known.is_none() {
            found.push(kernel);
        }
    }
    (found, of)
}

fn compile_kernel(kernel: &Kernel, target: &Target, text: bool) -> Result<CompiledKernel, JitError> {
    let lowered = lower(kernel, target.isa, target.driver.frontend_config(), 0);
    finish(lowered, &kernel.name, target, text)
}

/// A probe of the machine as if it were a kernel.
pub(super) fn compile_probe(probe: Probe, target: &Target) -> Result<CompiledKernel, JitError> {
    finish(probe.lower(target.isa, target.driver.frontend_config()), "probe", target, false)
}

/// Makes the entry, and of the leaves those that are called.
fn finish(lowered: Lowered, name: &str, target: &Target, text: bool) -> Result<CompiledKernel, JitError> {
    let entry = lowered.functions.len() - 1;
    let mut code: Vec<Option<Code>> = lowered.functions.into_iter().map(Some).collect();
    let (mut functions, mut wanted) = (Vec::new(), vec![entry]);
    while let Some(number) = wanted.pop() {
        let function = match code[number].take() {
            None => continue,
            Some(Code::Bytes(bytes)) => Function { number, bytes, align: ALIGNMENT, relocs: vec![], text: None },
            Some(Code::Clif(mut function)) => {
                function.name = UserFuncName::user(0, number as u32);
                let isa = if number == entry { &target.driver } else { &target.leaf };
                translate(*function, isa, number, text)
                    .map_err(|why| JitError::Function { kernel: name.into(), why })?
            }
        };
        wanted.extend(function.relocs.iter().filter_map(|reloc| match reloc.name {
            ModuleRelocTarget::User { namespace: 0, index } => Some(index as usize),
            _ => None,
        }));
        functions.push(function);
    }
    functions.sort_by_key(|function| function.number);
    Ok(CompiledKernel { functions, scratch: lowered.scratch, path: lowered.path.into() })
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
    Ok(Function { number, bytes: code.code_buffer().to_vec(), align, relocs, text })
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
        let id_of = |number: usize| {
            let at = kernel.functions.binary_search_by_key(&number, |function| function.number);
            own[at.expect("what is called was made")]
        };
        for (function, id) in kernel.functions.iter().zip(own) {
            let relocs: Vec<_> = function.relocs.iter().map(|reloc| shifted(reloc, &id_of)).collect();
            module.define_function_bytes(*id, function.align, &function.bytes, &relocs).map_err(refused)?;
        }
    }
    Ok(ids.iter().map(|own| *own.last().expect("a kernel has an entry")).collect())
}

/// The relocation with a kernel's own function number replaced by the module's.
fn shifted(reloc: &ModuleReloc, id_of: &dyn Fn(usize) -> FuncId) -> ModuleReloc {
    let name = match &reloc.name {
        ModuleRelocTarget::User { namespace: 0, index } => ModuleRelocTarget::from(id_of(*index as usize)),
        ModuleRelocTarget::FunctionOffset(id, offset) => {
            ModuleRelocTarget::FunctionOffset(id_of(id.as_u32() as usize), *offset)
        }
        other => other.clone(),
    };
    ModuleReloc { name, ..reloc.clone() }
}

#[cfg(test)]
mod tests {
    use super::{compile, distinct};
    use crate::jit::Cpu;
    use crate::pool::Pool;
    use mlc_codegen::base::{DType, Dim, Scalar, Storage};
    use mlc_codegen::kernel::{
        Access, Axis, AxisId, Body, Buffer, BufferId, Coord, Index, Kernel, Node, OperandId, Role, Store,
    };

    fn copying(name: &str, elements: i64) -> Kernel {
        let buffer = |role| Buffer { name: name.into(), storage: Storage::Plain(DType::F32), role };
        let access =
            |buffer| Access::new(BufferId(buffer), vec![Coord::new(Index::axis(AxisId(0)), 1)], Scalar::F32(0.0));
        let mut kernel = Kernel { name: name.into(), operands: vec![access(0)], ..Kernel::empty() };
        kernel.axes = vec![Axis { name: name.into(), extent: Dim::from(elements) }];
        kernel.buffers = vec![buffer(Role::Read), buffer(Role::Write)];
        let value = kernel.expr.push(Node::Operand(OperandId(0)));
        kernel.body = Body::Map(vec![Store { access: access(1), value }]);
        kernel
    }

    #[test]
    fn kernels_that_differ_in_their_names_alone_are_one() {
        let kernels = [copying("a", 3), copying("b", 4), copying("c", 3), copying("d", 4)];
        let (found, of) = distinct(&kernels);
        assert_eq!((found.len(), of), (2, vec![0, 1, 0, 1]));
        let narrow = |mut kernel: Kernel| {
            kernel.buffers[0].storage = Storage::Plain(DType::F16);
            kernel
        };
        assert_eq!(distinct(&[copying("a", 3), narrow(copying("a", 3))]).0.len(), 2);
    }

    #[test]
    fn code_is_the_same_however_many_threads_make_it() {
        let kernels: Vec<Kernel> = (1..20).map(|i| copying("k", i * i % 7 + 1)).collect();
        let all: Vec<&Kernel> = kernels.iter().collect();
        let target = Cpu::Native.host().expect("this machine");
        let bytes = |threads| -> Vec<Vec<u8>> {
            let compiled = compile(&all, &target, &Pool::new(threads), false).expect("compiles");
            compiled.into_iter().flat_map(|kernel| kernel.functions).map(|function| function.bytes).collect()
        };
        let one = bytes(1);
        assert!([2, 3, 40].into_iter().all(|threads| bytes(threads) == one));
    }
}
