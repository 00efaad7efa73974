//! What nothing calls is checked once, with fresh symbols for its dims; what cannot be told of them stays silent.

use super::elaborate::Elaborator;
use super::functions::{Takes, static_kind};
use super::origin::{Origin, Whence};
use super::scope::{Entity, Frame, Function};
use super::term::{Checks, Operand, Static, Term, View};
use crate::graph::State;
use mlc_codegen::base::{Dim, SlotDef};
use mlc_grammar::ast::{Param, TypeDimKind, TypeKind};
use std::rc::Rc;

impl<'t> Elaborator<'t> {
    /// Checks every block and function that was not elaborated yet, in the order of the text.
    pub(super) fn uncalled(&mut self) {
        let mut all: Vec<(usize, u32, Function<'t>)> = vec![];
        for (index, module) in self.modules.iter().enumerate() {
            let own = module.names.values().filter_map(|(entity, loc)| match entity {
                Entity::Function(function) if function.module == index => Some((index, loc.start, *function)),
                _ => None,
            });
            all.extend(own);
        }
        all.sort_by_key(|(module, start, _)| (*module, *start));
        self.standalone = true;
        for (_, _, function) in all {
            let key = (function.module, &*function.func.name.name);
            if !self.called.contains(&key) {
                self.called.insert(key);
                let graph = self.graph.clone();
                self.alone(function);
                self.graph = graph;
                self.block = Default::default();
                self.guards.clear();
                self.writes.clear();
            }
        }
        self.standalone = false;
    }

    fn alone(&mut self, function: Function<'t>) {
        let func = function.func;
        let mut frame = Frame { pure: function.pure, ..Frame::new(function.module) };
        for param in &func.statics {
            let loc = self.loc(&frame, param.name.span);
            let value = match static_kind(param) {
                "dim" => self.fresh(&param.name.name, loc),
                _ => Static::Unknown,
            };
            frame.bind(&param.name.name, Ok(Term::Static(value)), loc);
        }
        for param in &func.params {
            let loc = self.loc(&frame, param.name.span);
            self.introduces(&param.name.name, "argument", loc);
            let term = match self.takes(function.module, func, param) {
                Takes::Size => Ok(Term::Static(self.fresh(&param.name.name, loc))),
                kind => self.fresh_argument(&mut frame, param, kind),
            };
            frame.bind(&param.name.name, term, loc);
        }
        let site = super::elaborate::CallSite {
            name: func.name.name.to_string(),
            module: function.module,
            loc: self.loc(&frame, func.name.span),
        };
        self.calls.push(site);
        let before = self.diagnostics.len();
        let _: Checks<Term> = self.body(&mut frame, func);
        self.calls.pop();
        let name = format!("in this call of `{}`", func.name.name);
        for diagnostic in &mut self.diagnostics[before..] {
            diagnostic.labels.retain(|label| label.text != name);
        }
    }

    fn fresh(&mut self, name: &str, loc: crate::types::Loc) -> Static {
        let def = SlotDef::Given { name: name.into(), lo: 0, hi: i64::MAX, size: false };
        let slot = self.graph.slots.add(def);
        Static::Dim(Dim::slot(slot), Origin::new(loc, format!("`{name}` is introduced here")))
    }

    fn fresh_argument(&mut self, frame: &mut Frame, param: &Param, kind: Takes) -> Checks<Term> {
        if let TypeKind::Tensor(_, dims) = &param.ty.kind {
            for dim in dims {
                let loc = self.loc(frame, dim.span);
                match &dim.kind {
                    TypeDimKind::Pack(name) if !frame.packs.contains_key(&*name.name) => {
                        let Static::Dim(value, from) = self.fresh(&format!("..{}", name.name), loc) else { continue };
                        frame.packs.insert((*name.name).into(), (vec![value], vec![from]));
                    }
                    TypeDimKind::Size(expr) => {
                        let Some(name) = expr.as_name() else { continue };
                        if frame.get(name).is_none() && !self.modules[frame.module].names.contains_key(name) {
                            let value = self.fresh(name, loc);
                            frame.bind(name, Ok(Term::Static(value)), loc);
                        }
                    }
                    _ => {}
                }
            }
        }
        let typed = self.tensor_type(frame, &param.ty)?;
        let loc = self.loc(frame, param.name.span);
        let name = param.name.name.to_string();
        if kind == Takes::State {
            let state = self.graph.states.push(State { name, ty: typed.ty.clone(), loc });
            return Ok(Term::State(View::whole(state, &typed.ty, typed.from)));
        }
        let value = self.value(typed.ty, Some(name.clone()), loc);
        let from: Vec<Whence> = typed.from;
        Ok(Term::Tensor(Operand { value, from: from.into(), name: Some(Rc::new((name, loc))) }))
    }
}
