//! Statements in order, and what of them repeats: how parts of equal statements hang together.
//!
//! Invariant: parts are equal statement by statement but for names, and each takes from itself what the others take from
//! themselves.

use super::visit;
use mlc_grammar::ast::{ExprKind, Stmt, StmtKind, Type, TypeDimKind, TypeKind};
use mlc_grammar::print_expr;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A value of a repeated run: its part, the statement in that part, and which of its results.
type Place = (usize, usize, usize);

/// The statements of an entry, without the last, which returns.
pub(super) struct Flow<'a> {
    pub(super) stmts: &'a [Stmt],
    pub(super) types: &'a HashMap<String, Type>,
    /// Where the statements are that compute: the others name weights and numbers.
    pub(super) work: Vec<usize>,
    /// For each of them, the names of values that it uses, with repetition.
    pub(super) uses: Vec<Vec<String>>,
    /// Equal where statements are, but for names.
    pub(super) labels: Vec<u32>,
    /// The statement that binds a name, and which of its names it is.
    pub(super) made: HashMap<String, (usize, usize)>,
}

/// What repeats: `count` parts of `period` working statements each, from the one at `start`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) period: usize,
    pub(super) count: usize,
}

/// What each part is given at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// The same numbers, which can stand in the block.
    Literal,
    /// One value.
    Shared,
    /// A weight of its own.
    Weight,
    /// What the part before computes, by statement and which of its names; the first part takes another value.
    Carried(usize, usize),
    /// A value of its own.
    Own,
}

/// How the parts of a run hang together.
pub(super) struct Parts {
    pub(super) run: Run,
    /// What comes from outside: a name for each part, and what they have in common.
    pub(super) columns: Vec<(Vec<String>, Given)>,
    /// What is used outside of its part: statement and which of its names.
    pub(super) results: Vec<(usize, usize)>,
    /// Whether only the last part's results are used after the run.
    pub(super) last_only: bool,
}

