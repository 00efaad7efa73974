//! What the assembler writes, as a decoder of another hand reads it.

use super::operands::*;
use super::{Assembler, Emitted, Form, Label, Unencodable};
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind};

/// One instruction or several, in Intel's notation.
fn read(bytes: &[u8]) -> Vec<String> {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_space_after_operand_separator(true);
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let line = |instruction| {
        let mut line = String::new();
        formatter.format(&instruction, &mut line);
        line
    };
    decoder.iter().map(line).collect()
}

fn written(body: impl FnOnce(&mut Assembler) -> Emitted) -> Vec<u8> {
    let mut asm = Assembler::default();
    body(&mut asm).expect("it can be encoded");
    asm.assemble()
}

/// Compares what each line writes with what is read of it.
macro_rules! reads {
    ($($name:ident($($operand:expr),*) => $text:literal,)*) => {
        $(assert_eq!(read(&written(|asm| asm.$name($($operand),*))), [$text]);)*
    };
}

#[test]
fn general_registers() {
    reads! {
        add(rax, rbx) => "add rax, rbx",
        add(r8, r15) => "add r8, r15",
        add(r15, 127) => "add r15, 7Fh",
        add(rsi, -128) => "add rsi, 0FFFFFFFFFFFFFF80h",
        add(rsi, 128) => "add rsi, 80h",
        add(r9, -70000) => "add r9, 0FFFFFFFFFFFEEE90h",
        add(r12, qword_ptr(rdx + 200)) => "add r12, [rdx+0C8h]",
        and(rdi, 3) => "and rdi, 3",
        sub(rdi, 1000) => "sub rdi, 3E8h",
        cmp(r10, r11) => "cmp r10, r11",
        cmp(rax, 8) => "cmp rax, 8",
        xor(eax, eax) => "xor eax, eax",
        xor(eax, 0x8080_8080u32 as i32) => "xor eax, 80808080h",
        xor(eax, 0x80) => "xor eax, 80h",
        test(rdi, rdi) => "test rdi, rdi",
        test(ebp, ebp) => "test ebp, ebp",
        mov(rax, r9) => "mov rax, r9",
        mov(eax, ebp) => "mov eax, ebp",
        mov(r8d, 5) => "mov r8d, 5",
        mov(eax, 0xffff_ffffu32) => "mov eax, 0FFFFFFFFh",
        mov(eax, -1) => "mov eax, 0FFFFFFFFh",
        mov(rcx, 7u64) => "mov rcx, 7",
        mov(rcx, -2) => "mov rcx, 0FFFFFFFFFFFFFFFEh",
        mov(r11, 0x8000_0000u64) => "mov r11, 80000000h",
        mov(rax, 0x0f0f_0f0f_3f3f_3f3fu64) => "mov rax, 0F0F0F0F3F3F3F3Fh",
        mov(rax, u64::MAX) => "mov rax, 0FFFFFFFFFFFFFFFFh",
        mov(r13, qword_ptr(rsi + 40)) => "mov r13, [rsi+28h]",
        mov(qword_ptr(rdx), rax) => "mov [rdx], rax",
        mov(dword_ptr(rsp - 32), eax) => "mov [rsp-20h], eax",
        mov(eax, dword_ptr(rsi)) => "mov eax, [rsi]",
        mov(word_ptr(rdx + 4), ax) => "mov [rdx+4], ax",
        mov(byte_ptr(rdx + 3), al) => "mov [rdx+3], al",
        movzx(eax, byte_ptr(rsi + 1)) => "movzx eax, byte ptr [rsi+1]",
        movzx(r8d, word_ptr(rdx)) => "movzx r8d, word ptr [rdx]",
        movzx(esi, al) => "movzx esi, al",
        movzx(edx, ah) => "movzx edx, ah",
        movsx(eax, byte_ptr(r15 + 2)) => "movsx eax, byte ptr [r15+2]",
        lea(r11, r8 + r9) => "lea r11, [r8+r9]",
        lea(r10, qword_ptr(r9 + r9 * 2)) => "lea r10, [r9+r9*2]",
        imul_2(r9, r8) => "imul r9, r8",
        imul_2(rdx, r9) => "imul rdx, r9",
        shl(esi, 6u32) => "shl esi, 6",
        shl(r8d, 16) => "shl r8d, 10h",
        shr(rax, 16) => "shr rax, 10h",
        sar(rax, 2) => "sar rax, 2",
        dec(rax) => "dec rax",
        dec(ebx) => "dec ebx",
        dec(r9) => "dec r9",
        push(rbx) => "push rbx",
        push(r15) => "push r15",
        pop(rbp) => "pop rbp",
        pop(r12) => "pop r12",
        prefetcht0(byte_ptr(rax + 1024)) => "prefetcht0 [rax+400h]",
        prefetcht1(byte_ptr(r13)) => "prefetcht1 [r13]",
        ret() => "ret",
        vzeroupper() => "vzeroupper",
    }
}

