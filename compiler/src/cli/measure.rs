//! Calls that are measured: what `mlc bench` and `mlc profile` have in common.
//!
//! Invariant: calls reuse one session and its outputs, inputs that nobody gives are drawn, and limits are measured in the
//! same run as what is held to them.

use super::failure::Failure;
use super::flags::{CacheArgs, CpuArgs, OpenArgs};
use super::inputs::{self, Draw, Given};
use super::load;
use super::output::MessageFormat;
use super::source::ModelArgs;
use crate::runner::{Inputs, Runner};
use anyhow::{Result, ensure};
use mlc_codegen::base::SlotDef;
use mlc_codegen::kernel::Work;
use mlc_runtime::session::{Held, KernelTime, Machine, Model, Options, Profile, Session, list};
use mlc_runtime::tensor::Tensor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is called, and how.
#[derive(Debug, clap::Args)]
pub(super) struct CallArgs {
    /// A `.mdl` or `.mlc` file.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Threads, one measurement for each number; 0 means one for each core.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "0")]
    pub(super) threads: Vec<usize>,
    /// An input, as `mlc run` takes it; those left out are drawn.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = inputs::given)]
    inputs: Vec<Given>,
    /// A dim or size of the calls; those left out take their least value. May be repeated.
    #[arg(long, value_name = "DIM=VALUE", value_parser = super::source::dim)]
    at: Vec<(String, i64)>,
    /// How many calls are measured, instead of as many as fit the time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: Option<u32>,
    /// Which entry of a model with several.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    pub(super) cpu: CpuArgs,
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// A model that was loaded, and how long that took.
pub(super) struct Loaded {
    pub(super) model: Model,
    /// Opening a `.mlc`, or checking and building a `.mdl`.
    pub(super) load: Duration,
    /// Making machine code, or finding it in a cache.
    pub(super) jit: Duration,
}

/// The same call, again and again.
pub(super) struct Calls {
    session: Session,
    /// The entry's name.
    pub(super) entry: String,
    given: Inputs,
    outputs: Vec<Tensor>,
    /// How long the first call took.
    pub(super) first: Duration,
}

/// A kernel in one call of the entry.
pub(super) struct Row {
    /// Its number in the plan.
    pub(super) kernel: usize,
    /// How often it ran.
    pub(super) calls: u64,
    /// How long all of that took.
    pub(super) seconds: f64,
    /// The work of all of that.
    pub(super) work: Work,
    /// How long it takes at least on this machine.
    pub(super) limit: f64,
}

impl CallArgs {
    /// The model for so many threads; `None` when it was found wanting, which has been said.
    pub(super) fn load(&self, threads: usize, format: MessageFormat) -> Result<Option<Loaded>> {
        let cache = self.cache.open()?;
        let begun = Instant::now();
        let Some(artifact) = load::artifact(&self.file, &self.model, self.open, format)? else { return Ok(None) };
        let load = begun.elapsed();
        let begun = Instant::now();
        let options = Options { threads, max_memory: self.model.memory.limit(), cpu: self.cpu.cpu };
        let model = Model::load_with(artifact, options, cache.as_ref())?;
        Ok(Some(Loaded { model, load, jit: begun.elapsed() }))
    }

