//! How constants that filter pictures are laid out when a model is built, and kernels that read them so.
//!
//! The layout is the same for every machine: panels of sixteen columns are one vector of AVX-512, two of AVX2 and four
//! of 128 bits. What is past the last column is zero.

use super::convolve::ConvolvePlan;
use super::epilogue::constant_step;
use super::select::Isa;
use super::windows::{WindowPlan, as_window};
use crate::base::{DType, Dim, Scalar, Storage};
use crate::kernel::{Access, AxisId, Body, BufferId, Coord, ExprId, Index, Kernel, Node, Source};

/// Columns of a panel.
pub(super) const PANEL: i64 = 16;

/// `[n / width][k…][n % width]` of f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panels {
    /// The extent of n and its stride in the constant as it was.
    n: (i64, i64),
    /// The same of the axes of k, the outermost first.
    k: Vec<(i64, i64)>,
    width: i64,
}

impl Panels {
    /// How many numbers there are, padding included.
    pub fn elements(&self) -> i64 {
        let depth: i64 = self.k.iter().map(|(extent, _)| extent).product();
        (self.n.0 + self.width - 1) / self.width * self.width * depth
    }

    /// The constant's bytes in panels.
    pub fn laid_out(&self, bytes: &[u8]) -> Vec<u8> {
        let mut depths = vec![0];
        for (extent, stride) in &self.k {
            let deeper = |at: &i64| (0..*extent).map(move |i| i * stride + at).collect::<Vec<i64>>();
            depths = depths.iter().flat_map(deeper).collect();
        }
        let mut out = vec![0; self.elements() as usize * 4];
        let mut places = out.chunks_exact_mut(4);
        for first in (0..self.n.0).step_by(self.width as usize) {
            for depth in &depths {
                for column in first..first + self.width {
                    let place = places.next().expect("there is a place for each element");
                    if column < self.n.0 {
                        let from = (column * self.n.1 + depth) as usize * 4;
                        place.copy_from_slice(&bytes[from..from + 4]);
                    }
                }
            }
        }
        out
    }
}

/// The panels in which a kernel wants a constant, and the kernel that reads them; `None` where it reads as well as is.
pub fn wanted(kernel: &Kernel, buffer: BufferId) -> Option<(Panels, Kernel)> {
    let mut operands = kernel.operands.iter().enumerate().filter(|(_, access)| access.buffer == buffer);
    let ((number, access), None) = (operands.next()?, operands.next()) else { return None };
    let still = |coord: &Coord| match &coord.source {
        Source::Index(index) => index.is_affine() && index.plus == Dim::from(0) && coord.guard.is_none(),
        Source::Value(_) => false,
    };
    let plain = kernel.buffer(buffer).storage == Storage::Plain(DType::F32);
    if !plain || access.base != Dim::from(0) || !access.coords.iter().all(still) {
        return None;
    }
    let window = as_window(kernel).unwrap_or_else(|| kernel.clone());
    let plan = WindowPlan::new(&window, Isa::Avx2);
    let (n, k, width) = match &plan {
        Some(plan) => (plan.lanes(), plan.reduce.over.clone(), kernel.axis(plan.lanes()).extent.as_constant()?),
        None => {
            let Body::Contract(c) = &kernel.body else { return None };
            let [n] = c.n[..] else { return None };
            (n, c.k.clone(), PANEL)
        }
    };
    let others = (0..kernel.axes.len() as u32).map(AxisId).filter(|axis| *axis != n && !k.contains(axis));
    if others.into_iter().any(|axis| kernel.access_mentions(access, axis)) {
        return None;
    }
    let of = |axis: &AxisId| Some((kernel.axis(*axis).extent.as_constant()?, constant_step(kernel, access, *axis)?));
    let panels = Panels { n: of(&n)?, k: k.iter().map(of).collect::<Option<_>>()?, width };
    let mut laid_out = kernel.clone();
    laid_out.operands[number] = panel_access(kernel, buffer, n, &k, width)?;
    let takes = match plan {
        Some(_) => panels.n.1 != 1,
        None => ConvolvePlan::new(&laid_out, Isa::Avx2).is_some(),
    };
    takes.then_some((panels, laid_out))
}

/// Element (k, n) of panels.
pub(super) fn panel_access(kernel: &Kernel, buffer: BufferId, n: AxisId, k: &[AxisId], width: i64) -> Option<Access> {
    let columns = kernel.axis(n).extent.as_constant()?;
    let mut coords = Vec::new();
    let mut stride = width;
    for axis in k.iter().rev() {
        coords.push(Coord::new(Index::axis(*axis), stride));
        stride = stride.checked_mul(kernel.axis(*axis).extent.as_constant()?)?;
    }
    if columns > width {
        let panel = Index { terms: vec![(n, 1)], plus: Dim::from(0), div: width, modulus: None };
        coords.push(Coord::new(panel, stride));
        coords
            .insert(0, Coord::new(Index { terms: vec![(n, 1)], plus: Dim::from(0), div: 1, modulus: Some(width) }, 1));
    } else {
        coords.insert(0, Coord::new(Index::axis(n), 1));
    }
    coords.reverse();
    Some(Access::new(buffer, coords, Scalar::zero(DType::F32)))
}

/// The buffer of a side that is read in panels.
pub(super) fn in_panels(kernel: &Kernel, side: ExprId, n: AxisId, k: &[AxisId]) -> Option<BufferId> {
    let Node::Operand(operand) = kernel.expr.nodes[side.0 as usize] else { return None };
    let access = kernel.operand(operand);
    let panels = panel_access(kernel, access.buffer, n, k, PANEL)?;
    let plain = kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32);
    (plain && access.base == panels.base && access.coords == panels.coords).then_some(access.buffer)
}
