//! PyTorch's `.pth`: a zip archive with a pickle that describes tensors, and one member per storage
//! (torch/serialization.py, `_save`; torch/_utils.py, `_rebuild_tensor_v2`). What came before is in `pth_legacy`.
//! Invariant: only tensors are read and nothing is executed: a pickle that names anything else is refused.

use super::archive::Archive;
use super::error::Fault;
use super::file::{Conversion, Entry, Headers, Place};
use super::pickle::{Id, Pickle, PickleError, Value};
use crate::tensor::element_count;
use mlc_codegen::base::{DType, Storage};

const HELP: &str = "save only the weights: torch.save(model.state_dict(), \"weights.pth\")";

/// Keys under which checkpoints keep the weights beside optimiser state and counters.
const NESTED: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];

/// The archive's own top folder, when it is one of PyTorch: where `data.pkl` lies.
pub(super) fn root(archive: &Archive) -> Option<String> {
    let names = archive.members().iter().map(|member| member.name.as_str());
    names
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .find(|root| root.is_empty() || root.ends_with('/'))
        .map(String::from)
}

pub(super) fn headers(archive: &Archive, root: &str) -> Result<Headers, Fault> {
    let index = archive.find(&format!("{root}data.pkl")).expect("found before");
    let at = archive.members()[index].start;
    let bytes = archive.read_all(index)?;
    let pickle = Pickle::read(&bytes, allowed).map_err(|error| {
        let script = archive.members().iter().any(|member| member.name.starts_with(&format!("{root}code/")));
        refusal(error, at, if script { "this is a TorchScript program" } else { "this file holds more than tensors" })
    })?;
    let swapped = match archive.find(&format!("{root}byteorder")) {
        Some(member) => archive.read_all(member)? == b"big",
        None => false,
    };
    let held = |key: &str, dtype: DType| {
        let member = archive.find(&format!("{root}data/{key}"))?;
        let count = archive.members()[member].size as usize / width(dtype);
        Some(Held { member: Some(member), start: 0, count })
    };
    Tensors { pickle: &pickle, swapped, held: &held }.collect()
}

/// What a pickle that is refused means for a file, in which it begins at byte `at`.
pub(super) fn refusal(error: PickleError, at: u64, kind: &str) -> Fault {
    let PickleError { at: within, what, foreign } = error;
    if foreign {
        return Fault::Unsupported { what: format!("{kind}: {what}"), help: HELP };
    }
    Fault::damaged(at + within as u64, format!("the pickle does not parse: {what}"))
}

/// Names that say what a tensor is made of; none is ever called.
pub(super) fn allowed(module: &str, name: &str) -> bool {
    match module {
        "collections" => name == "OrderedDict",
        "torch._utils" => matches!(name, "_rebuild_tensor_v2" | "_rebuild_parameter"),
        "torch" => name.ends_with("Storage") || matches!(name, "Size" | "device") || dtype_word(name),
        _ => false,
    }
}

fn dtype_word(name: &str) -> bool {
    ["float", "double", "half", "bfloat", "int", "uint", "long", "short", "bool"]
        .iter()
        .any(|word| name.starts_with(word))
}

/// The dtype that a storage class holds.
pub(super) fn storage_dtype(class: &str) -> Option<DType> {
    Some(match class {
        "DoubleStorage" => DType::F64,
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" => DType::U8,
        "BoolStorage" => DType::Bool,
        _ => return None,
    })
}

/// Bytes of one element.
pub(super) fn width(dtype: DType) -> usize {
    (dtype.bits() / 8) as usize
}

/// Where a storage lies: in a member of the archive or in the file, from byte `start` on.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) member: Option<usize>,
    pub(super) start: u64,
    /// How many elements it has.
    pub(super) count: usize,
}

/// The tensors that a pickle describes.
pub(super) struct Tensors<'a> {
    pub(super) pickle: &'a Pickle<'a>,
    /// Whether elements are big-endian.
    pub(super) swapped: bool,
    /// Finds a storage by its key.
    pub(super) held: &'a dyn Fn(&str, DType) -> Option<Held>,
}

