//! A model under test: its graph, its nodes by name, what it computes with some passes.

use mlc::diag::SourceMap;
use mlc::export::mdl::write;
use mlc::frontend::{Options as CheckOptions, check};
use mlc::graph::{Graph, NodeKind};
use mlc::passes::Pass;
use mlc::reference::Reference;
use mlc::{Pipeline, artifact_by};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::npz::write_npz;
use mlc_runtime::session::{Model, Options};
use mlc_runtime::tensor::Tensor;
use std::sync::Arc;

/// Numbers that repeat with their seed.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// In `0..below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % below
    }

    /// In `lo..hi`.
    fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.below(1 << 24) as f64 / f64::from(1 << 24)
    }

    /// Floats of size 1, and where `special` a few that are none.
    pub(crate) fn tensor(&mut self, shape: &[usize], special: bool) -> Tensor {
        const SPECIAL: [f64; 5] = [-0.0, 0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        Tensor::from_fn(DType::F32, shape, |_| {
            let rare = special && self.below(8) == 0;
            Scalar::F64(if rare { SPECIAL[self.below(5)] } else { self.between(-1.0, 1.0) })
        })
        .expect("a small tensor")
    }

    /// Integers of all sizes.
    pub(crate) fn integers(&mut self, dtype: DType, shape: &[usize]) -> Tensor {
        let (low, high) = dtype.integer_range().expect("an integer type");
        let number = |_| Scalar::from_i64(dtype, low + self.below((high - low + 1) as usize) as i64);
        Tensor::from_fn(dtype, shape, number).expect("a small tensor")
    }

    /// A weight: those of a name that ends in `var` are variances.
    fn weight(&mut self, name: &str, shape: &[usize]) -> Tensor {
        let (lo, hi) = if name.ends_with("var") { (0.2, 1.5) } else { (-1.0, 1.0) };
        Tensor::from_fn(DType::F32, shape, |_| Scalar::F64(self.between(lo, hi))).expect("a small tensor")
    }
}

/// A checked model and its weights.
pub(crate) struct Bench {
    graph: Graph,
    sources: SourceMap,
    file: u32,
    text: String,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Checks a text, whose weights are drawn. Panics where it is not sound.
    pub(crate) fn new(text: &str, weights: &[(&str, &[usize])]) -> Bench {
        let mut draw = Draw(7);
        let drawn: Vec<(String, Tensor)> =
            weights.iter().map(|(name, shape)| ((*name).to_owned(), draw.weight(name, shape))).collect();
        Bench::over(text, &drawn)
    }

    /// The same with these weights.
    pub(crate) fn over(text: &str, drawn: &[(String, Tensor)]) -> Bench {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("w.npz");
        write_npz(&path, drawn, false).expect("room for weights");
        let mut sources = SourceMap::default();
        let file = sources.add("m.mdl", text);
        let weights = (!drawn.is_empty()).then_some(path);
        let options = CheckOptions { folder: Some(folder.path().into()), weights, ..CheckOptions::default() };
        let checked = check(&mut sources, file, &options);
        let graph = checked.graph.unwrap_or_else(|| panic!("{:?}\n{text}", checked.diagnostics));
        Bench { graph, sources, file, text: text.into(), _folder: folder }
    }

    /// The graph after some passes, each verified.
    pub(crate) fn after(&self, passes: &[&str]) -> Graph {
        let mut graph = self.graph.clone();
        pipeline(passes).run(&mut graph).expect("every pass leaves a graph");
        graph
    }

    /// How often each kind of node occurs after some passes, `name` or `name*count`, in alphabetical order.
    pub(crate) fn nodes(&self, passes: &[&str]) -> String {
        let graph = self.after(passes);
        let all = graph.entries.iter().flat_map(|entry| graph.nodes_within(&entry.body));
        let mut names: Vec<&str> = all
            .map(|node| match &graph.nodes[node].kind {
                NodeKind::Op { op, .. } => op.name(),
                NodeKind::Constant { counter: None, .. } => "CONSTANT",
                NodeKind::Constant { .. } => "FAMILY",
                NodeKind::Read(_) => "READ",
                NodeKind::Set { .. } => "SET",
                NodeKind::Repeat(_) => "REPEAT",
                NodeKind::If { .. } => "IF",
                NodeKind::Fused { .. } => "FUSED",
            })
            .collect();
        names.sort_unstable();
        let counted = names.chunk_by(|a, b| a == b).map(|run| match run.len() {
            1 => run[0].to_owned(),
            n => format!("{}*{n}", run[0]),
        });
        counted.collect::<Vec<_>>().join(" ")
    }

