//! Inputs on the command line: files, numbers, tensors written out, and drawn ones.
//!
//! Invariant: what a call needs and was not given is refused by name, with all that the entry takes.

use super::failure::Failure;
use crate::runner::{Inputs, Interface};
use anyhow::Result;
use mlc_codegen::base::{DType, Dim, Scalar, SlotDef};
use mlc_codegen::kernel::Port;
use mlc_runtime::npz::{read_npy, read_npz};
use mlc_runtime::tensor::Tensor;
use std::path::Path;

/// `NAME=VALUE`.
#[derive(Clone, Debug)]
pub(super) struct Given {
    name: String,
    value: String,
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    /// The seed where none is named.
    seed: u64,
    /// Whether inputs that were not given are drawn, too.
    missing: bool,
}

impl Draw {
    /// What is given as `random`.
    pub(super) fn given(seed: u64) -> Draw {
        Draw { seed, missing: false }
    }

    /// And what is not given at all.
    pub(super) fn missing(seed: u64) -> Draw {
        Draw { seed, missing: true }
    }
}

/// Splits `NAME=VALUE`, for the argument parser.
pub(super) fn given(text: &str) -> Result<Given, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Given { name: name.into(), value: value.into() }),
        _ => Err(format!("`{text}` is not written NAME=VALUE")),
    }
}

/// A tensor that needs no entry to be understood, for the argument parser.
pub(super) fn bound(text: &str) -> Result<(String, Tensor), String> {
    let Given { name, value } = given(text)?;
    free(&name, &value).map(|tensor| (name, tensor)).map_err(|error| error.to_string())
}

/// Those of the given inputs that say what they are by themselves.
pub(super) fn offered(given: &[Given]) -> Vec<(String, Tensor)> {
    given.iter().filter_map(|one| Some((one.name.clone(), free(&one.name, &one.value).ok()?))).collect()
}

/// The given inputs without those that the model was made with.
pub(super) fn without(given: &[Given], names: &[String]) -> Vec<Given> {
    given.iter().filter(|one| !names.contains(&one.name)).cloned().collect()
}

fn free(name: &str, text: &str) -> Result<Tensor> {
    if let Some(place) = text.strip_prefix('@') {
        return file(place);
    }
    let dtype = if text.contains('.') && !text.contains('[') { DType::F32 } else { DType::I64 };
    let port = Port { name: name.into(), dtype, dims: vec![], source: 0 };
    match text.split_once('=') {
        Some((ty, numbers)) => written(&port, ty, numbers),
        None => Ok(Tensor::scalar(dtype, number(&port, dtype, text)?)),
    }
}

/// Reads and makes what was given, and draws what `draw` says; what else is missing is refused. Also the names of the inputs
/// that nobody gave and that were drawn.
pub(super) fn resolve(
    given: &[Given],
    interface: &Interface,
    dims: &[(String, i64)],
    file: &Path,
    draw: Draw,
) -> Result<(Inputs, Vec<String>)> {
    require(given, interface, file, draw.missing)?;
    let Interface { inputs, sizes, .. } = interface;
    let find = |name: &str| given.iter().find(|one| one.name == name).map(|one| one.value.as_str());
    let mut block = Block::new(interface, dims);
    let (mut resolved, mut drawn) = (Inputs::default(), vec![]);
    for (name, slot) in sizes {
        let value = match find(name) {
            Some(text) => size(name, text)?,
            None => block.known[slot.0 as usize].unwrap_or_else(|| block.least(slot.0 as usize, 0)),
        };
        block.set(slot.0 as usize, value);
        resolved.sizes.push((name.clone(), value));
    }
    let mut waiting = Vec::new();
    for port in inputs {
        let text = find(&port.name).map_or_else(
            || {
                drawn.push(port.name.clone());
                "random".to_owned()
            },
            str::to_owned,
        );
        let made = match seed_of(&text, draw)? {
            Some(seed) => {
                waiting.push((resolved.tensors.len(), port, seed));
                Tensor::zeros(port.dtype, [0])?
            }
            None => {
                let tensor = read(port, interface, &text)?;
                block.learn(port, &tensor);
                tensor
            }
        };
        resolved.tensors.push((port.name.clone(), made));
    }
    for (place, port, seed) in waiting {
        resolved.tensors[place].1 = random(port, &block.shape(port)?, seed)?;
    }
    Ok((resolved, drawn))
}

/// The seed in `random:SEED`, or that of all for `random`; `None` for what is not drawn.
fn seed_of(text: &str, draw: Draw) -> Result<Option<u64>, Failure> {
    let wrong = |seed: &str| Failure::new("MDL0701", format!("`{seed}` is no seed: a whole number"));
    match text.strip_prefix("random:") {
        Some(seed) => seed.parse().map(Some).map_err(|_| wrong(seed)),
        None => Ok((text == "random").then_some(draw.seed)),
    }
}

