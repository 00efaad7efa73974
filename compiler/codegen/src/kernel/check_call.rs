//! The check of one call by interval arithmetic, whenever sizes change.
//!
//! It finds the least and greatest element of every access and compares them with the buffers. A loop counter is the
//! interval of all its values, so one check covers all iterations. Rules that close holes found in prototypes: no axis
//! and no product of a role's axes is longer than `LONGEST`; no extent is negative; a modulus counts in full; an empty
//! axis excuses only the accesses that mention it; arithmetic that leaves 64 bits refuses.

use super::{Access, AxisId, Body, Index, Kernel, Source, VerifyError};
use crate::base::{Dim, Interval};

/// No axis, and no product of the axes of a role, may be longer. Generated code multiplies extents by the number of parts
/// and adds tile heights without checks; below this bound neither leaves 64 bits.
pub const LONGEST: i64 = 1 << 47;

/// Checks a verified kernel against the buffers of a call. `sizes` holds a point per dim and a range per loop counter,
/// `bytes` the size of each buffer parameter.
pub fn check_call(kernel: &Kernel, sizes: &[Interval], bytes: &[i64]) -> Result<(), VerifyError> {
    let mut axes = Vec::new();
    for axis in &kernel.axes {
        let extent = axis.extent.range(sizes).ok_or(VerifyError::Size)?;
        if extent.lo < 0 || extent.hi > LONGEST {
            return Err(VerifyError::Size);
        }
        axes.push(Interval::of_extent(extent.hi));
    }
    check_products(kernel, sizes)?;
    check_numbers(kernel, sizes)?;
    let stores = kernel.stores();
    let accesses = kernel.operands.iter().chain(stores.iter().map(|store| &store.access));
    let empty: Vec<AxisId> = (0..).zip(&axes).filter(|(_, a)| a.is_none()).map(|(i, _)| AxisId(i)).collect();
    let axes: Vec<Interval> = axes.into_iter().map(|a| a.unwrap_or(Interval::point(0))).collect();
    let own = |access: &Access, axis: AxisId| {
        access.coords.iter().any(|c| matches!(&c.source, Source::Index(index) if index.mentions(axis)))
    };
    let happens = |access: &&Access| !empty.iter().any(|axis| own(access, *axis));
    accesses.filter(happens).try_for_each(|access| check_access(kernel, access, &axes, sizes, bytes))
}

fn check_products(kernel: &Kernel, sizes: &[Interval]) -> Result<(), VerifyError> {
    let product = |role: &[AxisId]| {
        let product: Dim = role.iter().map(|axis| kernel.axis(*axis).extent.clone()).product();
        match product.range(sizes) {
            Some(range) if range.hi <= LONGEST => Ok(()),
            _ => Err(VerifyError::Size),
        }
    };
    let all: Vec<AxisId> = (0..kernel.axes.len() as u32).map(AxisId).collect();
    match &kernel.body {
        Body::Map(_) | Body::Loops(_) => Ok(()),
        Body::Reduce(reduce) => {
            let rows: Vec<AxisId> = all.into_iter().filter(|axis| !reduce.over.contains(axis)).collect();
            product(&rows)?;
            product(&reduce.over)
        }
        Body::Contract(c) => [&c.batch, &c.m, &c.n, &c.k].into_iter().try_for_each(|role| product(role)),
        Body::Attention(a) => {
            product(&a.batch)?;
            product(&a.m)?;
            product(&[a.n, a.d])?;
            product(&[a.n, a.e])
        }
    }
}

/// Bounds of `visible` are positions: code compares and subtracts them unchecked.
fn check_numbers(kernel: &Kernel, sizes: &[Interval]) -> Result<(), VerifyError> {
    let Body::Attention(attention) = &kernel.body else { return Ok(()) };
    let axes: Option<Vec<Interval>> =
        kernel.axes.iter().map(|a| Interval { lo: 0, hi: a.extent.range(sizes)?.hi }.into()).collect();
    let axes = axes.ok_or(VerifyError::Size)?;
    for index in attention.visible.iter().flat_map(|(from, to)| [from, to]) {
        match index_range(index, &axes, sizes) {
            Some(range) if -LONGEST < range.lo && range.hi < LONGEST => {}
            _ => return Err(VerifyError::Size),
        }
    }
    Ok(())
}

fn check_access(
    kernel: &Kernel,
    access: &Access,
    axes: &[Interval],
    sizes: &[Interval],
    bytes: &[i64],
) -> Result<(), VerifyError> {
    let Some(reach) = reach(access, axes, sizes)? else { return Ok(()) };
    let have = bytes[access.buffer.0 as usize];
    let storage = kernel.buffer(access.buffer).storage;
    let need = reach.hi.checked_add(1).and_then(|count| storage.bytes_for(count)).ok_or(VerifyError::Size)?;
    if reach.lo < 0 || need > have {
        return Err(VerifyError::OutOfBounds { buffer: access.buffer, reach, bytes: have });
    }
    Ok(())
}

/// The elements an access can touch; `None` when a guard leaves nothing.
fn reach(access: &Access, axes: &[Interval], sizes: &[Interval]) -> Result<Option<Interval>, VerifyError> {
    let overflow = || VerifyError::Size;
    let mut total = access.base.range(sizes).ok_or_else(overflow)?;
    let mut nothing = false;
    for coord in &access.coords {
        let guard = match &coord.guard {
            None => None,
            Some(guard) => {
                let extent = guard.range(sizes).ok_or_else(overflow)?.hi;
                nothing |= extent <= 0;
                Some(Interval::of_extent(extent).unwrap_or(Interval::point(0)))
            }
        };
        let free = match &coord.source {
            Source::Index(index) => Some(index_range(index, axes, sizes).ok_or_else(overflow)?),
            Source::Value(_) => None,
        };
        let range = match (free, guard) {
            (Some(free), Some(guard)) => free.meet(guard).unwrap_or_else(|| {
                nothing = true;
                Interval::point(0)
            }),
            (Some(range), None) | (None, Some(range)) => range,
            (None, None) => return Err(VerifyError::UnguardedValue),
        };
        let stride = coord.stride.range(sizes).ok_or_else(overflow)?;
        total = stride.product(range).and_then(|step| total.sum(step)).ok_or_else(overflow)?;
    }
    Ok((!nothing).then_some(total))
}

fn index_range(index: &Index, axes: &[Interval], sizes: &[Interval]) -> Option<Interval> {
    let sum = index.terms.iter().try_fold(index.plus.range(sizes)?, |sum, (axis, coefficient)| {
        sum.sum(axes[axis.0 as usize].product(Interval::point(*coefficient))?)
    })?;
    Some(sum.floor_div_mod(index.div, index.modulus))
}
