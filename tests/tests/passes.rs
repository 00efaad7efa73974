//! Passes: which nodes they leave, and that what comes out stays the same.

#[path = "passes/attention.rs"]
mod attention;
#[path = "passes/bench.rs"]
mod bench;
#[path = "passes/qdq.rs"]
mod qdq;
#[path = "passes/random.rs"]
mod random;

use bench::{Bench, Draw};
use mlc::passes::PASSES;
use mlc_runtime::tensor::Tensor;

/// The passes that keep every bit.
const EXACT: [&str; 4] = ["fold", "canonicalize", "cse", "dce"];

/// Numbers of size 1 with NaN, infinities and -0 among them.
fn special(shape: &[usize]) -> Tensor {
    Draw(11).tensor(shape, true)
}

fn plain(shape: &[usize]) -> Tensor {
    Draw(13).tensor(shape, false)
}

#[test]
fn canonicalize_removes_what_does_nothing_and_no_bit_changes() {
    let text = "mdl 1
model M {
  dim n in 1..=9
  entry main(x: f32[n, 6], k: i32[6]) -> (y: f32[n, 6], z: f32[n, 6], k: i32[6]) {
    let a = reshape(reshape(transpose(transpose(x)), [n, 2, 3]), [n, 6])
    let b = cast(cast(a, f64), f32) * 1.0 / 1.0 - 0.0 + (-0.0)
    let c = concat([tile(pad(-(-b)[0:n], [[0, 0], [0, 0]]), [1, 1])], axis = 0)
    let d = transpose(transpose(transpose(reshape(c, [n, 2, 3]), perm = [1, 0, 2]), perm = [2, 0, 1]))
    let e = reshape(transpose(d, perm = [1, 0, 2]), [n, 6])
    let k = (k * 1 + 0 - 0) / 1
    return (relu(relu(abs(-x))) + 0.0, e, k)
  }
}";
    let bench = Bench::new(text, &[]);
    assert_eq!(bench.nodes(&["canonicalize", "dce"]), "CONSTANT abs add relu reshape*2 transpose");
    let counts = Tensor::from_fn(mlc_codegen::base::DType::I32, [6], |i| mlc_codegen::base::Scalar::I32(i as i32));
    bench.same(&["canonicalize"], &[("x", &special(&[5, 6])), ("k", &counts.expect("six"))], 0.0);
}

#[test]
fn canonicalize_decides_constant_conditions_and_frees_loops() {
    let text = "mdl 1
model M {
  entry main(x: f32[4], flag: bool) -> f32[4] {
    let on = full([1], 1.0) > 0.0
    let off = full([1], 0.0) > 0.0
    let y = where(on, x, 2.0 * x) + where(off, x, [1.0, 2.0, 3.0, 4.0])
    let z = 3.0 * x
    repeat i in 0..3 carry y, z {
      let y = y + z
    }
    return (if reshape(on, []) { y } else { exp(y) }) + (if reshape(off, []) { tanh(z) } else { if flag { z } else { y } })
  }
}";
    let bench = Bench::new(text, &[]);
    let all = ["fold", "canonicalize", "cse", "dce"];
    assert_eq!(bench.nodes(&all), "CONSTANT*2 IF REPEAT add*3 mul");
    let graph = bench.after(&all);
    let carried = graph.nodes.values().find_map(|node| match &node.kind {
        mlc::graph::NodeKind::Repeat(repeat) => Some(repeat.params.len()),
        _ => None,
    });
    assert_eq!(carried, Some(1), "`z` does not change");
    for flag in [true, false] {
        let flag = Tensor::scalar(mlc_codegen::base::DType::Bool, mlc_codegen::base::Scalar::Bool(flag));
        bench.same(&all, &[("x", &special(&[4])), ("flag", &flag)], 0.0);
    }
}

