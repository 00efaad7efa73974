//! `rearrange`: axes split, merged and reordered by a pattern of names (after einops, Rogozhnikov 2022).

use super::places::{quotient, remainder, scaled, sum};
use super::rearrange_pattern::{Group, Pattern, at, parse};
use super::{At, Blame, Build, Guard};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Truth};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static REARRANGE: Rearrange = Rearrange;

/// See `SIGNATURE`.
pub(super) struct Rearrange;

static SIGNATURE: Signature = Signature {
    name: "rearrange",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("pattern", Kind::Text),
        Param::optional("sizes", Kind::Names, Default::None),
    ],
    result: "the dtype of x, the axes of the right side",
    doc: "Names the axes of x on the left of `->` and puts them in the order of the right. Names in parentheses are one \
          axis, the last changing fastest; where two or more are taken apart, all but one need a size, h = 12. `...` stands \
          for axes without names, 1 for an axis of extent 1.",
    example: "let y = rearrange(x, \"a b (h d) -> a h b d\", h = 2)",
};

/// The extent of an axis: `over / under`, which leaves no remainder.
#[derive(Clone, Debug, PartialEq)]
struct Extent {
    over: Dim,
    under: Dim,
}

impl Extent {
    fn whole(dim: Dim) -> Extent {
        Extent { over: dim, under: Dim::from(1) }
    }

    fn new(over: Dim, under: Dim) -> Extent {
        match over.exact_quotient(&under) {
            Some(quotient) => Extent::whole(quotient),
            None => Extent { over, under },
        }
    }

    fn times(&self, other: &Extent) -> Extent {
        Extent::new(self.over.clone() * &other.over, self.under.clone() * &other.under)
    }

    fn eval(&self, sizes: &[i64]) -> Option<usize> {
        let (over, under) = (self.over.eval(sizes)?, self.under.eval(sizes)?);
        usize::try_from(if under == 0 { 0 } else { over / under }).ok()
    }

    fn is_one(&self) -> bool {
        self.over == self.under
    }
}

/// A pattern applied to a tensor: axes by number, `...` spelled out.
struct Solved {
    extents: Vec<Extent>,
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
}

/// The sizes that the call gives to a name.
fn given<'a>(call: &Call<'a>, name: &str) -> Option<&'a Dim> {
    call.names("sizes").iter().find(|(n, _)| n == name).map(|(_, dim)| dim)
}

/// The dims of x that `...` covers, and how many more axes than dims the pattern has where it fits none.
fn pack(pattern: &Pattern, rank: usize) -> Option<std::ops::Range<usize>> {
    let place = pattern.left.iter().position(Group::is_pack);
    match place {
        None => (pattern.left.len() == rank).then_some(0..0),
        Some(start) => (rank + 1).checked_sub(pattern.left.len()).map(|count| start..start + count),
    }
}

/// Numbers the axes; each takes its extent from its own dim, from the call, or as what is left of its group.
fn solve(call: &Call, pattern: &Pattern) -> Solved {
    let x = call.input(0);
    let pack = pack(pattern, x.rank()).expect("infer compared the ranks");
    let mut names: Vec<&str> = Vec::new();
    let mut extents: Vec<Extent> = pack.clone().map(|axis| Extent::whole(x.dims[axis].clone())).collect();
    let mut left = Vec::new();
    for group in &pattern.left {
        if group.is_pack() {
            left.extend((0..pack.len()).map(|i| vec![i]));
            continue;
        }
        let dim = &x.dims[left.len()];
        let known: Dim = group.names.iter().filter_map(|name| given(call, &name.text).cloned()).product();
        let first = extents.len();
        for name in &group.names {
            names.push(&name.text);
            extents.push(
                given(call, &name.text)
                    .map_or_else(|| Extent::new(dim.clone(), known.clone()), |size| Extent::whole(size.clone())),
            );
        }
        left.push((first..extents.len()).collect());
    }
    let mut right: Vec<Vec<usize>> = Vec::new();
    for group in &pattern.right {
        if group.is_pack() {
            right.extend((0..pack.len()).map(|i| vec![i]));
            continue;
        }
        let numbers = |text: &str| match names.iter().position(|n| *n == text) {
            Some(i) => pack.len() + i..pack.len() + i + 1,
            None => 0..pack.len(),
        };
        right.push(group.names.iter().flat_map(|name| numbers(&name.text)).collect());
    }
    Solved { extents, left, right }
}

