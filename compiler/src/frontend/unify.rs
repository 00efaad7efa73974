//! Parameters of blocks and functions: names in their types that are bound by the arguments of a call.

use super::elaborate::Elaborator;
use super::origin::{Origin, Whence};
use super::scope::Frame;
use super::term::{Checks, Operand, Poison, Static, Term};
use super::words;
use crate::diag::Diagnostic;
use crate::types::{Loc, TensorType};
use mlc_codegen::base::Dim;
use mlc_grammar::ast::{Param, TypeDim, TypeDimKind, TypeKind};
use std::collections::HashSet;
use std::rc::Rc;

/// An argument as it was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) ty: TensorType,
    /// Where the size of each axis comes from.
    pub(super) from: Rc<[Whence]>,
    /// The name it is bound to, and where.
    pub(super) name: Option<Rc<(String, Loc)>>,
    /// Where it is given.
    pub(super) loc: Loc,
}

impl Elaborator<'_> {
    /// Binds the bare names that a parameter's type introduces. `open` holds the static parameters without a value.
    pub(super) fn introduce(
        &mut self,
        frame: &mut Frame,
        param: &Param,
        given: &Given,
        open: &HashSet<&str>,
    ) -> Checks<()> {
        let TypeKind::Tensor(_, dims) = &param.ty.kind else { return Err(Poison) };
        let open_packs = dims
            .iter()
            .filter(|d| matches!(&d.kind, TypeDimKind::Pack(name) if !frame.packs.contains_key(&*name.name)));
        if open_packs.count() > 1 {
            let loc = self.loc(frame, param.ty.span);
            return self.error("MDL0210", "a type introduces one pack at most", loc, "which axes go to which is open");
        }
        let known: usize = dims
            .iter()
            .map(|d| match &d.kind {
                TypeDimKind::Pack(name) => frame.packs.get(&*name.name).map_or(0, |(dims, _)| dims.len()),
                _ => 1,
            })
            .sum();
        let rank = given.ty.rank();
        let opens = dims.iter().any(|d| matches!(&d.kind, TypeDimKind::Pack(n) if !frame.packs.contains_key(&*n.name)));
        let fits = if opens { known <= rank } else { known == rank };
        if !fits {
            return self.wrong_rank(frame, param, given, known, opens);
        }
        let width = rank - known;
        let mut axis = 0;
        for dim in dims {
            let taken = match &dim.kind {
                TypeDimKind::Pack(name) => frame.packs.get(&*name.name).map_or(width, |(dims, _)| dims.len()),
                _ => 1,
            };
            let found: Vec<(Dim, Whence)> =
                (axis..axis + taken).map(|i| (given.ty.dims[i].clone(), given.origin(i))).collect();
            axis += taken;
            self.introduce_axis(frame, dim, found, open);
        }
        Ok(())
    }

    fn introduce_axis(&mut self, frame: &mut Frame, dim: &TypeDim, found: Vec<(Dim, Whence)>, open: &HashSet<&str>) {
        match &dim.kind {
            TypeDimKind::Pack(name) => {
                frame.packs.entry((*name.name).into()).or_insert_with(|| found.into_iter().unzip());
            }
            TypeDimKind::Size(expr) => {
                let Some(name) = expr.as_name() else { return };
                let top = self.modules[frame.module].names.contains_key(name);
                if frame.get(name).is_none() && (!top || open.contains(name)) {
                    let (value, from) = found.into_iter().next().expect("one axis was taken");
                    let from = self.origin_of(&value, &from);
                    let loc = self.loc(frame, expr.span);
                    frame.bind(name, Ok(Term::Static(Static::Dim(value, from))), loc);
                }
            }
            TypeDimKind::Counted(..) => {}
        }
    }

    fn wrong_rank(&mut self, frame: &Frame, param: &Param, given: &Given, known: usize, more: bool) -> Checks<()> {
        let has = self.show(&given.ty);
        let declared = self.loc(frame, param.span);
        let wants = self.text(self.loc(frame, param.ty.span)).to_owned();
        let message = format!("`{}` is {wants}, found {has}", param.name.name);
        let axes = |n| words::count(n, "axis", "axes");
        let least = if more { "at least " } else { "" };
        let diagnostic = Diagnostic::error("MDL0301", message, given.loc, format!("this is {has}"))
            .label(declared, format!("{wants} is wanted here"))
            .note(format!("{least}{} are wanted, {} found", axes(known), axes(given.ty.rank())));
        self.report(diagnostic)
    }

    /// Compares an argument with its parameter's type, all of whose names are bound by now.
    pub(super) fn check_parameter(&mut self, frame: &Frame, param: &Param, given: &Given) -> Checks<()> {
        let wanted = self.tensor_type(frame, &param.ty)?;
        let declared = self.loc(frame, param.span);
        let what = format!("`{}`", param.name.name);
        self.require_type(&wanted, given, &what, "MDL0301", declared)
    }

    /// A value as an argument.
    pub(super) fn given(&self, operand: &Operand, loc: Loc) -> Given {
        let ty = self.graph.ty(operand.value).clone();
        Given { ty, from: operand.from.clone(), name: operand.name.clone(), loc }
    }
}

impl Given {
    /// Where an axis comes from; a literal of an input's type is told by the argument's name.
    fn origin(&self, axis: usize) -> Whence {
        let own = self.from.get(axis).cloned().flatten();
        own.or_else(|| {
            let name = self.name.as_ref()?;
            let dim = self.ty.dims[axis].as_constant()?;
            Origin::new(name.1, format!("`{dim}` comes from `{}`", name.0))
        })
    }
}
