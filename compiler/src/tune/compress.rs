//! A profile carried out on a model: graph in, graph out, with what was decided about each weight.
//! Invariant: the graph that comes out is text that runs; nothing about it is known only here.

use super::calibrate::Statistics;
use super::error::TuneError;
use super::measure::Watch;
use super::orders::Orders;
use super::{budget, prune, quantize};
use crate::diag::SourceMap;
use crate::graph::{ConstantId, Graph, NodeId};
use crate::passes::quantize::Recipes;
use crate::passes::{Pass, Product};
use crate::{BuildError, Pipeline};
use mlc_runtime::session::Options;
use mlc_runtime::tensor::Tensor;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where a model stands, and how it is run while it is compressed.
pub struct Site<'s> {
    /// Its text.
    pub sources: &'s SourceMap,
    /// The file of it that was named.
    pub file: u32,
    /// What paths in the profile are relative to.
    pub folder: &'s Path,
    /// Threads and memory.
    pub options: Options,
    /// Whether a budget that the data cannot decide counts as met.
    pub accept_undecided: bool,
    /// Whether weights may stay as they are, where a budget is met only so.
    pub search: bool,
}

impl Site<'_> {
    /// A file that the profile names.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A model after its profile was carried out.
pub struct Compressed {
    /// The model.
    pub graph: Graph,
    /// What was decided, in the order of the text.
    pub decisions: Vec<Decision>,
    /// What was measured, where there is a budget: figures before and after, the bound, the data, the decisions.
    pub certificate: Option<Value>,
    /// Each model that was measured on the way, and how loud each change is.
    pub measured: Value,
}

impl Compressed {
    /// All that is known of it, as the twin of the report.
    pub fn report(&self, profile: &str) -> Value {
        let decisions: Vec<Value> = self.decisions.iter().map(Decision::json).collect();
        json!({"model": self.graph.name, "profile": profile, "mlc": env!("CARGO_PKG_VERSION"),
            "certificate": self.certificate, "decisions": decisions, "attempts": self.measured["attempts"],
            "steps": self.measured["steps"], "before_bytes": self.measured["before_bytes"]})
    }
}

/// What became of one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Its key; of a family the first.
    pub weight: String,
    /// How many there are of its kind, one for each layer.
    pub members: usize,
    /// Numbers in each.
    pub elements: usize,
    /// The op that reads it.
    pub op: &'static str,
    /// What it became; `None` where it stayed as it was.
    pub form: Option<String>,
    /// With what, or why not.
    pub why: String,
}

impl Decision {
    fn new(graph: &Graph, product: &Product, form: Option<String>, why: String) -> Decision {
        Decision {
            weight: product.name(graph).to_owned(),
            members: product.members.len(),
            elements: product.elements(graph),
            op: product.op.name(),
            form,
            why,
        }
    }

    /// It became this.
    pub(super) fn made(graph: &Graph, product: &Product, form: String, how: String) -> Decision {
        Decision::new(graph, product, Some(form), how)
    }

    /// It stayed.
    pub(super) fn left(graph: &Graph, product: &Product, why: &str) -> Decision {
        Decision::new(graph, product, None, why.into())
    }

    /// One line.
    pub fn line(&self) -> String {
        let times = if self.members > 1 { format!(" and {} more", self.members - 1) } else { String::new() };
        let how = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        format!("{}{times} ({}) {}{how}", self.weight, self.op, self.form.as_deref().unwrap_or("stays"))
    }

    /// The same as data.
    pub fn json(&self) -> Value {
        json!({"weight": self.weight, "members": self.members, "elements": self.elements, "op": self.op,
               "form": self.form, "why": self.why})
    }
}

/// The passes that run before a profile is carried out: weights become what products read, scales of norms folded in.
const BEFORE: [&str; 5] = ["fold", "canonicalize", "cse", "fold-scales", "dce"];
/// And after: what was made twice is one.
const AFTER: [&str; 2] = ["cse", "dce"];

/// Directives that are refused, and what there is instead.
const NOT_YET: [(&str, &str); 3] = [
    ("crop", "prune(…) makes zeros, which are left out of products where that is faster"),
    ("fuse", "ops are fused by themselves; --fuse off and --passes say otherwise"),
    ("target", "a model is built for all machines; --cpu and --threads say how it runs on this one"),
];

fn run(graph: &mut Graph, names: &[&str]) -> Result<(), BuildError> {
    let named = |name: &&str| Pass::by_name(name).expect("the table has every pass of the pipeline");
    Pipeline { passes: names.iter().map(named).collect(), ..Pipeline::default() }.run(graph)
}

/// What is found once, however often a profile is carried out.
#[derive(Default)]
pub(super) struct Memory {
    /// By directive.
    pub(super) seen: BTreeMap<String, Statistics>,
    /// By directive and product.
    pub(super) pruned: BTreeMap<(usize, NodeId), Vec<(ConstantId, Tensor)>>,
}

/// Why a step is not taken that the budget has no room for.
pub(super) const SPARED: &str = "the budget has no room for it";

/// What a profile does to a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Prune,
    Quantize,
}

/// Steps at products.
pub(super) type Steps = BTreeSet<(NodeId, Step)>;

/// One carrying out, under way.
pub(super) struct Work<'w> {
    /// What is not done.
    pub(super) without: &'w Steps,
    pub(super) memory: &'w mut Memory,
    pub(super) decisions: Vec<Decision>,
    /// What was done.
    pub(super) changed: Steps,
}

/// A profile carried out, in whole or in part.
pub(super) struct Attempt {
    pub(super) graph: Graph,
    pub(super) decisions: Vec<Decision>,
    /// What was done.
    pub(super) changed: Steps,
    /// The graph whose constants are pruned, and nothing else is done.
    pub(super) pruned: Graph,
    /// The graph before its products were rewritten: its constants are pruned and kept as they will be.
    pub(super) held: Graph,
    /// How they were rewritten.
    pub(super) recipes: Recipes,
}

/// Carries a profile out on a graph that the passes before have run on, but for some products.
pub(super) fn attempt(
    prepared: &Graph,
    orders: &Orders,
    site: &Site,
    without: &Steps,
    memory: &mut Memory,
    watch: Watch,
) -> Result<Attempt, TuneError> {
    let mut graph = prepared.clone();
    let mut work = Work { without, memory, decisions: vec![], changed: Steps::new() };
    prune::carried_out(&mut graph, orders, site, &mut work, watch)?;
    let pruned = graph.clone();
    let (held, recipes) = quantize::carried_out(&mut graph, orders, site, &mut work, watch)?;
    run(&mut graph, &AFTER)?;
    let Work { decisions, changed, .. } = work;
    Ok(Attempt { graph, decisions, changed, pruned, held, recipes })
}

/// Carries a profile out, within its budget where it has one.
///
/// # Errors
/// It asks for what cannot be had, its data does not fit, or the budget is not met.
pub fn compress(graph: &Graph, orders: &Orders, site: &Site, watch: Watch) -> Result<Compressed, TuneError> {
    for (word, instead) in NOT_YET {
        if let Some(order) = orders.named(word).next() {
            return Err(order.refuse("MDL0508", format!("`{word}` is not carried out yet")).help(instead));
        }
    }
    let mut prepared = graph.clone();
    run(&mut prepared, &BEFORE)?;
    if let Some(order) = orders.named("budget").last() {
        return budget::held(&prepared, orders, order, site, watch);
    }
    let made = attempt(&prepared, orders, site, &Steps::new(), &mut Memory::default(), watch)?;
    Ok(Compressed { graph: made.graph, decisions: made.decisions, certificate: None, measured: Value::Null })
}
