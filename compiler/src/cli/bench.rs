//! `mlc bench`: how fast a model starts and runs, and what it takes.
//!
//! Invariant: phases are timed apart, and nothing but the model's own work lies between the first call and the reading of
//! the peak of memory.

use super::measure::{CallArgs, Loaded, count, milliseconds};
use super::output::{self, MessageFormat};
use super::roofline::{self, Roofline};
use anyhow::{Context, Result, ensure};
use mlc_codegen::kernel::Work;
use mlc_runtime::session::{Held, Machine, human};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    call: CallArgs,
    /// How long steady calls are measured.
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Also draws the kernels under the limits of this machine.
    #[arg(long, value_name = "FILE.svg")]
    roofline: Option<PathBuf>,
    /// A JSON object for each measurement.
    #[arg(long)]
    json: bool,
}

/// One measurement.
struct Measured {
    loaded: Loaded,
    first: Duration,
    /// Seconds, sorted.
    steady: Vec<f64>,
    /// Where the median of steady calls lies, of a hundred such measurements in ninety-five.
    interval: [f64; 2],
    work: Work,
    memory: Held,
    weights: u64,
    peak: Option<u64>,
}

/// `Ok(true)` when the model ran.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    ensure!(args.seconds > 0.0 && args.seconds <= 3600.0, "--seconds takes more than 0 and at most 3600");
    let start = process_start()?;
    for threads in &args.call.threads {
        let Some(loaded) = args.call.load(*threads, format)? else { return Ok(false) };
        let model = loaded.model.clone();
        let mut calls = args.call.start(&model)?;
        let times = calls.time(args.call.rounds, args.seconds)?;
        let peak = peak_memory();
        let (profile, _) = calls.profile(false)?;
        let sum = |of: &dyn Fn(Work) -> f64| profile.kernels.iter().map(|kernel| of(kernel.work)).sum::<f64>();
        let work = Work { flops: sum(&|work| work.flops), bytes: sum(&|work| work.bytes) };
        let memory = calls.memory();
        let weights = model.artifact().constants().iter().map(|constant| constant.bytes().len() as u64).sum();
        let mut steady: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
        let interval = interval(&steady);
        steady.sort_by(f64::total_cmp);
        let measured = Measured { loaded, first: calls.first, steady, interval, work, memory, weights, peak };
        match args.json {
            true => output::data(&format!("{}\n", measured.json(args, start))),
            false => output::data(&measured.text(args, start)),
        }
    }
    if let Some(path) = &args.roofline {
        return draw(args, path, format);
    }
    Ok(true)
}

