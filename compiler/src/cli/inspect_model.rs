//! `mlc inspect m.mlc`: what a compiled model takes and gives, what it is made of, and who wrote it.

use super::load;
use super::output::{self, plain};
use anyhow::Result;
use mlc_codegen::base::{Slot, SlotDef, Storage};
use mlc_codegen::kernel::{Body, EntryPlan, Kernel, Plan, Port, Step};
use mlc_runtime::artifact::{Artifact, Layout, OpenOptions};
use mlc_runtime::session::{JitError, check_model, human};
use serde_json::{Value, json};
use std::path::Path;

/// Prints it as text, or as one JSON object.
pub(super) fn run(path: &Path, as_json: bool, options: OpenOptions) -> Result<bool> {
    let layout = Artifact::layout(path)?;
    let artifact = load::open_artifact(path, options)?;
    check_model(&artifact).map_err(JitError::from)?;
    let shown = Shown { layout, artifact: &artifact, plan: &artifact.plan };
    output::data(&if as_json { format!("{:#}\n", shown.json()) } else { shown.text() });
    Ok(true)
}

struct Shown<'a> {
    layout: Layout,
    artifact: &'a Artifact,
    plan: &'a Plan,
}

impl Shown<'_> {
    fn text(&self) -> String {
        let Shown { layout, artifact: Artifact { meta, .. }, plan } = self;
        let mut text = format!("model      {}\n", plain(&meta.model));
        text += &format!("format     {}, written by mlc {}\n", layout.format, layout.writer);
        text += &format!("source     {}\n", plain(&meta.source_hash));
        text += &format!("passes     {}\n", plain(&meta.pipeline));
        text += &format!("target     {}\n", plain(&meta.target));
        let others = [("profile", &meta.profile), ("licence", &meta.licence)];
        for (what, value) in others.iter().filter_map(|(what, value)| Some((what, value.as_ref()?))) {
            text += &format!("{what:10} {}\n", plain(value));
        }
        if let Some(certificate) = &meta.certificate {
            text += &format!("measured   {}\n", plain(&certificate.to_string()));
        }
        let sections: Vec<String> = layout.sections.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
        text += &format!("bytes      {} ({})\n", layout.bytes, sections.join(", "));
        for (_, def) in plan.slots.iter() {
            if let SlotDef::Given { name, lo, hi, size } = def {
                let (word, hi) =
                    (if *size { "size" } else { "dim" }, bound(*hi).map_or(String::new(), |hi| hi.to_string()));
                text += &format!("{word:10} {} in {lo}..={hi}\n", plain(name));
            }
        }
        plan.entries.iter().for_each(|entry| text += &self.entry(entry));
        for state in &plan.states {
            let port = Port { name: String::new(), dtype: state.dtype, dims: state.dims.clone(), source: 0 };
            text += &format!("state      {}: {}\n", plain(&state.name), port.show(&plan.slots));
        }
        text += &format!("kernels    {}\n", plan.kernels.len());
        for (i, kernel) in plan.kernels.iter().enumerate() {
            text += &format!("  k{i:<8} {:9} {}\n", skeleton(kernel), plain(&kernel.name));
        }
        text += &format!("constants  {}, {}\n", plan.constants.len(), human(self.constant_bytes()));
        for (i, (storage, elements)) in plan.constants.iter().enumerate() {
            let bytes = self.artifact.constants()[i].bytes().len();
            let zeros = self.density(i).map_or(String::new(), |share| format!(", {share:.1} % are not zero"));
            text += &format!("  c{i:<8} {:9} {}{zeros}\n", format!("{storage}*{elements}"), self.named(i, bytes));
        }
        text
    }

    /// The share of a sparse constant's numbers that are not zero, in percent.
    fn density(&self, constant: usize) -> Option<f64> {
        let (Storage::Sparse(sparse), elements) = self.plan.constants[constant] else { return None };
        let found = sparse.entries(self.artifact.constants()[constant].bytes());
        Some(found as f64 / elements.max(1) as f64 * 100.0)
    }

    fn named(&self, constant: usize, bytes: usize) -> String {
        match self.artifact.meta.constants.get(constant) {
            Some(name) => format!("{}, {bytes} bytes", plain(name)),
            None => format!("{bytes} bytes"),
        }
    }

    fn entry(&self, entry: &EntryPlan) -> String {
        let slots = &self.plan.slots;
        let ports = |ports: &[Port]| -> String {
            let shown: Vec<String> =
                ports.iter().map(|port| format!("{}: {}", plain(&port.name), plain(&port.show(slots)))).collect();
            shown.join(", ")
        };
        let sizes: String = entry.sizes.iter().map(|(name, _)| format!(", {}: size", plain(name))).collect();
        let takes = ports(&entry.inputs) + &sizes;
        let calls = format!("{} calls", calls(&entry.steps));
        let name = plain(&entry.name);
        let arena = plain(&slots.show(&entry.arena));
        format!(
            "entry      {name}({}) -> {}\n           {calls}, {arena} bytes for intermediate values\n",
            takes.trim_start_matches(", "),
            ports(&entry.outputs)
        )
    }

    fn constant_bytes(&self) -> u64 {
        self.artifact.constants().iter().map(|constant| constant.bytes().len() as u64).sum()
    }

    fn json(&self) -> Value {
        let Shown { layout, artifact: Artifact { meta, .. }, plan } = self;
        let slots = &plan.slots;
        let port = |port: &Port| json!({"name": port.name, "type": port.show(slots)});
        let entry = |entry: &EntryPlan| {
            let sizes: Vec<&String> = entry.sizes.iter().map(|(name, _)| name).collect();
            json!({
                "name": entry.name, "inputs": entry.inputs.iter().map(port).collect::<Vec<_>>(), "sizes": sizes,
                "outputs": entry.outputs.iter().map(port).collect::<Vec<_>>(), "arena": slots.show(&entry.arena),
                "calls": calls(&entry.steps),
            })
        };
        let dim = |(_, def): (Slot, &SlotDef)| match def {
            SlotDef::Given { name, lo, hi, size } => {
                Some(json!({"name": name, "lo": lo, "hi": bound(*hi), "size": size}))
            }
            _ => None,
        };
        let kernel = |kernel: &Kernel| json!({"name": kernel.name, "skeleton": skeleton(kernel)});
        let constant = |(i, (storage, elements)): (usize, &(Storage, i64))| {
            let mut shown = json!({"name": meta.constants.get(i), "storage": storage.to_string(), "elements": elements,
                   "bytes": self.artifact.constants()[i].bytes().len()});
            if let Some(density) = self.density(i) {
                shown["density"] = json!(density);
            }
            shown
        };
        let states = plan.states.iter().map(|state| {
            let port = Port { name: String::new(), dtype: state.dtype, dims: state.dims.clone(), source: 0 };
            json!({"name": state.name, "type": port.show(slots)})
        });
        let sections: serde_json::Map<String, Value> =
            layout.sections.iter().map(|(name, bytes)| ((*name).to_owned(), json!(bytes))).collect();
        json!({
            "model": meta.model, "format": layout.format, "writer": layout.writer, "source_hash": meta.source_hash,
            "pipeline": meta.pipeline, "target": meta.target, "profile": meta.profile, "licence": meta.licence,
            "docs": meta.docs, "certificate": meta.certificate, "bytes": layout.bytes, "sections": sections,
            "dims": slots.iter().filter_map(dim).collect::<Vec<_>>(),
            "entries": plan.entries.iter().map(entry).collect::<Vec<_>>(),
            "states": states.collect::<Vec<_>>(),
            "kernels": plan.kernels.iter().map(kernel).collect::<Vec<_>>(),
            "constants": plan.constants.iter().enumerate().map(constant).collect::<Vec<_>>(),
        })
    }
}

/// The greatest value of a dim, where it has one.
fn bound(hi: i64) -> Option<i64> {
    (hi != i64::MAX).then_some(hi)
}

fn skeleton(kernel: &Kernel) -> &'static str {
    match kernel.body {
        Body::Map(_) => "map",
        Body::Reduce(_) => "reduce",
        Body::Contract(_) => "contract",
        Body::Attention(_) => "attention",
        Body::Loops(_) => "loops",
    }
}

/// The calls in a tree of steps, each counted once.
pub(super) fn calls(steps: &[Step]) -> usize {
    let inside = |step: &Step| match step {
        Step::Call(_) => 1,
        Step::Loop { body, .. } => calls(body),
        Step::Branch { then, otherwise, .. } => calls(then) + calls(otherwise),
        Step::Copy { .. } | Step::Check(_) | Step::Count { .. } => 0,
    };
    steps.iter().map(inside).sum()
}
