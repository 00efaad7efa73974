//! The kernel IR: what a `.mlc` holds and what every code generator reads.
//!
//! A kernel is an iteration space, accesses that map its points to buffer elements, a DAG of typed scalar expressions
//! over what the accesses read, and a skeleton that says in which order points are visited and combined.
//! Invariant: no tensor op, no machine, no pointer. All safety facts come from `verify`, none from a builder.

mod access;
mod check;
mod desugar;
pub mod eval;
mod expr;
mod ir;
mod plan;
mod print;
mod session;
mod types;
mod verify;

pub use access::{Access, AxisId, BufferId, Coord, Index, Source};
pub use check::{LONGEST, check_call};
pub use expr::{Binary, Compare, Expr, ExprId, Node, Unary};
pub use ir::{
    Attention, Axis, Body, Buffer, Contract, Fold, FoldKind, Kernel, Loops, OperandId, Reduce, Role, Statement, Store,
};
pub use plan::{
    Argument, BufferDef, Call, Condition, EntryPlan, Family, IndexCheck, KernelId, Place, Plan, PlanBuffer, Port,
    SizeGuard, StateDef, Step, Variant,
};

pub use session::{PlanError, check_plan, verify_plan};
pub use types::Types;
pub use verify::{VerifyError, in_place, verify};

/// Newtypes over `u32` that index the arenas of kernels and plans.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);
    )*};
}
use ids;
