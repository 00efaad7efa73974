//! Every node kind on every type that has it, in lanes and point by point, on numbers that are awkward.

mod support;

use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_codegen::kernel::{Binary, Body, Compare, Kernel, Unary, eval};
use support::build::{Build, slot};
use support::{EXACT, Near, Random, hold};

const UNARY: [Unary; 14] = [
    Unary::Neg,
    Unary::Abs,
    Unary::Sqrt,
    Unary::Exp,
    Unary::Log,
    Unary::Erf,
    Unary::Tanh,
    Unary::Sin,
    Unary::Cos,
    Unary::Floor,
    Unary::Ceil,
    Unary::Round,
    Unary::Trunc,
    Unary::Not,
];

const BINARY: [Binary; 13] = [
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Mod,
    Binary::Min,
    Binary::Max,
    Binary::Pow,
    Binary::And,
    Binary::Or,
    Binary::Xor,
    Binary::Shl,
    Binary::Shr,
];

const COMPUTE: [DType; 5] = [DType::F64, DType::F32, DType::I64, DType::I32, DType::Bool];

/// Numbers at the edges of a type, then random ones.
fn awkward(dtype: DType, count: i64, random: &mut Random) -> Vec<u8> {
    let edges: &[f64] = &[
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        0.5,
        1.5,
        2.5,
        -2.5,
        3.0,
        -3.0,
        7.0,
        127.0,
        128.0,
        -129.0,
        255.0,
        256.0,
        65504.0,
        65520.0,
        1e-8,
        6e-8,
        -6e-8,
        1e-40,
        3e38,
        -3e38,
        1e300,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        88.8,
        -104.0,
        2147483647.0,
        -2147483648.0,
        9.3e18,
        -9.3e18,
        63.0,
        64.0,
        31.0,
        32.0,
        0.1,
        1e-310,
    ];
    let storage = Storage::Plain(dtype);
    let mut bytes = support::random_bytes(storage, count, random);
    for i in 0..count {
        let value = match random.below(3) {
            0 => edges[random.below(edges.len() as u64) as usize],
            1 => random.float() * 20.0,
            _ => continue,
        };
        eval::write_element(storage, &mut bytes, i, Scalar::F64(value));
    }
    bytes
}

fn tolerance(op: Unary, dtype: DType) -> Near {
    let ulp = if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    match op {
        Unary::Exp | Unary::Log => {
            Near { absolute: if dtype == DType::F64 { 5e-324 } else { 1.5e-45 }, relative: 2.0 * ulp }
        }
        Unary::Tanh => Near { absolute: 0.0, relative: 4.0 * ulp },
        Unary::Erf if dtype == DType::F32 => Near { absolute: 1e-7, relative: 4.0 * ulp },
        Unary::Erf => Near { absolute: 0.0, relative: 4.0 * ulp },
        Unary::Sin | Unary::Cos if dtype == DType::F32 => Near { absolute: 1e-7, relative: ulp },
        Unary::Sin | Unary::Cos => Near { absolute: 1e-15, relative: 2.0 * ulp },
        _ => EXACT,
    }
}

fn map(
    name: &str,
    inputs: usize,
    dtype: DType,
    result: DType,
    body: impl Fn(&mut Build, &[mlc_codegen::kernel::ExprId]) -> mlc_codegen::kernel::ExprId,
) -> Kernel {
    let mut b = Build::new(name);
    let i = b.axis("i", slot(0));
    let values: Vec<_> = (0..inputs)
        .map(|_| {
            let x = b.input(dtype);
            b.read_dense(x, &[i])
        })
        .collect();
    let y = b.output(result);
    let value = body(&mut b, &values);
    let store = b.store_dense(y, &[i], value);
    b.finish(Body::Map(vec![store]))
}

fn has(op: Unary, dtype: DType) -> bool {
    match op {
        Unary::Neg | Unary::Abs => dtype != DType::Bool,
        Unary::Not => !dtype.is_float(),
        _ => dtype.is_float(),
    }
}

