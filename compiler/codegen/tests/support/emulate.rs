//! Runs the bytes of a leaf without running them: the few instructions that integer leaves use, of any level.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Registers of one size, by the first, how many there are, and their bytes.
const FILES: [(Register, u32, usize); 7] = [
    (Register::RAX, 16, 8),
    (Register::EAX, 16, 4),
    (Register::AX, 16, 2),
    (Register::AL, 1, 1),
    (Register::XMM0, 32, 16),
    (Register::YMM0, 32, 32),
    (Register::ZMM0, 32, 64),
];

/// The number of a register among those of its size, and its bytes.
fn place_of(register: Register) -> (usize, usize) {
    let inside = |(first, count, _): &&(Register, u32, usize)| {
        (*first as u32..*first as u32 + count).contains(&(register as u32))
    };
    let (first, _, bytes) = FILES.iter().find(inside).unwrap_or_else(|| panic!("{register:?} is not emulated"));
    ((register as u32 - *first as u32) as usize, *bytes)
}

fn number(register: Register) -> usize {
    place_of(register).0
}

fn bytes_of(register: Register) -> usize {
    place_of(register).1
}

/// Memory from `BASE` on, with the code behind it.
pub struct Machine {
    pub memory: Vec<u8>,
    words: [u64; 16],
    vectors: [[u8; 64]; 32],
    /// How the last comparison came out.
    order: std::cmp::Ordering,
}

/// The address of the first byte of memory.
pub const BASE: u64 = 1 << 20;

/// System V's parameters, by iced's number of each register.
const PARAMETERS: [Register; 4] = [Register::RDI, Register::RSI, Register::RDX, Register::RCX];

impl Machine {
    pub fn new(memory: Vec<u8>) -> Machine {
        Machine { memory, words: [0; 16], vectors: [[0xa5; 64]; 32], order: std::cmp::Ordering::Equal }
    }

    /// Calls a leaf, which is put behind memory for as long.
    pub fn call(&mut self, code: &[u8], parameters: &[u64]) {
        let length = self.memory.len();
        let start = BASE + length as u64;
        self.memory.extend(code);
        let stack = self.memory.len() + 256;
        self.memory.resize(stack, 0);
        self.words[number(Register::RSP)] = BASE + stack as u64;
        for (register, value) in PARAMETERS.into_iter().zip(parameters) {
            self.words[number(register)] = *value;
        }
        let mut at = start;
        loop {
            let from = (at - start) as usize;
            let mut decoder = Decoder::with_ip(64, &code[from..], at, DecoderOptions::NONE);
            let instruction = decoder.decode();
            if instruction.mnemonic() == Mnemonic::Ret {
                break;
            }
            at = self.step(&instruction).unwrap_or(instruction.next_ip());
        }
        self.memory.truncate(length);
    }

    fn address(&self, instruction: &Instruction) -> usize {
        let displacement = instruction.memory_displacement64();
        let base = match instruction.memory_base() {
            Register::RIP | Register::None => 0,
            base => self.words[number(base)],
        };
        assert_eq!(instruction.memory_index(), Register::None, "{instruction}");
        (base.wrapping_add(displacement) - BASE) as usize
    }

    /// The bytes of an operand, of as many as it has.
    fn read(&self, instruction: &Instruction, operand: u32, bytes: usize) -> Vec<u8> {
        match instruction.op_kind(operand) {
            OpKind::Memory => {
                let at = self.address(instruction);
                self.memory[at..at + bytes].to_vec()
            }
            OpKind::Register => {
                let register = instruction.op_register(operand);
                if register.is_vector_register() {
                    return self.vectors[number(register)][..bytes].to_vec();
                }
                self.words[number(register)].to_le_bytes()[..bytes].to_vec()
            }
            _ => instruction.immediate(operand).to_le_bytes()[..bytes].to_vec(),
        }
    }

    /// Writes to the first operand; what a register has beyond is cleared, as VEX, EVEX and 32-bit instructions do.
    fn write(&mut self, instruction: &Instruction, value: &[u8]) {
        if instruction.op0_kind() == OpKind::Memory {
            let at = self.address(instruction);
            return self.memory[at..at + value.len()].copy_from_slice(value);
        }
        let register = instruction.op0_register();
        if register.is_vector_register() {
            let mut all = [0; 64];
            all[..value.len()].copy_from_slice(value);
            self.vectors[number(register)] = all;
            return;
        }
        assert!(value.len() >= 4, "no narrow register is written: {instruction}");
        let mut all = [0; 8];
        all[..value.len()].copy_from_slice(value);
        self.words[number(register)] = u64::from_le_bytes(all);
    }

