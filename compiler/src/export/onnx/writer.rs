//! Nodes, names and constants of a model that is being written.
//!
//! Invariant: a name is given once in the whole model, blocks of branches and loops included.

use super::super::walk::{Loop, Sink, Typed, Why};
use super::node::{self, Op};
use super::ops;
use crate::formats::onnx::{
    AttributeProto, DimProto, GraphProto, NodeProto, ShapeProto, TensorProto, TensorTypeProto, TypeProto, ValueInfo,
    code,
};
use crate::graph::{ConstantId, Graph, ReadError};
use crate::ops::Call;
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Slot};
use mlc_runtime::tensor::Tensor;
use std::collections::{HashMap, HashSet};

/// A tensor of at most so many elements is written once, however often it is made.
const SHARED: usize = 64;

/// The model so far.
pub(super) struct Writer<'g> {
    pub(super) graph: &'g Graph,
    /// The operator set.
    pub(super) opset: i64,
    /// Where a size can be had: the name of a scalar of i64, or of a tensor and which of its axes.
    pub(super) sizes: HashMap<Slot, Source>,
    /// Why a weight could not be read.
    pub(super) unread: Option<ReadError>,
    /// The nodes of the blocks that are open, the model's own first.
    blocks: Vec<Scope>,
    names: HashSet<String>,
    weights: Vec<TensorProto>,
    /// Constants by id, small ones by their bytes.
    constants: HashMap<ConstantId, String>,
    small: HashMap<(DType, Vec<usize>, Vec<u8>), String>,
    /// What names of new nodes begin with.
    place: String,
}

/// Where a size comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A scalar of i64.
    Scalar(String),
    /// The extent of an axis.
    Axis(String, usize),
}

/// An open block.
#[derive(Default)]
struct Scope {
    nodes: Vec<NodeProto>,
    inputs: Vec<ValueInfo>,
    /// The sizes that were known before it.
    sizes: HashMap<Slot, Source>,
}

impl<'g> Writer<'g> {
    pub(super) fn new(graph: &'g Graph, opset: i64) -> Self {
        Writer {
            graph,
            opset,
            sizes: HashMap::new(),
            unread: None,
            blocks: vec![Scope::default()],
            names: HashSet::new(),
            weights: vec![],
            constants: HashMap::new(),
            small: HashMap::new(),
            place: String::new(),
        }
    }

