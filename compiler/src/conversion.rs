//! Models of other formats as `.mdl` text and tensors: what `mlc import` writes, and what every other verb runs.
//!
//! Invariant: there is one way from a foreign file to a checked model, through the text, so that running a file and
//! running what was imported from it are the same.

use crate::export::mdl::{Links, Printed, print_rolled};
use crate::import::onnx::{self, ImportError};
use mlc_runtime::tensor::Tensor;
use std::path::Path;

/// A model of another format as a model of mlc.
#[derive(Debug)]
pub struct Converted {
    /// The `.mdl` text; it reads its weights from [`Converted::weights`].
    pub text: String,
    /// The name of the file of weights in the text.
    pub weights: String,
    /// What is in it.
    pub tensors: Vec<(String, Tensor)>,
}

/// Whether a file is a model of another format, by its name.
pub fn is_foreign(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

/// An ONNX file as a model; the inputs in `bind` become numbers.
///
/// # Errors
/// It is not imported.
pub fn onnx(path: &Path, bind: &[(String, Tensor)]) -> Result<Converted, ImportError> {
    let stem = path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
    let options = onnx::Options { bind: bind.to_vec(), name: stem.clone() };
    let onnx::Imported { graph, weights: kept, about } = onnx::import(path, &options)?;
    let weights = format!("{stem}.safetensors");
    let links = Links { constants: &weights, weights: &|_| String::new() };
    let Printed { text, constants, .. } = print_rolled(&graph, &links, &kept, &about);
    Ok(Converted { text, weights, tensors: constants })
}
