//! What people get wrong: a title, the text, and for each message its code and the text at its primary place.

/// A title, a text, and what must be said of it.
pub(crate) type Situation = (&'static str, &'static str, &'static [&'static str]);

pub(crate) const ALL: &[Situation] = &[
    (
        "an unknown operator",
        "mdl 1
model M { entry main(x: f32[4]) -> f32[4] { return softmx(x, axis = 0) } }",
        &["MDL0201: softmx"],
    ),
    (
        "an operator under another framework's name",
        "mdl 1
model M { entry main(x: f32[4, 4]) -> f32[4, 4] { return gemm(x, x) } }",
        &["MDL0201: gemm"],
    ),
    (
        "a block twice",
        "mdl 1
fn twice(x: f32[n]) -> f32[n] { return x }
fn twice(x: f32[n]) -> f32[n] { return x }",
        &["MDL0202: twice"],
    ),
    (
        "an argument under another name",
        "mdl 1
model M { entry main(x: f32[4]) -> f32[4] { return softmax(x, dim = -1) } }",
        &["MDL0204: dim"],
    ),
    (
        "a run-time value where a number must be known",
        "mdl 1
block Pool[stride: int](x: f32[n]) -> f32[n] { return x * stride }
model M { entry main(x: f32[4]) -> f32[4] { return Pool[stride = x[0]](x) } }",
        &["MDL0205: x[0]"],
    ),
    (
        "recursion",
        "mdl 1
fn a(x: f32[n]) -> f32[n] { return b(x) }
fn b(x: f32[n]) -> f32[n] { return a(x) }
model M { entry main(x: f32[4]) -> f32[4] { return a(x) } }",
        &["MDL0206: a(x)"],
    ),
    (
        "a static argument that nothing tells",
        "mdl 1
block Dense[Out, In](x: f32[..B, In]) -> f32[..B, Out] {
  weight w: f32[Out, In] from \"w\"
  return einsum(\"... i, o i -> ... o\", x, w)
}
model M { entry main(image: f32[2, 4]) -> f32[2, 3] { return Dense(image) } }",
        &["MDL0208: Dense(image)"],
    ),
    (
        "a dim that is not declared",
        "mdl 1
model M {
  dim batch in 1..=8
  entry main(x: f32[batch, keys]) -> f32[batch, 4] { return x }
}",
        &["MDL0210: keys"],
    ),
    (
        "inner dimensions of a product",
        "mdl 1
model M {
  dim batch in 1..=8
  entry main(x: f32[batch, 384], w: f32[1536, 384]) -> f32[batch, 1536] { return x @ w }
}",
        &["MDL0301: x @ w"],
    ),
    (
        "shapes that do not broadcast",
        "mdl 1
model M {
  dim batch in 1..=8
  dim seq in 1..=8
  entry main(x: f32[batch, seq, 4], a: f32[batch, 4]) -> f32[batch, seq, 4] { return x + a }
}",
        &["MDL0302: x + a"],
    ),
    (
        "a symbolic dim does not broadcast",
        "mdl 1
model M {
  dim n in 1..=1
  entry main(x: f32[n, 4], a: f32[3, 4]) -> f32[3, 4] { return x + a }
}",
        &["MDL0302: x + a"],
    ),
    (
        "a slice that may leave its axis",
        "mdl 1
model M {
  dim s in 1..=8
  entry main(x: f32[s], t: f32[16], past: size) -> f32[s] { return x + t[past : past + s] }
}",
        &["MDL0303: past : past + s"],
    ),
    (
        "a slice that an assertion keeps inside",
        "mdl 1
model M {
  dim s in 1..=8
  entry main(x: f32[s], t: f32[16], past: size) -> f32[s] {
    assert past + s <= 16
    return x + t[past : past + s]
  }
}",
        &[],
    ),
    (
        "a division that leaves a remainder",
        "mdl 1
model M {
  dim D = 384
  dim heads = 10
  dim hd = D / heads
  entry main(x: f32[hd]) -> f32[hd] { return x }
}",
        &["MDL0304: D / heads"],
    ),
    (
        "an einsum axis of two sizes",
        "mdl 1
model M { entry main(x: f32[2, 3], w: f32[5, 4]) -> f32[2, 5] { return einsum(\"b i, o i -> b o\", x, w) } }",
        &["MDL0305: i"],
    ),
    (
        "an integer where a float is wanted",
        "mdl 1
model M { entry main(ids: i64[4], x: f32[4]) -> f32[4] { return x + ids } }",
        &["MDL0306: ids"],
    ),
    (
        "a literal that does not fit",
        "mdl 1
model M { entry main(x: u8[4]) -> u8[4] { return x + 300 } }",
        &["MDL0306: 300"],
    ),
    (
        "a carried value that changes its type",
        "mdl 1
model M {
  entry main(x: f32[2, 4]) -> f32[2, 4] {
    repeat i in 0..3 carry x {
      let x = concat([x, x], axis = 1)
    }
    return x
  }
}",
        &["MDL0307: x"],
    ),
    (
        "a carried name that is never bound again",
        "mdl 1
model M {
  entry main(x: f32[2]) -> f32[2] {
    repeat i in 0..3 carry x {
      let _y = x + 1.0
    }
    return x
  }
}",
        &["MDL0905: x"],
    ),
    (
        "a result that is not what was promised",
        "mdl 1
model M { entry main(x: f32[2, 128]) -> f32[2, 10] { return relu(x) } }",
        &["MDL0308: relu(x)"],
    ),
    (
        "a value that is never used",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[4] {
    let mask = x + 1.0
    return x
  }
}",
        &["MDL0901: mask"],
    ),
    (
        "a dim without an upper bound",
        "mdl 1
model M {
  dim batch
  entry main(x: f32[batch]) -> f32[batch] { return x }
}",
        &["MDL0903: batch"],
    ),
    (
        "an introduced dim one letter from another",
        "mdl 1
fn f(x: f32[batch, seq], y: f32[batch, sec]) -> f32[batch, seq] { return x + sum(y) }
model M { entry main(x: f32[2, 3]) -> f32[2, 3] { return f(x, x) } }",
        &["MDL0904: sec"],
    ),
    (
        "several mistakes in one run, and none that follows from another",
        "mdl 1
model M {
  entry main(x: f32[2, 3]) -> f32[2, 3] {
    let a = relux(x)
    let b = a + 1.0
    let c = x @ x
    let d = c + b
    return softmax(d, axes = 0)
  }
}",
        &["MDL0201: relux", "MDL0301: x @ x", "MDL0204: axes"],
    ),
    (
        "the same fault in several calls is one",
        "mdl 1
block Bad(x: f32[n, m]) -> f32[n, m] { return x @ x }
model M { entry main(x: f32[4, 3]) -> f32[4, 3] { return Bad(x) + Bad(x) } }",
        &["MDL0301: x @ x"],
    ),
    (
        "an unknown name",
        "mdl 1
model M {
  entry main(image: f32[4]) -> f32[4] { return relu(imgae) }
}",
        &["MDL0207: imgae"],
    ),
    (
        "a block does not see the model's dims",
        "mdl 1
fn f(x: f32[n]) -> f32[n] { return x * D }
model M {
  dim D = 4
  entry main(x: f32[D]) -> f32[D] { return f(x) }
}",
        &["MDL0207: D"],
    ),
    (
        "an element type under another name",
        "mdl 1
model M { entry main(x: float32[4]) -> f32[4] { return x } }",
        &["MDL0310: float32"],
    ),
    (
        "a weight in a function",
        "mdl 1
fn f(x: f32[4]) -> f32[4] {
  weight w: f32[4] from \"w\"
  return x * w
}",
        &["MDL0213: w"],
    ),
    (
        "setting what is no state",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[4] {
    set x = x
    return x
  }
}",
        &["MDL0214: x"],
    ),
    (
        "two writers of one state",
        "mdl 1
model M {
  state s: f32[4]
  entry main(x: f32[4]) -> f32[4] {
    set s = x
    set s = x + 1.0
    return s
  }
}",
        &["MDL0214: s"],
    ),
    (
        "no return",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[4] {
    let _y = relu(x)
  }
}",
        &["MDL0215: main"],
    ),
    (
        "more names than values",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[2] {
    let (a, b, c) = split(x, parts = 2, axis = 0)
    return a + b + c
  }
}",
        &["MDL0216: a, b, c"],
    ),
    (
        "an index beyond the axis",
        "mdl 1
model M { entry main(x: f32[4, 3]) -> f32[4] { return x[:, 3] } }",
        &["MDL0309: 3"],
    ),
    (
        "too many indices",
        "mdl 1
model M { entry main(x: f32[4]) -> f32[4] { return x[:, 0] } }",
        &["MDL0309: x[:, 0]"],
    ),
    (
        "an assertion that never holds",
        "mdl 1
model M {
  dim n in 1..=8
  entry main(x: f32[n]) -> f32[n] {
    assert n > 8
    return x
  }
}",
        &["MDL0313: n > 8"],
    ),
    (
        "branches of different types",
        "mdl 1
model M {
  entry main(x: f32[4], y: f32[3], flag: bool) -> f32[4] { return if flag { x } else { y } }
}",
        &["MDL0314: y"],
    ),
    (
        "an unknown directive, and an unknown argument",
        "mdl 1
model M { entry main(x: f32[4]) -> f32[4] { return x } }
profile p { quantise(weights = i8) prune(sparsty = 50%) }",
        &["MDL0506: quantise", "MDL0507: sparsty"],
    ),
    (
        "a selector that matches nothing",
        "mdl 1
block Dense[D](x: f32[..B, D]) -> f32[..B, D] {
  weight w: f32[D, D] from \"weight\" else 0.0
  return x @ w
}
model M {
  weights from \"absent.safetensors\"
  entry main(x: f32[2, 4]) -> f32[2, 4] { return Dense(x) at \"fc1\" }
}
profile p { prune(select = \"fc2\", sparsity = 50%) }",
        &["MDL0403: \"absent.safetensors\"", "MDL0505: \"fc2\""],
    ),
    (
        "an unknown attribute",
        "mdl 1
model M {
  entry main(x: f32[4]) -> f32[4] {
    #[quantze(i8)]
    let y = relu(x)
    return y
  }
}",
        &["MDL0219: quantze"],
    ),
    (
        "a block that nothing calls is checked once",
        "mdl 1
block Alone[D](x: f32[n, D]) -> f32[n, D] {
  let y = softmax(x, axs = -1)
  return y
}",
        &["MDL0204: axs"],
    ),
    (
        "a weights path that leaves the folder",
        "mdl 1
model M {
  weights from \"../secret.safetensors\"
  entry main(x: f32[4]) -> f32[4] { return x }
}",
        &["MDL0405: \"../secret.safetensors\""],
    ),
    (
        "an argument too few",
        "mdl 1
fn f(x: f32[n], y: f32[n]) -> f32[n] { return x + y }
model M { entry main(x: f32[4]) -> f32[4] { return f(x) } }",
        &["MDL0211: f(x)"],
    ),
    (
        "an argument of another shape",
        "mdl 1
fn f(x: f32[n], y: f32[n]) -> f32[n] { return x + y }
model M { entry main(x: f32[4], y: f32[5]) -> f32[4] { return f(x, y) } }",
        &["MDL0301: y"],
    ),
    (
        "a size that is negative",
        "mdl 1
model M {
  dim D = 4 - 8
  entry main(x: f32[D]) -> f32[D] { return x }
}",
        &["MDL0312: 4 - 8"],
    ),
    (
        "a reserved word",
        "mdl 1
fn none(x: f32[n]) -> f32[n] { return x }",
        &["MDL0219: none"],
    ),
    (
        "a size that leaves 64 bits",
        "mdl 1
model M {
  dim D = 4000000000 * 4000000000
  entry main(x: f32[D]) -> f32[D] { return x }
}",
        &["MDL0311: 4000000000 * 4000000000"],
    ),
    (
        "a default axis of a scalar",
        "mdl 1
model M { entry main(x: f32) -> f32 { return layer_norm(x) } }",
        &["MDL0309: layer_norm(x)"],
    ),
];
