//! `einsum`: sums of products over named axes.

use super::contraction::{Contraction, product_dtype};
use super::einsum_pattern::{Axis, Pattern, Term, at, parse};
use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static EINSUM: Einsum = Einsum;

/// See `SIGNATURE`.
pub(super) struct Einsum;

static SIGNATURE: Signature = Signature {
    name: "einsum",
    params: &[Param::required("pattern", Kind::Text), Param::required("xs", Kind::Tensors)],
    result: "the axes after `->`",
    doc: "Multiplies its operands and sums over every axis that the result does not name. Axis names are words between \
          spaces; `...` stands for leading axes without names, which broadcast; a name twice in one operand is the \
          diagonal. Floats on the right may be narrower; f16 and bf16 add up in f32, integers of at most 16 bits give \
          i32. More than two operands are contracted pairwise from the left.",
    example: "let y = einsum(\"a b c, a b c -> a b\", x, x)",
};

/// The leading axes of an operand that have no names.
fn pack<'a>(term: &Term, ty: &'a TensorType) -> &'a [Dim] {
    if term.has_pack() { &ty.dims[..ty.rank() - term.named()] } else { &[] }
}

/// The contraction that a pattern means for operands of the right ranks. Pack axes come first, then names in order.
fn contraction(pattern: &Pattern, inputs: &[TensorType]) -> Contraction {
    let packs: Vec<&[Dim]> = pattern.operands.iter().zip(inputs).map(|(term, ty)| pack(term, ty)).collect();
    let width = packs.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let one = Dim::from(1);
    let mut extents = vec![one.clone(); width];
    for dims in &packs {
        let aligned = extents[width - dims.len()..].iter_mut().zip(*dims);
        aligned.filter(|(extent, _)| **extent == one).for_each(|(extent, dim)| *extent = dim.clone());
    }
    let mut names: Vec<&str> = vec![];
    for (term, ty) in pattern.operands.iter().zip(inputs) {
        for (axis, dim) in term.axes.iter().skip(usize::from(term.has_pack())).zip(&ty.dims[pack(term, ty).len()..]) {
            if !names.contains(&axis.name.as_str()) {
                names.push(&axis.name);
                extents.push(dim.clone());
            }
        }
    }
    let number = |axis: &Axis| width + names.iter().position(|n| *n == axis.name).expect("an operand names it");
    let named = |term: &Term| term.axes.iter().filter(|a| !a.is_pack()).map(number).collect::<Vec<_>>();
    let operands = (pattern.operands.iter().zip(&packs))
        .map(|(term, dims)| {
            let places = (width - dims.len()..width).zip(*dims);
            let leading = places.map(|(axis, dim)| (*dim != one || extents[axis] == one).then_some(axis));
            leading.chain(named(term).into_iter().map(Some)).collect()
        })
        .collect();
    let leading = if pattern.result.has_pack() { 0..width } else { 0..0 };
    Contraction { operands, result: leading.chain(named(&pattern.result)).collect(), extents }
}

fn check_ranks(pattern: &Pattern, call: &Call, cx: &Infer) -> Result<(), OpError> {
    let (named, given) = (pattern.operands.len(), call.inputs.len());
    if named != given {
        let message = format!("the einsum pattern has {named} operands, but {given} tensors are given");
        let whole = pattern.operands[0].span.start..pattern.operands[named - 1].span.end;
        return Err(at(&whole, message, format!("{named} operands, between commas")));
    }
    for (i, term) in pattern.operands.iter().enumerate() {
        let ty = call.input(i);
        if term.named() == ty.rank() || term.has_pack() && term.named() < ty.rank() {
            continue;
        }
        let axes = if term.named() == 1 { "axis" } else { "axes" };
        let message = format!("the einsum pattern names {} {axes} of a tensor that has {}", term.named(), ty.rank());
        let error = at(&term.span, message, format!("{} named here", term.named()))
            .label(Blame::Input(i), format!("this is {}", cx.show(ty)));
        return Err(match term.axes.as_slice() {
            [axis] if axis.name.chars().count() == ty.rank() && !axis.is_pack() => {
                let spaced: Vec<String> = axis.name.chars().map(String::from).collect();
                error.help(format!("`{}` is one name; put spaces between axes: `{}`", axis.name, spaced.join(" ")))
            }
            _ if !term.has_pack() => error.help("write `...` for leading axes that the sum does not concern"),
            _ => error,
        });
    }
    Ok(())
}

