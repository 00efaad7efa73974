//! Whole models, machine code against the reference evaluator, call after call with the states that calls leave, on one
//! thread and on two.
//!
//! Models whose weights are not vendored run on drawn weights and, where `examples/fetch all` has been run, on their own.
//! The seed is printed; MLC_SEED repeats a run.

mod programs;

use libtest_mimic::{Arguments, Failed, Trial};
use mlc::diag::SourceMap;
use mlc::frontend::{self, Options as Frontend};
use mlc::graph::Graph;
use mlc::reference::Reference;
use mlc_runtime::session::{Model, Options};
use mlc_runtime::tensor::Tensor;
use programs::{Program, drawn, fetched, random, rules};
use std::path::Path;
use std::sync::Arc;

/// So many times so many programs are drawn.
const DRAWN: u64 = 4;
/// See there.
const EACH: u64 = 25;

fn main() {
    let seed = std::env::var("MLC_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
    });
    println!("MLC_SEED={seed}");
    let mut trials = Vec::new();
    for (name, make) in drawn::PROGRAMS.iter().chain(rules::PROGRAMS) {
        trials.push(Trial::test(*name, move || check(&make(seed))));
    }
    for part in 0..DRAWN {
        trials.push(Trial::test(format!("drawn programs {part}"), move || {
            (0..EACH).try_for_each(|i| {
                let seed = seed.wrapping_add(part * EACH + i);
                let program = random::program(seed);
                check(&program).map_err(|e| format!("MLC_SEED={seed} {e:?}\n{}", program.text).into())
            })
        }));
    }
    for (name, make) in fetched::PROGRAMS {
        let absent = !fetched::present(name);
        if absent {
            println!("{name}: skipped; examples/fetch all and tests/oracle/run bring what it needs");
        }
        trials.push(Trial::test(*name, move || check(&make(seed))).with_ignored_flag(absent));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The graph of a program.
fn graph(program: &Program) -> Result<(Graph, SourceMap, u32), String> {
    let mut sources = SourceMap::default();
    let file = sources.add("program.mdl", program.text.clone());
    let options = Frontend {
        folder: Some(program.folder.as_deref().unwrap_or(Path::new(".")).to_owned()),
        random_weights: program.random_weights,
        dims: program.dims.clone(),
        ..Frontend::default()
    };
    let checked = frontend::check(&mut sources, file, &options);
    let told: Vec<&str> = checked.diagnostics.iter().map(|d| d.message.as_str()).collect();
    Ok((checked.graph.ok_or_else(|| told.join("\n"))?, sources, file))
}

fn check(program: &Program) -> Result<(), Failed> {
    let (graph, sources, file) = graph(program)?;
    let artifact = mlc::artifact(&graph, &sources, file).map_err(|e| e.to_string())?;
    let mut reference = Reference::new(Arc::new(graph));
    let mut sessions = Vec::new();
    for threads in [1, 2] {
        let model = Model::load(artifact.clone(), Options { threads, ..Options::default() });
        sessions.push(model.map_err(|e| e.to_string())?.session());
    }
    for (i, call) in program.calls.iter().enumerate() {
        let inputs: Vec<(&str, &Tensor)> = call.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let expected = reference.run(call.entry, &inputs, &call.sizes);
        let mut before: Option<Vec<(String, Tensor)>> = None;
        for session in &mut sessions {
            let found = session.run(call.entry, &inputs, &call.sizes);
            let (found, expected) = match (found, &expected) {
                (Ok(found), Ok(expected)) => (found, expected),
                (Err(a), Err(b)) if call.refused && a.code == b.code => continue,
                (found, expected) => {
                    let told = format!("call {i}: {:?}, the reference {:?}", found.err(), expected.as_ref().err());
                    return Err(told.into());
                }
            };
            if call.refused {
                return Err(format!("call {i} was to be refused").into());
            }
            if before.as_ref().is_some_and(|before| *before != found) {
                return Err(format!("call {i}: two threads give other bits than one").into());
            }
            for ((name, a), (_, b)) in found.iter().zip(expected) {
                near(a, b, program.allowed).map_err(|e| format!("call {i}, `{name}`: {e}"))?;
            }
            before = Some(found);
        }
    }
    Ok(())
}

/// Within `allowed` of the greater of 1 and the magnitude.
fn near(found: &Tensor, expected: &Tensor, allowed: f64) -> Result<(), String> {
    if found.dtype() != expected.dtype() || found.shape() != expected.shape() {
        return Err(format!("{found:?}, the reference {expected:?}"));
    }
    let differs = |a: f64, b: f64| {
        let near = found.dtype().is_float() && (a - b).abs() <= allowed * b.abs().max(1.0);
        !(near || a == b || a.is_nan() && b.is_nan())
    };
    let pairs = found.iter().zip(expected.iter()).map(|(a, b)| (a.as_f64(), b.as_f64()));
    match pairs.enumerate().find(|(_, (a, b))| differs(*a, *b)) {
        None => Ok(()),
        Some((at, (a, b))) => Err(format!("element {at} is {a}, the reference says {b}")),
    }
}