/// Draws a roofline for each number of threads. Models are loaded anew, since what measures the machine takes memory that is
/// not the model's.
fn draw(args: &Args, path: &Path, format: MessageFormat) -> Result<bool> {
    for threads in &args.call.threads {
        let Some(Loaded { model, .. }) = args.call.load(*threads, format)? else { return Ok(false) };
        let mut calls = args.call.start(&model)?;
        let mut machine = Machine::new(args.call.cpu.cpu, *threads)?;
        let (rows, _) = calls.rows(args.call.rounds, args.seconds, &mut machine)?;
        let title = format!("{}, entry {}, {}", args.call.shown(), calls.entry, count(model.threads()));
        let drawn = Roofline::new(title, &model, &rows, &mut machine);
        output::file(&roofline::path(path, model.threads(), args.call.threads.len()), &drawn.svg())?;
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

/// The 95 % interval of the median, by a bootstrap over at most two hundred runs of neighbouring calls: what disturbs one
/// call disturbs its neighbours.
fn interval(times: &[f64]) -> [f64; 2] {
    const RUNS: usize = 200;
    const DRAWS: usize = 1000;
    let length = times.len().div_ceil(RUNS);
    let runs = times.len().div_ceil(length);
    let mut sorted: Vec<(f64, usize)> = times.iter().enumerate().map(|(i, time)| (*time, i / length)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut state = 0u64;
    let mut drawn = || {
        let mut counts = vec![0usize; runs];
        for _ in 0..runs {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            counts[((state >> 33) % runs as u64) as usize] += 1;
        }
        let all: usize = sorted.iter().map(|(_, run)| counts[*run]).sum();
        let mut left = all.div_ceil(2);
        let middle = sorted.iter().find(|(_, run)| {
            left = left.saturating_sub(counts[*run]);
            left == 0
        });
        middle.expect("half of what was drawn comes before the end").0
    };
    let mut medians: Vec<f64> = (0..DRAWS).map(|_| drawn()).collect();
    medians.sort_by(f64::total_cmp);
    [medians[DRAWS * 25 / 1000], medians[DRAWS * 975 / 1000 - 1]]
}

/// Bytes that this process has held at most; `None` where the system does not say.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok()? * 1024)
}

impl Measured {
    fn percentile(&self, percent: usize) -> f64 {
        self.steady[(self.steady.len() - 1) * percent / 100]
    }

    fn text(&self, args: &Args, start: Duration) -> String {
        let model = &self.loaded.model;
        let opened =
            if args.call.file.extension().is_some_and(|e| e == "mlc") { "opened" } else { "checked and built" };
        let p50 = self.percentile(50);
        let [low, high] = self.interval.map(|seconds| seconds * 1e3);
        let mut text = format!("{}, {}, {}\n", args.call.shown(), count(model.threads()), args.call.cpu.cpu.resolved());
        let mut row = |name: &str, value: String, says: String| {
            text += format!("  {name:<11} {value:>13}  {says}").trim_end();
            text += "\n";
        };
        let ms = |time: Duration| format!("{:.3} ms", milliseconds(time));
        row("process", ms(start), String::new());
        row("load", ms(self.loaded.load), opened.into());
        let kept = if model.code_was_kept() { ", their code from the cache" } else { "" };
        row("jit", ms(self.loaded.jit), format!("{} kernels{kept}", model.artifact().plan.kernels.len()));
        row("first call", ms(self.first), String::new());
        row(
            "steady",
            format!("{:.4} ms", p50 * 1e3),
            format!(
                "median of {} calls, 95 % interval {low:.4} to {high:.4}; p10 {:.4}, p90 {:.4}, p99 {:.4}",
                self.steady.len(),
                self.percentile(10) * 1e3,
                self.percentile(90) * 1e3,
                self.percentile(99) * 1e3
            ),
        );
        row("throughput", format!("{:.1} /s", 1.0 / p50), "calls".into());
        row(
            "work",
            format!("{:.2} GFLOP/s", self.work.flops / p50 / 1e9),
            format!(
                "{:.2} GB/s; {:.3} MFLOP, {:.3} MB a call",
                self.work.bytes / p50 / 1e9,
                self.work.flops / 1e6,
                self.work.bytes / 1e6
            ),
        );
        row("weights", human(self.weights), String::new());
        row(
            "arena",
            human(self.memory.arena),
            format!("scratch {}, states {}", human(self.memory.scratch), human(self.memory.states)),
        );
        if let Some(peak) = self.peak {
            row("peak memory", human(peak), "of the process".into());
        }
        text
    }

    fn json(&self, args: &Args, start: Duration) -> Value {
        let model = &self.loaded.model;
        let ms = |percent| self.percentile(percent) * 1e3;
        json!({
            "file": args.call.shown().to_string(), "threads": model.threads(),
            "cpu": args.call.cpu.cpu.resolved().name(), "process_ms": milliseconds(start),
            "load_ms": milliseconds(self.loaded.load), "jit_ms": milliseconds(self.loaded.jit),
            "code_was_kept": model.code_was_kept(),
            "kernels": model.artifact().plan.kernels.len(), "first_call_ms": milliseconds(self.first),
            "calls": self.steady.len(), "p10_ms": ms(10), "p50_ms": ms(50), "p90_ms": ms(90), "p99_ms": ms(99),
            "p50_interval_ms": self.interval.map(|seconds| seconds * 1e3),
            "flops": self.work.flops, "bytes": self.work.bytes, "weights": self.weights,
            "arena": self.memory.arena, "scratch": self.memory.scratch, "states": self.memory.states, "peak_memory": self.peak,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::interval;

    #[test]
    fn an_interval_holds_the_median_and_narrows_with_more_calls() {
        let times = |n: usize| -> Vec<f64> { (0..n).map(|i| 1.0 + (i * 37 % 101) as f64 / 100.0).collect() };
        let [few, many] = [9, 180].map(|n| interval(&times(n)));
        assert!(few[0] <= 1.5 && 1.5 <= few[1], "{few:?}");
        assert!(many[0] < 1.5 && 1.5 < many[1] && many[1] - many[0] < few[1] - few[0], "{many:?} {few:?}");
        assert_eq!(interval(&[2.0; 5]), [2.0, 2.0]);
        // Calls that get slower and slower, in runs of two.
        let drift: Vec<f64> = (0..302).map(|i| 1.0 + f64::from(i)).collect();
        let [low, high] = interval(&drift);
        assert!(low < 151.0 && 151.0 < high, "{low} {high}");
    }
}
