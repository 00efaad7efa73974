//! `budget(…)` of a profile: the drop that is allowed, held to the model on data, or refused with what would help.
//! Invariant: what is promised was measured, on the graph that is handed out; how often is logarithmic in the weights.

use super::calibrate::{Bed, calibrated};
use super::compress::{Attempt, Compressed, Memory, Site, Step, Steps, attempt};
use super::data::DataSet;
use super::error::TuneError;
use super::measure::{Watch, measured};
use super::metric::{Metric, Tally};
use super::orders::{Order, Orders};
use super::paired::{Drop, Verdict};
use super::sensitivity::{Damage, damages};
use crate::frontend::Argument;
use crate::graph::Graph;
use crate::passes::products;
use crate::runner::{Runner, of_graph};
use crate::{Pipeline, artifact_by};
use mlc_runtime::session::{Model, human};
use serde_json::{Value, json};

/// Samples that tell how much each weight matters.
const SAMPLES: usize = 256;

/// The words of a `budget`.
struct Limits<'o> {
    order: Order<'o>,
    metric: Metric,
    file: &'o str,
    drop: f64,
    relative: bool,
    confidence: f64,
    size: Option<u64>,
}

impl<'o> Limits<'o> {
    fn of(order: Order<'o>) -> Result<Self, TuneError> {
        let needs = |what: &str, how: &str| order.refuse("MDL0502", format!("`budget` needs {what}")).help(how);
        if let Some(word) = ["latency", "memory"].into_iter().find(|word| order.has(word)) {
            return Err(order.refuse("MDL0508", format!("`{word}` of `budget` is not held to yet")));
        }
        let metric = order.text("metric").and_then(Metric::named);
        Ok(Limits {
            order,
            metric: metric.ok_or_else(|| needs("what is measured", "write metric = \"top1\""))?,
            file: order.text("data").ok_or_else(|| needs("data to measure on", "write data = \"test.npz\""))?,
            drop: order.number("max_drop").ok_or_else(|| needs("the drop that is allowed", "write max_drop = 0.5%"))?,
            relative: order.flag("relative").unwrap_or(false),
            confidence: order.number("confidence").unwrap_or(0.95).clamp(0.5, 0.9999),
            size: order.bytes("size"),
        })
    }

    fn show(&self, drop: f64) -> String {
        match self.metric.is_share() || self.relative {
            true => format!("{:.2} %", drop * 100.0),
            false => format!("{drop:.4}"),
        }
    }
}

impl Order<'_> {
    fn bytes(self, word: &str) -> Option<u64> {
        match self.argument(word)? {
            Argument::Bytes(bytes) => Some(*bytes as u64),
            _ => None,
        }
    }
}

/// A model that was measured.
struct Measured {
    attempt: Attempt,
    tally: Tally,
    drop: Drop,
    bytes: u64,
}

struct Bench<'b> {
    limits: Limits<'b>,
    prepared: &'b Graph,
    orders: &'b Orders,
    site: &'b Site<'b>,
    data: DataSet,
    memory: Memory,
    /// How often a model was measured.
    rounds: usize,
    /// Bytes of the constants as they were.
    bytes: u64,
    /// Each model that was measured, for the report.
    attempts: Vec<Value>,
    /// The noise of each step, where it was asked for.
    steps: Vec<Value>,
}

/// Carries the profile out within its budget.
///
/// # Errors
/// MDL0503 where the budget is missed, MDL0504 where the data cannot tell, and what carrying out refuses.
pub(super) fn held(
    prepared: &Graph,
    orders: &Orders,
    order: Order,
    site: &Site,
    watch: Watch,
) -> Result<Compressed, TuneError> {
    let limits = Limits::of(order)?;
    let data = DataSet::open(&site.path(limits.file)).map_err(|error| error.of_file(limits.file).at(order.loc()))?;
    let mut bench = Bench {
        limits,
        prepared,
        orders,
        site,
        data,
        memory: Memory::default(),
        rounds: 0,
        bytes: 0,
        attempts: vec![],
        steps: vec![],
    };
    let (before, bytes) = bench.measure(prepared, watch)?;
    bench.bytes = bytes;
    let whole = bench.round(&before, &Steps::new(), watch)?;
    let verdict = bench.verdict(&whole);
    if verdict == Verdict::Met {
        return bench.certified(&before, whole, false);
    }
    if let (Verdict::Undecided(_), true) = (verdict, site.accept_undecided) {
        return bench.certified(&before, whole, true);
    }
    let ranked = bench.ranked(&whole, watch)?;
    let found = bench.bisected(&before, &ranked, watch)?;
    match (verdict, found) {
        (_, Some((mix, _))) if site.search => bench.certified(&before, mix, false),
        (Verdict::Undecided(wanted), _) => Err(bench.undecided(&whole, wanted)),
        (_, found) => Err(bench.missed(&whole, &ranked, found)),
    }
}

