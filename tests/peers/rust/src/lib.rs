//! What the Rust runtimes share: the files that models.py has made, and the lines that run.py reads.
//!
//! Invariant: one line of JSON out when loaded, then one for each line in, as worker.py does.

use serde_json::{Value, json};
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Instant;

/// An array of a `.npy` file.
pub struct Array {
    /// Its name in the model.
    pub name: String,
    /// Row-major.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Data,
}

/// Elements of the types that workloads have.
pub enum Data {
    /// Inputs.
    F32(Vec<f32>),
    /// Token ids.
    I64(Vec<i64>),
    /// The reference.
    F64(Vec<f64>),
}

/// A workload, as the command line names it: `peer-X WORKLOAD THREADS`.
pub struct Workload {
    /// The ONNX file.
    pub model: PathBuf,
    /// How many threads the runtime may use.
    pub threads: usize,
    /// In the order of the manifest.
    pub inputs: Vec<Array>,
    /// Names.
    pub outputs: Vec<String>,
    wanted: Vec<Array>,
}

impl Workload {
    /// Reads the command line and the files.
    pub fn read() -> Workload {
        let made = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../made");
        let mut words = std::env::args().skip(1);
        let name = words.next().expect("a workload");
        let threads = words.next().and_then(|word| word.parse().ok()).expect("a number of threads");
        let manifest = std::fs::read_to_string(made.join("manifest.json")).expect("models.py has been run");
        let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
        let names = |key: &str| -> Vec<String> {
            let list = manifest[&name][key].as_array().expect("a workload of the manifest");
            list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
        };
        let folder = made.join("io").join(&name);
        let array = |kind: &str, name: &String| npy(&folder.join(format!("{kind}_{name}.npy")), name);
        Workload {
            model: made.join(format!("{name}.onnx")),
            threads,
            inputs: names("inputs").iter().map(|name| array("in", name)).collect(),
            wanted: names("outputs").iter().map(|name| array("out", name)).collect(),
            outputs: names("outputs"),
        }
    }

    /// Loads, checks one call and then times as many as are asked for.
    pub fn serve<S, O>(
        self,
        version: &str,
        load: impl FnOnce(&Workload) -> S,
        run: impl Fn(&S) -> O,
        fetch: impl FnOnce(O) -> Vec<Vec<f32>>,
    ) {
        let begun = Instant::now();
        let session = load(&self);
        let loaded = begun.elapsed().as_secs_f64();
        let outputs = run(&session);
        let first = begun.elapsed().as_secs_f64() - loaded;
        let error = self.error(&fetch(outputs));
        println!("{}", json!({"load": loaded, "first": first, "error": error, "version": version}));
        for line in std::io::stdin().lock().lines() {
            let asked: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            let number = |key: &str| asked[key].as_u64().expect("a number");
            let batch = || {
                let begun = Instant::now();
                (0..number("calls")).for_each(|_| drop(run(&session)));
                begun.elapsed().as_secs_f64()
            };
            println!("{}", Value::from((0..number("batches")).map(|_| batch()).collect::<Vec<f64>>()));
        }
    }

    /// The largest |y - r| of each output as a share of its largest |r|; of these the largest.
    fn error(&self, found: &[Vec<f32>]) -> f64 {
        let mut worst = 0f64;
        for (found, wanted) in found.iter().zip(&self.wanted) {
            let Data::F64(wanted) = &wanted.data else { panic!("a reference is f64") };
            assert_eq!(found.len(), wanted.len());
            let top = wanted.iter().fold(0f64, |top, r| top.max(r.abs()));
            worst = found.iter().zip(wanted).fold(worst, |worst, (y, r)| worst.max((f64::from(*y) - r).abs() / top));
        }
        worst
    }
}

/// The `.npy` files that numpy writes of whole arrays: little-endian, row-major.
fn npy(path: &PathBuf, name: &str) -> Array {
    let bytes = std::fs::read(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (head, body) = (String::from_utf8_lossy(&bytes[10..10 + length]), &bytes[10 + length..]);
    let dims = head.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next()).expect("a shape");
    let data = match head.as_ref() {
        head if head.contains("<f4") => Data::F32(body.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        head if head.contains("<f8") => Data::F64(body.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
        _ => Data::I64(body.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
    };
    Array { name: name.to_owned(), shape: dims.split(',').filter_map(|dim| dim.trim().parse().ok()).collect(), data }
}
