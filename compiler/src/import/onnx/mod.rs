//! ONNX models become graphs: each node by one row of a table from the operator to mlc's ops.
//!
//! Shapes that a model computes (`Shape`, `Gather`, `Concat`, …) are found while it is imported, as polynomials of its
//! symbolic dims. What must be known and depends on an input's numbers is asked for by name, all at once.
//! Invariant: types come from the ops' own `infer`. Operators and uses that cannot be imported are all reported in one
//! run.

mod builder;
mod error;
mod items;
mod names;
mod node;
mod ops;
mod shapes;
mod tensors;
mod walk;

pub use error::ImportError;

use crate::formats::onnx::{GraphProto, ModelProto, TensorProto, ValueInfo, dtype};
use crate::graph::{ConstantId, Entry, Graph, Input};
use crate::types::{Loc, TensorType};
use builder::Builder;
use items::{Item, Known};
use mlc_codegen::base::{DType, Dim, SlotDef};
use mlc_runtime::tensor::Tensor;
use prost::Message;
use std::collections::HashSet;
use std::path::Path;
use tensors::Read;
use walk::Walk;

/// The largest file that is read: messages of the format end at 2 GiB.
const MOST_BYTES: u64 = 1 << 31;

/// A symbolic dim is at most this, so that products of several stay numbers.
const MOST_EXTENT: i64 = 1 << 20;

/// Operators that mean in the sets before the seventh what they mean in it.
const SINCE_FIRST: &[&str] = &[
    "ArgMax",
    "ArgMin",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "Gather",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "LRN",
    "LogSoftmax",
    "Not",
    "Shape",
    "Size",
    "Softmax",
    "Softplus",
    "Softsign",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// How a model is imported.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Inputs that are numbers from here on, by name.
    pub bind: Vec<(String, Tensor)>,
    /// What the model is called.
    pub name: String,
}

/// An imported model.
#[derive(Debug)]
pub struct Imported {
    /// The graph, with one entry, `main`.
    pub graph: Graph,
    /// The constants that are weights of the file.
    pub weights: HashSet<ConstantId>,
    /// Where it comes from, a sentence a line.
    pub about: Vec<String>,
}

/// Imports a file.
///
/// # Errors
/// It cannot be read, is no sound model, or uses what mlc lacks.
pub fn import(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let unread = |why| ImportError::Unread { path: path.to_owned(), why };
    let len = std::fs::metadata(path).map_err(unread)?.len();
    if len > MOST_BYTES {
        return Err(ImportError::Limit(format!(
            "a model of {len} bytes is more than the format has; use external data"
        )));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    import_bytes(bytes, Some(folder), options)
}

/// Imports the bytes of a file; external data is looked for in `folder`.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(bytes: Vec<u8>, folder: Option<&Path>, options: &Options) -> Result<Imported, ImportError> {
    let damaged = |why: &str| ImportError::Damaged(why.to_owned());
    let model = ModelProto::decode(prost::bytes::Bytes::from(bytes)).map_err(|error| damaged(&error.to_string()))?;
    let graph = model.graph.as_ref().ok_or_else(|| damaged("it holds no graph"))?;
    let version = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let version = version.map_or(1, |set| set.version);
    let changed = graph.node.iter().any(|node| !SINCE_FIRST.contains(&node.op_type.as_str()));
    if version < 7 && changed {
        return Err(ImportError::Limit(format!(
            "the model is of operator set {version}; mlc imports 7 and later: convert it with onnx.version_converter"
        )));
    }
    let mut build = Builder::default();
    build.graph.name = names::of_model(if options.name.is_empty() { &graph.name } else { &options.name });
    let mut walk = Walk::new(&model, version, folder, build);
    let mut inputs = vec![];
    walk.tensors(graph)?;
    for info in &graph.input {
        if walk.env.contains_key(&info.name) {
            continue;
        }
        match options.bind.iter().find(|(name, _)| *name == info.name) {
            Some((name, tensor)) => {
                walk.env.insert(
                    name.clone(),
                    Item::Known(Known { tensor: tensor.clone(), name: Some(name.clone()), weight: false }),
                );
            }
            None => input(&mut walk, info, &mut inputs),
        }
    }
    walk.nodes(&graph.node);
    let outputs = outputs(&mut walk, graph);
    let mut build = walk.finish()?;
    let entry = Entry {
        name: "main".into(),
        doc: String::new(),
        inputs,
        sizes: vec![],
        guards: build.guards,
        body: build.block,
        outputs,
        loc: Loc::default(),
    };
    build.graph.entries.push(entry);
    Ok(Imported { graph: build.graph, weights: build.weights, about: about(&model, version) })
}

fn about(model: &ModelProto, version: i64) -> Vec<String> {
    let maker = match (model.producer_name.trim(), model.producer_version.trim()) {
        ("", _) => "Imported from ONNX".to_owned(),
        (name, "") => format!("Imported from ONNX as {name} wrote it"),
        (name, version) => format!("Imported from ONNX as {name} {version} wrote it"),
    };
    let nodes = model.graph.as_ref().map_or(0, |graph| graph.node.len());
    vec![format!("{maker}: operator set {version}, {nodes} nodes.")]
}

