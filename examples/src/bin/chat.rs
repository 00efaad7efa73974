//! Talks with a language model: one entry reads the prompt and writes the answer, its key-value cache is the model's state.

use anyhow::{Context, Error, Result};
use clap::Parser;
use mlc_examples::{ChatMl, Sampler};
use mlc_runtime::session::Session;
use mlc_runtime::tensor::Tensor;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Answers a question, or without one, each line of standard input.
#[derive(Parser)]
struct Args {
    /// What is asked.
    question: Vec<String>,
    /// 0 always takes the likeliest token; 1 draws them by their probabilities.
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Where drawing starts; the same seed gives the same answer.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// An answer is cut after so many tokens.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// The language model, a `.mdl` or `.mlc` file.
    #[arg(long, default_value = "examples/smollm2.mdl")]
    model: PathBuf,
    /// The GGUF file whose metadata hold its tokenizer.
    #[arg(long, default_value = "examples/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")]
    words: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let missing = || format!("no words in `{}`; `examples/fetch smollm2` brings them", args.words.display());
    let words = ChatMl::open(&args.words).with_context(missing)?;
    let session = mlc::compile(&args.model)?.session();
    let sampler = Sampler::new(args.temperature, args.seed);
    let mut decoder = Decoder { session, sampler, past: 0 };
    if !args.question.is_empty() {
        return answer(&mut decoder, &words, &args.question.join(" "), args.max_tokens);
    }
    for line in std::io::stdin().lock().lines() {
        answer(&mut decoder, &words, &line?, args.max_tokens)?;
    }
    Ok(())
}

/// Prints the answer while it is found, then how fast that was.
fn answer(decoder: &mut Decoder, words: &ChatMl, question: &str, longest: usize) -> Result<()> {
    let prompt = words.turn(decoder.past == 0, question)?;
    let started = Instant::now();
    let mut token = decoder.step(&prompt)?;
    let (prefill, started) = (started.elapsed(), Instant::now());
    let (mut out, mut text, mut steps) = (std::io::stdout().lock(), words.words(), 0);
    while !words.ends(token) && steps < longest {
        if let Some(piece) = text.step(token as u32).map_err(Error::from_boxed)? {
            write!(out, "{piece}")?;
            out.flush()?;
        }
        token = decoder.step(&[token as i64])?;
        steps += 1;
    }
    writeln!(out)?;
    let speed = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64();
    let (read, written) = (speed(prompt.len(), prefill), speed(steps, started.elapsed()));
    eprintln!("prefill {} tokens, {read:.1} a second; decode {steps} tokens, {written:.1} a second", prompt.len());
    Ok(())
}

/// A session, and how much it has read.
struct Decoder {
    session: Session,
    sampler: Sampler,
    /// Tokens that the cache holds.
    past: i64,
}

impl Decoder {
    /// Reads tokens and chooses the one that follows.
    fn step(&mut self, tokens: &[i64]) -> Result<usize> {
        let input = Tensor::from_i64([1, tokens.len()], tokens)?;
        let outputs = self.session.run(None, &[("tokens", &input)], &[("past", self.past)])?;
        self.past += tokens.len() as i64;
        Ok(self.sampler.choose(&outputs[0].1.to_f32_vec()))
    }
}
