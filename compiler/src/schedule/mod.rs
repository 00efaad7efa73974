//! From the graph to a plan: kernels, buffers, and the order of steps.
//!
//! Every node, or fused group of nodes, becomes a call of a kernel. Reads that only move coordinates (transposes, slices,
//! rearrangements) make no kernel of their own: they are part of the accesses of whoever reads them.
//! Invariant: the plan computes what the graph says. What is chosen here is only where values lie and what is fused.

mod arena;
mod axes;
mod constants;
mod elements;
mod entry;
mod explain;
mod fused;
mod groups;
mod homes;
mod kernels;
mod layout;
mod panels;
mod plan;
mod settle;
mod sparse;
mod steps;

pub use explain::explain;
pub use kernels::Purpose;
pub use panels::Form;
pub use plan::{ScheduleError, Scheduled, schedule, schedule_reading};
