//! Programs drawn from a seed: statements over matrices, some said twice, some in a loop with weights of their own.

use super::bench::{Bench, Draw};

/// Bindings of one program.
const STATEMENTS: usize = 14;

/// Weights that statements may use, by name: those with `{i}` inside of the loop only.
const WEIGHTS: [(&str, &[usize]); 6] =
    [("w", &[4, 4]), ("v", &[4, 4]), ("b", &[4]), ("gamma", &[4]), ("mean", &[4]), ("var", &[4])];

fn expression(draw: &mut Draw, names: &[String], depth: usize) -> String {
    let mut name = || names[draw.below(names.len())].clone();
    let (a, b) = (name(), name());
    let inner = |draw: &mut Draw| match depth {
        0 => a.clone(),
        _ => format!("({})", expression(draw, names, depth - 1)),
    };
    let x = inner(draw);
    match draw.below(24) {
        0 => format!("-(-{x})"),
        1 => format!("relu(relu({x}))"),
        2 => format!("transpose(transpose({x}))"),
        3 => format!("reshape(reshape({x}, [2, n, 2]), [n, 4])"),
        4 => format!("cast(cast({x}, f64), f32)"),
        5 => format!("{x} * 1.0"),
        6 => format!("{x} + 0.0"),
        7 => format!("{x} - 0.0"),
        8 => format!("{x} / 1.0"),
        9 => format!("concat([{x}[0:n]], axis = 1)"),
        10 => format!("where({x} < {b}, {x}, {b})"),
        11 => format!("where(full([1], 1.0) > 0.0, {x}, {b})"),
        12 => format!("{x} + {b}"),
        13 => format!("{x} * {b}"),
        14 => format!("{x} * (gamma * 2.0 + [1.0, 2.0, 0.5, 3.0])"),
        15 => format!("tanh({x} @ w)"),
        16 => format!("tanh({a} @ v)"),
        17 => format!("tanh(einsum(\"... i, o i -> ... o\", {a}, w) * gamma + b)"),
        18 => format!("tanh((einsum(\"... i, o i -> ... o\", {a}, v) + b) * gamma)"),
        19 => format!("tanh(batch_norm({a} @ w, gamma, b, mean, var))"),
        20 => format!("tanh(batch_norm({x}, gamma * 2.0, b + 1.0, mean, var))"),
        21 => format!("expand(expand({x}, [1, n, 4])[0], [n, 4])"),
        22 => format!("abs(-{x})"),
        _ => format!("pad({x}, [[0, 0], [0, 0]])"),
    }
}

/// A program and its weights.
pub(crate) fn program(draw: &mut Draw) -> Bench {
    let mut names = vec!["x".to_owned()];
    let mut body = String::new();
    let mut last = String::from("x");
    for i in 0..STATEMENTS {
        if i == STATEMENTS / 2 {
            let (mut inner, carried) = (String::new(), names[draw.below(names.len())].clone());
            for (weight, _) in WEIGHTS {
                let ty = if ["w", "v"].contains(&weight) { "f32[4, 4]" } else { "f32[4]" };
                inner += &format!("      weight {weight}: {ty} from \"layers.{{i}}.{weight}\"\n");
            }
            inner += &format!("      let y = {}\n", expression(draw, &names, 1));
            names.push("y".into());
            inner += &format!("      let {carried} = {}\n", expression(draw, &names, 1));
            names.pop();
            body += &format!("    repeat i in 0..3 carry {carried} {{\n{inner}    }}\n");
            last = carried;
            continue;
        }
        let again = body.lines().filter_map(|line| line.trim().strip_prefix("let ")?.split_once(" = ")).next_back();
        let value = match again {
            Some((_, value)) if draw.below(4) == 0 && i < STATEMENTS / 2 => value.to_owned(),
            _ => expression(draw, &names, 1),
        };
        last = format!("t{i}");
        body += &format!("    let {last} = {value}\n");
        names.push(last.clone());
    }
    let weights: String =
        WEIGHTS.iter().map(|(name, shape)| format!("    weight {name}: f32{shape:?} from \"{name}\"\n")).collect();
    let text = format!(
        "mdl 1\nmodel M {{\n  dim n in 1..=9\n  entry main(x: f32[n, 4]) -> f32[n, 4] {{\n{weights}{body}    \
         return {last} + {}\n  }}\n}}\n",
        names[draw.below(names.len())]
    );
    let family = (0..3).flat_map(|i| WEIGHTS.map(|(name, shape)| (format!("layers.{i}.{name}"), shape)));
    let all: Vec<(String, &[usize])> =
        WEIGHTS.map(|(name, shape)| (name.to_owned(), shape)).into_iter().chain(family).collect();
    let all: Vec<(&str, &[usize])> = all.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
    Bench::new(&text, &all)
}
