//! Finds where somebody speaks: a streaming detector hears a recording 32 ms at a time, its memory is the model's state.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mlc_examples::Wav;
use mlc_runtime::tensor::Tensor;
use std::path::PathBuf;

/// Prints from when to when somebody speaks, in seconds.
#[derive(Parser)]
struct Args {
    /// WAV files: 16 kHz, 16-bit PCM, one channel.
    #[arg(required = true)]
    sounds: Vec<PathBuf>,
    /// Speech begins where its probability reaches this, and ends where it falls 0.15 below.
    #[arg(long, default_value_t = 0.5)]
    threshold: f32,
    /// Shorter pauses belong to the speech around them, in seconds.
    #[arg(long, default_value_t = 0.2)]
    pause: f32,
    /// The voice detector, a `.mdl` or `.mlc` file.
    #[arg(long, default_value = "examples/silero_vad.mdl")]
    model: PathBuf,
}

const RATE: u32 = 16_000;
const FRAME: usize = 512;

fn main() -> Result<()> {
    let args = Args::parse();
    let mut session = mlc::compile(&args.model)?.session();
    for path in &args.sounds {
        let wav = Wav::open(path).with_context(|| format!("cannot hear `{}`", path.display()))?;
        ensure!(wav.rate == RATE, "`{}` has {} samples a second, not {RATE}", path.display(), wav.rate);
        session.reset();
        let mut heard = Vec::new();
        for samples in wav.samples.chunks(FRAME) {
            let mut frame = Tensor::from_f32([1, FRAME], [0.0; FRAME])?;
            frame.as_mut_slice::<f32>().expect("it is f32")[..samples.len()].copy_from_slice(samples);
            heard.push(session.run(None, &[("frame", &frame)], &[])?[0].1.get_f64(0) as f32);
        }
        println!("{}: {:.2} s", path.display(), wav.samples.len() as f32 / RATE as f32);
        let seconds = |frame: usize| (frame * FRAME).min(wav.samples.len()) as f32 / RATE as f32;
        for (start, end) in segments(&heard, args.threshold, (args.pause * RATE as f32) as usize / FRAME) {
            println!("  {:6.2} to {:6.2}", seconds(start), seconds(end));
        }
    }
    Ok(())
}

/// Runs of frames in which somebody speaks: `[start, end)`.
fn segments(heard: &[f32], threshold: f32, pause: usize) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut speaks = false;
    for (frame, probability) in heard.iter().enumerate() {
        speaks = *probability >= if speaks { threshold - 0.15 } else { threshold };
        match found.last_mut() {
            _ if !speaks => {}
            Some((_, end)) if frame - *end <= pause => *end = frame + 1,
            _ => found.push((frame, frame + 1)),
        }
    }
    found
}
