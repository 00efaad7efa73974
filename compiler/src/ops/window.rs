//! Windows that slide over the axes of pictures and signals: kernel, stride, padding, dilation; what convolutions and
//! pools share.
//! Invariant: `infer` finds the result's dims; the rest works from a type-checked call and needs no table of slots.

use super::check::bad_argument;
use super::{At, Attr, Blame, Call, Infer, OpError};
use mlc_codegen::base::{Dim, Truth};
use mlc_codegen::kernel::{AxisId, Index};

/// How the windows lie along one axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slide {
    /// Positions in a window.
    pub(super) kernel: Dim,
    /// Between windows.
    pub(super) stride: i64,
    /// Between positions of a window.
    pub(super) dilation: i64,
    /// What is added around the axis.
    pub(super) padding: Padding,
}

/// What is added around an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// So much before and after.
    Fixed(i64, i64),
    /// As much as makes `ceil(extent / stride)` windows, the odd one after.
    Same,
}

/// The list of an argument, one number for each spatial axis.
pub(super) fn per_axis(call: &Call, name: &'static str, axes: usize, least: i64) -> Result<Vec<i64>, OpError> {
    let values = call.ints(name).unwrap_or_else(|| vec![1]);
    let values = if values.len() == 1 { vec![values[0]; axes] } else { values };
    match values.len() == axes && values.iter().all(|v| *v >= least) {
        true => Ok(values),
        false => {
            let message = format!("`{name}` must be one number or {axes}, each at least {least}");
            Err(bad_argument(name, message, format!("{values:?}")))
        }
    }
}

/// The `pad` argument over `axes` spatial axes: a number, one for each axis, or all begins and then all ends; or "same".
///
/// # Errors
/// It is neither.
pub fn paddings(call: &Call, axes: usize) -> Result<Vec<Padding>, OpError> {
    let list = match call.attr("pad") {
        Attr::Text(word) if word == "same" => return Ok(vec![Padding::Same; axes]),
        Attr::Text(word) => {
            return Err(bad_argument("pad", "`pad` is numbers or \"same\"".into(), format!("{word:?}")));
        }
        _ => call.ints("pad").unwrap_or_else(|| vec![0]),
    };
    let fixed = |begin: &dyn Fn(usize) -> i64, end: &dyn Fn(usize) -> i64| {
        Ok((0..axes).map(|axis| Padding::Fixed(begin(axis), end(axis))).collect())
    };
    match list.len() {
        _ if list.iter().any(|pad| *pad < 0) => {
            Err(bad_argument("pad", "`pad` cannot be negative".into(), format!("{list:?}")))
        }
        1 => fixed(&|_| list[0], &|_| list[0]),
        n if n == 2 * axes => fixed(&|axis| list[axis], &|axis| list[axes + axis]),
        n if n == axes => fixed(&|axis| list[axis], &|axis| list[axis]),
        _ => {
            let message = format!("`pad` must be one number, {axes} or {}: all begins, then all ends", 2 * axes);
            Err(bad_argument("pad", message, format!("{list:?}")))
        }
    }
}

impl Slide {
    /// From the first position of a window to behind its last.
    pub(super) fn reach(&self) -> Dim {
        (self.kernel.clone() - 1) * self.dilation + 1
    }

    /// How many windows there are; `up` counts a last one that is only partly inside.
    pub(super) fn windows(&self, extent: &Dim, up: bool, cx: &mut Infer) -> Result<Dim, OpError> {
        let Padding::Fixed(before, after) = self.padding else { return self.same_windows(extent, cx) };
        let (padded, reach) = (extent.clone() + (before + after), self.reach());
        if !cx.at_most(&reach, &padded, Blame::Input(0)) {
            let (x, y) = (cx.slots.show(&reach), cx.slots.show(&padded));
            let message = format!("a window of `{x}` is longer than the padded axis of `{y}`");
            let label = "this axis is too short";
            return Err(OpError::new("MDL0301", message, Blame::Input(0), label).dim(extent).dim(&reach));
        }
        let stride = Dim::from(self.stride);
        let whole = cx.slots.floor_div(&(padded.clone() - &reach), &stride) + 1;
        if !up {
            return Ok(whole);
        }
        let partly = cx.slots.floor_div(&(padded - reach + (self.stride - 1)), &stride) + 1;
        let begun = cx.slots.floor_div(&(extent.clone() + (before - 1)), &stride) + 1;
        Ok(cx.slots.min(&partly, &begun))
    }

    fn same_windows(&self, extent: &Dim, cx: &mut Infer) -> Result<Dim, OpError> {
        let count = cx.slots.ceil_div(extent, self.stride);
        let covered = cx.slots.at_most(&Dim::from(self.stride), &self.reach());
        if extent.as_constant().is_none() && covered != Truth::Yes {
            let message = "`pad = \"same\"` needs a window as long as the stride where the axis is symbolic".into();
            return Err(bad_argument("pad", message, "\"same\"").dim(extent));
        }
        Ok(count)
    }

    /// What stands before an axis of `extent` positions.
    pub(super) fn before(&self, extent: i64, kernel: i64) -> i64 {
        match self.padding {
            Padding::Fixed(before, _) => before,
            Padding::Same => {
                let windows = (extent + self.stride - 1) / self.stride;
                let total = (windows - 1) * self.stride + (kernel - 1) * self.dilation + 1 - extent;
                total.max(0) / 2
            }
        }
    }

    /// Where position `inside` of window `window` reads an axis of `extent` that has `windows` windows.
    pub(super) fn at(&self, window: AxisId, inside: AxisId, extent: &Dim, windows: &Dim) -> At {
        let (s, d) = (self.stride, self.dilation);
        let affine = |before: i64| At::index(Index::affine(vec![(window, s), (inside, d)], -before));
        let constants = (extent.as_constant(), self.kernel.as_constant());
        match (self.padding, constants) {
            (Padding::Fixed(0, 0), _) => affine(0),
            (Padding::Fixed(before, _), _) => affine(before).guarded(),
            (Padding::Same, (Some(extent), Some(kernel))) => affine(self.before(extent, kernel)).guarded(),
            (Padding::Same, _) => {
                let total = (windows.clone() - 1) * s + self.reach() - extent;
                let terms = vec![(window, 2 * s), (inside, 2 * d)];
                At::index(Index { terms, plus: Dim::from(1) - total, div: 2, modulus: None }).guarded()
            }
        }
    }
}