fn check_group(call: &Call, group: &Group, dim: &Dim, cx: &mut Infer) -> Result<(), OpError> {
    let unknown: Vec<_> = group.names.iter().filter(|name| given(call, &name.text).is_none()).collect();
    let known: Dim = group.names.iter().filter_map(|name| given(call, &name.text).cloned()).product();
    let (shown, product) = (cx.slots.show(dim), cx.slots.show(&known));
    let blame = Blame::Text("pattern", group.span.clone());
    if let [first, second, ..] = unknown.as_slice() {
        let (a, b) = (&first.text, &second.text);
        let message = format!("how {shown} divides into `{a}` and `{b}` is not said");
        return Err(at(&group.span, message, format!("{shown} here"))
            .help(format!("give one of them: {a} = …"))
            .dim(dim));
    }
    if unknown.is_empty() {
        if cx.equal(&known, dim, blame.clone()) {
            return Ok(());
        }
        let message = format!("this axis has two different sizes: {product} and {shown}");
        return Err(OpError::new("MDL0305", message, blame, format!("{product} by the names"))
            .label(Blame::Input(0), format!("{shown} here, in {}", cx.show(call.input(0))))
            .dim(&known)
            .dim(dim));
    }
    match cx.slots.divides(&known, dim) {
        Truth::Yes => Ok(()),
        Truth::No => {
            let message = format!("{shown} is not divisible by {product}");
            Err(OpError::new("MDL0304", message, blame, format!("{shown} here"))
                .label(Blame::Input(0), format!("this is {}", cx.show(call.input(0))))
                .dim(dim)
                .dim(&known))
        }
        Truth::Unknown => {
            let rest = dim.clone() - cx.slots.floor_div(dim, &known) * &known;
            let question = format!("whether `{product}` divides `{shown}`");
            cx.guards.push(Guard { at_least_zero: rest, exactly_zero: true, question, blame });
            Ok(())
        }
    }
}

fn check(call: &Call, pattern: &Pattern, cx: &mut Infer) -> Result<(), OpError> {
    let x = call.input(0);
    let Some(pack) = pack(pattern, x.rank()) else {
        let span = pattern.left.first().map_or(0, |g| g.span.start)..pattern.left.last().map_or(0, |g| g.span.end);
        let message = format!("the pattern names {} axes, x has {}", pattern.left.len(), x.rank());
        return Err(
            at(&span, message, "these are the axes of x").label(Blame::Input(0), format!("this is {}", cx.show(x)))
        );
    };
    let known = |name: &str| pattern.left.iter().any(|g| g.names.iter().any(|n| n.text == *name));
    if let Some((name, _)) = call.names("sizes").iter().find(|(name, _)| !known(name)) {
        let message = format!("the pattern has no axis `{name}`");
        return Err(OpError::new("MDL0316", message, Blame::Argument("sizes"), "a size for no axis"));
    }
    let mut axis = 0;
    for group in &pattern.left {
        if group.is_pack() {
            axis += pack.len();
            continue;
        }
        check_group(call, group, &x.dims[axis], cx)?;
        axis += 1;
    }
    Ok(())
}

impl Solved {
    fn of(call: &Call) -> Solved {
        let pattern = parse(call.text("pattern").expect("it is required")).expect("infer read it");
        let mut solved = solve(call, &pattern);
        // A quotient that infer made a dim of its own stands in the result.
        for (group, dim) in solved.right.iter().zip(call.results.iter().flat_map(|ty| &ty.dims)) {
            if let [only] = group.as_slice() {
                solved.extents[*only] = Extent::whole(dim.clone());
            }
        }
        solved
    }

    /// Whether the elements stay in their order.
    fn is_alias(&self) -> bool {
        let order = |groups: &[Vec<usize>]| {
            groups.concat().into_iter().filter(|axis| !self.extents[*axis].is_one()).collect::<Vec<_>>()
        };
        order(&self.left) == order(&self.right)
    }

    /// The extent of what follows each member of a group.
    fn strides(&self, group: &[usize]) -> Vec<Extent> {
        let mut stride = Extent::whole(Dim::from(1));
        let mut strides: Vec<Extent> = Vec::new();
        for axis in group.iter().rev() {
            strides.push(stride.clone());
            stride = stride.times(&self.extents[*axis]);
        }
        strides.reverse();
        strides
    }

