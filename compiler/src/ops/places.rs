//! Arithmetic on coordinates: quasi-affine where that is possible, computed where it is not.

use super::{At, Build};
use mlc_codegen::base::Dim;
use mlc_codegen::kernel::{Binary, Source};

/// `factor * at + plus`.
pub(super) fn scaled(k: &mut dyn Build, at: &At, factor: &Dim, plus: &Dim) -> At {
    if let (Source::Index(index), Some(factor)) = (&at.source, factor.as_constant())
        && let Some(index) = index.scaled(factor, plus)
    {
        return At { source: Source::Index(index), guarded: at.guarded };
    }
    let (position, factor, plus) = (k.coordinate(at), k.size(factor), k.size(plus));
    let product = k.mul(position, factor);
    At::value(k.add(product, plus))
}

/// `at + plus`.
pub(super) fn shifted(k: &mut dyn Build, at: &At, plus: &Dim) -> At {
    scaled(k, at, &Dim::from(1), plus)
}

/// `a + b`.
pub(super) fn sum(k: &mut dyn Build, a: &At, b: &At) -> At {
    if let (Source::Index(x), Source::Index(y)) = (&a.source, &b.source)
        && let Some(index) = x.plus(y)
    {
        return At { source: Source::Index(index), guarded: a.guarded || b.guarded };
    }
    let (a, b) = (k.coordinate(a), k.coordinate(b));
    At::value(k.add(a, b))
}

/// `floor(at / divisor)`, the divisor positive.
pub(super) fn quotient(k: &mut dyn Build, at: &At, divisor: &Dim) -> At {
    match divisor.as_constant() {
        Some(1) => at.clone(),
        Some(divisor) => {
            if let Source::Index(index) = &at.source
                && let Some(index) = index.divided(divisor)
            {
                return At { source: Source::Index(index), guarded: at.guarded };
            }
            let position = k.coordinate(at);
            At::value(k.floor_div(position, divisor))
        }
        None => {
            let (position, divisor) = (k.coordinate(at), k.size(divisor));
            At::value(k.div(position, divisor))
        }
    }
}

/// `at mod modulus`, the modulus positive.
pub(super) fn remainder(k: &mut dyn Build, at: &At, modulus: &Dim) -> At {
    if let (Source::Index(index), Some(modulus)) = (&at.source, modulus.as_constant())
        && let Some(index) = index.modulo(modulus)
    {
        return At { source: Source::Index(index), guarded: at.guarded };
    }
    let (position, modulus) = (k.coordinate(at), k.size(modulus));
    At::value(k.binary(Binary::Mod, position, modulus))
}
