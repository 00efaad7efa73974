//! Input that nobody writes by hand: it is refused soon, with a code, in little output, and leaves nothing behind.

use mlc_tests::golden::program;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A run of `mlc` in a folder, that must end soon and say little.
fn mlc(folder: &Path, arguments: &[&str]) -> (String, Output) {
    let mut command = Command::new(program().expect("mlc is built"));
    let start = Instant::now();
    let output = command.args(arguments).current_dir(folder).output().expect("mlc runs");
    assert!(start.elapsed() < Duration::from_secs(60), "{arguments:?} took {:?}", start.elapsed());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.len() < 50_000, "{} bytes were said", said.len());
    (said, output)
}

fn checked(text: impl AsRef<[u8]>) -> (String, Option<i32>) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("m.mdl"), text).expect("written");
    let (said, output) = mlc(folder.path(), &["check", "m.mdl"]);
    (said, output.status.code())
}

fn refused(text: impl AsRef<[u8]>, code: &str) {
    let (said, exit) = checked(text);
    assert!(said.contains(&format!("error[{code}]")) && exit == Some(1), "{exit:?}: {said}");
}

#[test]
fn a_million_nested_brackets_and_signs() {
    let nested = |open: &str, close: &str| {
        let (open, close) = (open.repeat(1_000_000), close.repeat(1_000_000));
        format!("mdl 1\nfn f(x: f32[n]) -> f32[n] {{ return {open}x{close} }}\n")
    };
    refused(nested("(", ")"), "MDL0107");
    refused(nested("[", "]"), "MDL0107");
    refused(nested("-", ""), "MDL0107");
    refused(nested("not ", ""), "MDL0107");
    refused(nested("relu(", ")"), "MDL0107");
    refused(nested("(", ""), "MDL0102");
    refused(nested("", ")"), "MDL0104");
}

#[test]
fn bytes_that_are_no_text() {
    refused([0xff; 100_000], "MDL0004");
    refused([b"mdl 1\n".as_slice(), &[0; 100_000]].concat(), "MDL0106");
    refused("mdl 1\n".to_owned() + &"\u{202e}".repeat(10_000), "MDL0106");
}

#[test]
fn ten_thousand_mistakes_are_capped() {
    let lets: String = (0..10_000).map(|i| format!("  let a{i} = nothing{i}(x)\n")).collect();
    let (said, _) = checked(format!("mdl 1\nfn f(x: f32[n]) -> f32[n] {{\n{lets}  return x\n}}\n"));
    assert_eq!(said.matches("error[MDL0201]").count(), 50);
    assert!(said.contains("and 9950 more"), "{said}");
}

#[test]
fn sizes_whose_product_leaves_64_bits() {
    let model =
        |dims: &str| format!("mdl 1\nmodel M {{ entry main(x: f32[{dims}]) -> f32[{dims}] {{ return relu(x) }} }}\n");
    refused(model("9223372036854775807 * 2"), "MDL0311");
    refused(model("99999999999999999999"), "MDL0108");
    let dims: String = (0..40).map(|i| format!("  dim d{i} in 1..=9\n")).collect();
    let power = |factor: &dyn Fn(usize) -> String| {
        let product: Vec<String> = (0..40).map(factor).collect();
        format!(
            "mdl 1\nmodel M {{\n{dims}  entry main(x: f32[{0}]) -> f32[{0}] {{ return x }}\n}}\n",
            product.join(" * ")
        )
    };
    refused(power(&|i| format!("(d{i} + 1)")), "MDL0311");
    refused(power(&|_| "d0 * d0".into()), "MDL0311");
}

#[test]
fn sizes_that_reach_one_another_in_many_ways() {
    let dims: String = (1..60).map(|i| format!("  dim d{i} = (d{0} * d{0}) / 3\n", i - 1)).collect();
    let entry = "  entry main(x: f32[d59]) -> f32[d59] { return relu(x) }\n";
    let (said, exit) = checked(format!("mdl 1\nmodel M {{\n  dim d0 in 0..=3\n{dims}{entry}}}\n"));
    assert_eq!(exit, Some(0), "{said}");
}
