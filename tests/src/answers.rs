//! Literal uses of ops with answers from numpy and onnxruntime; `tests/oracle/` writes them to `tests/data/ops`, and each
//! file there is read.

use mlc::ops::{Arguments, Attr, Default, Kind, OpKind, Signature};
use mlc::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_runtime::tensor::Tensor;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One use of an op.
pub struct Answer {
    /// Which.
    pub op: OpKind,
    /// Its compile-time part, complete.
    pub arguments: Arguments,
    /// What goes in, in order.
    pub inputs: Vec<Tensor>,
    /// What should come out.
    pub outputs: Vec<Tensor>,
}

/// All of them, in the order of the files' names. Panics on a malformed file.
pub fn answers() -> Vec<Answer> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/ops");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("it is there").flatten().map(|file| file.path()).collect();
    files.sort();
    let uses = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("a file that can be read");
        serde_json::from_str::<Vec<Value>>(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
    };
    files.iter().flat_map(uses).map(|json| answer(&json)).collect()
}

/// The static type of a tensor.
pub fn type_of(x: &Tensor) -> TensorType {
    TensorType::fixed(x.dtype(), &x.shape().iter().map(|d| *d as i64).collect::<Vec<_>>())
}

fn answer(json: &Value) -> Answer {
    let name = json["op"].as_str().expect("a name");
    let op = OpKind::by_name(name).unwrap_or_else(|| panic!("no op named `{name}`"));
    let tensors = |key: &str| json[key].as_array().expect("a list").iter().map(tensor).collect::<Vec<_>>();
    let inputs = tensors("inputs");
    let signature = op.op().signature();
    let rank = inputs.first().map_or(0, |x| x.shape().len());
    let arguments = arguments(signature, &json["inputs"], &json["args"], rank);
    Answer { op, arguments, inputs, outputs: tensors("outputs") }
}

fn arguments(signature: &Signature, inputs: &Value, args: &Value, rank: usize) -> Arguments {
    let given = inputs.as_array().expect("a list");
    let count = |name: &str| given.iter().filter(|input| input["to"] == name).count() as u32;
    let counts = signature.params.iter().filter(|p| p.is_tensor()).map(|p| count(p.name)).collect();
    let attrs = (signature.params.iter().filter(|p| !p.is_tensor()))
        .map(|p| args.get(p.name).map_or_else(|| default(p.kind, p.default, rank), |v| attr(p.kind, v)))
        .collect();
    Arguments { counts, attrs }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(word) => word.parse().expect("nan, inf or -inf"),
        Value::Bool(value) => f64::from(u8::from(*value)),
        other => other.as_f64().expect("a number"),
    }
}

fn tensor(json: &Value) -> Tensor {
    let dtype: DType = json["dtype"].as_str().expect("a word").parse().expect("a dtype");
    let dims = json["shape"].as_array().expect("a list");
    let shape: Vec<usize> = dims.iter().map(|d| d.as_u64().expect("a dim") as usize).collect();
    let data = json["data"].as_array().expect("a list");
    let element = |i: usize| match data[i].as_i64() {
        Some(value) if !dtype.is_float() => Scalar::I64(value),
        _ => Scalar::F64(number(&data[i])),
    };
    Tensor::from_fn(dtype, shape, element).expect("a small tensor")
}

fn attr(kind: Kind, value: &Value) -> Attr {
    let int = |value: &Value| value.as_i64().expect("an integer");
    match (kind, value) {
        (Kind::DType, Value::String(word)) => Attr::DType(word.parse().expect("a dtype")),
        (_, Value::String(word)) => Attr::Text(word.clone()),
        (_, Value::Bool(value)) => Attr::Bool(*value),
        (Kind::Float, value) => Attr::Float(number(value)),
        (Kind::Dims, Value::Array(values)) => Attr::Dims(values.iter().map(|v| v.as_i64().map(Dim::from)).collect()),
        (Kind::Names, Value::Object(sizes)) => {
            Attr::Names(sizes.iter().map(|(name, size)| (name.clone(), Dim::from(int(size)))).collect())
        }
        (Kind::Dim, value) => Attr::Dim(Dim::from(int(value))),
        (_, Value::Array(values)) => Attr::Ints(values.iter().map(int).collect()),
        (_, value) => Attr::Int(int(value)),
    }
}

fn default(kind: Kind, default: Default, rank: usize) -> Attr {
    match default {
        Default::Required => panic!("an argument is missing"),
        Default::None => Attr::None,
        Default::Int(v) if matches!(kind, Kind::Axis | Kind::Axes) && v < 0 => Attr::Int(v + rank as i64),
        Default::Int(v) => Attr::Int(v),
        Default::Float(v) => Attr::Float(v),
        Default::Bool(v) => Attr::Bool(v),
        Default::Text(v) => Attr::Text(v.into()),
    }
}
