//! `mlc compare`: machine code against the reference, and the first op that differs.

use super::device::Device;
use super::failure::Failure;
use super::inputs::{self, Draw, Given};
use super::load::{self, Loaded, RunArgs};
use super::output::{self, MessageFormat};
use super::progress;
use super::run::position;
use super::source::ModelArgs;
use crate::graph::{Graph, NodeId, NodeKind};
use crate::isolate::{Difference, Isolate, difference};
use crate::ops::Tolerance;
use crate::reference::{Reference, Refusal, Unit};
use crate::runner::{Inputs, Runner, of_graph, placed};
use crate::tune::sketch;
use anyhow::Result;
use indexmap::IndexMap;
use mlc_codegen::base::SlotDef;
use mlc_runtime::npz::read_npz;
use mlc_runtime::tensor::Tensor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Outputs may differ by this, of the greater of 1 and the greatest magnitude.
const OUTPUTS: f64 = 1e-3;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mdl` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An input, as `mlc run` takes it; those left out are drawn.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = inputs::given)]
    inputs: Vec<Given>,
    /// What the outputs are compared with: the reference, or an npz file of them. Where they differ, every op is compared with
    /// the reference.
    #[arg(long, value_name = "reference|FILE.npz", default_value = "reference")]
    against: PathBuf,
    /// Compares every op on what the reference gave it, and lists them all.
    #[arg(long)]
    per_node: bool,
    /// How far apart is still equal, of the greater of 1 and the magnitude; each op's own tolerance when left out.
    #[arg(long, value_name = "NUMBER")]
    tolerance: Option<f64>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    /// Whether outputs are compared with a file's, not with the reference's.
    fn is_of_file(&self) -> bool {
        self.against != Path::new("reference")
    }
}

/// `Ok(true)` when nothing differs.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    if args.run.device != Device::Cpu {
        return Err(Failure::new("MDL0604", "compare runs the model on the cpu: leave --device out").into());
    }
    if !args.is_of_file() || args.per_node {
        load::require_text(&args.file)?;
    }
    let Some((mut runner, loaded)) = models(args, format)? else { return Ok(false) };
    let interface = runner.interface(args.run.entry.as_deref())?;
    let (given, drawn) =
        inputs::resolve(&args.inputs, &interface, args.model.dims(), &args.file, Draw::missing(args.model.seed()))?;
    for name in &drawn {
        output::note(&format!("note: input `{name}` was not given: {name}=random:{}", args.model.seed()));
    }
    let found = runner.run(&interface.entry, &given)?;
    let file = args.is_of_file().then(|| read_npz(&args.against)).transpose()?;
    let Some(loaded) = loaded else { return outputs(args, &found, file.as_deref().unwrap_or_default()) };
    let mut compare = Compare { args, loaded: &loaded, rows: IndexMap::new(), first: None };
    let equal = match &file {
        Some(expected) => outputs(args, &found, expected)?,
        None => outputs(args, &found, &compare.reference(&given, args.per_node)?)?,
    };
    if (!equal || args.per_node) && compare.rows.is_empty() {
        compare.reference(&given, true)?;
    }
    if args.per_node {
        output::data(&compare.table());
    }
    if let Some(first) = &compare.first {
        output::data(&format!("first diverging op: {first}\n"));
    } else if !equal && file.is_some() {
        output::data(
            "no op differs from its definition: the file is of another model, of other weights or of other inputs\n",
        );
    } else if !equal {
        output::data("no op differs by itself: the fault is in how they are joined (fused, laid out, kept in place)\n");
    }
    Ok(equal && compare.first.is_none())
}

/// The model on the cpu, and its graph where there is its text.
fn models(args: &Args, format: MessageFormat) -> Result<Option<(Runner, Option<Loaded>)>> {
    if args.is_of_file() && load::is_artifact(&args.file) {
        return Ok(load::runner(&args.file, &args.model, &args.run, format)?.map(|runner| (runner, None)));
    }
    let Some(loaded) = load::graph(&args.file, &args.model, format)? else { return Ok(None) };
    Ok(Some((
        load::cpu(loaded.artifact()?, args.run.options(&args.model), args.run.cache.open()?.as_ref())?,
        Some(loaded),
    )))
}

/// A line for each output; whether all are near enough.
fn outputs(args: &Args, found: &[(String, Tensor)], expected: &[(String, Tensor)]) -> Result<bool> {
    let limit = args.tolerance.unwrap_or(OUTPUTS);
    let (mut text, mut equal) = (String::new(), true);
    for (name, found) in found {
        let wanted = expected.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let wanted = wanted.ok_or_else(|| {
            Failure::new("MDL0705", format!("`{}` has no `{name}` to compare with", args.against.display()))
        })?;
        if wanted.dtype() != found.dtype() || wanted.shape() != found.shape() {
            equal = false;
            let [a, b] = [found, wanted].map(sketch);
            text += &format!("{name}: {a}, but {b} to compare with\n");
            continue;
        }
        let difference = difference(found, wanted, Tolerance { absolute: limit, relative: limit });
        equal &= difference.within;
        text += &format!("{name}: {}, {}\n", sketch(found), told(&difference, found.shape()));
    }
    output::data(&text);
    Ok(equal)
}

/// `max abs 1.2e-7, max rel 3.4e-6`, and where it is too much.
fn told(difference: &Difference, shape: &[usize]) -> String {
    let Difference { absolute, relative, at, found, expected, within } = difference;
    let text = errors(*absolute, *relative);
    match within {
        true => text,
        false if shape.is_empty() => format!("{text}; {found} instead of {expected}"),
        false => format!("{text}; {found} instead of {expected} at {:?}", position(shape, *at)),
    }
}

fn errors(absolute: f64, relative: f64) -> String {
    match absolute == 0.0 {
        true => "equal".into(),
        false => format!("max abs {absolute:.1e}, max rel {relative:.1e}"),
    }
}

/// One unit, over all its turns.
struct Row {
    turns: usize,
    worst: Difference,
}

struct Compare<'c> {
    args: &'c Args,
    loaded: &'c Loaded,
    rows: IndexMap<NodeId, Row>,
    /// What is said of the first unit that differs.
    first: Option<String>,
}

impl Compare<'_> {
    /// The outputs by definition; `each` compares every unit on the way.
    fn reference(&mut self, given: &Inputs, each: bool) -> Result<Vec<(String, Tensor)>> {
        let loaded = self.loaded;
        let graph = loaded.graph.clone();
        let options = self.args.run.options(&self.args.model);
        let entry = of_graph(&graph, self.args.run.entry.as_deref()).map(|interface| interface.entry);
        let mut isolate = Isolate::new(&graph, Arc::clone(&loaded.sources), options);
        let bar = progress::steps("ops", 0);
        let mut watch = |unit: &Unit| {
            if each {
                bar.inc_length(1);
                self.unit(&graph, &mut isolate, unit)?;
                bar.inc(1);
            }
            Ok(())
        };
        let inputs: Vec<(&str, &Tensor)> = given.tensors.iter().map(|(name, x)| (name.as_str(), x)).collect();
        let sizes: Vec<(&str, i64)> = given.sizes.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let run = Reference::new(graph.clone()).limited(options.max_memory).run_watched(
            entry.as_deref(),
            &inputs,
            &sizes,
            &mut watch,
        );
        Ok(run.map_err(|refusal| placed(refusal, &loaded.sources))?)
    }

    fn unit(&mut self, graph: &Graph, isolate: &mut Isolate, unit: &Unit) -> Result<(), Refusal> {
        let node = &graph.nodes[unit.node];
        let refuse = |message: String| Refusal { code: "MDL0709", message, loc: Some(node.loc) };
        let found = isolate.run(unit).map_err(|error| refuse(format!("{}: {error}", what(graph, unit.node))))?;
        for (i, (value, found)) in found.into_iter().enumerate() {
            let expected = unit.value(value).expect("the reference holds what a unit makes");
            if found.shape() != expected.shape() {
                return Err(refuse(format!("{} gives {found:?}, not {expected:?}", what(graph, unit.node))));
            }
            let difference = difference(&found, expected, self.tolerance(graph, unit.node));
            if !difference.within && self.first.is_none() {
                let (what, place) = (what(graph, unit.node), crate::place(node.loc, &self.loaded.sources));
                let (turn, told) = (turn(graph, unit), told(&difference, found.shape()));
                self.first = Some(format!("{what} at {place}{turn}: {told}"));
            }
            let row = self.rows.entry(unit.node).or_insert(Row { turns: 0, worst: difference });
            row.turns += usize::from(i == 0);
            let worse = (!difference.within, difference.absolute) > (!row.worst.within, row.worst.absolute);
            if worse {
                row.worst = difference;
            }
        }
        Ok(())
    }

    fn tolerance(&self, graph: &Graph, node: NodeId) -> Tolerance {
        if let Some(limit) = self.args.tolerance {
            return Tolerance { absolute: limit, relative: limit };
        }
        let of = |node: NodeId| match &graph.nodes[node].kind {
            NodeKind::Op { op, .. } => op.op().tolerance(),
            _ => Tolerance::EXACT,
        };
        match &graph.nodes[node].kind {
            NodeKind::Fused { body, .. } => body.nodes.iter().map(|n| of(*n)).fold(Tolerance::EXACT, |a, b| {
                Tolerance { absolute: a.absolute + b.absolute, relative: a.relative + b.relative }
            }),
            _ => of(node),
        }
    }

    /// A line for each unit, in the order in which they first ran.
    fn table(&self) -> String {
        let line = |(node, row): (&NodeId, &Row)| {
            let graph = &self.loaded.graph;
            let place = crate::place(graph.nodes[*node].loc, &self.loaded.sources);
            let times = if row.turns > 1 { format!(" × {}", row.turns) } else { String::new() };
            let worst = &row.worst;
            let mark = if worst.within { "" } else { "  differs" };
            let errors = errors(worst.absolute, worst.relative);
            format!("{place}  {}{times}: {errors}{mark}\n", what(graph, *node))
        };
        self.rows.iter().map(line).collect()
    }
}

/// `` `softmax` in `layer.{i}` ``.
fn what(graph: &Graph, node: NodeId) -> String {
    let data = &graph.nodes[node];
    let name = match &data.kind {
        NodeKind::Op { op, .. } => op.name(),
        NodeKind::Fused { name, .. } => name,
        _ => "copy",
    };
    if data.path.is_empty() { format!("`{name}`") } else { format!("`{name}` in `{}`", data.path) }
}

/// The turns of the loops around a unit: ` (i = 3)`.
fn turn(graph: &Graph, unit: &Unit) -> String {
    let inside = |node: &NodeId| match &graph.nodes[*node].kind {
        NodeKind::Repeat(repeat) => graph.nodes_within(&repeat.body).contains(&unit.node).then_some(repeat.counter),
        _ => None,
    };
    let loops = graph.entries.iter().flat_map(|entry| graph.nodes_within(&entry.body));
    let shown = loops.filter_map(|node| inside(&node)).map(|counter| match graph.slots.def(counter) {
        SlotDef::Counter { name, .. } => format!("{name} = {}", unit.sizes[counter.0 as usize]),
        _ => unreachable!("a loop counts with a counter"),
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
}