impl<'a> Flow<'a> {
    pub(super) fn of(stmts: &'a [Stmt], types: &'a HashMap<String, Type>) -> Flow<'a> {
        let mut made = HashMap::new();
        for (at, stmt) in stmts.iter().enumerate() {
            for (which, name) in visit::binds(stmt).into_iter().enumerate() {
                made.insert(name, (at, which));
            }
        }
        let work: Vec<usize> = (0..stmts.len()).filter(|at| !is_leaf(&stmts[*at])).collect();
        let values = |stmt: &Stmt| visit::used(stmt).into_iter().filter(|name| types.contains_key(name)).collect();
        let uses: Vec<Vec<String>> = work.iter().map(|at| values(&stmts[*at])).collect();
        let mut flow = Flow { stmts, types, work, uses, labels: vec![], made };
        let mut known: HashMap<String, u32> = HashMap::new();
        for at in 0..flow.work.len() {
            let next = known.len() as u32;
            let text = flow.text(at).unwrap_or_else(|| format!("#{at}"));
            flow.labels.push(*known.entry(text).or_insert(next));
        }
        flow
    }

    /// A statement with the types of its names instead of them; `None` for one that is never part of a run.
    fn text(&self, at: usize) -> Option<String> {
        let StmtKind::Let { ty, value, .. } = &self.stmts[self.work[at]].kind else { return None };
        let mut value = value.clone();
        visit::expr(&mut value, &mut |name| {
            if let Some(ty) = self.types.get(&**name) {
                *name = shown(ty).into();
            }
        });
        let results: Vec<String> = visit::binds(&self.stmts[self.work[at]])
            .iter()
            .map(|name| self.types.get(name).map(shown))
            .collect::<Option<_>>()?;
        ty.is_none().then(|| format!("{} -> {}", print_expr(&value), results.join(", ")))
    }

    /// How the parts of a run hang together, if they are alike.
    pub(super) fn parts(&self, run: Run) -> Option<Parts> {
        let places: HashMap<usize, usize> = self.work.iter().enumerate().map(|(at, stmt)| (*stmt, at)).collect();
        let inside = |name: &String| {
            let (stmt, which) = self.made.get(name)?;
            let at = places.get(stmt)?.checked_sub(run.start)?;
            (at < run.period * run.count).then_some((at / run.period, at % run.period, *which))
        };
        let mut columns: Vec<(Vec<String>, Given)> = vec![];
        for place in 0..run.period {
            let rows: Vec<&Vec<String>> = (0..run.count).map(|part| &self.uses[run.at(part, place)]).collect();
            for k in 0..rows[0].len() {
                let names: Vec<String> = rows.iter().map(|row| row.get(k).cloned()).collect::<Option<_>>()?;
                let own =
                    |part: usize| inside(&names[part]).filter(|(of, ..)| *of == part).map(|(_, at, which)| (at, which));
                match own(0) {
                    Some(first) if (1..run.count).all(|part| own(part) == Some(first)) => {}
                    None if (1..run.count).all(|part| own(part).is_none()) => {
                        if !columns.iter().any(|(known, _)| *known == names) {
                            let given = self.given(&names, &inside);
                            columns.push((names, given));
                        }
                    }
                    _ => return None,
                }
            }
        }
        let (mut results, mut last_only) = (BTreeMap::new(), true);
        let mut note = |name: &String, part: Option<usize>| {
            if let Some((of, at, which)) = inside(name).filter(|(of, ..)| Some(*of) != part) {
                results.insert((at, which), ());
                last_only &= part.is_some() || of + 1 == run.count;
            }
        };
        for (at, uses) in self.uses.iter().enumerate() {
            let part = at.checked_sub(run.start).map(|at| at / run.period).filter(|part| *part < run.count);
            uses.iter().for_each(|name| note(name, part));
        }
        Some(Parts { run, columns, results: results.into_keys().collect(), last_only })
    }

    fn given(&self, names: &[String], inside: &dyn Fn(&String) -> Option<Place>) -> Given {
        let leaf = |name: &String| self.made.get(name).map(|(at, _)| &self.stmts[*at]).filter(|stmt| is_leaf(stmt));
        let numbers = |name: &String| match &leaf(name)?.kind {
            StmtKind::Let { ty, value, .. } => Some((ty.as_ref().map(shown), print_expr(value))),
            _ => None,
        };
        if let Some(first) = numbers(&names[0])
            && names.iter().all(|name| numbers(name).as_ref() == Some(&first))
        {
            return Given::Literal;
        }
        if names.iter().all(|name| *name == names[0]) {
            return Given::Shared;
        }
        let distinct: HashSet<&String> = names.iter().collect();
        let is_weight = |name: &String| leaf(name).is_some_and(|stmt| matches!(stmt.kind, StmtKind::Weight { .. }));
        if distinct.len() == names.len() && names.iter().all(is_weight) {
            return Given::Weight;
        }
        match names.get(1).and_then(inside) {
            Some((0, at, which))
                if names.iter().enumerate().skip(1).all(|(part, name)| inside(name) == Some((part - 1, at, which))) =>
            {
                Given::Carried(at, which)
            }
            _ => Given::Own,
        }
    }
}

impl Run {
    /// The working statement at a place of a part.
    pub(super) fn at(self, part: usize, place: usize) -> usize {
        self.start + part * self.period + place
    }

    /// How many statements need not be written.
    pub(super) fn saved(self) -> usize {
        (self.count - 1) * self.period
    }
}

/// Whether a statement names a weight or numbers.
pub(super) fn is_leaf(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::Weight { .. } => true,
        StmtKind::Let { ty: Some(_), value, .. } => {
            let plain = !matches!(value.kind, ExprKind::Call(..) | ExprKind::If(_));
            plain && visit::used(stmt).is_empty()
        }
        _ => false,
    }
}

/// A type as text.
pub(super) fn shown(ty: &Type) -> String {
    let TypeKind::Tensor(dtype, dims) = &ty.kind else { return String::new() };
    let size = |dim: &TypeDimKind| match dim {
        TypeDimKind::Size(size) => print_expr(size),
        TypeDimKind::Pack(name) | TypeDimKind::Counted(name, ..) => name.name.to_string(),
    };
    let dims: Vec<String> = dims.iter().map(|dim| size(&dim.kind)).collect();
    format!("{}[{}]", dtype.name, dims.join(", "))
}
