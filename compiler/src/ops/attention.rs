//! `attention`: each query's mean of the values, weighted by how well their keys match.

use super::check::{require_dtype_of, require_equal, require_rank};
use super::contraction::product_dtype;
use super::numbers::{from_floats, result_shape};
use super::{At, Blame, Build, Target, input_as};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use mlc_codegen::kernel::{self, AxisId, Body, ExprId, Index, Unary};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static ATTENTION: Attention = Attention;

/// See `SIGNATURE`.
pub(super) struct Attention;

static SIGNATURE: Signature = Signature {
    name: "attention",
    params: &[
        Param::required("q", Kind::Tensor),
        Param::required("k", Kind::Tensor),
        Param::required("v", Kind::Tensor),
        Param::optional("mask", Kind::Tensor, Default::None),
        Param::optional("scale", Kind::Float, Default::None),
    ],
    result: "[b, h, s, e]",
    doc: "softmax(q · kᵀ * scale + mask) · v with q [b, h, s, d], k [b, g, t, d], v [b, g, t, e], where g divides h: each \
          key head serves h / g query heads. `scale` is 1 / sqrt(d) where it is not given. `mask` broadcasts to \
          [b, h, s, t]; a bool is true where a key may be seen, a float is added. A query that sees nothing gives 0. \
          k and v may be narrower floats than q, such as an f16 cache.",
    example: "let y = attention(q, k, v, mask = causal_mask(queries = 8, keys = 8))",
};

const Q: [&str; 4] = ["b", "h", "s", "d"];
const K: [&str; 4] = ["b", "kv heads", "t", "d"];
const V: [&str; 4] = ["b", "kv heads", "t", "e"];

/// How many query heads share a key head.
fn group(call: &Call) -> i64 {
    let (heads, shared) = (&call.input(0).dims[1], &call.input(1).dims[1]);
    match (heads.as_constant(), shared.as_constant()) {
        (Some(h), Some(g)) if g > 0 => h / g,
        _ => 1,
    }
}

/// The axes of the scores: key head, query head in its group, and the rest.
struct Axes {
    b: AxisId,
    shared: AxisId,
    in_group: Option<AxisId>,
    s: AxisId,
    t: AxisId,
    group: i64,
}

impl Axes {
    fn new(k: &mut dyn Build, call: &Call) -> Axes {
        let (q, keys, group) = (call.input(0), call.input(1), group(call));
        Axes {
            b: k.axis("b", &q.dims[0]),
            shared: k.axis("g", &keys.dims[1]),
            in_group: (group > 1).then(|| k.axis("h", group)),
            s: k.axis("s", &q.dims[2]),
            t: k.axis("t", &keys.dims[2]),
            group,
        }
    }

    fn head(&self) -> At {
        let terms = [(self.shared, self.group)].into_iter().chain(self.in_group.map(|axis| (axis, 1)));
        At::index(Index::affine(terms.collect(), 0))
    }

    fn of_query(&self, last: AxisId) -> [At; 4] {
        [At::axis(self.b), self.head(), At::axis(self.s), At::axis(last)]
    }

    fn of_key(&self, last: AxisId) -> [At; 4] {
        [At::axis(self.b), At::axis(self.shared), At::axis(self.t), At::axis(last)]
    }

    fn rows(&self) -> Vec<AxisId> {
        self.in_group.into_iter().chain([self.s]).collect()
    }
}

/// Where the mask is read, aligned from the right, dims of 1 stretched.
fn mask_place(mask: &TensorType, at: &[At]) -> Vec<At> {
    let aligned = mask.dims.iter().zip(&at[at.len() - mask.rank()..]);
    aligned.map(|(dim, at)| if *dim == Dim::from(1) { At::zero() } else { at.clone() }).collect()
}

fn scored(k: &mut dyn Build, call: &Call, sum: ExprId, at: &[At], compute: DType) -> ExprId {
    let scale = match (call.float("scale"), call.input(0).dims[3].as_constant()) {
        (Some(scale), _) => k.number(compute, scale),
        (None, Some(d)) => k.number(compute, 1.0 / (d as f64).sqrt()),
        (None, None) => {
            let d = k.size(&call.input(0).dims[3]);
            let d = k.convert(compute, d);
            let (root, one) = (k.unary(Unary::Sqrt, d), k.number(compute, 1.0));
            k.div(one, root)
        }
    };
    let score = k.mul(sum, scale);
    let Some(input) = call.tensor("mask") else { return score };
    let mask = k.input(input, &mask_place(call.input(input), at));
    match call.input(input).dtype {
        DType::Bool => {
            let hidden = k.number(compute, f64::NEG_INFINITY);
            k.select(mask, score, hidden)
        }
        _ => k.add(score, mask),
    }
}

/// The whole op as one kernel; no score matrix lies in memory.
fn attend(k: &mut dyn Build, call: &Call, compute: DType) -> Body {
    let axes = Axes::new(k, call);
    let (d, e) = (k.axis("d", &call.input(0).dims[3]), k.axis("e", &call.input(2).dims[3]));
    let q = input_as(k, 0, &axes.of_query(d), compute);
    let keys = input_as(k, 1, &axes.of_key(d), compute);
    let v = input_as(k, 2, &axes.of_key(e), compute);
    let sum = k.accumulator();
    let score = scored(k, call, sum, &axes.of_query(axes.t), compute);
    let stores = k.store(Target::Result(0), &axes.of_query(e), sum);
    let (batch, m) = (vec![axes.b, axes.shared], axes.rows());
    Body::Attention(kernel::Attention { batch, m, n: axes.t, d, e, q, k: keys, v, score, visible: None, stores })
}

