//! Arithmetic on shapes: operators on integers that are dims give dims.
//!
//! Invariant: where an answer is not certain for all sizes there is none, and the operator is computed when the model
//! runs.

use super::items::{Item, Sizes};
use super::node::Node;
use mlc_codegen::base::{DType, Dim, Scalar, Slots, Truth};
use mlc_runtime::tensor::Tensor;

/// The results of a node on sizes, where they can be told.
pub(super) fn fold(node: &mut Node) -> Option<Vec<Item>> {
    if !node.inputs.iter().flatten().any(|item| matches!(item, Item::Sizes(_))) {
        return None;
    }
    let first = node.opt(0)?;
    match node.proto.op_type.as_str() {
        "Identity" => Some(vec![first]),
        "Cast" => cast(node, first.sizes()?),
        "Gather" => gather(node, first.sizes()?),
        "Slice" => slice(node, first.sizes()?),
        "Concat" => concat(node),
        "Squeeze" | "Unsqueeze" | "Reshape" => axes(node, first.sizes()?),
        "ReduceProd" => {
            Some(vec![one(first.sizes()?, |dims| dims.into_iter().product(), node.int("keepdims", 1) == 0)])
        }
        "ReduceSum" => Some(vec![one(first.sizes()?, |dims| dims.into_iter().sum(), node.int("keepdims", 1) == 0)]),
        "Where" => choose(node),
        "Split" => split(node, first.sizes()?),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Max" | "Min" => arithmetic(node),
        "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" => compare(node),
        _ => None,
    }
}

fn one(sizes: Sizes, fold: impl Fn(Vec<Dim>) -> Dim, scalar: bool) -> Item {
    Sizes { dims: vec![fold(sizes.dims)], scalar: scalar || sizes.scalar, dtype: sizes.dtype }.item()
}

fn cast(node: &Node, sizes: Sizes) -> Option<Vec<Item>> {
    let dtype = node.dtype("to", 1).ok()?;
    matches!(dtype, DType::I64 | DType::I32).then(|| vec![Sizes { dtype, ..sizes }.item()])
}

fn place(index: i64, len: usize) -> Option<usize> {
    let counted = if index < 0 { index + len as i64 } else { index };
    usize::try_from(counted).ok().filter(|at| *at < len)
}

fn gather(node: &Node, sizes: Sizes) -> Option<Vec<Item>> {
    let indices = node.opt(1)?;
    let indices = indices.tensor()?;
    if indices.shape().len() > 1 || sizes.scalar {
        return None;
    }
    let dims: Option<Vec<Dim>> =
        indices.iter().map(|i| Some(sizes.dims[place(i.as_i64(), sizes.dims.len())?].clone())).collect();
    Some(vec![Sizes { dims: dims?, scalar: indices.shape().is_empty(), dtype: sizes.dtype }.item()])
}

fn slice(node: &Node, sizes: Sizes) -> Option<Vec<Item>> {
    let list = |i: usize, name: &str| match node.version < 10 {
        true => node.ints(name),
        false => node.known_ints(i).ok().flatten(),
    };
    let (start, stop) = (*list(1, "starts")?.first()?, *list(2, "ends")?.first()?);
    let step = list(4, "steps").and_then(|steps| steps.first().copied()).unwrap_or(1);
    let len = sizes.dims.len() as i64;
    let clamp = |at: i64| (if at < 0 { at.saturating_add(len) } else { at }).clamp(0, len) as usize;
    let step = usize::try_from(step).ok().filter(|step| *step > 0)?;
    let (start, stop) = (clamp(start), clamp(stop));
    let dims = sizes.dims.get(start..stop.max(start))?.iter().step_by(step).cloned().collect();
    Some(vec![Sizes { dims, ..sizes }.item()])
}

fn concat(node: &Node) -> Option<Vec<Item>> {
    let parts: Option<Vec<Sizes>> = node.inputs.iter().map(|item| item.as_ref()?.sizes()).collect();
    let parts = parts?;
    let dtype = parts.first()?.dtype;
    let dims = parts.into_iter().flat_map(|part| part.dims).collect();
    Some(vec![Sizes { dims, scalar: false, dtype }.item()])
}

fn axes(node: &Node, sizes: Sizes) -> Option<Vec<Item>> {
    let scalar = match node.proto.op_type.as_str() {
        "Squeeze" => true,
        "Reshape" => node.known_ints(1).ok()??.is_empty(),
        _ if sizes.scalar => false,
        _ => return None,
    };
    let flat = node.proto.op_type != "Reshape" || node.known_ints(1).ok()??.len() < 2;
    (flat && (!scalar || sizes.dims.len() == 1)).then(|| vec![Sizes { scalar, ..sizes }.item()])
}

