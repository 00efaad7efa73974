//! Weights: declarations become constants of the graph, inside a rolled `repeat` families of them.

use super::elaborate::Elaborator;
use super::keys::KeyPath;
use super::origin::Origin;
use super::profiles::{Directive, Override};
use super::scope::Frame;
use super::suggest::Missing;
use super::term::{Checks, Operand, Poison, Static, Term};
use super::typing::Typed;
use super::weight_files::Statement;
use crate::diag::Diagnostic;
use crate::graph::{Constant, ConstantData, ConstantId, NodeKind};
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Scalar, Slot, Storage};
use mlc_grammar::ast::{Expr, ExprKind, Ident, Text, Type, TypeDimKind, TypeKind};
use mlc_runtime::session::human;
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::WeightSet;
use std::collections::{HashMap, HashSet};

/// No default weight, and no random one, is larger.
const MOST_BYTES: i64 = 4 << 30;

/// The files of a model, and the constants that its keys have become.
#[derive(Debug, Default)]
pub(super) struct Weights {
    pub(super) set: WeightSet,
    pub(super) statements: Vec<Statement>,
    /// A file could not be opened: what it would hold is not known.
    pub(super) unread: bool,
    pub(super) missing: Vec<Missing>,
    pub(super) used: HashSet<String>,
    /// The first weight that is kept narrower than it is read, and how many are.
    narrower: Option<(String, Storage, usize)>,
    /// Bytes of the tensors that were made rather than found.
    made: u64,
    /// With the declaration, and the call it stands in.
    known: HashMap<String, (ConstantId, Loc, Option<Loc>)>,
}

impl Weights {
    /// That weights are kept narrower than they are read, once for all of them.
    pub(super) fn notes(&self) -> Vec<String> {
        let note = |(key, storage, count): &(String, Storage, usize)| match count {
            1 => format!("weight `{key}` is kept as {storage} and read as f32"),
            n => format!(
                "{n} weights are kept narrower than f32, which they are read as; the first is `{key}`, {storage}"
            ),
        };
        self.narrower.iter().map(note).collect()
    }
}

/// A `weight` statement.
#[derive(Clone, Copy)]
pub(super) struct Declared<'t> {
    pub(super) name: &'t Ident,
    pub(super) ty: &'t Type,
    pub(super) from: &'t Text,
    pub(super) default: Option<&'t Expr>,
}

/// What is looked up for one key.
struct Wanted<'a> {
    ty: &'a TensorType,
    typed: &'a Typed,
    loc: Loc,
    path: &'a KeyPath,
    default: Option<&'a (Static, Loc)>,
}

impl<'t> Elaborator<'t> {
    /// `weight name: type from "leaf" else default`.
    pub(super) fn weight(&mut self, frame: &Frame, declared: Declared<'t>) -> Checks<Term> {
        let loc = self.loc(frame, declared.name.span);
        let default = declared.default.map(|expr| (self.expr(frame, expr), self.loc(frame, expr.span)));
        if frame.pure {
            return self.error("MDL0213", "a function owns no weights", loc, "only blocks and entries do");
        }
        let mut typed = self.tensor_type(frame, declared.ty)?;
        self.written_dims(frame, declared.ty, &mut typed);
        let segment = self.segment(frame, declared.from)?;
        let path = frame.path.join(segment);
        let operand = |value| Operand { value, from: typed.from.clone().into(), name: None };
        if self.standalone {
            let value = self.value(typed.ty.clone(), Some(declared.name.name.to_string()), loc);
            self.push(frame, NodeKind::Constant { members: vec![], counter: None }, vec![], vec![value], loc);
            return Ok(Term::Tensor(operand(value)));
        }
        self.require_static_dims(&typed, loc, declared.ty, frame)?;
        let (keys, counter) = self.keys(&path)?;
        let default = match default {
            None => None,
            Some((Ok(Term::Static(value)), at)) => Some((value, at)),
            Some((Ok(other), at)) => return self.computed_default(frame, &keys, other, &typed, at, loc),
            Some((Err(poison), _)) => return Err(poison),
        };
        let asked: Vec<Directive> = self.attributes.iter().flatten().cloned().collect();
        let all = keys.iter().flat_map(|key| asked.iter().map(move |own| (key, own)));
        let own = all.map(|(key, directive)| Override { key: key.clone(), directive: directive.clone() });
        self.overrides.extend(own);
        let from = self.loc(frame, declared.from.span);
        let wanted = Wanted { ty: &typed.ty, typed: &typed, loc: from, path: &path, default: default.as_ref() };
        let members: Vec<ConstantId> = keys.iter().map(|key| self.constant(key, &wanted)).collect::<Checks<_>>()?;
        let value = self.value(typed.ty.clone(), Some(declared.name.name.to_string()), loc);
        let counter = counter.filter(|_| members.len() != 1 || keys.len() != 1);
        self.push(frame, NodeKind::Constant { members, counter }, vec![], vec![value], loc);
        Ok(Term::Tensor(operand(value)))
    }

