//! The operations of `expr.rs` on one number: integers wrap, nothing traps, f32 functions are f64 functions rounded once.

use crate::base::{DType, Scalar};
use crate::kernel::{Binary, Compare, Unary};
use half::{bf16, f16};

/// `op a`.
pub fn unary(op: Unary, a: Scalar) -> Scalar {
    match a {
        Scalar::F64(v) => Scalar::F64(float_unary(op, v)),
        Scalar::F32(v) => Scalar::F32(match op {
            Unary::Neg => -v,
            _ => float_unary(op, f64::from(v)) as f32,
        }),
        Scalar::I64(v) => Scalar::I64(match op {
            Unary::Neg => v.wrapping_neg(),
            Unary::Abs => v.wrapping_abs(),
            _ => !v,
        }),
        Scalar::I32(v) => Scalar::I32(match op {
            Unary::Neg => v.wrapping_neg(),
            Unary::Abs => v.wrapping_abs(),
            _ => !v,
        }),
        Scalar::Bool(v) => Scalar::Bool(!v),
    }
}

fn float_unary(op: Unary, v: f64) -> f64 {
    match op {
        Unary::Neg => -v,
        Unary::Abs => v.abs(),
        Unary::Sqrt => v.sqrt(),
        Unary::Exp => v.exp(),
        Unary::Log => v.ln(),
        Unary::Erf => erf(v),
        Unary::Tanh => v.tanh(),
        Unary::Sin => v.sin(),
        Unary::Cos => v.cos(),
        Unary::Floor => v.floor(),
        Unary::Ceil => v.ceil(),
        Unary::Round => v.round_ties_even(),
        Unary::Trunc => v.trunc(),
        Unary::Not => unreachable!("typed: no float is negated bit by bit"),
    }
}

/// The error function: its series of positive terms up to 2.5, the continued fraction of its complement beyond.
fn erf(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 {
        return x;
    }
    let (z, scale) = (x * x, 2.0 / std::f64::consts::PI.sqrt());
    if x.abs() < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= 2.0 * z / f64::from(2 * n + 1);
            sum += term;
        }
        return sum * scale * (-z).exp();
    }
    if x.abs() > 6.0 {
        return x.signum();
    }
    let fraction = (1..=200).rev().fold(0.0, |tail, n| f64::from(n) / 2.0 / (x.abs() + tail));
    let complement = (-z).exp() / (x.abs() + fraction) / std::f64::consts::PI.sqrt();
    (1.0 - complement) * x.signum()
}

/// `a op b`, of one type.
pub fn binary(op: Binary, a: Scalar, b: Scalar) -> Scalar {
    match (a, b) {
        (Scalar::F64(a), Scalar::F64(b)) => Scalar::F64(match op {
            Binary::Mod => floored_mod(a, b),
            Binary::Pow => a.powf(b),
            Binary::Min => nan_or(a, b, a.min(b)),
            Binary::Max => nan_or(a, b, a.max(b)),
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            _ => unreachable!("typed: floats have no bits"),
        }),
        (Scalar::F32(a), Scalar::F32(b)) => Scalar::F32(match op {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Mod => floored_mod(f64::from(a), f64::from(b)) as f32,
            Binary::Pow => f64::from(a).powf(f64::from(b)) as f32,
            Binary::Min => nan_or(f64::from(a), f64::from(b), f64::from(a.min(b))) as f32,
            Binary::Max => nan_or(f64::from(a), f64::from(b), f64::from(a.max(b))) as f32,
            _ => unreachable!("typed: floats have no bits"),
        }),
        (Scalar::I64(a), Scalar::I64(b)) => Scalar::I64(integer_binary(op, a, b, 64)),
        (Scalar::I32(a), Scalar::I32(b)) => Scalar::I32(match op {
            Binary::Pow => power(i64::from(a), i64::from(b)) as i32,
            _ => integer_binary(op, i64::from(a), i64::from(b), 32) as i32,
        }),
        (Scalar::Bool(a), Scalar::Bool(b)) => Scalar::Bool(match op {
            Binary::And => a && b,
            Binary::Or => a || b,
            Binary::Xor => a != b,
            _ => unreachable!("typed: bools have only logic"),
        }),
        _ => unreachable!("typed: both operands are of one type"),
    }
}