fn split(node: &Node, sizes: Sizes) -> Option<Vec<Item>> {
    let count = node.proto.output.len();
    let given = if node.version < 13 { node.ints("split") } else { node.known_ints(1).ok().flatten() };
    let each = sizes.dims.len().div_ceil(count.max(1));
    let lengths = given.unwrap_or_else(|| vec![each as i64; count]);
    let (mut at, mut parts) = (0usize, vec![]);
    for length in lengths {
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        let dims = sizes.dims.get(at..end.min(sizes.dims.len()))?.to_vec();
        parts.push(Sizes { dims, ..sizes.clone() }.item());
        at = end;
    }
    Some(parts)
}

/// Pairs of elements, where one may be repeated.
fn pairs(a: &Sizes, b: &Sizes) -> Option<(Vec<(Dim, Dim)>, bool)> {
    let len = a.dims.len().max(b.dims.len());
    let at = |sizes: &Sizes, i: usize| match sizes.dims.len() {
        1 => Some(sizes.dims[0].clone()),
        _ => sizes.dims.get(i).cloned(),
    };
    let all: Option<Vec<(Dim, Dim)>> = (0..len).map(|i| Some((at(a, i)?, at(b, i)?))).collect();
    Some((all?, a.scalar && b.scalar))
}

fn arithmetic(node: &mut Node) -> Option<Vec<Item>> {
    let (a, b) = (node.opt(0)?.sizes()?, node.opt(1)?.sizes()?);
    let (pairs, scalar) = pairs(&a, &b)?;
    let slots = &mut node.build.graph.slots;
    let positive = |slots: &Slots, dim: &Dim| slots.range(dim).is_some_and(|range| range.lo >= 0);
    let mut dims = vec![];
    for (x, y) in pairs {
        dims.push(match node.proto.op_type.as_str() {
            "Add" => x + y,
            "Sub" => x - y,
            "Mul" => x * y,
            "Div" | "Mod" if !positive(slots, &x) || slots.range(&y).is_none_or(|range| range.lo <= 0) => return None,
            "Div" => slots.floor_div(&x, &y),
            "Mod" => x.clone() - slots.floor_div(&x, &y) * y,
            "Max" => slots.max(&x, &y),
            _ => slots.min(&x, &y),
        });
    }
    Some(vec![Sizes { dims, scalar, dtype: a.dtype }.item()])
}

fn compare(node: &mut Node) -> Option<Vec<Item>> {
    let (a, b) = (node.opt(0)?.sizes()?, node.opt(1)?.sizes()?);
    let (pairs, scalar) = pairs(&a, &b)?;
    let slots = &node.build.graph.slots;
    let decided = |truth: Truth| match truth {
        Truth::Yes => Some(true),
        Truth::No => Some(false),
        Truth::Unknown => None,
    };
    let equal = |x: &Dim, y: &Dim| match slots.range(&(x.clone() - y)) {
        Some(range) if range.lo > 0 || range.hi < 0 => Some(false),
        _ => (x == y).then_some(true),
    };
    let answer = |(x, y): (Dim, Dim)| match node.proto.op_type.as_str() {
        "Equal" => equal(&x, &y),
        "LessOrEqual" => decided(slots.at_most(&x, &y)),
        "GreaterOrEqual" => decided(slots.at_most(&y, &x)),
        "Less" => decided(slots.at_most(&(x + 1), &y)),
        _ => decided(slots.at_most(&(y + 1), &x)),
    };
    let answers: Vec<bool> = pairs.into_iter().map(answer).collect::<Option<_>>()?;
    let shape: &[usize] = if scalar { &[] } else { &[answers.len()] };
    let tensor = Tensor::from_fn(DType::Bool, shape, |i| Scalar::Bool(answers[i])).ok()?;
    Some(vec![Item::known(tensor)])
}

fn choose(node: &Node) -> Option<Vec<Item>> {
    let (condition, a, b) = (node.opt(0)?, node.opt(1)?.sizes()?, node.opt(2)?.sizes()?);
    let condition = condition.tensor()?.clone();
    let (pairs, scalar) = pairs(&a, &b)?;
    let len = pairs.len().max(condition.len());
    let pick = |i: usize| {
        let (x, y) = if pairs.len() == 1 { &pairs[0] } else { pairs.get(i)? };
        let holds = condition.get(if condition.len() == 1 { 0 } else { i }).as_i64() != 0;
        Some(if holds { x.clone() } else { y.clone() })
    };
    let dims: Option<Vec<Dim>> = (0..len).map(pick).collect();
    Some(vec![Sizes { dims: dims?, scalar: scalar && condition.shape().is_empty(), dtype: a.dtype }.item()])
}
