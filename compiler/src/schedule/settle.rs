//! Sizes that can only have one value are that number in kernels, so that what is chosen by numbers is chosen for them.
//! Invariant: a call is refused where a size has another value, so kernels compute the same.

use super::axes::each_access;
use super::layout::Shapes;
use mlc_codegen::base::{Dim, Slot, SlotDef, Slots};
use mlc_codegen::kernel::{Access, Body, Kernel, Node, Plan, Source};

/// Settles the kernels of a plan, and the shapes of its buffers.
pub(super) fn settle(plan: &mut Plan, shapes: &mut [Shapes]) {
    let Plan { slots, kernels, .. } = plan;
    let only = |slot: Slot| only_value(slots, slot);
    if !slots.iter().any(|(slot, _)| only(slot).is_some()) {
        return;
    }
    let settled = |dim: &mut Dim| {
        if dim.slots().any(|slot| only(slot).is_some()) {
            *dim = dim.substitute(&mut |slot| only(slot).map_or_else(|| Dim::slot(slot), Dim::from));
        }
    };
    kernels.iter_mut().for_each(|kernel| each_dim(kernel, &settled));
    shapes.iter_mut().flatten().flatten().flatten().for_each(settled);
}

fn only_value(slots: &Slots, slot: Slot) -> Option<i64> {
    match slots.def(slot) {
        SlotDef::Given { lo, hi, .. } => (lo == hi).then_some(*lo),
        _ => None,
    }
}

fn each_dim(kernel: &mut Kernel, settled: &dyn Fn(&mut Dim)) {
    kernel.axes.iter_mut().for_each(|axis| settled(&mut axis.extent));
    each_access(kernel, &mut |access: &mut Access| {
        settled(&mut access.base);
        for coord in &mut access.coords {
            settled(&mut coord.stride);
            coord.guard.iter_mut().for_each(settled);
            match &mut coord.source {
                Source::Index(index) => settled(&mut index.plus),
                Source::Value(_) => {}
            }
        }
    });
    if let Body::Attention(attention) = &mut kernel.body
        && let Some((from, to)) = &mut attention.visible
    {
        settled(&mut from.plus);
        settled(&mut to.plus);
    }
    for node in &mut kernel.expr.nodes {
        if let Node::Size(dim) = node {
            settled(dim);
        }
    }
}
