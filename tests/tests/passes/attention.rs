//! `fuse-attention`: attention written out in drawn ways becomes the op and means the same; what means more stays.

use crate::bench::{Bench, Draw};
use mlc::graph::{Graph, NodeKind};
use mlc::ops::{Attr, OpKind};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;
use std::fmt::Write;

const PASSES: [&str; 3] = ["fold", "fuse-attention", "dce"];

/// Attention as a program writes it, and the inputs it is called with.
struct Written {
    text: String,
    inputs: Vec<(String, Tensor)>,
}

/// One of several.
fn pick<T: Clone>(draw: &mut Draw, of: &[T]) -> T {
    of[draw.below(of.len())].clone()
}

fn shuffled(draw: &mut Draw, mut axes: Vec<&'static str>) -> Vec<&'static str> {
    (1..axes.len()).rev().for_each(|i| axes.swap(i, draw.below(i + 1)));
    axes
}

/// Numbers of which some are -inf, and all of the first quarter, so that whole rows are hidden.
fn hiding(draw: &mut Draw, shape: &[usize], whole: bool) -> Tensor {
    let plain = draw.tensor(shape, false);
    let count = plain.len();
    let hidden: Vec<bool> = (0..count).map(|i| draw.below(3) == 0 || whole && i < count.div_ceil(4)).collect();
    Tensor::from_fn(DType::F32, shape, |i| if hidden[i] { Scalar::F64(f64::NEG_INFINITY) } else { plain.get(i) })
        .expect("a small tensor")
}

fn flags(draw: &mut Draw, shape: &[usize], whole: bool) -> Tensor {
    let count: usize = shape.iter().product();
    let flags: Vec<bool> = (0..count).map(|i| draw.below(3) > 0 && !(whole && i < count.div_ceil(4))).collect();
    Tensor::from_fn(DType::Bool, shape, |i| Scalar::Bool(flags[i])).expect("a small tensor")
}

/// Scores with a scale, a mask, and perhaps a causal one, and the inputs that they need.
fn scored(draw: &mut Draw, order: &[&str], extents: &[(&str, usize)]) -> (String, Vec<(String, Tensor)>) {
    let extent = |axis: &str| extents.iter().find(|(name, _)| *name == axis).expect("an axis of the scores").1;
    let mut inputs = vec![("f".to_owned(), draw.tensor(&[1], false))];
    let mut scores = String::from("scores");
    let scaled = |scores: String, how: usize| match how {
        0 => format!("({scores} * 0.3)"),
        1 => format!("({scores} / 1.7)"),
        2 => format!("(1.25 * -{scores})"),
        3 => format!("({scores} * f)"),
        _ => scores,
    };
    scores = scaled(scores, draw.below(6));
    let cut = draw.below(order.len() + 1);
    let shape: Vec<usize> = order[cut..].iter().map(|a| if draw.below(3) == 0 { 1 } else { extent(a) }).collect();
    let whole = draw.below(2) == 0;
    let form = draw.below(7);
    let natural = order.ends_with(&["s", "t"]);
    if natural && draw.below(2) == 0 && form != 4 {
        let (queries, keys, offset) = (extent("s"), extent("t"), draw.below(5) as i64 - 1);
        scores =
            format!("where(causal_mask(queries = {queries}, keys = {keys}, offset = {offset}), {scores}, -1.0 / 0.0)");
    }
    scores = match form {
        0 => format!("({scores} + m)"),
        1 => format!("(m + {scores})"),
        2 => format!("where(m, {scores}, -1.0 / 0.0)"),
        3 => format!("where(m, -1.0 / 0.0, {scores})"),
        4 => format!("where(m, {scores}, -3.5)"),
        5 => format!("({scores} - -m)"),
        _ => scores,
    };
    if form < 6 {
        let mask = if (2..5).contains(&form) { flags(draw, &shape, whole) } else { hiding(draw, &shape, whole) };
        inputs.push(("m".to_owned(), mask));
    }
    if draw.below(3) == 0 {
        scores = scaled(scores, draw.below(2));
    }
    (scores, inputs)
}

/// Attention over up to three leading axes, each of which keys and values have or have not, in any order of axes.
fn written(draw: &mut Draw) -> Written {
    let leading: Vec<&str> = ["b", "g", "h"][..draw.below(4)].to_vec();
    let shared: Vec<&str> = leading.iter().copied().filter(|_| draw.below(4) > 0).collect();
    let extents = [
        ("b", 2),
        ("g", 3),
        ("h", 2),
        ("s", pick(draw, &[1, 3, 5, 7, 18])),
        ("t", pick(draw, &[1, 2, 9, 17, 33])),
        ("d", pick(draw, &[1, 4, 5])),
        ("e", pick(draw, &[1, 3, 8])),
    ];
    let with = |axes: &[&'static str], more: [&'static str; 2]| [axes, &more].concat();
    let natural = draw.below(2) == 0;
    let mut order = |axes: Vec<&'static str>| if natural { axes } else { shuffled(draw, axes) };
    let (q, k, v) =
        (order(with(&leading, ["s", "d"])), order(with(&shared, ["t", "d"])), order(with(&shared, ["t", "e"])));
    let (scores, result) = (order(with(&leading, ["s", "t"])), order(with(&leading, ["s", "e"])));
    let (expression, more) = scored(draw, &scores, &extents);
    let shape = |axes: &[&str]| -> Vec<usize> {
        axes.iter().map(|axis| extents.iter().find(|(name, _)| name == axis).expect("an axis").1).collect()
    };
    let mut inputs: Vec<(String, Tensor)> = [("q", &q), ("k", &k), ("v", &v)]
        .map(|(name, axes)| (name.to_owned(), draw.tensor(&shape(axes), false)))
        .into();
    inputs.extend(more);
    let params: Vec<String> =
        inputs.iter().map(|(name, x)| format!("{name}: {}{:?}", x.dtype().name(), x.shape())).collect();
    let axis = scores.iter().position(|axis| *axis == "t").expect("keys");
    let product = match draw.below(2) {
        0 => format!("einsum(\"{}, {} -> {}\", q, k)", q.join(" "), k.join(" "), scores.join(" ")),
        _ => format!("einsum(\"{}, {} -> {}\", k, q)", k.join(" "), q.join(" "), scores.join(" ")),
    };
    let mut text = format!("mdl 1\nmodel M {{\n  entry main({}) -> f32{:?} {{\n", params.join(", "), shape(&result));
    let _ = writeln!(text, "    let scores = {product}\n    let p = softmax({expression}, axis = {axis})");
    let sum = format!("{}, {} -> {}", scores.join(" "), v.join(" "), result.join(" "));
    let _ = writeln!(text, "    return einsum(\"{sum}\", p, v)\n  }}\n}}");
    Written { text, inputs }
}

fn named(inputs: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

/// How many of an op are in a graph.
fn count(graph: &Graph, wanted: OpKind) -> usize {
    let all = graph.entries.iter().flat_map(|entry| graph.nodes_within(&entry.body));
    all.filter(|node| matches!(graph.nodes[*node].kind, NodeKind::Op { op, .. } if op == wanted)).count()
}

/// How many keys come before the first query, as each attention says.
fn causal(graph: &Graph) -> Vec<String> {
    let all = graph.entries.iter().flat_map(|entry| graph.nodes_within(&entry.body));
    let shown = all.filter_map(|node| match &graph.nodes[node].kind {
        NodeKind::Op { op: OpKind::Attention, arguments } => Some(match &arguments.attrs[1] {
            Attr::Dim(dim) => graph.slots.show(dim),
            _ => "all".to_owned(),
        }),
        _ => None,
    });
    shown.collect()
}

#[test]
fn attention_written_in_any_way_becomes_the_op_and_means_the_same() {
    let mut draw = Draw(crate::seed());
    let mut blind = 0;
    for _ in 0..60 {
        let Written { text, inputs } = written(&mut draw);
        let bench = Bench::new(&text, &[]);
        let graph = bench.after(&PASSES);
        assert_eq!((count(&graph, OpKind::Attention), count(&graph, OpKind::Softmax)), (1, 0), "{text}");
        let expected = bench.meaning(&named(&inputs), &[]);
        bench.near(&PASSES, &expected, &bench.outputs(&PASSES, &named(&inputs)), 1e-4);
        blind += usize::from(expected[0].iter().any(|number| number.as_f64().is_nan()));
    }
    assert!(blind > 0, "no query was blind in any program");
}

#[test]
fn causal_masks_give_the_visible_range_with_a_cache_too() {
    let text = "mdl 1
model M {
  dim s in 1..=8
  state keys: f32[1, 2, 32, 4]
  state values: f16[1, 2, 32, 4]
  entry step(x: f32[1, s, 16], past: size) -> f32[1, 4, s, 4] {
    assert past + s <= 32
    let h = rearrange(x, \"b s (h d) -> b h s d\", h = 4)
    set keys[:, :, past : past + s, :] = h[:, 0:2]
    set values[:, :, past : past + s, :] = cast(h[:, 1:3], f16)
    let (k, v) = (keys[:, :, 0 : past + s, :], values[:, :, 0 : past + s, :])
    let mask = causal_mask(queries = s, keys = past + s, offset = past)
    let y = attention(h, k, v, mask = mask[none, none] and causal_mask(queries = s, keys = past + s, offset = past + 1))
    let own = causal_mask(queries = s, keys = s)
    let (g, o) = (h[:, 0:2], h[:, 2:4])
    let p = softmax(einsum(\"b h q d, b h k d -> b h q k\", o, g) + where(own, 0.0, -1.0 / 0.0), axis = -1)
    return concat([y[:, 0:2], einsum(\"b h q k, b h k d -> b h q d\", p, g)], axis = 1)
  }
}";
    let bench = Bench::new(text, &[]);
    assert_eq!(causal(&bench.after(&PASSES)), ["past", "0"]);
    let mut draw = Draw(3);
    for (s, past) in [(1, 0), (1, 9), (5, 0), (5, 3), (7, 12)] {
        let x = draw.tensor(&[1, s, 16], false);
        let (inputs, sizes) = ([("x", &x)], [("past", past)]);
        bench.near(&PASSES, &bench.meaning(&inputs, &sizes), &bench.outputs_at(&PASSES, &inputs, &sizes), 2e-3);
    }
}

#[test]
fn heads_that_were_repeated_are_shared() {
    let text = "mdl 1
model M {
  dim s in 1..=9
  entry main(q: f32[2, s, 6, 4], k: f32[2, s, 2, 4], v: f32[2, s, 2, 5]) -> f32[2, s, 6, 5] {
    let k = rearrange(expand(k[:, :, :, none], [2, s, 2, 3, 4]), \"b s g r d -> b s (g r) d\")
    let v = reshape(expand(v[:, :, :, none], [2, s, 2, 3, 5]), [2, s, 6, 5])
    let p = softmax(einsum(\"b s h d, b t h d -> b h s t\", q * 0.5, k), axis = -1)
    return einsum(\"b h s t, b t h e -> b s h e\", p, v)
  }
}";
    let bench = Bench::new(text, &[]);
    let graph = bench.after(&PASSES);
    assert_eq!((count(&graph, OpKind::Attention), count(&graph, OpKind::Expand)), (1, 0));
    let mut draw = Draw(9);
    let [q, k, v] = [[2, 7, 6, 4], [2, 7, 2, 4], [2, 7, 2, 5]].map(|shape| draw.tensor(&shape, false));
    let inputs = [("q", &q), ("k", &k), ("v", &v)];
    bench.near(&PASSES, &bench.meaning(&inputs, &[]), &bench.outputs(&PASSES, &inputs), 1e-4);
}

/// The body of an entry over `q, k, v: f32[2, s, 4]`, its result type, and why it must stay.
const KEPT: [(&str, &str, &str); 12] = [
    (
        "f32[2, s, 4]",
        "let p = softmax(einsum(\"b s d, b t d -> b s t\", q, k), axis = 1)\n return p @ v",
        "over queries",
    ),
    (
        "f32[2, s, 4]",
        "let c = q @ transpose(k, perm = [0, 2, 1])\n return softmax(c, axis = 2) @ v + c[:, :, 0:1]",
        "scores are read",
    ),
    (
        "f32[2, s, 4]",
        "let p = softmax(q @ transpose(k, perm = [0, 2, 1]), axis = 2)\n return p @ v * p[:, :, 0:1]",
        "shares are read",
    ),
    (
        "f32[2, s, 4]",
        "let c = einsum(\"b s d, b t d -> b s t\", q, k)\n return softmax(c + c * 0.5, axis = 2) @ v",
        "scores are read twice",
    ),
    (
        "f32[2, s, 4]",
        "let c = einsum(\"b s d, b t d -> b s t\", q, k) + m\n return softmax(c * 0.5 + m, axis = 2) @ v",
        "two masks",
    ),
    ("f32[2, s, 4]", "return softmax(exp(einsum(\"b s d, b t d -> b s t\", q, k)), axis = 2) @ v", "no scale, no mask"),
    (
        "f16[2, s, 4]",
        "let (q, k, v) = (cast(q, f16), cast(k, f16), cast(v, f16))\n return softmax(q @ transpose(k, perm = [0, 2, 1]), axis = 2) @ v",
        "rounds to f16",
    ),
    (
        "f64[2, s, 4]",
        "let (q, k, v) = (cast(q, f64), cast(k, f64), cast(v, f64))\n return softmax(q @ transpose(k, perm = [0, 2, 1]), axis = 2) @ v",
        "f64",
    ),
    (
        "f32[2, s]",
        "return einsum(\"b s t, b t d -> b s\", softmax(q @ transpose(k, perm = [0, 2, 1]), axis = 2), v)",
        "sums over the width",
    ),
    (
        "f32[2, s, s, 4]",
        "let c = (q @ transpose(k, perm = [0, 2, 1]))[:, none] + m[none, :, none]\n return einsum(\"b a s t, b t d -> b a s d\", softmax(c, axis = 3), v)",
        "the mask has more axes",
    ),
    (
        "f32[2, s, 4]",
        "let c = q @ transpose(k, perm = [0, 2, 1])\n repeat i in 0..2 carry v {\n let v = softmax(c, axis = 2) @ v\n }\n return v",
        "scores of another block",
    ),
    (
        "f32[2, s, 4]",
        "let c = q @ transpose(k, perm = [0, 2, 1])\n set last = [1.0]\n return softmax(c, axis = 2) @ v",
        "a state is written between",
    ),
];

#[test]
fn what_means_more_stays() {
    for (result, body, why) in KEPT {
        let inputs = "q: f32[2, s, 4], k: f32[2, s, 4], v: f32[2, s, 4], m: f32[s, s]";
        let head = format!(
            "mdl 1\nmodel M {{\n  dim s in 1..=9\n  state last: f32[1]\n  entry main({inputs}) -> {result} {{\n"
        );
        let bench = Bench::new(&format!("{head}{body}\n}}\n}}\n"), &[]);
        assert_eq!(bench.nodes(&PASSES), bench.nodes(&["fold", "dce"]), "{why}");
    }
    let none = "mdl 1\nmodel M {\n dim t in 0..=9\n entry main(q: f32[3, 4], k: f32[t, 4], v: f32[t, 4]) -> f32[3, 4] {\n \
                return softmax(q @ transpose(k), axis = 1) @ v\n }\n}\n";
    let bench = Bench::new(none, &[]);
    assert_eq!(bench.nodes(&PASSES), "matmul*2 softmax transpose", "keys may be none");
    let mut draw = Draw(2);
    let [q, empty] = [[3, 4], [0, 4]].map(|shape| draw.tensor(&shape, false));
    let zeros = bench.outputs(mlc::PIPELINE, &[("q", &q), ("k", &empty), ("v", &empty)]);
    assert!(zeros[0].iter().all(|number| number.as_f64() == 0.0), "a sum of nothing");
}
