//! What must hold for the sizes of a call, as `assert`s: each where all its names are in scope.

use super::body::Body;
use super::tree;
use crate::graph::GuardNode;
use mlc_grammar::ast::{BinaryOp, StmtKind};

impl Body<'_, '_> {
    /// Writes the guards whose names are all in scope by now.
    pub(super) fn asserts(&mut self) {
        let (ready, waiting): (Vec<GuardNode>, Vec<GuardNode>) =
            std::mem::take(&mut self.cx.guards).into_iter().partition(|guard| {
                self.scope.leaves(&guard.at_least_zero).iter().all(|slot| self.scope.get(*slot).is_some())
            });
        self.cx.guards = waiting;
        for guard in ready {
            let (lesser, greater) = self.scope.sides(&guard.at_least_zero);
            let condition = match guard.exactly_zero {
                true => tree::chain(greater, vec![(BinaryOp::Eq, lesser)]),
                false => tree::chain(lesser, vec![(BinaryOp::Le, greater)]),
            };
            self.stmts.push(tree::stmt(StmtKind::Assert(condition)));
        }
    }
}
