//! The walk over the nodes of a graph, its branches and its functions.
//!
//! Invariant: what failed is reported once; what needs it stays silent.

use super::builder::{Builder, Fault};
use super::error::ImportError;
use super::items::Item;
use super::node::Node;
use super::{names, ops, shapes};
use crate::formats::onnx::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};
use crate::graph::NodeKind;
use crate::types::Loc;
use mlc_codegen::base::Dim;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

/// Graphs inside of graphs, and functions that call functions, up to this depth.
const DEEPEST: usize = 32;
/// More nodes than this, after functions were written out and loops unrolled, are refused.
const MOST_NODES: usize = 1 << 20;
/// Loops of more known trips than this are refused.
const MOST_TRIPS: i64 = 256;

/// The state of an import.
pub(super) struct Walk<'m> {
    functions: &'m [FunctionProto],
    version: i64,
    pub(super) folder: Option<&'m Path>,
    pub(super) build: Builder,
    /// What each name stands for.
    pub(super) env: HashMap<String, Item>,
    /// Which inputs' numbers each name depends on.
    pub(super) reach: HashMap<String, BTreeSet<String>>,
    pub(super) symbols: HashMap<String, Dim>,
    poison: HashSet<String>,
    depth: usize,
    nodes: usize,
    operators: BTreeMap<String, Vec<String>>,
    uses: Vec<(String, String)>,
    unbound: BTreeSet<String>,
    fatal: Option<ImportError>,
}

impl<'m> Walk<'m> {
    pub(super) fn new(model: &'m ModelProto, version: i64, folder: Option<&'m Path>, build: Builder) -> Self {
        Walk {
            functions: &model.functions,
            version,
            folder,
            build,
            env: HashMap::new(),
            reach: HashMap::new(),
            symbols: HashMap::new(),
            poison: HashSet::new(),
            depth: 0,
            nodes: 0,
            operators: BTreeMap::new(),
            uses: vec![],
            unbound: BTreeSet::new(),
            fatal: None,
        }
    }

    /// The graph, or everything that stands against it.
    pub(super) fn finish(self) -> Result<Builder, ImportError> {
        if let Some(fatal) = self.fatal {
            return Err(fatal);
        }
        if !self.operators.is_empty() {
            return Err(ImportError::Operators(self.operators));
        }
        if !self.unbound.is_empty() {
            return Err(ImportError::Unbound(self.unbound.into_iter().collect()));
        }
        if !self.uses.is_empty() {
            return Err(ImportError::Uses(self.uses));
        }
        Ok(self.build)
    }

    /// A value that cannot be had.
    pub(super) fn refuse(&mut self, name: &str, why: String) {
        self.poison.insert(name.to_owned());
        self.uses.push((name.to_owned(), why));
    }

    /// An initializer of a type that mlc lacks, which is told only where it is used.
    pub(super) fn foreign(&mut self, name: &str, ty: &str) {
        self.refuse(name, format!("this tensor is of type {ty}, which mlc lacks"));
    }

    /// Whether a name failed before.
    pub(super) fn poisoned(&self, name: &str) -> bool {
        self.poison.contains(name)
    }

    /// The file contradicts itself.
    pub(super) fn damaged(&mut self, why: String) {
        self.fatal.get_or_insert(ImportError::Damaged(why));
    }

    /// All nodes in order.
    pub(super) fn nodes(&mut self, nodes: &[NodeProto]) {
        for node in nodes {
            self.nodes += 1;
            if self.nodes > MOST_NODES {
                let why =
                    format!("the model has more than {MOST_NODES} nodes when its loops and functions are written out");
                self.fatal.get_or_insert(ImportError::Limit(why));
            }
            if self.fatal.is_some() {
                return;
            }
            self.node(node);
        }
    }

