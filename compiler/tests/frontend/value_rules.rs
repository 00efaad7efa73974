//! Rules of element types and shapes, each with programs that hold it.

use super::rules::Rule;
use super::rules::Shows::{Says, Tested, Type};

pub(crate) const TYPES: &[Rule] = &[
    (
        "The dtype of a `weight` is its meaning, the storage how it is kept; `f32` over narrower storage is allowed.",
        &[
            Tested("tests/golden/ui/language/narrower_storage.txt"),
            Says(
                "mdl 1 fn f(x: f32[n]) -> f32[n] { #[storage(\"q5\")] let y = relu(x) return y }",
                &["MDL0219: \"q5\""],
            ),
        ],
    ),
    (
        "Activations are quantised explicitly; contraction on integers accumulates in i32.",
        &[Type("mdl 1 model M { entry main(x: i8[2, 3], w: i8[3, 4]) -> i32[2, 4] { return x @ w } }", "i32[2, 4]")],
    ),
    (
        "Binary ops need equal dtypes.",
        &[
            Says("mdl 1 model M { entry main(x: f32[4], y: f16[4]) -> f32[4] { return x + y } }", &["MDL0306: y"]),
            Says("mdl 1 model M { entry main(x: f32[4], y: i64[4]) -> f32[4] { return x + y } }", &["MDL0306: y"]),
        ],
    ),
    (
        "`@`, `einsum` and `conv` accept narrower float right operands and return the left dtype. Nothing else mixes.",
        &[
            Type("mdl 1 model M { entry main(x: f32[2, 3], w: f16[3, 4]) -> f32[2, 4] { return x @ w } }", "f32[2, 4]"),
            Type(
                "mdl 1 model M { entry main(x: f32[2, 3], w: bf16[4, 3]) -> f32[2, 4] { return einsum(\"b i, o i -> b o\", x, w) } }",
                "f32[2, 4]",
            ),
            Says(
                "mdl 1 model M { entry main(x: f16[2, 3], w: f32[3, 4]) -> f16[2, 4] { return x @ w } }",
                &["MDL0306: w"],
            ),
        ],
    ),
    (
        "Literals, dims and `size`s in value position are weak: they take the strong operand's dtype; a value that does not fit is an error.",
        &[
            Type("mdl 1 model M { entry main(x: f16[4], s: size) -> f16[4] { return x * 2.0 + 1 + s } }", "f16[4]"),
            Type("mdl 1 model M { entry main(x: u8[4]) -> u8[4] { return x + 255 } }", "u8[4]"),
            Says("mdl 1 model M { entry main(x: u8[4]) -> u8[4] { return x + 256 } }", &["MDL0306: 256"]),
            Says("mdl 1 model M { entry main(x: i64[4]) -> i64[4] { return x + 0.5 } }", &["MDL0306: 0.5"]),
        ],
    ),
    (
        "`sqrt(hd)` is a weak float; alone, a float is f32 and an integer i64.",
        &[
            Type("mdl 1 model M { dim hd = 64 entry main(x: f16[4]) -> f16[4] { return x / sqrt(hd) } }", "f16[4]"),
            Type("mdl 1 model M { entry main(_x: f32[4]) -> (a: f32, b: i64) { return (2.5, 3) } }", "f32"),
        ],
    ),
    (
        "`const X: f32` is strong.",
        &[
            Type("mdl 1 const X: f32 = 2.0 model M { entry main(x: f32[4]) -> f32[4] { return x * X } }", "f32[4]"),
            Says(
                "mdl 1 const X: f32 = 2.0 model M { entry main(x: f16[4]) -> f16[4] { return x * X } }",
                &["MDL0306: X"],
            ),
            Type("mdl 1 const X = 2.0 model M { entry main(x: f16[4]) -> f16[4] { return x * X } }", "f16[4]"),
        ],
    ),
    (
        "Integer `/` truncates toward zero; x / 0 and MIN / −1 give 0 and MIN; `mod(x, 0)` gives 0; float → int saturates, NaN → 0; integer overflow wraps; shifts are masked.",
        &[Tested("tests/golden/ui/language/never_traps.txt")],
    ),
    (
        "Out-of-range indices of gather and scatter are errors with index, axis and place.",
        &[
            Tested("docs/src/errors/MDL0703.md"),
            Tested("runtime/tests/plans.rs indices_are_checked_before_kernels_run"),
        ],
    ),
];

