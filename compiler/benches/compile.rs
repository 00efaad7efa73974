//! How long compiling takes: checking, building and making machine code, of the example models and of a thousand ops.
//! `cargo bench -p mlc --bench compile [FILTER]`. A model whose weights are not there is checked only, and said so.
#![allow(missing_docs, reason = "a program")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mlc::diag::SourceMap;
use mlc::frontend;
use mlc::graph::Graph;
use mlc_runtime::artifact::Artifact;
use mlc_runtime::session::{Model, Options};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MODELS: [&str; 6] = ["fashion_mlp", "fashion_cnn", "minilm", "efficientnet_lite0", "silero_vad", "smollm2"];

/// A model's text, and the folder of its weights.
struct Text {
    name: String,
    text: String,
    folder: PathBuf,
}

impl Text {
    fn example(name: &str) -> Text {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let text = std::fs::read_to_string(folder.join(format!("{name}.mdl"))).expect("an example");
        Text { name: name.into(), text, folder }
    }

    /// Five ops a step, two hundred steps; a number in each makes its kernels differ from all others.
    fn thousand() -> Text {
        let step = |i: usize| format!("    let x{} = softmax(relu(x{i} * {i}.5) - x{i} + {i}.25, axis = -1)\n", i + 1);
        let steps: String = (0..200).map(step).collect();
        let text = format!(
            "mdl 1\nmodel Thousand {{\n  entry main(x0: f32[8, 64]) -> f32[8, 64] {{\n{steps}    return x200\n  }}\n}}\n"
        );
        Text { name: "thousand_ops".into(), text, folder: PathBuf::new() }
    }

    fn check(&self, without_weights: bool) -> (Option<Graph>, SourceMap, u32) {
        let mut sources = SourceMap::default();
        let file = sources.add(format!("{}.mdl", self.name), self.text.clone());
        let options =
            frontend::Options { folder: Some(self.folder.clone()), without_weights, ..frontend::Options::default() };
        let checked = frontend::check(&mut sources, file, &options);
        (checked.graph, sources, file)
    }

    fn build(&self) -> Option<Artifact> {
        let (graph, sources, file) = self.check(false);
        Some(mlc::artifact(&graph?, &sources, file).expect("a model that checks builds"))
    }
}

fn compile(c: &mut Criterion) {
    let texts = MODELS.map(Text::example).into_iter().chain([Text::thousand()]);
    for text in texts {
        c.bench_function(&format!("check/{}", text.name), |b| b.iter(|| text.check(true).0.is_some()));
        let Some(artifact) = text.build() else {
            println!("{}: no weights, so it is not built; examples/fetch brings them", text.name);
            continue;
        };
        c.bench_function(&format!("build/{}", text.name), |b| b.iter(|| text.build()));
        let options = Options { threads: 1, ..Options::default() };
        c.bench_function(&format!("jit/{}", text.name), |b| {
            let load = |artifact| Model::load(artifact, options).expect("this machine runs it");
            b.iter_batched(|| artifact.clone(), load, BatchSize::PerIteration);
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = compile
}
criterion_main!(benches);
