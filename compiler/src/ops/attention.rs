//! `attention`: each query's mean of the values, weighted by how well their keys match.

use super::check::{require_dtype_of, require_equal, require_rank_from};
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
        Param::optional("causal", Kind::Dim, Default::None),
        Param::optional("hidden", Kind::Float, Default::None),
        Param::optional("blind", Kind::Word(&["zero", "nan"]), Default::Text("zero")),
    ],
    result: "[.., s, e]",
    doc: "softmax(q · kᵀ * scale + mask) · v with q [.., s, d], k [.., t, d], v [.., t, e]. A leading dim of k and v \
          divides that of q: with q [b, h, s, d] and k [b, g, t, d] each key head serves h / g query heads. `scale` is \
          1 / sqrt(d) where it is not given. `mask` broadcasts to [.., s, t]; a float is added, a bool is true where a \
          key may be seen, and elsewhere the score is `hidden`, -inf where that is not given. With `causal = n`, n keys \
          come before the first query, and query i sees keys 0 to i + n only: later ones have no part, and no time is \
          spent on them. A query that sees nothing, or only scores of -inf, gives 0, or NaN as softmax does with \
          blind = \"nan\". k and v may be narrower floats than q, such as an f16 cache.",
    example: "let y = attention(q, k, v, causal = 0)",
};

const Q: [&str; 2] = ["s", "d"];
const K: [&str; 2] = ["t", "d"];
const V: [&str; 2] = ["t", "e"];

/// The axes of the scores along a leading dim: those that share a key, and those of one key. Both together where some
/// of several share one.
struct Leading {
    shared: Option<AxisId>,
    own: Option<AxisId>,
    group: i64,
}

impl Leading {
    fn new(k: &mut dyn Build, queries: &Dim, keys: &Dim) -> Leading {
        match (queries.as_constant(), keys.as_constant()) {
            _ if queries == keys => Leading { shared: Some(k.axis("b", keys)), own: None, group: 1 },
            (_, Some(1)) => Leading { shared: None, own: Some(k.axis("h", queries)), group: 1 },
            (Some(h), Some(g)) if g > 0 && h > g => {
                Leading { shared: Some(k.axis("g", keys)), own: Some(k.axis("h", h / g)), group: h / g }
            }
            _ => Leading { shared: Some(k.axis("b", keys)), own: None, group: 1 },
        }
    }

    fn of_query(&self) -> At {
        let shared = self.shared.map(|axis| (axis, self.group));
        At::index(Index::affine(shared.into_iter().chain(self.own.map(|axis| (axis, 1))).collect(), 0))
    }

    fn of_key(&self) -> At {
        self.shared.map_or_else(At::zero, At::axis)
    }
}

/// The axes of the scores.
struct Axes {
    leading: Vec<Leading>,
    s: AxisId,
    t: AxisId,
}

impl Axes {
    fn new(k: &mut dyn Build, call: &Call) -> Axes {
        let (q, keys) = (call.input(0), call.input(1));
        let rank = q.rank();
        let pairs = q.dims[..rank - 2].iter().zip(&keys.dims);
        Axes {
            leading: pairs.map(|(queries, keys)| Leading::new(k, queries, keys)).collect(),
            s: k.axis("s", &q.dims[rank - 2]),
            t: k.axis("t", &keys.dims[rank - 2]),
        }
    }

    fn of_query(&self, last: AxisId) -> Vec<At> {
        self.leading.iter().map(Leading::of_query).chain([At::axis(self.s), At::axis(last)]).collect()
    }

    fn of_key(&self, last: AxisId) -> Vec<At> {
        self.leading.iter().map(Leading::of_key).chain([At::axis(self.t), At::axis(last)]).collect()
    }
}

/// Where the mask is read, aligned from the right, dims of 1 stretched.
fn mask_place(mask: &TensorType, at: &[At]) -> Vec<At> {
    let aligned = mask.dims.iter().zip(&at[at.len() - mask.rank()..]);
    aligned.map(|(dim, at)| if *dim == Dim::from(1) { At::zero() } else { at.clone() }).collect()
}