fn check_mask(call: &Call, input: usize, cx: &mut Infer) -> Result<(), OpError> {
    let (q, keys, mask) = (call.input(0), call.input(1), call.input(input));
    if mask.dtype != DType::Bool {
        require_dtype_of(call, input, 0, cx)?;
    }
    let scores = [&q.dims[0], &q.dims[1], &q.dims[2], &keys.dims[2]];
    let fits = mask.rank() <= 4
        && (mask.dims.iter().rev().zip(scores.iter().rev()))
            .all(|(dim, wanted)| *dim == Dim::from(1) || cx.equal(dim, wanted, Blame::Input(input)));
    if fits {
        return Ok(());
    }
    let wanted = TensorType::new(mask.dtype, scores.into_iter().cloned());
    let message = format!("`mask` must broadcast to {}", cx.show(&wanted));
    Err(OpError::new("MDL0302", message, Blame::Input(input), format!("this is {}", cx.show(mask)))
        .label(Blame::Input(0), format!("this is {}", cx.show(q)))
        .label(Blame::Input(1), format!("this is {}", cx.show(keys)))
        .note("aligned from the right: batch, head, query, key; only a dim that is written 1 broadcasts"))
}

impl Op for Attention {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        for (input, axes) in [Q, K, V].iter().enumerate() {
            require_rank(call, input, axes, cx)?;
        }
        let (q, keys, values) = (call.input(0), call.input(1), call.input(2));
        product_dtype(call, q.dtype, 1)?;
        product_dtype(call, q.dtype, 2)?;
        require_equal(call, cx, "one batch", (0, &q.dims[0]), (1, &keys.dims[0]))?;
        require_equal(call, cx, "queries and keys of one length", (0, &q.dims[3]), (1, &keys.dims[3]))?;
        for (axis, what) in [(0, "one batch"), (1, "as many value heads as key heads"), (2, "a value for each key")] {
            require_equal(call, cx, what, (1, &keys.dims[axis]), (2, &values.dims[axis]))?;
        }
        let divides = match (q.dims[1].as_constant(), keys.dims[1].as_constant()) {
            (Some(h), Some(g)) => g > 0 && h % g == 0,
            _ => cx.equal(&q.dims[1], &keys.dims[1], Blame::Input(1)),
        };
        if !divides {
            let (h, g) = (cx.slots.show(&q.dims[1]), cx.slots.show(&keys.dims[1]));
            let message = format!("{h} query heads cannot share {g} key heads evenly");
            return Err(OpError::new("MDL0304", message, Blame::Input(1), format!("this is {}", cx.show(keys)))
                .label(Blame::Input(0), format!("this is {}", cx.show(q)))
                .dim(&q.dims[1])
                .dim(&keys.dims[1]));
        }
        if let Some(mask) = call.tensor("mask") {
            check_mask(call, mask, cx)?;
        }
        let dims = q.dims[..3].iter().chain(&values.dims[3..]).cloned();
        Ok(vec![TensorType::new(q.dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = result_shape(call, 0, sizes)?;
        let [q, keys, values] = [0, 1, 2].map(|i: usize| inputs[i].to_f64_vec());
        let mask = call.tensor("mask").map(|input| inputs[input]);
        let (t, d, e, group) = (inputs[1].shape()[2], inputs[0].shape()[3], shape[3], group(call) as usize);
        let scale = call.float("scale").unwrap_or(1.0 / (d as f64).sqrt());
        let mut y = vec![0.0; shape.iter().product()];
        for row in super::positions(&shape[..3]) {
            let shared = row[0] * inputs[1].shape()[1] + row[1] / group;
            let query = super::offset(&shape[..3], &row) * d;
            let score = |j: usize| {
                let dot: f64 = (0..d).map(|i| q[query + i] * keys[(shared * t + j) * d + i]).sum();
                let at = [row[0], row[1], row[2], j];
                match mask.map(|mask| (mask.dtype(), mask.get(super::broadcast::source(mask.shape(), &at)))) {
                    None => dot * scale,
                    Some((DType::Bool, seen)) if seen.as_i64() == 0 => f64::NEG_INFINITY,
                    Some((DType::Bool, _)) => dot * scale,
                    Some((_, added)) => dot * scale + added.as_f64(),
                }
            };
            let scores: Vec<f64> = (0..t).map(score).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, super::nan_max);
            if max == f64::NEG_INFINITY {
                continue;
            }
            let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            let out = super::offset(&shape[..3], &row) * e;
            for (j, s) in scores.iter().enumerate() {
                (0..e).for_each(|i| y[out + i] += (s - max).exp() / sum * values[(shared * t + j) * e + i]);
            }
        }
        Ok(vec![from_floats(call.result(0).dtype, &shape, &y)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        let compute = call.input(0).dtype.compute();
        Lowering::single(move |k| attend(k, call, compute))
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
