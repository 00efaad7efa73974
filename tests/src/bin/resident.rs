//! Keeps a `.mlc` loaded and times its calls on request, so that tests/peers can take turns between runtimes.
//!
//! Invariant: one line of JSON in, one out. The first line is a [`Job`]; then `{"calls": n, "batches": k}` gives the seconds
//! of k batches of n calls, and `{"profile": n}` the kernels of n calls.

use anyhow::{Context, Result};
use mlc_runtime::artifact::Artifact;
use mlc_runtime::npz::{read_npy, write_npz};
use mlc_runtime::session::{Model, Options, Session};
use mlc_runtime::tensor::Tensor;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

/// What is run: an entry with its inputs, after the calls that prepare its states.
struct Job {
    model: Model,
    session: Session,
    call: Call,
    outputs: Vec<Tensor>,
}

/// An entry and what it is given.
struct Call {
    entry: Option<String>,
    inputs: Vec<(String, Tensor)>,
    sizes: Vec<(String, i64)>,
}

impl Call {
    /// From `{"entry": name or null, "inputs": {name: file.npy}, "sizes": {name: number}}`.
    fn read(text: &Value) -> Result<Call> {
        let pairs = |key: &str| text[key].as_object().into_iter().flatten();
        let file = |path: &Value| -> Result<Tensor> { Ok(read_npy(path.as_str().context("a path")?)?) };
        Ok(Call {
            entry: text["entry"].as_str().map(str::to_owned),
            inputs: pairs("inputs").map(|(name, path)| Ok((name.clone(), file(path)?))).collect::<Result<_>>()?,
            sizes: pairs("sizes")
                .map(|(name, n)| Ok((name.clone(), n.as_i64().context("a size")?)))
                .collect::<Result<_>>()?,
        })
    }

    fn inputs(&self) -> Vec<(&str, &Tensor)> {
        self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
    }

    fn sizes(&self) -> Vec<(&str, i64)> {
        self.sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect()
    }

    fn run(&self, session: &mut Session) -> Result<Vec<(String, Tensor)>> {
        Ok(session.run(self.entry.as_deref(), &self.inputs(), &self.sizes())?)
    }
}

impl Job {
    /// Loads the model, prepares it, makes one call and keeps its outputs in a file.
    fn start(text: &Value) -> Result<(Job, Value)> {
        let begun = Instant::now();
        let artifact = Artifact::open(Path::new(text["model"].as_str().context("a model")?), Default::default())?;
        let threads = usize::try_from(text["threads"].as_u64().context("a number of threads")?)?;
        let model = Model::load(artifact, Options { threads, ..Options::default() })?;
        let mut session = model.session();
        let load = begun.elapsed();
        for before in text["before"].as_array().into_iter().flatten() {
            Call::read(before)?.run(&mut session)?;
        }
        let call = Call::read(&text["call"])?;
        let begun = Instant::now();
        let outputs = call.run(&mut session)?;
        let first = begun.elapsed();
        write_npz(text["outputs"].as_str().context("a file for the outputs")?, &outputs, false)?;
        let outputs = outputs.into_iter().map(|(_, tensor)| tensor).collect();
        Ok((Job { model, session, call, outputs }, json!({"load": load.as_secs_f64(), "first": first.as_secs_f64()})))
    }

    fn time(&mut self, calls: u64, batches: u64) -> Result<Value> {
        let (entry, inputs, sizes) = (self.call.entry.as_deref(), self.call.inputs(), self.call.sizes());
        let mut seconds = Vec::new();
        for _ in 0..batches {
            let begun = Instant::now();
            for _ in 0..calls {
                self.session.run_into(entry, &inputs, &sizes, &mut self.outputs)?;
            }
            seconds.push(begun.elapsed().as_secs_f64());
        }
        Ok(seconds.into())
    }

    fn profile(&mut self, calls: u64) -> Result<Value> {
        self.session.start_profile(false);
        self.time(calls, 1)?;
        let profile = self.session.take_profile().context("the profile that was started")?;
        let plan = &self.model.artifact().plan;
        let kernels = plan.kernels.iter().zip(&profile.kernels).enumerate().filter(|(_, (_, time))| time.calls > 0);
        Ok(kernels
            .map(|(i, (kernel, time))| {
                json!({"kernel": kernel.name, "path": self.model.path(i), "calls": time.calls, "nanoseconds": time.nanos,
                       "flops": time.work.flops, "bytes": time.work.bytes})
            })
            .collect())
    }

    fn answer(&mut self, text: &Value) -> Result<Value> {
        match text["profile"].as_u64() {
            Some(calls) => self.profile(calls),
            None => self.time(text["calls"].as_u64().context("calls")?, text["batches"].as_u64().context("batches")?),
        }
    }
}

fn main() -> Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let say = |value: &Value| -> Result<()> {
        println!("{value}");
        Ok(std::io::stdout().flush()?)
    };
    let first = lines.next().context("a line that says what to run")??;
    let (mut job, started) = Job::start(&serde_json::from_str(&first)?)?;
    say(&started)?;
    for line in lines {
        say(&job.answer(&serde_json::from_str(&line?)?)?)?;
    }
    Ok(())
}
