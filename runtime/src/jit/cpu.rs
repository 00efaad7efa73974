//! The levels of `--cpu`, and Cranelift's view of them.

use super::JitError;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable, Flags};
use mlc_codegen::cpu::Isa;
use std::fmt::{self, Write};
use std::str::FromStr;
use target_lexicon::{Architecture, Triple};

/// Which instructions code may use: the words of `--cpu`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cpu {
    /// All that this machine has.
    #[default]
    Native,
    /// SSE4.2.
    V2,
    /// AVX2 and FMA.
    V3,
    /// AVX-512.
    V4,
    /// What every machine of the architecture has.
    Generic,
}

/// What code is made with: an instruction set for lowering, and Cranelift for leaves, which keep the order that they were
/// written in, and for drivers, which are optimised.
pub(super) struct Target {
    pub(super) isa: Isa,
    pub(super) leaf: OwnedTargetIsa,
    pub(super) driver: OwnedTargetIsa,
}

/// A word that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no CPU level; levels are native, x86-64-v2, x86-64-v3, x86-64-v4, generic")]
pub struct UnknownCpu(pub String);

/// Cranelift's features of each x86-64 level, each beside those of the levels before.
const V2: [&str; 6] = ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt", "has_cmpxchg16b"];
const V3: [&str; 6] = ["has_avx", "has_avx2", "has_fma", "has_bmi1", "has_bmi2", "has_lzcnt"];
const V4: [&str; 3] = ["has_avx512f", "has_avx512dq", "has_avx512vl"];

impl Target {
    /// All that decides about code beside the kernels, in words.
    pub(super) fn settings(&self) -> String {
        let mut words = format!("{:?}", self.isa);
        for isa in [&self.leaf, &self.driver] {
            let (triple, flags) = (isa.triple(), isa.flags());
            let machine = isa.isa_flags().into_iter().map(|flag| flag.to_string()).collect::<Vec<_>>().join(" ");
            write!(words, "\n{triple}\n{flags}\n{machine}").expect("a string takes any text");
        }
        words
    }
}

impl Cpu {
    /// Every level.
    pub const ALL: [Cpu; 5] = [Cpu::Native, Cpu::V2, Cpu::V3, Cpu::V4, Cpu::Generic];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Cpu::Native => "native",
            Cpu::V2 => "x86-64-v2",
            Cpu::V3 => "x86-64-v3",
            Cpu::V4 => "x86-64-v4",
            Cpu::Generic => "generic",
        }
    }

    /// The level that this machine has, native being the highest of them.
    pub fn resolved(self) -> Cpu {
        match self {
            Cpu::Native => {
                [Cpu::V4, Cpu::V3, Cpu::V2].into_iter().find(|level| level.runs_here()).unwrap_or(Cpu::Generic)
            }
            level => level,
        }
    }

    /// Whether this machine can run code of the level.
    pub fn runs_here(self) -> bool {
        match self {
            Cpu::Native | Cpu::Generic => true,
            _ => host_has(self),
        }
    }

    /// Answers the device words of a plan's guards.
    pub fn has(self, word: &str) -> bool {
        match word {
            "cpu" => true,
            "avx2" => matches!(self.resolved(), Cpu::V3 | Cpu::V4),
            "avx512" => self.resolved() == Cpu::V4,
            _ => false,
        }
    }

    /// What code for this machine is made with.
    pub(super) fn host(self) -> Result<Target, JitError> {
        if !self.runs_here() {
            return Err(JitError::Cpu { level: self.name() });
        }
        self.target(&Triple::host(), false)
    }

    /// What code for a triple is made with.
    pub(super) fn target(self, triple: &Triple, pic: bool) -> Result<Target, JitError> {
        let isa = match self {
            Cpu::Native if *triple != Triple::host() => Isa::Portable,
            Cpu::Native => host_isa(self.resolved().isa()),
            level if triple.architecture == Architecture::X86_64 => level.resolved().isa(),
            _ => Isa::Portable,
        };
        Ok(Target { isa, leaf: self.build(triple, pic, "none")?, driver: self.build(triple, pic, "speed")? })
    }

    fn isa(self) -> Isa {
        match self {
            Cpu::V3 => Isa::Avx2,
            Cpu::V4 => Isa::Avx512,
            Cpu::Native | Cpu::V2 | Cpu::Generic => Isa::Portable,
        }
    }

    fn build(self, triple: &Triple, pic: bool, opt_level: &str) -> Result<OwnedTargetIsa, JitError> {
        let refused = |why: String| JitError::Target { triple: triple.to_string(), why };
        let mut builder = isa::lookup(triple.clone()).map_err(|error| refused(error.to_string()))?;
        match self {
            Cpu::Native if *triple == Triple::host() => {
                cranelift_native::infer_native_flags(&mut builder).map_err(|why| refused(why.into()))?;
            }
            _ if triple.architecture == Architecture::X86_64 => {
                self.features().for_each(|feature| builder.enable(feature).expect("a Cranelift feature of x86-64"));
            }
            _ => {}
        }
        let mut flags = settings::builder();
        let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
        let pic = if pic { "true" } else { "false" };
        for (name, value) in [("opt_level", opt_level), ("enable_verifier", verifier), ("is_pic", pic)] {
            flags.set(name, value).expect("a Cranelift setting");
        }
        builder.finish(Flags::new(flags)).map_err(|error| refused(error.to_string()))
    }

    fn features(self) -> impl Iterator<Item = &'static str> {
        let (v2, v3, v4) = match self {
            Cpu::Native | Cpu::Generic => (0, 0, 0),
            Cpu::V2 => (V2.len(), 0, 0),
            Cpu::V3 => (V2.len(), V3.len(), 0),
            Cpu::V4 => (V2.len(), V3.len(), V4.len()),
        };
        V2[..v2].iter().chain(&V3[..v3]).chain(&V4[..v4]).copied()
    }
}

#[cfg(target_arch = "x86_64")]
fn host_has(level: Cpu) -> bool {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2") && has!("popcnt") && has!("cmpxchg16b");
    let v3 = v2
        && has!("avx")
        && has!("avx2")
        && has!("fma")
        && has!("bmi1")
        && has!("bmi2")
        && has!("lzcnt")
        && has!("f16c");
    match level {
        Cpu::V2 => v2,
        Cpu::V3 => v3,
        Cpu::V4 => {
            v3 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512cd")
        }
        Cpu::Native | Cpu::Generic => true,
    }
}

/// What this machine has beyond its level.
#[cfg(target_arch = "x86_64")]
fn host_isa(isa: Isa) -> Isa {
    use std::arch::is_x86_feature_detected as has;
    match isa {
        Isa::Avx512 if has!("avx512vnni") => Isa::Avx512Vnni,
        Isa::Avx2 if has!("avxvnni") => Isa::Avx2Vnni,
        isa => isa,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn host_isa(isa: Isa) -> Isa {
    isa
}

#[cfg(not(target_arch = "x86_64"))]
fn host_has(level: Cpu) -> bool {
    matches!(level, Cpu::Native | Cpu::Generic)
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Cpu {
    type Err = UnknownCpu;

    fn from_str(word: &str) -> Result<Self, UnknownCpu> {
        Cpu::ALL.into_iter().find(|cpu| cpu.name() == word).ok_or_else(|| UnknownCpu(word.into()))
    }
}
