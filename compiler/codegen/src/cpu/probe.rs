//! The machine's own limits as code: how fast it multiplies and adds, and how fast it reads.
//!
//! Probes are entries as kernels have them, so that whoever runs kernels can run them. What is measured with them is
//! measured with the instructions that kernels are made of.

use super::lower::{Code, Lowered, build};
use super::select::Isa;
use super::x86;
use crate::base::Dim;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Value};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::FunctionBuilder;

/// What a probe keeps busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Multiplies and adds f32 in registers. The size block is `[turns]`, at least 1; there are no buffers.
    MultiplyAdds,
    /// Reads one buffer. The size block is `[turns, bytes of a part]`: at least 1, and a positive multiple of
    /// [`Probe::BLOCK`].
    Reads,
}

/// Sums side by side, and vectors read by a turn, of the portable form.
const LANES: i32 = 8;

impl Probe {
    /// A part reads a multiple of so many bytes.
    pub const BLOCK: usize = 512;

    /// Operations of a turn of [`Probe::MultiplyAdds`]; a multiply-add counts two.
    pub fn operations(isa: Isa) -> f64 {
        2.0 * isa.wide().map_or(4 * i64::from(LANES), x86::multiply_adds_of_turn) as f64
    }

    /// Its code.
    pub fn lower(self, isa: Isa, target: TargetFrontendConfig) -> Lowered {
        let code = match (self, isa.wide()) {
            (Probe::MultiplyAdds, Some(width)) => Code::Bytes(x86::multiply_adds(width)),
            (Probe::Reads, Some(width)) => Code::Bytes(x86::reads(width)),
            (Probe::MultiplyAdds, None) => build(target, 0, 4, multiply_adds),
            (Probe::Reads, None) => build(target, 0, 4, reads),
        };
        Lowered { functions: vec![code], scratch: Dim::from(0), path: "probe" }
    }
}

/// `turns` times `body`, which gives the sums of the next turn; at the end they are stored, so that nothing is left out.
fn turns<'f>(
    mut b: FunctionBuilder<'f>,
    sizes: Value,
    body: impl FnOnce(FunctionBuilder<'f>, &[Value]) -> (FunctionBuilder<'f>, Vec<Value>),
) -> FunctionBuilder<'f> {
    let trusted = MemFlagsData::trusted();
    let turns = b.ins().load(I64, trusted, sizes, 0);
    let zero = b.ins().f32const(0.0);
    let zeros = b.ins().splat(F32X4, zero);
    let [turn, end] = [b.create_block(), b.create_block()];
    let left = b.append_block_param(turn, I64);
    let sums: Vec<Value> = (0..LANES).map(|_| b.append_block_param(turn, F32X4)).collect();
    let first: Vec<_> = std::iter::once(turns).chain((0..LANES).map(|_| zeros)).map(Into::into).collect();
    b.ins().jump(turn, &first);
    b.switch_to_block(turn);
    let (mut b, sums) = body(b, &sums);
    let left = b.ins().iadd_imm_s(left, -1);
    let next: Vec<_> = std::iter::once(left).chain(sums.iter().copied()).map(Into::into).collect();
    b.ins().brif(left, turn, &next, end, &[]);
    b.switch_to_block(end);
    let slot = b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, LANES as u32 * 16, 4));
    for (i, sum) in (0..).zip(&sums) {
        b.ins().stack_store(I64, *sum, slot, i * 16);
    }
    b
}

fn multiply_adds<'f>(b: FunctionBuilder<'f>, params: &[Value]) -> FunctionBuilder<'f> {
    turns(b, params[1], |mut b, sums| {
        let one = b.ins().f32const(1.0);
        let one = b.ins().splat(F32X4, one);
        let next = sums
            .iter()
            .map(|sum| {
                let product = b.ins().fmul(*sum, one);
                b.ins().fadd(product, one)
            })
            .collect();
        (b, next)
    })
}

fn reads<'f>(mut b: FunctionBuilder<'f>, params: &[Value]) -> FunctionBuilder<'f> {
    let trusted = MemFlagsData::trusted();
    let (table, sizes, part) = (params[0], params[1], params[2]);
    let buffer = b.ins().load(I64, trusted, table, 0);
    let bytes = b.ins().load(I64, trusted, sizes, 8);
    let offset = b.ins().imul(part, bytes);
    let start = b.ins().iadd(buffer, offset);
    let end = b.ins().iadd(start, bytes);
    turns(b, sizes, |mut b, sums| {
        let [block, done] = [b.create_block(), b.create_block()];
        let at = b.append_block_param(block, I64);
        let kept: Vec<Value> = sums.iter().map(|_| b.append_block_param(block, F32X4)).collect();
        let first: Vec<_> = std::iter::once(start).chain(sums.iter().copied()).map(Into::into).collect();
        b.ins().jump(block, &first);
        b.switch_to_block(block);
        let flags = MemFlagsData::new();
        let next: Vec<Value> = (0..LANES)
            .zip(&kept)
            .map(|(i, sum)| {
                let vector = b.ins().load(F32X4, flags, at, i * 16);
                b.ins().bxor(*sum, vector)
            })
            .collect();
        let at = b.ins().iadd_imm_s(at, i64::from(LANES) * 16);
        let more = b.ins().icmp(IntCC::UnsignedLessThan, at, end);
        let again: Vec<_> = std::iter::once(at).chain(next.iter().copied()).map(Into::into).collect();
        b.ins().brif(more, block, &again, done, &[]);
        b.switch_to_block(done);
        (b, next)
    })
}