fn nan_or(a: f64, b: f64, value: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { value }
}

/// `a - b * floor(a / b)`, exactly: the remainder, moved to the sign of the divisor.
fn floored_mod(a: f64, b: f64) -> f64 {
    let remainder = a % b;
    if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) { remainder + b } else { remainder }
}

fn integer_binary(op: Binary, a: i64, b: i64, bits: u32) -> i64 {
    let amount = (b & i64::from(bits - 1)) as u32;
    match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div if b == 0 => 0,
        Binary::Div => a.wrapping_div(b),
        Binary::Mod if b == 0 => 0,
        Binary::Mod => {
            let remainder = a.wrapping_rem(b);
            if remainder != 0 && (remainder < 0) != (b < 0) { remainder + b } else { remainder }
        }
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
        Binary::Pow => power(a, b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::Shl => a.wrapping_shl(amount),
        Binary::Shr => a.wrapping_shr(amount),
    }
}

/// By squaring, wrapping. A negative exponent gives 0, except that 1 stays 1 and -1 alternates.
fn power(base: i64, exponent: i64) -> i64 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 if exponent % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut result, mut square, mut rest) = (1i64, base, exponent);
    while rest != 0 {
        if rest & 1 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        rest >>= 1;
    }
    result
}

/// `a op b`, of one type.
pub fn compare(op: Compare, a: Scalar, b: Scalar) -> bool {
    fn holds<T: PartialOrd>(op: Compare, a: T, b: T) -> bool {
        match op {
            Compare::Eq => a == b,
            Compare::Ne => a != b,
            Compare::Lt => a < b,
            Compare::Le => a <= b,
        }
    }
    match (a, b) {
        (Scalar::F64(a), Scalar::F64(b)) => holds(op, a, b),
        (Scalar::F32(a), Scalar::F32(b)) => holds(op, a, b),
        (Scalar::Bool(a), Scalar::Bool(b)) => holds(op, a, b),
        (a, b) => holds(op, a.as_i64(), b.as_i64()),
    }
}

/// To the compute type of `dtype`, through `dtype`.
pub fn convert(dtype: DType, a: Scalar) -> Scalar {
    let single = |a: Scalar| match a {
        Scalar::F32(v) => v,
        Scalar::I64(v) => v as f32,
        Scalar::I32(v) => v as f32,
        other => other.as_f64() as f32,
    };
    match dtype {
        DType::F64 => Scalar::F64(match a {
            Scalar::I64(v) => v as f64,
            other => other.as_f64(),
        }),
        DType::F32 => Scalar::F32(single(a)),
        DType::F16 => Scalar::F32(f16::from_f32(single(a)).to_f32()),
        DType::BF16 => Scalar::F32(bf16::from_f32(single(a)).to_f32()),
        DType::Bool => Scalar::Bool(match a {
            Scalar::F64(v) => v != 0.0,
            Scalar::F32(v) => v != 0.0,
            other => other.as_i64() != 0,
        }),
        DType::I64 => Scalar::I64(a.as_i64()),
        _ => {
            let (lo, hi) = dtype.integer_range().expect("an integer");
            let wide = match a {
                Scalar::F64(_) | Scalar::F32(_) => a.as_i64().clamp(lo, hi),
                other => other.as_i64(),
            };
            let unused = 64 - dtype.bits();
            let narrow = wide << unused;
            let narrow = if lo < 0 { narrow >> unused } else { ((narrow as u64) >> unused) as i64 };
            Scalar::I32(narrow as i32)
        }
    }
}