#[test]
fn fold_computes_constants_and_families_of_them() {
    let text = "mdl 1
model M {
  dim n in 1..=9
  entry main(x: f32[n, 4]) -> f32[n, 4] {
    weight scale: f32[4] from \"scale\"
    let s = scale * 2.0 + [1.0, 2.0, 3.0, 4.0]
    repeat i in 0..3 carry x {
      weight b: f32[4] from \"layers.{i}.b\"
      let x = x * s + (b - s) * i + exp(b)
    }
    return x + n
  }
}";
    let weights: [(&str, &[usize]); 4] =
        [("scale", &[4]), ("layers.0.b", &[4]), ("layers.1.b", &[4]), ("layers.2.b", &[4])];
    let bench = Bench::new(text, &weights);
    assert_eq!(bench.nodes(&["dce"]), "CONSTANT*3 FAMILY REPEAT add*4 exp mul*3 scalar*2 sub");
    assert_eq!(bench.nodes(&["fold", "dce"]), "CONSTANT FAMILY*2 REPEAT add*3 exp mul scalar");
    bench.same(&["fold"], &[("x", &special(&[3, 4]))], 0.0);
}

#[test]
fn fold_stays_small() {
    let text = "mdl 1
model M {
  entry main(x: f32[4]) -> (a: f32[100, 100], b: f32[4]) {
    let wide = expand([1.0, 2.0], [100, 50, 2])
    return (reshape(wide, [100, 100]), x * full([4], 0.5))
  }
}";
    let bench = Bench::new(text, &[]);
    assert_eq!(bench.nodes(&["fold", "dce"]), "CONSTANT*2 expand mul reshape");
    bench.same(&["fold"], &[("x", &special(&[4]))], 0.0);
}

#[test]
fn cse_merges_equals_but_no_versions_of_a_state() {
    let text = "mdl 1
model M {
  state s: f32[4]
  entry main(x: f32[4]) -> (y: f32[4], z: f32[4]) {
    let a = exp(x * 2.0) + s
    let b = exp(x * 2.0) + s
    set s = a
    let c = exp(x * 2.0) + s
    repeat i in 0..2 carry c {
      let c = (c + exp(x * 2.0)) * 0.5
    }
    return (a + b, c + exp(0.0 - x))
  }
}";
    let bench = Bench::new(text, &[]);
    assert_eq!(bench.nodes(&["dce"]), "CONSTANT*6 READ*3 REPEAT SET add*6 exp*5 mul*5 sub");
    assert_eq!(bench.nodes(&["cse", "dce"]), "CONSTANT*3 READ*2 REPEAT SET add*5 exp*2 mul*2 sub");
    bench.same(&["cse"], &[("x", &special(&[4]))], 0.0);
}

#[test]
fn dce_keeps_what_is_set_and_all_that_it_needs() {
    let text = "mdl 1
model M {
  state s: f32[4]
  entry main(x: f32[4], flag: bool) -> f32[4] {
    let unused = tanh(exp(x))
    let kept = x * 2.0
    let lost = x
    repeat i in 0..3 carry kept, lost {
      let kept = kept + s
      let lost = lost - kept
      set s = kept
    }
    fused \"gone\" {
      let f = tanh(x)
    }
    let (p, q) = if flag { (x, exp(x)) } else { (kept, tanh(x)) }
    return p
  }
}";
    let bench = Bench::new(text, &[]);
    assert_eq!(bench.nodes(&["dce"]), "CONSTANT IF READ REPEAT SET add mul");
    let flag = Tensor::scalar(mlc_codegen::base::DType::Bool, mlc_codegen::base::Scalar::Bool(false));
    let kept = bench.outputs(&["dce"], &[("x", &plain(&[4])), ("flag", &flag)]);
    assert_ne!(kept[0], kept[1], "the state moves on");
}

const NORM: &str = "mdl 1
block Norm[C](x: f32[n, C, h, w]) -> f32[n, C, h, w] {
  weight gamma: f32[C] from \"gamma\"
  weight beta: f32[C] from \"beta\"
  weight mean: f32[C] from \"mean\"
  weight var: f32[C] from \"var\"
  return batch_norm(x, gamma, beta, mean, var, eps = 1e-3)
}
block Conv[Out, In, groups: int = 1](x: f32[n, In, h, w]) -> f32[n, Out, h, w] {
  weight w: f32[Out, In / groups, 3, 3] from \"w\"
  return conv2d(x, w, pad = 1, groups = groups)
}
";

fn norm(prefix: &str) -> Vec<(String, Vec<usize>)> {
    ["gamma", "beta", "mean", "var"].iter().map(|name| (format!("{prefix}.{name}"), vec![4])).collect()
}

fn bench(text: &str, weights: &[(String, Vec<usize>)]) -> Bench {
    Bench::new(text, &weights.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect::<Vec<_>>())
}