    /// The literals in a weight's type are where its sizes come from.
    fn written_dims(&self, frame: &Frame, ty: &Type, typed: &mut Typed) {
        let TypeKind::Tensor(_, dims) = &ty.kind else { return };
        if dims.len() != typed.from.len() {
            return;
        }
        for (dim, from) in dims.iter().zip(&mut typed.from) {
            if let TypeDimKind::Size(Expr { kind: ExprKind::Int(value), span }) = &dim.kind {
                *from = Origin::new(self.loc(frame, *span), format!("`{value}` is written here"));
            }
        }
    }

    /// The keys of a path: one, or one for each iteration of a rolled loop.
    fn keys(&mut self, path: &KeyPath) -> Checks<(Vec<String>, Option<Slot>)> {
        match path.counters().as_slice() {
            [] => Ok((vec![path.show()], None)),
            [one] => {
                let around = self.loops.iter().find(|l| l.counter == *one).expect("keys name loops around them");
                let trips = around.trips.expect("keys name loops of known trips");
                if trips > 1 << 16 {
                    let loc = around.loc;
                    let message = format!("{trips} iterations with weights of their own");
                    return self.error("MDL0217", message, loc, "more than 65536 tensors for one weight");
                }
                Ok(((0..trips).map(|i| path.at(*one, i)).collect(), Some(*one)))
            }
            several => {
                let outer = self.loops.iter().position(|l| several.contains(&l.counter));
                self.unroll = outer;
                Err(Poison)
            }
        }
    }

    fn require_static_dims(&mut self, typed: &Typed, loc: Loc, ty: &Type, frame: &Frame) -> Checks<()> {
        let Some(open) = typed.ty.dims.iter().position(|dim| dim.as_constant().is_none()) else { return Ok(()) };
        let dim = typed.ty.dims[open].clone();
        self.known_integer(&dim)?;
        let shown = self.show(&typed.ty);
        let message = format!("a weight has static dims, but this is {shown}");
        let label = format!("`{}` is not known at compile time", self.show_dim(&dim));
        let at = self.loc(frame, ty.span);
        let mut diagnostic = Diagnostic::error("MDL0205", message, if ty.span.end > 0 { at } else { loc }, label);
        if let Some(from) = self.origin_of(&dim, &typed.from[open]) {
            diagnostic = diagnostic.label(from.loc, from.text.clone());
        }
        self.report(diagnostic)
    }

    /// A kernel is compiled once for all iterations, so that the members of a family have one storage: where their files
    /// differ, they are widened.
    pub(super) fn one_storage_each(&mut self) {
        let constants = &mut self.graph.constants;
        let mut mixed = true;
        while std::mem::take(&mut mixed) {
            for node in self.graph.nodes.values() {
                let NodeKind::Constant { members, .. } = &node.kind else { continue };
                let differ = members.windows(2).any(|pair| constants[pair[0]].storage != constants[pair[1]].storage);
                for member in members.iter().filter(|_| differ) {
                    constants[*member].storage = Storage::Plain(constants[*member].ty.dtype);
                }
                mixed |= differ;
            }
        }
    }

