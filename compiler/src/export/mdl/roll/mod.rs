//! Parts of an entry that repeat, as a block that is written once: called in a `repeat`, or where the parts are given or
//! give different values, once for each.
//!
//! Statements are equal if they are but for names; the run of equal parts that saves most is rolled first. Weights lie at
//! the place that their keys name.
//! Invariant: what is written means the same, to the bit; names of weights, inputs and outputs stay.

mod find;
mod flow;
mod keys;
mod numbered;
mod visit;
mod write;

use flow::Flow;
use mlc_grammar::ast::{File, Item, ItemKind, MemberKind, Stmt, Type};
use std::collections::{HashMap, HashSet};

/// Rolls what repeats in each entry; `types` are those of all names of values in it.
pub(super) fn roll(file: &mut File, types: &HashMap<String, Type>) {
    let mut blocks = vec![];
    for item in &mut file.items {
        let ItemKind::Model(model) = &mut item.kind else { continue };
        let mut taken: HashSet<String> = HashSet::from([model.name.name.to_string()]);
        taken.extend(types.keys().cloned());
        for member in &mut model.members {
            let MemberKind::Entry(entry) = &mut member.kind else { continue };
            let mut types = types.clone();
            while let Some(block) = once(&mut entry.body.stmts, &mut types, &mut taken) {
                blocks.push(block);
            }
        }
    }
    file.items.splice(0..0, blocks);
}

/// Rolls the best run; the block that it becomes.
fn once(stmts: &mut Vec<Stmt>, types: &mut HashMap<String, Type>, taken: &mut HashSet<String>) -> Option<Item> {
    let names: Vec<String> = stmts.iter().flat_map(visit::binds).collect();
    let distinct: HashSet<&String> = names.iter().collect();
    if distinct.len() != names.len() {
        return None;
    }
    let flow = Flow::of(stmts, types);
    let (parts, keys) = find::best(&flow)?;
    let rolled = write::rolled(&flow, &parts, &keys, taken);
    types.extend(rolled.types);
    *stmts = without_unused(rolled.stmts);
    Some(rolled.block)
}

/// Weights and numbers that are named and not used any more are left out.
fn without_unused(stmts: Vec<Stmt>) -> Vec<Stmt> {
    let used: HashSet<String> = stmts.iter().flat_map(visit::used).collect();
    let gone = |stmt: &Stmt| flow::is_leaf(stmt) && visit::binds(stmt).iter().all(|name| !used.contains(name));
    stmts.into_iter().filter(|stmt| !gone(stmt)).collect()
}
