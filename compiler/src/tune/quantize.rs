//! `quantize(…)` of a profile: which products take which form, with scales from calibration.
//! Invariant: decides and hands over; the passes `quantize` and `store` change the graph.

use super::calibrate::{Bed, Seen, Statistics, calibrated};
use super::compress::{Decision, Memory, SPARED, Site, Step, Work};
use super::data::DataSet;
use super::error::TuneError;
use super::matrix::Rows;
use super::measure::Watch;
use super::orders::{Order, Orders};
use super::ranges::Calibrator;
use crate::graph::{ConstantId, Graph};
use crate::passes::quantize::{Activations, Recipe, Recipes, per_channel, quantize};
use crate::passes::store::{can_keep, store};
use crate::passes::{Product, products};
use mlc_codegen::base::{DType, Packing, Scalar, Storage};
use mlc_runtime::tensor::Tensor;
use std::collections::BTreeMap;

/// Samples that calibrate where no number is given.
const SAMPLES: usize = 256;
/// The share of numbers within a range that percentiles choose.
const SHARE: f64 = 0.9999;

/// What weights become.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// Kept so, and read as f32.
    Kept(Storage),
    /// Codes of i8 by channel.
    Codes,
}

/// What the other operands become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Float,
    Rows,
    Fixed,
}

/// A directive in plain words.
struct Wanted<'o> {
    order: Order<'o>,
    form: Form,
    others: Others,
    calibrator: Option<Calibrator>,
    share: f64,
    symmetric: bool,
    correct: bool,
    samples: usize,
}

/// Carries out every `quantize` of a profile.
///
/// # Errors
/// What is asked for cannot be had, or the data does not fit.
pub(super) fn carried_out(
    graph: &mut Graph,
    orders: &Orders,
    site: &Site,
    work: &mut Work,
    watch: Watch,
) -> Result<(Graph, Recipes), TuneError> {
    let Work { without, memory, decisions, changed } = work;
    let wanted: Vec<Wanted> = orders.named("quantize").map(Wanted::of).collect::<Result<_, _>>()?;
    let found = products(graph);
    wanted.iter().try_for_each(|wanted| wanted.selects_products(graph, &found))?;
    let chosen: Vec<(&Product, &Wanted)> = found
        .iter()
        .filter_map(|product| {
            let choice = choice(graph, product, &wanted, decisions)?;
            if without.contains(&(product.node, Step::Quantize)) {
                decisions.push(Decision::left(graph, product, SPARED));
                return None;
            }
            Some((product, &wanted[choice]))
        })
        .collect();
    let statistics = statistics(graph, &chosen, site, memory, watch)?;
    let (mut recipes, mut kept): (Recipes, Vec<(ConstantId, Storage)>) = (Recipes::new(), vec![]);
    for (product, wanted) in &chosen {
        match wanted.form {
            Form::Kept(storage) => keep(graph, product, storage, &mut kept, decisions),
            Form::Codes => {
                let recipe = recipe(graph, product, wanted, &statistics, decisions)?;
                recipes.extend(recipe.map(|recipe| (product.node, recipe)));
            }
        }
    }
    kept.sort_by_key(|(constant, _)| *constant);
    kept.dedup_by_key(|(constant, _)| *constant);
    store(graph, &kept);
    let is_kept = |product: &&Product| kept.iter().any(|(constant, _)| *constant == product.members[0]);
    let stored = found.iter().filter(is_kept).map(|product| product.node);
    changed.extend(stored.chain(recipes.keys().copied()).map(|node| (node, Step::Quantize)));
    let held = graph.clone();
    quantize(graph, &recipes);
    Ok((held, recipes))
}

