//! Drawn programs: what only shows when ops meet (buffers shared, views read through, versions of states, loops).

use super::{Call, Draw, Program};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

/// A value in scope: its name and dims.
type Value = (String, [String; 2]);

/// The program of a seed, with calls that leave states behind.
pub(crate) fn program(seed: u64) -> Program {
    let mut writer = Writer { draw: Draw::new(seed), text: String::new(), names: 0, written: vec![], indent: 2 };
    let text = writer.program();
    let mut draw = Draw::new(seed ^ 0x5555);
    let call = |times: i64| {
        let flag = Tensor::scalar(DType::Bool, Scalar::Bool(times % 2 == 1));
        let inputs = [("x", draw.floats(&[5, 4])), ("y", draw.floats(&[3, 4])), ("flag", flag)];
        Call::of(&[&inputs[..], &[("ids", draw.integers(&[3], 3))]].concat()).size("times", times)
    };
    let calls = [1, 0, 3].map(call).into();
    Program { text, random_weights: Some(seed), calls, allowed: 1e-3, ..Program::default() }
}

struct Writer {
    draw: Draw,
    text: String,
    names: usize,
    /// States that were written: each has one writer.
    written: Vec<usize>,
    indent: usize,
}

const STATES: [[&str; 2]; 3] = [["n", "4"], ["3", "4"], ["4", "n"]];

impl Writer {
    fn below(&mut self, n: usize) -> usize {
        (self.draw.next() >> 20) as usize % n
    }

