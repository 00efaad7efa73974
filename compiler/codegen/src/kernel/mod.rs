//! The kernel IR: what a `.mlc` holds and what every code generator reads.
//!
//! A kernel is an iteration space, accesses that map its points to buffer elements, a DAG of typed scalar expressions
//! over what the accesses read, and a skeleton that says in which order points are visited and combined.
//! Invariant: no tensor op, no machine, no pointer. All safety facts come from `verify`, none from a builder.

mod access;
mod check_call;
mod check_plan;
mod desugar;
pub mod eval;
mod expr;
mod ir;
mod plan;
mod print;
mod print_plan;
mod sparse;
mod types;
mod verify;
mod verify_plan;
mod work;

pub use access::{Access, AxisId, BufferId, Coord, Index, Source};
pub use check_call::{LONGEST, check_call};
pub use check_plan::check_plan;
pub use expr::{Binary, Compare, Expr, ExprId, Node, Unary};
pub use ir::{
    Attention, Axis, Body, Buffer, Contract, Fold, FoldKind, Kernel, Loops, OperandId, Reduce, Role, Statement, Store,
};
pub use plan::{
    Argument, BufferDef, Call, Condition, EntryPlan, Family, IndexCheck, KernelId, Place, Plan, PlanBuffer, Port,
    SizeGuard, StateDef, Step, Variant,
};
pub use sparse::{Right, sparse_right};
pub use types::Types;
pub use verify::{VerifyError, in_place, verify};
pub use verify_plan::{PlanError, verify_plan};
pub use work::{Traffic, Work};

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