impl<'o> Wanted<'o> {
    fn of(order: Order<'o>) -> Result<Self, TuneError> {
        let word = order.text("").or(order.text("weights")).unwrap_or("i8");
        let form = match word {
            "f16" => Form::Kept(Storage::Plain(DType::F16)),
            "bf16" => Form::Kept(Storage::Plain(DType::BF16)),
            "q8_0" => Form::Kept(Storage::Packed(Packing::Q8_0)),
            "q4_0" => Form::Kept(Storage::Packed(Packing::Q4_0)),
            "q4_1" => Form::Kept(Storage::Packed(Packing::Q4_1)),
            "i4" if order.flag("symmetric") == Some(false) => Form::Kept(Storage::Packed(Packing::Q4_1)),
            "i4" => Form::Kept(Storage::Packed(Packing::Q4_0)),
            "i8" if order.text("activations") == Some("none") && order.has("group") => {
                Form::Kept(Storage::Packed(Packing::Q8_0))
            }
            "i8" => Form::Codes,
            other => return Err(order.refuse("MDL0508", format!("weights are not packed as {other} yet"))),
        };
        if order.number("group").is_some_and(|group| group != 32.0) {
            return Err(order.refuse("MDL0508", "weights are packed in groups of 32 only"));
        }
        if let Some(word) = ["equalize", "state"].into_iter().find(|word| order.has(word)) {
            return Err(order.refuse("MDL0508", format!("`{word}` of `quantize` is not carried out yet")));
        }
        let per = match form {
            Form::Codes => "channel",
            Form::Kept(Storage::Packed(_)) => "group",
            Form::Kept(_) => "",
        };
        if let Some(word) = order.text("per").filter(|word| *word != per) {
            return Err(order.refuse("MDL0508", format!("these weights have no scale for each {word}")));
        }
        let calibrator = match order.text("method") {
            None | Some("rtn") => None,
            Some("minmax") => Some(Calibrator::MinMax),
            Some("percentile") => Some(Calibrator::Percentile),
            Some("mse") => Some(Calibrator::Mse),
            Some(other) => return Err(order.refuse("MDL0508", format!("`{other}` is not carried out yet"))),
        };
        let given = order.has("calibrate");
        let others = match (form, order.text("activations")) {
            (Form::Kept(_), None | Some("none")) | (Form::Codes, Some("none")) => Others::Float,
            (Form::Kept(_), Some(_)) => {
                let message = format!("weights kept as {word} are multiplied as floats, so activations stay f32");
                return Err(order.refuse("MDL0501", message).help("leave out `activations`, or write `weights = i8`"));
            }
            (Form::Codes, Some("dynamic")) => Others::Rows,
            (Form::Codes, Some("static")) => Others::Fixed,
            (Form::Codes, _) if given => Others::Fixed,
            (Form::Codes, _) => Others::Rows,
        };
        if others == Others::Fixed && !given {
            let error = order.refuse("MDL0502", "static scales of activations need samples to be found on");
            return Err(error.help("name a data set: calibrate = \"data.npz\", or write activations = dynamic"));
        }
        Ok(Wanted {
            order,
            form,
            others,
            calibrator,
            share: order.number("percentile").map_or(SHARE, |share| if share > 1.0 { share / 100.0 } else { share }),
            symmetric: order.flag("symmetric").unwrap_or(false),
            correct: order.flag("bias_correction").unwrap_or(others == Others::Fixed),
            samples: order.number("samples").map_or(SAMPLES, |samples| samples as usize),
        })
    }

    /// Refuses a pattern that selects weights of which none is multiplied or gathered from.
    fn selects_products(&self, graph: &Graph, products: &[Product]) -> Result<(), TuneError> {
        for pattern in self.order.patterns("select").unwrap_or_default() {
            let selected = |key: &str| crate::frontend::selects(pattern, key);
            let members = products.iter().flat_map(|product| &product.members);
            if !members.clone().any(|member| selected(&graph.constants[*member].name)) {
                let names: Vec<&str> = graph.constants.values().map(|constant| constant.name.as_str()).collect();
                let example = names.iter().find(|name| selected(name)).copied().unwrap_or(pattern);
                let message = format!("nothing that `{pattern}` selects has a quantised form");
                let error = self.order.refuse("MDL0501", message);
                return Err(error.help(format!(
                    "weights of matmul, einsum, conv1d, conv2d and gather are quantised; `{example}` is none of these"
                )));
            }
        }
        Ok(())
    }
}

/// The last directive that holds for a product's weight; the members of a family take one form.
fn choice(graph: &Graph, product: &Product, wanted: &[Wanted], decisions: &mut Vec<Decision>) -> Option<usize> {
    let last = |member: &ConstantId| {
        let key = &graph.constants[*member].name;
        wanted.iter().rposition(|wanted| wanted.order.holds_for(key))
    };
    let choices: Vec<Option<usize>> = product.members.iter().map(last).collect();
    if choices.iter().all(|choice| *choice == choices[0]) {
        return choices[0];
    }
    let why = "the profile wants its layers in several forms, and a `repeat` has one";
    decisions.push(Decision::left(graph, product, why));
    None
}

/// Runs the model where some product needs scales found before.
fn statistics(
    graph: &Graph,
    chosen: &[(&Product, &Wanted)],
    site: &Site,
    memory: &mut Memory,
    watch: Watch,
) -> Result<Statistics, TuneError> {
    let fixed = chosen.iter().filter(|(product, wanted)| wanted.others == Others::Fixed && !product.is_table());
    let mut by_file: BTreeMap<&str, (usize, Order, Vec<&Product>)> = BTreeMap::new();
    for (product, wanted) in fixed {
        let file = wanted.order.text("calibrate").expect("static activations were refused without it");
        let row = by_file.entry(file).or_insert((0, wanted.order, vec![]));
        row.0 = row.0.max(wanted.samples);
        row.2.push(product);
    }
    let mut all = Statistics::new();
    for (file, (samples, order, products)) in by_file {
        let key = format!("quantize {file}");
        if !memory.seen.contains_key(&key) {
            let found = DataSet::open(&site.path(file)).and_then(|data| {
                let bed = Bed { sources: site.sources, file: site.file, options: site.options };
                calibrated(graph, &products, &data, (samples, ""), false, &bed, watch)
            });
            memory.seen.insert(key.clone(), found.map_err(|error| error.of_file(file).at(order.loc()))?);
        }
        let seen = &memory.seen[&key];
        all.extend(seen.iter().map(|(value, seen)| (*value, seen.clone())));
    }
    Ok(all)
}