/// Every base, with displacements around those that change the encoding, and every scale.
#[test]
fn addresses() {
    let names = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
    let name = |number: u8| names.get(number as usize).map_or(format!("r{number}"), ToString::to_string);
    let hexadecimal = |bytes: i32| match (bytes.signum(), format!("{:X}", bytes.abs())) {
        (0, _) => String::new(),
        (sign, digits) => {
            let zero = if digits.starts_with(|c: char| c.is_ascii_alphabetic()) { "0" } else { "" };
            let h = if bytes.abs() < 10 { "" } else { "h" };
            format!("{}{zero}{digits}{h}", if sign < 0 { "-" } else { "+" })
        }
    };
    for base in 0..16 {
        for bytes in [0, 1, 127, 128, -128, -129, 64, 8128, 8192, -8192, -8256, 1 << 20] {
            let shown = format!("[{}{}]", name(base), hexadecimal(bytes));
            let at = Register(base) + bytes;
            let read = |body: &dyn Fn(&mut Assembler) -> Emitted| read(&written(body)).join("; ");
            assert_eq!(read(&|asm| asm.mov(rax, qword_ptr(at))), format!("mov rax, {shown}"));
            assert_eq!(read(&|asm| asm.vmovups(ymm9, ymmword_ptr(at))), format!("vmovups ymm9, {shown}"));
            let shown = format!("vmovups {shown}, zmm31");
            assert_eq!(read(&|asm| asm.vmovups(zmmword_ptr(at), Zmm(31))), shown);
            for index in (0..16).filter(|index| *index != 4) {
                for scale in [1, 2, 4, 8] {
                    let times = if scale == 1 { String::new() } else { format!("*{scale}") };
                    let shown = format!("[{}+{}{times}{}]", name(base), name(index), hexadecimal(bytes));
                    let at = Register(base) + Register(index) * scale + bytes;
                    assert_eq!(read(&|asm| asm.mov(r9, qword_ptr(at))), format!("mov r9, {shown}"));
                    assert_eq!(
                        read(&|asm| asm.vaddps(ymm1, ymm2, ymmword_ptr(at))),
                        format!("vaddps ymm1, ymm2, {shown}")
                    );
                }
            }
        }
    }
}

