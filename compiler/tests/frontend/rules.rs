//! The rules of the language, each with programs that hold it: what is sound has a type, what is not has a code and a
//! place. Rules that only a run can show name the test that runs them.

/// What a program shows.
pub(crate) enum Shows {
    /// It is sound, without a warning, and its first result has this type.
    Type(&'static str, &'static str),
    /// Its weights have these keys, in the order of the alphabet.
    Keys(&'static str, &'static [&'static str]),
    /// This is said of it: codes, and the text at their places.
    Says(&'static str, &'static [&'static str]),
    /// A golden file, or a file and a function of it, tests this.
    Tested(&'static str),
}

use Shows::{Keys, Says, Tested, Type};

/// A rule and what holds it.
pub(crate) type Rule = (&'static str, &'static [Shows]);

pub(crate) const NAMES: &[Rule] = &[
    (
        "Names are lexically scoped; `let` may shadow.",
        &[
            Type(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[2] { let x = x[0:2] let x = relu(x) return x } }",
                "f32[2]",
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { repeat i in 0..2 carry x { let y = relu(x) let x = y } return y } }",
                &["MDL0207: y"],
            ),
        ],
    ),
    (
        "`return` is the last statement of a body, once; not inside `repeat` or `fused`.",
        &[
            Says("mdl 1 fn f(x: f32[n]) -> f32[n] { return x return x }", &["MDL0215: return x"]),
            Says(
                "mdl 1 fn f(x: f32[n]) -> f32[n] { repeat i in 0..2 carry x { return x } return x }",
                &["MDL0215: return x"],
            ),
            Says("mdl 1 fn f(x: f32[n]) -> f32[n] { fused \"g\" { return x } return x }", &["MDL0215: return x"]),
            Says("mdl 1 fn f(x: f32[n]) -> f32[n] { let _y = x }", &["MDL0215: f"]),
        ],
    ),
    (
        "A block does not see the model's dims or weights.",
        &[
            Says(
                "mdl 1 block B(x: f32[n]) -> f32[n] { return x * D } model M { dim D = 4 entry main(x: f32[D]) -> f32[D] { return B(x) } }",
                &["MDL0207: D"],
            ),
            Says(
                "mdl 1 block B(x: f32[n]) -> f32[n] { return x * w } model M { entry main(x: f32[4]) -> f32[4] { weight w: f32[4] from \"w\" return B(x) * w } }",
                &["MDL0207: w"],
            ),
        ],
    ),
    (
        "In parameter types of `block` and `fn` a bare name that is not in scope introduces a dim (or `..B` a pack), bound by the argument at each call; everywhere else names must be declared.",
        &[
            Type(
                "mdl 1 fn f(x: f32[..B, n], y: f32[n]) -> f32[..B, n] { return x + y } model M { entry main(x: f32[2, 3, 4], y: f32[4]) -> f32[2, 3, 4] { let z = f(y, y) return f(x, z) } }",
                "f32[2, 3, 4]",
            ),
            Says("mdl 1 fn f(x: f32[n]) -> f32[n] { let y: f32[m] = x return y }", &["MDL0210: m"]),
            Says("mdl 1 model M { entry main(x: f32[n]) -> f32[4] { return x } }", &["MDL0210: n"]),
        ],
    ),
    (
        "Only bare names bind; arithmetic in a parameter type is checked after.",
        &[
            Type(
                "mdl 1 fn f(x: f32[n], y: f32[n + 1]) -> f32[n] { return x + y[1:] } model M { entry main(x: f32[4], y: f32[5]) -> f32[4] { return f(x, y) } }",
                "f32[4]",
            ),
            Says(
                "mdl 1 fn f(x: f32[n], y: f32[n + 1]) -> f32[n] { return x + y[1:] } model M { entry main(x: f32[4], y: f32[6]) -> f32[4] { return f(x, y) } }",
                &["MDL0301: y"],
            ),
        ],
    ),
    (
        "Static arguments unify left to right from argument types; what cannot be inferred must be given.",
        &[
            Type(
                "mdl 1 block D[Out, In](x: f32[..B, In]) -> f32[..B, Out] { weight w: f32[In, Out] from \"w\" return x @ w } model M { entry main(x: f32[2, 4]) -> f32[2, 3] { return D[3](x) } }",
                "f32[2, 3]",
            ),
            Says(
                "mdl 1 block D[Out, In](x: f32[..B, In]) -> f32[..B, Out] { weight w: f32[In, Out] from \"w\" return x @ w } model M { entry main(x: f32[2, 4]) -> f32[2, 3] { return D(x) } }",
                &["MDL0208: D(x)"],
            ),
            Says(
                "mdl 1 fn f[D](x: f32[D], y: f32[D]) -> f32[D] { return x + y } model M { entry main(x: f32[4], y: f32[5]) -> f32[4] { return f(x, y) } }",
                &["MDL0301: y"],
            ),
        ],
    ),
    (
        "What nothing calls is checked once with fresh symbolic dims, where \"cannot tell\" is silent.",
        &[
            Says("mdl 1 fn f(x: f32[n]) -> f32[4] { return x[0:4] }", &[]),
            Says("mdl 1 fn f(x: f32[n]) -> f32[n] { return sofmax(x, axis = 0) }", &["MDL0201: sofmax"]),
        ],
    ),
    (
        "The same fault in several instances is one error.",
        &[Says(
            "mdl 1 block B(x: f32[n, m]) -> f32[n, m] { return x @ x } model M { entry main(x: f32[4, 3], y: f32[5, 2]) -> f32[4, 3] { let _z = B(y) return B(x) + B(x) } }",
            &["MDL0301: x @ x"],
        )],
    ),
    (
        "Reserved: `none`, `size`, `int`, dtype names.",
        &[
            Says("mdl 1 fn none(x: f32[n]) -> f32[n] { return x }", &["MDL0219: none"]),
            Says("mdl 1 block size(x: f32[n]) -> f32[n] { return x }", &["MDL0219: size"]),
            Says("mdl 1 const int = 3", &["MDL0219: int"]),
            Says("mdl 1 dim f32 = 3", &["MDL0219: f32"]),
        ],
    ),
    (
        "An introduced dim used once that is one edit from another is a lint.",
        &[
            Says(
                "mdl 1 fn f(x: f32[batch, seq], y: f32[batch, sec]) -> f32[batch, seq] { return x + sum(y) }",
                &["MDL0904: sec"],
            ),
            Says("mdl 1 fn f(x: f32[batch, seq], y: f32[batch, keys]) -> f32[batch, seq] { return x + sum(y) }", &[]),
        ],
    ),
];

pub(crate) const KEYS: &[Rule] = &[
    (
        "`at` scopes the body of the call it follows, not the call's arguments.",
        &[Keys(
            "mdl 1 block A(x: f32[n]) -> f32[n] { weight w: f32[4] from \"w\" return x * w } block B(x: f32[n]) -> f32[n] { weight v: f32[4] from \"v\" return x * v } model M { entry main(x: f32[4]) -> f32[4] { return A(B(x)) at \"a\" } }",
            &["a.w", "v"],
        )],
    ),
    (
        "key = the `at`s of the call chain from entry to the weight, then the `from` leaf.",
        &[Keys(
            "mdl 1 block A(x: f32[n]) -> f32[n] { weight w: f32[4] from \"w\" return x * w } block B(x: f32[n]) -> f32[n] { return A(x) at \"inner\" } model M { entry main(x: f32[4]) -> f32[4] { return B(x) at \"outer\" } }",
            &["outer.inner.w"],
        )],
    ),
    (
        "`at` binds tighter than `|>`; two chained `at`s join left to right.",
        &[Keys(
            "mdl 1 block A(x: f32[n]) -> f32[n] { weight w: f32[4] from \"w\" return x * w } model M { entry main(x: f32[4]) -> f32[4] { return x |> A at \"a\" |> A at \"b\" at \"c\" } }",
            &["a.w", "b.c.w"],
        )],
    ),
    (
        "`{i}` works in `at` and `from`.",
        &[Keys(
            "mdl 1 block A(x: f32[n]) -> f32[n] { weight w: f32[4] from \"w\" return x * w } model M { entry main(x: f32[4]) -> f32[4] { repeat i in 0..2 carry x { weight v: f32[4] from \"v{i}\" let x = A(x) at \"l.{i}\" * v } return x } }",
            &["l.0.w", "l.1.w", "v0", "v1"],
        )],
    ),
    (
        "A leading `/` drops the call chain but keeps the file-wide prefix.",
        &[
            Keys(
                "mdl 1 block A(x: f32[n]) -> f32[n] { weight w: f32[4] from \"/w\" return x * w } model M { entry main(x: f32[4]) -> f32[4] { return A(x) at \"a\" } }",
                &["w"],
            ),
            Tested("tests/golden/ui/language/absolute_key.txt"),
        ],
    ),
    (
        "An imported block behaves as if written here.",
        &[
            Tested("tests/golden/ui/language/imported_block.txt"),
            Tested("compiler/tests/frontend.rs imports_are_found_beside_the_file_and_cycles_are_drawn"),
        ],
    ),
    (
        "An entry-level `weight` has an empty chain.",
        &[Keys(
            "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { weight w: f32[4] from \"w\" return x * w } }",
            &["w"],
        )],
    ),
    (
        "The same key declared twice is one constant of one type.",
        &[
            Keys(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { weight a: f32[4] from \"w\" weight b: f32[4] from \"w\" return x * a + b } }",
                &["w"],
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { weight a: f32[4] from \"w\" weight b: f32[2, 2] from \"w\" return x * a + sum(b) } }",
                &["MDL0402: \"w\""],
            ),
            Tested("compiler/tests/frontend.rs one_key_is_one_constant"),
        ],
    ),
    (
        "`weight` in a `fn` is an error.",
        &[Says("mdl 1 fn f(x: f32[n]) -> f32[n] { weight w: f32[4] from \"w\" return x * w }", &["MDL0213: w"])],
    ),
    (
        "`weight … else v`: only then may a key be missing.",
        &[
            Tested("tests/golden/ui/language/default_weight.txt"),
            Tested("tests/golden/ui/situations/20_missing_all.txt"),
        ],
    ),
    (
        "Tied weights: a missing key whose partner has the same shape is suggested.",
        &[Tested("tests/golden/ui/situations/20_missing_tied.txt")],
    ),
    (
        "`weights from` may be repeated (searched in order; a key in two files is an error), and may name an index of shards.",
        &[
            Tested("tests/golden/ui/language/several_files.txt"),
            Tested("tests/golden/ui/keys_twice.txt"),
            Tested("tests/golden/ui/language/shards.txt"),
        ],
    ),
    (
        "Paths in the file stay inside its folder; `--weights PATH` may point anywhere.",
        &[Tested("tests/golden/ui/weights_outside.txt"), Tested("tests/golden/ui/language/weights_flag.txt")],
    ),
    (
        "Weights are read from safetensors, npz, gguf and PyTorch files; GGUF shapes are shown row-major.",
        &[Tested("runtime/src/weights/tests.rs gguf_is_read_row_major_with_its_groups")],
    ),
];
