//! A kernel to functions: its leaves, and the entry `(buffers, size block, part, parts)` that calls them.

use super::attention::AttentionPlan;
use super::blocks::BlockPlan;
use super::contract::ContractPlan;
use super::driver::{Accumulator, Driver};
use super::integers::IntegerPlan;
use super::leaves::Leaf;
use super::select::{self, Isa};
use super::sparse::SparsePlan;
use super::windows::WindowPlan;
use super::{attention, blocks, integers, leaves, nest, sparse, tiles, windows};
use crate::base::Dim;
use crate::kernel::Kernel;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, Signature, UserExternalName,
    UserFuncName, Value,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// A function's code: IR for Cranelift to compile, or finished position-independent bytes.
pub enum Code {
    /// To compile.
    Clif(Box<Function>),
    /// As they are.
    Bytes(Vec<u8>),
}

/// A lowered kernel. Functions are numbered from the `first` given to `lower`; the last one is the entry. All take 8-byte
/// words and return nothing; leaves should be compiled without optimisation, which would undo their order.
pub struct Lowered {
    /// Leaves, then the entry.
    pub functions: Vec<Code>,
    /// Bytes of scratch per part; the kernel's buffers are followed by one of that many bytes for each part.
    pub scratch: Dim,
    /// Which way it went, for reports and tests.
    pub path: &'static str,
}

/// Lowers a verified kernel. `first` is the number of the first function in the module it will join.
pub fn lower(kernel: &Kernel, isa: Isa, target: TargetFrontendConfig, first: u32) -> Lowered {
    if let Some(plan) = SparsePlan::new(kernel, isa) {
        let functions = with_leaves(kernel, isa, target, first, &[], &|d| sparse::lower(d, &plan));
        return Lowered { functions, scratch: Dim::from(plan.scratch()), path: "sparse" };
    }
    if let Some(window) = windows::as_window(kernel)
        && let Some(plan) = WindowPlan::new(&window, isa)
    {
        return with_windows(&plan, isa, target, first);
    }
    if let Some(plan) = IntegerPlan::new(kernel, isa) {
        let functions = with_leaves(kernel, isa, target, first, &[], &|d| integers::lower(d, &plan));
        return Lowered { functions, scratch: plan.scratch(), path: "integers" };
    }
    if let Some(plan) = BlockPlan::new(kernel, isa) {
        let functions = with_leaves(kernel, isa, target, first, &[], &|d| blocks::lower(d, &plan));
        return Lowered { functions, scratch: plan.scratch(), path: "blocks" };
    }
    if let Some(plan) = ContractPlan::new(kernel, isa) {
        let scratch = plan.scratch();
        let body = |d: &mut Driver| tiles::lower(d, &plan);
        let functions = with_leaves(kernel, isa, target, first, &leaves::contract(isa), &body);
        return Lowered { functions, scratch, path: "contract" };
    }
    if let Some(plan) = AttentionPlan::new(kernel, isa) {
        let scratch = plan.scratch();
        let body = |d: &mut Driver| attention::lower(d, &plan);
        let functions = with_leaves(kernel, isa, target, first, &leaves::contract(isa), &body);
        return Lowered { functions, scratch, path: "attention" };
    }
    if let Some(plan) = WindowPlan::new(kernel, isa) {
        return with_windows(&plan, isa, target, first);
    }
    let general = kernel.as_loops();
    let types = general.types().expect("a verified kernel's loops are typed");
    let lanes = select::vector_axis(&general, &types);
    let path = if lanes.is_some() { "lanes" } else { "loops" };
    let functions = with_leaves(&general, isa, target, first, &[], &|d| nest::lower(d, lanes));
    Lowered { functions, scratch: Dim::from(0), path }
}

fn with_windows(plan: &WindowPlan, isa: Isa, target: TargetFrontendConfig, first: u32) -> Lowered {
    let functions = with_leaves(plan.kernel, isa, target, first, &[], &|d| windows::lower(d, plan));
    Lowered { functions, scratch: plan.scratch(), path: "windows" }
}

/// The leaves, those that `body` made, and the entry around it.
fn with_leaves(
    kernel: &Kernel,
    isa: Isa,
    target: TargetFrontendConfig,
    first: u32,
    leaves: &[Leaf],
    body: &dyn Fn(&mut Driver),
) -> Vec<Code> {
    let mut functions: Vec<Code> = (first..)
        .zip(leaves)
        .map(|(number, leaf)| match &leaf.body {
            leaves::Body::Bytes(bytes) => Code::Bytes(bytes.to_vec()),
            leaves::Body::Clif(emit) => build(target, number, leaf.parameters, |mut b, params| {
                emit(&mut b, params);
                b
            }),
        })
        .collect();
    let (entry, made) = build_entry(kernel, isa, target, first, leaves, body);
    functions.extend(made.into_iter().map(Code::Bytes));
    functions.push(entry);
    functions
}

fn build_entry(
    kernel: &Kernel,
    isa: Isa,
    target: TargetFrontendConfig,
    first: u32,
    leaves: &[Leaf],
    body: &dyn Fn(&mut Driver),
) -> (Code, Vec<Vec<u8>>) {
    let mut made = Vec::new();
    let first_made = first + leaves.len() as u32;
    let entry = build(target, first_made, 4, |mut b, params| {
        let [table, sizes, part, parts] = [params[0], params[1], params[2], params[3]];
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        let buffers = (0..=kernel.buffers.len() as i32).map(|i| b.ins().load(I64, flags, table, i * 8)).collect();
        let leaves = (first..).zip(leaves).map(|(number, leaf)| import(&mut b, number, leaf.parameters)).collect();
        let nodes = kernel.expr.nodes.len();
        let mut driver = Driver {
            b,
            kernel,
            types: kernel.types().expect("the kernel is verified"),
            isa,
            buffers,
            sizes,
            part,
            parts,
            positions: vec![None; kernel.axes.len()],
            cells: vec![],
            accumulator: Accumulator::None,
            leaves,
            made: vec![],
            first_made,
            lanes: None,
            varies: vec![false; nodes],
            unstable: vec![false; nodes],
            values: vec![None; nodes],
        };
        body(&mut driver);
        made = driver.made;
        driver.b
    });
    (entry, made)
}

pub(super) fn import(b: &mut FunctionBuilder, number: u32, parameters: usize) -> FuncRef {
    let name = b.func.declare_imported_user_function(UserExternalName { namespace: 0, index: number });
    let signature = b.import_signature(words(parameters));
    let data = ExtFuncData { name: ExternalName::user(name), signature, colocated: true, patchable: false };
    b.import_function(data)
}

/// The signature of every entry: `(buffers: *const *mut u8, size block: *const i64, part: i64, parts: i64)`.
pub fn signature() -> Signature {
    words(4)
}

/// `count` 8-byte integers, nothing returned.
fn words(count: usize) -> Signature {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend((0..count).map(|_| AbiParam::new(I64)));
    signature
}

/// A function from its body.
pub(super) fn build(
    target: TargetFrontendConfig,
    number: u32,
    params: usize,
    body: impl for<'f> FnOnce(FunctionBuilder<'f>, &[Value]) -> FunctionBuilder<'f>,
) -> Code {
    let mut function = Function::with_name_signature(UserFuncName::user(0, number), words(params));
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let start = b.create_block();
    b.append_block_params_for_function_params(start);
    b.switch_to_block(start);
    let values = b.block_params(start).to_vec();
    let mut b = body(b, &values);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(target);
    Code::Clif(Box::new(function))
}
