//! What this machine offers, from what the processor and the system say of themselves.
//!
//! Invariant: reads only; what is not told is left out.

use std::fs;
use std::path::Path;

/// The processor's name.
pub(super) fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Instruction sets beyond the architecture's first, by their usual names.
#[cfg(target_arch = "x86_64")]
pub(super) fn features() -> Vec<&'static str> {
    macro_rules! detected {
        ($($name:tt),*) => { [$(($name, std::arch::is_x86_feature_detected!($name))),*] };
    }
    let known = detected![
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "avx",
        "f16c",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "lzcnt",
        "avxvnni",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512vnni",
        "avx512bf16",
        "avx512fp16"
    ];
    known.into_iter().filter(|(_, here)| *here).map(|(name, _)| name).collect()
}

/// Instruction sets beyond the architecture's first, by their usual names.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn features() -> Vec<&'static str> {
    vec![]
}

/// `L1 data 32 KiB`, from the first core's list.
pub(super) fn caches() -> Vec<String> {
    let folder = Path::new("/sys/devices/system/cpu/cpu0/cache");
    let said = |index: usize, what: &str| {
        fs::read_to_string(folder.join(format!("index{index}/{what}"))).ok().map(|text| text.trim().to_owned())
    };
    let cache = |index: usize| {
        let (level, kind, size) = (said(index, "level")?, said(index, "type")?, said(index, "size")?);
        let kind = if kind == "Unified" { String::new() } else { format!(" {}", kind.to_lowercase()) };
        Some(format!("L{level}{kind} {}", readable(&size)))
    };
    (0..8).map_while(cache).collect()
}

/// `32K`, as the kernel writes it, for people.
fn readable(size: &str) -> String {
    match size.strip_suffix('K').and_then(|kib| kib.parse::<u64>().ok()) {
        Some(kib) if kib >= 1024 && kib % 1024 == 0 => format!("{} MiB", kib / 1024),
        Some(kib) => format!("{kib} KiB"),
        None => size.to_owned(),
    }
}

/// Threads that can run at once.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The version of NVIDIA's driver, where its kernel module is loaded.
pub(super) fn cuda_driver() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let numbers =
        text.split_whitespace().find(|word| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.'));
    numbers.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(["32K", "1024K", "1536K", "2M"].map(readable), ["32 KiB", "1 MiB", "1536 KiB", "2M"]);
    }
}
