//! Entries and bodies: statements in order, and the result that was promised.

use super::elaborate::{Checks, Elaborator, Frame, Term};
use crate::graph::{Entry, Input, Value, ValueId};
use mlc_grammar::ast::{self, Pattern, Ret, Stmt, StmtKind, Type};

impl<'t> Elaborator<'t> {
    /// A callable of the model.
    pub(super) fn entry(&mut self, model: &Frame, entry: &'t ast::Func, doc: String) {
        let mut frame = model.clone();
        let mut inputs = Vec::new();
        for param in &entry.params {
            let name = param.name.name.to_string();
            let term = self.tensor_type(&mut frame, &param.ty).map(|ty| {
                let loc = self.loc(param.name.span);
                let value = self.graph.values.push(Value { ty, name: Some(name.clone()), loc });
                inputs.push(Input { name: name.clone(), value });
                Term::Value(value)
            });
            frame.names.insert(name, term);
        }
        let result = self.body(&mut frame, entry);
        let (body, guards) = (std::mem::take(&mut self.block), std::mem::take(&mut self.guards));
        let Ok(result) = result else { return };
        let outputs = match (&entry.ret, result) {
            (Ret::Type(_), Term::Value(value)) => vec![("out".to_owned(), value)],
            (Ret::Named(fields), Term::Value(value)) => vec![(fields[0].name.name.to_string(), value)],
            (ret, Term::Tuple(terms)) => {
                let name = |i: usize| match ret {
                    Ret::Named(fields) => fields[i].name.name.to_string(),
                    Ret::Type(_) => format!("out{i}"),
                };
                let value = |(i, term): (usize, &Term)| match term {
                    Term::Value(value) => Some((name(i), *value)),
                    _ => None,
                };
                terms.iter().enumerate().filter_map(value).collect()
            }
            (_, Term::Static(_)) => vec![],
        };
        let loc = self.loc(entry.name.span);
        let name = entry.name.name.to_string();
        self.graph.entries.push(Entry { name, doc, inputs, sizes: vec![], guards, body, outputs, loc });
    }

    /// The statements of a body; gives what it returns, of the type that it promises.
    pub(super) fn body(&mut self, frame: &mut Frame, function: &'t ast::Func) -> Checks<Term> {
        for stmt in &function.body.stmts {
            if let StmtKind::Return(value) = &stmt.kind {
                let term = self.expr(frame, value)?;
                return self.promised(frame, function, term, value);
            }
            self.statement(frame, stmt);
        }
        let message = format!("`{}` returns nothing", function.name.name);
        self.error("MDL0215", message, function.name.span, "a body ends with `return`")
    }

    fn statement(&mut self, frame: &mut Frame, stmt: &'t Stmt) {
        match &stmt.kind {
            StmtKind::Let { pattern, ty, value } => {
                let term = self.expr(frame, value).and_then(|term| self.annotated(frame, ty.as_ref(), term, value));
                self.bind_pattern(frame, pattern, term);
            }
            StmtKind::Weight { name, ty, from, default } => {
                let term = self.weight(frame, name, ty, from, default.as_ref());
                frame.names.insert(name.name.to_string(), term);
            }
            StmtKind::Const(constant) => {
                let value = self.expr(frame, &constant.value);
                frame.names.insert(constant.name.name.to_string(), value);
            }
            StmtKind::Dim(dim) => self.declare_dim(frame, dim),
            StmtKind::Error(names) => {
                for name in names {
                    frame.names.insert(name.name.to_string(), Err(super::elaborate::Poison));
                }
            }
            StmtKind::Set { .. } => drop(self.unsupported::<()>("`set`", stmt.span)),
            StmtKind::Repeat { .. } => drop(self.unsupported::<()>("`repeat`", stmt.span)),
            StmtKind::Fused { .. } => drop(self.unsupported::<()>("`fused`", stmt.span)),
            StmtKind::Assert(_) => drop(self.unsupported::<()>("`assert`", stmt.span)),
            StmtKind::Return(_) => {}
        }
    }

    fn annotated(&mut self, frame: &mut Frame, ty: Option<&Type>, term: Term, value: &ast::Expr) -> Checks<Term> {
        let Some(ty) = ty else { return Ok(term) };
        let wanted = self.tensor_type(frame, ty)?;
        let tensor = self.tensor(frame, &term, Some(wanted.dtype), value.span)?;
        let found = self.graph.ty(tensor).clone();
        self.require_type(&wanted, &found, value.span, "the declared type", "MDL0308")?;
        Ok(Term::Value(tensor))
    }

    fn bind_pattern(&mut self, frame: &mut Frame, pattern: &Pattern, term: Checks<Term>) {
        match pattern {
            Pattern::Name(name) => {
                if let Ok(Term::Value(value)) = &term {
                    let known = &mut self.graph.values[*value].name;
                    known.get_or_insert_with(|| name.name.to_string());
                }
                frame.names.insert(name.name.to_string(), term);
            }
            Pattern::Tuple(names) => {
                let terms = match term {
                    Ok(Term::Tuple(terms)) if terms.len() == names.len() => terms.into_iter().map(Ok).collect(),
                    Ok(_) => {
                        let span = names.first().map_or(ast::Span::default(), |n| n.span);
                        let message = format!("{} names for another number of values", names.len());
                        vec![self.error("MDL0216", message, span, "bound here"); names.len()]
                    }
                    Err(poison) => vec![Err(poison); names.len()],
                };
                for (name, term) in names.iter().zip(terms) {
                    frame.names.insert(name.name.to_string(), term);
                }
            }
        }
    }

    /// Compares what is returned with what is promised.
    fn promised(&mut self, frame: &mut Frame, function: &ast::Func, term: Term, value: &ast::Expr) -> Checks<Term> {
        let types: Vec<&Type> = match &function.ret {
            Ret::Type(ty) => vec![ty],
            Ret::Named(fields) => fields.iter().map(|field| &field.ty).collect(),
        };
        let terms = match term {
            Term::Tuple(terms) => terms,
            one => vec![one],
        };
        if terms.len() != types.len() {
            let message = format!("`{}` promises {} results, found {}", function.name.name, types.len(), terms.len());
            return self.error("MDL0308", message, value.span, "returned here");
        }
        let mut values: Vec<ValueId> = Vec::new();
        for (ty, term) in types.into_iter().zip(&terms) {
            let wanted = self.tensor_type(frame, ty)?;
            let tensor = self.tensor(frame, term, Some(wanted.dtype), value.span)?;
            let found = self.graph.ty(tensor).clone();
            let what = format!("the result of `{}`", function.name.name);
            self.require_type(&wanted, &found, value.span, &what, "MDL0308")?;
            values.push(tensor);
        }
        Ok(match values.as_slice() {
            [one] => Term::Value(*one),
            many => Term::Tuple(many.iter().map(|value| Term::Value(*value)).collect()),
        })
    }
}