fn depth<'a>(call: &Call<'a>) -> &'a Dim {
    call.input(0).dims.last().expect("infer asked for two axes")
}

fn hidden(call: &Call) -> f64 {
    call.float("hidden").unwrap_or(f64::NEG_INFINITY)
}

fn blind_is_zero(call: &Call) -> bool {
    call.text("blind") != Some("nan")
}

fn scored(k: &mut dyn Build, call: &Call, sum: ExprId, at: &[At], compute: DType) -> ExprId {
    let scale = match (call.float("scale"), depth(call).as_constant()) {
        (Some(scale), _) => k.number(compute, scale),
        (None, Some(d)) => k.number(compute, 1.0 / (d as f64).sqrt()),
        (None, None) => {
            let d = k.size(depth(call));
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
            let hidden = k.number(compute, hidden(call));
            k.select(mask, score, hidden)
        }
        _ => k.add(score, mask),
    }
}

/// The whole op as one kernel; no score matrix lies in memory.
fn attend(k: &mut dyn Build, call: &Call, compute: DType) -> Body {
    let axes = Axes::new(k, call);
    let (d, e) = (k.axis("d", depth(call)), k.axis("e", call.input(2).dims.last().expect("infer asked for two axes")));
    let q = input_as(k, 0, &axes.of_query(d), compute);
    let keys = input_as(k, 1, &axes.of_key(d), compute);
    let v = input_as(k, 2, &axes.of_key(e), compute);
    let sum = k.accumulator();
    let score = scored(k, call, sum, &axes.of_query(axes.t), compute);
    let stores = k.store(Target::Result(0), &axes.of_query(e), sum);
    let visible = call.dim("causal").map(|before| {
        let end = Index::affine(vec![(axes.s, 1)], before + 1);
        (Index::constant(0), end)
    });
    Body::Attention(kernel::Attention {
        batch: axes.leading.iter().filter_map(|leading| leading.shared).collect(),
        m: axes.leading.iter().filter_map(|leading| leading.own).chain([axes.s]).collect(),
        n: axes.t,
        d,
        e,
        q,
        k: keys,
        v,
        score,
        visible,
        blind_is_zero: blind_is_zero(call),
        stores,
    })
}

fn check_leading(call: &Call, axis: usize, cx: &mut Infer) -> Result<(), OpError> {
    let (queries, keys) = (&call.input(0).dims[axis], &call.input(1).dims[axis]);
    let divides = match (queries.as_constant(), keys.as_constant()) {
        (_, Some(1)) => true,
        (Some(h), Some(g)) => g > 0 && h % g == 0,
        _ => cx.equal(queries, keys, Blame::Input(1)),
    };
    if divides {
        return Ok(());
    }
    let (h, g) = (cx.slots.show(queries), cx.slots.show(keys));
    let message = format!("{h} along axis {axis} of `q` cannot share {g} of `k` evenly");
    Err(OpError::new("MDL0304", message, Blame::Input(1), format!("this is {}", cx.show(call.input(1))))
        .label(Blame::Input(0), format!("this is {}", cx.show(call.input(0))))
        .dim(queries)
        .dim(keys))
}

fn check_mask(call: &Call, input: usize, cx: &mut Infer) -> Result<(), OpError> {
    let (q, keys, mask) = (call.input(0), call.input(1), call.input(input));
    if mask.dtype != DType::Bool {
        require_dtype_of(call, input, 0, cx)?;
    }
    let rank = q.rank();
    let scores: Vec<&Dim> = q.dims[..rank - 1].iter().chain([&keys.dims[rank - 2]]).collect();
    let fits = mask.rank() <= rank
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
        .note("aligned from the right, the last two are query and key; only a dim that is written 1 broadcasts"))
}