#[test]
fn vectors() {
    reads! {
        vbroadcastsd(ymm6, qword_ptr(rsp - 64)) => "vbroadcastsd ymm6, [rsp-40h]",
        vbroadcastss(ymm14, xmm4) => "vbroadcastss ymm14, xmm4",
        vbroadcastss(ymm4, dword_ptr(rcx + r11 * 4)) => "vbroadcastss ymm4, [rcx+r11*4]",
        vcvtdq2ps(ymm5, ymm15) => "vcvtdq2ps ymm5, ymm15",
        vcvtph2ps(xmm6, qword_ptr(rax)) => "vcvtph2ps xmm6, [rax]",
        vcvtph2ps(ymm14, xmmword_ptr(r9 + 16)) => "vcvtph2ps ymm14, [r9+10h]",
        vmovsldup(ymm6, ymm6) => "vmovsldup ymm6, ymm6",
        vmovshdup(xmm1, xmm0) => "vmovshdup xmm1, xmm0",
        vpbroadcastq(xmm13, xmm13) => "vpbroadcastq xmm13, xmm13",
        vpbroadcastd(ymm15, xmm15) => "vpbroadcastd ymm15, xmm15",
        vpbroadcastd(ymm13, dword_ptr(rsp - 28)) => "vpbroadcastd ymm13, [rsp-1Ch]",
        vpbroadcastd(zmm8, eax) => "vpbroadcastd zmm8, eax",
        vpmovsxbd(ymm4, qword_ptr(rax + 192)) => "vpmovsxbd ymm4, [rax+0C0h]",
        vpmovsxbw(ymm0, xmmword_ptr(rsi)) => "vpmovsxbw ymm0, [rsi]",
        vpmovsxbw(xmm0, xmm0) => "vpmovsxbw xmm0, xmm0",
        vpmovzxbd(ymm6, xmm5) => "vpmovzxbd ymm6, xmm5",
        vpmovzxbd(zmm5, xmmword_ptr(r11 + 32)) => "vpmovzxbd zmm5, [r11+20h]",
        vpmovzxbw(ymm0, xmmword_ptr(rsi)) => "vpmovzxbw ymm0, [rsi]",
        vaddps(ymm1, ymm12, ymm13) => "vaddps ymm1, ymm12, ymm13",
        vaddps(zmm0, zmm0, zmm6) => "vaddps zmm0, zmm0, zmm6",
        vaddss(xmm3, xmm3, dword_ptr(r13 + rsi * 4)) => "vaddss xmm3, xmm3, [r13+rsi*4]",
        vfmadd213ps(ymm0, ymm14, ymmword_ptr(rax)) => "vfmadd213ps ymm0, ymm14, [rax]",
        vfmadd231ps(ymm2, ymm10, ymmword_ptr(r10 + 160)) => "vfmadd231ps ymm2, ymm10, [r10+0A0h]",
        vfmadd231ps(zmm0, zmm6, zmmword_ptr(r10)) => "vfmadd231ps zmm0, zmm6, [r10]",
        vfmadd231ss(xmm0, xmm1, dword_ptr(rsi)) => "vfmadd231ss xmm0, xmm1, [rsi]",
        vfnmadd231ps(ymm2, ymm3, ymm9) => "vfnmadd231ps ymm2, ymm3, ymm9",
        vhaddps(ymm4, ymm4, ymm5) => "vhaddps ymm4, ymm4, ymm5",
        vmovhlps(xmm2, xmm0, xmm0) => "vmovhlps xmm2, xmm0, xmm0",
        vmulps(ymm2, ymm10, ymmword_ptr(r10)) => "vmulps ymm2, ymm10, [r10]",
        vmulss(xmm0, xmm0, xmm11) => "vmulss xmm0, xmm0, xmm11",
        vpand(ymm14, ymm8, ymm13) => "vpand ymm14, ymm8, ymm13",
        vpermi2ps(zmm6, zmm1, zmm2) => "vpermi2ps zmm6, zmm1, zmm2",
        vpor(xmm5, xmm5, xmm4) => "vpor xmm5, xmm5, xmm4",
        vpsrlvd(xmm5, xmm5, xmm12) => "vpsrlvd xmm5, xmm5, xmm12",
        vptestmd(k1, zmm5, zmm8) => "vptestmd k1, zmm5, zmm8",
        vpunpckhbw(ymm9, ymm5, ymm14) => "vpunpckhbw ymm9, ymm5, ymm14",
        vpunpcklbw(ymm8, ymm5, ymm14) => "vpunpcklbw ymm8, ymm5, ymm14",
        vpxor(ymm12, ymm12, ymm12) => "vpxor ymm12, ymm12, ymm12",
        vunpckhps(ymm9, ymm6, ymm5) => "vunpckhps ymm9, ymm6, ymm5",
        vunpcklps(ymm8, ymm6, ymm5) => "vunpcklps ymm8, ymm6, ymm5",
        vxorps(ymm0, ymm0, ymm0) => "vxorps ymm0, ymm0, ymm0",
        vinsertf128(ymm6, ymm6, xmm7, 1) => "vinsertf128 ymm6, ymm6, xmm7, 1",
        vinserti128(ymm4, ymm4, xmmword_ptr(rax + 20), 1) => "vinserti128 ymm4, ymm4, [rax+14h], 1",
        vinsertps(xmm1, xmm1, dword_ptr(rcx + rdx * 4), 0x30) => "vinsertps xmm1, xmm1, [rcx+rdx*4], 30h",
        vpalignr(ymm1, ymm1, ymm0, 4) => "vpalignr ymm1, ymm1, ymm0, 4",
        vperm2f128(ymm1, ymm0, ymm8, 0x81) => "vperm2f128 ymm1, ymm0, ymm8, 81h",
        vshufps(ymm13, ymm13, ymm0, 0x04) => "vshufps ymm13, ymm13, ymm0, 4",
        vpshufd(xmm5, xmm4, 0x98) => "vpshufd xmm5, xmm4, 98h",
        vpshufhw(ymm0, ymm0, 0xd8u32) => "vpshufhw ymm0, ymm0, 0D8h",
        vpshuflw(ymm0, ymm0, 0xd8u32) => "vpshuflw ymm0, ymm0, 0D8h",
        vextractf128(xmm1, ymm0, 1) => "vextractf128 xmm1, ymm0, 1",
        vextractps(dword_ptr(rcx + r11 * 8), xmm0, 2) => "vextractps [rcx+r11*8], xmm0, 2",
        vpslld(ymm10, ymm8, 16) => "vpslld ymm10, ymm8, 10h",
        vpslldq(xmm12, xmm12, 12) => "vpslldq xmm12, xmm12, 0Ch",
        vpsllw(ymm5, ymm4, 3) => "vpsllw ymm5, ymm4, 3",
        vpsrld(ymm14, ymm8, 24u32) => "vpsrld ymm14, ymm8, 18h",
        vpsrldq(ymm1, ymm9, 4) => "vpsrldq ymm1, ymm9, 4",
        vpsrlw(ymm4, ymm4, 1) => "vpsrlw ymm4, ymm4, 1",
        vpermilps(xmm3, xmm0, 3) => "vpermilps xmm3, xmm0, 3",
        vpermilps(ymm6, ymm6, ymm12) => "vpermilps ymm6, ymm6, ymm12",
        vmovaps(ymm3, ymm11) => "vmovaps ymm3, ymm11",
        vmovaps(zmm6.k1(), zmm7) => "vmovaps zmm6{k1}, zmm7",
        vmovd(xmm14, eax) => "vmovd xmm14, eax",
        vmovd(xmm1, r8d) => "vmovd xmm1, r8d",
        vmovd(xmm0, dword_ptr(rsi)) => "vmovd xmm0, [rsi]",
        vmovd(dword_ptr(rdx), xmm9) => "vmovd [rdx], xmm9",
        vmovdqa32(zmm6, zmm5) => "vmovdqa32 zmm6, zmm5",
        vmovdqu(xmm4, xmmword_ptr(rax + 2)) => "vmovdqu xmm4, [rax+2]",
        vmovdqu(ymmword_ptr(rdx), ymm0) => "vmovdqu [rdx], ymm0",
        vmovq(xmm13, rax) => "vmovq xmm13, rax",
        vmovq(qword_ptr(rdx), xmm0) => "vmovq [rdx], xmm0",
        vmovss(xmm1, dword_ptr(rdx)) => "vmovss xmm1, [rdx]",
        vmovss(dword_ptr(rcx), xmm10) => "vmovss [rcx], xmm10",
        vmovups(ymm4, ymmword_ptr(r8)) => "vmovups ymm4, [r8]",
        vmovups(zmm3, zmmword_ptr(rcx + 192)) => "vmovups zmm3, [rcx+0C0h]",
        vgatherdps(zmm6.k1(), dword_ptr(r13 + zmm5 * 4)) => "vgatherdps zmm6, k1, [r13+zmm5*4]",
        vscatterdps(dword_ptr(r13 + zmm5 * 4).k1(), zmm0) => "vscatterdps [r13+zmm5*4], k1, zmm0",
        kxnorw(k1, k1, k1) => "kxnorw k1, k1, k1",
    }
}

