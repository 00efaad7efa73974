//! `fold-qdq`: products of integers give what products of the numbers that they stand for gave, or stay as they are.

use super::bench::{Bench, Draw};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

const PASSES: [&str; 8] = ["fold", "canonicalize", "cse", "fold-qdq", "fold-scales", "merge-matmuls", "dce", "fuse"];

/// Floats of size 1 that were rounded in another order.
const TOLERANCE: f64 = 1e-5;

/// A product of x by weights.
struct Case {
    /// Statements that give `y`; `a` is x, quantised and back.
    body: String,
    x: Vec<usize>,
    y: Vec<usize>,
    weights: Vec<(&'static str, Tensor)>,
}

fn steps(draw: &mut Draw, count: usize) -> Tensor {
    Tensor::from_fn(DType::F32, [count], |_| Scalar::F64((1 + draw.below(64)) as f64 / 8192.0)).expect("a vector")
}

fn scalar(dtype: DType, value: f64) -> Tensor {
    Tensor::scalar(dtype, Scalar::from_f64(dtype, value))
}

impl Case {
    /// The model with activations of a type and zero point.
    fn bench(&self, dtype: DType, zero: i64) -> Bench {
        let mut weights = self.weights.clone();
        weights.push(("zero", scalar(dtype, zero as f64)));
        weights.push(("step", scalar(DType::F32, 0.0117)));
        let ty = |tensor: &Tensor| match tensor.shape() {
            [] => tensor.dtype().to_string(),
            shape => format!("{}{shape:?}", tensor.dtype()),
        };
        let declared = weights.iter().map(|(name, w)| format!("    weight {name}: {} from \"{name}\"\n", ty(w)));
        let declared: String = declared.collect();
        let text = format!(
            "mdl 1\nmodel M {{\n  entry main(x: f32{:?}) -> f32{:?} {{\n{declared}    \
             let a = dequantize(quantize(x, step, zero, dtype = {dtype}), step, zero)\n{}    return y\n  }}\n}}\n",
            self.x, self.y, self.body
        );
        let named: Vec<(String, Tensor)> = weights.into_iter().map(|(name, w)| (name.into(), w)).collect();
        Bench::over(&text, &named)
    }

    /// Folds, and gives the same as what was written does.
    fn folds(&self, dtype: DType, zero: i64) {
        let bench = self.bench(dtype, zero);
        let nodes = bench.nodes(&PASSES[..7]);
        assert!(nodes.contains("sub") == (zero != 0) && nodes.contains("cast"), "{nodes}: {}", self.body);
        let x = Draw(31 + zero as u64).tensor(&self.x, false);
        let meant = bench.meaning(&[("x", &x)], &[]);
        bench.near(&PASSES, &meant, &bench.outputs(&PASSES, &[("x", &x)]), TOLERANCE);
        bench.near(&PASSES, &meant, &bench.reread(&PASSES, &[("x", &x)]), TOLERANCE);
    }

