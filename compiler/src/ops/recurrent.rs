//! `lstm` and `gru`: recurrences over time, with PyTorch's weights and order of gates.

use super::check::{require_rank, require_type};
use super::numbers::from_floats;
use super::{At, Build, Stage, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use mlc_codegen::kernel::{AxisId, Body, Contract, ExprId, Index, Loops, Statement, Unary};
use mlc_runtime::tensor::Tensor;

/// A recurrence with this many gates.
pub(super) struct Recurrent {
    signature: &'static Signature,
    gates: i64,
}

const fn optional(name: &'static str) -> Param {
    Param::optional(name, Kind::Tensor, Default::None)
}

const fn tensor(name: &'static str) -> Param {
    Param::required(name, Kind::Tensor)
}

/// `lstm`.
pub(super) static LSTM: Recurrent = Recurrent {
    signature: &Signature {
        name: "lstm",
        params: &[
            tensor("x"),
            tensor("w"),
            tensor("r"),
            optional("bias_ih"),
            optional("bias_hh"),
            optional("h0"),
            optional("c0"),
        ],
        result: "(y [b, t, h], h [b, h], c [b, h])",
        doc: "A long short-term memory over x [b, t, in] with w [4h, in], r [4h, h], biases [4h] and first states [b, h], \
              zeros where they are not given. Gates lie in the order input, forget, candidate, output, as PyTorch's do: \
              c = σ(f)·c + σ(i)·tanh(g), h = σ(o)·tanh(c). Gives every h, and the last h and c.",
        example: "let (y, h, c) = lstm(x, w, r)",
    },
    gates: 4,
};

/// `gru`.
pub(super) static GRU: Recurrent = Recurrent {
    signature: &Signature {
        name: "gru",
        params: &[tensor("x"), tensor("w"), tensor("r"), optional("bias_ih"), optional("bias_hh"), optional("h0")],
        result: "(y [b, t, h], h [b, h])",
        doc: "A gated recurrent unit over x [b, t, in] with w [3h, in], r [3h, h], biases [3h] and a first state [b, h], \
              zeros where they are not given. Gates lie in the order reset, update, new, as PyTorch's do: \
              n = tanh(w·x + b_ih + σ(r)·(r·h + b_hh)), h = (1 - σ(z))·n + σ(z)·h. Gives every h, and the last.",
        example: "let (y, h) = gru(x, w, r)",
    },
    gates: 3,
};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `1 / (1 + exp(-x))`.
fn logistic(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let (negated, one) = (k.unary(Unary::Neg, x), k.number(dtype, 1.0));
    let exp = k.unary(Unary::Exp, negated);
    let sum = k.add(one, exp);
    k.div(one, sum)
}

/// `2σ(2x) - 1`.
fn tanh(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let (two, one) = (k.number(dtype, 2.0), k.number(dtype, 1.0));
    let doubled = k.mul(two, x);
    let half = logistic(k, doubled, dtype);
    let whole = k.mul(two, half);
    k.sub(whole, one)
}

/// What the recurrence runs over: b in parallel, then t, then the hidden units.
struct Axes {
    b: AxisId,
    t: AxisId,
    unit: AxisId,
    other: AxisId,
}

impl Recurrent {
    fn is_lstm(&self) -> bool {
        self.gates == 4
    }

    fn given(call: &Call, name: &str) -> Option<usize> {
        let has = call.signature.params.iter().any(|param| param.name == name);
        if has { call.tensor(name) } else { None }
    }

    /// w·x and its bias for every step at once, into temp 0: `[b, t, gates * h]`.
    fn projection(&self, k: &mut dyn Build, call: &Call) -> Body {
        let (x, w) = (call.input(0), call.input(1));
        let [b, t] = [k.axis("b", &x.dims[0]), k.axis("t", &x.dims[1])];
        let [gate, i] = [k.axis("g", &w.dims[0]), k.axis("i", &x.dims[2])];
        let left = k.input(0, &At::axes(&[b, t, i]));
        let right = k.input(1, &At::axes(&[gate, i]));
        let mut sum = k.accumulator();
        if let Some(bias) = call.tensor("bias_ih") {
            let bias = k.input(bias, &[At::axis(gate)]);
            sum = k.add(sum, bias);
        }
        let stores = k.store(Target::Temp(0), &At::axes(&[b, t, gate]), sum);
        let accumulator = x.dtype.compute();
        let roles = (vec![b, t], vec![gate], vec![i]);
        Body::Contract(Contract {
            batch: vec![],
            m: roles.0,
            n: roles.1,
            k: roles.2,
            a: left,
            b: right,
            accumulator,
            stores,
        })
    }

    /// Cells 0..gates become r·h + bias_hh of the unit.
    fn recurrence(&self, k: &mut dyn Build, call: &Call, axes: &Axes, dtype: DType) -> Vec<Statement> {
        let h = &call.input(2).dims[1];
        let row = |gate: i64| At::index(Index::affine(vec![(axes.unit, 1)], h.clone() * gate));
        let state = k.load(Target::Result(1), &At::axes(&[axes.b, axes.other]), None);
        let (mut starts, mut sums) = (vec![], vec![]);
        for gate in 0..self.gates {
            let cell = gate as u32;
            let start = match call.tensor("bias_hh") {
                Some(bias) => k.input(bias, &[row(gate)]),
                None => k.number(dtype, 0.0),
            };
            starts.push(Statement::SetCell { cell, value: start });
            let weight = k.input(2, &[row(gate), At::axis(axes.other)]);
            let (product, old) = (k.mul(weight, state), k.cell(cell));
            let value = k.add(old, product);
            sums.push(Statement::SetCell { cell, value });
        }
        starts.push(k.each(axes.other, sums));
        starts
    }

    /// What the unit stores at one step: the new c in place, and h into the sequence.
    fn unit(&self, k: &mut dyn Build, call: &Call, axes: &Axes, dtype: DType) -> Vec<Statement> {
        let h = &call.input(2).dims[1];
        let place = At::axes(&[axes.b, axes.unit]);
        let projected = |k: &mut dyn Build, gate: i64| {
            let column = At::index(Index::affine(vec![(axes.unit, 1)], h.clone() * gate));
            k.load(Target::Temp(0), &[At::axis(axes.b), At::axis(axes.t), column], None)
        };
        let sum = |k: &mut dyn Build, gate: i64| {
            let (from, cell) = (projected(k, gate), k.cell(gate as u32));
            k.add(from, cell)
        };
        let to = At::axes(&[axes.b, axes.t, axes.unit]);
        if self.is_lstm() {
            let [input, forget, candidate, output] = [0, 1, 2, 3].map(|gate| sum(k, gate));
            let [input, forget] = [input, forget].map(|gate| logistic(k, gate, dtype));
            let candidate = tanh(k, candidate, dtype);
            let old = k.load(Target::Result(2), &place, None);
            let (kept, added) = (k.mul(forget, old), k.mul(input, candidate));
            let new = k.add(kept, added);
            let mut statements = vec![Statement::SetCell { cell: self.gates as u32, value: new }];
            let new = k.cell(self.gates as u32);
            let output = logistic(k, output, dtype);
            let shown = tanh(k, new, dtype);
            let value = k.mul(output, shown);
            statements.extend(k.put(Target::Result(2), &place, new));
            statements.extend(k.put(Target::Result(0), &to, value));
            return statements;
        }
        let [reset, update] = [0, 1].map(|gate| sum(k, gate));
        let [reset, update] = [reset, update].map(|gate| logistic(k, gate, dtype));
        let (from, recurrent) = (projected(k, 2), k.cell(2));
        let gated = k.mul(reset, recurrent);
        let new = k.add(from, gated);
        let new = tanh(k, new, dtype);
        let old = k.load(Target::Result(1), &place, None);
        let one = k.number(dtype, 1.0);
        let share = k.sub(one, update);
        let (a, b) = (k.mul(share, new), k.mul(update, old));
        let value = k.add(a, b);
        k.put(Target::Result(0), &to, value)
    }

    fn scan(&self, k: &mut dyn Build, call: &Call) -> Body {
        let (x, h) = (call.input(0), call.input(2).dims[1].clone());
        let dtype = x.dtype.compute();
        let axes = Axes {
            b: k.axis("b", &x.dims[0]),
            t: k.axis("t", &x.dims[1]),
            unit: k.axis("u", &h),
            other: k.axis("v", &h),
        };
        let place = At::axes(&[axes.b, axes.unit]);
        let mut first = vec![];
        for (result, name) in ["h0", "c0"].into_iter().enumerate().take(call.results.len() - 1) {
            let value = match Self::given(call, name) {
                Some(input) => k.input(input, &place),
                None => k.number(dtype, 0.0),
            };
            first.extend(k.put(Target::Result(1 + result), &place, value));
        }
        let mut step = self.recurrence(k, call, &axes, dtype);
        step.extend(self.unit(k, call, &axes, dtype));
        let new = k.load(Target::Result(0), &At::axes(&[axes.b, axes.t, axes.unit]), None);
        let copy = k.put(Target::Result(1), &place, new);
        let steps = vec![k.each(axes.unit, step), k.each(axes.unit, copy)];
        let body = vec![k.each(axes.unit, first), k.each(axes.t, steps)];
        let cells = vec![dtype; self.gates as usize + usize::from(self.is_lstm())];
        Body::Loops(Loops { cells, statements: vec![k.each_parallel(axes.b, body)] })
    }
}

impl Op for Recurrent {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        require_rank(call, 0, &["b", "t", "in"], cx)?;
        require_rank(call, 2, &["gates * h", "h"], cx)?;
        let (x, h) = (call.input(0), call.input(2).dims[1].clone());
        let gates = h.clone() * self.gates;
        let ty = |dims: &[&Dim]| TensorType::new(x.dtype, dims.iter().map(|dim| (*dim).clone()));
        require_type(call, 2, &ty(&[&gates, &h]), 2, cx)?;
        require_type(call, 1, &ty(&[&gates, &x.dims[2]]), 0, cx)?;
        for bias in ["bias_ih", "bias_hh"].into_iter().filter_map(|name| call.tensor(name)) {
            require_type(call, bias, &ty(&[&gates]), 2, cx)?;
        }
        let state = ty(&[&x.dims[0], &h]);
        for start in ["h0", "c0"].into_iter().filter_map(|name| Self::given(call, name)) {
            require_type(call, start, &state, 0, cx)?;
        }
        let states = self.gates as usize - 2;
        let sequence = ty(&[&x.dims[0], &x.dims[1], &h]);
        Ok([sequence].into_iter().chain(vec![state; states]).collect())
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (shape, dtype) = (inputs[0].shape(), inputs[0].dtype());
        let (batch, time, width, h) = (shape[0], shape[1], shape[2], inputs[2].shape()[1]);
        let [x, w, r] = [0, 1, 2].map(|i: usize| inputs[i].to_f64_vec());
        let optional =
            |name: &str, len: usize| Self::given(call, name).map_or_else(|| vec![0.0; len], |i| inputs[i].to_f64_vec());
        let rows = self.gates as usize * h;
        let (bias_ih, bias_hh) = (optional("bias_ih", rows), optional("bias_hh", rows));
        let (mut state, mut memory) = (optional("h0", batch * h), optional("c0", batch * h));
        let mut y = vec![0.0; batch * time * h];
        for b in 0..batch {
            for t in 0..time {
                let step = &x[(b * time + t) * width..][..width];
                let old = state[b * h..][..h].to_vec();
                let dot = |m: &[f64], v: &[f64], row: usize| -> f64 {
                    m[row * v.len()..][..v.len()].iter().zip(v).map(|(a, b)| a * b).sum()
                };
                for u in 0..h {
                    let from = |gate: usize| dot(&w, step, gate * h + u) + bias_ih[gate * h + u];
                    let back = |gate: usize| dot(&r, &old, gate * h + u) + bias_hh[gate * h + u];
                    let gate = |gate: usize| from(gate) + back(gate);
                    let c = &mut memory[b * h + u];
                    state[b * h + u] = if self.is_lstm() {
                        *c = sigmoid(gate(1)) * *c + sigmoid(gate(0)) * gate(2).tanh();
                        sigmoid(gate(3)) * c.tanh()
                    } else {
                        let new = (from(2) + sigmoid(gate(0)) * back(2)).tanh();
                        (1.0 - sigmoid(gate(1))) * new + sigmoid(gate(1)) * old[u]
                    };
                    y[(b * time + t) * h + u] = state[b * h + u];
                }
            }
        }
        let mut results = vec![from_floats(dtype, &[batch, time, h], &y)?, from_floats(dtype, &[batch, h], &state)?];
        if self.is_lstm() {
            results.push(from_floats(dtype, &[batch, h], &memory)?);
        }
        Ok(results)
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        let (x, w) = (call.input(0), call.input(1));
        let dims = [x.dims[0].clone(), x.dims[1].clone(), w.dims[0].clone()];
        let temps = vec![TensorType::new(x.dtype.compute(), dims)];
        let stages: Vec<Stage<'a>> =
            vec![Box::new(move |k| self.projection(k, call)), Box::new(move |k| self.scan(k, call))];
        Lowering::Stages { temps, stages }
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