    /// Does one instruction; where it goes on, if not behind it.
    fn step(&mut self, i: &Instruction) -> Option<u64> {
        let size = |operand: u32| match i.op_kind(operand) {
            OpKind::Register => bytes_of(i.op_register(operand)),
            _ => i.memory_size().size(),
        };
        let lanes = |bytes: &[u8]| -> Vec<i32> {
            bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        };
        let halves =
            |bytes: &[u8]| -> Vec<i16> { bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect() };
        let bytes = |lanes: Vec<i32>| -> Vec<u8> { lanes.into_iter().flat_map(i32::to_le_bytes).collect() };
        let pair = |this: &Self| (this.read(i, 1, size(0)), this.read(i, 2, size(0)));
        let word = |bytes: &[u8]| {
            let mut all = [0; 8];
            all[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(all)
        };
        match i.mnemonic() {
            Mnemonic::Prefetcht0 | Mnemonic::Vzeroupper => {}
            Mnemonic::Push => {
                self.words[number(Register::RSP)] -= 8;
                let at = (self.words[number(Register::RSP)] - BASE) as usize;
                let value = self.words[number(i.op0_register())].to_le_bytes();
                self.memory[at..at + 8].copy_from_slice(&value);
            }
            Mnemonic::Pop => {
                let at = (self.words[number(Register::RSP)] - BASE) as usize;
                self.words[number(i.op0_register())] = word(&self.memory[at..at + 8]);
                self.words[number(Register::RSP)] += 8;
            }
            Mnemonic::Lea => self.words[number(i.op0_register())] = self.address(i) as u64 + BASE,
            Mnemonic::Mov | Mnemonic::Vmovups | Mnemonic::Vmovaps | Mnemonic::Vmovdqu => {
                let value = self.read(i, 1, size(0));
                self.write(i, &value);
            }
            Mnemonic::Vmovd | Mnemonic::Vmovq => {
                let value = self.read(i, 1, if i.mnemonic() == Mnemonic::Vmovd { 4 } else { 8 });
                self.write(i, &value);
            }
            Mnemonic::Movzx | Mnemonic::Movsx => {
                let byte = self.read(i, 1, 1)[0];
                let wide = if i.mnemonic() == Mnemonic::Movsx { i32::from(byte as i8) } else { i32::from(byte) };
                self.write(i, &wide.to_le_bytes());
            }
            Mnemonic::Add | Mnemonic::Sub | Mnemonic::Xor | Mnemonic::Cmp => {
                let (a, b) = (word(&self.read(i, 0, size(0))), word(&self.read(i, 1, size(0))));
                let result = match i.mnemonic() {
                    Mnemonic::Add => a.wrapping_add(b),
                    Mnemonic::Sub => a.wrapping_sub(b),
                    Mnemonic::Xor => a ^ b,
                    _ => {
                        self.order = (a as i64).cmp(&(b as i64));
                        return None;
                    }
                };
                self.write(i, &result.to_le_bytes()[..size(0)]);
            }
            Mnemonic::Jl => return (self.order.is_lt()).then_some(i.near_branch64()),
            Mnemonic::Jge => return (self.order.is_ge()).then_some(i.near_branch64()),
            Mnemonic::Vbroadcastss | Mnemonic::Vpbroadcastd => {
                let value = self.read(i, 1, 4).repeat(size(0) / 4);
                self.write(i, &value);
            }
            Mnemonic::Vxorps | Mnemonic::Vpxord | Mnemonic::Vpxor => {
                let (a, b) = pair(self);
                self.write(i, &a.iter().zip(&b).map(|(a, b)| a ^ b).collect::<Vec<_>>());
            }
            Mnemonic::Vpaddd | Mnemonic::Vpsubd => {
                let (a, b) = pair(self);
                let add = i.mnemonic() == Mnemonic::Vpaddd;
                let each = lanes(&a).into_iter().zip(lanes(&b));
                let sums = each.map(|(a, b)| if add { a.wrapping_add(b) } else { a.wrapping_sub(b) });
                self.write(i, &bytes(sums.collect()));
            }
            Mnemonic::Vpslld => {
                let a = self.read(i, 1, size(0));
                self.write(i, &bytes(lanes(&a).into_iter().map(|a| a << i.immediate8()).collect()));
            }
            Mnemonic::Vpmovsxbw | Mnemonic::Vpmovzxbw => {
                let signed = i.mnemonic() == Mnemonic::Vpmovsxbw;
                let from = self.read(i, 1, size(0) / 2);
                let wide = from.into_iter().map(|b| if signed { i16::from(b as i8) } else { i16::from(b) });
                self.write(i, &wide.flat_map(i16::to_le_bytes).collect::<Vec<_>>());
            }
            Mnemonic::Vpshuflw | Mnemonic::Vpshufhw => {
                let first = if i.mnemonic() == Mnemonic::Vpshuflw { 0 } else { 8 };
                let from = self.read(i, 1, size(0));
                let mut to = from.clone();
                for lane in (0..from.len()).step_by(16) {
                    for place in 0..4 {
                        let chosen = usize::from(i.immediate8() >> (2 * place)) & 3;
                        let [at, chosen] = [place, chosen].map(|word| lane + first + word * 2);
                        to[at..at + 2].copy_from_slice(&from[chosen..chosen + 2]);
                    }
                }
                self.write(i, &to);
            }
            Mnemonic::Vpsllw | Mnemonic::Vpsraw | Mnemonic::Vpsrlw => {
                let a = self.read(i, 1, size(0));
                let by = u32::from(i.immediate8());
                let shifted = halves(&a).into_iter().map(|a| match i.mnemonic() {
                    Mnemonic::Vpsllw => a << by,
                    Mnemonic::Vpsraw => a >> by,
                    _ => (a as u16 >> by) as i16,
                });
                self.write(i, &shifted.flat_map(i16::to_le_bytes).collect::<Vec<_>>());
            }
            Mnemonic::Vpmaddwd => {
                let (a, b) = pair(self);
                let products: Vec<i32> =
                    halves(&a).iter().zip(halves(&b)).map(|(a, b)| i32::from(*a) * i32::from(b)).collect();
                self.write(i, &bytes(products.chunks_exact(2).map(|p| p[0].wrapping_add(p[1])).collect()));
            }
            Mnemonic::Vpdpbusd => {
                let (a, b) = pair(self);
                let old = lanes(&self.read(i, 0, size(0)));
                let products: Vec<i32> = a.iter().zip(&b).map(|(a, b)| i32::from(*a) * i32::from(*b as i8)).collect();
                let sums = old.into_iter().zip(products.chunks_exact(4));
                self.write(i, &bytes(sums.map(|(old, four)| old.wrapping_add(four.iter().sum())).collect()));
            }
            other => panic!("{other:?} is not emulated: {i}"),
        }
        None
    }
}
