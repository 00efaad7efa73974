//! An assembler for the instructions that leaves are made of, each encoded as it is written.
//!
//! It knows few instructions (`instructions`, a line for each), so that there are no tables to make at a start, and an
//! instruction costs some tens of the machine's. Branches are short where that reaches. Tests decode what it writes.

#[cfg(test)]
mod decoded;
mod encoding;
mod general;
mod instructions;
mod operands;

pub(super) use encoding::Form;
pub(super) use instructions::Counted;
pub(super) use operands::{
    Operand, Register, Register8, Xmm, Ymm, ah, al, ax, byte_ptr, dword_ptr, eax, ebp, ebx, edx, esi, k1, ptr,
    qword_ptr, r8, r8d, r9, r10, r11, r12, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, word_ptr, xmm0, xmm1,
    xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15, xmmword_ptr, ymm0, ymm1,
    ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15, ymmword_ptr, zmm0, zmm1,
    zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmmword_ptr,
};

/// Operands that an instruction has no encoding for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unencodable;

/// What writing an instruction gives.
pub(super) type Emitted = Result<(), Unencodable>;

/// A place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// Code under construction: all but its branches, whose lengths are not known before its end.
#[derive(Default)]
pub(super) struct Assembler {
    code: Vec<u8>,
    branches: Vec<Branch>,
    labels: Vec<Option<Point>>,
    /// Words of 32 bits that hold how far a label is from their end.
    distances: Vec<(Point, Label)>,
}

/// A place among the bytes that are there, and how many branches come before it.
#[derive(Clone, Copy)]
struct Point {
    byte: usize,
    branches: usize,
}

struct Branch {
    at: Point,
    to: Label,
    /// Of a conditional jump.
    condition: Option<u8>,
    near: bool,
}

impl Branch {
    fn bytes(&self) -> usize {
        match (self.near, self.condition) {
            (false, _) => 2,
            (true, None) => 5,
            (true, Some(_)) => 6,
        }
    }
}

impl Assembler {
    /// A place that is still to be set.
    pub(super) fn create_label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Puts a label here.
    pub(super) fn set_label(&mut self, label: &mut Label) -> Emitted {
        self.labels[label.0] = Some(self.here());
        Ok(())
    }

    /// Words of 32 bits as they are.
    pub(super) fn dd(&mut self, words: &[u32]) -> Emitted {
        self.code.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        Ok(())
    }

    fn here(&self) -> Point {
        Point { byte: self.code.len(), branches: self.branches.len() }
    }

    fn branch(&mut self, condition: Option<u8>, to: Label) -> Emitted {
        self.branches.push(Branch { at: self.here(), to, condition, near: false });
        Ok(())
    }

    /// The code.
    ///
    /// # Panics
    /// A label that is jumped to was not set.
    pub(super) fn assemble(mut self) -> Vec<u8> {
        let mut starts = self.starts();
        while self.lengthen(&starts) {
            starts = self.starts();
        }
        let at = |point: Point| point.byte + starts[point.branches];
        let mut out = Vec::with_capacity(self.code.len() + starts[self.branches.len()]);
        let mut copied = 0;
        for branch in &self.branches {
            out.extend(&self.code[copied..branch.at.byte]);
            copied = branch.at.byte;
            let end = out.len() + branch.bytes();
            let distance = at(self.place(branch.to)) as i32 - end as i32;
            match (branch.near, branch.condition) {
                (false, None) => out.extend([0xeb, distance as u8]),
                (false, Some(condition)) => out.extend([0x70 | condition, distance as u8]),
                (true, None) => out.push(0xe9),
                (true, Some(condition)) => out.extend([0x0f, 0x80 | condition]),
            }
            if branch.near {
                out.extend(distance.to_le_bytes());
            }
        }
        out.extend(&self.code[copied..]);
        for (point, label) in &self.distances {
            let from = at(*point);
            let distance = at(self.place(*label)) as i32 - (from as i32 + 4);
            out[from..from + 4].copy_from_slice(&distance.to_le_bytes());
        }
        out
    }

    /// By how much the branches before each branch, and before the end, move what follows.
    fn starts(&self) -> Vec<usize> {
        let sums = self.branches.iter().scan(0, |sum, branch| {
            *sum += branch.bytes();
            Some(*sum)
        });
        std::iter::once(0).chain(sums).collect()
    }

    /// Makes near branches of those that a byte does not reach; whether there were any.
    fn lengthen(&mut self, starts: &[usize]) -> bool {
        let at = |point: Point| (point.byte + starts[point.branches]) as i64;
        let labels = &self.labels;
        let short = self.branches.iter_mut().filter(|branch| !branch.near);
        let far = short.filter(|branch| {
            let to = labels[branch.to.0].expect("a label that is jumped to is set");
            i8::try_from(at(to) - (at(branch.at) + 2)).is_err()
        });
        far.map(|branch| branch.near = true).count() > 0
    }

    fn place(&self, label: Label) -> Point {
        self.labels[label.0].expect("a label that is used is set")
    }
}
