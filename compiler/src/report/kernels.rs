//! The kernels of a model in words: what each computes, what was fused into it, what it moves, and why it ends there.

use crate::diag::SourceMap;
use crate::types::Loc;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One kernel of an entry, or the several that one op needs.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelRow {
    /// The entry.
    pub entry: String,
    /// The source path and the ops, as profiles name it.
    pub kernel: String,
    /// Where it is written.
    pub loc: Loc,
    /// The kernels that it is, by their numbers in the plan.
    pub kernels: Vec<u32>,
    /// Its number among the groups of the model, when several ops were fused.
    pub group: Option<usize>,
    /// The ops that it computes, in order.
    pub ops: Vec<&'static str>,
    /// The ops that it only reads through: they move no data.
    pub views: Vec<&'static str>,
    /// How often it runs in a call of the entry, in the names of the source.
    pub calls: String,
    /// Bytes that one run reads and writes, in the names of the source.
    pub bytes: String,
    /// The same, where sizes are known.
    pub fixed_bytes: Option<i64>,
    /// The weights of contractions, where they could be sparse.
    pub zeros: Vec<Zeros>,
    /// Why it does not go on into the ops that read its results; each reason once.
    pub ends: Vec<Reason>,
}

/// How many zeros a weight has that a contraction could leave out, and whether it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Zeros {
    /// Its name; of a family that of the first.
    pub constant: String,
    /// The share of numbers that are not zero, in percent; of a family that of the densest.
    pub density: f64,
    /// Below this it pays.
    pub densest: u32,
    /// Rows that are multiplied with it, where that is known.
    pub rows: Option<i64>,
    /// Whether zeros are left out.
    pub sparse: bool,
}

impl Zeros {
    /// It in a sentence.
    fn text(&self) -> String {
        let rows = match self.rows {
            Some(1) => "one row".to_owned(),
            Some(rows) => format!("{rows} rows"),
            None => "any number of rows".to_owned(),
        };
        let Zeros { constant, density, densest, .. } = self;
        let (runs, than) = if self.sparse { ("sparse", "less") } else { ("dense", "no less") };
        format!("{constant}: {runs}, {density:.1} % are not zero, {than} than the {densest} % for {rows}")
    }
}

/// Why a kernel ends. The words are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The entry returns its result.
    Returned,
    /// Its result is written into a state.
    StateWrite,
    /// Its result enters or leaves a loop or a branch.
    ControlFlow,
    /// Several ops read its result.
    MultiUse,
    /// It is a contraction, and so is the op that reads it.
    TwoContractions,
    /// It and the op that reads it both go over whole axes.
    TwoReductions,
    /// The op that reads it needs one of its elements at many places.
    ReductionThenBroadcast,
    /// The op that reads it does so at places that may lie outside.
    GuardedRead,
    /// The op that reads it would compute each of its elements again and again.
    Recompute,
    /// It is made by several kernels.
    SeveralKernels,
    /// Nothing forbids it: no group was made.
    Ungrouped,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 11] = [
        Reason::Returned,
        Reason::StateWrite,
        Reason::ControlFlow,
        Reason::MultiUse,
        Reason::TwoContractions,
        Reason::TwoReductions,
        Reason::ReductionThenBroadcast,
        Reason::GuardedRead,
        Reason::Recompute,
        Reason::SeveralKernels,
        Reason::Ungrouped,
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Returned => "returned",
            Reason::StateWrite => "state-write",
            Reason::ControlFlow => "control-flow",
            Reason::MultiUse => "multi-use",
            Reason::TwoContractions => "two-contractions",
            Reason::TwoReductions => "two-reductions",
            Reason::ReductionThenBroadcast => "reduction-then-broadcast",
            Reason::GuardedRead => "guarded-read",
            Reason::Recompute => "recompute",
            Reason::SeveralKernels => "several-kernels",
            Reason::Ungrouped => "ungrouped",
        }
    }

    /// It in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Reason::Returned => "the entry returns its result",
            Reason::StateWrite => "its result is written into a state",
            Reason::ControlFlow => "its result enters or leaves a loop or a branch",
            Reason::MultiUse => "several ops read its result",
            Reason::TwoContractions => "it is a contraction, and so is the op that reads it",
            Reason::TwoReductions => "it and the op that reads it both go over whole axes",
            Reason::ReductionThenBroadcast => "the op that reads it needs one of its elements at many places",
            Reason::GuardedRead => "the op that reads it does so at places that may lie outside",
            Reason::Recompute => "the op that reads it would compute each of its elements again and again",
            Reason::SeveralKernels => "it is made by several kernels",
            Reason::Ungrouped => "nothing forbids it: no group was made",
        }
    }
}

/// Weights that are denser, in percent, are not spoken of in text.
const NOTABLE: f64 = 50.0;

/// A line for each kernel, and one for what it is made of.
pub fn table(rows: &[KernelRow], sources: &SourceMap) -> String {
    let mut text = String::new();
    let mut entry = None;
    for row in rows {
        if entry != Some(&row.entry) {
            text += &format!("entry {}\n", row.entry);
            entry = Some(&row.entry);
        }
        let calls = if row.calls == "1" { String::new() } else { format!(", {} times", row.calls) };
        let kernels: Vec<String> = row.kernels.iter().map(|kernel| format!("k{kernel}")).collect();
        let group = row.group.map_or(String::new(), |group| format!(", group {group}"));
        text += &format!("  {} {}{group}{calls}: {} bytes\n", kernels.join(" "), row.kernel, row.bytes);
        let (line, column) = sources.position(row.loc);
        text += &format!("    {}:{line}:{column}", sources.name(row.loc.file));
        if row.ops.is_empty() {
            text += "\n";
            continue;
        }
        text += &format!(" {}", row.ops.join(" + "));
        if !row.views.is_empty() {
            text += &format!(", reads through {}", row.views.join(", "));
        }
        let notable = row.zeros.iter().filter(|zeros| zeros.sparse || zeros.density < NOTABLE);
        let zeros: String = notable.map(|zeros| format!("    {}\n", zeros.text())).collect();
        let ends: Vec<&str> = row.ends.iter().map(|reason| reason.name()).collect();
        text += &format!("; ends: {}\n", if ends.is_empty() { "unused".to_owned() } else { ends.join(", ") });
        text += &zeros;
    }
    text + &legend(rows)
}

/// What the reasons mean that occur.
fn legend(rows: &[KernelRow]) -> String {
    let found: BTreeSet<Reason> = rows.iter().flat_map(|row| &row.ends).copied().collect();
    let lines = found.into_iter().map(|reason| format!("  {:25} {}\n", reason.name(), reason.meaning()));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("why kernels end\n{lines}") }
}

/// The same for programs: a list of objects.
pub fn json(rows: &[KernelRow], sources: &SourceMap) -> Value {
    let row = |row: &KernelRow| {
        let (line, column) = sources.position(row.loc);
        json!({
            "entry": row.entry,
            "kernel": row.kernel,
            "file": sources.name(row.loc.file),
            "line": line,
            "column": column,
            "kernels": row.kernels,
            "group": row.group,
            "ops": row.ops,
            "views": row.views,
            "calls": row.calls,
            "bytes": row.bytes,
            "fixed_bytes": row.fixed_bytes,
            "zeros": row.zeros,
            "ends": row.ends,
        })
    };
    Value::Array(rows.iter().map(row).collect())
}
