//! What the language has, each in a program that must be sound: a title, the text, and the type of the first result.

/// A title, a text and a type.
pub(crate) type Sound = (&'static str, &'static str, &'static str);

pub(crate) const ALL: &[Sound] = &[
    (
        "a state that is handed down to the block that sets it",
        "mdl 1
block Keep(x: f32[n], cache: f32[n]) -> f32[n] {
  set cache = x + cache
  return cache
}
block Layer(x: f32[n], cache: f32[2, n], flag: bool) -> f32[n] {
  let y = relu(x)
  let z = if flag { x |> Keep(cache[0]) } else { y }
  return z + Keep(cache = cache[1], x = y)
}
block Round(x: f32[n], cache: f32[n]) -> f32[n] {
  return Keep(x, cache)
}
model M {
  state kept: f32[2, 4]
  state more: f32[4]
  entry main(x: f32[4], flag: bool) -> f32[4] {
    return Layer(x, kept, flag) + Round(x, more)
  }
}",
        "f32[4]",
    ),
    (
        "a data-dependent loop",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[4] {
    let n = 0.0
    repeat i in 0..10 while sum(x) < 100.0 carry x, n {
      let x = x * 2.0
      let n = n + 1.0
    }
    return x + n
  }
}",
        "f32[4]",
    ),
    (
        "a loop as long as a size says",
        "mdl 1
model M {
  entry main(x: f32[4], steps: size) -> f32[4] {
    repeat i in 0..steps carry x {
      let x = x + i
    }
    return x
  }
}",
        "f32[4]",
    ),
    (
        "no iterations leave the initial value",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[4] {
    repeat i in 0..0 carry x {
      let x = x * 2.0
    }
    return x
  }
}",
        "f32[4]",
    ),
    (
        "a group that becomes one kernel",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[4] {
    fused \"scale\" {
      let a = x * 2.0
      let b = a + 1.0
    }
    return b
  }
}",
        "f32[4]",
    ),
    (
        "a counted dim",
        "mdl 1
model M {
  entry main(x: bool[3, 4]) -> i64[2] {
    let idx: i64[2, count in 0..=3 * 4] = nonzero(x)
    return sum(idx, axis = 1) + count
  }
}",
        "i64[2]",
    ),
    (
        "a state as the parameter of a block",
        "mdl 1
block Remember(cache: f32[n, d], x: f32[d], row: size) -> f32[n, d] {
  set cache[row] = x
  return cache
}
model M {
  state s: f32[2, 8, 4]
  entry main(x: f32[4], past: size) -> f32[8, 4] {
    assert past < 8
    return Remember(s[1], x, past)
  }
}",
        "f32[8, 4]",
    ),
    (
        "lists are tensors",
        "mdl 1
const SHIFT: f32[2, 2] = [[1.0, 2.0], [3.0, 4.0]]
model M { entry main(x: f32[3, 2, 2]) -> f32[3, 2, 2] { return x * SHIFT + [0.5, 1.5] } }",
        "f32[3, 2, 2]",
    ),
    (
        "a choice at run time",
        "mdl 1
model M {
  entry main(x: f32[4], flag: bool) -> f32[4] { return if flag { relu(x) } else { x * 0.0 } }
}",
        "f32[4]",
    ),
    (
        "a choice between sizes",
        "mdl 1
model M {
  dim n in 1..=64
  entry main(x: f32[n, 4]) -> f32[n, 4] { return if n < 8 { relu(x) } else { x } }
}",
        "f32[n, 4]",
    ),
    (
        "packs are equal lists of dims",
        "mdl 1
fn both(x: f32[..B, n], y: f32[..B, m]) -> f32[..B, n + m] { return concat([x, y], axis = -1) }
model M { entry main(x: f32[2, 3, 4]) -> f32[2, 3, 8] { return both(x, x) } }",
        "f32[2, 3, 8]",
    ),
    (
        "several results",
        "mdl 1
fn two(x: f32[n]) -> (low: f32[n], high: f32[n]) { return (x - 1.0, x + 1.0) }
model M {
  entry main(x: f32[4]) -> f32[4] {
    let (low, high) = two(x)
    return high * low
  }
}",
        "f32[4]",
    ),
    (
        "indices from the end, new axes and rests",
        "mdl 1
model M {
  entry main(x: f32[2, 3, 4]) -> f32[3, 1, 2] {
    let last = x[-1]
    return last[.., none, 2:4] + x[0, :, none, -2:]
  }
}",
        "f32[3, 1, 2]",
    ),
    (
        "indexing by a tensor",
        "mdl 1
model M { entry main(x: f32[9, 4], ids: i64[2, 3]) -> f32[2, 3, 4] { return x[ids] } }",
        "f32[2, 3, 4]",
    ),
    (
        "numbers and sizes take the type beside them",
        "mdl 1
const HALF: f32 = 0.5
model M {
  dim n in 1..=8
  entry main(x: f16[n]) -> f16[n] { return (x - 1) * 2.5 / sqrt(16) + n }
  entry strong(x: f32[n]) -> f32[n] { return x * HALF / sqrt(n) }
}",
        "f16[n]",
    ),
    (
        "integer and bool arithmetic at compile time",
        "mdl 1
block Same[k: int = 3, up: bool = true](x: f32[n, c]) -> f32[n, c] {
  const twice = max(k, 2) * 2
  dim wide = twice + mod(k, 2)
  let y = if up and k != 4 or twice == 1 { x * wide } else { x }
  return y
}
model M { entry main(x: f32[2, 3]) -> f32[2, 3] { return x |> Same |> Same[k = 5, up = not true] } }",
        "f32[2, 3]",
    ),
    (
        "a default for weights that are missing",
        "mdl 1
block Scale[D](x: f32[..B, D]) -> f32[..B, D] {
  weight w: f32[D] from \"w\" else 1.0
  return x * w
}
model M {
  entry main(x: f32[2, 4]) -> f32[2, 4] {
    repeat i in 0..3 carry x {
      let x = Scale(x) at \"layers.{i}\"
    }
    return x
  }
}",
        "f32[2, 4]",
    ),
    (
        "static arguments of a model, and absolute keys",
        "mdl 1
block Tied[D](x: f32[..B, D]) -> f32[..B, D] {
  weight w: f32[D] from \"/shared.w\" else 1.0
  return x * w
}
model M[width = 4] {
  entry main(x: f32[width]) -> f32[width] { return x |> Tied at \"a\" |> Tied at \"b\" }
}",
        "f32[4]",
    ),
    (
        "rounding down of sizes",
        "mdl 1
fn halve(x: f32[n, c, h, w]) -> f32[n, c, h / 2, w / 2] { return max_pool2d(x, kernel = 2, stride = 2) }
model M {
  dim n in 1..=4
  entry main(x: f32[n, 3, 9, 8]) -> f32[n, 3, 4, 4] { return halve(x) }
}",
        "f32[n, 3, 4, 4]",
    ),
    (
        "attributes refine the profile",
        "mdl 1
model M {
  #[name(x = \"input.1\")]
  entry main(x: f32[4]) -> f32[4] {
    #[quantize(i8), storage(\"q8_0\")]
    let y = relu(x)
    return y
  }
}
profile p { target(\"x86-64-v3\") quantize(weights = i8, per = \"channel\") budget(max_drop = 0.5%, metric = \"top1\", data = \"d.npz\") }",
        "f32[4]",
    ),
];
