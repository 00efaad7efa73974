//! Names what a photograph shows, out of the 1000 ImageNet classes.

use anyhow::{Context, Result};
use clap::Parser;
use image::imageops::FilterType;
use image::{ImageReader, RgbImage};
use mlc_examples::best;
use mlc_runtime::tensor::Tensor;
use std::path::{Path, PathBuf};

/// Names what photographs show.
#[derive(Parser)]
struct Args {
    /// PNG or JPEG files.
    #[arg(required = true)]
    photos: Vec<PathBuf>,
    /// How many names for each.
    #[arg(short, long, default_value_t = 1)]
    top: usize,
    /// The classifier, a `.mdl` or `.mlc` file.
    #[arg(long, default_value = "examples/efficientnet_lite0.mdl")]
    model: PathBuf,
    /// The names of its classes, one a line.
    #[arg(long, default_value = "examples/data/imagenet_labels.txt")]
    labels: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let missing = || format!("cannot read `{}`; `examples/fetch labels` brings it", args.labels.display());
    let labels = std::fs::read_to_string(&args.labels).with_context(missing)?;
    let labels: Vec<&str> = labels.lines().collect();
    let mut session = mlc::compile(&args.model)?.session();
    for path in &args.photos {
        let outputs = session.run(None, &[("image", &planes(&square(path)?)?)], &[])?;
        let scores = outputs[0].1.to_f32_vec();
        let named = best(&scores, args.top).into_iter();
        let named = named.map(|class| format!("{class} {} {:.3}", labels.get(class).unwrap_or(&"?"), scores[class]));
        println!("{}: {}", path.display(), named.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

/// The largest square in the middle, scaled to the 224×224 pixels that the network was trained on.
fn square(path: &Path) -> Result<RgbImage> {
    let photo = ImageReader::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let photo = photo.with_guessed_format()?.decode();
    let photo = photo.with_context(|| format!("`{}` is no PNG or JPEG photograph", path.display()))?;
    let side = photo.width().min(photo.height());
    let (left, top) = ((photo.width() - side) / 2, (photo.height() - side) / 2);
    Ok(photo.crop_imm(left, top, side, side).resize_exact(224, 224, FilterType::Triangle).to_rgb8())
}

/// One photograph as f32[1, 3, 224, 224]: all of red, then green, then blue, each 0..255.
fn planes(photo: &RgbImage) -> Result<Tensor> {
    let plane = |channel: usize| photo.pixels().map(move |pixel| f32::from(pixel[channel]));
    let pixels: Vec<f32> = (0..3).flat_map(plane).collect();
    Ok(Tensor::from_f32([1, 3, photo.height() as usize, photo.width() as usize], pixels)?)
}
