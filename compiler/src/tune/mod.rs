//! What is found by running models: how good they are on data, which ranges their values have, what a profile may cost.
//!
//! It drives the pipeline, graph in and session out, and hands passes plain data.
//! Invariant: the same model, profile and data give the same result; nothing depends on how long something took.

mod budget;
mod calibrate;
mod compress;
mod data;
mod error;
mod matrix;
mod measure;
mod metric;
mod orders;
mod paired;
mod prune;
mod quantize;
mod ranges;
mod sensitivity;
mod stats;
mod taps;

pub use compress::{Compressed, Decision, Site, compress};
pub use data::{Batches, DataSet, rows, sketch};
pub use error::TuneError;
pub use measure::{Watch, measured};
pub use metric::{Metric, Sample, Tally};
pub use orders::{Order, Orders};
pub use stats::Interval;
