//! Instructions by what they do, in the encoding of a vector width.

use super::rows::Kept;
use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Code, Instruction, MemoryOperand, Register};

/// The width of vectors, and with it the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::cpu) enum Width {
    /// VEX, sixteen registers of 256 bits.
    Ymm,
    /// EVEX, thirty-two registers of 512 bits.
    Zmm,
}

/// What one instruction does to two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    /// `a < b ? a : b`.
    Min,
    /// `a > b ? a : b`.
    Max,
    /// Of 32-bit integers, as all that follow but the last four.
    IntegerAdd,
    IntegerSub,
    IntegerMul,
    IntegerMin,
    IntegerMax,
    And,
    Or,
    Xor,
    /// `to = to + a * b`.
    Fma231,
    /// `to = a * to + b`.
    Fma213,
    /// Products of neighbouring 16-bit integers, summed by twos to 32 bits.
    MultiplyPairs,
    /// `to += ` products of unsigned bytes by signed ones, summed by fours to 32 bits (VNNI).
    DotBytes,
}

impl Op {
    /// Whether the operands may change places without a bit of the result changing (but which NaN it is).
    pub(super) fn commutes(self) -> bool {
        let ordered = matches!(self, Op::Sub | Op::Div | Op::Min | Op::Max | Op::IntegerSub);
        !ordered && !matches!(self, Op::Fma231 | Op::Fma213 | Op::DotBytes)
    }
}

/// What one instruction does to one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single {
    Move,
    Sqrt,
    /// By the rounding mode of the immediate.
    Round(u8),
    /// i32 to f32.
    ToFloat,
    /// f32 to i32 by truncation; 0x80000000 where that does not fit.
    ToInteger,
    ShiftLeft(u8),
    ShiftArithmetic(u8),
    ShiftLogical(u8),
    /// Of 16-bit lanes, as the two that follow.
    WordsLeft(u8),
    WordsArithmetic(u8),
    WordsLogical(u8),
}

/// A comparison, true being all ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Of floats, by the predicate of the immediate.
    Float(u8),
    IntegerEqual,
    IntegerGreater,
}

/// The last source of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Vector(u8),
    Memory(Place),
}

/// `bytes` past a pointer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) base: Register,
    pub(super) bytes: i32,
}

impl Place {
    pub(super) fn operand(self) -> MemoryOperand {
        MemoryOperand::with_base_displ(self.base, i64::from(self.bytes))
    }
}

impl Width {
    /// f32 lanes of a vector.
    pub(in crate::cpu) fn lanes(self) -> i64 {
        match self {
            Width::Ymm => 8,
            Width::Zmm => 16,
        }
    }

    pub(super) fn registers(self) -> u8 {
        match self {
            Width::Ymm => 16,
            Width::Zmm => 32,
        }
    }

    pub(super) fn register(self, number: u8) -> Register {
        let first = match self {
            Width::Ymm => Register::YMM0,
            Width::Zmm => Register::ZMM0,
        };
        first + u32::from(number)
    }

