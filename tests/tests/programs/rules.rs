//! Small models, one for each way that a graph can go on: loops, choices, states, counted dims, narrow floats.

use super::{Call, Draw, Program};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

type Make = fn(u64) -> Program;

/// By name.
pub(crate) const PROGRAMS: &[(&str, Make)] = &[
    ("repeat: families, nested", families),
    ("repeat: by size, and while", counted_loops),
    ("if on a run-time bool", choices),
    ("state: versions, entries, refused calls", states),
    ("counted dims", nonzeros),
    ("size arguments in slices", sizes),
    ("indices out of range", gathers),
    ("f16 and bf16, fused or not", narrow),
];

fn program(seed: u64, text: &str, calls: Vec<Call>) -> Program {
    Program { text: text.into(), random_weights: Some(seed), calls, allowed: 1e-4, ..Program::default() }
}

fn families(seed: u64) -> Program {
    let text = r#"mdl 1
block Layer(x: f32[..B, 5]) -> f32[..B, 5] {
  weight w: f32[5, 5] from "w"
  weight b: f32[5] from "b"
  return tanh(x @ w + b)
}
model M {
  dim n in 1..=16
  entry main(x: f32[n, 5]) -> (y: f32[n, 5], z: f32[n, 5]) {
    let z = x * 2.0
    repeat i in 0..3 carry x, z {
      let before = x
      let x = Layer(x) at "layer.{i}"
      repeat j in 0..2 carry x {
        let x = Layer(x) at "inner.{j}" + before
      }
      let z = z + x
    }
    return (x, z)
  }
}
"#;
    let mut draw = Draw::new(seed);
    program(seed, text, [1, 7].map(|n| Call::of(&[("x", draw.floats(&[n, 5]))])).into())
}

fn counted_loops(seed: u64) -> Program {
    let text = r#"mdl 1
model M {
  dim n in 1..=16
  entry main(x: f32[n], times: size) -> (doubled: f32[n], halved: f32[n], swapped: f32[n]) {
    assert times <= 9
    let (a, b) = (x, x + 1.0)
    let y = x
    repeat i in 0..times carry y, a, b {
      let y = y * 2.0
      let (a, b) = (b, a)
    }
    let h = abs(x) * 100.0
    repeat i in 0..50 while max(h) > 1.0 carry h {
      let h = h * 0.5
    }
    return (y, h, a)
  }
}
"#;
    let mut draw = Draw::new(seed);
    let mut calls: Vec<Call> = [0, 1, 4].map(|times| Call::of(&[("x", draw.floats(&[5]))]).size("times", times)).into();
    calls.push(Call { refused: true, ..Call::of(&[("x", draw.floats(&[5]))]).size("times", 10) });
    program(seed, text, calls)
}

fn choices(seed: u64) -> Program {
    let text = r#"mdl 1
model M {
  dim n in 1..=16
  entry main(x: f32[n], flag: bool) -> (y: f32[n], z: f32[n]) {
    let twice = x + x
    let y = if flag { sin(twice) } else { x }
    let z = if sum(x) > 0.0 { y * 3.0 } else { twice }
    return (y, z)
  }
}
"#;
    let mut draw = Draw::new(seed);
    let flag = |value| Tensor::scalar(DType::Bool, Scalar::Bool(value));
    let calls = [true, false].map(|value| Call::of(&[("x", draw.floats(&[6])), ("flag", flag(value))]));
    program(seed, text, calls.into())
}