/// Large arguments of sin and cos are outside their bound; tests keep to a million.
fn tame(op: Unary, dtype: DType, bytes: &mut [u8], count: i64) {
    if !matches!(op, Unary::Sin | Unary::Cos) {
        return;
    }
    for i in 0..count {
        let value = eval::read_element(Storage::Plain(dtype), bytes, i).as_f64();
        if value.abs() > 1e6 {
            eval::write_element(Storage::Plain(dtype), bytes, i, Scalar::F64(1.0));
        }
    }
}

#[test]
fn unary_operations() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for dtype in COMPUTE {
        for op in UNARY.into_iter().filter(|op| has(*op, dtype)) {
            let kernel = map(&format!("{op:?} {dtype}"), 1, dtype, dtype, |b, v| b.unary(op, v[0]));
            let count = 211;
            let mut x = awkward(dtype, count, &mut random);
            tame(op, dtype, &mut x, count);
            let y = support::random_bytes(Storage::Plain(dtype), count, &mut random);
            hold(&kernel, &[count], &[x, y], "lanes", tolerance(op, dtype));
        }
    }
}

#[test]
fn binary_operations() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for dtype in COMPUTE {
        for op in BINARY {
            let fits = match op {
                Binary::And | Binary::Or | Binary::Xor => !dtype.is_float(),
                Binary::Shl | Binary::Shr => dtype.is_integer(),
                _ => dtype != DType::Bool,
            };
            if !fits {
                continue;
            }
            let kernel = map(&format!("{op:?} {dtype}"), 2, dtype, dtype, |b, v| b.binary(op, v[0], v[1]));
            let count = 307;
            let [x, z] = [0, 1].map(|_| awkward(dtype, count, &mut random));
            let y = support::random_bytes(Storage::Plain(dtype), count, &mut random);
            let near = match (op, dtype) {
                (Binary::Pow, DType::F32) => Near { absolute: 1.5e-45, relative: 2.5e-7 },
                (Binary::Pow, DType::F64) => Near { absolute: 5e-324, relative: 4e-13 },
                _ => EXACT,
            };
            hold(&kernel, &[count], &[x, z, y], "lanes", near);
        }
        for op in [Compare::Eq, Compare::Ne, Compare::Lt, Compare::Le] {
            let kernel =
                map(&format!("{op:?} {dtype}"), 2, dtype, DType::Bool, |b, v| b.0.expr.compare(op, v[0], v[1]));
            let [x, z] = [0, 1].map(|_| awkward(dtype, 100, &mut random));
            hold(&kernel, &[100], &[x, z, vec![9; 100]], "lanes", EXACT);
        }
        let kernel = map(&format!("select {dtype}"), 2, dtype, dtype, |b, v| {
            let c = b.0.expr.compare(Compare::Lt, v[0], v[1]);
            b.0.expr.select(c, v[0], v[1])
        });
        let [x, z, y] = [0, 1, 2].map(|_| awkward(dtype, 45, &mut random));
        hold(&kernel, &[45], &[x, z, y], "lanes", EXACT);
    }
}

#[test]
fn conversions_and_storage() {
    let mut random = Random(0x0dd0_beef_cafe_f00d);
    for from in DType::ALL {
        for to in DType::ALL {
            let kernel = map(&format!("{from} as {to}"), 1, from, to.compute(), |b, v| b.0.expr.convert(to, v[0]));
            let count = 150;
            let x = if from.bits() < 8 {
                support::random_bytes(Storage::Plain(from), count, &mut random)
            } else {
                awkward(from, count, &mut random)
            };
            let y = support::random_bytes(Storage::Plain(to.compute()), count, &mut random);
            hold(&kernel, &[count], &[x.clone(), y], "lanes", EXACT);
            if to.bits() >= 8 {
                let kernel = map(&format!("{from} into {to}"), 1, from, to, |_, v| v[0]);
                let y = support::random_bytes(Storage::Plain(to), count, &mut random);
                hold(&kernel, &[count], &[x, y], "lanes", EXACT);
            }
        }
    }
}