    /// Where the element of the result at `at` lies in x.
    fn source(&self, k: &mut dyn Build, at: &[At]) -> Vec<At> {
        let mut positions = vec![At::zero(); self.extents.len()];
        for (group, at) in self.right.iter().zip(at) {
            for (i, (axis, stride)) in group.iter().zip(self.strides(group)).enumerate() {
                let whole = divided(k, at, &stride);
                positions[*axis] = if i == 0 { whole } else { wrapped(k, &whole, &self.extents[*axis]) };
            }
        }
        let places = self.left.iter().map(|group| {
            let parts = group.iter().zip(self.strides(group));
            let parts: Vec<At> = parts.map(|(axis, stride)| multiplied(k, &positions[*axis], &stride)).collect();
            parts.into_iter().reduce(|a, b| sum(k, &a, &b)).unwrap_or(At::zero())
        });
        places.collect()
    }
}

/// A rearrange as other formats say it: the dims of x taken apart, and the order in which they are put together again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rearranged {
    /// Every axis of the pattern, in the order of its left side.
    pub apart: Vec<Dim>,
    /// The axes in the order of its right side.
    pub order: Vec<usize>,
}

impl Rearranged {
    /// Of a checked call; `None` where the extent of an axis is a quotient that is no dim of its own.
    pub fn of(call: &Call) -> Option<Rearranged> {
        let solved = Solved::of(call);
        let whole = |extent: &Extent| (extent.under == Dim::from(1)).then(|| extent.over.clone());
        let apart = solved.extents.iter().map(whole).collect::<Option<Vec<Dim>>>()?;
        let left = solved.left.concat();
        let place = |axis: &usize| left.iter().position(|other| other == axis).expect("both sides name the same axes");
        Some(Rearranged {
            apart: left.iter().map(|axis| apart[*axis].clone()).collect(),
            order: solved.right.concat().iter().map(place).collect(),
        })
    }
}

fn divided(k: &mut dyn Build, at: &At, by: &Extent) -> At {
    if by.under == Dim::from(1) {
        return quotient(k, at, &by.over);
    }
    let scaled = scaled(k, at, &by.under, &Dim::from(0));
    quotient(k, &scaled, &by.over)
}

fn wrapped(k: &mut dyn Build, at: &At, extent: &Extent) -> At {
    if extent.under == Dim::from(1) {
        return remainder(k, at, &extent.over);
    }
    let (over, under) = (k.size(&extent.over), k.size(&extent.under));
    let (position, extent) = (k.coordinate(at), k.div(over, under));
    At::value(k.binary(mlc_codegen::kernel::Binary::Mod, position, extent))
}

fn multiplied(k: &mut dyn Build, at: &At, by: &Extent) -> At {
    let scaled = scaled(k, at, &by.over, &Dim::from(0));
    quotient(k, &scaled, &by.under)
}

impl Op for Rearrange {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let pattern = parse(call.text("pattern").expect("it is required"))?;
        check(call, &pattern, cx)?;
        let solved = solve(call, &pattern);
        let dims: Vec<Dim> = solved
            .right
            .iter()
            .map(|group| {
                let whole = Extent::whole(Dim::from(1));
                let product = group.iter().fold(whole, |product, axis| product.times(&solved.extents[*axis]));
                cx.slots.floor_div(&product.over, &product.under)
            })
            .collect();
        Ok(vec![TensorType::new(call.input(0).dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape, solved) = (inputs[0], super::result_shape(call, 0, sizes)?, Solved::of(call));
        let extents: Option<Vec<usize>> = solved.extents.iter().map(|extent| extent.eval(sizes)).collect();
        let extents = extents.ok_or_else(|| EvalError::Size("an axis of the pattern".into()))?;
        let mut positions = vec![0; extents.len()];
        let mut elements = Vec::new();
        for to in super::positions(&shape) {
            for (group, mut position) in solved.right.iter().zip(to) {
                for axis in group.iter().rev() {
                    positions[*axis] = position % extents[*axis];
                    position /= extents[*axis];
                }
            }
            let place = |group: &Vec<usize>| group.iter().fold(0, |sum, axis| sum * extents[*axis] + positions[*axis]);
            let from: Vec<usize> = solved.left.iter().map(place).collect();
            elements.push(x.get(super::offset(x.shape(), &from)));
        }
        Ok(vec![super::from_scalars(x.dtype(), &shape, |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        let solved = Solved::of(call);
        if solved.is_alias() {
            return Lowering::Alias;
        }
        Lowering::point(move |k, at| {
            let from = solved.source(k, at);
            k.input(0, &from)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