    fn constant(&mut self, key: &str, wanted: &Wanted) -> Checks<ConstantId> {
        self.weights.used.insert(key.to_owned());
        if let Some((known, first, call)) = self.weights.known.get(key).copied() {
            let before = self.graph.constants[known].ty.clone();
            if before == *wanted.ty {
                return Ok(known);
            }
            let (was, is) = (self.show(&before), self.show(wanted.ty));
            let message = format!("weight `{key}` is declared with two types: {was} and {is}");
            let diagnostic = Diagnostic::error("MDL0402", message, wanted.loc, format!("{is} here"));
            return self.report(match call {
                Some(call) if first == wanted.loc => diagnostic.label(call, format!("{was} in this call")),
                _ => diagnostic.label(first, format!("{was} here")),
            });
        }
        let (storage, data) = self.data(key, wanted)?;
        let constant = Constant { ty: wanted.ty.clone(), storage, name: key.to_owned(), data, loc: wanted.loc };
        let constant = self.graph.constants.push(constant);
        let call = self.calls.last().map(|call| call.loc);
        self.weights.known.insert(key.to_owned(), (constant, wanted.loc, call));
        Ok(constant)
    }

    /// Where a key's numbers are. A key that is missing is noted, and the model is checked on with what it declares.
    fn data(&mut self, key: &str, wanted: &Wanted) -> Checks<(Storage, ConstantData)> {
        let plain = Storage::Plain(wanted.ty.dtype);
        let weight = || ConstantData::Weight(key.to_owned());
        if let Some(seed) = self.options.random_weights {
            return Ok((plain, ConstantData::Tensor(self.random(key, seed, wanted)?)));
        }
        let found = match self.weights.set.find(key) {
            Ok(found) => found.map(|found| (found.entry.shape.clone(), found.entry.storage, found.name.to_owned())),
            Err(duplicate) => {
                let mut diagnostic = Diagnostic::error("MDL0404", duplicate.to_string(), wanted.loc, "found in both");
                for statement in &self.weights.statements {
                    let file = statement.file.and_then(|i| self.weights.set.files().nth(i));
                    if file
                        .is_some_and(|(f, _)| [&duplicate.first, &duplicate.second].iter().any(|p| f.path() == &***p))
                    {
                        diagnostic = diagnostic.label(statement.from, "it is in this file");
                    }
                }
                return self.report(diagnostic.help("a key may be in one of the files only; give one file a prefix"));
            }
        };
        match found {
            Some((shape, storage, name)) => {
                let dims: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
                if Some(&dims) != wanted.ty.shape().as_ref() {
                    self.misshapen(&name, &dims, wanted.typed, wanted.loc);
                    return Ok((plain, weight()));
                }
                Ok((self.storage(&name, storage, wanted)?, weight()))
            }
            None if let Some(error) = self.weights.set.unreadable(key) => {
                let diagnostic = Diagnostic::error(error.code(), error.message(), wanted.loc, "read here");
                self.report(error.fault.help().into_iter().fold(diagnostic, Diagnostic::help))
            }
            None if self.weights.unread => Ok((plain, weight())),
            None => match wanted.default {
                Some((value, loc)) => Ok((plain, ConstantData::Tensor(self.filled(value, wanted.ty, *loc)?))),
                None => {
                    let missing = Missing {
                        key: key.to_owned(),
                        ty: wanted.ty.clone(),
                        loc: wanted.loc,
                        sites: wanted.path.sites().collect(),
                    };
                    self.weights.missing.push(missing);
                    Ok((plain, weight()))
                }
            },
        }
    }

    /// How a tensor of the file is kept, when the declared dtype can be read from that.
    fn storage(&mut self, name: &str, found: Storage, wanted: &Wanted) -> Checks<Storage> {
        let dtype = wanted.ty.dtype;
        match found {
            Storage::Plain(kept) if kept == dtype => return Ok(found),
            Storage::Packed(_) | Storage::Plain(DType::F16 | DType::BF16) if dtype == DType::F32 => {
                let first = self.weights.narrower.take();
                let (key, storage, count) = first.unwrap_or((name.into(), found, 0));
                self.weights.narrower = Some((key, storage, count + 1));
                return Ok(found);
            }
            Storage::Plain(kept) if widens(kept, dtype) => return Ok(Storage::Plain(dtype)),
            _ => {}
        }
        let message = format!("`{name}` is stored as {found}, the model says {dtype}");
        let diagnostic = Diagnostic::error("MDL0402", message, wanted.loc, "read here")
            .note("only narrower floats and integers are widened when a weight is read");
        self.report(match found {
            Storage::Plain(kept) => diagnostic.help(format!("declare it as {kept} and cast it, or convert the file")),
            Storage::Packed(_) | Storage::Interleaved(_) | Storage::Sparse(_) => {
                diagnostic.help("declare it as f32: packed weights are read as f32")
            }
        })
    }