/// All registers of an instruction, each alone beyond what shorter prefixes reach.
#[test]
fn registers() {
    let form = Form::new(0, 1, 0x58);
    for (kind, bytes, count) in [("xmm", 16, 16), ("ymm", 32, 16), ("zmm", 64, 32)] {
        for number in 0..count {
            for place in 0..3 {
                let numbers = [0, 1, 2].map(|i| if i == place { number } else { i });
                let [to, a, b] = numbers.map(|number| Operand::Vector { number, bytes, mask: 0 });
                let read = read(&written(|asm| asm.vector(form, to, Some(a), b, None, false)));
                let [to, a, b] = numbers;
                assert_eq!(read, [format!("vaddps {kind}{to}, {kind}{a}, {kind}{b}")]);
            }
        }
    }
    let zeroing = |asm: &mut Assembler| {
        let to = Operand::Vector { number: 20, bytes: 64, mask: 1 };
        asm.vector(Form::new(0, 1, 0x10), to, None, zmmword_ptr(rsi + 64).into(), None, true)
    };
    assert_eq!(read(&written(zeroing)), ["vmovups zmm20{k1}{z}, [rsi+40h]"]);
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let mut asm = Assembler::default();
    assert_eq!(asm.vaddps(Ymm(16), ymm0, ymm1), Err(Unencodable));
    assert_eq!(asm.mov(rax, qword_ptr(rax + rsp * 2)), Err(Unencodable));
    assert_eq!(asm.mov(rax, qword_ptr(rax + rcx * 3)), Err(Unencodable));
    assert_eq!(asm.add(rax, 1u64 << 40), Err(Unencodable));
    assert_eq!(asm.add(rax, eax), Err(Unencodable));
    assert_eq!(asm.movzx(r8d, ah), Err(Unencodable));
    assert_eq!(asm.vshufps(ymm0, ymm0, ymm0, 256), Err(Unencodable));
}

