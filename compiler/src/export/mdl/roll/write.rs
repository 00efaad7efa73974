//! A run of parts as a block and what calls it.

use super::flow::{Flow, Given, Parts, is_leaf};
use super::keys::{Keys, key};
use super::numbered::Numbered;
use super::visit;
use crate::export::mdl::branches::param;
use crate::export::mdl::names::Names;
use crate::export::mdl::tree;
use mlc_codegen::base::DType;
use mlc_grammar::ast::{
    Expr, ExprKind, Func, Ident, IndexKind, Item, ItemKind, Param, Ret, Span, StaticParam, Stmt, StmtKind, Text, Type,
    TypeDimKind, TypeKind,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The statements afterwards, the block, and the types of new names.
pub(super) struct Rolled {
    pub(super) stmts: Vec<Stmt>,
    pub(super) block: Item,
    pub(super) types: Vec<(String, Type)>,
}

/// What stands for a run.
#[derive(Default)]
struct Looped {
    stmts: Vec<Stmt>,
    /// Of the names that are carried.
    types: Vec<(String, Type)>,
    /// Names of values before it, and what they are called now.
    moved: Vec<(String, String)>,
}

/// One run while it is written.
struct Roll<'a> {
    flow: &'a Flow<'a>,
    parts: &'a Parts,
    keys: &'a Keys,
    /// The block.
    name: String,
    /// Dims that the block must be given, by name.
    statics: Vec<String>,
    /// The columns that are parameters, in order.
    params: Vec<usize>,
}

pub(super) fn rolled(flow: &Flow, parts: &Parts, keys: &Keys, taken: &mut HashSet<String>) -> Rolled {
    let inside = |column: usize| parts.columns[column].1 == Given::Literal || keys.rests[column].is_some();
    let params = (0..parts.columns.len()).filter(|column| !inside(*column)).collect();
    let name = fresh(&block_name(keys), taken);
    let mut roll = Roll { flow, parts, keys, name, statics: vec![], params };
    let block = roll.block();
    let Looped { stmts: calls, types, moved } = match roll.repeat(taken) {
        Some(looped) => looped,
        None => Looped { stmts: roll.calls(), ..Looped::default() },
    };
    let renamed = roll.renamed(&types);
    let moved: HashMap<String, String> = moved.into_iter().collect();
    let (from, to) = (flow.work[parts.run.start], flow.work[parts.run.at(parts.run.count - 1, parts.run.period - 1)]);
    let leaves = flow.stmts[from..=to].iter().filter(|stmt| is_leaf(stmt));
    let mut stmts: Vec<Stmt> = flow.stmts[..from].iter().chain(leaves).cloned().collect();
    for name in stmts.iter_mut().flat_map(visit::bound) {
        if let Some(new) = moved.get(&*name.name) {
            name.name = new.as_str().into();
        }
    }
    stmts.extend(calls);
    for stmt in &flow.stmts[to + 1..] {
        let mut stmt = stmt.clone();
        visit::stmt(&mut stmt, &mut |name| {
            if let Some(new) = renamed.get(&**name) {
                *name = new.as_str().into();
            }
        });
        stmts.push(stmt);
    }
    Rolled { stmts, block, types }
}

/// `encoder.layer.{i}` is `EncoderLayer`.
fn block_name(keys: &Keys) -> String {
    let words = |head: &String| {
        let parts = head.split(['.', '_']).map(|word| word.trim_matches(|c: char| !c.is_ascii_alphabetic()).to_owned());
        parts.filter(|word| !word.is_empty()).collect::<Vec<_>>()
    };
    let all: Vec<Vec<String>> = keys.heads.iter().map(words).collect();
    let first = all.first().cloned().unwrap_or_default();
    let common: Vec<String> =
        first.iter().take_while(|word| all.iter().all(|words| words.contains(word))).cloned().collect();
    let last = &common[common.len().saturating_sub(2)..];
    let capital = |word: &String| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]);
    let name: String = last.iter().map(capital).collect();
    if name.len() < 3 { "Layer".into() } else { name }
}

/// A name that nothing has.
pub(super) fn fresh(stem: &str, taken: &mut HashSet<String>) -> String {
    let mut numbered = std::iter::once(stem.to_owned()).chain((2..).map(|n| format!("{stem}_{n}")));
    let name = numbered.find(|name| !taken.contains(name)).expect("one of endlessly many is free");
    taken.insert(name.clone());
    name
}