    fn node(&mut self, node: &NodeProto) {
        let place = place(node);
        self.build.path = names::path(&place);
        let function = self.function(node);
        let standard = matches!(node.domain.as_str(), "" | "ai.onnx");
        let known = standard && (ops::by_name(&node.op_type).is_some() || is_control(&node.op_type));
        if !known && function.is_none() {
            let operator = match standard {
                true => node.op_type.clone(),
                false => format!("{}.{}", node.domain, node.op_type),
            };
            self.operators.entry(operator).or_default().push(place);
            return self.lose(node);
        }
        let mut inputs = vec![];
        for name in &node.input {
            match self.env.get(name) {
                _ if name.is_empty() => inputs.push(None),
                Some(item) => inputs.push(Some(item.clone())),
                None if self.poisoned(name) => return self.lose(node),
                None => {
                    return self.damaged(format!("node `{place}` needs `{name}`, which nothing before it makes"));
                }
            }
        }
        let reach = self.reached(node);
        let outputs = match function {
            Some(function) => self.inline(node, function, inputs),
            None => self.convert(node, inputs),
        };
        match outputs {
            Ok(outputs) => self.define(node, outputs, &reach),
            Err(fault) => {
                self.report(node, &place, fault);
                self.lose(node);
            }
        }
    }

    fn convert(&mut self, node: &NodeProto, inputs: Vec<Option<Item>>) -> Result<Vec<Item>, Fault> {
        match node.op_type.as_str() {
            "If" => return self.branch(node, &inputs),
            "Loop" => return self.unroll(node, &inputs),
            _ => {}
        }
        let mut node = Node { proto: node, inputs, version: self.version, build: &mut self.build };
        if let Some(found) = shapes::fold(&mut node) {
            return Ok(found);
        }
        let import = ops::by_name(&node.proto.op_type).ok_or(Fault::Unknown)?;
        import(&mut node)
    }

    fn define(&mut self, node: &NodeProto, outputs: Vec<Item>, reach: &BTreeSet<String>) {
        for (i, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let Some(item) = outputs.get(i) else {
                self.refuse(name, format!("mlc does not make output {i} of {}", node.op_type));
                continue;
            };
            let mut item = item.clone();
            match &mut item {
                Item::Value(value) => {
                    let value = &mut self.build.graph.values[*value];
                    value.name = value.name.take().or_else(|| names::of_value(name));
                }
                Item::Known(known) => {
                    known.name.get_or_insert_with(|| name.clone());
                }
                Item::Sizes(_) => {}
            }
            self.env.insert(name.clone(), item);
            if !reach.is_empty() {
                self.reach.insert(name.clone(), reach.clone());
            }
        }
    }

    /// The inputs whose numbers the results depend on; shapes do not.
    fn reached(&self, node: &NodeProto) -> BTreeSet<String> {
        let all = node.input.iter().filter_map(|name| self.reach.get(name)).flatten().cloned();
        if matches!(node.op_type.as_str(), "Shape" | "Size") { BTreeSet::new() } else { all.collect() }
    }

    fn report(&mut self, node: &NodeProto, place: &str, fault: Fault) {
        match fault {
            Fault::Unknown => self.operators.entry(node.op_type.clone()).or_default().push(place.to_owned()),
            Fault::Use(why) => self.uses.push((place.to_owned(), format!("{}: {why}", node.op_type))),
            Fault::Unbound(input) => {
                let reach = node.input.get(input).and_then(|name| self.reach.get(name)).cloned();
                match reach {
                    Some(reach) if !reach.is_empty() => self.unbound.extend(reach),
                    _ => {
                        let why = format!("{}: its input {input} must be known, and is computed", node.op_type);
                        self.uses.push((place.to_owned(), why));
                    }
                }
            }
        }
    }

    fn lose(&mut self, node: &NodeProto) {
        self.poison.extend(node.output.iter().filter(|name| !name.is_empty()).cloned());
    }