    fn line(&mut self, text: String) {
        self.text += &"  ".repeat(self.indent);
        self.text += &text;
        self.text.push('\n');
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn pick(&mut self, scope: &[Value]) -> Value {
        // Later values are likelier, so that chains grow.
        let (a, b) = (self.below(scope.len()), self.below(scope.len()));
        scope[a.max(b)].clone()
    }

    /// A value of these dims, when there is one.
    fn like(&mut self, scope: &[Value], dims: &[String; 2]) -> String {
        let fitting: Vec<&Value> = scope.iter().filter(|(_, other)| other == dims).collect();
        fitting[self.below(fitting.len())].0.clone()
    }

    fn program(&mut self) -> String {
        let states = STATES.iter().enumerate().map(|(i, [a, b])| format!("  state s{i}: f32[{a}, {b}]\n"));
        let head = format!(
            "mdl 1\nblock Mix[d](x: f32[..B, d]) -> f32[..B, d] {{\n  weight w: f32[d, d] from \"w\"\n  return tanh(x @ \
             w)\n}}\nmodel M {{\n  dim n in 1..=8\n{}",
            states.collect::<String>()
        );
        let dims = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let mut scope = vec![("x".to_owned(), dims("n", "4")), ("y".to_owned(), dims("3", "4"))];
        let count = 6 + self.below(10);
        self.statements(&mut scope, count, 0);
        let first = self.pick(&scope);
        let second = self.pick(&scope);
        let ret = format!("(a: f32[{}], b: f32[{}])", first.1.join(", "), second.1.join(", "));
        format!(
            "{head}  entry main(x: f32[n, 4], y: f32[3, 4], flag: bool, ids: i64[3], times: size) -> {ret} {{\n    \
             assert times <= 4\n{}    return ({}, {})\n  }}\n}}\n",
            self.text, first.0, second.0
        )
    }

    fn statements(&mut self, scope: &mut Vec<Value>, count: usize, depth: usize) {
        for _ in 0..count {
            match self.below(if depth < 2 { 14 } else { 9 }) {
                0..9 => {
                    let (expr, dims) = self.expression(scope);
                    let name = self.name();
                    self.line(format!("let {name} = {expr}"));
                    scope.push((name, dims));
                }
                9 => self.read_state(scope),
                10 => self.write_state(scope),
                11 => self.choice(scope),
                12 => self.fused(scope),
                _ => self.repeat(scope, depth),
            }
        }
    }

    fn expression(&mut self, scope: &[Value]) -> (String, [String; 2]) {
        let (x, dims) = self.pick(scope);
        let [a, b] = dims.clone();
        let fixed = [a.parse::<usize>().ok(), b.parse::<usize>().ok()];
        match self.below(13) {
            0 => (format!("tanh({x})"), dims),
            1 => (format!("relu({x}) - {x} * 0.25"), dims),
            2 | 3 => {
                let y = self.like(scope, &dims);
                (format!("{x} * 0.5 + {y}"), dims)
            }
            4 => (format!("rearrange({x}, \"a b -> b a\")"), [b, a]),
            5 => match (self.below(2), fixed) {
                (0, [Some(n), _]) if n > 1 => (format!("{x}[1 : {n}, :]"), [(n - 1).to_string(), b]),
                (_, [_, Some(n)]) if n > 1 => (format!("{x}[:, 0 : {}]", n - 1), [a, (n - 1).to_string()]),
                _ => (format!("abs({x})"), dims),
            },
            6 => match (self.below(2), fixed) {
                (0, [Some(n), _]) if n < 5 => {
                    let y = self.like(scope, &dims);
                    (format!("concat({x}, {y}, axis = 0)"), [(2 * n).to_string(), b])
                }
                (_, [_, Some(n)]) if n < 5 => {
                    let y = self.like(scope, &dims);
                    (format!("concat({y}, {x}, axis = 1)"), [a, (2 * n).to_string()])
                }
                _ => (format!("flip({x}, axis = 0)"), dims),
            },
            7 => (format!("{x} - mean({x}, axis = {}, keep = true)", self.below(2)), dims),
            8 => (format!("softmax({x}, axis = {})", self.below(2)), dims),
            9 => {
                let inner: Vec<Value> = scope.iter().filter(|(_, other)| other[0] == b).cloned().collect();
                if inner.is_empty() {
                    return (format!("{x} @ rearrange({x}, \"a b -> b a\") * 0.1"), [a.clone(), a]);
                }
                let (y, other) = self.pick(&inner);
                (format!("tanh({x} @ {y})"), [a, other[1].clone()])
            }
            10 if fixed[0].is_some_and(|rows| rows >= 3) => (format!("gather({x}, ids, axis = 0)"), ["3".into(), b]),
            11 if fixed[1].is_some() => (format!("Mix({x}) at \"mix{b}\""), dims),
            _ => {
                let y = self.like(scope, &dims);
                (format!("where({x} > {y}, {x}, {y})"), dims)
            }
        }
    }

    fn read_state(&mut self, scope: &mut Vec<Value>) {
        let (i, name) = (self.below(STATES.len()), self.name());
        if i == 1 && self.below(2) == 0 {
            self.line(format!("let {name} = s1[1 : 3, :]"));
            scope.push((name, ["2", "4"].map(str::to_owned)));
            return;
        }
        self.line(format!("let {name} = s{i}[:, :]"));
        scope.push((name, STATES[i].map(str::to_owned)));
    }

    fn write_state(&mut self, scope: &[Value]) {
        let i = self.below(STATES.len());
        let dims = STATES[i].map(str::to_owned);
        if self.written.contains(&i) || !scope.iter().any(|(_, other)| *other == dims) {
            return;
        }
        self.written.push(i);
        let value = self.like(scope, &dims);
        match (i, self.below(4)) {
            (1, 0) => self.line(format!("set s1[1 : 3, :] = {value}[0 : 2, :]")),
            (1, 1) => self.line("set s1[1 : 3, :] = s1[0 : 2, :]".to_owned()),
            (1, 2) => self.line("set s1[0 : 2, :] = flip(s1[1 : 3, :], axis = 0)".to_owned()),
            (2, 1) => self.line(format!("set s2[:, :] = {value} + flip(s2[:, :], axis = 0) * 0.5")),
            (_, 3) => self.line(format!("set s{i}[:, :] = {value}")),
            _ => self.line(format!("set s{i}[:, :] = tanh({value}) + s{i}[:, :] * 0.5")),
        }
    }

    fn choice(&mut self, scope: &mut Vec<Value>) {
        let ((x, dims), name) = (self.pick(scope), self.name());
        let y = self.like(scope, &dims);
        let (then, otherwise) = if self.below(2) == 0 { (format!("tanh({x})"), y) } else { (x, format!("{y} * {y}")) };
        self.line(format!("let {name} = if flag {{ {then} }} else {{ {otherwise} * 0.5 }}"));
        scope.push((name, dims));
    }

    fn fused(&mut self, scope: &mut Vec<Value>) {
        self.line("fused \"group\" {".to_owned());
        self.indent += 1;
        for _ in 0..2 + self.below(2) {
            let (expr, dims) = self.expression(scope);
            let name = self.name();
            self.line(format!("let {name} = {expr}"));
            scope.push((name, dims));
        }
        self.indent -= 1;
        self.line("}".to_owned());
    }

    /// A loop over one or two carried values, whose body sees everything before it.
    fn repeat(&mut self, scope: &mut [Value], depth: usize) {
        let first = self.below(scope.len());
        let mut carried = vec![first];
        let twin = scope.iter().position(|(name, dims)| *name != scope[first].0 && *dims == scope[first].1);
        carried.extend(twin.filter(|_| self.below(2) == 0));
        let names: Vec<String> = carried.iter().map(|i| scope[*i].0.clone()).collect();
        let trips = ["3", "2", "times", "1"][self.below(4)];
        self.line(format!("repeat i{depth} in 0..{trips} carry {} {{", names.join(", ")));
        self.indent += 1;
        let mut inner = scope.to_vec();
        let count = 1 + self.below(4);
        self.statements(&mut inner, count, depth + 1);
        let dims = scope[first].1.clone();
        let swap = names.len() == 2 && self.below(2) == 0;
        if swap {
            self.line(format!("let ({}, {}) = ({1}, {0})", names[0], names[1]));
        } else {
            for name in &names {
                let next = self.like(&inner, &dims);
                self.line(format!("let {name} = {next} * 0.75 + {name} * 0.25"));
            }
        }
        self.indent -= 1;
        self.line("}".to_owned());
    }
}
