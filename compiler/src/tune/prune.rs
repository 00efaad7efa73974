//! `prune(…)` of a profile: which numbers of a weight become zero, and what the others become for it.
//! Invariant: a share is reached by each weight, or by all that a directive selects together; whether zeros are then left out
//! of products is for the schedule to say.

use super::calibrate::{Bed, Seen, calibrated};
use super::compress::{Decision, SPARED, Site, Step, Work};
use super::data::DataSet;
use super::error::TuneError;
use super::matrix::Rows;
use super::measure::Watch;
use super::orders::{Order, Orders};
use crate::graph::{ConstantId, Graph};
use crate::passes::store::replace;
use crate::passes::{Product, products};
use mlc_codegen::base::{DType, Storage};

/// Samples that calibrate where no number is given.
const SAMPLES: usize = 256;
/// Columns whose zeros are chosen together, with what the columns before them left.
const TOGETHER: usize = 128;
/// What is added to the diagonal of second moments, in parts of its mean.
const DAMPING: f64 = 0.01;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// The smallest go (magnitude).
    Magnitude,
    /// Those that move the result least, each by itself (M. Sun et al., 2023).
    Wanda,
    /// The same, and the others make up for them (E. Frantar and D. Alistarh, 2023).
    Rebuilt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Free,
    /// `kept` of each `of` along a row.
    Groups {
        kept: usize,
        of: usize,
    },
    /// So many rows at one column go or stay together.
    Blocks(usize),
}

struct Wanted<'o> {
    order: Order<'o>,
    method: Method,
    pattern: Pattern,
    share: f64,
}

impl<'o> Wanted<'o> {
    fn of(order: Order<'o>) -> Result<Self, TuneError> {
        let method = match order.text("method") {
            Some("wanda") => Method::Wanda,
            Some("sparsegpt" | "obs") => Method::Rebuilt,
            Some("taylor") => return Err(order.refuse("MDL0508", "`taylor` is not carried out yet")),
            _ => Method::Magnitude,
        };
        if order.has("per_layer") {
            return Err(order.refuse("MDL0508", "`per_layer` of `prune` is not carried out yet"));
        }
        let block = order.number("block").map(|block| block as usize);
        let pattern = match order.text("pattern") {
            Some("2:4") => Pattern::Groups { kept: 2, of: 4 },
            Some("blocks") => Pattern::Blocks(block.unwrap_or(16).max(1)),
            Some(word @ ("channel" | "head")) => {
                let error = order.refuse("MDL0508", format!("`prune` takes out no whole {word}"));
                return Err(error.help("crop(…) makes dims smaller"));
            }
            _ => block.map_or(Pattern::Free, |block| Pattern::Blocks(block.max(1))),
        };
        let share = match pattern {
            Pattern::Groups { kept, of } => 1.0 - kept as f64 / of as f64,
            _ => order.number("sparsity").ok_or_else(|| {
                order.refuse("MDL0502", "`prune` needs the share that becomes zero").help("write sparsity = 90%")
            })?,
        };
        if share >= 1.0 {
            let error = order.refuse("MDL0501", "no number of these weights would be left");
            return Err(error.help("a sparsity below 100% leaves some"));
        }
        if method != Method::Magnitude && !order.has("calibrate") {
            let error = order.refuse("MDL0502", "this method weighs numbers by what they multiply, and needs samples");
            return Err(error.help("name a data set: calibrate = \"data.npz\", or write method = magnitude"));
        }
        Ok(Wanted { order, method, pattern, share })
    }
}