    fn code(self, op: Op) -> Code {
        let [narrow, wide] = match op {
            Op::Add => [Code::VEX_Vaddps_ymm_ymm_ymmm256, Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er],
            Op::Sub => [Code::VEX_Vsubps_ymm_ymm_ymmm256, Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er],
            Op::Mul => [Code::VEX_Vmulps_ymm_ymm_ymmm256, Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er],
            Op::Div => [Code::VEX_Vdivps_ymm_ymm_ymmm256, Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er],
            Op::Min => [Code::VEX_Vminps_ymm_ymm_ymmm256, Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae],
            Op::Max => [Code::VEX_Vmaxps_ymm_ymm_ymmm256, Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae],
            Op::IntegerAdd => [Code::VEX_Vpaddd_ymm_ymm_ymmm256, Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32],
            Op::IntegerSub => [Code::VEX_Vpsubd_ymm_ymm_ymmm256, Code::EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32],
            Op::IntegerMul => [Code::VEX_Vpmulld_ymm_ymm_ymmm256, Code::EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32],
            Op::IntegerMin => [Code::VEX_Vpminsd_ymm_ymm_ymmm256, Code::EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32],
            Op::IntegerMax => [Code::VEX_Vpmaxsd_ymm_ymm_ymmm256, Code::EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32],
            Op::And => [Code::VEX_Vpand_ymm_ymm_ymmm256, Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32],
            Op::Or => [Code::VEX_Vpor_ymm_ymm_ymmm256, Code::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32],
            Op::Xor => [Code::VEX_Vpxor_ymm_ymm_ymmm256, Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32],
            Op::Fma231 => [Code::VEX_Vfmadd231ps_ymm_ymm_ymmm256, Code::EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er],
            Op::Fma213 => [Code::VEX_Vfmadd213ps_ymm_ymm_ymmm256, Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er],
            Op::MultiplyPairs => [Code::VEX_Vpmaddwd_ymm_ymm_ymmm256, Code::EVEX_Vpmaddwd_zmm_k1z_zmm_zmmm512],
            Op::DotBytes => [Code::VEX_Vpdpbusd_ymm_ymm_ymmm256, Code::EVEX_Vpdpbusd_zmm_k1z_zmm_zmmm512b32],
        };
        if self == Width::Ymm { narrow } else { wide }
    }

    /// `op to, a`.
    pub(super) fn single(self, asm: &mut CodeAssembler, op: Single, to: u8, a: u8) {
        let ([narrow, wide], immediate) = match op {
            Single::Move => ([Code::VEX_Vmovaps_ymm_ymmm256, Code::EVEX_Vmovaps_zmm_k1z_zmmm512], None),
            Single::Sqrt => ([Code::VEX_Vsqrtps_ymm_ymmm256, Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er], None),
            Single::ToFloat => ([Code::VEX_Vcvtdq2ps_ymm_ymmm256, Code::EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er], None),
            Single::ToInteger => {
                ([Code::VEX_Vcvttps2dq_ymm_ymmm256, Code::EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae], None)
            }
            Single::Round(mode) => {
                ([Code::VEX_Vroundps_ymm_ymmm256_imm8, Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae], Some(mode))
            }
            Single::ShiftLeft(by) => {
                ([Code::VEX_Vpslld_ymm_ymm_imm8, Code::EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8], Some(by))
            }
            Single::ShiftArithmetic(by) => {
                ([Code::VEX_Vpsrad_ymm_ymm_imm8, Code::EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8], Some(by))
            }
            Single::ShiftLogical(by) => {
                ([Code::VEX_Vpsrld_ymm_ymm_imm8, Code::EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8], Some(by))
            }
            Single::WordsLeft(by) => {
                ([Code::VEX_Vpsllw_ymm_ymm_imm8, Code::EVEX_Vpsllw_zmm_k1z_zmmm512_imm8], Some(by))
            }
            Single::WordsArithmetic(by) => {
                ([Code::VEX_Vpsraw_ymm_ymm_imm8, Code::EVEX_Vpsraw_zmm_k1z_zmmm512_imm8], Some(by))
            }
            Single::WordsLogical(by) => {
                ([Code::VEX_Vpsrlw_ymm_ymm_imm8, Code::EVEX_Vpsrlw_zmm_k1z_zmmm512_imm8], Some(by))
            }
        };
        let code = if self == Width::Ymm { narrow } else { wide };
        let (to, a) = (self.register(to), self.register(a));
        push(
            asm,
            match immediate {
                None => Instruction::with2(code, to, a),
                Some(immediate) => Instruction::with3(code, to, a, u32::from(immediate)),
            },
        );
    }

