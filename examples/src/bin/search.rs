//! Sentence search: the lines of a text file that mean most nearly what was asked.

use anyhow::{Context, Error, Result, ensure};
use clap::Parser;
use mlc_examples::best;
use mlc_runtime::session::Session;
use mlc_runtime::tensor::Tensor;
use std::path::PathBuf;
use std::time::Instant;
use tokenizers::{Encoding, PaddingParams, Tokenizer, TruncationParams};

/// Prints the lines of a text file that mean most nearly the same as a question.
#[derive(Parser)]
struct Args {
    /// A text file; each line that is not empty is one sentence.
    file: PathBuf,
    /// What is looked for, in any words.
    #[arg(required = true)]
    query: Vec<String>,
    /// How many lines to print.
    #[arg(short, long, default_value_t = 5)]
    best: usize,
    /// How many lines go through the model together.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,
    /// The sentence encoder, a `.mdl` or `.mlc` file.
    #[arg(long, default_value = "examples/minilm.mdl")]
    model: PathBuf,
    /// Its tokenizer.
    #[arg(long, default_value = "examples/models/minilm/tokenizer.json")]
    tokenizer: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let text = std::fs::read_to_string(&args.file).with_context(|| format!("cannot read `{}`", args.file.display()))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    ensure!(!lines.is_empty(), "`{}` has no line to search", args.file.display());
    let tokenizer = tokenizer(&args.tokenizer)?;
    let mut session = mlc::compile(&args.model)?.session();

    let started = Instant::now();
    let asked = embed(&mut session, &tokenizer, &[&args.query.join(" ")])?.remove(0);
    let mut scores = Vec::with_capacity(lines.len());
    for batch in lines.chunks(args.batch.into()) {
        let vectors = embed(&mut session, &tokenizer, batch)?;
        scores.extend(vectors.iter().map(|vector| vector.iter().zip(&asked).map(|(a, b)| a * b).sum::<f32>()));
    }
    eprintln!("{} lines in {:.2} s", lines.len(), started.elapsed().as_secs_f32());
    best(&scores, args.best).into_iter().for_each(|line| println!("{:.3}  {}", scores[line], lines[line]));
    Ok(())
}

/// Pads a batch to its longest line, and cuts what is longer than the model's 512 positions.
fn tokenizer(path: &PathBuf) -> Result<Tokenizer> {
    let missing = || format!("`{}` is no tokenizer; `examples/fetch minilm` brings it", path.display());
    let mut tokenizer = Tokenizer::from_file(path).map_err(Error::from_boxed).with_context(missing)?;
    tokenizer.with_padding(Some(PaddingParams::default()));
    tokenizer.with_truncation(Some(TruncationParams::default())).map_err(Error::from_boxed)?;
    Ok(tokenizer)
}

/// One vector of length 1 for each sentence.
fn embed(session: &mut Session, tokenizer: &Tokenizer, sentences: &[&str]) -> Result<Vec<Vec<f32>>> {
    let encoded = tokenizer.encode_batch(sentences.to_vec(), true).map_err(Error::from_boxed)?;
    let shape = [encoded.len(), encoded[0].len()];
    let tensor = |part: fn(&Encoding) -> &[u32]| {
        let numbers: Vec<i64> = encoded.iter().flat_map(part).map(|number| i64::from(*number)).collect();
        Tensor::from_i64(shape, numbers)
    };
    let (ids, mask) = (tensor(Encoding::get_ids)?, tensor(Encoding::get_attention_mask)?);
    let outputs = session.run(None, &[("ids", &ids), ("attention_mask", &mask)], &[])?;
    let (_, vectors) = &outputs[0];
    Ok(vectors.to_f32_vec().chunks(vectors.shape()[1]).map(<[f32]>::to_vec).collect())
}
