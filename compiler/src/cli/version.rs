//! `mlc --version`, and with `--verbose` what a report of a fault should hold.

use super::{host, output};
use mlc_runtime::session::Cpu;
use target_lexicon::Triple;

/// Prints the version; `verbose` also prints what this program was made for and what the machine offers.
pub(super) fn print(verbose: bool) {
    let mut text = format!("mlc {}\n", env!("CARGO_PKG_VERSION"));
    if verbose {
        let missing = || "unknown".to_owned();
        let listed = |parts: Vec<String>| if parts.is_empty() { missing() } else { parts.join(", ") };
        let features = host::features().into_iter().map(str::to_owned).collect();
        let driver = host::cuda_driver().map_or("no driver found".into(), |version| format!("driver {version}"));
        for (what, value) in [
            ("target", Triple::host().to_string()),
            ("processor", host::processor().unwrap_or_else(missing)),
            ("level", Cpu::Native.resolved().to_string()),
            ("features", listed(features)),
            ("caches", listed(host::caches())),
            ("threads", host::threads().to_string()),
            ("cuda", format!("{driver}; not in this build")),
        ] {
            text += &format!("{what:10} {value}\n");
        }
    }
    output::data(&text);
}
