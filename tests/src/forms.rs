//! Uses of an op as graphs: as they stand, and with dims that are known only when the model is called.

use mlc::graph::{Block, Entry, Graph, GraphBuilder, GuardNode, Input, Value};
use mlc::ops::{Arguments, Attr, Kind, OpKind};
use mlc::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Dim, SlotDef, Slots};
use std::sync::Arc;

/// A use of an op.
pub struct Case {
    /// Which.
    pub op: OpKind,
    /// Its compile-time arguments, in the signature's order.
    pub attrs: Vec<Attr>,
    /// How many inputs each tensor parameter has.
    pub counts: Vec<u32>,
    /// The inputs.
    pub inputs: Vec<(DType, Vec<usize>)>,
    /// Inputs that hold indices, and the extent of what they point into.
    pub indices: Vec<(usize, i64)>,
}

impl Case {
    /// One input for each tensor parameter.
    pub fn new(op: OpKind, attrs: &[Attr], inputs: &[(DType, &[usize])]) -> Case {
        let inputs: Vec<_> = inputs.iter().map(|(dtype, shape)| (*dtype, shape.to_vec())).collect();
        Case { op, attrs: attrs.to_vec(), counts: vec![1; inputs.len()], inputs, indices: vec![] }
    }

    /// The same with other counts.
    pub fn counted(self, counts: &[u32]) -> Case {
        Case { counts: counts.to_vec(), ..self }
    }

    /// The same with indices below `extent` in an input.
    pub fn indexed(mut self, input: usize, extent: i64) -> Case {
        self.indices.push((input, extent));
        self
    }
}

/// Ops that have no form with symbolic dims, and why.
pub const STATIC: &[(OpKind, &str)] = &[];

/// Ops that no two threads share, and why.
pub const ALONE: &[(OpKind, &str)] = &[(OpKind::Scalar, "makes one number")];

/// Ops whose arguments say dims of their result: these become symbols too.
const SIZED: &[OpKind] = &[
    OpKind::Reshape,
    OpKind::Expand,
    OpKind::CausalMask,
    OpKind::Scalar,
    OpKind::Iota,
    OpKind::Full,
    OpKind::Uniform,
    OpKind::Normal,
];

/// A graph of the one op; dims of an extent in `symbolic` are one symbol each.
pub fn graph(case: &Case, symbolic: &[usize]) -> Result<Graph, String> {
    let mut graph = Graph {
        name: "Case".into(),
        slots: Slots::default(),
        facts: vec![],
        weights: Arc::default(),
        constants: Default::default(),
        states: Default::default(),
        values: Default::default(),
        nodes: Default::default(),
        entries: vec![],
    };
    let loc = Loc::default();
    let given = |extent: &usize| SlotDef::Given { name: format!("d{extent}"), lo: 0, hi: 1 << 20, size: false };
    let slots: Vec<_> = symbolic.iter().map(|extent| graph.slots.add(given(extent))).collect();
    let dim = |extent: &usize| match symbolic.iter().position(|e| e == extent) {
        Some(i) => Dim::slot(slots[i]),
        None => Dim::from(*extent as i64),
    };
    let types = case.inputs.iter().map(|(dtype, shape)| TensorType::new(*dtype, shape.iter().map(dim)));
    let types: Vec<TensorType> = types.collect();
    let values: Vec<_> = types.into_iter().map(|ty| graph.values.push(Value { ty, name: None, loc })).collect();
    let mut body = Block::default();
    let symbol = |d: &Dim| d.as_constant().and_then(|value| usize::try_from(value).ok()).map_or(d.clone(), |e| dim(&e));
    let attrs = sized(case).map(|(attr, sized)| match attr {
        Attr::Dim(d) if sized => Attr::Dim(symbol(d)),
        Attr::Int(value) if sized => Attr::Dim(symbol(&Dim::from(*value))),
        Attr::Dims(dims) if sized => Attr::Dims(dims.iter().map(|d| d.as_ref().map(symbol)).collect()),
        other => other.clone(),
    });
    let arguments = Arguments { counts: case.counts.clone(), attrs: attrs.collect() };
    let bound = |extent: &usize| case.inputs.iter().any(|(_, shape)| shape.contains(extent));
    let unbound = symbolic.iter().zip(&slots).filter(|(extent, _)| !bound(extent));
    let sizes: Vec<_> = unbound.map(|(extent, slot)| (format!("d{extent}"), *slot)).collect();
    let mut builder = GraphBuilder { graph: &mut graph, block: &mut body, path: String::new() };
    let applied = builder.apply(case.op, arguments, &values, loc).map_err(|e| e.message)?;
    let guards = applied.guards.into_iter().map(|guard| GuardNode {
        at_least_zero: guard.at_least_zero,
        exactly_zero: guard.exactly_zero,
        message: guard.question,
        loc,
    });
    graph.entries.push(Entry {
        name: "main".into(),
        doc: String::new(),
        inputs: values.iter().enumerate().map(|(i, value)| Input { name: format!("x{i}"), value: *value }).collect(),
        sizes,
        guards: guards.collect(),
        body,
        outputs: applied.outputs.iter().enumerate().map(|(i, v)| (format!("y{i}"), *v)).collect(),
        loc,
    });
    Ok(graph)
}

