//! How much each weight's change is heard in the result of its own product, from one watched pass.
//! Invariant: each product is looked at alone, on the operands that the uncompressed model gives it.

use super::calibrate::{Seen, Statistics};
use super::compress::{Attempt, Step};
use super::error::TuneError;
use super::matrix::Rows;
use crate::graph::{Graph, NodeId};
use crate::passes::Product;
use crate::passes::quantize::{Activations, Scale, per_channel};
use mlc_runtime::tensor::Tensor;
use serde_json::{Value, json};

/// One product's change.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    pub(super) step: (NodeId, Step),
    pub(super) weight: String,
    /// The power of the error, in parts of that of the result, as if the positions of a sum were independent.
    pub(super) noise: f64,
    /// Numbers of the weight that take fewer bytes.
    saved: f64,
}

impl Damage {
    /// What is saved for each unit of damage.
    pub(super) fn worth(&self) -> f64 {
        self.saved / self.noise.max(1e-12)
    }

    /// As reports have it.
    pub(super) fn json(&self) -> Value {
        let step = if self.step.1 == Step::Prune { "prune" } else { "quantize" };
        json!({"weight": self.weight, "step": step, "decibels": self.decibels(), "numbers": self.saved})
    }

    /// The ratio of the result to the error.
    pub(super) fn decibels(&self) -> f64 {
        -10.0 * self.noise.max(1e-12).log10()
    }
}

/// The damage of every step of an attempt. One at a product whose operand could not be watched counts as loud.
pub(super) fn damages(
    before: &Graph,
    attempt: &Attempt,
    products: &[Product],
    seen: &Statistics,
) -> Result<Vec<Damage>, TuneError> {
    let mut all = vec![];
    for (node, step) in &attempt.changed {
        let Some(product) = products.iter().find(|product| product.node == *node) else { continue };
        let mut noise: f64 = 0.0;
        for trip in 0..product.members.len() {
            let seen = seen.get(&product.data).and_then(|seen| seen.get(if seen.len() > 1 { trip } else { 0 }));
            noise = noise.max(of_member(before, attempt, product, trip, *step, seen)?);
        }
        let saved = (product.elements(before) * product.members.len()) as f64;
        all.push(Damage { step: (*node, *step), weight: product.name(before).to_owned(), noise, saved });
    }
    Ok(all)
}

fn of_member(
    before: &Graph,
    attempt: &Attempt,
    product: &Product,
    trip: usize,
    step: Step,
    seen: Option<&Seen>,
) -> Result<f64, TuneError> {
    let member = product.members[trip];
    let pruned = attempt.pruned.numbers(member)?;
    let (old, mut new, mut gap) = (before.numbers(member)?, pruned.clone(), 0.0);
    let (old, recipe) = match step {
        Step::Prune => (old, None),
        Step::Quantize => {
            new = attempt.held.numbers(member)?.cast(pruned.dtype())?;
            (pruned, attempt.recipes.get(&product.node))
        }
    };
    if let Some(recipe) = recipe {
        let axis = product.channels.map(|(axis, _)| axis);
        if let Some(rounded) = per_channel(&new, axis, recipe.bits) {
            (0..new.len()).for_each(|i| new.set_f64(i, rounded.number(axis, i)));
        }
        gap = self::gap(&recipe.activations, trip, seen);
    }
    Ok(match product.is_table() {
        true => of_table(&old, &new),
        false => seen.and_then(|seen| of_weight(product, &old, &new, seen, gap)).unwrap_or(1.0),
    })
}

/// From one code of the other operand to the next.
fn gap(activations: &Activations, trip: usize, seen: Option<&Seen>) -> f64 {
    match activations {
        Activations::Float => 0.0,
        Activations::Rows => seen.map_or(0.0, |seen| seen.histogram.greatest() / 127.0),
        Activations::Fixed(scales) => {
            let Scale { step, .. } = scales[if scales.len() > 1 { trip } else { 0 }];
            f64::from(step)
        }
    }
}

/// What rows that are gathered lose.
fn of_table(old: &Tensor, new: &Tensor) -> f64 {
    let (old, new) = (old.to_f64_vec(), new.to_f64_vec());
    let error: f64 = old.iter().zip(&new).map(|(a, b)| (a - b) * (a - b)).sum();
    error / old.iter().map(|a| a * a).sum::<f64>().max(f64::MIN_POSITIVE)
}

fn of_weight(product: &Product, old: &Tensor, new: &Tensor, seen: &Seen, gap: f64) -> Option<f64> {
    if seen.squares.is_empty() {
        return None;
    }
    let (old, new) = (Rows::of(product, old, seen.squares.len())?, Rows::of(product, new, seen.squares.len())?);
    let (mut signal, mut error) = (0.0, 0.0);
    for row in 0..old.rows {
        for column in 0..old.columns {
            let at = row * old.columns + column;
            let (weight, change, size) =
                (old.numbers[at], old.numbers[at] - new.numbers[at], seen.squares[old.partner(row, column)]);
            signal += weight * weight * size;
            error += change * change * size + weight * weight * gap * gap / 12.0;
        }
    }
    (signal > 0.0).then_some(error / signal)
}
