//! Rules of control, state and attributes, each with programs that hold it.

use super::rules::Rule;
use super::rules::Shows::{Says, Tested, Type};

pub(crate) const CONTROL: &[Rule] = &[
    (
        "`if` on compile-time conditions: the untaken branch is name-checked only.",
        &[
            Type(
                "mdl 1 block B[k: int](x: f32[4]) -> f32[4] { return if k == 0 { x } else { x @ x @ x } } model M { entry main(x: f32[4]) -> f32[4] { return B[k = 0](x) } }",
                "f32[4]",
            ),
            Says(
                "mdl 1 block B[k: int](x: f32[4]) -> f32[4] { return if k == 0 { x } else { y } } model M { entry main(x: f32[4]) -> f32[4] { return B[k = 0](x) } }",
                &["MDL0207: y"],
            ),
        ],
    ),
    (
        "On a run-time `bool` scalar both branches must have one type and exactly one runs.",
        &[
            Type(
                "mdl 1 model M { entry main(x: f32[4], c: bool) -> f32[4] { return if c { x } else { relu(x) } } }",
                "f32[4]",
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[4], c: bool) -> f32[4] { return if c { x } else { sum(x) } } }",
                &["MDL0314: sum(x)"],
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[4], c: bool[2]) -> f32[4] { return if c { x } else { x } } }",
                &["MDL0306: c"],
            ),
            Tested("runtime/tests/plans.rs a_branch_runs_one_side_and_states_live_between_calls"),
        ],
    ),
    (
        "`repeat`: the last binding of a carried name at the top level of the body is the next iteration's value, of the type it began with; other names end with the body; zero trips leave the initial value; a carried name never rebound is a lint.",
        &[
            Tested("tests/golden/ui/language/carried.txt"),
            Says(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { repeat i in 0..2 carry x { let x = sum(x) } return x } }",
                &["MDL0307: x"],
            ),
            Says(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { repeat i in 0..2 carry x { let _y = x } return x } }",
                &["MDL0905: x"],
            ),
        ],
    ),
    (
        "`i` is a compile-time int; where the bound is a `size`, `i` is a run-time `size` and may not appear in `at`, `from` or types.",
        &[
            Says(
                "mdl 1 model M { entry main(x: f32[4], n: size) -> f32[4] { repeat i in 0..n carry x { weight w: f32[4] from \"w.{i}\" let x = x * w } return x } }",
                &["MDL0205: i"],
            ),
            Type(
                "mdl 1 model M { entry main(x: f32[4], n: size) -> f32[4] { repeat i in 0..n carry x { let x = x + i } return x } }",
                "f32[4]",
            ),
        ],
    ),
    (
        "`repeat i in 0..N while cond carry …` is the data-dependent loop, checked before each iteration.",
        &[Tested("tests/golden/ui/language/carried.txt")],
    ),
    (
        "State is written by `set` only, one writer per state and iteration; reads after the write see it.",
        &[
            Says(
                "mdl 1 model M { state s: f32[4] entry main(x: f32[4]) -> f32[4] { set s = x set s = x return s } }",
                &["MDL0214: s"],
            ),
            Says(
                "mdl 1 model M { state s: f32[4] entry main(x: f32[4]) -> f32[4] { set s[0:2] = x[0:2] set s[2:4] = x[2:4] return s } }",
                &[],
            ),
            Tested("compiler/tests/frontend.rs state_is_written_by_set_and_read_after"),
            Tested("tests/golden/ui/language/state.txt"),
        ],
    ),
    (
        "Symbolic dims of a state are fixed by the first call after `reset()`; another value is an error until reset.",
        &[Tested("runtime/tests/plans.rs a_branch_runs_one_side_and_states_live_between_calls")],
    ),
    (
        "A block parameter that is the target of `set` is a state parameter: its argument must be a state or a slice of one.",
        &[
            Says(
                "mdl 1 block B(s: f32[n], x: f32[n]) -> f32[n] { set s = x return s } model M { entry main(x: f32[4]) -> f32[4] { return B(x, x) } }",
                &["MDL0214: x"],
            ),
            Type(
                "mdl 1 block B(s: f32[n], x: f32[n]) -> f32[n] { set s = x return s } model M { state t: f32[8] entry main(x: f32[4]) -> f32[4] { return B(t[2:6], x) } }",
                "f32[4]",
            ),
        ],
    ),
    (
        "Asserts take dims and `size`s only, are checked at call entry, and are facts for the checker.",
        &[
            Says(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { assert sum(x) > 0.0 return x } }",
                &["MDL0205: sum(x) > 0.0"],
            ),
            Says(
                "mdl 1 model M { dim n in 0..=8 entry main(x: f32[n]) -> f32[4] { assert n >= 4 return x[0:4] } }",
                &[],
            ),
            Tested("docs/src/errors/MDL0702.md"),
        ],
    ),
    (
        "What cannot be decided is a warning and becomes a run-time guard (`--deny-guards` makes it an error).",
        &[Tested("tests/golden/ui/situations/14_cannot_tell.txt"), Tested("tests/golden/ui/language/deny_guards.txt")],
    ),
    (
        "Random ops take `seed` and are counter-based (Philox 4×32-10): the same stream on every device.",
        &[
            Says(
                "mdl 1 model M { entry main(x: f32[4]) -> f32[4] { return x + uniform([4]) } }",
                &["MDL0211: uniform([4])"],
            ),
            Tested("tests/golden/ui/language/random.txt"),
        ],
    ),
    (
        "Attributes apply to the next statement and to all calls inside it; a selector that matches nothing is an error with near paths.",
        &[
            Says(
                "mdl 1 fn f(x: f32[n]) -> f32[n] { #[quantise(i8)] let y = relu(x) return y }",
                &["MDL0219: quantise"],
            ),
            Tested("docs/src/errors/MDL0505.md"),
        ],
    ),
    (
        "The first line is `mdl 1`; missing: an error with an exact fix; unknown: refused with the list of known ones.",
        &[
            Says("fn f(x: f32[n]) -> f32[n] { return x }", &["MDL0002: "]),
            Says("mdl 7 fn f(x: f32[n]) -> f32[n] { return y }", &["MDL0001: mdl 7"]),
            Tested("grammar/tests/programs.rs json_reads_back"),
        ],
    ),
];
