//! The compute type of every node: the rules of `expr.rs`, checked.
//!
//! Invariant: what `types` returns for a reachable node is what every backend computes it in. Nodes that nothing reaches
//! have no type, for a fold or an accumulator may be missing there.

use super::{Binary, Body, ExprId, Kernel, Node, Statement, Unary, VerifyError};
use crate::base::DType;

/// The types of a kernel's nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types(Vec<Option<DType>>);

impl Types {
    /// The compute type of a node that the kernel's body reaches.
    pub fn of(&self, id: ExprId) -> DType {
        self.0[id.0 as usize].expect("a node that the body reaches is typed")
    }

    fn known(&self, id: ExprId) -> Option<DType> {
        self.0[id.0 as usize]
    }
}

impl Kernel {
    /// The compute types of all nodes that the body reaches; ids must be in range and nodes in order.
    pub fn types(&self) -> Result<Types, VerifyError> {
        let mut types = Types(vec![None; self.expr.nodes.len()]);
        let mut cells = match &self.body {
            Body::Loops(loops) => loops.cells.clone(),
            _ => vec![],
        };
        if let Some(cell) = cells.iter().find(|dtype| dtype.compute() != **dtype) {
            return Err(VerifyError::BadType { what: "a cell", found: *cell });
        }
        if let Body::Reduce(reduce) = &self.body {
            for fold in &reduce.folds {
                self.type_roots(&[fold.value], &cells, None, &mut types)?;
                cells.push(types.of(fold.value));
            }
        }
        let accumulator = match &self.body {
            Body::Contract(contract) => {
                self.type_roots(&[contract.a, contract.b], &cells, None, &mut types)?;
                Some(contract.accumulator)
            }
            Body::Attention(attention) => {
                self.type_roots(&[attention.q, attention.k, attention.v], &cells, None, &mut types)?;
                Some(types.of(attention.q))
            }
            _ => None,
        };
        self.type_roots(&self.roots(), &cells, accumulator, &mut types)?;
        self.check_coordinates(&types)?;
        self.check_body(&types)?;
        Ok(types)
    }

    /// Every expression that the body evaluates, coordinates of stores included.
    pub fn roots(&self) -> Vec<ExprId> {
        let mut roots: Vec<ExprId> = match &self.body {
            Body::Map(_) => vec![],
            Body::Reduce(reduce) => reduce.folds.iter().map(|fold| fold.value).collect(),
            Body::Contract(contract) => vec![contract.a, contract.b],
            Body::Attention(attention) => vec![attention.q, attention.k, attention.v, attention.score],
            Body::Loops(loops) => loops.statements.iter().flat_map(Statement::roots).collect(),
        };
        for store in self.stores() {
            roots.push(store.value);
            roots.extend(store.access.values());
        }
        roots
    }

    fn type_roots(
        &self,
        roots: &[ExprId],
        cells: &[DType],
        accumulator: Option<DType>,
        types: &mut Types,
    ) -> Result<(), VerifyError> {
        for id in self.reachable(roots) {
            if types.known(id).is_none() {
                types.0[id.0 as usize] = Some(self.type_node(id, cells, accumulator, types)?);
            }
        }
        Ok(())
    }

    fn type_node(
        &self,
        id: ExprId,
        cells: &[DType],
        accumulator: Option<DType>,
        types: &Types,
    ) -> Result<DType, VerifyError> {
        let of = |x: &ExprId| types.of(*x);
        let wrong = Err(VerifyError::TypeMismatch(id));
        match &self.expr.nodes[id.0 as usize] {
            Node::Operand(operand) => Ok(self.buffer(self.operand(*operand).buffer).storage.compute()),
            Node::Constant(scalar) => Ok(scalar.dtype()),
            Node::Size(_) | Node::Position(_) => Ok(DType::I64),
            Node::Cell(cell) => cells.get(*cell as usize).copied().ok_or(VerifyError::Misplaced(id)),
            Node::Accumulator => accumulator.ok_or(VerifyError::Misplaced(id)),
            Node::Unary(op, a) => {
                let dtype = of(a);
                let fine = match op {
                    Unary::Neg | Unary::Abs => dtype != DType::Bool,
                    Unary::Not => !dtype.is_float(),
                    _ => dtype.is_float(),
                };
                if fine { Ok(dtype) } else { wrong }
            }
            Node::Binary(op, a, b) => {
                let dtype = of(a);
                let fine = match op {
                    Binary::And | Binary::Or | Binary::Xor => !dtype.is_float(),
                    Binary::Shl | Binary::Shr => dtype.is_integer(),
                    _ => dtype != DType::Bool,
                };
                if fine && dtype == of(b) { Ok(dtype) } else { wrong }
            }
            Node::Compare(_, a, b) => {
                if of(a) == of(b) {
                    Ok(DType::Bool)
                } else {
                    wrong
                }
            }
            Node::Select(condition, yes, no) => {
                if of(condition) == DType::Bool && of(yes) == of(no) {
                    Ok(of(yes))
                } else {
                    wrong
                }
            }
            Node::Convert(dtype, _) => Ok(dtype.compute()),
        }
    }

