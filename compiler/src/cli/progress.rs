//! Bars for long work: on stderr, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// A bar over `total` steps of `what`; it leaves no trace when it is dropped.
pub(super) fn steps(what: &'static str, total: u64) -> ProgressBar {
    bar(what, total, "{msg} [{bar:30}] {pos} of {len}, {eta} left")
}

/// A bar over samples, for what counts them itself.
pub(super) fn samples() -> impl FnMut(usize, usize) {
    let mut bar = None;
    move |done, all| {
        let bar = bar.get_or_insert_with(|| steps("samples", all as u64));
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    }
}

/// A bar over `total` bytes of `what`.
pub(super) fn bytes(what: &'static str, total: u64) -> ProgressBar {
    bar(what, total, "{msg} [{bar:30}] {binary_bytes} of {binary_total_bytes}")
}

fn bar(what: &'static str, total: u64, template: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
    bar.set_style(ProgressStyle::with_template(template).expect("the templates above are well formed"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_finish(indicatif::ProgressFinish::AndClear)
}