impl Bench<'_> {
    /// A graph on the data, and the bytes of its constants.
    fn measure(&mut self, graph: &Graph, watch: Watch) -> Result<(Tally, u64), TuneError> {
        let interface = of_graph(graph, None).ok_or_else(|| TuneError::data("the model has no entry to measure"))?;
        let runner = |graph: &Graph| -> Result<(Runner, u64), TuneError> {
            let artifact = artifact_by(&Pipeline::default(), graph, self.site.sources, self.site.file)?;
            let bytes = artifact.constants().iter().map(|constant| constant.bytes().len() as u64).sum();
            Ok((Runner::cpu(Model::load(artifact, self.site.options)?), bytes))
        };
        let (mut own, bytes) = runner(graph)?;
        let mut other = match self.limits.metric {
            Metric::Agreement => Some(runner(self.prepared)?.0),
            _ => None,
        };
        self.rounds += 1;
        let tally = measured(&mut own, &interface, &self.data, self.limits.metric, other.as_mut(), watch);
        Ok((tally.map_err(|error| error.of_file(self.limits.file).at(self.limits.order.loc()))?, bytes))
    }

    /// The profile carried out but for some products, and measured.
    fn round(&mut self, before: &Tally, without: &Steps, watch: Watch) -> Result<Measured, TuneError> {
        let attempt = attempt(self.prepared, self.orders, self.site, without, &mut self.memory, watch)?;
        let (tally, bytes) = self.measure(&attempt.graph, watch)?;
        let drop = Drop::between(before, &tally, self.limits.relative, self.limits.confidence);
        let made = Measured { attempt, tally, drop, bytes };
        let met = self.verdict(&made) == Verdict::Met;
        self.attempts.push(json!({"bytes": bytes, "value": made.tally.value(), "drop": drop.measured,
            "upper": finite(drop.upper), "left": without.len(), "met": met}));
        Ok(made)
    }

    fn verdict(&self, made: &Measured) -> Verdict {
        match self.limits.size {
            Some(size) if made.bytes > size => Verdict::Missed,
            _ => made.drop.verdict(self.limits.drop),
        }
    }

    /// The products that were changed, those first that give most for what they cost.
    fn ranked(&mut self, whole: &Measured, watch: Watch) -> Result<Vec<Damage>, TuneError> {
        let found = products(self.prepared);
        let all: Vec<_> = found.iter().filter(|product| !product.is_table()).collect();
        let bed = Bed { sources: self.site.sources, file: self.site.file, options: self.site.options };
        let suffix = if self.limits.metric == Metric::Spearman { ".a" } else { "" };
        let seen = calibrated(self.prepared, &all, &self.data, (SAMPLES, suffix), false, &bed, watch)?;
        let mut damages = damages(self.prepared, &whole.attempt, &found, &seen)?;
        self.steps = damages.iter().map(Damage::json).collect();
        damages.sort_by(|a, b| b.worth().total_cmp(&a.worth()).then(a.step.cmp(&b.step)));
        Ok(damages)
    }

    /// The most of the ranked products that meet the budget together, and those that were left out; found by halving.
    fn bisected(
        &mut self,
        before: &Tally,
        ranked: &[Damage],
        watch: Watch,
    ) -> Result<Option<(Measured, Vec<Damage>)>, TuneError> {
        let (mut good, mut bad) = (0, ranked.len());
        let mut best = None;
        while bad - good > 1 {
            let count = good + (bad - good) / 2;
            let without: Steps = ranked[count..].iter().map(|damage| damage.step).collect();
            let made = self.round(before, &without, watch)?;
            match self.verdict(&made) {
                Verdict::Met => {
                    let left = ranked[count..].to_vec();
                    (good, best) = (count, Some((made, left)));
                }
                _ => bad = count,
            }
        }
        Ok(best)
    }

    fn missed(&self, whole: &Measured, ranked: &[Damage], found: Option<(Measured, Vec<Damage>)>) -> TuneError {
        let (limits, profile) = (&self.limits, &self.orders.profile);
        if let Some(size) = limits.size.filter(|size| whole.bytes > *size) {
            let (bytes, size) = (human(whole.bytes), human(size));
            let message = format!("profile `{profile}` missed its budget: constants take {bytes}, allowed {size}");
            return limits.order.refuse("MDL0503", message);
        }
        let (drop, upper, allowed) =
            (limits.show(whole.drop.measured), limits.show(whole.drop.upper), limits.show(limits.drop));
        let metric = limits.metric.word();
        let message = format!(
            "profile `{profile}` missed its budget: {metric} dropped {drop} (at most {upper}), allowed {allowed}"
        );
        let mut by_damage: Vec<&Damage> = ranked.iter().collect();
        by_damage.sort_by(|a, b| b.noise.total_cmp(&a.noise));
        let largest: Vec<String> = by_damage
            .iter()
            .take(3)
            .map(|damage| format!("`{}` at {:.1} dB", damage.weight, damage.decibels()))
            .collect();
        let error = limits.order.refuse("MDL0503", message);
        let error = error.help(format!("the loudest changes are those of {}", largest.join(", ")));
        let error = match found {
            Some((made, left)) => {
                let (drop, more) = (limits.show(made.drop.measured), made.bytes.saturating_sub(whole.bytes));
                let meets = format!("meets it at {drop} and takes {} more", human(more));
                let skips = [("prune", Step::Prune), ("quantize", Step::Quantize)].map(|(word, step)| {
                    let own = left.iter().filter(|damage| damage.step.1 == step);
                    let names: Vec<String> = own.map(|damage| format!("\"{}\"", damage.weight)).collect();
                    if names.is_empty() { String::new() } else { format!("{word}(skip = [{}]) ", names.join(", ")) }
                });
                error.help(format!("{}{meets}; --search does that by itself", skips.concat()))
            }
            None => error.help("no part of the profile meets it"),
        };
        match limits.metric.is_share() && whole.drop.upper > 0.5 {
            true => error,
            false => error
                .help(format!("max_drop = {} would allow it", limits.show(whole.drop.upper * 1.05).replace(' ', ""))),
        }
    }

    fn undecided(&self, whole: &Measured, wanted: usize) -> TuneError {
        let (limits, Drop { measured, upper, samples }) = (&self.limits, whole.drop);
        let (drop, upper, allowed) = (limits.show(measured), limits.show(upper), limits.show(limits.drop));
        let message = format!("the budget of profile `{}` cannot be decided with this data", self.orders.profile);
        let error = limits.order.refuse("MDL0504", message);
        error
            .help(format!("{samples} samples say {drop}, at most {upper}, and {allowed} is allowed"))
            .help(format!("about {wanted} samples would decide it"))
            .help("--accept-undecided builds it all the same, and writes that into the certificate")
    }

    /// The model with what was measured of it.
    fn certified(self, before: &Tally, made: Measured, undecided: bool) -> Result<Compressed, TuneError> {
        let limits = &self.limits;
        let certificate = json!({
            "profile": self.orders.profile, "metric": limits.metric.word(), "samples": made.drop.samples,
            "data": limits.file, "data_hash": self.data.hash()?,
            "before": before.value(), "value": made.tally.value(),
            "drop": made.drop.measured, "upper": finite(made.drop.upper), "confidence": limits.confidence,
            "max_drop": limits.drop, "relative": limits.relative, "undecided": undecided,
            "evaluations": self.rounds, "bytes": made.bytes, "mlc": env!("CARGO_PKG_VERSION"),
            "decisions": made.attempt.decisions.iter().map(|decision| decision.json()).collect::<Vec<_>>(),
        });
        let (attempts, steps, before_bytes) = (self.attempts, self.steps, self.bytes);
        let measured = json!({"attempts": attempts, "steps": steps, "before_bytes": before_bytes});
        let Attempt { graph, decisions, .. } = made.attempt;
        Ok(Compressed { graph, decisions, certificate: Some(certificate), measured })
    }
}

fn finite(number: f64) -> Value {
    if number.is_finite() { json!(number) } else { Value::Null }
}