/// What a mask does to a score.
fn masked(mask: Option<&Tensor>, at: &[usize], score: f64, hidden: f64) -> f64 {
    match mask.map(|mask| (mask.dtype(), mask.get(super::broadcast::source(mask.shape(), at)))) {
        None => score,
        Some((DType::Bool, seen)) if seen.as_i64() == 0 => hidden,
        Some((DType::Bool, _)) => score,
        Some((_, added)) => score + added.as_f64(),
    }
}

impl Op for Attention {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        for (input, axes) in [Q, K, V].iter().enumerate() {
            require_rank_from(call, input, axes, cx)?;
        }
        let (q, keys, values) = (call.input(0), call.input(1), call.input(2));
        product_dtype(call, q.dtype, 1)?;
        product_dtype(call, q.dtype, 2)?;
        let rank = q.rank();
        if let Some(input) = [1, 2].into_iter().find(|input| call.input(*input).rank() != rank) {
            let message =
                format!("`q` has {rank} axes, `{}` has {}", call.parameter_of(input).0, call.input(input).rank());
            return Err(OpError::new(
                "MDL0301",
                message,
                Blame::Input(input),
                format!("this is {}", cx.show(call.input(input))),
            )
            .label(Blame::Input(0), format!("this is {}", cx.show(q))));
        }
        (0..rank - 2).try_for_each(|axis| check_leading(call, axis, cx))?;
        require_equal(call, cx, "queries and keys of one length", (0, &q.dims[rank - 1]), (1, &keys.dims[rank - 1]))?;
        for axis in 0..rank - 1 {
            let what = if axis == rank - 2 { "a value for each key" } else { "values with the leading dims of keys" };
            require_equal(call, cx, what, (1, &keys.dims[axis]), (2, &values.dims[axis]))?;
        }
        if let Some(mask) = call.tensor("mask") {
            check_mask(call, mask, cx)?;
        }
        let dims = q.dims[..rank - 1].iter().chain(&values.dims[rank - 1..]).cloned();
        Ok(vec![TensorType::new(q.dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = result_shape(call, 0, sizes)?;
        let [q, keys, values] = [0, 1, 2].map(|i: usize| inputs[i].to_f64_vec());
        let mask = call.tensor("mask").map(|input| inputs[input]);
        let (queries, shared) = (inputs[0].shape(), inputs[1].shape());
        let (leading, rows) = (shape.len() - 2, shape.len() - 1);
        let (t, d, e) = (shared[leading], queries[rows], shape[rows]);
        let scale = call.float("scale").unwrap_or(1.0 / (d as f64).sqrt());
        let before = match call.dim("causal") {
            Some(before) => {
                Some(before.eval(sizes).ok_or_else(|| EvalError::Size("how many keys come before".into()))?)
            }
            None => None,
        };
        let mut y = vec![0.0; shape.iter().product()];
        for row in super::positions(&shape[..rows]) {
            let key_at: Vec<usize> = (0..leading).map(|i| row[i] * shared[i] / queries[i]).collect();
            let first = super::offset(&shared[..leading], &key_at) * t;
            let (query, out) = (super::offset(&shape[..rows], &row) * d, super::offset(&shape[..rows], &row) * e);
            let seen = before
                .map_or(t, |n| (row[leading] as i64).saturating_add(n).saturating_add(1).clamp(0, t as i64) as usize);
            let score = |j: usize| {
                let dot: f64 = (0..d).map(|i| q[query + i] * keys[(first + j) * d + i]).sum();
                let at: Vec<usize> = row.iter().copied().chain([j]).collect();
                masked(mask, &at, dot * scale, hidden(call))
            };
            let scores: Vec<f64> = (0..seen).map(score).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, super::nan_max);
            if max == f64::NEG_INFINITY {
                y[out..out + e].fill(if blind_is_zero(call) { 0.0 } else { f64::NAN });
                continue;
            }
            let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            for (j, s) in scores.iter().enumerate() {
                (0..e).for_each(|i| y[out + i] += (s - max).exp() / sum * values[(first + j) * e + i]);
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
