//! Expression nodes, one element at a time. What each gives in the corner cases is said where `Node` is defined.

use super::driver::{Driver, register};
use crate::base::{DType, Scalar};
use crate::kernel::{Binary, Compare, ExprId, Node, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Driver<'_, '_> {
    /// The values of some expressions at the current positions.
    pub(super) fn values(&mut self, roots: &[ExprId]) -> Vec<Value> {
        let kernel = self.kernel;
        let mut known: Vec<Option<Value>> = vec![None; kernel.expr.nodes.len()];
        for id in kernel.reachable(roots) {
            let value = self.node(id, &known);
            known[id.0 as usize] = Some(value);
        }
        roots.iter().map(|root| known[root.0 as usize].expect("roots are reachable")).collect()
    }

    /// A computed coordinate as i64.
    pub(super) fn position_value(&mut self, id: ExprId, value: Value) -> Value {
        match self.types[id.0 as usize] {
            DType::I64 => value,
            _ => self.b.ins().sextend(I64, value),
        }
    }

    fn node(&mut self, id: ExprId, known: &[Option<Value>]) -> Value {
        let kernel = self.kernel;
        let of = |id: &ExprId| known[id.0 as usize].expect("operands come first");
        let dtype = |id: &ExprId| self.types[id.0 as usize];
        match &kernel.expr.nodes[id.0 as usize] {
            Node::Operand(operand) => {
                let access = kernel.operand(*operand);
                let places: Vec<Value> = access.values().map(|v| self.position_value(v, of(&v))).collect();
                self.load(access, &places)
            }
            Node::Constant(value) => self.constant(*value),
            Node::Size(dim) => self.dim(dim),
            Node::Position(axis) => self.positions[axis.0 as usize].expect("the statement's axes are bound"),
            Node::Cell(cell) => self.b.use_var(self.cells[*cell as usize]),
            Node::Accumulator => unreachable!("desugaring leaves no accumulator"),
            Node::Unary(op, a) => self.unary(*op, of(a), dtype(a)),
            Node::Binary(op, a, b) => self.binary(*op, of(a), of(b), dtype(a)),
            Node::Compare(op, a, b) => self.compare(*op, of(a), of(b), dtype(a)),
            Node::Select(c, a, b) => self.b.ins().select(of(c), of(a), of(b)),
            Node::Convert(to, a) => self.through(of(a), dtype(a), *to),
        }
    }

    pub(super) fn constant(&mut self, value: Scalar) -> Value {
        match value {
            Scalar::F64(v) => self.b.ins().f64const(v),
            Scalar::F32(v) => self.b.ins().f32const(v),
            Scalar::I64(v) => self.b.ins().iconst(I64, v),
            Scalar::I32(v) => self.b.ins().iconst(I32, i64::from(v)),
            Scalar::Bool(v) => self.b.ins().iconst(I8, i64::from(v)),
        }
    }

    fn unary(&mut self, op: Unary, a: Value, dtype: DType) -> Value {
        let float = dtype.is_float();
        match op {
            Unary::Neg if float => self.b.ins().fneg(a),
            Unary::Neg => self.b.ins().ineg(a),
            Unary::Abs if float => self.b.ins().fabs(a),
            Unary::Abs => {
                let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, a, 0);
                let negated = self.b.ins().ineg(a);
                self.b.ins().select(negative, negated, a)
            }
            Unary::Sqrt => self.b.ins().sqrt(a),
            Unary::Exp => self.exp(a, dtype),
            Unary::Log | Unary::Erf | Unary::Tanh | Unary::Sin | Unary::Cos => self.function(op, a, dtype),
            Unary::Floor => self.b.ins().floor(a),
            Unary::Ceil => self.b.ins().ceil(a),
            Unary::Round => self.b.ins().nearest(a),
            Unary::Trunc => self.b.ins().trunc(a),
            Unary::Not if dtype == DType::Bool => self.b.ins().bxor_imm_s(a, 1),
            Unary::Not => self.b.ins().bnot(a),
        }
    }

    fn binary(&mut self, op: Binary, a: Value, b: Value, dtype: DType) -> Value {
        match (op, dtype.is_float()) {
            (Binary::Add, true) => self.b.ins().fadd(a, b),
            (Binary::Sub, true) => self.b.ins().fsub(a, b),
            (Binary::Mul, true) => self.b.ins().fmul(a, b),
            (Binary::Div, true) => self.b.ins().fdiv(a, b),
            (Binary::Min, true) => self.b.ins().fmin(a, b),
            (Binary::Max, true) => self.b.ins().fmax(a, b),
            (Binary::Mod, true) => self.float_modulus(a, b, dtype),
            (Binary::Add, false) => self.b.ins().iadd(a, b),
            (Binary::Sub, false) => self.b.ins().isub(a, b),
            (Binary::Mul, false) => self.b.ins().imul(a, b),
            (Binary::Div, false) => self.quotient(a, b, dtype),
            (Binary::Mod, false) => self.modulus(a, b, dtype),
            (Binary::Min, false) => self.b.ins().smin(a, b),
            (Binary::Max, false) => self.b.ins().smax(a, b),
            (Binary::Pow, true) => self.pow(a, b, dtype),
            (Binary::Pow, false) => self.integer_pow(a, b, dtype),
            (Binary::And, _) => self.b.ins().band(a, b),
            (Binary::Or, _) => self.b.ins().bor(a, b),
            (Binary::Xor, _) => self.b.ins().bxor(a, b),
            (Binary::Shl, _) => self.b.ins().ishl(a, b),
            (Binary::Shr, _) => self.b.ins().sshr(a, b),
        }
    }

    /// Truncated; x / 0 is 0 and x / -1 is -x, which wraps.
    fn quotient(&mut self, a: Value, b: Value, dtype: DType) -> Value {
        let (safe, zero, minus_one) = self.divisor(b, dtype);
        let quotient = self.b.ins().sdiv(a, safe);
        let negated = self.b.ins().ineg(a);
        let quotient = self.b.ins().select(minus_one, negated, quotient);
        let none = self.b.ins().iconst(register(dtype), 0);
        self.b.ins().select(zero, none, quotient)
    }

    /// Floored; mod(x, 0) and mod(x, -1) are 0.
    fn modulus(&mut self, a: Value, b: Value, dtype: DType) -> Value {
        let (safe, zero, minus_one) = self.divisor(b, dtype);
        let remainder = self.b.ins().srem(a, safe);
        let some = self.b.ins().icmp_imm_s(IntCC::NotEqual, remainder, 0);
        let signs = self.b.ins().bxor(remainder, safe);
        let differ = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        let below = self.b.ins().band(some, differ);
        let raised = self.b.ins().iadd(remainder, safe);
        let floored = self.b.ins().select(below, raised, remainder);
        let none = self.b.ins().iconst(register(dtype), 0);
        let special = self.b.ins().bor(zero, minus_one);
        self.b.ins().select(special, none, floored)
    }

    /// A divisor that never traps, and whether the real one is 0 or -1.
    fn divisor(&mut self, b: Value, dtype: DType) -> (Value, Value, Value) {
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let minus_one = self.b.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let special = self.b.ins().bor(zero, minus_one);
        let one = self.b.ins().iconst(register(dtype), 1);
        (self.b.ins().select(special, one, b), zero, minus_one)
    }

    fn compare(&mut self, op: Compare, a: Value, b: Value, dtype: DType) -> Value {
        if dtype.is_float() {
            let code = match op {
                Compare::Eq => FloatCC::Equal,
                Compare::Ne => FloatCC::NotEqual,
                Compare::Lt => FloatCC::LessThan,
                Compare::Le => FloatCC::LessThanOrEqual,
            };
            return self.b.ins().fcmp(code, a, b);
        }
        let code = match op {
            Compare::Eq => IntCC::Equal,
            Compare::Ne => IntCC::NotEqual,
            Compare::Lt => IntCC::SignedLessThan,
            Compare::Le => IntCC::SignedLessThanOrEqual,
        };
        self.b.ins().icmp(code, a, b)
    }
}