#[test]
fn fold_scales_takes_batch_norms_into_convolutions_but_nothing_before_their_padding() {
    let text = format!(
        "{NORM}
model M {{
  dim n in 1..=9
  entry main(x: f32[n, 3, 5, 5]) -> f32[n, 4, 5, 5] {{
    let x = Norm[3]((x - 0.5) * 2.0) at \"before\" |> Conv[4] at \"stem\" |> Norm at \"stem\" |> relu
    repeat i in 0..2 carry x {{
      let x = x |> Conv[4, groups = 4] at \"{{i}}.deep\" |> Norm at \"{{i}}.deep\" |> relu
    }}
    return x + 1.0
  }}
}}"
    );
    let mut weights: Vec<(String, Vec<usize>)> = vec![("stem.w".into(), vec![4, 3, 3, 3])];
    weights.extend(norm("before").into_iter().map(|(name, _)| (name, vec![3])));
    weights.extend(["stem", "0.deep", "1.deep"].into_iter().flat_map(norm));
    weights.extend(["0.deep.w", "1.deep.w"].map(|name| (name.to_owned(), vec![4, 1, 3, 3])));
    let bench = bench(&text, &weights);
    let before = "CONSTANT*12 FAMILY*5 REPEAT add batch_norm*3 conv2d*2 mul relu*2 sub";
    assert_eq!(bench.nodes(&["dce"]), before);
    let after = "CONSTANT*9 FAMILY*2 REPEAT add batch_norm conv2d*2 mul relu*2 sub";
    assert_eq!(bench.nodes(&["fold-scales", "dce"]), after);
    bench.same(&["fold-scales"], &[("x", &plain(&[2, 3, 5, 5]))], 1e-5);
}