/// Carries out every `prune` of a profile.
///
/// # Errors
/// What is asked for cannot be had, or the data does not fit.
pub(super) fn carried_out(
    graph: &mut Graph,
    orders: &Orders,
    site: &Site,
    work: &mut Work,
    watch: Watch,
) -> Result<(), TuneError> {
    let Work { without, memory, decisions, changed } = work;
    let wanted: Vec<Wanted> = orders.named("prune").map(Wanted::of).collect::<Result<_, _>>()?;
    let found: Vec<Product> = products(graph).into_iter().filter(|product| !product.is_table()).collect();
    let last = |key: &str| wanted.iter().rposition(|wanted| wanted.order.holds_for(key));
    for (number, wanted) in wanted.iter().enumerate() {
        let own = |product: &&Product| product.members.iter().any(|m| last(&graph.constants[*m].name) == Some(number));
        let (spared, own): (Vec<&Product>, Vec<&Product>) =
            found.iter().filter(own).partition(|product| without.contains(&(product.node, Step::Prune)));
        decisions.extend(spared.into_iter().map(|product| Decision::left(graph, product, SPARED)));
        let seen = match wanted.order.text("calibrate").filter(|_| wanted.method != Method::Magnitude) {
            None => None,
            Some(file) => {
                let samples = wanted.order.number("samples").map_or(SAMPLES, |samples| samples as usize);
                let moments = wanted.method == Method::Rebuilt;
                let key = format!("prune {number}");
                if !memory.seen.contains_key(&key) {
                    let bed = Bed { sources: site.sources, file: site.file, options: site.options };
                    let seen = DataSet::open(&site.path(file))
                        .and_then(|data| calibrated(graph, &own, &data, (samples, ""), moments, &bed, watch));
                    memory.seen.insert(key.clone(), seen.map_err(|error| error.of_file(file).at(wanted.order.loc()))?);
                }
                memory.seen.get(&key)
            }
        };
        let mut made: Vec<(ConstantId, mlc_runtime::tensor::Tensor)> = vec![];
        for product in own {
            let watched = seen.map(|seen| seen.get(&product.data));
            let known = memory.pruned.get(&(number, product.node)).cloned();
            let result = match known {
                Some(weights) => Ok(weights),
                None => pruned(graph, product, wanted, watched, &|key| last(key) == Some(number))?,
            };
            match result {
                Ok(weights) => {
                    memory.pruned.insert((number, product.node), weights.clone());
                    changed.insert((product.node, Step::Prune));
                    let zeros: f64 = weights.iter().map(|(_, weight)| zeros(weight)).sum::<f64>();
                    let share = 100.0 * zeros / weights.len().max(1) as f64;
                    decisions.push(Decision::made(graph, product, format!("{share:.1} % zeros"), told(wanted)));
                    made.extend(weights);
                }
                Err(why) => decisions.push(Decision::left(graph, product, why)),
            }
        }
        replace(graph, made);
    }
    Ok(())
}

fn zeros(weight: &mlc_runtime::tensor::Tensor) -> f64 {
    let zeros = weight.to_f32_vec().iter().filter(|number| **number == 0.0).count();
    zeros as f64 / weight.len().max(1) as f64
}

fn told(wanted: &Wanted) -> String {
    let pattern = match wanted.pattern {
        Pattern::Free => "anywhere".to_owned(),
        Pattern::Groups { kept, of } => format!("{kept} of {of} kept"),
        Pattern::Blocks(rows) => format!("{rows} rows at once"),
    };
    let method = match wanted.method {
        Method::Magnitude => "magnitude",
        Method::Wanda => "wanda",
        Method::Rebuilt => "sparsegpt",
    };
    format!("by {method}, {pattern}")
}

type Made = Vec<(ConstantId, mlc_runtime::tensor::Tensor)>;

/// The members of a product's weight that a directive holds for, pruned; or why they stay.
fn pruned(
    graph: &Graph,
    product: &Product,
    wanted: &Wanted,
    watched: Option<Option<&Vec<Seen>>>,
    holds: &dyn Fn(&str) -> bool,
) -> Result<Result<Made, &'static str>, TuneError> {
    let seen = match watched {
        Some(None) => return Ok(Err("its operand cannot be watched")),
        Some(Some(seen)) => Some(seen),
        None => None,
    };
    let mut made = vec![];
    for (trip, member) in product.members.iter().enumerate() {
        let constant = &graph.constants[*member];
        if !holds(&constant.name) {
            continue;
        }
        if constant.storage != Storage::Plain(DType::F32) {
            return Ok(Err("it is not kept as f32"));
        }
        let seen = seen.and_then(|seen| seen.get(if seen.len() > 1 { trip } else { 0 }));
        let positions = seen.map_or(0, |seen| seen.squares.len());
        let Some(mut rows) = Rows::of(product, &graph.numbers(*member)?, positions) else {
            return Ok(Err("its channels are not one axis"));
        };
        match (wanted.method, seen) {
            (Method::Magnitude, _) => free(&mut rows, wanted, false, &|_, _| 1.0),
            (_, Some(seen)) if seen.squares.is_empty() => return Ok(Err("its operand is summed along several axes")),
            (Method::Wanda, Some(seen)) => {
                let size: Vec<f64> = seen.squares.iter().map(|square| square.sqrt()).collect();
                let partners = rows.clone();
                free(&mut rows, wanted, true, &|row, column| size[partners.partner(row, column)]);
            }
            (Method::Rebuilt, Some(seen)) => match &seen.moments {
                Some(moments) if moments.n == rows.columns => {
                    let mut moments = moments.clone();
                    moments.dampen(DAMPING);
                    let Some(steps) = moments.steps() else { return Ok(Err("its operand has no second moments")) };
                    rebuilt(&mut rows, wanted, &steps.numbers);
                }
                _ => return Ok(Err("only a matrix of at most 4096 columns is rebuilt")),
            },
            (_, None) => return Ok(Err("its operand cannot be watched")),
        }
        match rows.tensor() {
            Some(tensor) => made.push((*member, tensor)),
            None => return Ok(Err("there is no memory for it")),
        }
    }
    Ok(Ok(made))
}