    fn stays(&self, dtype: DType, zero: i64) {
        let bench = self.bench(dtype, zero);
        let nodes = bench.nodes(&PASSES[..7]);
        assert!(nodes.matches("dequantize").count() > 0 && !nodes.contains("cast"), "{nodes}: {}", self.body);
        bench.same(&PASSES, &[("x", &Draw(5).tensor(&self.x, false))], TOLERANCE);
    }
}

/// Types and zero points of activations.
const ACTIVATIONS: [(DType, i64); 4] = [(DType::U8, 0), (DType::U8, 131), (DType::I8, 0), (DType::I8, -77)];

#[test]
fn matmuls_and_einsums_of_all_forms_fold() {
    let mut draw = Draw(1);
    for (number, (dtype, zero)) in (0..24).zip(ACTIVATIONS.iter().cycle()) {
        let [rows, k, n] = [1 + draw.below(9), 1 + draw.below(70), 2 + draw.below(40)];
        let (body, w, per) = match number % 6 {
            0 => ("matmul(a, dequantize(w, scale, axis = 1)) + b |> relu", vec![k, n], n),
            1 => ("einsum(\"b i, o i -> b o\", a, dequantize(w, scale, axis = 0))", vec![n, k], n),
            2 => ("a @ transpose(dequantize(w, scale, axis = 0)) + b", vec![n, k], n),
            3 => ("a @ dequantize(w, scale[0])", vec![k, n], 1),
            4 => ("(a @ dequantize(w, scale, middle, axis = 1)) * 0.5", vec![k, n], n),
            _ => ("transpose(einsum(\"i o, b i -> o b\", dequantize(w, scale, axis = 1), a))", vec![k, n], n),
        };
        let unsigned = number % 6 == 4;
        let ty = if unsigned { DType::U8 } else { DType::I8 };
        let middle = Tensor::from_fn(DType::U8, [n], |i| Scalar::I32(if i % 3 == 0 { 127 } else { 128 }));
        let mut weights = vec![("w", draw.integers(ty, &w)), ("scale", steps(&mut draw, per))];
        if unsigned {
            // One less than 128 about 127 would not fit i8 either way.
            let w = &mut weights[0].1;
            (0..w.len()).for_each(|i| w.set(i, Scalar::I32(w.get(i).as_i64().min(250) as i32)));
            weights.push(("middle", middle.expect("a vector")));
        }
        weights.push(("b", draw.tensor(&[n], false)));
        Case { body: format!("    let y = {body}\n"), x: vec![rows, k], y: vec![rows, n], weights }
            .folds(*dtype, *zero);
    }
}

#[test]
fn convolutions_fold_with_borders_of_the_zero_point() {
    let mut draw = Draw(2);
    for (number, (dtype, zero)) in (0..16).zip(ACTIVATIONS.iter().cycle()) {
        let side = 5 + draw.below(6);
        let [channels, out, groups] = match number / 4 {
            0 => [3 + draw.below(3), 9, 1],
            1 => [16, 16, 16],
            2 => [8, 12, 4],
            _ => [12, 20, 1],
        };
        let (kernel, stride, pad) = if number / 4 == 3 { (1, 1, 0) } else { (3, 1 + draw.below(2), draw.below(2)) };
        let made = (side + 2 * pad - kernel) / stride + 1;
        let weights = vec![
            ("w", draw.integers(DType::I8, &[out, channels / groups, kernel, kernel])),
            ("scale", steps(&mut draw, out)),
            ("b", draw.tensor(&[out], false)),
        ];
        let body = format!(
            "    let y = clip(conv2d(a, dequantize(w, scale, axis = 0), b, stride = {stride}, pad = {pad}, groups = {groups}), lo = 0.0, hi = 6.0)\n"
        );
        Case { body, x: vec![2, channels, side, side], y: vec![2, out, made, made], weights }.folds(*dtype, *zero);
    }
}

#[test]
fn rows_of_their_own_scale_fold() {
    let text = "mdl 1
model M {
  dim n in 1..=9
  entry main(x: f32[2, n, 40]) -> f32[2, n, 24] {
    weight w: i8[40, 24] from \"w\"
    weight scale: f32[24] from \"scale\"
    let most = max(abs(x), axis = 2, keep = true) / 127.0
    let q = cast(round(x / most), i8)
    let y = (cast(q, f32) * most) @ dequantize(w, scale, axis = 1)
    return relu(y)
  }
}";
    let mut draw = Draw(3);
    let weights = [("w".into(), draw.integers(DType::I8, &[40, 24])), ("scale".into(), steps(&mut draw, 24))];
    let bench = Bench::over(text, &weights);
    let nodes = bench.nodes(&PASSES[..7]);
    assert!(!nodes.contains("dequantize"), "{nodes}");
    bench.same(&PASSES, &[("x", &draw.tensor(&[2, 7, 40], false))], TOLERANCE);
}

#[test]
fn weights_of_loops_fold_trip_by_trip() {
    let text = "mdl 1
model M {
  entry main(x: f32[3, 20]) -> f32[3, 20] {
    repeat i in 0..3 carry x {
      weight w: i8[20, 20] from \"{i}.w\"
      weight scale: f32[20] from \"{i}.scale\"
      weight zero: u8 from \"{i}.zero\"
      weight step: f32 from \"{i}.step\"
      let q = quantize(x, step, zero, dtype = u8)
      let x = tanh(dequantize(q, step, zero) @ dequantize(w, scale, axis = 1))
    }
    return x
  }
}";
    let mut draw = Draw(4);
    let mut weights = vec![];
    for trip in 0..3 {
        weights.push((format!("{trip}.w"), draw.integers(DType::I8, &[20, 20])));
        weights.push((format!("{trip}.scale"), steps(&mut draw, 20)));
        weights.push((format!("{trip}.zero"), scalar(DType::U8, 100.0 + f64::from(trip))));
        weights.push((format!("{trip}.step"), scalar(DType::F32, 0.01 + f64::from(trip) / 1000.0)));
    }
    let bench = Bench::over(text, &weights);
    let nodes = bench.nodes(&PASSES[..7]);
    assert!(!nodes.contains("dequantize") && nodes.contains("FAMILY*5"), "{nodes}");
    bench.same(&PASSES, &[("x", &draw.tensor(&[3, 20], false))], TOLERANCE);
}

#[test]
fn what_would_not_be_one_exact_sum_stays() {
    let mut draw = Draw(6);
    let mut case = |body: &str, k: usize, scale: Tensor| {
        let weights = vec![("w", draw.integers(DType::I8, &[k, 4])), ("scale", scale)];
        Case { body: format!("    let y = {body}\n"), x: vec![2, k], y: vec![2, 4], weights }
    };
    let along = steps(&mut Draw(7), 12);
    case("a @ dequantize(w, scale, axis = 0)", 12, along).stays(DType::U8, 3);
    let groups = steps(&mut Draw(7), 12).reshape([3, 4]).expect("twelve numbers");
    case("a @ dequantize(w, scale, axis = 0, group = 4)", 12, groups).stays(DType::U8, 3);
    // 70000 * 255 * 128 is more than 2^31; half of it is not.
    let long = |k: usize| Case {
        body: "    let y = a @ dequantize(w, scale, axis = 1)\n".into(),
        x: vec![1, k],
        y: vec![1, 4],
        weights: vec![
            ("w", Tensor::from_fn(DType::I8, [k, 4], |_| Scalar::I32(-128)).expect("a matrix")),
            ("scale", steps(&mut Draw(8), 4)),
        ],
    };
    long(70000).stays(DType::U8, 0);
    long(35000).folds(DType::U8, 0);
}