    /// All ones where the test holds, else 0.
    pub(super) fn test(self, asm: &mut CodeAssembler, test: Test, to: u8, a: u8, b: u8) {
        let (to, a, b) = (self.register(to), self.register(a), self.register(b));
        if self == Width::Ymm {
            let code = match test {
                Test::Float(predicate) => {
                    let code = Code::VEX_Vcmpps_ymm_ymm_ymmm256_imm8;
                    return push(asm, Instruction::with4(code, to, a, b, u32::from(predicate)));
                }
                Test::IntegerEqual => Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256,
                Test::IntegerGreater => Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256,
            };
            return push(asm, Instruction::with3(code, to, a, b));
        }
        let mask = Register::K1;
        push(
            asm,
            match test {
                Test::Float(predicate) => {
                    let code = Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae;
                    Instruction::with4(code, mask, a, b, u32::from(predicate))
                }
                Test::IntegerEqual => Instruction::with3(Code::EVEX_Vpcmpeqd_kr_k1_zmm_zmmm512b32, mask, a, b),
                Test::IntegerGreater => Instruction::with3(Code::EVEX_Vpcmpgtd_kr_k1_zmm_zmmm512b32, mask, a, b),
            },
        );
        push(asm, Instruction::with2(Code::EVEX_Vpmovm2d_zmm_kr, to, mask));
    }

    /// `mask ? yes : no`, lane by lane.
    pub(super) fn blend(self, asm: &mut CodeAssembler, to: u8, mask: u8, yes: u8, no: u8) {
        let [to, mask, yes, no] = [to, mask, yes, no].map(|number| self.register(number));
        if self == Width::Ymm {
            let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
            return push(asm, Instruction::with4(code, to, no, yes, mask));
        }
        push(asm, Instruction::with2(Code::EVEX_Vpmovd2m_kr_zmm, Register::K1, mask));
        let mut instruction = Instruction::with3(Code::EVEX_Vpblendmd_zmm_k1z_zmm_zmmm512b32, to, no, yes);
        if let Ok(instruction) = &mut instruction {
            instruction.set_op_mask(Register::K1);
        }
        push(asm, instruction);
    }

    /// `op to, a, b`.
    pub(super) fn apply(self, asm: &mut CodeAssembler, op: Op, to: u8, a: u8, b: Operand) {
        let (code, to, a) = (self.code(op), self.register(to), self.register(a));
        let instruction = match b {
            Operand::Vector(b) => Instruction::with3(code, to, a, self.register(b)),
            Operand::Memory(place) => Instruction::with3(code, to, a, place.operand()),
        };
        push(asm, instruction);
    }

    pub(super) fn load(self, asm: &mut CodeAssembler, to: u8, from: Place) {
        let code = match self {
            Width::Ymm => Code::VEX_Vmovups_ymm_ymmm256,
            Width::Zmm => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
        };
        push(asm, Instruction::with2(code, self.register(to), from.operand()));
    }

    pub(super) fn store(self, asm: &mut CodeAssembler, to: Place, from: u8) {
        let code = match self {
            Width::Ymm => Code::VEX_Vmovups_ymmm256_ymm,
            Width::Zmm => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
        };
        push(asm, Instruction::with2(code, to.operand(), self.register(from)));
    }

    /// The lanes that a mask of all ones names, and zeros.
    pub(super) fn load_some(self, asm: &mut CodeAssembler, to: u8, mask: u8, from: Place) {
        let [to, mask] = [to, mask].map(|number| self.register(number));
        if self == Width::Ymm {
            return push(asm, Instruction::with3(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, mask, from.operand()));
        }
        push(asm, Instruction::with2(Code::EVEX_Vpmovd2m_kr_zmm, Register::K1, mask));
        let mut instruction = Instruction::with2(Code::EVEX_Vmovups_zmm_k1z_zmmm512, to, from.operand());
        if let Ok(instruction) = &mut instruction {
            instruction.set_op_mask(Register::K1);
            instruction.set_zeroing_masking(true);
        }
        push(asm, instruction);
    }

