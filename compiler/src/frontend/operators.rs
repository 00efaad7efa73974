//! `+`, `<`, `-`, `and` on values, and how numbers become tensors beside them.

use super::arguments::Argument;
use super::elaborate::Elaborator;
use super::origin::Whence;
use super::scope::Frame;
use super::term::{Checks, Operand, Poison, Static, Term};
use crate::graph::{Constant, ConstantData, NodeKind};
use crate::ops::OpKind;
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_grammar::ast::{BinaryOp, UnaryOp};
use mlc_runtime::tensor::Tensor;

/// The operator behind a sign.
fn behind(op: BinaryOp) -> OpKind {
    match op {
        BinaryOp::Add => OpKind::Add,
        BinaryOp::Sub => OpKind::Sub,
        BinaryOp::Mul => OpKind::Mul,
        BinaryOp::Div => OpKind::Div,
        BinaryOp::MatMul => OpKind::Matmul,
        BinaryOp::Eq => OpKind::Eq,
        BinaryOp::Ne => OpKind::Ne,
        BinaryOp::Lt => OpKind::Lt,
        BinaryOp::Le => OpKind::Le,
        BinaryOp::Gt => OpKind::Gt,
        BinaryOp::Ge => OpKind::Ge,
        BinaryOp::And => OpKind::And,
        BinaryOp::Or => OpKind::Or,
    }
}