/// An input of the entry; its symbolic dims become dims of the model.
fn input(walk: &mut Walk, info: &ValueInfo, inputs: &mut Vec<Input>) {
    let tensor = info.ty.as_ref().and_then(|ty| ty.tensor.as_ref());
    let fail = |walk: &mut Walk<'_>, why: String| walk.refuse(&info.name, why);
    let Some(tensor) = tensor else {
        return fail(walk, "this input is no tensor".into());
    };
    let Some(dtype) = dtype(i64::from(tensor.elem_type)) else {
        let name = tensors::type_name(i64::from(tensor.elem_type));
        return fail(walk, format!("this input is of type {name}, which mlc lacks"));
    };
    let Some(shape) = &tensor.shape else {
        return fail(walk, "this input has no shape; give the model one with onnx.shape_inference".into());
    };
    let mut dims = vec![];
    for (axis, dim) in shape.dim.iter().enumerate() {
        dims.push(match (dim.value, dim.param.as_deref().filter(|name| !name.is_empty())) {
            (Some(value), _) if value >= 0 => Dim::from(value),
            (Some(_), _) | (None, None) => walk.symbol(&format!("{}_{axis}", info.name)),
            (None, Some(name)) => walk.symbol(name),
        });
    }
    let ty = TensorType::new(dtype, dims);
    let value = crate::graph::Value { ty, name: Some(info.name.clone()), loc: Loc::default() };
    let value = walk.build.graph.values.push(value);
    inputs.push(Input { name: info.name.clone(), value });
    walk.env.insert(info.name.clone(), Item::Value(value));
    walk.reach.insert(info.name.clone(), [info.name.clone()].into());
}

fn outputs(walk: &mut Walk, graph: &GraphProto) -> Vec<(String, crate::graph::ValueId)> {
    let mut outputs = vec![];
    for info in &graph.output {
        match walk.env.get(&info.name).cloned() {
            Some(item) => {
                walk.build.path.clear();
                outputs.push((info.name.clone(), walk.build.value(&item)));
            }
            None if walk.poisoned(&info.name) => {}
            None => walk.damaged(format!("nothing makes its output `{}`", info.name)),
        }
    }
    outputs
}

impl Walk<'_> {
    /// The initializers of a graph.
    fn tensors(&mut self, graph: &GraphProto) -> Result<(), ImportError> {
        let mut read: Vec<(String, Read)> = vec![];
        for proto in &graph.initializer {
            read.push((proto.name.clone(), tensors::read(proto, self.folder)?));
        }
        for proto in &graph.sparse_initializer {
            read.push(tensors::sparse(proto, self.folder)?);
        }
        for (name, found) in read {
            match found {
                Read::Tensor(tensor) => {
                    self.env.insert(
                        name.clone(),
                        Item::Known(Known { weight: !names::is_anonymous(&name), tensor, name: Some(name) }),
                    );
                }
                Read::Foreign(ty) => self.foreign(&name, &ty),
            }
        }
        Ok(())
    }

    /// The dim of a name, made where there is none.
    fn symbol(&mut self, name: &str) -> Dim {
        if let Some(dim) = self.symbols.get(name) {
            return dim.clone();
        }
        let def = SlotDef::Given { name: names::identifier(name), lo: 1, hi: MOST_EXTENT, size: false };
        let dim = Dim::slot(self.build.graph.slots.add(def));
        self.symbols.insert(name.to_owned(), dim.clone());
        dim
    }
}

/// The numbers of a tensor that stands in a file by itself, as the format's test data do.
///
/// # Errors
/// It is none, or of a type that mlc lacks.
pub fn read_tensor(bytes: &[u8]) -> Result<(String, Tensor), ImportError> {
    let proto = TensorProto::decode(bytes).map_err(|error| ImportError::Damaged(error.to_string()))?;
    match tensors::read(&proto, None)? {
        Read::Tensor(tensor) => Ok((proto.name, tensor)),
        Read::Foreign(ty) => {
            Err(ImportError::Uses(vec![(proto.name, format!("this tensor is of type {ty}, which mlc lacks"))]))
        }
    }
}

/// What a model is made of and what it is called with.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The operators, each once, in alphabetical order.
    pub operators: Vec<String>,
    /// Inputs in order; those without an element type of mlc have none.
    pub inputs: Vec<(String, Option<DType>)>,
    /// Outputs in order.
    pub outputs: Vec<(String, Option<DType>)>,
}

/// What a file says of its model, without importing it.
///
/// # Errors
/// It is no sound model.
pub fn survey(bytes: &[u8]) -> Result<Survey, ImportError> {
    let model = ModelProto::decode(bytes).map_err(|error| ImportError::Damaged(error.to_string()))?;
    let graph = model.graph.unwrap_or_default();
    let mut operators: Vec<String> = graph.node.iter().map(|node| node.op_type.clone()).collect();
    operators.sort_unstable();
    operators.dedup();
    let port = |info: ValueInfo| {
        let tensor = info.ty.and_then(|ty| ty.tensor);
        (info.name, tensor.and_then(|tensor| dtype(i64::from(tensor.elem_type))))
    };
    let ports = |infos: Vec<ValueInfo>| infos.into_iter().map(port).collect();
    Ok(Survey { operators, inputs: ports(graph.input), outputs: ports(graph.output) })
}

/// Imports any bytes, for fuzzing.
pub fn fuzz_onnx(bytes: &[u8]) {
    let _ = import_bytes(bytes.to_vec(), None, &Options::default());
}
