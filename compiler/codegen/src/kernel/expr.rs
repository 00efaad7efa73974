//! Scalar expressions: a DAG in an arena, every node after the nodes it uses, every node of one compute type.
//!
//! Compute types are f64, f32, i64, i32 and bool; what is narrower in memory widens on the way in and narrows on the
//! way out. Composite functions (GELU, SiLU) are built from these nodes by the ops; backends know only the nodes.

use super::{AxisId, OperandId, ids};
use crate::base::{DType, Dim, Scalar};
use serde::{Deserialize, Serialize};

ids! {
    /// A node of an `Expr`.
    ExprId;
}

/// One operand, its type kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unary {
    /// `-x`; integers wrap.
    Neg,
    /// `|x|`; integers wrap.
    Abs,
    /// Floats.
    Sqrt,
    /// Floats; within 2 ulp.
    Exp,
    /// Natural logarithm; floats; within 2 ulp.
    Log,
    /// Floats; within 4 ulp or 1e-7 absolute.
    Erf,
    /// Floats; within 4 ulp.
    Tanh,
    /// Floats.
    Sin,
    /// Floats.
    Cos,
    /// Towards negative infinity; floats.
    Floor,
    /// Towards positive infinity; floats.
    Ceil,
    /// To the nearest integer, ties to even; floats.
    Round,
    /// Towards zero; floats.
    Trunc,
    /// Logical for bool, bitwise for integers.
    Not,
}

/// Two operands of one type, which is the result's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    /// Integers wrap.
    Add,
    /// Integers wrap.
    Sub,
    /// Integers wrap.
    Mul,
    /// Integers truncate toward zero; `x / 0` is 0 and `MIN / -1` is `MIN`.
    Div,
    /// Floored modulus, the sign of the divisor; `mod(x, 0)` is 0 for integers.
    Mod,
    /// NaN if either is NaN.
    Min,
    /// NaN if either is NaN.
    Max,
    /// Floats: IEEE `pow`. Integers: by repeated multiplication, wrapping; a negative exponent gives 0 unless |x| = 1.
    Pow,
    /// Logical for bool, bitwise for integers.
    And,
    /// Logical for bool, bitwise for integers.
    Or,
    /// Logical for bool, bitwise for integers.
    Xor,
    /// Integers; the amount is masked to the width.
    Shl,
    /// Integers, arithmetic; the amount is masked to the width.
    Shr,
}

/// A comparison of two operands of one type; floats compare as IEEE, unordered is false (true for `Ne`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// What an access of the kernel reads at this point, in the buffer's compute type.
    Operand(OperandId),
    /// A literal.
    Constant(Scalar),
    /// A dim as an i64: the `n` of a mean.
    Size(Dim),
    /// The position along an axis, as an i64: masks, iota, rotary angles.
    Position(AxisId),
    /// The result of an earlier fold of a reduce, or a cell of loops.
    Cell(u32),
    /// The finished accumulator of a contract.
    Accumulator,
    /// One operand.
    Unary(Unary, ExprId),
    /// Two operands.
    Binary(Binary, ExprId, ExprId),
    /// Gives bool.
    Compare(Compare, ExprId, ExprId),
    /// `if condition { yes } else { no }`, all three computed.
    Select(ExprId, ExprId, ExprId),
    /// To the compute type of `dtype`, through `dtype`: rounds to f16 or bf16, wraps integer to integer, saturates float
    /// to integer with NaN giving 0, and anything to bool by `!= 0`.
    Convert(DType, ExprId),
}

/// The arena.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expr {
    /// In evaluation order.
    pub nodes: Vec<Node>,
}

impl Node {
    /// The nodes it uses.
    pub fn inputs(&self) -> impl Iterator<Item = ExprId> {
        let inputs = match self {
            Node::Unary(_, a) | Node::Convert(_, a) => [Some(*a), None, None],
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => [Some(*a), Some(*b), None],
            Node::Select(a, b, c) => [Some(*a), Some(*b), Some(*c)],
            _ => [None; 3],
        };
        inputs.into_iter().flatten()
    }
}

impl Expr {
    /// The node's id; an equal node is shared.
    pub fn push(&mut self, node: Node) -> ExprId {
        if let Some(i) = self.nodes.iter().rposition(|n| *n == node) {
            return ExprId(i as u32);
        }
        self.nodes.push(node);
        ExprId(self.nodes.len() as u32 - 1)
    }

    /// A literal.
    pub fn constant(&mut self, value: Scalar) -> ExprId {
        self.push(Node::Constant(value))
    }

    /// `op a`.
    pub fn unary(&mut self, op: Unary, a: ExprId) -> ExprId {
        self.push(Node::Unary(op, a))
    }

    /// `a op b`.
    pub fn binary(&mut self, op: Binary, a: ExprId, b: ExprId) -> ExprId {
        self.push(Node::Binary(op, a, b))
    }

    /// `a op b`, a bool.
    pub fn compare(&mut self, op: Compare, a: ExprId, b: ExprId) -> ExprId {
        self.push(Node::Compare(op, a, b))
    }

    /// `if condition { yes } else { no }`.
    pub fn select(&mut self, condition: ExprId, yes: ExprId, no: ExprId) -> ExprId {
        self.push(Node::Select(condition, yes, no))
    }

    /// A conversion through `dtype`.
    pub fn convert(&mut self, dtype: DType, a: ExprId) -> ExprId {
        self.push(Node::Convert(dtype, a))
    }

    /// The nodes that `roots` need, in evaluation order. What coordinates of operands compute is included when
    /// `through` gives the expressions an operand's access uses.
    pub fn reachable(&self, roots: &[ExprId], through: &dyn Fn(OperandId) -> Vec<ExprId>) -> Vec<ExprId> {
        let mut needed = vec![false; self.nodes.len()];
        roots.iter().for_each(|r| needed[r.0 as usize] = true);
        for i in (0..self.nodes.len()).rev() {
            if needed[i] {
                self.nodes[i].inputs().for_each(|x| needed[x.0 as usize] = true);
                if let Node::Operand(operand) = &self.nodes[i] {
                    through(*operand).into_iter().for_each(|x| needed[x.0 as usize] = true);
                }
            }
        }
        (0..self.nodes.len()).filter(|i| needed[*i]).map(|i| ExprId(i as u32)).collect()
    }
}