    /// A name that nothing has yet.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        let stem = if stem.is_empty() { "value" } else { stem };
        let mut name = stem.to_owned();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{stem}_{count}");
        }
        name
    }

    /// An input of the model.
    pub(super) fn input(&mut self, name: &str, ty: &TensorType) -> ValueInfo {
        self.names.insert(name.to_owned());
        self.tell(name, ty);
        self.info(name, ty)
    }

    /// The size that an argument gives.
    pub(super) fn bind(&mut self, slot: Slot, name: &str) {
        self.sizes.insert(slot, Source::Scalar(name.to_owned()));
    }

    /// Remembers where sizes can be read off.
    fn tell(&mut self, name: &str, ty: &TensorType) {
        for (axis, dim) in ty.dims.iter().enumerate() {
            if let Some(slot) = dim.as_slot() {
                self.sizes.entry(slot).or_insert_with(|| Source::Axis(name.to_owned(), axis));
            }
        }
    }

    /// A named value and its type.
    pub(super) fn info(&self, name: &str, ty: &TensorType) -> ValueInfo {
        let dim = |dim: &Dim| match dim.as_constant() {
            Some(value) => DimProto { value: Some(value), param: None },
            None => {
                let own = dim.as_slot().and_then(|slot| super::symbol(self.graph, slot)).map(str::to_owned);
                DimProto { value: None, param: Some(own.unwrap_or_else(|| self.graph.slots.show(dim))) }
            }
        };
        let shape = ShapeProto { dim: ty.dims.iter().map(dim).collect() };
        let tensor = TensorTypeProto { elem_type: code(ty.dtype), shape: Some(shape) };
        ValueInfo { name: name.to_owned(), ty: Some(TypeProto { tensor: Some(tensor) }) }
    }

    /// A value as an output of the model: the node that makes it says its name, or one more does.
    pub(super) fn output(&mut self, name: &str, item: &str, ty: &TensorType) -> ValueInfo {
        let renamed = name != item && self.names.insert(name.to_owned()) && self.rename(item, name);
        if name != item && !renamed {
            let node = NodeProto {
                input: vec![item.to_owned()],
                output: vec![name.to_owned()],
                op_type: "Identity".into(),
                ..NodeProto::default()
            };
            self.blocks[0].nodes.push(node);
        }
        self.info(name, ty)
    }

    /// Gives the result of a node of the model another name, if it is not an output already.
    fn rename(&mut self, from: &str, to: &str) -> bool {
        let makes = |node: &NodeProto| node.output.iter().any(|name| name == from);
        if !from.contains('/') || !self.blocks[0].nodes.iter().any(makes) {
            return false;
        }
        rename_in(&mut self.blocks[0].nodes, from, to);
        true
    }

    /// A node with one result.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.nodes(op, inputs, attributes, 1).swap_remove(0)
    }

    /// A node with several results.
    pub(super) fn nodes(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        results: usize,
    ) -> Vec<String> {
        let stem = format!("{}/{op}", self.place);
        let name = self.fresh(&stem);
        let output: Vec<String> = match results {
            1 => vec![name.clone()],
            _ => (0..results).map(|i| self.fresh(&format!("{name}.{i}"))).collect(),
        };
        let mut input: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
        while input.last().is_some_and(String::is_empty) {
            input.pop();
        }
        let node =
            NodeProto { input, output: output.clone(), name, op_type: op.into(), attribute, domain: String::new() };
        self.blocks.last_mut().expect("the model's own block is open").nodes.push(node);
        output
    }

    /// A tensor as a constant of the model.
    pub(super) fn tensor(&mut self, stem: &str, tensor: &Tensor) -> String {
        let key = (tensor.dtype(), tensor.shape().to_vec(), tensor.bytes().to_vec());
        let shared = tensor.len() <= SHARED;
        if let Some(name) = self.small.get(&key).filter(|_| shared) {
            return name.clone();
        }
        let name = self.fresh(stem);
        self.weights.push(TensorProto {
            dims: tensor.shape().iter().map(|extent| *extent as i64).collect(),
            data_type: code(tensor.dtype()),
            name: name.clone(),
            raw_data: key.2.clone().into(),
            ..TensorProto::default()
        });
        if shared {
            self.small.insert(key, name.clone());
        }
        name
    }

    /// Whether a value is a small constant whose elements all hold to something.
    pub(super) fn is_known(&self, name: &str, holds: &dyn Fn(f64) -> bool) -> bool {
        let found = self.small.iter().find(|(_, own)| own.as_str() == name);
        found.is_some_and(|((dtype, shape, bytes), _)| {
            let tensor = Tensor::new(*dtype, shape, bytes);
            tensor.is_ok_and(|tensor| tensor.to_f64_vec().into_iter().all(holds))
        })
    }

    /// A list of i64.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let tensor = Tensor::from_i64([values.len()], values).expect("a list has its own length");
        let shown: Vec<String> = values.iter().map(i64::to_string).collect();
        self.tensor(&format!("ints.{}", shown.join(",")), &tensor)
    }

    /// A scalar.
    pub(super) fn number(&mut self, value: f64, dtype: DType) -> String {
        let mut tensor = Tensor::zeros(dtype, []).expect("one element has room");
        tensor.set_f64(0, value);
        self.tensor(&format!("{dtype}.{value}"), &tensor)
    }

    /// The nodes and weights of the whole model.
    pub(super) fn finish(mut self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        let whole = self.blocks.pop().expect("the model's own block is open");
        (whole.nodes, self.weights)
    }

    fn scope(&mut self, inputs: Vec<ValueInfo>) {
        self.blocks.push(Scope { nodes: vec![], inputs, sizes: self.sizes.clone() });
    }

    fn end(&mut self, results: &[String]) -> GraphProto {
        // A result that was made outside, or twice, needs a node of its own.
        let mut seen = HashSet::new();
        let mut outputs = vec![];
        for result in results {
            let inner =
                self.blocks.last().is_some_and(|scope| scope.nodes.iter().any(|node| node.output.contains(result)));
            let own = inner && seen.insert(result.clone());
            outputs.push(if own { result.clone() } else { self.node("Identity", &[result], vec![]) });
        }
        let scope = self.blocks.pop().expect("it was opened");
        self.sizes = scope.sizes;
        let output = outputs.into_iter().map(|name| ValueInfo { name, ty: None }).collect();
        let name = self.fresh(&format!("{}/block", self.place));
        GraphProto { node: scope.nodes, name, input: scope.inputs, output, ..GraphProto::default() }
    }
}