/// Zeros where scores `|number| * weight(row, column)` are least: along each row, or over the whole weight.
fn free(rows: &mut Rows, wanted: &Wanted, by_row: bool, weight: &dyn Fn(usize, usize) -> f64) {
    let (count, columns) = (rows.rows, rows.columns);
    let score = |row: usize, column: usize| rows.numbers[row * columns + column].abs() * weight(row, column);
    let scores: Vec<f64> = (0..count * columns).map(|i| score(i / columns, i % columns)).collect();
    for at in chosen(&scores, count, columns, wanted.pattern, wanted.share, by_row) {
        rows.numbers[at] = 0.0;
    }
}

/// The places of the least scores of a matrix, as the pattern wants them.
fn chosen(scores: &[f64], rows: usize, columns: usize, pattern: Pattern, share: f64, by_row: bool) -> Vec<usize> {
    let least = |mut places: Vec<usize>, scores: &[f64], count: usize| -> Vec<usize> {
        places.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(a.cmp(b)));
        places.truncate(count);
        places
    };
    let part = |count: usize| (count as f64 * share).round() as usize;
    match pattern {
        Pattern::Free if by_row => (0..rows)
            .flat_map(|row| least((row * columns..(row + 1) * columns).collect(), scores, part(columns)))
            .collect(),
        Pattern::Free => least((0..rows * columns).collect(), scores, part(rows * columns)),
        Pattern::Groups { kept, of } => (0..rows)
            .flat_map(|row| (0..columns / of).map(move |group| row * columns + group * of))
            .flat_map(|first| least((first..first + of).collect(), scores, of - kept))
            .collect(),
        Pattern::Blocks(height) => {
            let bands = rows.div_ceil(height);
            let inside = |block: usize| {
                let (band, column) = (block / columns, block % columns);
                (band * height..((band + 1) * height).min(rows)).map(move |row| row * columns + column)
            };
            let sums: Vec<f64> = (0..bands * columns)
                .map(|block| {
                    inside(block).map(|at| scores[at] * scores[at]).sum::<f64>() / inside(block).count() as f64
                })
                .collect();
            least((0..bands * columns).collect(), &sums, part(bands * columns)).into_iter().flat_map(inside).collect()
        }
    }
}

/// Zeros chosen column by column of `U`, each error spread over the columns behind it.
fn rebuilt(rows: &mut Rows, wanted: &Wanted, steps: &[f64]) {
    let (count, columns) = (rows.rows, rows.columns);
    let together = match wanted.pattern {
        Pattern::Groups { of, .. } => TOGETHER / of * of,
        _ => TOGETHER,
    };
    let diagonal = |column: usize| steps[column * columns + column];
    for first in (0..columns).step_by(together) {
        let last = (first + together).min(columns);
        let width = last - first;
        let score = |i: usize| {
            let (row, column) = (i / width, first + i % width);
            (rows.numbers[row * columns + column] / diagonal(column)).abs()
        };
        let scores: Vec<f64> = (0..count * width).map(score).collect();
        let mut gone = vec![false; count * width];
        chosen(&scores, count, width, wanted.pattern, wanted.share, false).into_iter().for_each(|at| gone[at] = true);
        for row in 0..count {
            let numbers = &mut rows.numbers[row * columns..][..columns];
            for column in (first..last).filter(|column| gone[row * width + column - first]) {
                let error = numbers[column] / diagonal(column);
                let step = &steps[column * columns..][..columns];
                for behind in column..columns {
                    numbers[behind] -= error * step[behind];
                }
                numbers[column] = 0.0;
            }
            for column in (first..last).filter(|column| gone[row * width + column - first]) {
                numbers[column] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, chosen};

    #[test]
    fn patterns_choose_as_many_as_they_should() {
        let scores: Vec<f64> = (0..32 * 16).map(|i| ((i * 37) % 101) as f64).collect();
        let count = |pattern, share, by_row| chosen(&scores, 32, 16, pattern, share, by_row).len();
        assert_eq!(count(Pattern::Free, 0.75, true), 384);
        assert_eq!(count(Pattern::Free, 0.75, false), 384);
        assert_eq!(count(Pattern::Groups { kept: 2, of: 4 }, 0.5, false), 256);
        assert_eq!(count(Pattern::Blocks(16), 0.75, false), 384);
        let gone = chosen(&scores, 32, 16, Pattern::Free, 0.5, false);
        let greatest = gone.iter().map(|at| scores[*at]).fold(0.0, f64::max);
        let kept = (0..scores.len()).filter(|at| !gone.contains(at)).map(|at| scores[at]).fold(f64::MAX, f64::min);
        assert!(greatest <= kept);
        let first = chosen(&scores, 32, 16, Pattern::Blocks(16), 0.5, false);
        assert!(first.iter().all(|at| first.contains(&(at ^ 16))), "rows 0 and 1 of a block go together");
    }
}
