//! Object files, linked with a C program and run: they give the bits that a session gives.
//!
//! Where there is no C compiler, or no emulator for another machine, the trials are ignored with that reason in their name.

mod harness;

use libtest_mimic::{Arguments, Failed, Trial};
use mlc::diag::SourceMap;
use mlc::frontend::{Options as CheckOptions, check};
use mlc_codegen::kernel::Kernel;
use mlc_runtime::artifact::Artifact;
use mlc_runtime::jit::{CodeTarget, Cpu, object};
use mlc_runtime::session::{Model, Options};
use mlc_runtime::tensor::Tensor;
use mlc_tests::book::blocks;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop over a family of weights, a softmax over a dim that is known when it is called, a gather, functions of the C
/// library where the CPU has none: all that a plan of calls, loops and copies holds.
const DEEP: &str = "mdl 1
block Layer(x: f32[n, 12]) -> f32[n, 12] {
  weight w: f32[12, 12] from \"w\"
  weight b: f32[12] from \"b\"
  return tanh(einsum(\"n i, o i -> n o\", x, w) + b) + floor(x * 3.0) * 0.125
}
model Deep {
  dim n in 1..=64
  entry main(ids: i64[n]) -> f32[n, n] {
    weight table: f32[7, 12] from \"table\"
    let x = gather(table, ids)
    repeat i in 0..3 carry x { let x = x |> Layer at \"layer.{i}\" }
    return softmax(einsum(\"a i, b i -> a b\", x, x), axis = -1)
  }
}";

/// A machine that objects are made for, and what links and runs them.
struct Machine {
    name: &'static str,
    triple: &'static str,
    compiler: &'static str,
    runner: Option<&'static str>,
}

const MACHINES: [Machine; 2] = [
    Machine { name: "x86_64", triple: "x86_64-unknown-linux-gnu", compiler: "cc", runner: None },
    Machine {
        name: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        compiler: "aarch64-linux-gnu-gcc",
        runner: Some("qemu-aarch64"),
    },
];

impl Machine {
    /// What is missing to run its programs here.
    fn lacks(&self) -> Option<String> {
        let there =
            |program: &str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
        if self.runner.is_none() && std::env::consts::ARCH != self.name {
            return Some(format!("this machine is no {}", self.name));
        }
        let missing = [Some(self.compiler), self.runner].into_iter().flatten().find(|program| !there(program));
        missing.map(|program| format!("no {program}"))
    }

    /// Links objects and sources in a folder, and runs the program.
    fn run(&self, folder: &Path, inputs: &[&str]) -> Result<std::process::Output, Failed> {
        let linked = Command::new(self.compiler)
            .args(["-std=c11", "-O1", "-Wall", "-Wno-unused-function", "-Werror", "-o", "program"])
            .args(self.runner.map(|_| "-static"))
            .args(inputs)
            .arg("-lm")
            .current_dir(folder)
            .output()?;
        if !linked.status.success() {
            return Err(String::from_utf8_lossy(&linked.stderr).into_owned().into());
        }
        let mut command = match self.runner {
            Some(runner) => Command::new(runner),
            None => Command::new(folder.join("program")),
        };
        command.args(self.runner.map(|_| "program")).current_dir(folder);
        let output = command.output()?;
        let told = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(output) } else { Err(told.into()) }
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for machine in &MACHINES {
        let lacking = machine.lacks();
        let kind = lacking.clone().map_or(String::new(), |why| format!("skipped, {why}"));
        let mut add = |name: String, run: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
            let trial = Trial::test(format!("{} {name}", machine.name), run);
            trials.push(trial.with_kind(&kind).with_ignored_flag(lacking.is_some()));
        };
        let levels: &[Cpu] = if machine.runner.is_none() { &[Cpu::Native, Cpu::Generic] } else { &[Cpu::Generic] };
        for cpu in levels.iter().copied() {
            add(format!("fashion_mlp {cpu}"), Box::new(move || fashion(machine, "fashion_mlp", cpu)));
            add(format!("fashion_cnn {cpu}"), Box::new(move || fashion(machine, "fashion_cnn", cpu)));
            add(format!("deep {cpu}"), Box::new(move || deep(machine, cpu)));
        }
        add("the book's program".into(), Box::new(move || book(machine)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fashion(machine: &Machine, name: &str, cpu: Cpu) -> Result<(), Failed> {
    let path = root().join("examples").join(format!("{name}.mdl"));
    let artifact = built(&std::fs::read_to_string(&path)?, path.parent())?;
    let pixels = (0..5 * 784).map(|i| (i * 37 % 256) as f32 / 255.0);
    let image = Tensor::from_f32([5, 784], pixels.collect::<Vec<_>>())?;
    compared(machine, artifact, &[("image", &image)], cpu)
}

fn deep(machine: &Machine, cpu: Cpu) -> Result<(), Failed> {
    let ids: Vec<i64> = (0..19).map(|i| i * 5 % 7).collect();
    let ids = Tensor::from_elements([19], &ids)?;
    compared(machine, built(DEEP, None)?, &[("ids", &ids)], cpu)
}

fn built(text: &str, folder: Option<&Path>) -> Result<Artifact, Failed> {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", text);
    let random_weights = folder.is_none().then_some(7);
    let options = CheckOptions { folder: folder.map(Path::to_owned), random_weights, ..CheckOptions::default() };
    let checked = check(&mut sources, file, &options);
    let graph = checked.graph.ok_or_else(|| format!("{:?}", checked.diagnostics))?;
    Ok(mlc::artifact(&graph, &sources, file)?)
}

/// Runs the first entry in a session, and the object file under a program that walks its plan.
fn compared(machine: &Machine, artifact: Artifact, inputs: &[(&str, &Tensor)], cpu: Cpu) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes);
    let target = CodeTarget { triple: Some(machine.triple.into()), cpu };
    put("m.o", &object(&artifact.plan.kernels, "m", &target)?)?;
    for (i, constant) in artifact.constants().iter().enumerate() {
        put(&format!("c{i}.bin"), constant.bytes())?;
    }
    for (i, (_, tensor)) in inputs.iter().enumerate() {
        put(&format!("i{i}.bin"), tensor.bytes())?;
    }
    let (plan, entry) = (artifact.plan.clone(), artifact.plan.entries[0].clone());
    let mut block = vec![0; plan.slots.len()];
    for (port, (_, tensor)) in entry.inputs.iter().zip(inputs) {
        for (dim, extent) in port.dims.iter().zip(tensor.shape()) {
            dim.as_slot().into_iter().for_each(|slot| block[slot.0 as usize] = *extent as i64);
        }
    }
    plan.slots.fill(&mut block)?;
    let symbols: Vec<String> = plan.kernels.iter().enumerate().map(symbol).collect();
    put("main.c", harness::program(&plan, &entry, &block, &symbols).as_bytes())?;
    machine.run(folder.path(), &["main.c", "m.o"])?;
    let model = Model::load(artifact, Options { threads: 2, cpu, ..Options::default() })?;
    for (i, (name, wanted)) in model.session().run(None, inputs, &[])?.into_iter().enumerate() {
        let found = std::fs::read(folder.path().join(format!("o{i}.bin")))?;
        let found = Tensor::new(wanted.dtype(), wanted.shape(), &found)?;
        let near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
        let equal = match machine.runner {
            None => found == wanted,
            // Another machine joins multiplications and additions where this one may not.
            Some(_) => found.to_f64_vec().into_iter().zip(wanted.to_f64_vec()).all(near),
        };
        if !equal {
            return Err(format!("`{name}` differs: {:?} and {:?}", found.to_f64_vec(), wanted.to_f64_vec()).into());
        }
    }
    Ok(())
}

/// The number and the name of a kernel as symbols hold them.
fn symbol((number, kernel): (usize, &Kernel)) -> String {
    let name: String = kernel.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{number}_{name}")
}

/// The model and the C program of the book's page, by the command that stands there.
fn book(machine: &Machine) -> Result<(), Failed> {
    let page = std::fs::read_to_string(root().join("docs/src/object-files.md"))?;
    let all = blocks(&page);
    let block = |kind: &str| {
        let found = all.iter().find(|block| block.kind == kind).map(|block| block.text.as_str());
        found.ok_or_else(|| format!("the page has a block of {kind}"))
    };
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("scale.mdl"), block("mdl")?)?;
    std::fs::write(folder.path().join("main.c"), block("c")?)?;
    let built = Command::new(mlc_tests::golden::program()?)
        .args(["build", "scale.mdl", "--emit", "obj=scale.o", "--target", machine.triple, "--cpu", "generic"])
        .current_dir(folder.path())
        .output()?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).into_owned().into());
    }
    let output = machine.run(folder.path(), &["main.c", "scale.o"])?;
    let printed = String::from_utf8(output.stdout)?;
    if printed == block("text")? { Ok(()) } else { Err(printed.into()) }
}
