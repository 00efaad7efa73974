//! The `mlc` program.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    mlc::cli::main()
}