/// Every name is the entry's, once; all that it takes was given, or is `filled` in.
fn require(given: &[Given], interface: &Interface, file: &Path, filled: bool) -> Result<(), Failure> {
    let Interface { entry, inputs, sizes, .. } = interface;
    for (i, one) in given.iter().enumerate() {
        let name = &one.name;
        if given[..i].iter().any(|other| other.name == *name) {
            return Err(Failure::new("MDL0701", format!("`{name}` is given twice")));
        }
        let mut known = inputs.iter().map(|port| &port.name).chain(sizes.iter().map(|(name, _)| name));
        if !known.clone().any(|known| known == name) {
            let near = known.find(|known| strsim::damerau_levenshtein(known, name) <= (name.len() / 3).max(1));
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let message = format!("`{entry}` has no input `{name}`{near}\n{}", takes(interface, file));
            return Err(Failure::new("MDL0701", message));
        }
    }
    let absent = |name: &&String| !given.iter().any(|one| one.name == **name);
    let inputs_missing = inputs.iter().map(|port| &port.name).filter(absent).map(|name| format!("input `{name}`"));
    let sizes_missing = sizes.iter().map(|(name, _)| name).filter(absent).map(|name| format!("size `{name}`"));
    let missing: Vec<String> = inputs_missing.chain(sizes_missing).collect();
    if !missing.is_empty() && !filled {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let message = format!("{} {verb} missing\n{}", missing.join(", "), takes(interface, file));
        return Err(Failure::new("MDL0701", message));
    }
    Ok(())
}

/// The sizes that are known so far.
struct Block<'i> {
    interface: &'i Interface,
    known: Vec<Option<i64>>,
}

impl<'i> Block<'i> {
    fn new(interface: &'i Interface, dims: &[(String, i64)]) -> Self {
        let named = |def: &SlotDef| match def {
            SlotDef::Given { name, .. } => dims.iter().find(|(dim, _)| dim == name).map(|(_, value)| *value),
            _ => None,
        };
        Block { interface, known: interface.slots.iter().map(|(_, def)| named(def)).collect() }
    }

    fn set(&mut self, slot: usize, value: i64) {
        self.known[slot] = Some(value);
    }

    fn learn(&mut self, port: &Port, tensor: &Tensor) {
        for (dim, extent) in port.dims.iter().zip(tensor.shape()) {
            if let Some(slot) = dim.as_slot() {
                self.known[slot.0 as usize].get_or_insert(*extent as i64);
            }
        }
    }

    /// The number of a slot that nothing says: the least of its range, but not less than `floor`.
    fn least(&self, slot: usize, floor: i64) -> i64 {
        match self.interface.slots.iter().nth(slot) {
            Some((_, SlotDef::Given { lo, hi, .. })) => (*lo).max(floor).min(*hi),
            _ => 0,
        }
    }

    fn shape(&self, port: &Port) -> Result<Vec<usize>> {
        let numbers = self.known.iter().enumerate().map(|(slot, known)| known.unwrap_or_else(|| self.least(slot, 1)));
        let mut block: Vec<i64> = numbers.collect();
        self.interface.slots.fill(&mut block).map_err(|error| Failure::new("MDL0702", format!("{error}")))?;
        let extent = |dim: &Dim| dim.eval(&block).and_then(|extent| usize::try_from(extent).ok());
        let shape: Option<Vec<usize>> = port.dims.iter().map(extent).collect();
        let none = || Failure::new("MDL0702", format!("no shape of `{}` fits these sizes", port.name));
        Ok(shape.ok_or_else(none)?)
    }
}

/// What an entry takes, and a line that gives it.
fn takes(interface: &Interface, file: &Path) -> String {
    let inputs = interface.inputs.iter().map(|port| format!("  {}: {}\n", port.name, port.show(&interface.slots)));
    let sizes = interface.sizes.iter().map(|(name, _)| format!("  {name}: size\n"));
    let all: String = inputs.chain(sizes).collect();
    let files = interface.inputs.iter().map(|port| match port.dims.is_empty() {
        true => format!(" -i {}=1", port.name),
        false => format!(" -i {}=@{}.npy", port.name, port.name),
    });
    let numbers = interface.sizes.iter().map(|(name, _)| format!(" -i {name}=1"));
    let example: String = files.chain(numbers).collect();
    format!("`{}` takes\n{all}such as: mlc run {}{example}", interface.entry, file.display())
}

fn size(name: &str, text: &str) -> Result<i64, Failure> {
    let wrong = |_| Failure::new("MDL0701", format!("`{name}` is a size: a whole number, not `{text}`"));
    text.parse().map_err(wrong)
}

