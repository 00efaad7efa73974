//! The text form of kernels, for `--emit kernels` and golden tests: one line per buffer, axis, read and node.

use super::{Access, AxisId, Body, Compare, Coord, Index, Kernel, Node, Source, Statement, Store};
use std::fmt::{self, Debug, Display, Formatter};

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel \"{}\" {{", self.name)?;
        for (i, buffer) in self.buffers.iter().enumerate() {
            writeln!(f, "  buffer b{i}: {} {}  // {}", word(&buffer.role), buffer.storage, buffer.name)?;
        }
        for (i, axis) in self.axes.iter().enumerate() {
            writeln!(f, "  axis a{i} in 0..{}  // {}", axis.extent, axis.name)?;
        }
        for (i, access) in self.operands.iter().enumerate() {
            writeln!(f, "  read x{i} = {access}")?;
        }
        for (i, node) in self.expr.nodes.iter().enumerate() {
            writeln!(f, "  v{i} = {node}")?;
        }
        self.print_body(f)?;
        writeln!(f, "}}")
    }
}

impl Kernel {
    fn print_body(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Map(_) => writeln!(f, "  map")?,
            Body::Reduce(reduce) => {
                writeln!(f, "  reduce over {}", list(&reduce.over))?;
                for (i, fold) in reduce.folds.iter().enumerate() {
                    writeln!(f, "    c{i} = {} v{}", word(&fold.kind), fold.value.0)?;
                }
            }
            Body::Contract(c) => {
                let [batch, m, n, k] = [&c.batch, &c.m, &c.n, &c.k].map(|axes| list(axes));
                writeln!(f, "  contract batch {batch} m {m} n {n} k {k}: {} v{} * v{}", c.accumulator, c.a.0, c.b.0)?;
            }
            Body::Attention(a) => {
                writeln!(f, "  attention batch {} m {}", list(&a.batch), list(&a.m))?;
                writeln!(f, "    score v{} of v{} * v{} over a{} d a{}", a.score.0, a.q.0, a.k.0, a.n.0, a.d.0)?;
                writeln!(f, "    values v{} e a{}", a.v.0, a.e.0)?;
                if let Some((from, to)) = &a.visible {
                    writeln!(f, "    visible {from}..{to}")?;
                }
                if !a.blind_is_zero {
                    writeln!(f, "    nothing visible: 0 / 0")?;
                }
            }
            Body::Loops(loops) => {
                let cells: Vec<String> = loops.cells.iter().map(|dtype| dtype.to_string()).collect();
                writeln!(f, "  loops cells ({})", cells.join(", "))?;
                return loops.statements.iter().try_for_each(|statement| print_statement(f, statement, 2));
            }
        }
        self.stores().iter().try_for_each(|store| writeln!(f, "    {store}"))
    }
}

fn word(item: &dyn Debug) -> String {
    format!("{item:?}").to_lowercase()
}

fn list(ids: &[AxisId]) -> String {
    let names: Vec<String> = ids.iter().map(|axis| format!("a{}", axis.0)).collect();
    format!("({})", names.join(", "))
}

fn print_statement(f: &mut Formatter<'_>, statement: &Statement, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    let block = |f: &mut Formatter<'_>, body: &[Statement]| {
        body.iter().try_for_each(|inner| print_statement(f, inner, depth + 1))?;
        writeln!(f, "{pad}}}")
    };
    match statement {
        Statement::For { axis, parallel, body } => {
            writeln!(f, "{pad}{} a{} {{", if *parallel { "parallel" } else { "for" }, axis.0)?;
            block(f, body)
        }
        Statement::If { condition, body } => {
            writeln!(f, "{pad}if v{} {{", condition.0)?;
            block(f, body)
        }
        Statement::SetCell { cell, value } => writeln!(f, "{pad}c{cell} = v{}", value.0),
        Statement::Store(store) => writeln!(f, "{pad}{store}"),
    }
}

impl Display for Store {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "write ")?;
        print_place(f, &self.access)?;
        write!(f, " = v{}", self.value.0)
    }
}

fn print_place(f: &mut Formatter<'_>, access: &Access) -> fmt::Result {
    write!(f, "b{}[{}", access.buffer.0, access.base)?;
    access.coords.iter().try_for_each(|coord| write!(f, " + {coord}"))?;
    write!(f, "]")
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print_place(f, self)?;
        match self.coords.iter().any(|coord| coord.guard.is_some()) {
            true => write!(f, " else {}", self.fill),
            false => Ok(()),
        }
    }
}

impl Display for Coord {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Index(index) => write!(f, "{index}")?,
            Source::Value(value) => write!(f, "v{}", value.0)?,
        }
        if let Some(guard) = &self.guard {
            write!(f, " in 0..{guard}")?;
        }
        match self.stride.as_constant() {
            Some(1) => Ok(()),
            _ => write!(f, " * ({})", self.stride),
        }
    }
}

impl Display for Index {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut terms: Vec<String> = self
            .terms
            .iter()
            .map(|(axis, c)| match c {
                1 => format!("a{}", axis.0),
                c => format!("{c} * a{}", axis.0),
            })
            .collect();
        if terms.is_empty() || self.plus.as_constant() != Some(0) {
            terms.push(self.plus.to_string());
        }
        write!(f, "({})", terms.join(" + "))?;
        if self.div != 1 {
            write!(f, " div {}", self.div)?;
        }
        self.modulus.iter().try_for_each(|m| write!(f, " mod {m}"))
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Node::Operand(operand) => write!(f, "x{}", operand.0),
            Node::Constant(scalar) => write!(f, "{scalar}"),
            Node::Size(dim) => write!(f, "size {dim}"),
            Node::Position(axis) => write!(f, "position a{}", axis.0),
            Node::Cell(cell) => write!(f, "c{cell}"),
            Node::Accumulator => write!(f, "acc"),
            Node::Unary(op, a) => write!(f, "{} v{}", word(op), a.0),
            Node::Binary(op, a, b) => write!(f, "{} v{} v{}", word(op), a.0, b.0),
            Node::Compare(op, a, b) => {
                let sign = match op {
                    Compare::Eq => "==",
                    Compare::Ne => "!=",
                    Compare::Lt => "<",
                    Compare::Le => "<=",
                };
                write!(f, "v{} {sign} v{}", a.0, b.0)
            }
            Node::Select(condition, yes, no) => write!(f, "if v{} then v{} else v{}", condition.0, yes.0, no.0),
            Node::Convert(dtype, a) => write!(f, "v{} as {dtype}", a.0),
        }
    }
}