pub(crate) const SHAPES: &[Rule] = &[
    (
        "Broadcasting aligns from the right; a dim broadcasts only if it is statically 1: a symbolic dim never silently broadcasts.",
        &[
            Type(
                "mdl 1 model M { entry main(x: f32[2, 3, 4], y: f32[3, 1]) -> f32[2, 3, 4] { return x + y } }",
                "f32[2, 3, 4]",
            ),
            Type(
                "mdl 1 block B[k](x: f32[k, n]) -> f32[3, n] { return x + full([3, 1], 1.0) } model M { entry main(x: f32[1, 4]) -> f32[3, 4] { return B(x) } }",
                "f32[3, 4]",
            ),
            Says(
                "mdl 1 model M { dim n in 1..=1 entry main(x: f32[n, 4], y: f32[3, 4]) -> f32[3, 4] { return x + y } }",
                &["MDL0302: x + y"],
            ),
        ],
    ),
    (
        "`-D` substitutes before checking but never makes a dim broadcastable.",
        &[Tested("compiler/tests/frontend.rs a_dim_pinned_to_one_does_not_broadcast")],
    ),
    (
        "Equal pack names are equal dim lists; a pack broadcasts only against missing leading axes.",
        &[
            Type(
                "mdl 1 fn f(x: f32[..B, n], y: f32[..B, n]) -> f32[..B, n] { return x + y } model M { entry main(x: f32[2, 3, 4]) -> f32[2, 3, 4] { return f(x, x) } }",
                "f32[2, 3, 4]",
            ),
            Says(
                "mdl 1 fn f(x: f32[..B, n], y: f32[..B, n]) -> f32[..B, n] { return x + y } model M { entry main(x: f32[2, 3, 4], y: f32[2, 5, 4]) -> f32[2, 3, 4] { return f(x, y) } }",
                &["MDL0301: y"],
            ),
            Says("mdl 1 fn f(x: f32[..B, n], y: f32[n]) -> f32[..B, n] { return x + y }", &[]),
        ],
    ),
    (
        "`x[a:b]` is half-open, `0 <= a <= b <= dim` proved or guarded, never clamped; bounds may be dim expressions.",
        &[
            Type(
                "mdl 1 model M { dim n in 2..=8 entry main(x: f32[n]) -> f32[n - 2] { return x[1 : n - 1] } }",
                "f32[n - 2]",
            ),
            Says("mdl 1 model M { entry main(x: f32[4]) -> f32[5] { return x[0:5] } }", &["MDL0309: 0:5"]),
            Says("mdl 1 model M { entry main(x: f32[4]) -> f32[1] { return x[3:2] } }", &["MDL0309: 3:2"]),
            Says(
                "mdl 1 model M { dim n in 0..=8 entry main(x: f32[n]) -> f32[4] { return x[0:4] } }",
                &["MDL0303: 0:4"],
            ),
        ],
    ),
    (
        "A negative literal counts from the end; an integer removes its axis; `none` inserts 1; fewer items than axes mean `:` for the rest; `..` fills the middle, once.",
        &[
            Type("mdl 1 model M { entry main(x: f32[2, 3, 4]) -> f32[3, 4] { return x[-1] } }", "f32[3, 4]"),
            Type(
                "mdl 1 model M { entry main(x: f32[2, 3, 4]) -> f32[1, 2, 3] { return x[none, .., 0] } }",
                "f32[1, 2, 3]",
            ),
            Type("mdl 1 model M { entry main(x: f32[2, 3, 4]) -> f32[2, 3, 2] { return x[.., -2:] } }", "f32[2, 3, 2]"),
            Says(
                "mdl 1 model M { entry main(x: f32[2, 3, 4]) -> f32[2] { return x[.., 0, ..] } }",
                &["MDL0309: x[.., 0, ..]"],
            ),
            Says("mdl 1 model M { entry main(x: f32[4]) -> f32[4] { return x[-5] } }", &["MDL0309: -5"]),
        ],
    ),
    (
        "Steps are `slice(x, start, stop, step, axis)`. Indexing by a tensor is `gather`.",
        &[
            Type(
                "mdl 1 model M { entry main(x: f32[8]) -> f32[4] { return slice(x, [0], [8], steps = [2]) } }",
                "f32[4]",
            ),
            Type(
                "mdl 1 model M { entry main(x: f32[8, 3], i: i64[2, 5]) -> f32[2, 5, 3] { return x[i] } }",
                "f32[2, 5, 3]",
            ),
        ],
    ),
    (
        "`split` keeps the axis; `unstack` removes it and yields as many values as the static dim.",
        &[
            Type(
                "mdl 1 model M { entry main(x: f32[2, 6]) -> f32[2, 3] { let (a, _b) = split(x, parts = 2, axis = 1) return a } }",
                "f32[2, 3]",
            ),
            Type(
                "mdl 1 model M { entry main(x: f32[2, 6]) -> f32[2, 1] { let (a, _b) = split(x, sizes = [1, 5], axis = 1) return a } }",
                "f32[2, 1]",
            ),
            Type(
                "mdl 1 model M { entry main(x: f32[2, 6]) -> f32[6] { let (a, b) = unstack(x, axis = 0) return a + b } }",
                "f32[6]",
            ),
            Says(
                "mdl 1 model M { dim n in 1..=4 entry main(x: f32[n, 6]) -> f32[6] { let (a, b) = unstack(x, axis = 0) return a + b } }",
                &["MDL0309: x"],
            ),
        ],
    ),
    (
        "Einsum and rearrange axes are space-separated names, `...` stands for a pack, the arrow is required, a name twice in one operand is the diagonal; `bhqd` is one name (the error offers the spaced form).",
        &[
            Type(
                "mdl 1 model M { entry main(x: f32[2, 4, 4]) -> f32[2, 4] { return einsum(\"... i i -> ... i\", x) } }",
                "f32[2, 4]",
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[4, 4]) -> f32[4] { return einsum(\"i i\", x) } }",
                &["MDL0316: i i"],
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[2, 4]) -> f32[4, 2] { return einsum(\"bi -> ib\", x) } }",
                &["MDL0316: bi"],
            ),
            Tested("tests/golden/ui/language/einsum_spaced.txt"),
        ],
    ),
    (
        "A mask is `bool` (true = attend) or float (added); `causal_mask` returns bool.",
        &[
            Type("mdl 1 model M { entry main(_x: f32[4]) -> bool[3, 5] { return causal_mask(3, 5) } }", "bool[3, 5]"),
            Type(
                "mdl 1 model M { entry main(q: f32[1, 2, 3, 4], m: bool[3, 3]) -> f32[1, 2, 3, 4] { return attention(q, q, q, mask = m) } }",
                "f32[1, 2, 3, 4]",
            ),
            Type(
                "mdl 1 model M { entry main(q: f32[1, 2, 3, 4], m: f32[3, 3]) -> f32[1, 2, 3, 4] { return attention(q, q, q, mask = m) } }",
                "f32[1, 2, 3, 4]",
            ),
            Says(
                "mdl 1 model M { entry main(q: f32[1, 2, 3, 4], m: i64[3, 3]) -> f32[1, 2, 3, 4] { return attention(q, q, q, mask = m) } }",
                &["MDL0306: m"],
            ),
        ],
    ),
    (
        "`/` on dims is floor division; a whole `dim x = a / b` of static sizes leaves no remainder.",
        &[
            Type(
                "mdl 1 model M { dim n in 1..=9 entry main(x: f32[n]) -> f32[n / 2] { return x[0 : n / 2] } }",
                "f32[n / 2]",
            ),
            Says(
                "mdl 1 model M { dim D = 10 dim d = D / 3 entry main(x: f32[d]) -> f32[d] { return relu(x) } }",
                &["MDL0304: D / 3"],
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[10]) -> f32[3, 3] { return rearrange(x, \"(a b) -> a b\", a = 3) } }",
                &["MDL0304: (a b)"],
            ),
        ],
    ),
    (
        "Dims are ≥ 0: a difference that can be negative for the declared ranges needs an `assert` or becomes a guard. Arithmetic is checked 64-bit.",
        &[
            Says(
                "mdl 1 model M { dim n in 1..=9 entry main(x: f32[n]) -> f32[n - 4] { return full([n - 4], 1.0) + sum(x) } }",
                &["MDL0303: n - 4"],
            ),
            Says(
                "mdl 1 model M { dim D = 4 - 9 entry main(x: f32[D]) -> f32[D] { return relu(x) } }",
                &["MDL0312: 4 - 9"],
            ),
            Says(
                "mdl 1 model M { dim D = 4000000000 * 4000000000 entry main(x: f32[D]) -> f32[D] { return relu(x) } }",
                &["MDL0311: 4000000000 * 4000000000"],
            ),
        ],
    ),
];
