//! Programs drawn from a seed: loops in loops, branches, groups and states over a few names that are bound again and
//! again.

use crate::round::{agree, graph, load, read_back};
use libtest_mimic::Failed;
use mlc::frontend::Options;

/// Programs of one run.
const PROGRAMS: u64 = 60;
/// Names that statements bind and use.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Prints and reads back drawn programs. The seed is fresh each day, and `MLC_SEED` sets it.
pub(crate) fn drawn_programs() -> Result<(), Failed> {
    let today =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs() / 86_400);
    let seed = std::env::var("MLC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(today);
    println!("MLC_SEED={seed}");
    let made = tempfile::tempdir()?;
    for program in 0..PROGRAMS {
        let text = Draw {
            state: seed << 16 | program,
            text: String::new(),
            depth: 0,
            keys: 0,
            index: vec![],
            within_block: false,
        }
        .program();
        let path = made.path().join("drawn.mdl");
        std::fs::write(&path, &text)?;
        let options = Options { random_weights: Some(program), ..Options::default() };
        let outcome = graph(&path, &options).and_then(|(graph, sources)| {
            let read = read_back(&graph)?;
            let models = [load(&graph, &sources)?, load(&read.graph, &read.sources)?];
            agree(&models, &graph).map_err(|e| format!("{e}\n{}", read.text))
        });
        outcome.map_err(|error| format!("MLC_SEED={seed}, program {program}: {error}\nfrom\n{text}"))?;
    }
    Ok(())
}

struct Draw {
    state: u64,
    text: String,
    /// Bodies around the present place.
    depth: usize,
    /// Weight keys given out.
    keys: usize,
    /// Indices of loops around, outermost first.
    index: Vec<String>,
    /// Blocks neither see states nor call blocks.
    within_block: bool,
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % bound
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.below(NAMES.len() as u64) as usize]
    }

    fn line(&mut self, line: &str) {
        self.text += &format!("{}{line}\n", "  ".repeat(self.depth + 1));
    }

    fn program(mut self) -> String {
        self.text += "mdl 1\n";
        for block in ["First", "Second"] {
            self.within_block = true;
            self.text += &format!("block {block}(a: f32[n, 4], b: f32[n, 4], flag: bool) -> f32[n, 4] {{\n");
            self.line("let c = a + b\n  let d = a\n  let e = b * 0.5");
            self.body(4);
            let result = self.value(1);
            self.line(&format!("return {result}"));
            self.text += "}\n";
        }
        self.within_block = false;
        self.text += "model Drawn {\n  dim n in 1..=4\n  weights from \"drawn.safetensors\"\n";
        self.text += "  state s: f32[n, 4]\n  state t: f32[2, n, 4]\n";
        self.text +=
            "  entry main(a: f32[n, 4], b: f32[n, 4], flag: bool) -> (x: f32[n, 4], y: f32[n, 4], z: f32[n, 4]) {\n";
        self.line("let c = a\n  let d = a * b\n  let e = s + t[0]");
        self.body(7);
        let (first, second) = (self.value(2), self.value(1));
        self.line(&format!("set s = {first}"));
        self.line(&format!("set t[1] = {second}"));
        self.body(3);
        let results = [self.value(1), self.value(0), self.value(1)];
        self.line(&format!("return ({})", results.join(", ")));
        self.text + "  }\n}\n"
    }

    fn body(&mut self, statements: usize) {
        for _ in 0..statements {
            let kind = if self.depth > 2 { self.below(6) } else { self.below(10) };
            match kind {
                6 | 7 => self.repeat(),
                8 => self.group(),
                9 => self.choice(),
                _ => {
                    let (name, value) = (self.name(), self.value(2));
                    self.line(&format!("let {name} = {value}"));
                }
            }
        }
    }

    fn repeat(&mut self) {
        let index = ["i", "j", "k"][self.index.len() % 3].to_owned();
        let (start, trips) = (self.below(3), 1 + self.below(3));
        let mut carried: Vec<&str> = NAMES.into_iter().filter(|_| self.below(3) == 0).collect();
        if self.below(4) == 0 {
            carried.reverse();
        }
        let carry = if carried.is_empty() { String::new() } else { format!(" carry {}", carried.join(", ")) };
        let condition = match (carried.first(), self.below(4)) {
            (Some(name), 0) => format!(" while sum({name}) < 100.0"),
            (Some(name), 1) => {
                format!(" while sum({name}) + sum({name} * {name}) + sum(relu({name})) + sum(-{name}) < 50.0")
            }
            _ => String::new(),
        };
        self.line(&format!("repeat {index} in {start}..{}{condition}{carry} {{", start + trips));
        self.depth += 1;
        self.index.push(index.clone());
        let statements = 2 + self.below(3) as usize;
        self.body(statements);
        if condition.is_empty() && self.below(2) == 0 {
            self.keys += 1;
            let (key, name, value) = (self.keys, self.name(), self.value(1));
            self.line(&format!("weight w{key}: f32[4, 4] from \"w{key}.{{{index}}}\""));
            self.line(&format!("let {name} = {value} @ w{key}"));
        }
        self.index.pop();
        self.depth -= 1;
        self.line("}");
    }

    fn group(&mut self) {
        let key = self.below(1000);
        self.line(&format!("fused \"group {key}\" {{"));
        self.depth += 1;
        for _ in 0..2 {
            let (name, a, b) = (self.name(), self.name(), self.name());
            let value = ["tanh(A) + B", "A * 0.5", "A - B", "where(A > B, A, B)"][self.below(4) as usize];
            self.line(&format!("let {name} = {}", value.replace('A', a).replace('B', b)));
        }
        self.depth -= 1;
        self.line("}");
    }

    fn choice(&mut self) {
        let name = self.name();
        let condition = ["flag", "sum(a) > 0.0"][self.below(2) as usize];
        let branches = [self.branch(), self.branch()];
        self.line(&format!("let {name} = if {condition} {{ {} }} else {{ {} }}", branches[0], branches[1]));
    }

    fn branch(&mut self) -> String {
        match self.below(3) {
            0 if !self.within_block => self.block_call(),
            1 if self.depth < 2 => {
                let (a, b) = (self.value(1), self.value(1));
                format!("if flag {{ {a} }} else {{ {b} }}")
            }
            _ => self.value(3),
        }
    }

    fn block_call(&mut self) -> String {
        self.keys += 1;
        let (block, key) = (["First", "Second"][self.below(2) as usize], self.keys);
        format!("{block}({}, {}, flag) at \"call{key}\"", self.name(), self.name())
    }

    /// An expression of at most so many levels.
    fn value(&mut self, levels: usize) -> String {
        if levels == 0 {
            return self.name().to_owned();
        }
        let kind = self.below(9);
        let other = (self.below(2) as usize).min(levels - 1);
        let (a, b) = (self.value(levels - 1), self.value(other));
        match (kind, self.index.last().cloned()) {
            (0, _) => format!("({a} + {b})"),
            (1, _) => format!("relu({a})"),
            (2, _) => format!("({a} * 0.25)"),
            (3, _) => format!("tanh({a} - {b})"),
            (4, Some(index)) => format!("({a} + scalar({index}, dtype = f32))"),
            (5, _) => format!("concat([{a}[:, 2:4], {b}[:, 0:2]], axis = 1)"),
            (6, _) if !self.within_block => format!("(s + {a})"),
            (7, _) if !self.within_block && self.index.is_empty() => self.block_call(),
            _ => format!("({a} / (1.0 + abs({b})))"),
        }
    }
}
