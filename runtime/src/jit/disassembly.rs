//! Machine code of x86-64 as text: an instruction a line, with its address in the function.
//!
//! Invariant: only what can be reached from the first instruction is decoded; the rest are numbers that instructions read.

use iced_x86::{
    Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind, SymbolResolver, SymbolResult,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The instructions of a function, then its numbers. `symbols` are the names that the linker will put at places of the
/// code, by the offset of the place.
pub(super) fn disassemble(code: &[u8], symbols: &BTreeMap<u64, String>) -> String {
    let reached = Reached::from_start(code);
    let mut formatter = IntelFormatter::with_options(
        Some(Box::new(Names { labels: reached.labels(), symbols: symbols.clone() })),
        None,
    );
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_space_after_operand_separator(true);
    options.set_signed_immediate_operands(true);
    options.set_rip_relative_addresses(false);
    let mut text = String::new();
    for instruction in reached.instructions.values() {
        let at = instruction.ip();
        if reached.branches.contains(&at) {
            text += &format!("{}:\n", label(at));
        }
        let mut line = String::new();
        formatter.format(instruction, &mut line);
        writeln!(text, "  {at:04x}  {line}").expect("a string takes all");
    }
    if let Some((at, bytes)) = reached.numbers(code) {
        for (i, line) in bytes.chunks(16).enumerate() {
            let shown: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "  {:04x}  .byte {}", at + i * 16, shown.join(" ")).expect("a string takes all");
        }
    }
    text
}

fn label(at: u64) -> String {
    format!("L{at:x}")
}

/// What a function's control flow reaches.
struct Reached {
    /// By address.
    instructions: BTreeMap<u64, Instruction>,
    /// Addresses inside of the function that are jumped to.
    branches: BTreeSet<u64>,
    /// Addresses inside of the function that instructions read.
    read: BTreeSet<u64>,
}

impl Reached {
    fn from_start(code: &[u8]) -> Reached {
        let mut reached = Reached { instructions: BTreeMap::new(), branches: BTreeSet::new(), read: BTreeSet::new() };
        let inside = |at: u64| at < code.len() as u64;
        let mut waiting = vec![0];
        while let Some(mut at) = waiting.pop() {
            while inside(at) && !reached.instructions.contains_key(&at) {
                let mut decoder = Decoder::with_ip(64, &code[at as usize..], at, DecoderOptions::NONE);
                let instruction = decoder.decode();
                if instruction.is_invalid() {
                    break;
                }
                if instruction.is_ip_rel_memory_operand() && inside(instruction.ip_rel_memory_address()) {
                    reached.read.insert(instruction.ip_rel_memory_address());
                }
                let jumps = instruction.op0_kind() == OpKind::NearBranch64 && instruction.mnemonic() != Mnemonic::Call;
                if jumps && inside(instruction.near_branch_target()) {
                    reached.branches.insert(instruction.near_branch_target());
                    waiting.push(instruction.near_branch_target());
                }
                let ends = matches!(instruction.mnemonic(), Mnemonic::Jmp | Mnemonic::Ret | Mnemonic::Ud2);
                let next = instruction.next_ip();
                reached.instructions.insert(at, instruction);
                if ends {
                    break;
                }
                at = next;
            }
        }
        reached
    }

    fn labels(&self) -> BTreeMap<u64, String> {
        self.branches.iter().chain(&self.read).map(|at| (*at, label(*at))).collect()
    }

    /// The bytes after the last instruction.
    fn numbers<'c>(&self, code: &'c [u8]) -> Option<(usize, &'c [u8])> {
        let end = self.instructions.values().next_back().map_or(0, Instruction::next_ip) as usize;
        code.get(end..).filter(|rest| !rest.is_empty()).map(|rest| (end, rest))
    }
}

/// Names for the addresses in instructions.
struct Names {
    labels: BTreeMap<u64, String>,
    symbols: BTreeMap<u64, String>,
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _: u32,
        operand: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        let place = instruction.ip()..instruction.next_ip();
        if let Some((_, name)) = self.symbols.range(place).next() {
            return Some(SymbolResult::with_str(address, name));
        }
        let branches = instruction.op0_kind() == OpKind::NearBranch64;
        let memory = operand.is_some_and(|number| instruction.op_kind(number) == OpKind::Memory);
        match branches || memory && instruction.is_ip_rel_memory_operand() {
            true => self.labels.get(&address).map(|name| SymbolResult::with_str(address, name)),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::disassemble;
    use std::collections::BTreeMap;

    #[test]
    fn branches_have_labels_calls_have_names_and_numbers_are_no_instructions() {
        // xor eax, eax; L2: add eax, [rip + 10]; cmp eax, 9; jl L2; call f; ret; four bytes of data.
        let code = [
            0x31, 0xc0, 0x03, 0x05, 0x0b, 0x00, 0x00, 0x00, 0x83, 0xf8, 0x09, 0x7c, 0xf5, 0xe8, 0, 0, 0, 0, 0xc3, 0x07,
            0x06, 0x05, 0x04,
        ];
        let text = disassemble(&code, &BTreeMap::from([(14, "ceilf".to_owned())]));
        let expected = "  0000  xor eax, eax
L2:
  0002  add eax, [L13]
  0008  cmp eax, 9
  000b  jl short L2
  000d  call ceilf
  0012  ret
  0013  .byte 07 06 05 04
";
        assert_eq!(text, expected);
    }
}
