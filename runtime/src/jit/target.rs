//! What code is made for, when it is not to run at once.

use super::cpu::Target;
use super::{Cpu, JitError};
use std::str::FromStr;
use target_lexicon::{Architecture, OperatingSystem, Triple};

/// The machine of a listing or an object file.
#[derive(Clone, Debug, Default)]
pub struct CodeTarget {
    /// A target triple, or `None` for this machine.
    pub triple: Option<String>,
    /// The level of its CPU; for another machine than this one, native is what all of its kind have.
    pub cpu: Cpu,
}

impl CodeTarget {
    /// The triples of `mlc targets`. Linux with another C library is taken as well.
    pub const TRIPLES: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

    /// The triple, and Cranelift's view of it.
    pub(super) fn resolve(&self, pic: bool) -> Result<(Triple, Target), JitError> {
        let triple = match &self.triple {
            None => Triple::host(),
            Some(word) => Triple::from_str(word).map_err(|error| refused(word, error.to_string()))?,
        };
        let name = triple.to_string();
        let known = matches!(triple.architecture, Architecture::X86_64 | Architecture::Aarch64(_));
        if !known || triple.operating_system != OperatingSystem::Linux {
            return Err(refused(&name, format!("code is made for {}", CodeTarget::TRIPLES.join(" and "))));
        }
        let levels = matches!(self.cpu, Cpu::V2 | Cpu::V3 | Cpu::V4);
        if levels && triple.architecture != Architecture::X86_64 {
            return Err(refused(&name, format!("{} is a level of x86-64", self.cpu)));
        }
        let target = self.cpu.target(&triple, pic)?;
        Ok((triple, target))
    }
}

fn refused(triple: &str, why: String) -> JitError {
    JitError::Target { triple: triple.into(), why }
}
