//! The text form of a plan, for `--emit kernels`: the size block, constants and states, the kernels, and each entry's
//! buffers and tree of steps. Sizes are written as slots, `s0`, as in the text of kernels.

use super::{
    Argument, BufferDef, Call, Condition, EntryPlan, IndexCheck, Place, Plan, Port, SizeGuard, StateDef, Step, Variant,
};
use crate::base::{Dim, Slot, SlotDef};
use std::fmt::{self, Display, Formatter};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (slot, def) in self.slots.iter() {
            print_slot(f, slot, def)?;
        }
        for (i, (storage, elements)) in self.constants.iter().enumerate() {
            writeln!(f, "constant c{i}: {storage} * {elements}")?;
        }
        for (i, StateDef { name, dtype, dims }) in self.states.iter().enumerate() {
            writeln!(f, "state t{i}: {dtype}[{}]  // {name}", list(dims))?;
        }
        for (i, kernel) in self.kernels.iter().enumerate() {
            write!(f, "\n// k{i}\n{kernel}")?;
        }
        self.entries.iter().try_for_each(|entry| print_entry(f, entry))
    }
}

fn print_slot(f: &mut Formatter<'_>, slot: Slot, def: &SlotDef) -> fmt::Result {
    let slot = format!("s{}", slot.0);
    match def {
        SlotDef::Given { name, lo, hi, size } => {
            let word = if *size { "size" } else { "dim" };
            let hi = if *hi == i64::MAX { String::new() } else { hi.to_string() };
            writeln!(f, "{word} {slot} in {lo}..={hi}  // {name}")
        }
        SlotDef::Counted { name, most } => writeln!(f, "counted {slot} in 0..={most}  // {name}"),
        SlotDef::Counter { name, trips } => writeln!(f, "counter {slot} in 0..{trips}  // {name}"),
        SlotDef::Floor(a, k) => writeln!(f, "let {slot} = floor(({a}) / {k})"),
        SlotDef::Quotient(a, b) => writeln!(f, "let {slot} = floor(({a}) / ({b}))"),
        SlotDef::Max(a, b) => writeln!(f, "let {slot} = max({a}, {b})"),
        SlotDef::Min(a, b) => writeln!(f, "let {slot} = min({a}, {b})"),
    }
}

fn print_entry(f: &mut Formatter<'_>, entry: &EntryPlan) -> fmt::Result {
    writeln!(f, "\nentry {} {{", entry.name)?;
    for (word, ports) in [("input", &entry.inputs), ("output", &entry.outputs)] {
        for (i, Port { name, dtype, dims, .. }) in ports.iter().enumerate() {
            writeln!(f, "  {word} {i}: {dtype}[{}]  // {name}", list(dims))?;
        }
    }
    for (name, slot) in &entry.sizes {
        writeln!(f, "  size s{}  // {name}", slot.0)?;
    }
    for SizeGuard { at_least_zero, exactly_zero, message, .. } in &entry.guards {
        let sign = if *exactly_zero { "==" } else { ">=" };
        writeln!(f, "  guard {at_least_zero} {sign} 0  // {message}")?;
    }
    writeln!(f, "  arena {} bytes", entry.arena)?;
    for (i, BufferDef { place, storage, elements }) in entry.buffers.iter().enumerate() {
        writeln!(f, "  buffer b{i}: {storage} * ({elements}) in {place}")?;
    }
    entry.steps.iter().try_for_each(|step| print_step(f, step, 1))?;
    writeln!(f, "}}")
}

fn print_step(f: &mut Formatter<'_>, step: &Step, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    let block = |f: &mut Formatter<'_>, body: &[Step]| {
        body.iter().try_for_each(|inner| print_step(f, inner, depth + 1))?;
        write!(f, "{pad}}}")
    };
    match step {
        Step::Call(Call { variants, arguments }) => {
            let variants: Vec<String> = variants.iter().map(Variant::to_string).collect();
            writeln!(f, "{pad}call {}({})", variants.join(" else "), list(arguments))
        }
        Step::Copy { from, to, bytes } => writeln!(f, "{pad}copy {from} to {to}, {bytes} bytes"),
        Step::Check(IndexCheck { indices, count, extent, negative, column, columns, .. }) => {
            let least = if *negative { format!("-({extent})") } else { "0".into() };
            let every = if *columns == 1 { String::new() } else { format!(" of column {column} of {columns}") };
            writeln!(f, "{pad}check {indices}[0..{count}]{every} in {least}..{extent}")
        }
        Step::Count { slot, from } => writeln!(f, "{pad}count s{} = b{}[0]", slot.0, from.0),
        Step::Loop { counter, trips, condition, body } => {
            let condition = condition.as_ref().map_or(String::new(), |flag| format!(" while {flag}[0]"));
            writeln!(f, "{pad}loop s{} in 0..{trips}{condition} {{", counter.0)?;
            block(f, body)?;
            writeln!(f)
        }
        Step::Branch { flag, then, otherwise } => {
            writeln!(f, "{pad}if {flag}[0] {{")?;
            block(f, then)?;
            if !otherwise.is_empty() {
                writeln!(f, " else {{")?;
                block(f, otherwise)?;
            }
            writeln!(f)
        }
    }
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for Variant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.kernel.0)?;
        match self.guard.as_slice() {
            [] => Ok(()),
            guard => write!(f, " if {}", guard.iter().map(Condition::to_string).collect::<Vec<_>>().join(" and ")),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Condition::AtMost(dim, limit) => write!(f, "{dim} <= {limit}"),
            Condition::MultipleOf(dim, factor) => write!(f, "{dim} % {factor} == 0"),
            Condition::Device(word) => write!(f, "{word}"),
        }
    }
}

/// A buffer, or the members of a family and which of them is meant: `[b1, b2][s3 + 1]`.
impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Argument::Buffer(buffer) => write!(f, "b{}", buffer.0),
            Argument::Family(family) => {
                let members: Vec<String> = family.members.iter().map(|member| format!("b{}", member.0)).collect();
                let turn: Dim = Dim::slot(family.counter) + family.ahead;
                write!(f, "[{}][{turn}]", members.join(", "))
            }
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Place::Input(i) => write!(f, "input {i}"),
            Place::Output(i) => write!(f, "output {i}"),
            Place::Constant(i) => write!(f, "c{i}"),
            Place::State(i) => write!(f, "t{i}"),
            Place::Arena { offset } => write!(f, "arena from byte {offset}"),
        }
    }
}
