//! Layout of expressions and types, with the fewest parentheses that keep their meaning.

use crate::ast::UnaryOp;
use crate::ast::{
    Arg, BinaryOp, Expr, ExprKind, Ident, IndexItem, IndexKind, Link, Type, TypeDim, TypeDimKind, TypeKind,
};
use crate::lexer::escape;
use crate::print::layout::Layout;

/// How tightly an expression binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binding {
    If,
    Pipe,
    Or,
    And,
    Compare,
    Sum,
    Term,
    Unary,
    Postfix,
}

impl Binding {
    fn of(e: &Expr) -> Binding {
        match &e.kind {
            ExprKind::If(_) => Binding::If,
            ExprKind::Pipe(..) => Binding::Pipe,
            ExprKind::Chain(_, links) => links.first().map_or(Binding::If, |link| Binding::of_op(link.op)),
            ExprKind::Unary(..) => Binding::Unary,
            ExprKind::Float(value) if value.is_sign_negative() => Binding::Unary,
            _ => Binding::Postfix,
        }
    }

    fn of_op(op: BinaryOp) -> Binding {
        use BinaryOp::*;
        match op {
            Or => Binding::Or,
            And => Binding::And,
            Eq | Ne | Lt | Le | Gt | Ge => Binding::Compare,
            Add | Sub => Binding::Sum,
            Mul | Div | MatMul => Binding::Term,
        }
    }

    fn tighter(self) -> Binding {
        match self {
            Binding::If => Binding::Pipe,
            Binding::Pipe => Binding::Or,
            Binding::Or => Binding::And,
            Binding::And => Binding::Compare,
            Binding::Compare => Binding::Sum,
            Binding::Sum => Binding::Term,
            Binding::Term => Binding::Unary,
            Binding::Unary | Binding::Postfix => Binding::Postfix,
        }
    }
}

/// Lays out syntax; with the source at hand literals keep their spelling and pipes their line breaks.
#[derive(Clone, Copy)]
pub(crate) struct Speller<'s> {
    pub(crate) source: Option<&'s str>,
}