/// A name without the number that made it different, and without the part that it is of: of `h.0`, `h_0_scores_7` is
/// `scores`.
fn stem<'n>(name: &'n str, head: Option<&String>) -> &'n str {
    let words: Vec<&str> = head.map_or_else(Vec::new, |head| head.split('.').collect());
    let places = (0..words.len()).map(|from| format!("{}_", words[from..].join("_").to_ascii_lowercase()));
    let inner = places.into_iter().find_map(|place| name.strip_prefix(&place));
    let name = inner.filter(|inner| inner.starts_with(|c: char| c.is_ascii_alphabetic())).unwrap_or(name);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    if plain.is_empty() { name } else { plain }
}

impl Roll<'_> {
    fn ty(&self, name: &str) -> Type {
        self.flow.types[name].clone()
    }

    /// The statement at a place of a part.
    fn stmt(&self, part: usize, place: usize) -> &Stmt {
        &self.flow.stmts[self.flow.work[self.parts.run.at(part, place)]]
    }

    /// A result of a part, by its name outside.
    fn result(&self, part: usize, (place, which): (usize, usize)) -> String {
        visit::binds(self.stmt(part, place)).swap_remove(which)
    }

    /// The block: the first part with names of its own.
    fn block(&mut self) -> Item {
        let (run, columns) = (self.parts.run, &self.parts.columns);
        let mut names = Names::default();
        names.reserve(&self.name);
        for place in 0..run.period {
            let used = visit::used(self.stmt(0, place)).into_iter();
            used.filter(|name| !self.flow.types.contains_key(name)).for_each(|dim| names.reserve(&dim));
        }
        let given = self.params.iter().map(|column| columns[*column].0[0].clone());
        let made = self.parts.results.iter().map(|result| self.result(0, *result));
        given.chain(made).flat_map(|value| dims(&self.ty(&value))).for_each(|dim| names.reserve(&dim));
        let mut inner: Vec<String> = columns.iter().map(|_| String::new()).collect();
        for column in &self.params {
            inner[*column] = names.fresh(stem(&columns[*column].0[0], None));
        }
        let mut written: HashSet<usize> = self.params.iter().copied().collect();
        let mut local: HashMap<String, String> = HashMap::new();
        let mut stmts = vec![];
        for place in 0..run.period {
            let mut stmt = self.stmt(0, place).clone();
            let uses: Vec<Vec<String>> =
                (0..run.count).map(|part| self.flow.uses[run.at(part, place)].clone()).collect();
            let mut given = vec![];
            for k in 0..uses[0].len() {
                let names_of: Vec<&String> = uses.iter().map(|names| &names[k]).collect();
                let column = columns.iter().position(|(names, _)| names.iter().eq(names_of.iter().copied()));
                let Some(column) = column else {
                    given.push(local[&uses[0][k]].clone());
                    continue;
                };
                if written.insert(column) {
                    inner[column] = names.fresh(stem(&columns[column].0[0], self.keys.heads.first()));
                    stmts.push(self.leaf(column, &inner[column]));
                }
                given.push(inner[column].clone());
            }
            let (mut given, types) = (given.into_iter(), self.flow.types);
            visit::stmt(&mut stmt, &mut |name| {
                if types.contains_key(&**name) {
                    *name = given.next().expect("one for each use").into();
                }
            });
            for bound in visit::bound(&mut stmt) {
                let new = names.fresh(stem(&bound.name, self.keys.heads.first()));
                local.insert(bound.name.to_string(), new.clone());
                bound.name = new.into();
            }
            stmts.push(stmt);
        }
        let results: Vec<Param> = (self.parts.results.iter())
            .map(|result| self.result(0, *result))
            .map(|name| param(&local[&name], self.ty(&name)))
            .collect();
        let returned = results.iter().map(|result| tree::name(&result.name.name)).collect();
        stmts.push(tree::stmt(StmtKind::Return(tree::tuple(returned))));
        let params: Vec<Param> =
            self.params.iter().map(|column| param(&inner[*column], self.ty(&columns[*column].0[0]))).collect();
        let ret = match results.as_slice() {
            [only] => Ret::Type(only.ty.clone()),
            _ => Ret::Named(results),
        };
        let inner_names: HashSet<String> = local.into_values().chain(inner).collect();
        self.statics = open_dims(&stmts, &params, &inner_names);
        let given =
            |name: &String| StaticParam { name: Ident::new(name), ty: None, default: None, span: Span::default() };
        let statics = self.statics.iter().map(given).collect();
        let func = Func { name: Ident::new(&self.name), statics, params, ret, body: tree::body(stmts) };
        let docs = match (self.keys.heads.first(), self.keys.heads.last()) {
            (Some(first), Some(last)) => vec![Text::new(&format!("Each of `{first}` to `{last}`."))],
            _ => vec![],
        };
        Item { docs, attrs: vec![], kind: ItemKind::Block(func), span: Span::default() }
    }

    /// The statement for a weight of the block, or for numbers.
    fn leaf(&self, column: usize, inner: &str) -> Stmt {
        let name = &self.parts.columns[column].0[0];
        let mut stmt = self.flow.stmts[self.flow.made[name].0].clone();
        if let (StmtKind::Weight { from, .. }, Some(rest)) = (&mut stmt.kind, &self.keys.rests[column]) {
            *from = Text::new(rest);
        }
        visit::bound(&mut stmt).into_iter().for_each(|bound| bound.name = inner.into());
        stmt
    }

    fn call(&self, args: Vec<String>, at: Option<&str>) -> Expr {
        let given = |name: &String| IndexKind::Named(Ident::new(name), tree::name(name));
        let callee = match self.statics.is_empty() {
            true => tree::name(&self.name),
            false => tree::index(tree::name(&self.name), self.statics.iter().map(given).collect()),
        };
        let call = tree::call(callee, args.iter().map(|name| tree::arg(tree::name(name))).collect());
        match at {
            Some(place) => Expr::new(ExprKind::At(Box::new(call), Text::new(place))),
            None => call,
        }
    }

    /// A call for each part.
    fn calls(&self) -> Vec<Stmt> {
        let call = |part: usize| {
            let args = self.params.iter().map(|column| self.parts.columns[*column].0[part].clone()).collect();
            let results: Vec<String> = self.parts.results.iter().map(|result| self.result(part, *result)).collect();
            let at = self.keys.heads.get(part).map(String::as_str);
            tree::bind(tree::pattern(&results), None, self.call(args, at))
        };
        (0..self.parts.run.count).map(call).collect()
    }

    /// A loop, where each part differs from the one before by its weights and by what that gives it.
    fn repeat(&self, taken: &mut HashSet<String>) -> Option<Looped> {
        let columns = &self.parts.columns;
        let carried = |result: &(usize, usize)| {
            columns.iter().position(|(_, given)| *given == Given::Carried(result.0, result.1))
        };
        let carries: Vec<usize> = self.parts.results.iter().map(carried).collect::<Option<_>>()?;
        if !self.parts.last_only || carries.is_empty() || columns.iter().any(|(_, given)| *given == Given::Own) {
            return None;
        }
        let twice = columns.iter().filter(|(_, given)| matches!(given, Given::Carried(..))).count() != carries.len();
        let mut keys = Numbered::of(&self.keys.heads)?;
        if twice {
            return None;
        }
        let index = fresh("i", &mut taken.clone());
        let mut body = vec![];
        let at = (!self.keys.heads.is_empty()).then(|| keys.text(&self.keys.heads, &index, taken, &mut body));
        let at = at.map_or(Some(None), |text| text.map(Some))?;
        let mut inside: HashMap<usize, String> = HashMap::new();
        for column in self.params.iter().filter(|column| columns[**column].1 == Given::Weight) {
            let names = &columns[*column].0;
            let all: Vec<String> = names.iter().map(|name| key(self.flow, name).to_owned()).collect();
            let from = keys.text(&all, &index, taken, &mut body)?;
            let name = fresh(stem(&names[0], None), taken);
            let mut stmt = self.flow.stmts[self.flow.made[&names[0]].0].clone();
            if let StmtKind::Weight { name: bound, from: place, .. } = &mut stmt.kind {
                (*bound, *place) = (Ident::new(&name), Text::new(&from));
            }
            body.push(stmt);
            inside.insert(*column, name);
        }
        let mut names: HashMap<usize, String> = HashMap::new();
        for column in &carries {
            let initial = &columns[*column].0[0];
            let kept = self.is_only(initial, *column) && taken.contains(stem(initial, None));
            let name = if kept { initial.clone() } else { fresh(stem(initial, None), taken) };
            names.insert(*column, name);
        }
        let arg = |column: &usize| {
            let own = names.get(column).or_else(|| inside.get(column));
            own.cloned().unwrap_or_else(|| columns[*column].0[0].clone())
        };
        let args: Vec<String> = self.params.iter().map(arg).collect();
        let carry: Vec<String> = carries.iter().map(|column| names[column].clone()).collect();
        body.push(tree::bind(tree::pattern(&carry), None, self.call(args, at.as_deref())));
        let (mut stmts, mut moved) = (vec![], vec![]);
        for (column, name) in carries.iter().zip(&carry) {
            let initial = &columns[*column].0[0];
            match self.is_only(initial, *column) {
                true => moved.push((initial.clone(), name.clone())),
                false => stmts.push(tree::bind(tree::pattern(std::slice::from_ref(name)), None, tree::name(initial))),
            }
        }
        let repeat = StmtKind::Repeat {
            index: Ident::new(&index),
            start: tree::int(keys.start),
            end: tree::int(keys.start + self.parts.run.count as i64),
            cond: None,
            carry: carry.iter().map(|name| Ident::new(name)).collect(),
            body: tree::body(body),
        };
        let types = carries.iter().zip(&carry).map(|(column, name)| (name.clone(), self.ty(&columns[*column].0[0])));
        stmts.push(tree::stmt(repeat));
        Some(Looped { stmts, types: types.collect(), moved })
    }

    /// Whether a value is made by a statement and used for nothing but what the first part is given in a column.
    fn is_only(&self, name: &str, column: usize) -> bool {
        let others = self.parts.columns.iter().enumerate().filter(|(at, _)| *at != column);
        let alone = !others.flat_map(|(_, (names, _))| names).any(|used| used == name);
        let run = self.parts.run;
        let after = self.flow.uses[run.at(run.count, 0).min(self.flow.uses.len())..].iter().flatten();
        let before = self.flow.uses[..run.start].iter().flatten();
        self.flow.made.contains_key(name) && alone && !before.chain(after).any(|used| used == name)
    }

    /// What the results of the last part are called after a loop.
    fn renamed(&self, carried: &[(String, Type)]) -> HashMap<String, String> {
        let last = self.parts.run.count - 1;
        let results = self.parts.results.iter().map(|result| self.result(last, *result));
        results.zip(carried).map(|(old, (new, _))| (old, new.clone())).collect()
    }
}

