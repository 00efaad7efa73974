//! How the program ends when it should not have to: a bug of mlc, or an interruption.
//!
//! Invariant: no temporary file stays. A bug exits with 101 and leaves a reproducer, an interruption exits with 130.

use super::output;
use mlc_runtime::weights::remove_unfinished;
use std::backtrace::Backtrace;
use std::fmt::Write;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a bug.
const BUG: i32 = 101;
/// The exit code of an interrupted process.
const INTERRUPTED: i32 = 130;
/// No larger model is put into a reproducer.
const MOST_TEXT: u64 = 1 << 20;

/// Makes every panic of this process a report, and every interruption an orderly end.
pub fn install() {
    std::panic::set_hook(Box::new(bug));
    let interrupted = || {
        remove_unfinished();
        std::process::exit(INTERRUPTED);
    };
    // A process that may not handle signals is ended by them, as any other.
    let _ = ctrlc::set_handler(interrupted);
}

fn bug(panic: &PanicHookInfo) {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if REPORTED.swap(true, Ordering::SeqCst) {
        return;
    }
    remove_unfinished();
    let message = panic.payload_as_str().unwrap_or("a panic without a message");
    let place = panic.location().map_or_else(String::new, |at| format!(" (at {}:{})", at.file(), at.line()));
    output::message(&format!("this is a bug in mlc: {message}{place}"));
    match save(&reproducer(message, &place)) {
        Some(path) => {
            output::message(&format!(
                "  what it takes to find it is in {}: please report it with that file",
                path.display()
            ));
        }
        None => output::message("  please report it with the command and the model"),
    }
    std::process::exit(BUG);
}

/// The command line, where it happened, and the text of the models that were named.
fn reproducer(message: &str, place: &str) -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let (version, system) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    let mut text = format!("mlc {version} on {} {system}\n{message}{place}\n", std::env::consts::ARCH);
    let _ = writeln!(text, "\n--- command\n{words:?}");
    for path in words.iter().map(Path::new).filter(|path| path.extension().is_some_and(|e| e == "mdl")) {
        let small = path.metadata().is_ok_and(|found| found.is_file() && found.len() <= MOST_TEXT);
        if let Some(model) = small.then(|| std::fs::read(path).ok()).flatten() {
            let _ = writeln!(text, "\n--- file {}\n{}", path.display(), String::from_utf8_lossy(&model));
        }
    }
    let _ = writeln!(text, "\n--- backtrace\n{}", Backtrace::force_capture());
    text
}

/// A new file among the system's temporary ones, that only its owner may read.
fn save(text: &str) -> Option<PathBuf> {
    let file = tempfile::Builder::new().prefix("mlc-bug-").suffix(".txt").tempfile().ok()?;
    std::fs::write(file.path(), text).ok()?;
    file.keep().ok().map(|(_, path)| path)
}
