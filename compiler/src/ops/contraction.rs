//! Sums of products over axes: what `einsum` and `matmul` share.
//! Invariant: an axis that the result lacks is summed; an operand's dim without an axis is 1 and broadcast.

use super::numbers::{from_scalars, offsets, strides};
use super::{At, Blame, Build, Call, EvalError, Lowering, OpError, Stage, Target};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{AxisId, Binary, Body, Contract, ExprId, FoldKind, Reduce};
use mlc_runtime::tensor::Tensor;

/// `result[…] = Σ Π operand[…]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Contraction {
    /// The extent of every axis.
    pub extents: Vec<Dim>,
    /// For each operand, the axis that each of its dims walks.
    pub operands: Vec<Vec<Option<usize>>>,
    /// The axes of the result, in order.
    pub result: Vec<usize>,
}

/// Where an operand of a stage stands.
#[derive(Clone, Copy)]
enum Place {
    Input(usize),
    Temp(usize),
}

/// The dtype of a product of two inputs; its compute type accumulates. A float on the right may be narrower; integers
/// of at most 16 bits mix, and give i32.
pub(super) fn product_dtype(call: &Call, left: DType, right: usize) -> Result<DType, OpError> {
    let found = call.input(right).dtype;
    let narrow = |dtype: DType| dtype.is_integer() && dtype.bits() <= 16;
    if narrow(left) && narrow(found) || left == DType::I32 && narrow(found) && right > 1 {
        return Ok(DType::I32);
    }
    let narrower = left.is_float() && found.is_float() && found.bits() < left.bits();
    if left != DType::Bool && (left == found || narrower) {
        return Ok(left);
    }
    let message = format!("`{}` cannot multiply {left} by {found}", call.signature.name);
    let error = OpError::new("MDL0306", message, Blame::Input(right), format!("this is {found}"));
    Err(match left == DType::Bool {
        true => error.help("cast both to f32 or i32 first"),
        false => error
            .note("floats on the right may be as wide as on the left or narrower; nothing else mixes")
            .cast(right, left),
    })
}

/// Where an operand is read: for each result, and from there for each term.
type Walk = (Vec<usize>, Vec<usize>);

/// The sum for result `r`. Two operands are what nearly every model has, and have a loop of their own.
fn sum<T: Copy + Default>(
    walks: &[Walk],
    data: &[Vec<T>],
    r: usize,
    multiply: impl Fn(T, T) -> T,
    add: impl Fn(T, T) -> T,
) -> T {
    let mut total = T::default();
    if let ([(base_a, steps_a), (base_b, steps_b)], [a, b]) = (walks, data) {
        let (from_a, from_b) = (base_a[r], base_b[r]);
        for (i, j) in steps_a.iter().zip(steps_b) {
            total = add(total, multiply(a[from_a + i], b[from_b + j]));
        }
        return total;
    }
    for t in 0..walks[0].1.len() {
        let mut terms = walks.iter().zip(data).map(|((base, step), x)| x[base[r] + step[t]]);
        let first = terms.next().expect("a contraction has an operand");
        total = add(total, terms.fold(first, &multiply));
    }
    total
}

impl Contraction {
    fn summed(&self) -> Vec<usize> {
        (0..self.extents.len()).filter(|axis| !self.result.contains(axis)).collect()
    }

    fn mentions(&self, operand: usize, axis: usize) -> bool {
        self.operands[operand].contains(&Some(axis))
    }

    /// The definition. Floats multiply and add in f64, integers wrap.
    pub(super) fn eval(&self, inputs: &[&Tensor], dtype: DType) -> Result<Tensor, EvalError> {
        let mut extents = vec![1; self.extents.len()];
        for (axes, x) in self.operands.iter().zip(inputs) {
            axes.iter().zip(x.shape()).for_each(|(axis, extent)| axis.iter().for_each(|a| extents[*a] = *extent));
        }
        let pick = |axes: &[usize], of: &[usize]| axes.iter().map(|axis| of[*axis]).collect::<Vec<_>>();
        let shape = pick(&self.result, &extents);
        let walks: Vec<Walk> = (self.operands.iter().zip(inputs))
            .map(|(axes, x)| {
                let mut steps = vec![0; extents.len()];
                axes.iter().zip(strides(x.shape())).for_each(|(axis, s)| axis.iter().for_each(|a| steps[*a] += s));
                let walk = |axes: &[usize]| offsets(&pick(axes, &extents), &pick(axes, &steps));
                (walk(&self.result), walk(&self.summed()))
            })
            .collect();
        if dtype.is_float() {
            let data: Vec<Vec<f64>> = inputs.iter().map(|x| x.to_f64_vec()).collect();
            return from_scalars(dtype, &shape, |r| Scalar::F64(sum(&walks, &data, r, |a, b| a * b, |a, b| a + b)));
        }
        let data: Vec<Vec<i64>> = inputs.iter().map(|x| x.iter().map(Scalar::as_i64).collect()).collect();
        from_scalars(dtype, &shape, |r| Scalar::I64(sum(&walks, &data, r, i64::wrapping_mul, i64::wrapping_add)))
    }

    /// One kernel for one or two operands; more are contracted pairwise from the left.
    pub(super) fn lower<'a>(self, accumulator: DType) -> Lowering<'a> {
        let places = [Place::Input(0), Place::Input(1)];
        match self.operands.len() {
            0..=2 if self.summed().is_empty() => Lowering::point(move |k, at| self.point(k, at, accumulator)),
            0..=2 => Lowering::single(move |k| self.body(k, &places, Target::Result(0), accumulator)),
            _ => self.chain(accumulator),
        }
    }