    /// `else v` with one number for all elements.
    fn filled(&mut self, value: &Static, ty: &TensorType, loc: Loc) -> Checks<Tensor> {
        let number = match value.plain() {
            Static::Bool(value) if ty.dtype == DType::Bool => Scalar::Bool(*value),
            Static::List(_) => return self.listed_tensor(value, ty, loc),
            _ => match self.number_of(value, ty.dtype, loc)? {
                Some(number) => number,
                None => {
                    return self.error(
                        "MDL0205",
                        "a default weight is a number",
                        loc,
                        format!("this is {}", value.kind()),
                    );
                }
            },
        };
        let shape = self.bounded_shape(ty, loc)?;
        match Tensor::from_fn(ty.dtype, shape, |_| number) {
            Ok(tensor) => Ok(tensor),
            Err(error) => self.error("MDL0217", error.to_string(), loc, "made here"),
        }
    }

    /// The shape of a tensor that is made when the model is checked.
    pub(super) fn bounded_shape(&mut self, ty: &TensorType, loc: Loc) -> Checks<Vec<usize>> {
        let count = ty.elements().as_constant();
        let bytes = count.and_then(|n| ty.dtype.bytes_for(n)).filter(|bytes| *bytes <= MOST_BYTES);
        let Some(bytes) = bytes else {
            let message = format!("{} is too large to be made here", self.show(ty));
            return self.error("MDL0217", message, loc, format!("more than {} GiB", MOST_BYTES >> 30));
        };
        self.weights.made = self.weights.made.saturating_add(bytes.max(0) as u64);
        if let Some(most) = self.options.max_memory.filter(|most| self.weights.made > *most) {
            let message = format!("{} is too large to be made here", self.show(ty));
            let label = format!("with what was made before, more than the {} allowed", human(most));
            return self.report(Diagnostic::error("MDL0217", message, loc, label).help("raise --max-memory"));
        }
        Ok(ty.dims.iter().filter_map(|dim| dim.as_constant()).map(|d| d as usize).collect())
    }

    /// `else v` where `v` is a value of the graph: it stands for keys that are missing.
    fn computed_default(
        &mut self,
        frame: &Frame,
        keys: &[String],
        default: Term,
        typed: &Typed,
        at: Loc,
        loc: Loc,
    ) -> Checks<Term> {
        let here = |key: &String| matches!(self.weights.set.find(key), Ok(Some(_)));
        let present = keys.iter().filter(|key| here(key)).count();
        if present > 0 && present < keys.len() {
            let message = "a default for some iterations must be a number";
            return self.error("MDL0205", message, at, "this is computed when the model runs");
        }
        let operand = self.tensor(frame, &default, Some(typed.ty.dtype), at)?;
        let given = self.given(&operand, at);
        self.require_type(typed, &given, "the default of the weight", "MDL0402", loc)?;
        Ok(Term::Tensor(operand))
    }

    /// Uniform numbers of a size that keeps activations near 1, drawn from the seed and the key.
    fn random(&mut self, key: &str, seed: u64, wanted: &Wanted) -> Checks<Tensor> {
        let shape = self.bounded_shape(wanted.ty, wanted.loc)?;
        let hash = blake3::hash(key.as_bytes());
        let mut state = seed ^ u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"));
        let reach = 1.0 / (shape.last().copied().unwrap_or(1).max(1) as f64).sqrt();
        let dtype = wanted.ty.dtype;
        let made = Tensor::from_fn(dtype, shape, |_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
            match dtype.is_float() {
                true => Scalar::F64((unit * 2.0 - 1.0) * reach),
                false => Scalar::I64((unit * 2.0) as i64),
            }
        });
        match made {
            Ok(tensor) => Ok(tensor),
            Err(error) => self.error("MDL0217", error.to_string(), wanted.loc, "made here"),
        }
    }
}

/// Whether every value of an integer or float type is one of another.
fn widens(from: DType, to: DType) -> bool {
    match (from.integer_range(), to.integer_range()) {
        (Some((lo, hi)), Some((least, most))) => least <= lo && hi <= most,
        _ => to == DType::F64 && from.is_float(),
    }
}