/// The sets of extents that may become symbols: all that can together, or else each that can alone.
pub fn symbolic(case: &Case) -> Vec<Vec<usize>> {
    let mut extents: Vec<usize> = case.inputs.iter().flat_map(|(_, shape)| shape.iter().copied()).collect();
    extents.extend(sized(case).filter(|(_, sized)| *sized).flat_map(|(attr, _)| said(attr)));
    extents.sort_unstable();
    extents.dedup();
    // Only a dim that is written 1 broadcasts.
    extents.retain(|extent| *extent != 1 && graph(case, &[*extent]).is_ok());
    match extents.is_empty() {
        true => vec![],
        false if graph(case, &extents).is_ok() => vec![extents],
        false => extents.into_iter().map(|extent| vec![extent]).collect(),
    }
}

/// The arguments of a case, and whether each says dims that may become symbols.
fn sized(case: &Case) -> impl Iterator<Item = (&Attr, bool)> {
    let params = case.op.op().signature().params.iter().filter(|param| !param.is_tensor());
    let sized = SIZED.contains(&case.op);
    case.attrs
        .iter()
        .zip(params)
        .map(move |(attr, param)| (attr, sized && matches!(param.kind, Kind::Dim | Kind::Dims)))
}

/// The dims that an argument says.
fn said(attr: &Attr) -> Vec<usize> {
    let whole = |dim: &Dim| dim.as_constant().and_then(|value| usize::try_from(value).ok());
    match attr {
        Attr::Dim(dim) => whole(dim).into_iter().collect(),
        Attr::Int(value) => usize::try_from(*value).into_iter().collect(),
        Attr::Dims(dims) => dims.iter().flatten().filter_map(whole).collect(),
        _ => vec![],
    }
}

/// The sizes that a form is called with, in one session: as it stands, larger and odd, larger and even, empty, and as at
/// first.
pub fn sizes(symbolic: &[usize]) -> Vec<Vec<usize>> {
    let own = symbolic.to_vec();
    if own.is_empty() {
        return vec![own];
    }
    let odd = own.iter().map(|extent| 2 * extent + 1).collect();
    let even = own.iter().map(|extent| 2 * extent).collect();
    let empty = own.iter().enumerate().map(|(i, extent)| if i == 0 { 0 } else { *extent }).collect();
    vec![own.clone(), odd, even, empty, own]
}

/// Sizes that are worth sharing between threads: 2^15 elements or more in the largest input. Where arguments say dims,
/// the result has some of the sizes.
pub fn wide(case: &Case, symbolic: &[usize]) -> Option<Vec<usize>> {
    let scaled = |factor: usize| symbolic.iter().map(|extent| (extent * factor).min(1 << 17)).collect::<Vec<_>>();
    let enough = |sizes: &Vec<usize>| {
        let elements = |own: &[usize]| shape(own, symbolic, sizes).iter().product::<usize>();
        match case.inputs.iter().map(|(_, own)| elements(own)).max() {
            Some(most) if !SIZED.contains(&case.op) => most >= 1 << 15,
            _ => sizes.iter().product::<usize>() >= 1 << (15 + 2 * sizes.len()),
        }
    };
    (1..=1 << 15).map(scaled).find(enough)
}

/// The shape of an input at sizes.
pub fn shape(shape: &[usize], symbolic: &[usize], sizes: &[usize]) -> Vec<usize> {
    let at = |extent: &usize| symbolic.iter().position(|e| e == extent).map_or(*extent, |i| sizes[i]);
    shape.iter().map(at).collect()
}