    /// Makes the first call.
    pub(super) fn start(&self, model: &Model) -> Result<Calls> {
        let interface = Runner::cpu(model.clone()).interface(self.entry.as_deref())?;
        let given_slots = interface.slots.iter().filter_map(|(_, def)| match def {
            SlotDef::Given { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let known: Vec<&str> = given_slots.collect();
        if let Some((name, _)) = self.at.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let message = format!("the model has no dim or size `{name}`; it has {}", list(known.into_iter()));
            return Err(Failure::new("MDL0701", message).into());
        }
        let sizes: Vec<(String, i64)> = self.at.iter().chain(self.model.dims()).cloned().collect();
        let draw = Draw::missing(self.model.seed());
        let (given, _) = inputs::resolve(&self.inputs, &interface, &sizes, &self.file, draw)?;
        let entry = interface.entry;
        let mut session = model.session();
        let (inputs, sizes) = (tensors(&given), numbers(&given));
        let begun = Instant::now();
        let outputs = session.run(Some(&entry), &inputs, &sizes)?;
        let first = begun.elapsed();
        let outputs = outputs.into_iter().map(|(_, tensor)| tensor).collect();
        Ok(Calls { session, entry, given, outputs, first })
    }

    /// The file as it was named.
    pub(super) fn shown(&self) -> std::path::Display<'_> {
        Path::display(&self.file)
    }
}

fn tensors(given: &Inputs) -> Vec<(&str, &Tensor)> {
    given.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

fn numbers(given: &Inputs) -> Vec<(&str, i64)> {
    given.sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect()
}

impl Calls {
    /// The times of calls, in order: so many, or as many as fit so many seconds, but five.
    pub(super) fn time(&mut self, rounds: Option<u32>, seconds: f64) -> Result<Vec<Duration>> {
        const LEAST: usize = 5;
        const MOST: usize = 100_000;
        ensure!(seconds > 0.0 && seconds <= 3600.0, "--seconds takes more than 0 and at most 3600");
        let (inputs, sizes) = (tensors(&self.given), numbers(&self.given));
        let (begun, mut times) = (Instant::now(), vec![]);
        let more = |done: usize| match rounds {
            Some(rounds) => done < rounds as usize,
            None => done < LEAST || begun.elapsed().as_secs_f64() < seconds && done < MOST,
        };
        while more(times.len()) {
            let begun = Instant::now();
            self.session.run_into(Some(&self.entry), &inputs, &sizes, &mut self.outputs)?;
            times.push(begun.elapsed());
        }
        Ok(times)
    }

    /// What the session holds.
    pub(super) fn memory(&self) -> Held {
        self.session.held()
    }

    /// One call with its kernels timed, and the time of the whole; `events` keeps what each thread did.
    pub(super) fn profile(&mut self, events: bool) -> Result<(Profile, Duration)> {
        self.session.start_profile(events);
        let took = self.time(Some(1), 1.0)?[0];
        Ok((self.session.take_profile().expect("it was just started"), took))
    }

    /// The kernels that ran, the longest first, by the medians of their times over calls.
    pub(super) fn rows(&mut self, rounds: Option<u32>, seconds: f64, machine: &mut Machine) -> Result<(Vec<Row>, f64)> {
        let (begun, mut profiles, mut whole) = (Instant::now(), vec![], vec![]);
        let most = rounds.map_or(200, |rounds| rounds as usize);
        let enough = |done: usize| rounds.is_none() && done >= 5 && begun.elapsed().as_secs_f64() >= seconds;
        while profiles.len() < most && !enough(profiles.len()) {
            let (profile, took) = self.profile(false)?;
            profiles.push(profile);
            whole.push(took.as_secs_f64());
        }
        let weights: f64 = profiles[0].kernels.iter().map(|time| time.constants).sum();
        let mut rows: Vec<Row> = Vec::new();
        for (kernel, time) in profiles[0].kernels.iter().enumerate().filter(|(_, time)| time.calls > 0) {
            let mut seconds: Vec<f64> = profiles.iter().map(|p| p.kernels[kernel].nanos as f64 / 1e9).collect();
            let limit = limit(time, weights, machine);
            rows.push(Row { kernel, calls: time.calls, seconds: median(&mut seconds), work: time.work, limit });
        }
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Ok((rows, median(&mut whole)))
    }
}

/// How long all calls of a kernel take at least: their arithmetic at the rate of multiply-adds, or what they move, whichever
/// is more. Constants come from wherever `weights` bytes fit, all else from where one call's fit.
fn limit(time: &KernelTime, weights: f64, machine: &mut Machine) -> f64 {
    let others = time.work.bytes - time.constants;
    let mut moving = |bytes: f64, set: f64| if bytes > 0.0 { bytes / machine.reads(set as u64) } else { 0.0 };
    let bytes = moving(time.constants, weights) + moving(others, others / time.calls as f64);
    bytes.max(time.work.flops / machine.multiply_adds())
}

/// The middle of some numbers, which are sorted.
pub(super) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[(numbers.len() - 1) / 2]
}

/// Milliseconds with three places.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// `1 thread`, `2 threads`.
pub(super) fn count(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}
