//! `mlc diff`: what tells two compiled models apart: what they were made by, their weights, what was measured of them.

use super::flags::ReadArgs;
use super::load;
use super::output::{self, plain};
use anyhow::Result;
use mlc_runtime::artifact::{Artifact, OpenOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mlc` file.
    #[arg(value_name = "A.mlc")]
    before: PathBuf,
    /// Another.
    #[arg(value_name = "B.mlc")]
    after: PathBuf,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// A thing of both, as each has it; `None` where one lacks it.
struct Difference {
    what: &'static str,
    name: String,
    before: Option<String>,
    after: Option<String>,
}

/// `Ok(true)` when nothing differs.
pub(super) fn run(args: &Args) -> Result<bool> {
    let options = OpenOptions { mmap: args.read.weights().mmap, verify_weights: false };
    let [a, b] = [&args.before, &args.after].map(|path| load::open_artifact(path, options));
    let found = differences(&a?, &b?);
    if args.json {
        let rows: Vec<Value> = found.iter().map(Difference::json).collect();
        output::data(&format!("{}\n", json!({"same": rows.is_empty(), "differences": rows})));
    } else {
        found.iter().for_each(|difference| output::data(&format!("{}\n", difference.line())));
    }
    Ok(found.is_empty())
}

impl Difference {
    fn line(&self) -> String {
        let Difference { what, name, before, after } = self;
        let shown = |side: &Option<String>| side.as_ref().map_or_else(|| "none".to_owned(), |text| plain(text));
        let name = if name.is_empty() { String::new() } else { format!("{}: ", plain(name)) };
        format!("{what:10} {name}{} -> {}", shown(before), shown(after))
    }

    fn json(&self) -> Value {
        json!({"what": self.what, "name": self.name, "before": self.before, "after": self.after})
    }
}

fn differences(a: &Artifact, b: &Artifact) -> Vec<Difference> {
    let mut found = vec![];
    let mut compare = |what: &'static str, a: BTreeMap<String, String>, b: BTreeMap<String, String>| {
        let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for name in names {
            let (before, after) = (a.get(name).cloned(), b.get(name).cloned());
            if before != after {
                found.push(Difference { what, name: name.clone(), before, after });
            }
        }
    };
    let one = |value: Option<String>| value.map(|value| (String::new(), value)).into_iter().collect();
    compare("model", one(Some(a.meta.model.clone())), one(Some(b.meta.model.clone())));
    compare("source", one(Some(a.meta.source_hash.clone())), one(Some(b.meta.source_hash.clone())));
    compare("passes", one(Some(a.meta.pipeline.clone())), one(Some(b.meta.pipeline.clone())));
    compare("profile", one(a.meta.profile.clone()), one(b.meta.profile.clone()));
    compare("measured", figures(a), figures(b));
    compare("weight", decisions(a), decisions(b));
    compare("constant", constants(a), constants(b));
    found
}

/// The figures of a certificate.
fn figures(artifact: &Artifact) -> BTreeMap<String, String> {
    let Some(Value::Object(fields)) = &artifact.meta.certificate else { return BTreeMap::new() };
    let told = fields.iter().filter(|(key, value)| *key != "decisions" && !value.is_null());
    told.map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect()
}

/// What became of each weight, as a certificate has it.
fn decisions(artifact: &Artifact) -> BTreeMap<String, String> {
    let rows = artifact.meta.certificate.as_ref().and_then(|certificate| certificate["decisions"].as_array());
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for row in rows.into_iter().flatten() {
        let form = row["form"].as_str().unwrap_or("stays");
        let text = found.entry(row["weight"].as_str().unwrap_or("").to_owned()).or_default();
        *text = if text.is_empty() { form.to_owned() } else { format!("{text}, {form}") };
    }
    found
}

/// How each constant is kept, in how many bytes, and which.
fn constants(artifact: &Artifact) -> BTreeMap<String, String> {
    let all = artifact.plan.constants.iter().zip(artifact.constants()).enumerate();
    let one = |(i, ((storage, elements), constant)): (usize, (&(mlc_codegen::base::Storage, i64), _))| {
        let constant: &mlc_runtime::artifact::Constant = constant;
        let name = artifact.meta.constants.get(i).cloned().unwrap_or_else(|| format!("c{i}"));
        let hash = blake3::hash(constant.bytes()).to_hex();
        (name, format!("{storage}*{elements}, {} bytes, {}", constant.bytes().len(), &hash[..8]))
    };
    all.map(one).collect()
}