    /// What two calls of one session give.
    pub(crate) fn outputs(&self, passes: &[&str], inputs: &[(&str, &Tensor)]) -> Vec<Tensor> {
        self.outputs_at(passes, inputs, &[])
    }

    /// The same with sizes.
    pub(crate) fn outputs_at(&self, passes: &[&str], inputs: &[(&str, &Tensor)], sizes: &[(&str, i64)]) -> Vec<Tensor> {
        let artifact = artifact_by(&pipeline(passes), &self.graph, &self.sources, self.file).expect("it builds");
        let model = Model::load(artifact, Options { threads: 1, ..Options::default() }).expect("it loads");
        let mut session = model.session();
        let mut call = || session.run(None, inputs, sizes).expect("it runs");
        let both = [call(), call()];
        both.into_iter().flatten().map(|(_, tensor)| tensor).collect()
    }

    /// What two calls mean, by the definition of the ops as they were written.
    pub(crate) fn meaning(&self, inputs: &[(&str, &Tensor)], sizes: &[(&str, i64)]) -> Vec<Tensor> {
        let mut reference = Reference::new(Arc::new(self.graph.clone()));
        let mut call = || reference.run(None, inputs, sizes).expect("it runs");
        let both = [call(), call()];
        both.into_iter().flatten().map(|(_, tensor)| tensor).collect()
    }

    /// What the text of the graph after some passes computes, once it is read back.
    pub(crate) fn reread(&self, passes: &[&str], inputs: &[(&str, &Tensor)]) -> Vec<Tensor> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("after.mdl");
        write(&self.after(passes), &path).expect("room for the text");
        let text = std::fs::read_to_string(&path).expect("it was just written");
        let mut sources = SourceMap::default();
        let file = sources.add("after.mdl", text.as_str());
        let options = CheckOptions { folder: Some(folder.path().into()), ..CheckOptions::default() };
        let checked = check(&mut sources, file, &options);
        let graph = checked.graph.unwrap_or_else(|| panic!("{:?}\n{text}", checked.diagnostics));
        Bench { graph, sources, file, text, _folder: folder }.outputs(&[], inputs)
    }

    /// Some passes change nothing that comes out: to the bit, or by at most `tolerance` of the size of a number.
    pub(crate) fn same(&self, passes: &[&str], inputs: &[(&str, &Tensor)], tolerance: f64) {
        let [before, after] = [&[][..], passes].map(|passes| self.outputs(passes, inputs));
        self.near(passes, &before, &after, tolerance);
    }

    /// Two answers are one: to the bit, or by at most `tolerance` of the size of a number.
    pub(crate) fn near(&self, passes: &[&str], before: &[Tensor], after: &[Tensor], tolerance: f64) {
        assert_eq!(before.len(), after.len());
        for (a, b) in before.iter().zip(after) {
            assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
            for (i, (x, y)) in a.iter().zip(b.iter()).enumerate() {
                let (p, q) = (x.as_f64(), y.as_f64());
                let near = (p - q).abs() <= tolerance * (1.0 + p.abs());
                assert!(
                    x == y || p.is_nan() && q.is_nan() || tolerance > 0.0 && near,
                    "{passes:?}: {i}: {p} is now {q}\n{}",
                    self.text
                );
            }
        }
    }
}

fn pipeline(passes: &[&str]) -> Pipeline {
    let named = |name: &&str| Pass::by_name(name).expect("a pass of the table");
    Pipeline { passes: passes.iter().map(named).collect(), verify: true, ..Pipeline::default() }
}