/// Renames a value in nodes and in the blocks inside them.
fn rename_in(nodes: &mut [NodeProto], from: &str, to: &str) {
    for node in nodes {
        node.input.iter_mut().chain(&mut node.output).filter(|name| *name == from).for_each(|name| *name = to.into());
        for block in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_mut()) {
            rename_in(&mut block.node, from, to);
        }
    }
}

impl Sink for Writer<'_> {
    type Item = String;
    type Block = GraphProto;

    fn constant(&mut self, id: ConstantId) -> Result<String, Why> {
        if let Some(name) = self.constants.get(&id) {
            return Ok(name.clone());
        }
        let read = self.graph.numbers(id);
        let constant = &self.graph.constants[id];
        let name = match read {
            Ok(tensor) => {
                let tensor = tensor.cast(constant.ty.dtype).map_err(|error| error.to_string())?;
                self.tensor(&constant.name, &tensor)
            }
            Err(error) => {
                self.unread.get_or_insert(error);
                self.missing()
            }
        };
        self.constants.insert(id, name.clone());
        Ok(name)
    }

    fn op(&mut self, call: &Call, inputs: &[String]) -> Result<Vec<String>, Why> {
        let export = ops::by_name(call.signature.name).ok_or("ONNX has no operator for it")?;
        export(&mut Op { call: *call, inputs, w: self })
    }

    fn set(&mut self, whole: Typed<String>, starts: &[Dim], part: Typed<String>) -> Result<String, Why> {
        self.written(whole, starts, part, 0)
    }

    fn missing(&mut self) -> String {
        self.fresh("missing")
    }

    fn at(&mut self, path: &str, name: Option<&str>) {
        self.place = match name {
            Some(name) if !path.is_empty() && path.rsplit('.').next() != Some(name) => format!("{path}.{name}"),
            Some(name) if path.is_empty() => name.to_owned(),
            _ => path.to_owned(),
        };
    }

    fn learn(&mut self, item: &String, ty: &TensorType) {
        self.tell(item, ty);
    }

    fn open(&mut self) {
        self.scope(vec![]);
    }

    fn close(&mut self, results: &[String]) -> GraphProto {
        self.end(results)
    }

    fn choose(
        &mut self,
        condition: &String,
        parts: [GraphProto; 2],
        results: &[TensorType],
    ) -> Result<Vec<String>, Why> {
        let [then, otherwise] = parts;
        let attributes = vec![node::block("then_branch", then), node::block("else_branch", otherwise)];
        Ok(self.nodes("If", &[condition], attributes, results.len()))
    }

    fn open_loop(&mut self, counter: Slot, carried: &[TensorType]) -> Result<Vec<String>, Why> {
        let (round, going) = (self.fresh("round"), self.fresh("going"));
        let names: Vec<String> = carried.iter().map(|_| self.fresh("carried")).collect();
        let scalar = TensorType::scalar;
        let mut inputs = vec![self.info(&round, &scalar(DType::I64)), self.info(&going, &scalar(DType::Bool))];
        inputs.extend(names.iter().zip(carried).map(|(name, ty)| self.info(name, ty)));
        self.scope(inputs);
        self.bind(counter, &round);
        Ok(names)
    }

    fn close_loop(&mut self, ends: Loop<String>) -> Result<Vec<String>, Why> {
        let (first, next) = match ends.conditions {
            Some((first, next)) => (first, next),
            None => (String::new(), self.number(1.0, DType::Bool)),
        };
        let results: Vec<String> = [next].into_iter().chain(ends.results.iter().cloned()).collect();
        let body = self.end(&results);
        let trips = self.dim(ends.trips)?;
        let inputs: Vec<&str> = [&trips, &first].into_iter().chain(ends.initial).map(String::as_str).collect();
        Ok(self.nodes("Loop", &inputs, vec![node::block("body", body)], ends.types.len()))
    }
}
