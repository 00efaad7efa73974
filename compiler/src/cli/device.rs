//! The devices that `--device` names.

use clap::ValueEnum;

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Device {
    /// Machine code for this processor.
    #[default]
    Cpu,
    /// A CUDA device.
    Cuda,
    /// The definition of every op, in plain loops: slow, and what other devices are compared with.
    Reference,
}
