//! Bytes on the heap that begin at a multiple of 64, so that wide loads never straddle a cache line.
//! Invariant: what lies behind the last byte, up to the end of its line, is 0.

use bytemuck::{Pod, Zeroable};

/// Where a tensor's bytes begin: at a multiple of this.
pub const ALIGNMENT: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

#[derive(Clone)]
pub(super) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zero bytes; `None` when the system refuses.
    pub(super) fn zeroed(len: usize) -> Option<Buffer> {
        let count = len.div_ceil(ALIGNMENT);
        let mut lines = Vec::new();
        lines.try_reserve_exact(count).ok()?;
        lines.resize(count, Line::zeroed());
        Some(Buffer { lines, len })
    }

    /// A copy of `bytes`; `None` when the system refuses.
    pub(super) fn copied(bytes: &[u8]) -> Option<Buffer> {
        let mut lines = Vec::new();
        lines.try_reserve_exact(bytes.len().div_ceil(ALIGNMENT)).ok()?;
        let (whole, tail) = bytes.as_chunks::<ALIGNMENT>();
        lines.extend(whole.iter().map(|chunk| Line(*chunk)));
        if !tail.is_empty() {
            let mut last = [0; ALIGNMENT];
            last[..tail.len()].copy_from_slice(tail);
            lines.push(Line(last));
        }
        Some(Buffer { lines, len: bytes.len() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
