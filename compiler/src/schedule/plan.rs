//! The plan of a whole graph: its entries, then what is chosen over all of them: layouts, and the forms of constants.

use super::constants::Constants;
use super::entry::Walk;
use super::kernels::{Kernels, Purpose};
use super::layout;
use super::panels::{self, Form};
use super::settle::settle;
use super::sparse::{Sparsified, sparsify};
use crate::graph::{ConstantId, Graph};
use crate::report::kernels::Zeros;
use crate::types::Loc;
use mlc_codegen::base::Slots;
use mlc_codegen::kernel::{Plan, StateDef};

/// A plan, the constants it reads, and the places its errors point at.
#[derive(Debug)]
pub struct Scheduled {
    /// What the runtime executes.
    pub plan: Plan,
    /// By number in the plan, and how the plan wants their bytes.
    pub constants: Vec<(ConstantId, Form)>,
    /// By number in the plan.
    pub sources: Vec<Loc>,
    /// By entry, what each of its calls is for, in the order of the steps.
    pub purposes: Vec<Vec<Purpose>>,
    /// What was found about the zeros of weights that calls read, by number of the call over all entries.
    pub zeros: Vec<(usize, Zeros)>,
}

/// Why a graph has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A tensor whose size leaves 64 bits (MDL0602).
    #[error("a tensor of type {ty} is too large: its size does not fit in 64 bits")]
    TooLarge {
        /// Its type, as text.
        ty: String,
        /// Where it is made.
        loc: Loc,
    },
}

/// Makes the plan of a verified graph, from its types alone.
///
/// # Errors
/// A size beyond 64 bits.
pub fn schedule(graph: &Graph) -> Result<Scheduled, ScheduleError> {
    schedule_reading(graph, None)
}

/// Makes the plan of a verified graph; its weights, where all constants take at most so many bytes, are read to see which
/// are mostly zeros. Those that cannot be read count as dense: whoever needs their bytes says why.
///
/// # Errors
/// As [`schedule`].
pub fn schedule_reading(graph: &Graph, most: Option<u64>) -> Result<Scheduled, ScheduleError> {
    let mut shared = Shared {
        graph,
        slots: graph.slots.clone(),
        kernels: Kernels::default(),
        constants: Constants::default(),
        sources: vec![],
    };
    let (mut entries, mut purposes, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &graph.entries {
        let mut walk = Walk::new(&mut shared, entry);
        let (steps, made) = walk.run(entry)?;
        shapes.push(std::mem::take(&mut walk.shapes));
        entries.push(walk.plan(entry, steps));
        purposes.push(made);
    }
    let states = graph.states.values().map(|state| StateDef {
        name: state.name.clone(),
        dtype: state.ty.dtype,
        dims: state.ty.dims.clone(),
    });
    let mut plan = Plan {
        states: states.collect(),
        constants: shared.constants.table(graph),
        slots: shared.slots,
        kernels: shared.kernels.finish(),
        entries,
    };
    settle(&mut plan, &mut shapes);
    layout::arrange(&mut plan, &shapes);
    let constants = shared.constants.finish();
    let bytes = plan.constants.iter().map(|(storage, count)| storage.bytes_for(*count).unwrap_or(i64::MAX) as u64);
    let all = bytes.fold(0, u64::saturating_add);
    let Sparsified { bytes, zeros } = match most {
        Some(most) if all <= most => sparsify(graph, &mut plan, &constants).unwrap_or_default(),
        _ => Sparsified::default(),
    };
    let mut forms = panels::arrange(&mut plan);
    bytes.into_iter().for_each(|(number, bytes)| forms[number as usize] = Form::Bytes(bytes));
    let constants = constants.into_iter().zip(forms).collect();
    Ok(Scheduled { plan, constants, sources: shared.sources, purposes, zeros })
}

/// What all entries share.
pub(super) struct Shared<'g> {
    pub(super) graph: &'g Graph,
    pub(super) slots: Slots,
    pub(super) kernels: Kernels,
    pub(super) constants: Constants,
    sources: Vec<Loc>,
}

impl Shared<'_> {
    pub(super) fn source(&mut self, loc: Loc) -> u32 {
        let found = self.sources.iter().position(|l| *l == loc);
        found.unwrap_or_else(|| {
            self.sources.push(loc);
            self.sources.len() - 1
        }) as u32
    }
}