#[test]
fn fold_scales_takes_factors_and_biases() {
    let text = format!(
        "{NORM}
model M {{
  dim n in 1..=9
  entry main(x: f32[n, 4, 4], p: f32[n, 4, 3, 3]) -> (y: f32[n, 4, 4], q: f32[n, 4, 3, 3], z: f32[n, 4, 4]) {{
    weight w: f32[4, 4] from \"w\"
    weight v: f32[4, 4] from \"v\"
    weight b: f32[4] from \"b\"
    weight s: f32[4] from \"s\"
    weight k: f32[4, 4, 1, 1] from \"k\"
    let y = (einsum(\"... i, o i -> ... o\", x, w) + b) * s / 2.0
    let q = (conv2d(p, k) + reshape(b, [4, 1, 1])) * reshape(s, [4, 1, 1])
    let z = batch_norm(einsum(\"o i, n i t -> n o t\", v, x), s, b, b, abs(s))
    return (y, q, z * [[1.0], [2.0], [3.0], [4.0]])
  }}
}}"
    );
    let vectors = ["b", "s"].map(|name| (name.to_owned(), vec![4]));
    let matrices = ["w", "v"].map(|name| (name.to_owned(), vec![4, 4]));
    let weights: Vec<_> = vectors.into_iter().chain(matrices).chain([("k".to_owned(), vec![4, 4, 1, 1])]).collect();
    let bench = bench(&text, &weights);
    let all = ["fold", "fold-scales", "dce"];
    assert_eq!(bench.nodes(&["dce"]), "CONSTANT*7 abs add*2 batch_norm conv2d div einsum*2 mul*3 reshape*2");
    assert_eq!(bench.nodes(&all), "CONSTANT*6 add*2 conv2d einsum*2");
    bench.same(&all, &[("x", &plain(&[2, 4, 4])), ("p", &plain(&[2, 4, 3, 3]))], 1e-5);
}

#[test]
fn fold_scales_leaves_what_is_shared_or_would_not_be_finite() {
    let text = "mdl 1
model M {
  dim n in 1..=9
  entry main(x: f32[n, 4]) -> (a: f32[n, 4], b: f32[n, 4], c: f32[n, 4]) {
    weight w: f32[4, 4] from \"w\"
    weight v: f32[4, 4] from \"v\"
    weight u: f32[4, 4] from \"u\"
    let y = x @ v
    return ((x @ w) * 2.0 + (relu(x) @ w), y * 2.0 + y, (x @ u) / [1.0, 0.0, 1.0, 1.0])
  }
}";
    let bench = Bench::new(text, &[("w", &[4, 4]), ("v", &[4, 4]), ("u", &[4, 4])]);
    assert_eq!(bench.nodes(&["fold-scales", "cse", "dce"]), bench.nodes(&["cse", "dce"]));
    bench.same(&["fold-scales"], &[("x", &plain(&[2, 4]))], 0.0);
}

#[test]
fn merge_matmuls_makes_one_product_of_several() {
    let text = "mdl 1
block Linear[Out, In](x: f32[..B, In]) -> f32[..B, Out] {
  weight w: f32[Out, In] from \"w\"
  weight b: f32[Out] from \"b\"
  return einsum(\"... i, o i -> ... o\", x, w) + b
}
model M {
  dim n in 1..=9
  entry main(x: f32[n, 3, 4]) -> f32[n, 3, 4] {
    weight m1: f32[4, 2] from \"m1\"
    weight m2: f32[4, 3] from \"m2\"
    let start = concat([x @ m1, x @ m2], axis = 2)[:, :, 0:4]
    repeat i in 0..2 carry start {
      let q = Linear[4](start) at \"{i}.q\"
      let k = Linear[4](start) at \"{i}.k\"
      let v = Linear[6](start) at \"{i}.v\"
      let other = relu(start) @ m1
      let start = tanh(q * k + v[:, :, 2:6] + other[:, :, 0:1])
    }
    return start
  }
}";
    let mut weights: Vec<(String, Vec<usize>)> = vec![("m1".into(), vec![4, 2]), ("m2".into(), vec![4, 3])];
    for layer in 0..2 {
        for (name, out) in [("q", 4), ("k", 4), ("v", 6)] {
            weights.extend([(format!("{layer}.{name}.w"), vec![out, 4]), (format!("{layer}.{name}.b"), vec![out])]);
        }
    }
    let bench = bench(text, &weights);
    let before = "CONSTANT*2 FAMILY*6 REPEAT add*5 concat einsum*3 matmul*3 mul slice*3 tanh relu";
    assert_eq!(sorted(&bench.nodes(&["dce"])), sorted(before));
    let after = "CONSTANT*2 FAMILY*2 REPEAT add*3 concat einsum matmul*3 mul slice*6 tanh relu";
    assert_eq!(sorted(&bench.nodes(&["merge-matmuls", "dce"])), sorted(after), "`m1` is read by two products");
    bench.same(&["merge-matmuls"], &[("x", &plain(&[2, 3, 4]))], 1e-5);
}

fn sorted(nodes: &str) -> Vec<&str> {
    let mut words: Vec<&str> = nodes.split(' ').collect();
    words.sort_unstable();
    words
}

/// Numbers by their bits, any NaN as one.
fn bits(tensors: &[Tensor]) -> Vec<Option<u64>> {
    let bits = |number: f64| (!number.is_nan()).then_some(number.to_bits());
    tensors.iter().flat_map(|tensor| tensor.to_f64_vec()).map(bits).collect()
}

/// A new seed, or that of MLC_SEED; it is printed.
fn seed() -> u64 {
    let seed = std::env::var("MLC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
    });
    println!("MLC_SEED={seed}");
    seed
}

#[test]
fn drawn_programs_keep_their_answers() {
    let mut draw = Draw(seed());
    let (mut plain, mut passed) = (0, 0);
    for _ in 0..12 {
        let bench = random::program(&mut draw);
        bench.same(&EXACT, &[("x", &draw.tensor(&[3, 4], true))], 0.0);
        for pass in PASSES {
            bench.after(&[pass.name]);
        }
        let usual: Vec<&str> = mlc::PIPELINE.to_vec();
        bench.same(&usual, &[("x", &draw.tensor(&[3, 4], false))], 1e-4);
        let x = draw.tensor(&[3, 4], true);
        let printed = bench.reread(&usual, &[("x", &x)]);
        assert_eq!(bits(&printed), bits(&bench.outputs(&usual, &[("x", &x)])), "the text of the graph");
        let count = |passes: &[&str]| {
            let graph = bench.after(passes);
            graph.nodes_within(&graph.entries[0].body).len()
        };
        plain += count(&["dce"]);
        passed += count(&usual);
    }
    assert!(passed < plain, "passes found nothing to do in any program");
}
