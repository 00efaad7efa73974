//! What the operands of products are on real inputs: their range, and for each summed position mean and size.
//! Invariant: runs the model as it stands, in batches of its own, twice over the same samples: for the ends, and for how the
//! numbers lie between them.

use super::data::DataSet;
use super::error::TuneError;
use super::matrix::Symmetric;
use super::measure::Watch;
use super::ranges::Histogram;
use super::taps::tapped;
use crate::diag::SourceMap;
use crate::graph::{Graph, ValueId};
use crate::passes::Product;
use crate::runner::{Interface, of_graph};
use crate::{Pipeline, artifact_by};
use mlc_runtime::session::{Model, Options, Session};
use mlc_runtime::tensor::Tensor;
use std::collections::BTreeMap;

/// Samples of a call: taps keep what all trips of a loop compute.
const BATCH: usize = 16;

/// What was seen of an operand, in one trip.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// How the numbers lie.
    pub(super) histogram: Histogram,
    /// By position of the summed axis: the mean.
    pub(super) means: Vec<f64>,
    /// By position of the summed axis: the mean square.
    pub(super) squares: Vec<f64>,
    /// Sums of products of positions of the last axis, where they were asked for and that is the summed one.
    pub(super) moments: Option<Symmetric>,
}

/// What was seen, by operand and trip.
pub(super) type Statistics = BTreeMap<ValueId, Vec<Seen>>;

/// What it takes to run a graph.
pub(super) struct Bed<'b> {
    pub(super) sources: &'b SourceMap,
    pub(super) file: u32,
    pub(super) options: Options,
}

impl Bed<'_> {
    /// A session on a graph.
    pub(super) fn session(&self, graph: &Graph) -> Result<Session, TuneError> {
        let artifact = artifact_by(&Pipeline::default(), graph, self.sources, self.file)?;
        Ok(Model::load(artifact, self.options)?.session())
    }
}

/// Second moments are kept of at most so many positions.
const WIDEST: usize = 4096;

/// Runs the first entry on samples, and watches the operands of its products; `moments` for sums of products, too.
///
/// # Errors
/// The data does not fit, or holds what is no number.
pub(super) fn calibrated(
    graph: &Graph,
    products: &[&Product],
    data: &DataSet,
    (samples, suffix): (usize, &str),
    moments: bool,
    bed: &Bed,
    watch: Watch,
) -> Result<Statistics, TuneError> {
    let interface = of_graph(graph, None).ok_or_else(|| TuneError::data("the model has no entry to calibrate"))?;
    let mut inner: BTreeMap<ValueId, Option<usize>> = BTreeMap::new();
    for product in products.iter().filter(|product| product.entry == 0) {
        inner.entry(product.data).or_insert(product.inner);
    }
    let values: Vec<ValueId> = inner.keys().copied().collect();
    let (tapped, taps) = tapped(graph, 0, &values);
    let mut session = bed.session(&tapped)?;
    let batches = data.batches(&interface, suffix)?.at_most(samples, BATCH);
    data.require_finite(&interface, suffix, batches.samples)?;
    let total = 2 * batches.samples;
    let mut ends: BTreeMap<ValueId, Vec<Ends>> = BTreeMap::new();
    for range in batches.ranges() {
        let done = range.end;
        call(&mut session, &interface, data, suffix, range)?;
        for tap in &taps {
            let held = held(&session, &tap.state)?;
            let trips = held.shape()[0];
            let ends = ends.entry(tap.value).or_insert_with(|| vec![Ends::default(); trips]);
            each_trip(held, |trip, numbers, shape| ends[trip].add(numbers, shape, inner[&tap.value], moments));
        }
        watch(done, total);
    }
    let mut seen: Statistics = ends.into_iter().map(|(value, ends)| (value, seen_of(ends))).collect();
    for range in batches.ranges() {
        let done = range.end;
        call(&mut session, &interface, data, suffix, range)?;
        for tap in &taps {
            let seen = seen.get_mut(&tap.value).expect("every tap was read before");
            each_trip(held(&session, &tap.state)?, |trip, numbers, _| {
                numbers.iter().for_each(|number| seen[trip].histogram.count(f64::from(*number)));
            });
        }
        watch(batches.samples + done, total);
    }
    Ok(seen)
}

fn call(
    session: &mut Session,
    interface: &Interface,
    data: &DataSet,
    suffix: &str,
    range: std::ops::Range<usize>,
) -> Result<(), TuneError> {
    let inputs = data.inputs(interface, suffix, range)?;
    let tensors: Vec<(&str, &Tensor)> = inputs.tensors.iter().map(|(name, x)| (name.as_str(), x)).collect();
    let sizes: Vec<(&str, i64)> = inputs.sizes.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    session.reset();
    session.run(Some(&interface.entry), &tensors, &sizes)?;
    Ok(())
}

fn held<'s>(session: &'s Session, state: &str) -> Result<&'s Tensor, TuneError> {
    session.state(state).ok_or_else(|| TuneError::data(format!("nothing was written to `{state}`")))
}

/// The numbers of each trip, and the shape that they have.
fn each_trip(held: &Tensor, mut body: impl FnMut(usize, &[f32], &[usize])) {
    let (numbers, shape) = (held.to_f32_vec(), &held.shape()[1..]);
    let each: usize = shape.iter().product();
    for trip in 0..held.shape()[0] {
        body(trip, &numbers[trip * each..][..each], shape);
    }
}

/// The ends of what was seen, and sums over everything but the summed axis.
#[derive(Clone, Debug, Default)]
struct Ends {
    low: f64,
    high: f64,
    rows: f64,
    sums: Vec<f64>,
    squares: Vec<f64>,
    moments: Option<Symmetric>,
}

impl Ends {
    fn add(&mut self, numbers: &[f32], shape: &[usize], inner: Option<usize>, moments: bool) {
        for number in numbers {
            self.low = self.low.min(f64::from(*number));
            self.high = self.high.max(f64::from(*number));
        }
        let Some(axis) = inner else { return };
        let (extent, step): (usize, usize) = (shape[axis], shape[axis + 1..].iter().product());
        if moments && axis + 1 == shape.len() && extent <= WIDEST {
            let moments = self.moments.get_or_insert_with(|| Symmetric::zeros(extent));
            numbers.chunks(extent).for_each(|row| moments.add_square(row));
        }
        self.sums.resize(extent, 0.0);
        self.squares.resize(extent, 0.0);
        self.rows += (numbers.len() / extent.max(1)) as f64;
        for (i, run) in numbers.chunks(step.max(1)).enumerate() {
            let sum: f64 = run.iter().map(|number| f64::from(*number)).sum();
            let squares: f64 = run.iter().map(|number| f64::from(*number) * f64::from(*number)).sum();
            self.sums[i % extent] += sum;
            self.squares[i % extent] += squares;
        }
    }
}

fn seen_of(ends: Vec<Ends>) -> Vec<Seen> {
    let mean = |sums: Vec<f64>, rows: f64| sums.into_iter().map(|sum| sum / rows.max(1.0)).collect();
    let seen = |ends: Ends| Seen {
        histogram: Histogram::new(ends.low, ends.high),
        means: mean(ends.sums, ends.rows),
        squares: mean(ends.squares, ends.rows),
        moments: ends.moments,
    };
    ends.into_iter().map(seen).collect()
}
