//! How the program ends when it cannot finish: a full disk, an interruption, a bug. Nothing half-written stays.

use mlc_tests::golden::program;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const MODEL: &str = "mdl 1
model M {
  weights from \"w.safetensors\"
  entry main(x: f32[4096]) -> f32[8192] {
    weight w: f32[4096, 8192] from \"w\"
    return x @ w
  }
}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("m.mdl"), MODEL).expect("written");
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A line of the shell in a folder; `$MLC` is the program.
fn shell(folder: &Path, line: &str) -> Output {
    let mlc = program().expect("mlc is built");
    Command::new("sh").args(["-c", line]).env("MLC", mlc).current_dir(folder).output().expect("a shell")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_leaves_no_part_of_an_artifact() {
    let folder = folder();
    std::fs::write(folder.path().join("m.mlc"), "as it was").expect("written");
    let build = "trap '' XFSZ; ulimit -f 64; exec \"$MLC\" build m.mdl --weights random:1 -o m.mlc";
    let output = shell(folder.path(), build);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("error[MDL0007]: cannot write `m.mlc`: file too large"), "{}", said(&output));
    assert_eq!(names(folder.path()), ["m.mdl", "m.mlc"]);
    assert_eq!(std::fs::read(folder.path().join("m.mlc")).expect("it is there"), b"as it was");
}

#[test]
fn a_full_device_is_an_error_with_a_code() {
    let folder = folder();
    for line in ["\"$MLC\" build m.mdl --weights random:1 -o /dev/full", "\"$MLC\" ops > /dev/full"] {
        let output = shell(folder.path(), line);
        assert_eq!(output.status.code(), Some(1), "{line}: {}", said(&output));
        assert!(said(&output).contains("error[MDL0007]"), "{line}: {}", said(&output));
        assert!(said(&output).contains("no space left on device"), "{line}: {}", said(&output));
    }
    let gone = shell(folder.path(), "\"$MLC\" ops | head -n 1");
    assert_eq!(said(&gone), "", "a reader that goes away is no error");
}

#[test]
fn an_interruption_leaves_no_temporary_file() {
    let folder = folder();
    let mut build = Command::new(program().expect("mlc is built"))
        .args(["build", "m.mdl", "--weights", "random:1", "-o", "m.mlc"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("mlc starts");
    let start = Instant::now();
    while !names(folder.path()).iter().any(|name| name.starts_with(".mlc-")) {
        assert!(start.elapsed() < Duration::from_secs(60) && build.try_wait().expect("a child").is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let signal = Command::new("kill").args(["-INT", &build.id().to_string()]).status().expect("kill");
    assert!(signal.success());
    assert_eq!(build.wait().expect("it ends").code(), Some(130));
    assert_eq!(names(folder.path()), ["m.mdl"]);
}

/// Run by the next test in a process of its own, for it ends that process.
#[test]
#[ignore = "ends the process"]
fn a_bug() {
    mlc::cli::report_bugs();
    let path = std::env::args().find(|word| word.ends_with(".mdl")).expect("a model was named");
    let folder = Path::new(&path).parent().expect("it lies in a folder").to_path_buf();
    let written = mlc_runtime::weights::write_aside(&folder.join("m.mlc"), |_| panic!("two and two are five"));
    panic!("the process went on: {written:?}");
}

#[test]
fn a_bug_says_so_and_leaves_a_reproducer() {
    let folder = folder();
    let reports = tempfile::tempdir().expect("a folder");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "a_bug", "--nocapture"])
        .arg(folder.path().join("m.mdl"))
        .env("TMPDIR", reports.path())
        .output()
        .expect("a child");
    assert_eq!(output.status.code(), Some(101));
    assert!(said(&output).contains("this is a bug in mlc: two and two are five"), "{}", said(&output));
    assert_eq!(names(folder.path()), ["m.mdl"], "no temporary file stays");
    let report = names(reports.path());
    assert_eq!(report.len(), 1, "{report:?}");
    let text = std::fs::read_to_string(reports.path().join(&report[0])).expect("a reproducer");
    assert!(said(&output).contains(&report[0]));
    for part in ["two and two are five", "--- command", "m.mdl", MODEL] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}
