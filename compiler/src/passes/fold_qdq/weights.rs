//! The constant side of a product: its integers about zero, their sums, and its scales.

use super::super::constants::{Family, finite, numbers};
use super::super::rewrite::{Rewriter, Use};
use super::operand::Integers;
use super::whole;
use crate::graph::ValueId;
use crate::ops::OpKind;
use mlc_codegen::base::{DType, Scalar, Slot};
use mlc_runtime::tensor::Tensor;

/// For each dim of an operand, the dim of the result that walks with it; `None` for what is summed.
pub(super) type Kept = Vec<Option<usize>>;

/// Bytes of all members that are read.
const MOST: i64 = 512 << 20;

/// The weights of a product.
pub(super) struct Weights {
    pub(super) family: Family,
    zero: Option<Family>,
    scale: Option<Family>,
    /// The axis that zero and scale vary along, where they are of one axis by name.
    axis: Option<usize>,
    turned: Option<Use>,
    /// By dim of the integers.
    kept: Kept,
    /// Dims of the result.
    rank: usize,
}

/// One trip's integers.
pub(super) struct Member {
    /// The integers about zero, where they are not those of the constant.
    moved: Option<Tensor>,
    /// By column, broadcasting over the result.
    shape: Vec<usize>,
    sums: Vec<i64>,
    /// The largest sum of magnitudes of a column.
    largest: i64,
}

/// Factors for sums, by trip.
pub(super) struct Scales {
    pub(super) tensors: Vec<Tensor>,
    /// Whether the activations' scale is in them.
    pub(super) joined: bool,
}

impl Weights {
    /// `None` where a scale varies within a sum, or the weights are not read here.
    pub(super) fn new(cx: &Rewriter, side: &Integers, kept: Kept, rank: usize) -> Option<Weights> {
        let family =
            cx.family(side.value).filter(|family| family.is_plain(cx.graph) && family.bytes(cx.graph) <= MOST)?;
        let own = |value: Option<ValueId>| match value {
            None => Some(None),
            Some(value) => cx.family(value).map(Some),
        };
        let (zero, scale) = (own(side.zero)?, own(side.scale)?);
        let order = match &side.turned {
            Some(turned) => order(turned)?,
            None => (0..kept.len()).collect(),
        };
        let mut straight = vec![None; kept.len()];
        order.iter().zip(&kept).for_each(|(dim, place)| straight[*dim] = *place);
        let weights =
            Weights { family, zero, scale, axis: side.axis, turned: side.turned.clone(), kept: straight, rank };
        Some(weights)
    }

    pub(super) fn families(&self) -> impl Iterator<Item = &Family> {
        [&self.family].into_iter().chain(&self.zero).chain(&self.scale)
    }

    /// Elements from one position of each dim of the integers to the next in numbers that vary along `axis`, or broadcast;
    /// `None` where they do not broadcast over the integers.
    fn steps(&self, shape: &[usize], own: &[usize]) -> Option<Vec<usize>> {
        let mut steps = vec![0; shape.len()];
        if let Some(axis) = self.axis {
            steps[axis] = 1;
            return (own == [shape[axis]]).then_some(steps);
        }
        let mut stride = 1;
        for (back, extent) in own.iter().rev().enumerate() {
            let Some(dim) = shape.len().checked_sub(back + 1) else {
                if *extent != 1 {
                    return None;
                }
                continue;
            };
            if *extent != 1 {
                steps[dim] = stride;
                if *extent != shape[dim] {
                    return None;
                }
            }
            stride *= extent;
        }
        Some(steps)
    }

    /// The shape of numbers by column, and elements from one position of each dim of the integers to the next in it.
    fn columns(&self, shape: &[usize], dims: &[bool]) -> (Vec<usize>, Vec<usize>) {
        let mut wide = vec![1; self.rank];
        for (dim, place) in self.kept.iter().enumerate().filter(|(dim, _)| dims[*dim]) {
            place.iter().for_each(|place| wide[*place] = shape[dim]);
        }
        let first = wide.iter().position(|extent| *extent != 1).unwrap_or(self.rank);
        let mut strides = vec![1; self.rank];
        (1..self.rank).rev().for_each(|i| strides[i - 1] = strides[i] * wide[i]);
        let step =
            |(dim, place): (usize, &Option<usize>)| place.filter(|_| dims[dim]).map_or(0, |place| strides[place]);
        let steps = self.kept.iter().enumerate().map(step).collect();
        (wide[first..].to_vec(), steps)
    }

    /// The integers of a trip.
    pub(super) fn at(&self, cx: &Rewriter, trip: usize) -> Option<Member> {
        let weights = numbers(cx.graph, self.family.at(trip))?;
        let shape = weights.shape().to_vec();
        let signed = weights.dtype() == DType::I8;
        let mut values: Vec<i32> =
            weights.bytes().iter().map(|byte| if signed { i32::from(*byte as i8) } else { i32::from(*byte) }).collect();
        let mut moved = None;
        if let Some(zero) = &self.zero {
            let zeros = numbers(cx.graph, zero.at(trip))?;
            let steps = self.steps(&shape, zeros.shape())?;
            let zeros: Vec<i32> = zeros.iter().map(|zero| zero.as_i64() as i32).collect();
            if zeros.iter().any(|zero| *zero != 0) {
                each(&shape, &steps, &mut |i, place| values[i] -= zeros[place]);
                moved = Some(bytes_of(&shape, &values)?);
            }
        }
        let (wide, steps) = self.columns(&shape, &vec![true; shape.len()]);
        let count = wide.iter().product();
        let (mut sums, mut sizes) = (vec![0; count], vec![0; count]);
        each(&shape, &steps, &mut |i, place| {
            sums[place] += i64::from(values[i]);
            sizes[place] += i64::from(values[i].abs());
        });
        Some(Member { moved, shape: wide, sums, largest: sizes.into_iter().max().unwrap_or(0) })
    }

