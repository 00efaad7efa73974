//! PyTorch's format before 1.6: pickles one behind the other (magic, version, machine, tensors, keys), then each storage
//! behind its number of elements, in the order of the keys (torch/serialization.py, `_legacy_save`).
//! Invariant: as in `pth`, nothing is executed; storages fill the rest of the file exactly.

use super::error::{Fault, Name};
use super::file::Headers;
use super::pickle::{Pickle, Value};
use super::pth::{Held, Tensors, allowed, refusal, storage_dtype, storage_record, width};
use super::source::Source;
use indexmap::IndexMap;
use mlc_codegen::base::DType;

/// 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

pub(super) fn headers(source: &Source) -> Result<Headers, Fault> {
    let bytes = source.range(0, source.len(), String::new)?;
    let mut at = 0;
    let mut next = || {
        let pickle = Pickle::read(&bytes[at..], allowed);
        let pickle = pickle.map_err(|error| refusal(error, at as u64, "this file holds more than tensors"))?;
        at += pickle.len;
        Ok::<_, Fault>(pickle)
    };
    let (magic, version) = (next()?, next()?);
    let known = matches!(magic.get(magic.root), Value::Long(word) if *word == MAGIC)
        && matches!(version.get(version.root), Value::Int(1001));
    if !known {
        let what = "this is a bare pickle, not a file of PyTorch".into();
        return Err(Fault::Unsupported {
            what,
            help: "save weights by torch.save(model.state_dict(), \"weights.pth\")",
        });
    }
    let (machine, tensors, keys) = (next()?, next()?, next()?);
    let storages = storages(source, at as u64, &dtypes(&tensors)?, &keys)?;
    let held = |key: &str, _: DType| storages.get(key).copied();
    Tensors { pickle: &tensors, swapped: big_endian(&machine), held: &held }.collect()
}

fn big_endian(machine: &Pickle<'_>) -> bool {
    let Value::Dict(pairs) = machine.get(machine.root) else { return false };
    let word = pairs.iter().find(|(key, _)| *machine.get(*key) == Value::Str("little_endian"));
    word.is_some_and(|(_, value)| *machine.get(*value) == Value::Bool(false))
}

/// What each storage holds, as the references to it say.
fn dtypes<'a>(tensors: &'a Pickle<'_>) -> Result<IndexMap<&'a str, DType>, Fault> {
    let mut dtypes = IndexMap::new();
    for id in 0..tensors.values().len() {
        let Some((class, key)) = storage_record(tensors, id) else { continue };
        let Some(dtype) = storage_dtype(class) else {
            let what = format!("a storage of this file is a {}", Name(class.into()));
            return Err(Fault::Unsupported { what, help: "cast it to a float or integer type and save it again" });
        };
        if dtypes.insert(key, dtype).is_some_and(|other| other != dtype) {
            return Err(Fault::damaged(0, format!("storage {} has two types", Name(key.into()))));
        }
    }
    Ok(dtypes)
}

/// Where each storage lies, the first one at byte `at`.
fn storages(
    source: &Source,
    mut at: u64,
    dtypes: &IndexMap<&str, DType>,
    keys: &Pickle<'_>,
) -> Result<IndexMap<String, Held>, Fault> {
    let damaged = |at: u64, what: &str| Fault::damaged(at, format!("the list of storages {what}"));
    let Value::List(items) = keys.get(keys.root) else { return Err(damaged(at, "is missing")) };
    let mut storages = IndexMap::new();
    for item in items {
        let Value::Str(key) = keys.get(*item) else { return Err(damaged(at, "holds something else")) };
        let dtype = *dtypes.get(key).ok_or_else(|| damaged(at, "names one that no tensor uses"))?;
        let what = || format!("storage {}", Name((*key).into()));
        let count = u64::from_le_bytes(source.range(at, 8, what)?[..].try_into().expect("eight bytes"));
        let start = at + 8;
        let end = start.saturating_add(count.saturating_mul(width(dtype) as u64));
        if end > source.len() {
            return Err(Fault::Truncated { what: what(), start, end, len: source.len() });
        }
        let held = Held { member: None, start, count: count as usize };
        if storages.insert((*key).to_owned(), held).is_some() {
            return Err(damaged(at, "names one twice"));
        }
        at = end;
    }
    match source.len() - at {
        0 => Ok(storages),
        more => Err(Fault::damaged(at, format!("{more} bytes follow the last storage"))),
    }
}