    /// Computed coordinates are integers; fills are of the type that the access reads.
    fn check_coordinates(&self, types: &Types) -> Result<(), VerifyError> {
        let stores = self.stores();
        for access in self.operands.iter().chain(stores.iter().map(|store| &store.access)) {
            for value in access.values() {
                match types.known(value) {
                    Some(found) if !matches!(found, DType::I64 | DType::I32) => {
                        return Err(VerifyError::BadType { what: "a computed coordinate", found });
                    }
                    _ => {}
                }
            }
        }
        for access in &self.operands {
            let (fill, read) = (access.fill.dtype(), self.buffer(access.buffer).storage.compute());
            if fill != read {
                return Err(VerifyError::BadType { what: "a fill", found: fill });
            }
        }
        Ok(())
    }

    fn check_body(&self, types: &Types) -> Result<(), VerifyError> {
        match &self.body {
            Body::Map(_) => Ok(()),
            Body::Reduce(reduce) => {
                let bools = reduce.folds.iter().filter(|fold| types.of(fold.value) == DType::Bool);
                for fold in bools {
                    if matches!(fold.kind, super::FoldKind::Product) {
                        return Err(VerifyError::BadType { what: "a product", found: DType::Bool });
                    }
                }
                Ok(())
            }
            Body::Contract(contract) => match contract.accumulator {
                DType::F32 | DType::F64 | DType::I32 | DType::I64 => Ok(()),
                found => Err(VerifyError::BadType { what: "an accumulator", found }),
            },
            Body::Attention(attention) => {
                let q = types.of(attention.q);
                let roots = [attention.k, attention.v, attention.score];
                match roots.into_iter().map(|id| types.of(id)).find(|found| *found != q || !found.is_float()) {
                    Some(found) => Err(VerifyError::BadType { what: "an operand of attention", found }),
                    None => Ok(()),
                }
            }
            Body::Loops(loops) => loops.statements.iter().try_for_each(|s| check_statement(s, &loops.cells, types)),
        }
    }
}

fn check_statement(statement: &Statement, cells: &[DType], types: &Types) -> Result<(), VerifyError> {
    match statement {
        Statement::For { body, .. } => body.iter().try_for_each(|s| check_statement(s, cells, types)),
        Statement::If { condition, body } => {
            let found = types.of(*condition);
            if found != DType::Bool {
                return Err(VerifyError::BadType { what: "a condition", found });
            }
            body.iter().try_for_each(|s| check_statement(s, cells, types))
        }
        Statement::SetCell { cell, value } => match cells.get(*cell as usize) {
            Some(dtype) if *dtype == types.of(*value) => Ok(()),
            _ => Err(VerifyError::TypeMismatch(*value)),
        },
        Statement::Store(_) => Ok(()),
    }
}

impl Statement {
    /// The expressions it evaluates besides stores.
    fn roots(&self) -> Vec<ExprId> {
        match self {
            Statement::For { body, .. } => body.iter().flat_map(Statement::roots).collect(),
            Statement::If { condition, body } => {
                std::iter::once(*condition).chain(body.iter().flat_map(Statement::roots)).collect()
            }
            Statement::SetCell { value, .. } => vec![*value],
            Statement::Store(_) => vec![],
        }
    }
}