fn states(seed: u64) -> Program {
    let text = r#"mdl 1
model M {
  dim n in 1..=4
  state total: f32[n, 3]
  state trace: f32[8, 3]
  entry add(x: f32[n, 3], row: size) -> (before: f32[n, 3], after: f32[n, 3]) {
    assert row + n <= 8
    let before = total[:, :]
    set total[:, :] = before + x
    set trace[row : row + n, :] = x
    return (before, total[:, :])
  }
  entry look(which: i64[n]) -> f32[n, 3] {
    return gather(trace[:, :], which)
  }
}
"#;
    let mut draw = Draw::new(seed);
    let mut add = |n: usize, row: i64| Call::of(&[("x", draw.floats(&[n, 3]))]).size("row", row);
    let mut calls =
        vec![add(2, 0), add(2, 3), Call { refused: true, ..add(2, 7) }, Call { refused: true, ..add(3, 0) }];
    calls.push(add(2, 6));
    let look = |which: [i64; 2]| {
        let which = Tensor::from_i64([2], which).expect("two numbers");
        Call { entry: Some("look"), ..Call::of(&[("which", which)]) }
    };
    calls.extend([look([0, -1]), Call { refused: true, ..look([0, 8]) }, look([4, 7])]);
    program(seed, text, calls)
}

fn nonzeros(seed: u64) -> Program {
    let text = r#"mdl 1
model M {
  dim h in 1..=9
  dim w in 1..=9
  entry main(x: f32[h, w]) -> (n: i64[1], total: f32, most: f32) {
    let (places, n) = nonzero(x > 1.0)
    let picked = gather_nd(x, transpose(places))
    return (n, sum(picked * 2.0), sum(cast(places, f32)))
  }
}
"#;
    let mut draw = Draw::new(seed);
    let mut calls: Vec<Call> = [[3, 5], [9, 9], [1, 1]].map(|shape| Call::of(&[("x", draw.floats(&shape))])).into();
    calls.push(Call::of(&[("x", Tensor::zeros(DType::F32, [2, 3]).expect("small"))]));
    program(seed, text, calls)
}

fn sizes(seed: u64) -> Program {
    let text = r#"mdl 1
model M {
  dim n in 1..=64
  entry main(x: f32[n, 4], start: size, length: size) -> (cut: f32[length, 4], mean: f32[4], k: f32) {
    assert start + length <= n
    let cut = x[start : start + length]
    return (cut, sum(cut, axis = 0) / length, sqrt(length) * 1.0)
  }
}
"#;
    let mut draw = Draw::new(seed);
    let mut call = |n: usize, start: i64, length: i64| {
        Call::of(&[("x", draw.floats(&[n, 4]))]).size("start", start).size("length", length)
    };
    let refused = Call { refused: true, ..call(9, 8, 2) };
    let calls = vec![call(9, 0, 9), call(9, 4, 1), call(17, 3, 11), refused, call(1, 0, 1)];
    program(seed, text, calls)
}

fn gathers(seed: u64) -> Program {
    let text = r#"mdl 1
model M {
  dim n in 0..=64
  dim rows in 0..=64
  entry main(x: f32[rows, 3], rows_of: i64[n]) -> f32[n, 3] {
    return gather(x, rows_of)
  }
}
"#;
    let mut draw = Draw::new(seed);
    let mut call = |rows: usize, at: &[i64]| {
        let at = Tensor::from_i64([at.len()], at).expect("few numbers");
        Call::of(&[("x", draw.floats(&[rows, 3])), ("rows_of", at)])
    };
    let mut calls = vec![call(5, &[0, 4, -1, -5]), call(0, &[]), call(3, &[])];
    let refused = [call(5, &[0, 5]), call(5, &[-6]), call(0, &[0])];
    calls.extend(refused.map(|call| Call { refused: true, ..call }));
    program(seed, text, calls)
}

fn narrow(seed: u64) -> Program {
    let text = r#"mdl 1
model M {
  dim n in 1..=64
  entry main(x: f32[n, 8]) -> (half: f16[n, 8], brain: bf16[n, 8], sums: f16[n]) {
    weight w: f16[8, 8] from "w"
    weight v: bf16[8, 8] from "v"
    let h = cast(x, f16) @ w
    let b = cast(x, bf16) @ v
    fused "scale" {
      let h = h * 0.5
      let h = h + 1.0
    }
    return (h, relu(b) * 2.0, sum(h, axis = 1))
  }
}
"#;
    let mut draw = Draw::new(seed);
    let calls = [3, 8].map(|n| Call::of(&[("x", draw.floats(&[n, 8]))]));
    Program { allowed: 2e-2, ..program(seed, text, calls.into()) }
}