/// Branches over and back across so many bytes, around the reach of short ones, and a table behind all.
#[test]
fn branches_and_labels() {
    for bytes in (100..140).chain([1000]) {
        let code = written(|asm| {
            let [mut top, mut end, mut table] = [(); 3].map(|()| asm.create_label());
            asm.lea(rdx, ptr(table))?;
            asm.set_label(&mut top)?;
            asm.jl(end)?;
            (0..bytes).try_for_each(|_| asm.ret())?;
            asm.jge(top)?;
            asm.jmp(end)?;
            asm.set_label(&mut end)?;
            asm.ret()?;
            asm.set_label(&mut table)?;
            asm.dd(&[0x9090_9090])
        });
        let (top, table) = (7, code.len() as u64 - 4);
        let end = table - 1;
        let all: Vec<Instruction> = Decoder::with_ip(64, &code, 0, DecoderOptions::NONE).iter().collect();
        assert_eq!(all[0].ip_rel_memory_address(), table);
        let branches = all.iter().filter(|instruction| instruction.op0_kind() == OpKind::NearBranch64);
        let found: Vec<(Mnemonic, u64)> = branches.clone().map(|b| (b.mnemonic(), b.near_branch_target())).collect();
        assert_eq!(found, [(Mnemonic::Jl, end), (Mnemonic::Jge, top), (Mnemonic::Jmp, end)], "{bytes}");
        for branch in branches {
            let distance = branch.near_branch_target() as i64 - (branch.ip() as i64 + 2);
            // A branch forward that is longer moves its target with it.
            let distance = if distance > 0 { distance - (branch.len() as i64 - 2) } else { distance };
            assert_eq!(branch.len() == 2, i8::try_from(distance).is_ok(), "{bytes}: {branch:?}");
        }
    }
}

#[test]
#[should_panic(expected = "a label that is jumped to is set")]
fn a_label_that_is_not_set() {
    written(|asm| {
        let label: Label = asm.create_label();
        asm.jmp(label)
    });
}
