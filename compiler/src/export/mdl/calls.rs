//! An op as it is written: a sign, a pair of brackets, or a call by its signature.

use super::body::Body;
use super::dims::Scope;
use super::tree;
use crate::graph::NodeId;
use crate::graph::NodeKind;
use crate::ops::{Attr, Call, Default, Kind, OpKind, Param};
use mlc_codegen::base::Dim;
use mlc_grammar::ast::{Arg, BinaryOp, Expr, ExprKind, IndexKind, UnaryOp};

/// The sign between the operands of an op.
fn sign(op: OpKind) -> Option<BinaryOp> {
    Some(match op {
        OpKind::Add => BinaryOp::Add,
        OpKind::Sub => BinaryOp::Sub,
        OpKind::Mul => BinaryOp::Mul,
        OpKind::Div => BinaryOp::Div,
        OpKind::Matmul => BinaryOp::MatMul,
        OpKind::Eq => BinaryOp::Eq,
        OpKind::Ne => BinaryOp::Ne,
        OpKind::Lt => BinaryOp::Lt,
        OpKind::Le => BinaryOp::Le,
        OpKind::Gt => BinaryOp::Gt,
        OpKind::Ge => BinaryOp::Ge,
        OpKind::And => BinaryOp::And,
        OpKind::Or => BinaryOp::Or,
        _ => return None,
    })
}

impl Scope<'_> {
    /// `start : stop`.
    pub(super) fn range(&self, start: &Dim, stop: &Dim) -> IndexKind {
        IndexKind::Slice(Some(self.dim(start)), Some(self.dim(stop)))
    }

    fn attr(&self, kind: Kind, attr: &Attr) -> Expr {
        match attr {
            Attr::None => tree::name("none"),
            Attr::Int(value) if kind == Kind::Float => tree::float(*value as f64),
            Attr::Int(value) => tree::int(*value),
            Attr::Ints(values) => tree::list(values.iter().map(|value| tree::int(*value)).collect()),
            Attr::Float(value) => tree::float(*value),
            Attr::Bool(value) => Expr::new(ExprKind::Bool(*value)),
            Attr::Text(text) => tree::text(text),
            Attr::DType(dtype) => tree::name(dtype.name()),
            Attr::Dim(dim) => self.dim(dim),
            Attr::Dims(dims) => {
                let item = |dim: &Option<Dim>| dim.as_ref().map_or_else(|| tree::name("none"), |dim| self.dim(dim));
                tree::list(dims.iter().map(item).collect())
            }
            Attr::Names(names) => tree::list(names.iter().map(|(_, dim)| self.dim(dim)).collect()),
        }
    }

    /// `x[a:b, :]`, where reading it back gives the very arguments.
    fn brackets(&self, base: &Expr, call: &Call) -> Option<Expr> {
        let (starts, stops) = (call.dims("starts")?, call.dims("stops")?);
        let axes = call.ints("axis").unwrap_or_else(|| (0..starts.len() as i64).collect());
        let dims = &call.input(0).dims;
        let in_order = axes.windows(2).all(|pair| pair[0] < pair[1]) && axes.len() == starts.len();
        if !in_order || stops.len() != starts.len() || *call.attr("steps") != Attr::None {
            return None;
        }
        let mut items: Vec<IndexKind> = dims.iter().map(|_| IndexKind::Slice(None, None)).collect();
        for ((axis, start), stop) in axes.iter().zip(starts).zip(stops) {
            let (axis, start, stop) = (usize::try_from(*axis).ok()?, start?, stop?);
            let whole = start == Dim::from(0) && stop == *dims.get(axis)?;
            let negative = [&start, &stop].iter().any(|dim| dim.as_constant().is_some_and(|value| value < 0));
            if whole || negative {
                return None;
            }
            items[axis] = self.range(&start, &stop);
        }
        (!axes.is_empty()).then(|| tree::index(base.clone(), items))
    }
}

impl Body<'_, '_> {
    /// The expression of an op.
    pub(super) fn call(&mut self, id: NodeId) -> Expr {
        let graph = self.cx.graph;
        let node = &graph.nodes[id];
        let NodeKind::Op { op, arguments } = &node.kind else { unreachable!("only ops are called") };
        let literals = self.cx.literals.of(graph, node);
        let mut inputs: Vec<Expr> = vec![];
        for (input, literal) in node.inputs.iter().zip(literals) {
            inputs.push(literal.unwrap_or_else(|| self.value(*input)));
        }
        let types: Vec<_> = node.inputs.iter().map(|input| graph.ty(*input).clone()).collect();
        let call = Call { signature: op.op().signature(), arguments, inputs: &types, results: &[] };
        match (op, sign(*op)) {
            (_, Some(sign)) => {
                let (b, a) = (inputs.remove(1), inputs.remove(0));
                tree::chain(a, vec![(sign, b)])
            }
            (OpKind::Neg, _) => tree::negated(inputs.remove(0)),
            (OpKind::Not, _) => Expr::new(ExprKind::Unary(UnaryOp::Not, Box::new(inputs.remove(0)))),
            (OpKind::Slice, _) => {
                let brackets = self.scope.brackets(&inputs[0], &call);
                brackets.unwrap_or_else(|| by_signature(&self.scope, *op, &call, inputs))
            }
            _ => by_signature(&self.scope, *op, &call, inputs),
        }
    }
}

/// `op(x, y, axis = 1)`: what equals its default is left out.
fn by_signature(scope: &Scope, op: OpKind, call: &Call, inputs: Vec<Expr>) -> Expr {
    let params = call.signature.params;
    let rank = call.inputs.first().map_or(0, |ty| ty.rank()) + usize::from(op == OpKind::Stack);
    let required = params.iter().filter(|param| param.default == Default::Required).count();
    let (mut counts, mut attrs) = (call.arguments.counts.iter(), call.arguments.attrs.iter());
    let (mut inputs, mut args, mut in_order) = (inputs.into_iter(), Vec::<Arg>::new(), true);
    for param in params {
        if param.is_tensor() {
            let count = counts.next().map_or(0, |count| *count as usize);
            let mut given: Vec<Expr> = inputs.by_ref().take(count).collect();
            match param.kind {
                Kind::Tensors if params[0].kind == Kind::Text => args.extend(given.into_iter().map(tree::arg)),
                Kind::Tensors => args.push(placed(param, tree::list(given), in_order)),
                _ if given.is_empty() => in_order = false,
                _ => args.push(placed(param, given.remove(0), in_order)),
            }
            continue;
        }
        let attr = attrs.next().unwrap_or(&Attr::None);
        match (param.kind, attr) {
            (Kind::Names, Attr::Names(names)) => {
                args.extend(names.iter().map(|(name, dim)| tree::named(name, scope.dim(dim))));
            }
            (_, Attr::None) => in_order = false,
            (_, attr) if param.default != Default::Required && *attr == param.default_attr(rank) => in_order = false,
            (Kind::Text, attr) => args.push(tree::arg(scope.attr(param.kind, attr))),
            (kind, attr) => {
                let plain = required == 1 || kind == Kind::DType || param.name == "shape";
                in_order &= plain && param.default == Default::Required;
                args.push(placed(param, scope.attr(kind, attr), in_order));
            }
        }
    }
    tree::call(tree::name(op.name()), args)
}

fn placed(param: &Param, value: Expr, in_order: bool) -> Arg {
    if in_order { tree::arg(value) } else { tree::named(param.name, value) }
}
