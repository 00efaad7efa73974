//! Bytes that begin at a multiple of 64, so that wide loads never straddle a cache line.
//! Invariant: what lies behind the last byte, up to the end of its line, is 0.

use crate::mmap::Pages;
use bytemuck::{Pod, Zeroable};
use std::alloc::{Layout, handle_alloc_error};

/// Where a tensor's bytes begin: at a multiple of this.
pub const ALIGNMENT: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

pub(super) struct Buffer {
    held: Held,
    len: usize,
}

enum Held {
    /// On the heap.
    Lines(Vec<Line>),
    /// Many zeros, before they are written.
    Pages(Pages),
}

impl Buffer {
    /// `len` zero bytes; `None` when the system refuses.
    pub(super) fn zeroed(len: usize) -> Option<Buffer> {
        if len >= Pages::WORTH {
            return Some(Buffer { held: Held::Pages(Pages::zeroed(len.next_multiple_of(ALIGNMENT))?), len });
        }
        let mut lines = room(len)?;
        lines.resize(len.div_ceil(ALIGNMENT), Line::zeroed());
        Some(Buffer { held: Held::Lines(lines), len })
    }

    /// A copy of `bytes`; `None` when the system refuses.
    pub(super) fn copied(bytes: &[u8]) -> Option<Buffer> {
        let mut lines = room(bytes.len())?;
        let (whole, tail) = bytes.as_chunks::<ALIGNMENT>();
        lines.extend(whole.iter().map(|chunk| Line(*chunk)));
        if !tail.is_empty() {
            let mut last = [0; ALIGNMENT];
            last[..tail.len()].copy_from_slice(tail);
            lines.push(Line(last));
        }
        Some(Buffer { held: Held::Lines(lines), len: bytes.len() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let bytes = match &self.held {
            Held::Lines(lines) => bytemuck::cast_slice(lines),
            Held::Pages(pages) => pages.bytes(),
        };
        &bytes[..self.len]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = match &mut self.held {
            Held::Lines(lines) => bytemuck::cast_slice_mut(lines),
            Held::Pages(pages) => pages.bytes_mut(),
        };
        &mut bytes[..self.len]
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Buffer::copied(self.bytes()).unwrap_or_else(|| handle_alloc_error(Layout::for_value(self.bytes())))
    }
}

/// No lines, with room for so many bytes.
fn room(bytes: usize) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    lines.try_reserve_exact(bytes.div_ceil(ALIGNMENT)).ok()?;
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::{ALIGNMENT, Buffer};
    use crate::mmap::Pages;

    #[test]
    fn zeros_of_every_size_begin_at_a_line_and_copy() {
        for len in [0, 1, ALIGNMENT, Pages::WORTH - 1, Pages::WORTH, Pages::WORTH + 1, 5 << 20] {
            let mut buffer = Buffer::zeroed(len).expect("memory");
            assert_eq!(buffer.bytes().len(), len);
            assert!(buffer.bytes().as_ptr().addr().is_multiple_of(ALIGNMENT) || len == 0, "{len}");
            assert!(buffer.bytes().iter().all(|byte| *byte == 0), "{len}");
            if let Some(last) = buffer.bytes_mut().last_mut() {
                *last = 9;
            }
            let copy = buffer.clone();
            buffer.bytes_mut().fill(1);
            assert!(copy.bytes().iter().rev().skip(1).all(|byte| *byte == 0), "{len}");
            assert_eq!(copy.bytes().last(), (len > 0).then_some(&9), "{len}");
        }
    }

    #[test]
    fn more_than_there_is_is_refused() {
        assert!(Buffer::zeroed(usize::MAX / 2).is_none());
    }
}
