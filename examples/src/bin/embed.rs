//! The library in thirty lines: compiles a model, runs it on the pictures of a file, and counts what it names right.

use anyhow::{Context, Result};
use clap::Parser;
use mlc_runtime::npz::read_npz;
use mlc_runtime::tensor::Tensor;
use std::path::PathBuf;

/// Compiles a classifier of 28×28 pictures and runs it on those of an npz file.
#[derive(Parser)]
struct Args {
    /// A `.mdl` or `.mlc` file.
    #[arg(default_value = "examples/fashion_mlp.mdl")]
    model: PathBuf,
    /// Pictures as `image`, their classes as `labels`.
    #[arg(default_value = "examples/fashion_test_256.npz")]
    data: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let model = mlc::compile(&args.model)?;
    let data = read_npz(&args.data)?;
    let named = |key: &str| data.iter().find(|(name, _)| name == key).map(|(_, tensor)| tensor).context("no such key");
    let (images, labels): (&Tensor, &Tensor) = (named("image")?, named("labels")?);

    let outputs = model.session().run(None, &[("image", images)], &[])?;

    let (name, probabilities) = &outputs[0];
    let classes = probabilities.shape()[1];
    let best = |row: &[f32]| (0..classes).max_by(|a, b| row[*a].total_cmp(&row[*b])).expect("there are classes");
    let named = probabilities.to_f32_vec().chunks(classes).map(best).collect::<Vec<_>>();
    let right = named.iter().zip(labels.iter()).filter(|(class, label)| **class as i64 == label.as_i64()).count();
    println!("{name}: {:?}; {right} of {} pictures named right", probabilities.shape(), named.len());
    Ok(())
}