    fn chain<'a>(self, accumulator: DType) -> Lowering<'a> {
        let last = self.operands.len() - 2;
        let (mut temps, mut stages): (Vec<TensorType>, Vec<Stage<'a>>) = (vec![], vec![]);
        let mut left = self.operands[0].clone();
        for step in 0..=last {
            let right = self.operands[step + 1].clone();
            let later = |axis: &usize| {
                self.result.contains(axis) || (step + 2..self.operands.len()).any(|o| self.mentions(o, *axis))
            };
            let present = |axis: &usize| left.contains(&Some(*axis)) || right.contains(&Some(*axis));
            let kept: Vec<usize> = (0..self.extents.len()).filter(|a| present(a) && later(a)).collect();
            let result = if step == last { self.result.clone() } else { kept };
            let first = if step == 0 { Place::Input(0) } else { Place::Temp(step - 1) };
            let (places, target) = match step == last {
                true => ([first, Place::Input(step + 1)], Target::Result(0)),
                false => ([first, Place::Input(step + 1)], Target::Temp(step)),
            };
            if step < last {
                temps.push(TensorType::new(accumulator, result.iter().map(|axis| self.extents[*axis].clone())));
            }
            let next: Vec<Option<usize>> = result.iter().copied().map(Some).collect();
            let pair = Contraction::pair(&self.extents, left, right, result);
            stages.push(Box::new(move |k| pair.body(k, &places, target, accumulator)));
            left = next;
        }
        Lowering::Stages { temps, stages }
    }

    /// Two operands of a larger contraction, with the axes that they mention renumbered.
    fn pair(extents: &[Dim], left: Vec<Option<usize>>, right: Vec<Option<usize>>, result: Vec<usize>) -> Contraction {
        let used: Vec<usize> =
            (0..extents.len()).filter(|a| [&left, &right].iter().any(|o| o.contains(&Some(*a)))).collect();
        let number = |axis: usize| used.iter().position(|a| *a == axis).expect("the pair mentions the axis");
        let renumber = |axes: Vec<Option<usize>>| axes.into_iter().map(|axis| axis.map(number)).collect();
        let result = result.into_iter().map(number).collect();
        let extents = used.iter().map(|axis| extents[*axis].clone()).collect();
        Contraction { extents, operands: vec![renumber(left), renumber(right)], result }
    }

    fn point(&self, k: &mut dyn Build, at: &[At], accumulator: DType) -> ExprId {
        let place = |axis: usize| at[self.result.iter().position(|a| *a == axis).expect("nothing is summed")].clone();
        let elements: Vec<ExprId> = (0..self.operands.len())
            .map(|operand| self.element(k, Place::Input(operand), operand, &place, accumulator))
            .collect();
        elements.into_iter().reduce(|a, b| k.mul(a, b)).expect("at least one operand")
    }

    fn element(
        &self,
        k: &mut dyn Build,
        place: Place,
        operand: usize,
        at: &dyn Fn(usize) -> At,
        accumulator: DType,
    ) -> ExprId {
        let at: Vec<At> = self.operands[operand].iter().map(|axis| axis.map_or_else(At::zero, at)).collect();
        match place {
            Place::Input(input) => super::input_as(k, input, &at, accumulator),
            Place::Temp(temp) => k.load(Target::Temp(temp), &at, None),
        }
    }

    fn body(&self, k: &mut dyn Build, places: &[Place], target: Target, accumulator: DType) -> Body {
        let axes = k.axes(&self.extents);
        let at = |axis: usize| At::axis(axes[axis]);
        let elements: Vec<ExprId> = (0..self.operands.len())
            .map(|operand| self.element(k, places[operand], operand, &at, accumulator))
            .collect();
        let result: Vec<At> = self.result.iter().map(|axis| at(*axis)).collect();
        let role = |left: bool, right: bool, kept: bool| -> Vec<AxisId> {
            let fits = |axis: &usize| {
                let two = self.operands.len() == 2;
                (self.mentions(0, *axis), two && self.mentions(1, *axis)) == (left, right)
                    && self.result.contains(axis) == kept
            };
            let (order, all) = (self.result.iter().copied(), 0..self.extents.len());
            let ordered: Vec<usize> = if kept { order.collect() } else { all.collect() };
            ordered.into_iter().filter(fits).map(|axis| axes[axis]).collect()
        };
        let (batch, m, n) = (role(true, true, true), role(true, false, true), role(false, true, true));
        let summed: Vec<AxisId> = self.summed().into_iter().map(|axis| axes[axis]).collect();
        if self.operands.len() == 2 && !summed.is_empty() && !(m.is_empty() && n.is_empty()) {
            let sum = k.accumulator();
            let stores = k.store(target, &result, sum);
            let (a, b) = (elements[0], elements[1]);
            return Body::Contract(Contract { batch, m, n, k: summed, a, b, accumulator, stores });
        }
        let product = elements.into_iter().reduce(|a, b| k.binary(Binary::Mul, a, b)).expect("at least one operand");
        if summed.is_empty() {
            return Body::Map(k.store(target, &result, product));
        }
        let folds = vec![k.fold(FoldKind::Sum, product)];
        let sum = k.cell(0);
        Body::Reduce(Reduce { over: summed, folds, stores: k.store(target, &result, sum) })
    }
}