    /// The same lanes alone.
    pub(super) fn store_some(self, asm: &mut CodeAssembler, to: Place, mask: u8, from: u8) {
        let [from, mask] = [from, mask].map(|number| self.register(number));
        if self == Width::Ymm {
            return push(asm, Instruction::with3(Code::VEX_Vmaskmovps_m256_ymm_ymm, to.operand(), mask, from));
        }
        push(asm, Instruction::with2(Code::EVEX_Vpmovd2m_kr_zmm, Register::K1, mask));
        let mut instruction = Instruction::with2(Code::EVEX_Vmovups_zmmm512_k1z_zmm, to.operand(), from);
        if let Ok(instruction) = &mut instruction {
            instruction.set_op_mask(Register::K1);
        }
        push(asm, instruction);
    }

    /// One number in every lane.
    pub(super) fn broadcast(self, asm: &mut CodeAssembler, to: u8, from: Place) {
        let code = match self {
            Width::Ymm => Code::VEX_Vbroadcastss_ymm_m32,
            Width::Zmm => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        };
        push(asm, Instruction::with2(code, self.register(to), from.operand()));
    }

    /// Eight numbers as f32.
    pub(super) fn widen(self, asm: &mut CodeAssembler, to: u8, from: Place, kept: Kept) {
        assert!(self == Width::Ymm, "rows are read in vectors of 256 bits");
        let register = self.register(to);
        match kept {
            Kept::F32 => self.load(asm, to, from),
            Kept::F16 => push(asm, Instruction::with2(Code::VEX_Vcvtph2ps_ymm_xmmm128, register, from.operand())),
            Kept::BF16 => {
                push(asm, Instruction::with2(Code::VEX_Vpmovzxwd_ymm_xmmm128, register, from.operand()));
                self.single(asm, Single::ShiftLeft(16), to, to);
            }
        }
    }

    /// All lanes 0.
    pub(super) fn clear(self, asm: &mut CodeAssembler, to: u8) {
        let register = self.register(to);
        let code = match self {
            Width::Ymm => Code::VEX_Vxorps_ymm_ymm_ymmm256,
            Width::Zmm => Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
        };
        push(asm, Instruction::with3(code, register, register, register));
    }
}

impl Width {
    /// As many bytes as there are lanes, widened.
    pub(super) fn load_bytes(self, asm: &mut CodeAssembler, to: u8, from: Place, signed: bool) {
        let code = match (self, signed) {
            (Width::Ymm, true) => Code::VEX_Vpmovsxbd_ymm_xmmm64,
            (Width::Ymm, false) => Code::VEX_Vpmovzxbd_ymm_xmmm64,
            (Width::Zmm, true) => Code::EVEX_Vpmovsxbd_zmm_k1z_xmmm128,
            (Width::Zmm, false) => Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
        };
        push(asm, Instruction::with2(code, self.register(to), from.operand()));
    }

    /// The lanes as bytes, in which they fit; `spare` is overwritten.
    pub(super) fn store_bytes(self, asm: &mut CodeAssembler, to: Place, from: u8, spare: u8, signed: bool) {
        if self == Width::Zmm {
            let code = Code::EVEX_Vpmovdb_xmmm128_k1z_zmm;
            return push(asm, Instruction::with2(code, to.operand(), self.register(from)));
        }
        let [low, high] = [from, spare].map(|number| Register::XMM0 + u32::from(number));
        let narrow = if signed { Code::VEX_Vpacksswb_xmm_xmm_xmmm128 } else { Code::VEX_Vpackuswb_xmm_xmm_xmmm128 };
        push(asm, Instruction::with3(Code::VEX_Vextracti128_xmmm128_ymm_imm8, high, self.register(from), 1));
        push(asm, Instruction::with3(Code::VEX_Vpackssdw_xmm_xmm_xmmm128, high, low, high));
        push(asm, Instruction::with3(narrow, high, high, high));
        push(asm, Instruction::with2(Code::VEX_Vmovq_xmmm64_xmm, to.operand(), high));
    }
}

/// Appends an instruction whose operands fit its code.
pub(super) fn push<E: std::fmt::Debug>(asm: &mut CodeAssembler, instruction: Result<Instruction, E>) {
    let instruction = instruction.expect("the operands are of the instruction's kinds");
    asm.add_instruction(instruction).expect("a CodeAssembler holds any number of instructions");
}
