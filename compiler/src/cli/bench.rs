//! `mlc bench`: how fast a model starts and runs.
//!
//! Invariant: phases are timed apart, steady calls reuse one session and its outputs, and inputs that nobody gives are drawn, not zeros.

use super::failure::Failure;
use super::flags::{CpuArgs, OpenArgs};
use super::inputs::{self, Draw, Given};
use super::load;
use super::output::{self, MessageFormat};
use super::runner::Runner;
use super::source::ModelArgs;
use anyhow::{Context, Result, bail, ensure};
use mlc_codegen::base::SlotDef;
use mlc_runtime::session::{Model, Options, Profile, Session, list};
use mlc_runtime::tensor::Tensor;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mdl` or `.mlc` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Threads, one measurement for each number; 0 means one for each core.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "0")]
    threads: Vec<usize>,
    /// An input, as `mlc run` takes it; those left out are drawn.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = inputs::given)]
    inputs: Vec<Given>,
    /// A dim or size of the calls; those left out take their least value. May be repeated.
    #[arg(long, value_name = "DIM=VALUE", value_parser = super::source::dim)]
    at: Vec<(String, i64)>,
    /// How long steady calls are measured.
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Which entry of a model with several.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// Also the time of each kernel.
    #[arg(long)]
    kernels: bool,
    /// A JSON object for each measurement.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    cpu: CpuArgs,
    #[command(flatten)]
    open: OpenArgs,
}

/// One measurement.
struct Measured {
    threads: usize,
    load: Duration,
    jit: Duration,
    first: Duration,
    /// Sorted.
    steady: Vec<Duration>,
    profile: Profile,
}

/// `Ok(true)` when the model ran.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    ensure!(args.seconds > 0.0 && args.seconds <= 3600.0, "--seconds takes more than 0 and at most 3600");
    let start = process_start()?;
    for threads in &args.threads {
        let begun = Instant::now();
        let Some(artifact) = load::artifact(&args.file, &args.model, args.open, format)? else { return Ok(false) };
        let load = begun.elapsed();
        let begun = Instant::now();
        let options = Options { threads: *threads, max_memory: args.model.memory.limit(), cpu: args.cpu.cpu };
        let model = Model::load(artifact, options)?;
        let measured = measure(&model, args, load, begun.elapsed())?;
        match args.json {
            true => output::data(&format!("{}\n", as_json(&model, args, start, &measured))),
            false => output::data(&as_text(&model, args, start, &measured)),
        }
    }
    Ok(true)
}

/// The time of a whole process that does nothing, the least of five.
fn process_start() -> Result<Duration> {
    let program = std::env::current_exe().context("this program's own file")?;
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        let status = Command::new(&program).arg("--version").stdout(Stdio::null()).status();
        ensure!(status.context("cannot start this program again")?.success(), "this program does not start again");
        least = least.min(begun.elapsed());
    }
    Ok(least)
}

fn measure(model: &Model, args: &Args, load: Duration, jit: Duration) -> Result<Measured> {
    let interface = Runner::cpu(model.clone()).interface(args.entry.as_deref())?;
    let known: Vec<&str> = interface
        .slots
        .iter()
        .filter_map(|(_, def)| match def {
            SlotDef::Given { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    if let Some((name, _)) = args.at.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        let message = format!("the model has no dim or size `{name}`; it has {}", list(known.into_iter()));
        return Err(Failure::new("MDL0701", message).into());
    }
    let drawn = inputs::resolve(&args.inputs, &interface, &args.at, &args.file, Draw::missing(args.model.seed()))?;
    let inputs: Vec<(&str, &Tensor)> = drawn.tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    let sizes: Vec<(&str, i64)> = drawn.sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    let mut session = model.session();
    let begun = Instant::now();
    let outputs = session.run(args.entry.as_deref(), &inputs, &sizes)?;
    let first = begun.elapsed();
    let mut outputs: Vec<Tensor> = outputs.into_iter().map(|(_, tensor)| tensor).collect();
    let mut call = |session: &mut Session| -> Result<Duration> {
        let begun = Instant::now();
        session.run_into(args.entry.as_deref(), &inputs, &sizes, &mut outputs)?;
        Ok(begun.elapsed())
    };
    const LEAST: usize = 5;
    const MOST: usize = 1_000_000;
    let (begun, mut steady) = (Instant::now(), vec![]);
    while steady.len() < LEAST || begun.elapsed().as_secs_f64() < args.seconds && steady.len() < MOST {
        steady.push(call(&mut session)?);
    }
    steady.sort_unstable();
    session.start_profile(false);
    call(&mut session)?;
    let Some(profile) = session.take_profile() else { bail!("the profile that was started is gone") };
    Ok(Measured { threads: model.threads(), load, jit, first, steady, profile })
}

impl Measured {
    fn percentile(&self, percent: usize) -> Duration {
        self.steady[(self.steady.len() - 1) * percent / 100]
    }

    /// Operations and bytes of a call.
    fn work(&self) -> (f64, f64) {
        self.profile.kernels.iter().fold((0.0, 0.0), |(f, b), kernel| (f + kernel.work.flops, b + kernel.work.bytes))
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Bytes that this process has held at most; `None` where the system does not say.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok()? * 1024)
}

fn as_text(model: &Model, args: &Args, start: Duration, m: &Measured) -> String {
    let (flops, bytes) = m.work();
    let p50 = m.percentile(50);
    let at = |percent| milliseconds(m.percentile(percent));
    let opened = if args.file.extension().is_some_and(|e| e == "mlc") { "opened" } else { "checked and built" };
    let mut text = format!(
        "{}, {} threads, {}\n  process     {:>10} ms\n  load        {:>10} ms  {opened}\n  jit         {:>10} ms  {} kernels\n  \
         first call  {:>10} ms\n  steady p50  {:>10} ms  p90 {} ms, p99 {} ms, {} calls\n  \
         work        {:>10.3} GFLOP/s, {:.3} GB/s  ({:.3} MFLOP, {:.3} MB a call)\n",
        args.file.display(),
        m.threads,
        args.cpu.cpu.resolved(),
        milliseconds(start),
        milliseconds(m.load),
        milliseconds(m.jit),
        model.artifact().plan.kernels.len(),
        milliseconds(m.first),
        at(50),
        at(90),
        at(99),
        m.steady.len(),
        flops / p50.as_secs_f64() / 1e9,
        bytes / p50.as_secs_f64() / 1e9,
        flops / 1e6,
        bytes / 1e6,
    );
    if let Some(peak) = peak_memory() {
        text += &format!("  peak memory {:>10.1} MiB\n", peak as f64 / f64::from(1 << 20));
    }
    if args.kernels {
        text += &kernel_table(model, &m.profile);
    }
    text
}

/// Kernels by time, the longest first.
fn kernel_table(model: &Model, profile: &Profile) -> String {
    let mut rows: Vec<usize> = (0..profile.kernels.len()).filter(|i| profile.kernels[*i].calls > 0).collect();
    rows.sort_by_key(|i| std::cmp::Reverse(profile.kernels[*i].nanos));
    let all: u64 = profile.kernels.iter().map(|kernel| kernel.nanos).sum();
    let mut text = format!(
        "{:>7} {:>6} {:>10} {:>9} {:>8}  {:<9}  kernel\n",
        "time", "calls", "µs a call", "GFLOP/s", "GB/s", "path"
    );
    for i in rows {
        let kernel = &profile.kernels[i];
        let nanos = kernel.nanos.max(1) as f64;
        text += &format!(
            "{:>6.1}% {:>6} {:>10.2} {:>9.2} {:>8.2}  {:<9}  {}\n",
            100.0 * nanos / all.max(1) as f64,
            kernel.calls,
            nanos / kernel.calls as f64 / 1e3,
            kernel.work.flops / nanos,
            kernel.work.bytes / nanos,
            model.path(i),
            model.artifact().plan.kernels[i].name
        );
    }
    text
}

fn as_json(model: &Model, args: &Args, start: Duration, m: &Measured) -> Value {
    let (flops, bytes) = m.work();
    let kernels: Vec<Value> = (model.artifact().plan.kernels.iter().zip(&m.profile.kernels))
        .enumerate()
        .map(|(i, (kernel, time))| {
            json!({"kernel": kernel.name, "path": model.path(i), "calls": time.calls, "nanoseconds": time.nanos, "flops": time.work.flops,
                   "bytes": time.work.bytes})
        })
        .collect();
    let mut object = json!({
        "file": args.file.display().to_string(), "threads": m.threads, "cpu": args.cpu.cpu.resolved().name(),
        "process_ms": milliseconds(start), "load_ms": milliseconds(m.load), "jit_ms": milliseconds(m.jit),
        "first_call_ms": milliseconds(m.first), "calls": m.steady.len(), "p50_ms": milliseconds(m.percentile(50)),
        "p90_ms": milliseconds(m.percentile(90)), "p99_ms": milliseconds(m.percentile(99)),
        "flops": flops, "bytes": bytes, "peak_memory": peak_memory(),
    });
    if args.kernels {
        object["kernels"] = kernels.into();
    }
    object
}
