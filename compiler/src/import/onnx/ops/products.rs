//! Products of matrices.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::{Rows, refuse};
use crate::ops::Attr;

pub(super) const ROWS: Rows = &[("Einsum", einsum), ("Gemm", gemm), ("MatMul", matmul)];

fn matmul(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (a, b) = (n.x(0)?, n.x(1)?);
    Ok(vec![n.op("matmul", &[&a, &b], &[])?])
}

/// alpha * a' @ b' + beta * c.
fn gemm(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (a, b, c) = (n.x(0)?, n.x(1)?, n.opt(2));
    let (left, right) = (n.int("transA", 0) != 0, n.int("transB", 0) != 0);
    let (alpha, beta) = (n.float("alpha", 1.0), n.float("beta", 1.0));
    let mut y = match (left, right) {
        (false, false) => n.op("matmul", &[&a, &b], &[])?,
        _ => {
            let side = |turned: bool, rows: &str, columns: &str| match turned {
                true => format!("{columns} {rows}"),
                false => format!("{rows} {columns}"),
            };
            let pattern = format!("{}, {} -> b o", side(left, "b", "i"), side(right, "i", "o"));
            n.op("einsum", &[&a, &b], &[("pattern", Attr::Text(pattern))])?
        }
    };
    if alpha != 1.0 {
        let alpha = n.build.number(&y, alpha);
        y = n.op("mul", &[&y, &alpha], &[])?;
    }
    if let Some(mut c) = c.filter(|_| beta != 0.0) {
        if beta != 1.0 {
            let beta = n.build.number(&c, beta);
            c = n.op("mul", &[&c, &beta], &[])?;
        }
        y = n.op("add", &[&y, &c], &[])?;
    }
    Ok(vec![y])
}

/// Letters become words, and a result that is left out is every letter that occurs once, in order.
fn einsum(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let equation: String = n.text("equation", "").split_whitespace().collect();
    let (inputs, result) = match equation.split_once("->") {
        Some((inputs, result)) => (inputs.to_owned(), result.to_owned()),
        None => {
            let mut letters: Vec<char> = equation.chars().filter(char::is_ascii_alphabetic).collect();
            letters.sort_unstable();
            let once = letters.iter().filter(|letter| letters.iter().filter(|l| l == letter).count() == 1);
            let dots = if equation.contains("...") { "..." } else { "" };
            (equation.clone(), format!("{dots}{}", once.collect::<String>()))
        }
    };
    let all: Vec<Item> = (0..n.inputs.len()).map(|i| n.x(i)).collect::<Result<_, _>>()?;
    if inputs.split(',').count() != all.len() {
        return refuse(format!("\"{equation}\" is for other operands than it has"));
    }
    let operands: Vec<String> = inputs.split(',').map(spaced).collect();
    let pattern = format!("{} -> {}", operands.join(", "), spaced(&result));
    Ok(vec![n.op("einsum", &all.iter().collect::<Vec<_>>(), &[("pattern", Attr::Text(pattern.trim_end().into()))])?])
}

fn spaced(term: &str) -> String {
    let marked = term.replace("...", ".");
    let words = marked.chars().map(|c| if c == '.' { "...".into() } else { c.to_string() });
    words.collect::<Vec<_>>().join(" ")
}