    /// Factors of the sums: the weights' scales, and those of the activations where they are one constant.
    pub(super) fn scales(&self, cx: &Rewriter, left: Option<ValueId>, trips: usize) -> Option<Scales> {
        let Some(scale) = &self.scale else { return Some(Scales { tensors: vec![], joined: true }) };
        let shape = cx.graph.constants[self.family.at(0)].ty.shape()?;
        let shape: Vec<usize> = shape.iter().map(|extent| *extent as usize).collect();
        let left = left.and_then(|left| cx.family(left));
        let single = |family: &Family| cx.graph.constants[family.at(0)].ty.elements().as_constant() == Some(1);
        let left = left.filter(single);
        let factors = |trip: usize| {
            let scales = numbers(cx.graph, scale.at(trip))?;
            let steps = self.steps(&shape, scales.shape())?;
            let varies: Vec<bool> = steps.iter().map(|step| *step != 0).collect();
            if varies.iter().zip(&self.kept).any(|(varies, place)| *varies && place.is_none()) {
                return None;
            }
            let (wide, targets) = self.columns(&shape, &varies);
            let one = left.as_ref().map_or(Some(1.0), |left| Some(numbers(cx.graph, left.at(trip))?.get_f64(0)))?;
            let mut all = vec![0.0; wide.iter().product()];
            let extents: Vec<usize> =
                shape.iter().zip(&varies).map(|(e, varies)| if *varies { *e } else { 1 }).collect();
            let places = [steps, targets].map(|steps| offsets(&extents, &steps));
            places[0].iter().zip(&places[1]).for_each(|(from, to)| all[*to] = scales.get_f64(*from) * one);
            finite(DType::F32, &wide, |i| all[i])
        };
        let tensors = (0..trips).map(factors).collect::<Option<_>>()?;
        Some(Scales { tensors, joined: left.is_some() })
    }

    /// The weights as the product reads them.
    pub(super) fn value(&self, cx: &mut Rewriter, members: Vec<Member>, counter: Option<Slot>) -> Option<ValueId> {
        let all = members.len();
        let moved: Vec<Option<Tensor>> = members.into_iter().map(|member| member.moved).collect();
        let value = if moved.iter().all(Option::is_none) {
            let ty = cx.graph.constants[self.family.at(0)].ty.clone();
            let value = cx.value(ty);
            let Family { members, counter } = self.family.clone();
            cx.push(crate::graph::NodeKind::Constant { members, counter }, vec![], vec![value]);
            value
        } else {
            let tensor =
                |(trip, moved): (usize, Option<Tensor>)| moved.or_else(|| numbers(cx.graph, self.family.at(trip)));
            let tensors: Vec<Tensor> = moved.into_iter().enumerate().map(tensor).collect::<Option<_>>()?;
            if tensors.iter().any(|tensor| tensor.dtype() != tensors[0].dtype()) {
                return None;
            }
            cx.constant(tensors, counter.filter(|_| all > 1), &self.family, "centred")?
        };
        match &self.turned {
            Some(turned) => cx.apply(OpKind::Transpose, turned.arguments.clone(), vec![value]),
            None => Some(value),
        }
    }
}

impl Member {
    /// Whether every sum fits i32 where activations are at most so far from zero.
    pub(super) fn fits(&self, farthest: i64) -> bool {
        self.largest.checked_mul(farthest).is_some_and(|most| most <= i64::from(i32::MAX))
    }

    /// `zero` times the sums of the columns.
    pub(super) fn sums(&self, zero: i64) -> Tensor {
        whole(&self.shape, &self.sums.iter().map(|sum| sum * zero).collect::<Vec<_>>())
    }
}

/// The order in which a transpose takes axes.
fn order(turned: &Use) -> Option<Vec<usize>> {
    let call = turned.call();
    let rank = turned.types[0].rank();
    Some(match call.ints("perm") {
        Some(perm) => perm.iter().map(|axis| *axis as usize).collect(),
        None => (0..rank).rev().collect(),
    })
}

/// Calls with each element's number and its place in numbers that move by `steps`.
fn each(shape: &[usize], steps: &[usize], visit: &mut dyn FnMut(usize, usize)) {
    let Some((inner, outer)) = shape.split_last() else { return visit(0, 0) };
    let (step, steps) = steps.split_last().expect("as many as dims");
    for (row, start) in offsets(outer, steps).into_iter().enumerate() {
        (0..*inner).for_each(|i| visit(row * inner + i, start + i * step));
    }
}

/// The places of all positions.
fn offsets(shape: &[usize], steps: &[usize]) -> Vec<usize> {
    shape.iter().zip(steps).fold(vec![0], |starts, (extent, step)| {
        starts.iter().flat_map(|start| (0..*extent).map(move |i| start + i * step)).collect()
    })
}

/// Integers as i8, or as u8 where they are not negative; `None` where neither holds them.
fn bytes_of(shape: &[usize], values: &[i32]) -> Option<Tensor> {
    let within = |low, high| values.iter().all(|value| (low..=high).contains(value));
    let dtype = if within(-128, 127) {
        DType::I8
    } else if within(0, 255) {
        DType::U8
    } else {
        return None;
    };
    Tensor::from_fn(dtype, shape, |i| Scalar::from_i64(dtype, i64::from(values[i]))).ok()
}