fn read(port: &Port, interface: &Interface, text: &str) -> Result<Tensor> {
    if let Some(place) = text.strip_prefix('@') {
        return file(place);
    }
    if let Some((ty, numbers)) = text.split_once('=') {
        return written(port, ty, numbers);
    }
    if port.dims.is_empty() {
        return Ok(Tensor::scalar(port.dtype, number(port, port.dtype, text)?));
    }
    let (name, wanted) = (&port.name, port.show(&interface.slots));
    let extent = |dim: &Dim| dim.as_constant().unwrap_or(1).to_string();
    let shape = port.dims.iter().map(extent).collect::<Vec<_>>().join(",");
    let ways =
        format!("{name}=@FILE.npy, {name}=@FILE.npz:KEY, {name}={}[{shape}]=[…] or {name}=random:SEED", port.dtype);
    let message = format!("`{text}` is no value for `{name}`, which is {wanted}\nwrite {ways}");
    Err(Failure::new("MDL0701", message).into())
}

/// `FILE.npy` or `FILE.npz:KEY`.
fn file(place: &str) -> Result<Tensor> {
    let member = place.rsplit_once(':').filter(|_| !Path::new(place).exists());
    let Some((file, key)) = member else { return Ok(read_npy(place)?) };
    let all = read_npz(file)?;
    let names: Vec<String> = all.iter().map(|(name, _)| format!("`{name}`")).collect();
    match all.into_iter().find(|(name, _)| name == key) {
        Some((_, tensor)) => Ok(tensor),
        None => Err(Failure::new("MDL0701", format!("`{file}` has no `{key}`; it has {}", names.join(", "))).into()),
    }
}

/// `f32[1,3]` and `[1,2,3]`; brackets inside the numbers may follow the rows.
fn written(port: &Port, ty: &str, numbers: &str) -> Result<Tensor> {
    let name = &port.name;
    let (word, dims) = ty.split_once('[').unwrap_or((ty, "]"));
    let dtype: DType = word.parse().map_err(|()| {
        let known: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
        Failure::new(
            "MDL0701",
            format!("`{word}` in the value of `{name}` is no element type; there are {}", known.join(", ")),
        )
    })?;
    let dims = dims
        .strip_suffix(']')
        .ok_or_else(|| Failure::new("MDL0701", format!("`{ty}` in the value of `{name}` lacks its `]`")))?;
    let items =
        |text: &str| text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect();
    let dims: Vec<String> = items(dims);
    let shape: Option<Vec<usize>> = dims.iter().map(|dim| dim.parse().ok()).collect();
    let shape = shape.ok_or_else(|| {
        Failure::new("MDL0701", format!("the dims of `{ty}` in the value of `{name}` must be numbers"))
    })?;
    let numbers: Vec<String> = items(&numbers.replace(['[', ']'], " "));
    let wanted = mlc_runtime::tensor::element_count(&shape);
    if wanted != Some(numbers.len()) {
        return Err(Failure::new(
            "MDL0701",
            format!(
                "`{ty}` in the value of `{name}` takes {} numbers, found {}",
                wanted.map_or_else(|| "more than 64 bits can count".into(), |n| n.to_string()),
                numbers.len()
            ),
        )
        .into());
    }
    let values: Vec<Scalar> = numbers.iter().map(|text| number(port, dtype, text)).collect::<Result<_, _>>()?;
    Ok(Tensor::from_fn(dtype, shape, |i| values[i])?)
}

fn number(port: &Port, dtype: DType, text: &str) -> Result<Scalar, Failure> {
    let name = &port.name;
    let wrong = || Failure::new("MDL0701", format!("`{text}` in the value of `{name}` is no {dtype}"));
    match (dtype, dtype.integer_range()) {
        (DType::Bool, _) => match text {
            "true" | "1" => Ok(Scalar::Bool(true)),
            "false" | "0" => Ok(Scalar::Bool(false)),
            _ => Err(wrong()),
        },
        (_, Some((lo, hi))) => match text.parse().map_err(|_| wrong())? {
            value if (lo..=hi).contains(&value) => Ok(Scalar::I64(value)),
            value => Err(Failure::new("MDL0701", format!("{value} in the value of `{name}` does not fit {dtype}"))),
        },
        _ => Ok(Scalar::F64(text.parse().map_err(|_| wrong())?)),
    }
}

/// Normal floats, integers in 0..8, coins; the name of the input is part of the seed.
fn random(port: &Port, shape: &[usize], seed: u64) -> Result<Tensor> {
    let hash = blake3::hash(port.name.as_bytes());
    let mut state = seed ^ u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut unit = || ((next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let element = |_| match port.dtype {
        DType::Bool => Scalar::Bool(unit() < 0.5),
        dtype if dtype.is_integer() => Scalar::I64((unit() * 8.0) as i64),
        _ => Scalar::F64((-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()),
    };
    Ok(Tensor::from_fn(port.dtype, shape, element)?)
}
