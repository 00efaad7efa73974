//! Operators on numbers that are known: `sqrt(hd)`, `max(a, b)`, `mod(i, 2)` are computed here, and stay weak.

use super::elaborate::Elaborator;
use super::term::Static;
use mlc_codegen::base::Dim;

impl Elaborator<'_> {
    /// The value of an operator at known numbers; `None` where it is none of these, or a number is not known.
    pub(super) fn fixed_call(&mut self, name: &str, args: &[Static]) -> Option<Static> {
        if args.iter().any(Static::unknown) && known(name, args.len()) {
            return Some(Static::Unknown);
        }
        let strong = args.iter().find_map(Static::strong);
        let value = match args {
            [a] => unary(name, a),
            [a, b] => match (a.plain(), b.plain()) {
                (Static::Dim(x, _), Static::Dim(y, _)) => self.dims(name, &x.clone(), &y.clone()),
                _ => binary(name, a.as_f64()?, b.as_f64()?),
            },
            _ => None,
        }?;
        Some(match strong {
            Some(dtype) => Static::Typed(Box::new(value), dtype),
            None => value,
        })
    }

    fn dims(&mut self, name: &str, x: &Dim, y: &Dim) -> Option<Static> {
        let constants = || Some((x.as_constant()?, y.as_constant()?));
        match name {
            "max" => Some(Static::dim(self.graph.slots.max(x, y))),
            "min" => Some(Static::dim(self.graph.slots.min(x, y))),
            "mod" => match y.as_constant()? {
                0 => Some(Static::dim(0)),
                _ => {
                    let whole = self.graph.slots.floor_div(x, y);
                    Some(Static::dim(x.clone() - whole * y))
                }
            },
            "pow" => {
                let (x, y) = constants()?;
                let power = u32::try_from(y).ok().and_then(|y| x.checked_pow(y));
                Some(power.map_or_else(|| Static::Float((x as f64).powf(y as f64)), Static::dim))
            }
            _ => None,
        }
    }
}

/// Whether an operator makes a float of an integer: `sqrt(seq)` of a symbolic dim.
pub(super) fn needs_float(name: &str) -> bool {
    matches!(name, "sqrt" | "rsqrt" | "exp" | "log" | "sin" | "cos" | "tanh")
}

fn known(name: &str, args: usize) -> bool {
    match args {
        1 => matches!(
            name,
            "sqrt" | "rsqrt" | "exp" | "log" | "sin" | "cos" | "tanh" | "floor" | "ceil" | "round" | "abs" | "neg"
        ),
        2 => matches!(name, "max" | "min" | "mod" | "pow"),
        _ => false,
    }
}

fn unary(name: &str, a: &Static) -> Option<Static> {
    if let Static::Dim(dim, _) = a.plain() {
        match (name, dim.as_constant()?) {
            ("abs", value) => return value.checked_abs().map(Static::dim),
            ("neg", value) => return value.checked_neg().map(Static::dim),
            ("floor" | "ceil" | "round", value) => return Some(Static::dim(value)),
            _ => {}
        }
    }
    let x = a.as_f64()?;
    Some(Static::Float(match name {
        "sqrt" => x.sqrt(),
        "rsqrt" => 1.0 / x.sqrt(),
        "exp" => x.exp(),
        "log" => x.ln(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tanh" => x.tanh(),
        "floor" => x.floor(),
        "ceil" => x.ceil(),
        "round" => x.round_ties_even(),
        "abs" => x.abs(),
        "neg" => -x,
        _ => return None,
    }))
}

fn binary(name: &str, x: f64, y: f64) -> Option<Static> {
    Some(Static::Float(match name {
        "max" => x.max(y),
        "min" => x.min(y),
        "pow" => x.powf(y),
        _ => return None,
    }))
}