impl Speller<'_> {
    /// An expression where any may stand.
    pub(crate) fn expr(self, e: &Expr) -> Layout {
        self.at_least(e, Binding::If)
    }

    /// An expression where one that binds less than `least` needs parentheses.
    pub(crate) fn at_least(self, e: &Expr, least: Binding) -> Layout {
        let layout = self.bare(e);
        if Binding::of(e) >= least {
            return layout;
        }
        Layout::group(vec![
            Layout::text("("),
            Layout::indent(2, vec![Layout::Soft, layout]),
            Layout::Soft,
            Layout::text(")"),
        ])
    }

    fn bare(self, e: &Expr) -> Layout {
        match &e.kind {
            ExprKind::Name(name) => Layout::text(&**name),
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Quantity(..) | ExprKind::Str(_) => self.literal(e),
            ExprKind::Bool(value) => Layout::text(value.to_string()),
            ExprKind::Tuple(values) => match &values[..] {
                [one] => Layout::All(vec![Layout::text("("), self.expr(one), Layout::text(",)")]),
                _ => Layout::list("(", self.exprs(values), ")"),
            },
            ExprKind::List(values) => Layout::list("[", self.exprs(values), "]"),
            ExprKind::Unary(op, operand) => {
                let word = match op {
                    UnaryOp::Neg => "-",
                    UnaryOp::Not => "not ",
                };
                Layout::All(vec![Layout::text(word), self.at_least(operand, Binding::Unary)])
            }
            ExprKind::Chain(first, links) => self.chain(first, links),
            ExprKind::Pipe(first, stages) => self.pipe(first, stages),
            ExprKind::Call(base, args) => {
                let args = args.iter().map(|arg| self.arg(arg)).collect();
                Layout::All(vec![self.at_least(base, Binding::Postfix), Layout::list("(", args, ")")])
            }
            ExprKind::Index(base, items) => {
                let items = items.iter().map(|item| self.index(item)).collect();
                Layout::All(vec![self.at_least(base, Binding::Postfix), Layout::list("[", items, "]")])
            }
            ExprKind::Field(base, name) => {
                Layout::All(vec![self.at_least(base, Binding::Postfix), Layout::text(format!(".{}", name.name))])
            }
            ExprKind::At(base, path) => {
                let path = escape(&path.value);
                Layout::All(vec![self.at_least(base, Binding::Postfix), Layout::text(format!(" at {path}"))])
            }
            ExprKind::If(parts) => Layout::group(vec![
                Layout::text("if "),
                self.at_least(&parts.cond, Binding::Or),
                Layout::text(" {"),
                Layout::indent(2, vec![Layout::Line, self.expr(&parts.then)]),
                Layout::Line,
                Layout::text("} else {"),
                Layout::indent(2, vec![Layout::Line, self.expr(&parts.otherwise)]),
                Layout::Line,
                Layout::text("}"),
            ]),
            ExprKind::Error => Layout::text("_"),
        }
    }

    fn exprs(self, values: &[Expr]) -> Vec<Layout> {
        values.iter().map(|value| self.expr(value)).collect()
    }

    fn chain(self, first: &Expr, links: &[Link]) -> Layout {
        let inner = links.first().map_or(Binding::If, |link| Binding::of_op(link.op).tighter());
        let mut rest = Vec::with_capacity(3 * links.len());
        for link in links {
            let op = Layout::text(format!("{} ", link.op.text()));
            rest.extend([Layout::Line, op, self.at_least(&link.operand, inner)]);
        }
        Layout::group(vec![self.at_least(first, inner), Layout::indent(2, rest)])
    }

    /// A pipe keeps the line breaks it was written with; one without any breaks at every stage where it must.
    fn pipe(self, first: &Expr, stages: &[Expr]) -> Layout {
        let mut end = first.span.end as usize;
        let breaks: Vec<bool> = stages
            .iter()
            .map(|stage| {
                let gap = end..stage.span.start as usize;
                end = stage.span.end as usize;
                self.source.and_then(|source| source.get(gap)).is_some_and(|gap| gap.contains('\n'))
            })
            .collect();
        let written = breaks.contains(&true);
        let mut rest = Vec::with_capacity(3 * stages.len());
        for (stage, broken) in stages.iter().zip(breaks) {
            let stage = [Layout::text("|> "), self.at_least(stage, Binding::Or)];
            if written && !broken {
                let [word, stage] = stage;
                rest.push(Layout::group(vec![Layout::Line, word, stage]));
            } else {
                rest.push(if written { Layout::Hard } else { Layout::Line });
                rest.extend(stage);
            }
        }
        Layout::group(vec![self.at_least(first, Binding::Or), Layout::indent(2, rest)])
    }

    pub(crate) fn arg(self, arg: &Arg) -> Layout {
        match &arg.name {
            Some(name) => self.named(name, &arg.value),
            None => self.expr(&arg.value),
        }
    }

    fn named(self, name: &Ident, value: &Expr) -> Layout {
        Layout::All(vec![Layout::text(format!("{} = ", name.name)), self.expr(value)])
    }

    fn index(self, item: &IndexItem) -> Layout {
        match &item.kind {
            IndexKind::At(value) => self.expr(value),
            IndexKind::Named(name, value) => self.named(name, value),
            IndexKind::Rest => Layout::text(".."),
            IndexKind::Slice(start, stop) => {
                let wide = |bound: &Option<Expr>| bound.as_ref().is_some_and(|e| Binding::of(e) < Binding::Unary);
                let colon = match (wide(start) || wide(stop), start.is_some(), stop.is_some()) {
                    (false, ..) => ":",
                    (true, true, true) => " : ",
                    (true, false, _) => ": ",
                    (true, true, false) => " :",
                };
                let mut parts: Vec<Layout> = start.iter().map(|e| self.expr(e)).collect();
                parts.push(Layout::text(colon));
                parts.extend(stop.iter().map(|e| self.expr(e)));
                Layout::All(parts)
            }
            IndexKind::Error => Layout::text("_"),
        }
    }

    /// A literal as it was written, or else as its value is written.
    fn literal(self, e: &Expr) -> Layout {
        let written = self
            .source
            .and_then(|source| source.get(e.span.range()))
            .map(|text| text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '(' | ')')));
        Layout::text(match (written, &e.kind) {
            (Some(text), _) if !text.is_empty() => text.to_owned(),
            (_, ExprKind::Int(value)) => value.to_string(),
            (_, ExprKind::Float(value)) => format!("{value:?}"),
            (_, ExprKind::Quantity(value, unit)) => format!("{value}{}", unit.text()),
            (_, ExprKind::Str(value)) => escape(value),
            _ => String::new(),
        })
    }

    pub(crate) fn ty(self, ty: &Type) -> Layout {
        match &ty.kind {
            TypeKind::Tensor(dtype, dims) if dims.is_empty() => Layout::text(&*dtype.name),
            TypeKind::Tensor(dtype, dims) => {
                let dims = dims.iter().map(|dim| self.type_dim(dim)).collect();
                Layout::All(vec![Layout::text(&*dtype.name), Layout::list("[", dims, "]")])
            }
            TypeKind::Error => Layout::text("_"),
        }
    }

    fn type_dim(self, dim: &TypeDim) -> Layout {
        match &dim.kind {
            TypeDimKind::Size(size) => self.at_least(size, Binding::Sum),
            TypeDimKind::Pack(name) => Layout::text(format!("..{}", name.name)),
            TypeDimKind::Counted(name, low, high) => Layout::All(vec![
                Layout::text(format!("{} in ", name.name)),
                self.at_least(low, Binding::Sum),
                Layout::text("..="),
                self.at_least(high, Binding::Sum),
            ]),
        }
    }
}