fn check_result(pattern: &Pattern) -> Result<(), OpError> {
    let result = &pattern.result;
    for (i, axis) in result.axes.iter().enumerate() {
        if result.axes[..i].iter().any(|a| a.name == axis.name) {
            let message = format!("einsum axis `{}` stands twice in the result", axis.name);
            return Err(at(&axis.span, message, "the second time"));
        }
        if !pattern.operands.iter().any(|term| term.axes.iter().any(|a| a.name == axis.name)) {
            let message = format!("no operand of the einsum has the axis `{}`", axis.name);
            return Err(at(&axis.span, message, "its size is not known"));
        }
    }
    let packs = pattern.operands.iter().find(|term| term.has_pack());
    match packs {
        Some(term) if !result.has_pack() => {
            Err(at(&result.span, "`...` is missing in the result", "the result starts here")
                .label(Blame::Text("pattern", term.axes[0].span.clone()), "leading axes come in here")
                .help("start the result with `...`, or give names to the axes to sum over"))
        }
        _ => Ok(()),
    }
}

fn check_sizes(pattern: &Pattern, call: &Call, cx: &mut Infer) -> Result<(), OpError> {
    let whole = contraction(pattern, call.inputs);
    let mut seen: Vec<Option<(usize, usize, Blame)>> = vec![None; whole.extents.len()];
    for (i, (term, ty)) in pattern.operands.iter().zip(call.inputs).enumerate() {
        let leading = pack(term, ty).len();
        for (place, axis) in whole.operands[i].iter().enumerate() {
            let Some(axis) = axis else { continue };
            let source = match place.checked_sub(leading) {
                Some(named) => &term.axes[named + usize::from(term.has_pack())],
                None => &term.axes[0],
            };
            let dim = &ty.dims[place];
            match &seen[*axis] {
                None => seen[*axis] = Some((i, place, Blame::Text("pattern", source.span.clone()))),
                Some((first, at_place, blame)) => {
                    let known = call.input(*first).dims[*at_place].clone();
                    if !cx.equal(&known, dim, Blame::Text("pattern", source.span.clone())) {
                        return Err(two_sizes(source, blame.clone(), (&known, dim), (*first, i), call, cx));
                    }
                }
            }
        }
    }
    Ok(())
}

fn two_sizes(
    axis: &Axis,
    first: Blame,
    (known, found): (&Dim, &Dim),
    inputs: (usize, usize),
    call: &Call,
    cx: &Infer,
) -> OpError {
    let (x, y) = (cx.slots.show(known), cx.slots.show(found));
    let message = format!("einsum axis `{}` has two different sizes", axis.name);
    let place = Blame::Text("pattern", axis.span.clone());
    let mut error = OpError::new("MDL0305", message, place, format!("`{}` = {y} here", axis.name))
        .label(first, format!("`{}` = {x} here", axis.name));
    for input in [inputs.0, inputs.1] {
        error = error.label(Blame::Input(input), format!("this is {}", cx.show(call.input(input))));
    }
    error.dim(known).dim(found)
}

impl Einsum {
    fn axes(call: &Call) -> Contraction {
        let pattern = parse(call.text("pattern").expect("required")).expect("infer accepted the pattern");
        contraction(&pattern, call.inputs)
    }

    fn dtype(call: &Call) -> Result<DType, OpError> {
        let first = call.input(0).dtype;
        match call.inputs.len() {
            1 if first == DType::Bool => product_dtype(call, first, 0),
            n => (1..n).try_fold(first, |dtype, input| product_dtype(call, dtype, input)),
        }
    }
}

impl Op for Einsum {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let pattern = parse(call.text("pattern").expect("required"))?;
        check_ranks(&pattern, call, cx)?;
        check_result(&pattern)?;
        check_sizes(&pattern, call, cx)?;
        let whole = contraction(&pattern, call.inputs);
        let dims = whole.result.iter().map(|axis| whole.extents[*axis].clone());
        Ok(vec![TensorType::new(Self::dtype(call)?, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![Self::axes(call).eval(inputs, call.result(0).dtype)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Self::axes(call).lower(call.result(0).dtype.compute())
    }

    fn contraction(&self, call: &Call) -> Option<Contraction> {
        Some(Self::axes(call))
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
