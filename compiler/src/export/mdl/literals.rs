//! Tensors as lists of numbers, where text says their very bits.

use super::tree;
use crate::graph::{Graph, Node, NodeKind, ValueId};
use crate::ops::Call;
use mlc_codegen::base::{DType, Scalar};
use mlc_grammar::ast::{Expr, ExprKind};
use mlc_runtime::tensor::Tensor;
use std::collections::HashMap;

/// The most elements of a list.
const MOST: usize = 64;

/// A tensor as nested lists that read back as the same bits; `None` where it is too long, or text cannot say it.
pub(super) fn spelled(tensor: &Tensor) -> Option<Expr> {
    let shape = tensor.shape();
    let empty_inside = shape.iter().rev().skip(1).any(|dim| *dim == 0);
    if tensor.len() > MOST || shape.len() > 8 || empty_inside {
        return None;
    }
    let numbers: Vec<(Expr, Scalar)> =
        tensor.iter().map(|value| number(tensor.dtype(), value)).collect::<Option<_>>()?;
    let read_back = Tensor::from_fn(tensor.dtype(), shape, |i| numbers[i].1).ok()?;
    let mut elements = numbers.into_iter().map(|(expr, _)| expr);
    (read_back == *tensor).then(|| nested(shape, &mut elements))
}

fn nested(shape: &[usize], elements: &mut impl Iterator<Item = Expr>) -> Expr {
    match shape {
        [] => elements.next().expect("as many as the shape takes"),
        [extent, inner @ ..] => tree::list((0..*extent).map(|_| nested(inner, elements)).collect()),
    }
}

/// The shortest way to write an element, and what it is read as.
fn number(dtype: DType, value: Scalar) -> Option<(Expr, Scalar)> {
    match value {
        Scalar::Bool(v) => Some((Expr::new(ExprKind::Bool(v)), value)),
        Scalar::F64(v) => Some((tree::float(v), Scalar::F64(v))),
        Scalar::F32(v) => {
            let short: f64 = format!("{v:?}").parse().ok()?;
            let wide = if short as f32 == v || v.is_nan() { short } else { f64::from(v) };
            Some((tree::float(wide), Scalar::F64(wide)))
        }
        Scalar::I64(i64::MIN) => None,
        Scalar::I64(v) => Some((tree::int(v), Scalar::I64(v))),
        Scalar::I32(v) if dtype.is_integer() => Some((tree::int(v.into()), Scalar::I64(v.into()))),
        Scalar::I32(_) => None,
    }
}

/// The scalar constants of an entry, which stand in the calls that use them.
#[derive(Debug, Default)]
pub(super) struct Literals {
    scalars: HashMap<ValueId, (DType, Expr)>,
}

impl Literals {
    /// Notes a scalar.
    pub(super) fn add(&mut self, value: ValueId, dtype: DType, expr: Expr) {
        self.scalars.insert(value, (dtype, expr));
    }

    /// For each input of a node, the literal that reads back as it: where another operand gives it its element type.
    pub(super) fn of(&self, graph: &Graph, node: &Node) -> Vec<Option<Expr>> {
        let NodeKind::Op { op, arguments } = &node.kind else { return vec![None; node.inputs.len()] };
        let others = node.inputs.iter().filter(|v| !self.scalars.contains_key(v)).map(|v| graph.ty(*v).dtype);
        let others: Vec<DType> = others.collect();
        let strong = others.iter().copied().find(|dtype| *dtype != DType::Bool).or(others.first().copied());
        let Some(strong) = strong else { return vec![None; node.inputs.len()] };
        let call = Call { signature: op.op().signature(), arguments, inputs: &[], results: &[] };
        let literal = |(i, input): (usize, &ValueId)| {
            let (dtype, expr) = self.scalars.get(input)?;
            let wanted = match call.parameter_of(i).0 {
                "indices" | "index" | "ids" => DType::I64,
                _ => strong,
            };
            let weak = |wanted| match dtype {
                DType::Bool => true,
                DType::F32 | DType::I64 if wanted == DType::Bool => true,
                dtype => *dtype == wanted,
            };
            weak(wanted).then(|| expr.clone())
        };
        node.inputs.iter().enumerate().map(literal).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlc_grammar::print_expr;

    fn shown(tensor: &Tensor) -> Option<String> {
        spelled(tensor).map(|expr| print_expr(&expr))
    }

    #[test]
    fn lists_say_the_bits_or_nothing() {
        let floats = Tensor::from_f32([2, 2], [0.1, -0.0, 1e-12, f32::INFINITY]).expect("four");
        assert_eq!(shown(&floats).as_deref(), Some("[[0.1, -0.0], [1e-12, 1.0 / 0.0]]"));
        assert_eq!(shown(&Tensor::scalar(DType::I64, Scalar::I64(-3))).as_deref(), Some("-3"));
        assert_eq!(shown(&Tensor::zeros(DType::Bool, [2]).expect("two")).as_deref(), Some("[false, false]"));
        assert_eq!(shown(&Tensor::zeros(DType::F32, [65]).expect("small")), None, "too long");
        assert_eq!(shown(&Tensor::zeros(DType::F32, [0, 3]).expect("empty")), None, "a list cannot say its shape");
        assert_eq!(shown(&Tensor::scalar(DType::I64, Scalar::I64(i64::MIN))), None, "no literal is so small");
        let payload = Tensor::new(DType::F32, [1], &0x7fc0_0001u32.to_le_bytes()).expect("four bytes");
        assert_eq!(shown(&payload), None, "a NaN with a payload");
    }
}