/// The dims that a type names.
fn dims(ty: &Type) -> Vec<String> {
    let TypeKind::Tensor(_, dims) = &ty.kind else { return vec![] };
    let mut named = vec![];
    for dim in dims {
        if let TypeDimKind::Size(size) = &dim.kind {
            visit::expr(&mut size.clone(), &mut |name| named.push(name.to_string()));
        }
    }
    named
}

/// Dims that a block uses and that no parameter has as an axis.
fn open_dims(stmts: &[Stmt], params: &[Param], values: &HashSet<String>) -> Vec<String> {
    let (mut bound, mut open): (HashSet<String>, BTreeSet<String>) = Default::default();
    for param in params {
        let TypeKind::Tensor(_, dims) = &param.ty.kind else { continue };
        for dim in dims {
            match &dim.kind {
                TypeDimKind::Size(Expr { kind: ExprKind::Name(name), .. }) => {
                    bound.insert(name.to_string());
                }
                TypeDimKind::Size(size) => visit::expr(&mut size.clone(), &mut |name| {
                    open.insert(name.to_string());
                }),
                TypeDimKind::Pack(_) | TypeDimKind::Counted(..) => {}
            }
        }
    }
    open.extend(stmts.iter().flat_map(visit::used).filter(|name| !values.contains(name)));
    let word = |name: &String| name == "none" || name.parse::<DType>().is_ok();
    open.into_iter().filter(|name| !bound.contains(name) && !word(name)).collect()
}
