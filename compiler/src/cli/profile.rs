//! `mlc profile`: where the time of a call goes, kernel by kernel, beside what the machine allows.
//!
//! Invariant: times are medians over calls, and the limit of a kernel is measured in the same run with as many threads.

use super::measure::{CallArgs, Calls, Row, count};
use super::output::{self, MessageFormat};
use anyhow::Result;
use mlc_codegen::kernel::Work;
use mlc_runtime::session::{Machine, Model, Profile};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Calls are profiled so long where `--rounds` does not say how many.
const SECONDS: f64 = 1.0;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    call: CallArgs,
    /// Writes what each thread did in one call, as trace events that Perfetto and chrome://tracing show.
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
}

/// The profile of a call.
struct Profiled<'a> {
    args: &'a Args,
    model: &'a Model,
    entry: &'a str,
    rows: Vec<Row>,
    /// The median of whole calls, in seconds.
    call: f64,
    multiply_adds: f64,
}

/// `Ok(true)` when the model ran.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    for threads in &args.call.threads {
        let Some(loaded) = args.call.load(*threads, format)? else { return Ok(false) };
        let model = &loaded.model;
        let mut calls = args.call.start(model)?;
        let mut machine = Machine::new(args.call.cpu.cpu, *threads)?;
        let (rows, call) = calls.rows(args.call.rounds, SECONDS, &mut machine)?;
        if let Some(path) = &args.trace {
            write_trace(path, model, &mut calls)?;
        }
        let multiply_adds = machine.multiply_adds();
        let profiled = Profiled { args, model, entry: &calls.entry, rows, call, multiply_adds };
        match format {
            MessageFormat::Json => output::data(&format!("{}\n", profiled.json())),
            _ => output::data(&profiled.text()),
        }
    }
    Ok(true)
}

/// A line of the table: everything but the names.
fn line(share: f64, calls: u64, seconds: f64, work: Work, limit: f64) -> String {
    let seconds = seconds.max(1e-9);
    format!(
        "{:>5.1}% {calls:>6} {:>10.4} {:>8.2} {:>8.2} {:>6.0}%",
        100.0 * share,
        seconds * 1e3,
        work.flops / seconds / 1e9,
        work.bytes / seconds / 1e9,
        100.0 * limit / seconds
    )
}

impl Profiled<'_> {
    /// Of all kernels: calls, seconds, work, limit.
    fn total(&self) -> (u64, f64, Work, f64) {
        let sum = |of: &dyn Fn(&Row) -> f64| self.rows.iter().map(of).sum::<f64>();
        let work = Work { flops: sum(&|row| row.work.flops), bytes: sum(&|row| row.work.bytes) };
        (self.rows.iter().map(|row| row.calls).sum(), sum(&|row| row.seconds), work, sum(&|row| row.limit))
    }

    fn name(&self, row: &Row) -> &str {
        &self.model.artifact().plan.kernels[row.kernel].name
    }

    fn text(&self) -> String {
        let (calls, seconds, work, limit) = self.total();
        let cpu = self.args.call.cpu.cpu.resolved();
        let mut text = format!(
            "{}, entry {}, {}, {cpu}: a call takes {:.4} ms, {:.4} ms of them between kernels\n\
             {:>6} {:>6} {:>10} {:>8} {:>8} {:>7}  {:<9}  kernel\n",
            self.args.call.shown(),
            self.entry,
            count(self.model.threads()),
            self.call * 1e3,
            (self.call - seconds).max(0.0) * 1e3,
            "share",
            "calls",
            "ms",
            "GFLOP/s",
            "GB/s",
            "limit",
            "path"
        );
        for row in &self.rows {
            let share = row.seconds / seconds.max(1e-9);
            let path = self.model.path(row.kernel);
            text += &line(share, row.calls, row.seconds, row.work, row.limit);
            text += &format!("  {path:<9}  {}\n", output::plain(self.name(row)));
        }
        let peak = self.multiply_adds / 1e9;
        text += &line(1.0, calls, seconds, work, limit);
        text + &format!("  total, where {peak:.1} GFLOP/s are possible\n")
    }

    fn json(&self) -> Value {
        let (calls, seconds, work, limit) = self.total();
        let object = |calls: u64, seconds: f64, work: Work, limit: f64| json!({"calls": calls, "ms": seconds * 1e3, "flops": work.flops, "bytes": work.bytes, "limit_ms": limit * 1e3});
        let kernels: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let mut value =
                    json!({"kernel": self.name(row), "number": row.kernel, "path": self.model.path(row.kernel)});
                let numbers = object(row.calls, row.seconds, row.work, row.limit);
                if let (Value::Object(value), Value::Object(numbers)) = (&mut value, numbers) {
                    value.extend(numbers);
                }
                value
            })
            .collect();
        json!({
            "file": self.args.call.shown().to_string(), "entry": self.entry, "threads": self.model.threads(),
            "cpu": self.args.call.cpu.cpu.resolved().name(), "multiply_adds": self.multiply_adds,
            "call_ms": self.call * 1e3, "total": object(calls, seconds, work, limit), "kernels": kernels,
        })
    }
}

/// One call as trace events, whose form is "Trace Event Format" of the Chromium project.
fn write_trace(path: &Path, model: &Model, calls: &mut Calls) -> Result<()> {
    let (profile, _) = calls.profile(true)?;
    Ok(output::file(path, &format!("{}\n", trace(model, &calls.entry, &profile)))?)
}

/// A track for each thread; times are microseconds since the call began.
fn trace(model: &Model, entry: &str, profile: &Profile) -> Value {
    let meta = |name: &str, thread: usize, value: String| json!({"ph": "M", "pid": 1, "tid": thread, "name": name, "args": {"name": value}});
    let named = |thread| if thread == 0 { "caller".to_owned() } else { format!("worker {thread}") };
    let mut events = vec![meta("process_name", 0, format!("{} {entry}", model.artifact().meta.model))];
    events.extend((0..model.threads()).map(|thread| meta("thread_name", thread, named(thread))));
    let mut ran = profile.events.clone().unwrap_or_default();
    ran.sort_by_key(|event| (event.start, event.thread));
    events.extend(ran.iter().map(|event| {
        let [start, took] = [event.start, event.took].map(|time| time.as_nanos() as f64 / 1e3);
        let name = &model.artifact().plan.kernels[event.kernel].name;
        json!({"ph": "X", "pid": 1, "tid": event.thread, "ts": start, "dur": took, "cat": model.path(event.kernel),
               "name": name, "args": {"kernel": event.kernel}})
    }));
    json!({"displayTimeUnit": "ns", "traceEvents": events})
}