impl Elaborator<'_> {
    /// `-x`, `not x`.
    pub(super) fn unary(&mut self, frame: &Frame, op: UnaryOp, term: Term, at: Loc, loc: Loc) -> Checks<Term> {
        if let Term::Static(value) = &term {
            let strong = value.strong();
            let folded = match (op, value.plain()) {
                (_, Static::Unknown) => Some(Static::Unknown),
                (UnaryOp::Neg, Static::Dim(dim, _)) => Some(Static::dim(-dim.clone())),
                (UnaryOp::Neg, Static::Float(value)) => Some(Static::Float(-value)),
                (UnaryOp::Not, Static::Bool(value)) => Some(Static::Bool(!value)),
                _ => None,
            };
            return match (folded, strong) {
                (Some(value), Some(dtype)) => Ok(Term::Static(Static::Typed(Box::new(value), dtype))),
                (Some(value), None) => Ok(Term::Static(value)),
                (None, _) => {
                    let sign = if op == UnaryOp::Neg { "-" } else { "not" };
                    let message = format!("`{sign}` does not take {}", value.kind());
                    self.error("MDL0306", message, at, format!("this is {}", value.kind()))
                }
            };
        }
        let op = match op {
            UnaryOp::Neg => OpKind::Neg,
            UnaryOp::Not => OpKind::Not,
        };
        self.apply_op(frame, op, vec![Argument::positional(term, at)], loc)
    }

    /// `a op b`.
    pub(super) fn binary(
        &mut self,
        frame: &Frame,
        op: BinaryOp,
        a: (Term, Loc),
        b: (Term, Loc),
        loc: Loc,
    ) -> Checks<Term> {
        if let (Term::Static(x), Term::Static(y)) = (&a.0, &b.0)
            && let Some(value) = self.static_binary(op, x, y, loc)?
        {
            return Ok(Term::Static(value));
        }
        let operands = [a, b].map(|(term, at)| Argument::positional(term, at));
        self.apply_op(frame, behind(op), operands.into(), loc)
    }

    /// The tensor of a term. A number takes `want`, the element type of what it stands beside.
    pub(super) fn tensor(&mut self, frame: &Frame, term: &Term, want: Option<DType>, loc: Loc) -> Checks<Operand> {
        let value = match term {
            Term::Tensor(operand) => return Ok(operand.clone()),
            Term::State(view) => return self.read_state(frame, view, loc),
            Term::Tuple(terms) => {
                let message = format!("expected one tensor, found {} values", terms.len());
                return self.error("MDL0306", message, loc, "these are several");
            }
            Term::Static(value) => value,
        };
        let numeric = want.filter(|dtype| *dtype != DType::Bool);
        let dtype = value.strong().unwrap_or_else(|| match value.plain() {
            Static::Float(_) => numeric.unwrap_or(DType::F32),
            Static::Bool(_) => DType::Bool,
            _ => numeric.unwrap_or(DType::I64),
        });
        match value.plain() {
            Static::Unknown => Err(Poison),
            Static::List(_) => self.list_value(frame, value, want, loc),
            Static::Dim(dim, _) if dim.as_constant().is_none() => {
                let arguments = vec![
                    Argument::positional(Term::Static(Static::dim(dim.clone())), loc),
                    Argument::positional(Term::Static(Static::DType(dtype)), loc),
                ];
                match self.apply_op(frame, OpKind::Scalar, arguments, loc)? {
                    Term::Tensor(operand) => Ok(operand),
                    _ => Err(Poison),
                }
            }
            _ => match self.number_of(value, dtype, loc)? {
                Some(number) => Ok(self.constant_value(frame, Tensor::scalar(dtype, number), None, loc)),
                None => {
                    let message = format!("expected a tensor, found {}", value.kind());
                    self.error("MDL0306", message, loc, format!("this is {}", value.kind()))
                }
            },
        }
    }

    fn list_value(&mut self, frame: &Frame, value: &Static, want: Option<DType>, loc: Loc) -> Checks<Operand> {
        let mut shape = vec![];
        let mut inner = value.plain();
        while let Static::List(items) = inner {
            shape.push(items.len() as i64);
            match items.first() {
                Some(first) => inner = first.plain(),
                None => break,
            }
        }
        let dtype = value.strong().or(want).unwrap_or(match inner {
            Static::Float(_) => DType::F32,
            Static::Bool(_) => DType::Bool,
            _ => DType::I64,
        });
        let tensor = self.listed_tensor(value, &TensorType::fixed(dtype, &shape), loc)?;
        Ok(self.constant_value(frame, tensor, None, loc))
    }

    /// A tensor of a type from nested lists of numbers.
    pub(super) fn listed_tensor(&mut self, value: &Static, ty: &TensorType, loc: Loc) -> Checks<Tensor> {
        let shape = self.bounded_shape(ty, loc)?;
        let mut numbers = vec![];
        if !self.flatten(value.plain(), &shape, ty.dtype, &mut numbers, loc)? {
            let message = format!("expected {}, found another number of elements", self.show(ty));
            return self.error("MDL0301", message, loc, "these lists have another shape");
        }
        match Tensor::from_fn(ty.dtype, shape, |i| numbers[i]) {
            Ok(tensor) => Ok(tensor),
            Err(error) => self.error("MDL0217", error.to_string(), loc, "made here"),
        }
    }

    fn flatten(
        &mut self,
        value: &Static,
        shape: &[usize],
        dtype: DType,
        out: &mut Vec<Scalar>,
        loc: Loc,
    ) -> Checks<bool> {
        match (value.plain(), shape) {
            (Static::Unknown, _) => Err(Poison),
            (Static::List(items), [extent, inner @ ..]) if items.len() == *extent => {
                for item in items.iter() {
                    if !self.flatten(item, inner, dtype, out, loc)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Static::List(_), _) | (_, [_, ..]) => Ok(false),
            (number, []) => match self.number_of(&number.clone(), dtype, loc)? {
                Some(number) => {
                    out.push(number);
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }

    /// A constant of the graph.
    pub(super) fn constant_value(&mut self, frame: &Frame, tensor: Tensor, name: Option<&str>, loc: Loc) -> Operand {
        let shape: Vec<i64> = tensor.shape().iter().map(|d| *d as i64).collect();
        let ty = TensorType::fixed(tensor.dtype(), &shape);
        let shown = || if tensor.len() == 1 { tensor.get(0).as_f64().to_string() } else { "list".into() };
        let constant = Constant {
            ty: ty.clone(),
            storage: Storage::Plain(ty.dtype),
            name: name.map_or_else(shown, str::to_owned),
            data: ConstantData::Tensor(tensor),
            loc,
        };
        let constant = self.graph.constants.push(constant);
        let from: Vec<Whence> = vec![None; ty.rank()];
        let value = self.value(ty, name.map(str::to_owned), loc);
        self.push(frame, NodeKind::Constant { members: vec![constant], counter: None }, vec![], vec![value], loc);
        Operand { value, from: from.into(), name: None }
    }
}