impl Tensors<'_> {
    pub(super) fn collect(&self) -> Result<Headers, Fault> {
        let mut headers = Headers::default();
        let mut visited = vec![false; self.pickle.values().len()];
        let mut open = vec![(String::new(), self.start())];
        while let Some((prefix, id)) = open.pop() {
            if std::mem::replace(&mut visited[id], true) {
                continue;
            }
            let mut inner = Vec::new();
            for (name, value) in self.members(&prefix, id) {
                match self.pickle.get(value) {
                    Value::Dict(_) => inner.push((name, value)),
                    Value::Call(..) => self.tensor(&mut headers, name, value)?,
                    _ => {}
                }
            }
            open.extend(inner.into_iter().rev());
        }
        if headers.entries.is_empty() && headers.foreign.is_empty() {
            return Err(Fault::Unsupported { what: "this file holds no dict of tensors".into(), help: HELP });
        }
        Ok(headers)
    }

    /// The dict that holds the weights: the root, or what it keeps under a well-known name when it has no tensor itself.
    fn start(&self) -> Id {
        let root = self.pickle.root;
        let members = self.members("", root);
        let bare = !members.iter().any(|(_, value)| matches!(self.pickle.get(*value), Value::Call(..)));
        let nested = NESTED.iter().find_map(|word| {
            let (_, value) = members.iter().find(|(name, _)| name == word)?;
            matches!(self.pickle.get(*value), Value::Dict(_)).then_some(*value)
        });
        nested.filter(|_| bare).unwrap_or(root)
    }

    fn members(&self, prefix: &str, dict: Id) -> Vec<(String, Id)> {
        let Value::Dict(pairs) = self.pickle.get(dict) else { return vec![] };
        let joined = |name: String| if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let named = |(key, value): &(Id, Id)| match self.pickle.get(*key) {
            Value::Str(name) => Some((joined((*name).into()), *value)),
            Value::Int(number) => Some((joined(number.to_string()), *value)),
            _ => None,
        };
        pairs.iter().filter_map(named).collect()
    }

    fn tensor(&self, headers: &mut Headers, name: String, id: Id) -> Result<(), Fault> {
        let Some(arguments) = self.rebuilt(id) else { return Ok(()) };
        let malformed = || Fault::tensor(&name, "its record is malformed");
        let [storage, offset, shape, strides, ..] = arguments else { return Err(malformed()) };
        let offset = self.pickle.size(*offset).ok_or_else(malformed)?;
        let shape = self.pickle.sizes(*shape).ok_or_else(malformed)?;
        let strides = self.pickle.sizes(*strides).filter(|s| s.len() == shape.len()).ok_or_else(malformed)?;
        let (class, key) = storage_record(self.pickle, *storage).ok_or_else(malformed)?;
        let Some(dtype) = storage_dtype(class) else {
            headers.foreign.insert(name, class.into());
            return Ok(());
        };
        let Some(Held { member, start, count: held }) = (self.held)(key, dtype) else {
            return Err(Fault::tensor(&name, "its storage is not in the file"));
        };
        let width = width(dtype);
        let extent =
            extent(&shape, &strides).filter(|extent| offset.checked_add(*extent).is_some_and(|end| end <= held));
        let count = element_count(&shape).filter(|count| *count <= held);
        let (Some(extent), Some(_)) = (extent, count) else {
            let what =
                format!("{dtype}{shape:?} with steps {strides:?} from {offset} leaves its storage of {held} elements");
            return Err(Fault::tensor(&name, what));
        };
        let start = start + (offset * width) as u64;
        let place = Place { part: 0, member, start, len: (extent * width) as u64 };
        let conversion = Conversion { width: width as u8, swapped: self.swapped, widened: false }.needed();
        let strides = (!row_major(&shape, &strides)).then_some(strides);
        headers.add(name, Entry { storage: Storage::Plain(dtype), shape, place, conversion, strides })
    }

    /// The arguments of `_rebuild_tensor_v2`, behind any parameters that wrap it; `None` for another call.
    fn rebuilt(&self, mut id: Id) -> Option<&[Id]> {
        for _ in 0..8 {
            let Value::Call(callee, arguments) = self.pickle.get(id) else { return None };
            let arguments = self.pickle.tuple(*arguments)?;
            match self.pickle.get(*callee) {
                Value::Global("torch._utils", "_rebuild_tensor_v2") => return Some(arguments),
                Value::Global("torch._utils", "_rebuild_parameter") => id = *arguments.first()?,
                _ => return None,
            }
        }
        None
    }
}

/// Class and key of a reference `('storage', class, key, device, count, …)`.
pub(super) fn storage_record<'a>(pickle: &'a Pickle<'_>, id: Id) -> Option<(&'a str, &'a str)> {
    let Value::Persistent(record) = pickle.get(id) else { return None };
    let [_, class, key, ..] = pickle.tuple(*record)? else { return None };
    match (pickle.get(*class), pickle.get(*key)) {
        (Value::Global("torch", class), Value::Str(key)) => Some((class, key)),
        _ => None,
    }
}

/// Elements from the first to the last of a view; 0 where a dim is.
fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let last =
        shape.iter().zip(strides).try_fold(0usize, |sum, (dim, step)| sum.checked_add((dim - 1).checked_mul(*step)?));
    last?.checked_add(1)
}

/// Whether a view's elements lie row-major without gaps; steps of axes of one element do not matter.
fn row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    for (dim, step) in shape.iter().zip(strides).rev() {
        if *dim != 1 && *step != expected {
            return shape.contains(&0);
        }
        expected *= dim;
    }
    true
}
