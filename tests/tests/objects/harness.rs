//! A C program that does for an object file what a session does for a `.mlc`: it walks the plan of one entry.
//!
//! Invariant: the program is made from the plan alone, by the rules of the book's page on object files.

use mlc_codegen::base::{Dim, SlotDef, Slots};
use mlc_codegen::kernel::{Argument, EntryPlan, Place, Plan, Step};
use std::fmt::Write;

/// Each call of a kernel is cut into so many parts, as threads would.
const PARTS: i64 = 3;

/// The program's text. It reads the constants from `cN.bin` and the inputs from `iN.bin`, and writes the outputs to
/// `oN.bin`; `block` is the filled size block, `symbols` are those of the kernels without `mlc_kernel_`.
pub(super) fn program(plan: &Plan, entry: &EntryPlan, block: &[i64], symbols: &[String]) -> String {
    let mut text = String::from(PRELUDE);
    for symbol in symbols {
        writeln!(text, "void mlc_kernel_{symbol}(char **, const int64_t *, int64_t, int64_t);").expect("text");
        writeln!(text, "int64_t mlc_scratch_{symbol}(const int64_t *);").expect("text");
    }
    let numbers: Vec<String> = block.iter().map(|size| format!("{size}ll")).collect();
    writeln!(text, "static int64_t s[] = {{{}}};", [&numbers[..], &["0".into()]].concat().join(", ")).expect("text");
    writeln!(text, "static void derive(void) {{\n{}}}", derived(&plan.slots)).expect("text");
    writeln!(text, "int main(void) {{\n  char *arena = room({});", c(&entry.arena)).expect("text");
    for (i, buffer) in entry.buffers.iter().enumerate() {
        let bytes = bytes(buffer.storage.bytes_for(buffer.elements.eval(block).expect("sizes fit")));
        let made = match &buffer.place {
            Place::Input(n) => format!("file(\"i{n}.bin\", {bytes})"),
            Place::Constant(n) => format!("file(\"c{n}.bin\", {bytes})"),
            Place::Output(_) | Place::State(_) => format!("room({bytes})"),
            Place::Arena { offset } => format!("arena + {}", c(offset)),
        };
        writeln!(text, "  char *b{i} = {made};").expect("text");
    }
    steps(&mut text, &entry.steps, symbols);
    for (i, buffer) in entry.buffers.iter().enumerate() {
        if let Place::Output(n) = buffer.place {
            let bytes = bytes(buffer.storage.bytes_for(buffer.elements.eval(block).expect("sizes fit")));
            writeln!(text, "  keep(\"o{n}.bin\", b{i}, {bytes});").expect("text");
        }
    }
    text + "  return 0;\n}\n"
}

const PRELUDE: &str = r#"#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *room(int64_t bytes) {
  char *made = aligned_alloc(64, (bytes + 127) / 64 * 64);
  memset(made, 0x5a, bytes);
  return made;
}
static char *file(const char *name, int64_t bytes) {
  FILE *in = fopen(name, "rb");
  char *made = room(bytes);
  if (!in || (int64_t)fread(made, 1, bytes, in) != bytes) exit(3);
  fclose(in);
  return made;
}
static void keep(const char *name, const char *from, int64_t bytes) {
  FILE *out = fopen(name, "wb");
  if (!out || (int64_t)fwrite(from, 1, bytes, out) != bytes || fclose(out)) exit(4);
}
static int64_t fdiv(int64_t a, int64_t b) { return b == 0 ? 0 : a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
"#;

fn bytes(count: Option<i64>) -> i64 {
    count.expect("a buffer fits in 64 bits")
}

/// A dim as a C expression over the size block.
fn c(dim: &Dim) -> String {
    format!("({})", dim.display_with(&|slot| format!("s[{}]", slot.0)))
}

fn derived(slots: &Slots) -> String {
    let line = |(slot, def): (mlc_codegen::base::Slot, &SlotDef)| {
        let value = match def {
            SlotDef::Floor(a, k) => format!("fdiv({}, {k})", c(a)),
            SlotDef::Quotient(a, b) => format!("fdiv({}, {})", c(a), c(b)),
            SlotDef::Max(a, b) => format!("max({}, {})", c(a), c(b)),
            SlotDef::Min(a, b) => format!("min({}, {})", c(a), c(b)),
            SlotDef::Given { .. } | SlotDef::Counted { .. } | SlotDef::Counter { .. } => return None,
        };
        Some(format!("  s[{}] = {value};\n", slot.0))
    };
    slots.iter().filter_map(line).collect()
}

fn argument(argument: &Argument) -> String {
    match argument {
        Argument::Buffer(buffer) => format!("b{}", buffer.0),
        Argument::Family(family) => {
            let members: Vec<String> = family.members.iter().map(|member| format!("b{}", member.0)).collect();
            let (counter, ahead, count) = (family.counter.0, family.ahead, members.len());
            format!("((char *[]){{{}}})[(s[{counter}] + {ahead}) % {count}]", members.join(", "))
        }
    }
}

fn steps(text: &mut String, all: &[Step], symbols: &[String]) {
    for step in all {
        match step {
            Step::Call(call) => {
                let [variant] = &call.variants[..] else { panic!("one variant") };
                let symbol = &symbols[variant.kernel.0 as usize];
                let arguments: Vec<String> = call.arguments.iter().map(argument).collect();
                let scratch = format!("room(mlc_scratch_{symbol}(s) * {PARTS})");
                writeln!(text, "  {{\n    char *of[] = {{{}, {scratch}}};", arguments.join(", ")).expect("text");
                writeln!(
                    text,
                    "    for (int part = 0; part < {PARTS}; part++) mlc_kernel_{symbol}(of, s, part, {PARTS});\n    \
                     free(of[{}]);\n  }}",
                    arguments.len()
                )
                .expect("text");
            }
            Step::Copy { from, to, bytes } => {
                writeln!(text, "  memmove({}, {}, {});", argument(to), argument(from), c(bytes)).expect("text");
            }
            Step::Loop { counter, trips, condition: None, body } => {
                let i = format!("s[{}]", counter.0);
                writeln!(text, "  for ({i} = 0; {i} < {}; {i}++) {{\n  derive();", c(trips)).expect("text");
                steps(text, body, symbols);
                writeln!(text, "  }}\n  {i} = 0;\n  derive();").expect("text");
            }
            Step::Check(_) => {}
            Step::Count { .. } | Step::Loop { .. } | Step::Branch { .. } => panic!("no step of these programs"),
        }
    }
}
