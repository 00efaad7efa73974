//! `fold`: what constants alone decide, computed when the model is built.
//! Invariant: the numbers are those that kernels would compute, to the bit: only ops whose `eval` rounds as machine code
//! does are folded.

use super::constants::{Family, common, numbers};
use super::rewrite::{Outcome, Rewriter, Rule, Use, rewrite};
use crate::graph::{Graph, NodeId, ValueId};
use crate::ops::{Attr, OpKind, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Slot, SlotDef};
use mlc_runtime::tensor::Tensor;

pub(super) const DOC: &str = "\
Computes what only constants decide. Inside of a loop each trip by itself, so that a family of weights gives a family of \
results. Small weights are read for it; matrices of bytes stay bytes, for `fold-qdq`. Only ops whose kernels give the same bits are folded, no result grows by more \
than a few elements, and none takes more than 1 MiB.";

/// A result with no more elements than this may be larger than what it is made of.
const FEW: i64 = 64;
/// Bytes of all members of a result.
const MOST: i64 = 1 << 20;
/// Bytes that are read for one op.
const MOST_READ: i64 = 4 << 20;
/// Members of one family.
const MOST_TRIPS: i64 = 4096;

/// Folds from the inputs to the outputs.
pub(super) fn run(graph: &mut Graph) -> usize {
    rewrite(graph, &mut Fold { packed: false })
}

/// Folds what is left when no product will take its integers any more.
pub(super) fn run_rest(graph: &mut Graph) -> usize {
    rewrite(graph, &mut Fold { packed: true })
}

struct Fold {
    /// Whether matrices of bytes are made numbers of more bytes.
    packed: bool,
}

impl Rule for Fold {
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome {
        let found = cx.op(node).filter(|found| self.packed || !unpacks(found));
        let folded = found.and_then(|found| fold(cx, &found));
        folded.map_or(Outcome::Keep, Outcome::Replace)
    }
}

/// Whether an op makes wider numbers of a matrix of bytes, which a product may read as they are.
fn unpacks(found: &Use) -> bool {
    let bytes = |ty: &TensorType| ty.rank() > 1 && matches!(ty.dtype, DType::I8 | DType::U8);
    matches!(found.op, OpKind::Cast | OpKind::Dequantize) && bytes(&found.types[0]) && !bytes(&found.results[0])
}

fn fold(cx: &mut Rewriter, found: &Use) -> Option<Vec<ValueId>> {
    let families: Vec<Family> = found.inputs.iter().map(|value| cx.family(*value)).collect::<Option<_>>()?;
    if !is_exact(found) || !is_small(cx.graph, found, &families) {
        return None;
    }
    let (counter, trips) = trips(cx.graph, found, &families)?;
    let read: i64 = families.iter().map(|family| family.bytes(cx.graph)).fold(0, i64::saturating_add);
    let elements: i64 = found.results.iter().map(|ty| ty.elements().as_constant().unwrap_or(i64::MAX)).sum();
    let made = elements.saturating_mul(8).saturating_mul(trips as i64);
    if read > MOST_READ || made > MOST {
        return None;
    }
    let mut results: Vec<Vec<Tensor>> = vec![vec![]; found.results.len()];
    let mut sizes = vec![0; cx.graph.slots.len()];
    for trip in 0..trips {
        if let Some(Slot(slot)) = counter {
            sizes[slot as usize] = trip as i64;
        }
        let inputs: Vec<Tensor> =
            families.iter().map(|family| numbers(cx.graph, family.at(trip))).collect::<Option<_>>()?;
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let made = found.op.op().eval(&found.call(), &inputs, &sizes).ok()?;
        results.iter_mut().zip(made).for_each(|(all, one)| all.push(one));
    }
    let like = families.into_iter().max_by_key(|family| family.members.len());
    results.into_iter().map(|all| place(cx, found, all, counter, like.as_ref())).collect()
}

/// A constant for a result; one that is the same in every trip needs no loop.
fn place(
    cx: &mut Rewriter,
    found: &Use,
    mut all: Vec<Tensor>,
    counter: Option<Slot>,
    like: Option<&Family>,
) -> Option<ValueId> {
    let alike = all.iter().all(|tensor| *tensor == all[0]);
    let counter = counter.filter(|_| !alike);
    if alike {
        all.truncate(1);
    }
    match like {
        Some(like) => cx.constant(all, counter, like, found.op.name()),
        None => {
            let first = cx.made.constant(cx.graph, all.first()?.clone(), found.op.name().into(), found.loc);
            cx.constant(all, counter, &Family { members: vec![first], counter: None }, "trip")
        }
    }
}

/// Whether `eval`, which rounds once from f64, gives the bits of a kernel, which rounds after each f32 operation.
fn is_exact(found: &Use) -> bool {
    let floats = found.types.iter().chain(&found.results).any(|ty| ty.dtype.is_float());
    let once = [OpKind::Add, OpKind::Sub, OpKind::Mul, OpKind::Div, OpKind::Square, OpKind::Sqrt, OpKind::Reciprocal];
    !floats || found.op.op().tolerance() == Tolerance::EXACT || once.contains(&found.op)
}

/// Whether results have static dims and are not much larger than the inputs.
fn is_small(graph: &Graph, found: &Use, families: &[Family]) -> bool {
    let elements = |member| graph.constants[member].ty.elements().as_constant().unwrap_or(0);
    let given: i64 = families.iter().map(|family| elements(family.at(0))).sum();
    found
        .results
        .iter()
        .all(|ty| ty.shape().is_some() && ty.elements().as_constant().is_some_and(|made| made <= given.max(FEW)))
}

/// The loop whose trips differ, by its members or by its counter in an argument, and how many there are.
fn trips(graph: &Graph, found: &Use, families: &[Family]) -> Option<(Option<Slot>, usize)> {
    let (mut counter, mut trips) = common(&families.iter().collect::<Vec<_>>())?;
    for slot in found.arguments.attrs.iter().flat_map(slots) {
        let SlotDef::Counter { trips: count, .. } = graph.slots.def(slot) else { return None };
        if counter.is_some_and(|known| known != slot) {
            return None;
        }
        let count = count.as_constant().filter(|count| (1..=MOST_TRIPS).contains(count))?;
        (counter, trips) = (Some(slot), count as usize);
    }
    Some((counter, trips))
}

/// The slots that a compile-time argument mentions.
fn slots(attr: &Attr) -> Vec<Slot> {
    let of = |dim: &Dim| dim.slots().collect::<Vec<_>>();
    match attr {
        Attr::Dim(dim) => of(dim),
        Attr::Dims(dims) => dims.iter().flatten().flat_map(of).collect(),
        Attr::Names(names) => names.iter().flat_map(|(_, dim)| of(dim)).collect(),
        _ => vec![],
    }
}
