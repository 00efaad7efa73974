//! The compute type of every expression node.

use super::{Body, ExprId, Kernel, Node, Unary};
use crate::base::DType;

impl Kernel {
    /// The compute type of each node, or the first node that has none. Every id in the kernel is in range.
    pub(super) fn node_types(&self) -> Result<Vec<DType>, ExprId> {
        let mut types: Vec<DType> = Vec::with_capacity(self.expr.nodes.len());
        for (i, node) in self.expr.nodes.iter().enumerate() {
            types.push(self.node_type(node, &types).ok_or(ExprId(i as u32))?);
        }
        Ok(types)
    }

    /// The compute types of a kernel that passed `verify`.
    pub fn types(&self) -> Vec<DType> {
        self.node_types().expect("a verified kernel is typed")
    }

    fn node_type(&self, node: &Node, before: &[DType]) -> Option<DType> {
        let of = |id: &ExprId| before.get(id.0 as usize).copied();
        match node {
            Node::Operand(operand) => {
                let access = self.operands.get(operand.0 as usize)?;
                Some(self.buffers.get(access.buffer.0 as usize)?.storage.compute())
            }
            Node::Constant(value) => Some(value.dtype()),
            Node::Size(_) | Node::Position(_) => Some(DType::I64),
            Node::Cell(cell) => match &self.body {
                Body::Loops(loops) => loops.cells.get(*cell as usize).copied(),
                Body::Reduce(reduce) => of(&reduce.folds.get(*cell as usize)?.value),
                _ => None,
            },
            Node::Accumulator => match &self.body {
                Body::Contract(contract) => Some(contract.accumulator),
                _ => None,
            },
            Node::Unary(op, a) => of(a).filter(|dtype| match op {
                Unary::Not => !dtype.is_float(),
                Unary::Neg | Unary::Abs => *dtype != DType::Bool,
                _ => dtype.is_float(),
            }),
            Node::Binary(op, a, b) => {
                use super::Binary::{Add, And, Div, Max, Min, Mod, Mul, Or, Pow, Shl, Shr, Sub, Xor};
                let (a, b) = (of(a)?, of(b)?);
                let fits = match op {
                    And | Or | Xor => !a.is_float(),
                    Shl | Shr => a.is_integer(),
                    Add | Sub | Mul | Div | Mod | Min | Max | Pow => a != DType::Bool,
                };
                (a == b && fits).then_some(a)
            }
            Node::Compare(_, a, b) => (of(a)? == of(b)?).then_some(DType::Bool),
            Node::Select(c, a, b) => (of(c)? == DType::Bool && of(a)? == of(b)?).then(|| of(a)).flatten(),
            Node::Convert(dtype, a) => of(a).map(|_| dtype.compute()),
        }
    }
}
