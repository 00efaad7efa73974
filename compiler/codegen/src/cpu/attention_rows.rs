//! Rows of attention one by one in wide vectors: scores and weighted sums straight from keys and values that lie row by row,
//! in f32 or in 16 bits.

use super::address::{Motion, motion};
use super::arithmetic::Arithmetic;
use super::attention::{AttentionPlan, Frame, at_number, at_row};
use super::clif::Parts;
use super::contract::row_access;
use super::driver::Driver;
use super::pack;
use super::x86::{self, Kept};
use crate::base::{DType, Storage};
use crate::kernel::{Access, AxisId, Binary, ExprId, Node};
use cranelift_codegen::ir::types::F32X4;
use cranelift_codegen::ir::{InstBuilder, Value};

/// Keys or values that are read row by row; without an access they were evaluated to f32.
#[derive(Clone, Copy)]
pub(super) struct Rows<'k> {
    access: Option<&'k Access>,
    kept: Kept,
    length: i64,
}

/// The longest row that a leaf is written out for.
const LONGEST: i64 = 256;

impl<'k> Rows<'k> {
    /// `None` where vectors are not wide or rows are no whole vectors.
    pub(super) fn new(plan: &AttentionPlan<'k>, d: &Driver, side: ExprId, along: AxisId) -> Option<Self> {
        d.isa.wide()?;
        let length = plan.extent(along).as_constant()?;
        if length % 8 != 0 || !(8..=LONGEST).contains(&length) {
            return None;
        }
        let found = kept_rows(plan, side, along);
        Some(Rows { access: found.map(|(access, _)| access), kept: found.map_or(Kept::F32, |(_, kept)| kept), length })
    }

    /// Whether they must be evaluated first.
    pub(super) fn evaluated(&self) -> bool {
        self.access.is_none()
    }

    /// The first row, and the bytes from one to the next.
    fn place(&self, d: &mut Driver, evaluated: Value, [along, n]: [AxisId; 2]) -> (Value, Value) {
        let Some(access) = self.access else { return (evaluated, d.integer(self.length * 4)) };
        pack::bind_first(d, &[along, n]);
        d.forget();
        let (element, _) = d.element(access, None);
        let Motion::Step(step) = motion(d.kernel, access, n) else { unreachable!("it was asked for") };
        let start = d.address(access, element);
        (start, d.dim(&(step * i64::from(self.kept.bytes()))))
    }

    /// The products of the query with keys `from..to`, to their scores.
    pub(super) fn scores(&self, d: &mut Driver, plan: &AttentionPlan, f: &Frame, (from, to): (Value, Value)) {
        d.enter_lanes(None, false);
        let rows = self.place(d, f.keys, [plan.a.d, plan.a.n]);
        let leaf = d.leaf(x86::scores(self.kept, self.length as i32 / 8), 5);
        let count = many(d, from, to);
        let (first, results) = (at_row(d, rows, from), at_number(d, f.scores, from));
        d.b.ins().call(leaf, &[count, f.query, first, results, rows.1]);
    }

    /// `out[e] = Σ_n weight[n] · value[n][e] / sum` over keys `from..to`.
    pub(super) fn sum(&self, d: &mut Driver, plan: &AttentionPlan, f: &Frame, (from, to): (Value, Value), sum: Value) {
        d.enter_lanes(None, false);
        let rows = self.place(d, f.values, [plan.a.e, plan.a.n]);
        let count = many(d, from, to);
        let (first, weights) = (at_row(d, rows, from), at_number(d, f.scores, from));
        let mut done = 0;
        for columns in [64, 32, 8] {
            while done + columns <= self.length {
                let leaf = d.leaf(x86::sums(self.kept, columns as u8 / 8), 5);
                let values = d.b.ins().iadd_imm_s(first, done * i64::from(self.kept.bytes()));
                let out = d.b.ins().iadd_imm_s(f.out, done * 4);
                d.b.ins().call(leaf, &[count, values, out, weights, rows.1]);
                done += columns;
            }
        }
        let (zero, end) = (d.integer(0), d.integer(self.length));
        d.each(zero, end, 8, &mut |d, column| {
            let at = at_number(d, f.out, column);
            let sums = Parts::new([0, 16].map(|bytes| d.read(F32X4, at, bytes)));
            let mut e = d.vector(8);
            let divisor = e.splat(DType::F32, sum);
            let quotient = e.binary(Binary::Div, DType::F32, sums, divisor);
            let result = f.unless_blind(&mut e, quotient, divisor);
            (0..).zip(result.all()).for_each(|(i, part)| d.write(*part, at, i * 16));
        });
    }
}

/// Positions of a range, of which a row that sees nothing has none.
fn many(d: &mut Driver, from: Value, to: Value) -> Value {
    let (zero, count) = (d.integer(0), d.b.ins().isub(to, from));
    d.b.ins().smax(count, zero)
}

/// A side that is a read, widened or not, whose rows lie along an axis.
fn kept_rows<'k>(plan: &AttentionPlan<'k>, mut side: ExprId, along: AxisId) -> Option<(&'k Access, Kept)> {
    while let Node::Convert(DType::F32, kept) = plan.kernel.expr.nodes[side.0 as usize] {
        side = kept;
    }
    let access = row_access(plan.kernel, side, &[along])?;
    let kept = match plan.kernel.buffer(access.buffer).storage {
        Storage::Plain(DType::F32) => Kept::F32,
        Storage::Plain(DType::F16) => Kept::F16,
        Storage::Plain(DType::BF16) => Kept::BF16,
        _ => return None,
    };
    matches!(motion(plan.kernel, access, plan.a.n), Motion::Step(_)).then_some((access, kept))
}