/// Weights in another storage.
fn keep(
    graph: &Graph,
    product: &Product,
    storage: Storage,
    kept: &mut Vec<(ConstantId, Storage)>,
    decisions: &mut Vec<Decision>,
) {
    if product.members.iter().all(|member| can_keep(graph, *member, storage)) {
        kept.extend(product.members.iter().map(|member| (*member, storage)));
        decisions.push(Decision::made(graph, product, storage.to_string(), String::new()));
    } else {
        let why = match storage {
            Storage::Packed(_) => "its rows are not whole groups of 32, or it is kept in groups already",
            _ => "it is not kept as f32",
        };
        decisions.push(Decision::left(graph, product, why));
    }
}

/// What becomes of a product; `None` where it stays, which is said.
fn recipe(
    graph: &Graph,
    product: &Product,
    wanted: &Wanted,
    statistics: &Statistics,
    decisions: &mut Vec<Decision>,
) -> Result<Option<Recipe>, TuneError> {
    const BITS: u32 = 7;
    let mut left = |why: &str| {
        decisions.push(Decision::left(graph, product, why));
        Ok(None)
    };
    if graph.constants[product.members[0]].ty.dtype != DType::F32 {
        return left("it is not f32");
    }
    if product.is_table() {
        decisions.push(Decision::made(graph, product, "i8 by row".into(), String::new()));
        return Ok(Some(Recipe { bits: BITS, activations: Activations::Float, correction: None }));
    }
    let (activations, told) = match wanted.others {
        Others::Float => (Activations::Float, "activations f32".to_owned()),
        Others::Rows if product.rows => (Activations::Rows, "activations i8 by row".to_owned()),
        Others::Rows => return left("only rows times a matrix have a scale for each row: calibrate it"),
        Others::Fixed => {
            let seen = match statistics.get(&product.data) {
                Some(seen) => seen,
                None => {
                    return left(
                        "its operand cannot be watched: it is in a branch, in nested loops, or of another entry",
                    );
                }
            };
            let ranges = seen.iter().map(|seen| seen.histogram.best(wanted.calibrator, wanted.share, wanted.symmetric));
            let ranges: Vec<_> = ranges.collect();
            let first = ranges[0];
            let clipped = ranges.iter().map(|range| range.clipped).fold(0.0, f64::max);
            let told = format!(
                "activations {} by {}, step {:.3e}, zero {}, {:.3} % clipped",
                first.scale.dtype,
                first.by.word(),
                first.scale.step,
                first.scale.zero,
                clipped * 100.0
            );
            (Activations::Fixed(ranges.iter().map(|range| range.scale).collect()), told)
        }
    };
    let correction = match (wanted.correct, statistics.get(&product.data)) {
        (true, Some(seen)) => correction(graph, product, seen, BITS)?,
        _ => None,
    };
    decisions.push(Decision::made(graph, product, "i8 by channel".into(), told));
    Ok(Some(Recipe { bits: BITS, activations, correction }))
}

/// What rounding the weights takes from each channel of the result on average (M. Nagel et al., 2019).
fn correction(graph: &Graph, product: &Product, seen: &[Seen], bits: u32) -> Result<Option<Vec<Vec<f64>>>, TuneError> {
    let Some((axis, _)) = product.channels.filter(|_| product.inner.is_some()) else { return Ok(None) };
    let mut all = vec![];
    for (trip, member) in product.members.iter().enumerate() {
        let weight = graph.numbers(*member)?;
        let means = match seen {
            [one] => &one.means,
            _ if seen.len() == product.members.len() => &seen[trip].means,
            _ => return Ok(None),
        };
        let Some(rounded) = per_channel(&weight, Some(axis), bits) else { return Ok(None) };
        let lost = Tensor::from_fn(DType::F32, weight.shape(), |i| {
            Scalar::F64(weight.get_f64(i) - rounded.number(Some(axis), i))
        })?;
        let Some(lost) = Rows::of(product, &lost, means.len()) else { return Ok(None) };
        let of_row = |row: usize| {
            let numbers = &lost.numbers[row * lost.columns..][..lost.columns];
            numbers.iter().enumerate().map(|(column, lost_there)| lost_there * means[lost.partner(row, column)]).sum()
        };
        all.push((0..lost.rows).map(of_row).collect());
    }
    Ok(Some(all))
}
