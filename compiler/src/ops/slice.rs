//! `slice`: a range of positions along each axis. Indexing with brackets becomes this op and `reshape`.

use super::places::scaled;
use super::{Blame, Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static SLICE: Slice = Slice;

/// See `SIGNATURE`.
pub(super) struct Slice;

static SIGNATURE: Signature = Signature {
    name: "slice",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("starts", Kind::Dims),
        Param::required("stops", Kind::Dims),
        Param::optional("steps", Kind::Ints, Default::None),
        Param::optional("axis", Kind::Axes, Default::None),
    ],
    result: "the dtype of x; dim ceil((stop - start) / step) where an axis is cut",
    doc: "Positions start, start + step, … below stop along each axis of `axis`, or along the first axes where it is left \
          out. `none` for a start is 0, for a stop the dim. 0 <= start <= stop <= dim is proved or checked when the model \
          is called; nothing is clamped. Steps are positive. x[2:5] is the short form for steps of 1.",
    example: "let y = slice(x, starts = [0], stops = [4], steps = [2], axis = [2])",
};

/// A range along one axis.
struct Range {
    axis: usize,
    start: Dim,
    stop: Dim,
    step: i64,
}

/// The ranges that the arguments say, axes in order of mention.
fn ranges(call: &Call) -> Vec<Range> {
    let (starts, stops) = (call.dims("starts").unwrap_or_default(), call.dims("stops").unwrap_or_default());
    let steps = call.ints("steps");
    let axes = call.ints("axis").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let bounds = starts.into_iter().zip(stops).zip(axes).enumerate();
    let range = bounds.map(|(i, ((start, stop), axis))| Range {
        axis: axis as usize,
        start: start.unwrap_or(Dim::from(0)),
        stop: stop.unwrap_or_else(|| call.input(0).dims[axis as usize].clone()),
        step: steps.as_ref().map_or(1, |steps| steps[i]),
    });
    range.collect()
}

fn check_lengths(call: &Call) -> Result<(), OpError> {
    let count = call.dims("starts").map_or(0, |starts| starts.len());
    let rank = call.input(0).rank();
    let lengths = [
        ("stops", call.dims("stops").map(|stops| stops.len())),
        ("steps", call.ints("steps").map(|steps| steps.len())),
        ("axis", call.ints("axis").map(|axes| axes.len())),
    ];
    for (name, length) in lengths {
        if length.is_some_and(|length| length != count) {
            let message = format!("`starts` has {count} items, `{name}` has {}", length.unwrap_or(0));
            return Err(OpError::new("MDL0309", message, Blame::Argument(name), "not one for each start"));
        }
    }
    if count > rank {
        let message = format!("{count} ranges for {rank} axes");
        return Err(OpError::new("MDL0309", message, Blame::Argument("starts"), "too many"));
    }
    let mut axes = call.ints("axis").unwrap_or_default();
    axes.sort_unstable();
    if axes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(OpError::new("MDL0309", "an axis is cut twice", Blame::Argument("axis"), "named twice"));
    }
    if let Some(step) = call.ints("steps").into_iter().flatten().find(|step| *step < 1) {
        let error =
            OpError::new("MDL0309", format!("a step of {step}"), Blame::Argument("steps"), "must be at least 1");
        return Err(error.help("flip(x, axis) reverses an axis"));
    }
    Ok(())
}

fn check_range(call: &Call, range: &Range, cx: &mut Infer) -> Result<(), OpError> {
    let dim = &call.input(0).dims[range.axis];
    let bounds = [(&Dim::from(0), &range.start), (&range.start, &range.stop), (&range.stop, dim)];
    let Some((a, b)) = bounds.into_iter().find(|(a, b)| !cx.at_most(a, b, Blame::Call)) else { return Ok(()) };
    let [start, stop, extent] = [&range.start, &range.stop, dim].map(|d| cx.slots.show(d));
    let message = format!("{start} : {stop} is no range of axis {} ({extent})", range.axis);
    let label = format!("{} is greater than {}", cx.slots.show(a), cx.slots.show(b));
    Err(OpError::new("MDL0309", message, Blame::Call, label)
        .label(Blame::Input(0), format!("this is {}", cx.show(call.input(0))))
        .note("a range needs 0 <= start <= stop <= dim; nothing is clamped")
        .dim(a)
        .dim(b))
}

impl Op for Slice {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        check_lengths(call)?;
        let mut result = call.input(0).clone();
        for range in ranges(call) {
            check_range(call, &range, cx)?;
            result.dims[range.axis] = cx.slots.ceil_div(&(range.stop - &range.start), range.step);
        }
        Ok(vec![result])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], super::result_shape(call, 0, sizes)?);
        let mut cuts = vec![(0, 1); shape.len()];
        for range in ranges(call) {
            let start = range.start.eval(sizes).and_then(|start| usize::try_from(start).ok());
            cuts[range.axis] = (start.ok_or_else(|| EvalError::Size("a start".into()))?, range.step as usize);
        }
        let from = |to: Vec<usize>| {
            let position: Vec<usize> = to.iter().zip(&cuts).map(|(p, (start, step))| start + p * step).collect();
            x.get(super::offset(x.shape(), &position))
        };
        let elements: Vec<_> = super::positions(&shape).map(from).collect();
        Ok(vec![super::from_scalars(x.dtype(), &shape, |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let mut from = at.to_vec();
            for range in ranges(call) {
                from[range.axis] = scaled(k, &at[range.axis], &Dim::from(range.step), &range.start);
            }
            k.input(0, &from)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
