//! `mlc verify`: a compiled model with every check on, and what it computes against what is known.
//!
//! Invariant: a line is printed for what held; the first that does not hold ends the command.

use super::failure::Failure;
use super::flags::{CpuArgs, MemoryArgs, ReadArgs};
use super::inspect_model::calls;
use super::load;
use super::output::{self, plain};
use super::progress;
use crate::isolate::difference;
use crate::ops::Tolerance;
use crate::runner::{Interface, Runner};
use crate::tune::{DataSet, Metric, TuneError, measured, rows, sketch};
use anyhow::Result;
use mlc_codegen::base::SlotDef;
use mlc_codegen::kernel::EntryPlan;
use mlc_runtime::artifact::{Artifact, OpenOptions};
use mlc_runtime::session::{CallMemory, Cpu, JitError, Model, Options, check_model, check_sizes, human};
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mlc` file.
    #[arg(value_name = "FILE.mlc")]
    file: PathBuf,
    /// An npz or safetensors file with inputs, as `mlc eval` takes it, and outputs under their names, or labels or targets:
    /// runs the model, and compares.
    #[arg(long, value_name = "FILE.npz")]
    data: Option<PathBuf>,
    /// Which entry runs on the data.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// Threads that share the work; 0 means one for each core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    #[command(flatten)]
    cpu: CpuArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    read: ReadArgs,
}

/// A dim without an upper bound is checked up to here.
const UNBOUNDED: i64 = 1 << 16;

/// Outputs may differ from those in a data set by this, and a metric from the one that was recorded.
const NEAR: f64 = 1e-3;

/// `Ok(true)` when everything held.
pub(super) fn run(args: &Args) -> Result<bool> {
    let layout = Artifact::layout(&args.file)?;
    let options = OpenOptions { mmap: args.read.weights().mmap, verify_weights: true };
    let artifact = load::open_artifact(&args.file, options)?;
    held("format", &format!("{}, written by mlc {}, {} bytes", layout.format, layout.writer, layout.bytes));
    for (name, bytes) in layout.sections {
        held(name, &format!("{bytes} bytes match their hash"));
    }
    check_model(&artifact).map_err(JitError::from)?;
    let plan = &artifact.plan;
    let steps: usize = plan.entries.iter().map(|entry| calls(&entry.steps)).sum();
    let counted = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let kernels = counted(plan.kernels.len(), "kernel", "kernels");
    held("plan", &format!("{kernels} and {} of them verify", counted(steps, "call", "calls")));
    for entry in &plan.entries {
        let told = ends(&artifact, entry, args.cpu.cpu)?;
        held("bounds", &format!("{}: {told}", plain(&entry.name)));
    }
    let model =
        Model::load(artifact, Options { threads: args.threads, max_memory: args.memory.limit(), cpu: args.cpu.cpu })?;
    held("code", &format!("{kernels} compile for {}", args.cpu.cpu.resolved()));
    match &args.data {
        None => Ok(true),
        Some(data) => on_data(args, model, DataSet::open(data)?),
    }
}

fn held(what: &str, told: &str) {
    output::data(&format!("{what:10} {told}\n"));
}

/// Checks an entry where each dim is at an end of its range.
fn ends(artifact: &Artifact, entry: &EntryPlan, cpu: Cpu) -> Result<String, Failure> {
    let slots = &artifact.plan.slots;
    let given: Vec<(usize, &str, i64, i64)> = slots
        .iter()
        .filter_map(|(slot, def)| match def {
            SlotDef::Given { name, lo, hi, .. } => {
                let hi = if *hi == i64::MAX { UNBOUNDED.max(*lo) } else { *hi };
                Some((slot.0 as usize, name.as_str(), *lo, hi))
            }
            _ => None,
        })
        .collect();
    let (mut held, mut refused, mut most) = (0, 0, CallMemory::default());
    for point in corners(&given.iter().map(|(_, _, lo, hi)| (*lo, *hi)).collect::<Vec<_>>()) {
        let mut block = vec![0; slots.len()];
        given.iter().zip(&point).for_each(|((slot, ..), value)| block[*slot] = *value);
        let fills = slots.fill(&mut block).is_ok();
        let guard = |guard: &&mlc_codegen::kernel::SizeGuard| match guard.at_least_zero.eval(&block) {
            Some(value) => {
                if guard.exactly_zero {
                    value != 0
                } else {
                    value < 0
                }
            }
            None => true,
        };
        if !fills || entry.guards.iter().find(guard).is_some() {
            refused += 1;
            continue;
        }
        let memory = check_sizes(artifact, entry, &block, cpu).map_err(|error| {
            let sizes: Vec<String> =
                given.iter().zip(&point).map(|((_, name, ..), value)| format!("{} = {value}", plain(name))).collect();
            let message = format!("`{}` cannot run with {}: {error}", plain(&entry.name), sizes.join(", "));
            Failure::new("MDL0709", message)
        })?;
        held += 1;
        let total = |memory: &CallMemory| memory.arena.saturating_add(memory.tensors).saturating_add(memory.states);
        if total(&memory) > total(&most) {
            most = memory;
        }
    }
    let names: Vec<String> = given.iter().map(|(_, name, lo, hi)| format!("{} in {lo}..={hi}", plain(name))).collect();
    let sizes = match names.is_empty() {
        true => "no access leaves its buffer".to_owned(),
        false => format!("no access leaves its buffer at {held} ends of {}", names.join(", ")),
    };
    let refused = if refused > 0 { format!(", {refused} more are refused by the model") } else { String::new() };
    let [arena, tensors, states] = [most.arena, most.tensors, most.states].map(human);
    Ok(format!("{sizes}{refused}; a call takes at most {arena}, {tensors} for inputs and outputs, {states} for states"))
}

/// All at their least, all at their greatest, and each by itself at the other end.
fn corners(ranges: &[(i64, i64)]) -> Vec<Vec<i64>> {
    let least: Vec<i64> = ranges.iter().map(|(lo, _)| *lo).collect();
    let greatest: Vec<i64> = ranges.iter().map(|(_, hi)| *hi).collect();
    let mut points = vec![least.clone(), greatest.clone()];
    for i in 0..ranges.len() {
        for (base, other) in [(&least, &greatest), (&greatest, &least)] {
            let mut point = base.clone();
            point[i] = other[i];
            points.push(point);
        }
    }
    points.sort();
    points.dedup();
    points
}

/// Runs the model on a data set, and compares with what was recorded when it was built, or else with what the set holds.
fn on_data(args: &Args, model: Model, data: DataSet) -> Result<bool> {
    let certificate = model.artifact().meta.certificate.clone();
    let mut runner = Runner::cpu(model);
    let interface = runner.interface(args.entry.as_deref())?;
    if let Some(recorded) = certificate {
        if let Some(hash) = recorded["data_hash"].as_str().filter(|hash| data.hash().ok().as_deref() != Some(*hash)) {
            let named = recorded["data"].as_str().unwrap_or("another file");
            let message = format!(
                "the certificate was measured on `{}`, whose hash is {}…",
                plain(named),
                plain(&hash[..hash.len().min(8)])
            );
            return Err(TuneError::data(message).into());
        }
        let metric = recorded["metric"].as_str().and_then(Metric::named);
        let (Some(metric), Some(value)) = (metric, recorded["value"].as_f64()) else {
            let message = format!("the certificate names no metric with its value: {}", plain(&recorded.to_string()));
            return Err(Failure::new("MDL0006", message).into());
        };
        let tally = measured(&mut runner, &interface, &data, metric, None, &mut progress::samples())?;
        let equal = (tally.value() - value).abs() <= NEAR * value.abs().max(1.0);
        let verb = if equal { "as" } else { "but" };
        held("data", &format!("{}, {verb} the certificate says {value}", tally.line()));
        return Ok(equal);
    }
    if interface.outputs.iter().any(|port| data.has(&port.name)) {
        return outputs(&mut runner, &interface, &data);
    }
    let metric = match (data.has("labels"), data.has("target")) {
        (true, _) => Metric::Top1,
        (_, true) => Metric::Mse,
        (false, false) => {
            let wanted: Vec<String> = interface.outputs.iter().map(|port| format!("`{}`", port.name)).collect();
            let message =
                format!("nothing to compare with: it holds none of {}, `labels`, `target`", wanted.join(", "));
            return Err(TuneError::data(message).into());
        }
    };
    held("data", &measured(&mut runner, &interface, &data, metric, None, &mut progress::samples())?.line());
    Ok(true)
}

/// Whether the outputs are those in the set, sample by sample.
fn outputs(runner: &mut Runner, interface: &Interface, data: &DataSet) -> Result<bool> {
    let batches = data.batches(interface, "")?;
    let mut worst = vec![(0.0, true); interface.outputs.len()];
    for range in batches.ranges() {
        let inputs = data.inputs(interface, "", range.clone())?;
        runner.reset();
        for (place, (name, found)) in runner.run(&interface.entry, &inputs)?.into_iter().enumerate() {
            let Ok(all) = data.get(&name) else { continue };
            let misfit = || TuneError::data(format!("`{name}` is {}, the entry gives {}", sketch(all), sketch(&found)));
            if all.shape().first() != Some(&batches.samples) {
                return Err(misfit().into());
            }
            let wanted = rows(all, range.clone())?;
            if wanted.len() != found.len() || wanted.dtype() != found.dtype() {
                return Err(misfit().into());
            }
            let wanted = wanted.reshape(found.shape())?;
            let found = difference(&found, &wanted, Tolerance { absolute: NEAR, relative: NEAR });
            let (before, within) = worst[place];
            worst[place] = (found.absolute.max(before), within && found.within);
        }
    }
    let compared = interface.outputs.iter().zip(&worst).filter(|(port, _)| data.has(&port.name));
    for (port, (worst, within)) in compared {
        let (samples, beyond) = (batches.samples, if *within { "" } else { ", which is too much" });
        held("data", &format!("{}: max abs {worst:.1e} from {samples} samples of the set{beyond}", plain(&port.name)));
    }
    Ok(worst.iter().all(|(_, within)| *within))
}