    fn function(&self, node: &NodeProto) -> Option<&'m FunctionProto> {
        self.functions.iter().find(|f| f.name == node.op_type && f.domain == node.domain)
    }

    /// A graph in a graph: its results. Names of the outer one are seen inside, not the other way round.
    fn inside(&mut self, graph: &GraphProto, given: Vec<Item>) -> Result<Vec<Item>, Fault> {
        self.deeper()?;
        let outer = (self.env.clone(), self.reach.clone());
        self.tensors(graph).unwrap_or_else(|error| {
            self.fatal.get_or_insert(error);
        });
        for (info, item) in graph.input.iter().zip(given) {
            self.env.insert(info.name.clone(), item);
        }
        self.nodes(&graph.node);
        let results = self.results(graph.output.iter().map(|info| &info.name));
        (self.env, self.reach) = outer;
        self.depth -= 1;
        results
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        match self.depth > DEEPEST {
            true => {
                self.depth -= 1;
                Err(Fault::Use(format!("graphs and functions are nested deeper than {DEEPEST}")))
            }
            false => Ok(()),
        }
    }

    fn results<'n>(&mut self, names: impl Iterator<Item = &'n String>) -> Result<Vec<Item>, Fault> {
        let found: Vec<Option<Item>> = names.map(|name| self.env.get(name).cloned()).collect();
        found
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| Fault::Use("a graph inside of it was not imported".into()))
    }

    /// A function of the model, written out where it is called.
    fn inline(
        &mut self,
        node: &NodeProto,
        function: &'m FunctionProto,
        inputs: Vec<Option<Item>>,
    ) -> Result<Vec<Item>, Fault> {
        self.deeper()?;
        let env = function.input.iter().cloned().zip(inputs).filter_map(|(name, item)| Some((name, item?))).collect();
        let reach = self.reached(node);
        let reach = function.input.iter().map(|name| (name.clone(), reach.clone())).collect();
        let outer = (std::mem::replace(&mut self.env, env), std::mem::replace(&mut self.reach, reach));
        let version =
            function.opset_import.iter().find(|set| set.domain.is_empty()).map_or(self.version, |s| s.version);
        let version = std::mem::replace(&mut self.version, version);
        let body: Vec<NodeProto> = function.node.iter().map(|inner| resolved(inner, node, function)).collect();
        self.nodes(&body);
        let results = self.results(function.output.iter());
        self.version = version;
        (self.env, self.reach) = outer;
        self.depth -= 1;
        results
    }

    /// `If`: the branch that is taken where that is known, else both.
    fn branch(&mut self, node: &NodeProto, inputs: &[Option<Item>]) -> Result<Vec<Item>, Fault> {
        let graph = |name: &str| {
            let attribute = node.attribute.iter().find(|attribute| attribute.name == name);
            attribute.and_then(|a| a.g.as_deref()).ok_or_else(|| Fault::Use(format!("its graph `{name}` is missing")))
        };
        let (then, otherwise) = (graph("then_branch")?, graph("else_branch")?);
        let condition =
            inputs.first().cloned().flatten().ok_or_else(|| Fault::Use("its condition is missing".into()))?;
        if let Some(tensor) = condition.tensor() {
            let taken = if tensor.iter().next().is_some_and(|value| value.as_i64() != 0) { then } else { otherwise };
            return self.inside(taken, vec![]);
        }
        let condition = self.build.reshape(&condition, vec![])?;
        let condition = self.build.value(&condition);
        let mut blocks = vec![];
        for graph in [then, otherwise] {
            let around = self.build.open();
            let results = self.inside(graph, vec![]);
            let values = results.map(|items| items.iter().map(|item| self.build.value(item)).collect::<Vec<_>>());
            let block = self.build.close(around);
            blocks.push((block, values?));
        }
        let (otherwise, then) = (blocks.pop().expect("two"), blocks.pop().expect("two"));
        let types: Vec<_> = then.1.iter().map(|value| self.build.graph.ty(*value).clone()).collect();
        let others = otherwise.1.iter().map(|value| self.build.graph.ty(*value));
        if !others.eq(&types) {
            return Err(Fault::Use("its branches give different shapes, and its condition is computed".into()));
        }
        let build = &mut self.build;
        let path = build.path.clone();
        let mut builder = crate::graph::GraphBuilder { graph: &mut build.graph, block: &mut build.block, path };
        let outputs: Vec<_> = types.into_iter().map(|ty| builder.value(ty, None, Loc::default())).collect();
        builder.node(NodeKind::If { then, otherwise }, vec![condition], outputs.clone(), Loc::default());
        Ok(outputs.into_iter().map(Item::Value).collect())
    }

    /// `Loop` of known trips, written out; what it collects is stacked.
    fn unroll(&mut self, node: &NodeProto, inputs: &[Option<Item>]) -> Result<Vec<Item>, Fault> {
        let body = node.attribute.iter().find(|a| a.name == "body").and_then(|a| a.g.as_deref());
        let body = body.ok_or_else(|| Fault::Use("its graph `body` is missing".into()))?;
        let scalar = |i: usize| inputs.get(i).cloned().flatten();
        let known = |item: &Item| item.tensor().and_then(|tensor| tensor.iter().next()).map(|value| value.as_i64());
        let trips = match scalar(0) {
            Some(item) => known(&item).ok_or(Fault::Unbound(0))?,
            None => i64::MAX,
        };
        let mut goes = match scalar(1) {
            Some(item) => known(&item).ok_or(Fault::Unbound(1))? != 0,
            None => true,
        };
        let mut carried: Vec<Item> =
            inputs.iter().skip(2).cloned().map(|item| item.ok_or(Fault::Unknown)).collect::<Result<_, _>>()?;
        let (count, mut scans) = (carried.len(), Vec::<Vec<Item>>::new());
        let mut trip = 0;
        while goes && trip < trips {
            if trip >= MOST_TRIPS {
                return Err(Fault::Use(format!("it runs more than {MOST_TRIPS} times, or until a computed condition")));
            }
            let bool_one = mlc_codegen::base::Scalar::Bool(true);
            let one = |dtype, value| Item::known(mlc_runtime::tensor::Tensor::scalar(dtype, value));
            let mut given = vec![
                one(mlc_codegen::base::DType::I64, mlc_codegen::base::Scalar::I64(trip)),
                one(mlc_codegen::base::DType::Bool, bool_one),
            ];
            given.append(&mut carried);
            let mut results = self.inside(body, given)?;
            if results.len() < count + 1 {
                return Err(Fault::Use("its body gives too few results".into()));
            }
            goes = known(&results[0]).ok_or_else(|| Fault::Use("it runs until a computed condition".into()))? != 0;
            let rest = results.split_off(count + 1);
            carried = results.split_off(1);
            scans.resize(rest.len(), vec![]);
            rest.into_iter().zip(&mut scans).for_each(|(item, scan)| scan.push(item));
            trip += 1;
        }
        for scan in scans {
            let parts: Vec<Option<&Item>> = scan.iter().map(Some).collect();
            let stacked = self.build.ops("stack", &parts, &[("axis", crate::ops::Attr::Int(0))])?;
            carried.extend(stacked);
        }
        Ok(carried)
    }
}

fn is_control(operator: &str) -> bool {
    matches!(operator, "If" | "Loop")
}

/// A node's name, or its operator and what it gives.
fn place(node: &NodeProto) -> String {
    match node.name.is_empty() {
        false => node.name.clone(),
        true => {
            let result = node.output.iter().find(|name| !name.is_empty());
            format!("{} of {}", node.op_type, result.map_or("nothing", |name| name))
        }
    }
}

/// A node of a function with the attributes that its call gives.
fn resolved(inner: &NodeProto, call: &NodeProto, function: &FunctionProto) -> NodeProto {
    let given = |name: &str| {
        let defaults = function.attribute_proto.iter();
        call.attribute.iter().chain(defaults).find(|attribute| attribute.name == name).cloned()
    };
    let resolve = |attribute: &AttributeProto| match attribute.ref_attr_name.as_str() {
        "" => Some(attribute.clone()),
        name => given(name).map(|found| AttributeProto { name: attribute.name.clone(), ..found }),
    };
    NodeProto { attribute: inner.attribute.iter().filter_map(resolve).collect(), ..inner.clone() }
}
