//! From the shares back to the product of queries and keys: softmax, masks, scales.
//! Invariant: every node on the way has one reader, and all have the dims of the scores.

use super::super::rewrite::{Rewriter, Use};
use super::Here;
use super::masks::Mask;
use crate::graph::ValueId;
use crate::ops::OpKind;
use crate::types::Loc;
use mlc_codegen::base::{DType, Dim};

/// More steps are no attention.
const STEPS: usize = 12;

/// The softmax whose result, perhaps transposed, a contraction reads. Axes of the shares are counted as that reads them.
pub(super) struct Shares {
    /// What the softmax is of.
    pub(super) of: ValueId,
    /// For each of its axes, that of the shares.
    pub(super) order: Vec<usize>,
    /// The axis of the shares that sum to one.
    pub(super) keys: usize,
    pub(super) locs: Vec<Loc>,
}

impl Shares {
    pub(super) fn of(cx: &Rewriter, here: &Here, found: &Use, side: usize) -> Option<Shares> {
        if found.results[0].dtype != DType::F32 || found.types[side].dtype != DType::F32 {
            return None;
        }
        let mut order: Vec<usize> = (0..found.types[side].rank()).collect();
        let (mut value, mut locs) = (found.inputs[side], vec![]);
        loop {
            let maker = here.single(cx, value)?;
            value = maker.inputs[0];
            locs.push(maker.loc);
            match maker.op {
                OpKind::Transpose => order = before_transpose(&maker, &order),
                OpKind::Softmax => {
                    let keys = order[maker.call().axis("axis")];
                    return Some(Shares { of: value, order, keys, locs });
                }
                _ => return None,
            }
        }
    }
}

/// What an axis of a transpose's input is called, when `order` names those of its result.
pub(super) fn before_transpose<T: Clone>(found: &Use, order: &[T]) -> Vec<T> {
    let rank = order.len();
    let reversed = || (0..rank as i64).rev().collect();
    let perm = found.call().ints("perm").unwrap_or_else(reversed);
    let place = |axis: usize| perm.iter().position(|p| *p as usize == axis).expect("each axis stands once in `perm`");
    (0..rank).map(|axis| order[place(axis)].clone()).collect()
}

/// What a contraction goes through before its softmax.
#[derive(Clone)]
pub(super) struct Scores {
    /// The contraction.
    pub(super) product: Use,
    /// For each axis of its result, that of the shares.
    pub(super) order: Vec<usize>,
    pub(super) scale: f64,
    /// Single numbers that are no constants, and whether they divide.
    pub(super) factors: Vec<(ValueId, bool)>,
    /// The one that acts last stands first.
    pub(super) masks: Vec<Mask>,
    pub(super) locs: Vec<Loc>,
}

/// What was found between a value and the softmax.
#[derive(Clone)]
struct Walk {
    order: Vec<usize>,
    scale: f64,
    factors: Vec<(ValueId, bool)>,
    masks: Vec<Mask>,
    locs: Vec<Loc>,
    steps: usize,
}

impl Scores {
    pub(super) fn of(cx: &Rewriter, here: &Here, shares: &Shares) -> Option<Scores> {
        let order = shares.order.clone();
        let walk = Walk { order, scale: 1.0, factors: vec![], masks: vec![], locs: vec![], steps: 0 };
        walk.behind(cx, here, shares.of).filter(|scores| scores.scale.is_finite())
    }
}

impl Walk {
    /// The scores that a value is made of.
    fn behind(mut self, cx: &Rewriter, here: &Here, value: ValueId) -> Option<Scores> {
        let found = here.single(cx, value)?;
        self.locs.push(found.loc);
        self.steps += 1;
        if self.steps > STEPS || found.results[0].dtype != DType::F32 {
            return None;
        }
        match found.op {
            OpKind::Einsum | OpKind::Matmul => {
                let Walk { order, scale, factors, masks, locs, .. } = self;
                (found.inputs.len() == 2).then_some(Scores { product: found, order, scale, factors, masks, locs })
            }
            OpKind::Transpose => {
                self.order = before_transpose(&found, &self.order);
                self.behind(cx, here, found.inputs[0])
            }
            OpKind::Neg => {
                self.scale = -self.scale;
                self.behind(cx, here, found.inputs[0])
            }
            OpKind::Mul | OpKind::Add => (0..2).find_map(|side| self.clone().beside(cx, here, &found, side)),
            OpKind::Div | OpKind::Sub => self.beside(cx, here, &found, 0),
            OpKind::Where => (1..3).find_map(|side| self.clone().beside(cx, here, &found, side)),
            _ => None,
        }
    }

    /// The scores that input `side` of an op is made of.
    fn beside(mut self, cx: &Rewriter, here: &Here, found: &Use, side: usize) -> Option<Scores> {
        if found.types[side] != found.results[0] {
            return None;
        }
        let axes = |ty: usize| aligned(&found.types[ty].dims, &self.order);
        match found.op {
            OpKind::Where => {
                let fill = cx.splat(found.inputs[3 - side])?.as_f64() * self.scale;
                let (value, axes) = (found.inputs[0], axes(0));
                let mask = Mask { value, axes, factor: 1.0, fill: Some(fill), inverted: side == 2 };
                let sound = fill == f64::NEG_INFINITY || fill.is_finite();
                self.hide(mask).filter(|_| sound)?;
            }
            OpKind::Add | OpKind::Sub => {
                let factor = if found.op == OpKind::Sub { -self.scale } else { self.scale };
                let mask =
                    Mask { value: found.inputs[1 - side], axes: axes(1 - side), factor, fill: None, inverted: false };
                self.hide(mask)?;
            }
            op => {
                let (other, divides) = (found.inputs[1 - side], op == OpKind::Div);
                match cx.splat(other).map(|number| number.as_f64()) {
                    Some(number) if divides => self.scale /= number,
                    Some(number) => self.scale *= number,
                    None if is_single(&found.types[1 - side].dims) => self.factors.push((other, divides)),
                    None => return None,
                }
            }
        }
        self.behind(cx, here, found.inputs[side])
    }

    /// Takes a mask; `None` where a number that is not known scales it.
    fn hide(&mut self, mask: Mask) -> Option<()> {
        self.masks.push(mask);
        self.factors.is_empty().then_some(())
    }
}

fn is_single(dims: &[Dim]) -> bool {
    dims.iter().all(|dim| *dim == Dim::from(1))
}

/// The axes that a tensor has beside one of axes `order`, aligned from the right; none where it is 1.
pub(super) fn aligned(dims: &[Dim], order: &[usize]) -> Vec<Option<usize>> {
    let start = order.len() - dims.len();
    dims.iter().zip(&order[start..]).map(|(dim, axis)| (*dim != Dim::from(1)).then_some(*axis)).collect()
}
