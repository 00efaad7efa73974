//! Packed rows that lie side by side, eight at a time, so that a vector holds the same codes of all eight.
//!
//! A *block* is the groups of eight rows at the same columns: their scales, their minimums where the packing has them, then
//! words of four bytes, those of the eight rows after one another, that hold the codes of neighbouring columns from the
//! lowest bits up. The bytes are as many as before. Codes of q8_0 are stored with 128 added, which makes them unsigned.
//! Element numbers stay those of the rows one after another.

use super::Packing;
use serde::{Deserialize, Serialize};

/// Rows of a block.
pub const ROWS: i64 = 8;

/// Columns of a block: elements of a group.
const COLUMNS: i64 = 32;

/// Rows of so many elements each, in a packing of 32 elements a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interleaved {
    /// What each row is packed in.
    pub packing: Packing,
    /// Elements of a row.
    pub depth: u32,
}

impl Interleaved {
    /// Rows of a packing that can be interleaved.
    pub fn new(packing: Packing, depth: i64) -> Option<Interleaved> {
        let interleaved = Interleaved { packing, depth: u32::try_from(depth).ok()? };
        interleaved.is_sound().then_some(interleaved)
    }

    /// Whether rows are whole groups of 32: what every reader relies on.
    pub fn is_sound(self) -> bool {
        self.packing.elements() == COLUMNS && self.depth > 0 && i64::from(self.depth) % COLUMNS == 0
    }

    /// Elements of eight rows.
    pub fn elements(self) -> i64 {
        ROWS * i64::from(self.depth)
    }

    /// Bytes of a block.
    pub fn block(self) -> i64 {
        ROWS * self.packing.bytes()
    }

    /// Bytes of a row of blocks.
    pub fn row(self) -> i64 {
        self.block() * (i64::from(self.depth) / COLUMNS)
    }

    /// Bytes before the words of a block: scales and minimums.
    pub fn header(self) -> i64 {
        if self.packing == Packing::Q4_1 { 4 * ROWS } else { 2 * ROWS }
    }

    /// Codes in a word.
    pub fn codes(self) -> i64 {
        if self.packing == Packing::Q8_0 { 4 } else { 8 }
    }

    /// Bytes that hold elements `0..count`.
    pub(super) fn bytes_for(self, count: i64) -> Option<i64> {
        if !self.is_sound() {
            return None;
        }
        count.checked_add(self.elements() - 1)?.div_euclid(self.elements()).checked_mul(self.row())
    }

    /// Groups of whole rows, one row after another, as blocks.
    pub fn interleave(self, rows: &[u8]) -> Vec<u8> {
        let (size, header) = (self.packing.bytes() as usize, self.header() as usize);
        let groups = self.depth as usize / COLUMNS as usize;
        let mut blocks = vec![0; rows.len()];
        for (from, to) in rows.chunks_exact(self.row() as usize).zip(blocks.chunks_exact_mut(self.row() as usize)) {
            for (number, group) in from.chunks_exact(size).enumerate() {
                let (row, place) = (number / groups, number % groups * self.block() as usize);
                let block = &mut to[place..][..self.block() as usize];
                let (halves, codes) = group.split_at(header / ROWS as usize);
                for (i, half) in halves.chunks_exact(2).enumerate() {
                    block[16 * i + 2 * row..][..2].copy_from_slice(half);
                }
                let byte = |i: usize| match self.packing {
                    Packing::Q8_0 => codes[i] ^ 0x80,
                    _ => nibble(codes, 2 * i) | nibble(codes, 2 * i + 1) << 4,
                };
                for i in 0..codes.len() {
                    block[header + 32 * (i / 4) + 4 * row + i % 4] = byte(i);
                }
            }
        }
        blocks
    }

    /// The group that an element is in, as it was, and which of it the element is.
    pub fn group(self, blocks: &[u8], element: usize) -> (Vec<u8>, usize) {
        let (row, column) = (element / self.depth as usize, element % self.depth as usize);
        let start = row / 8 * self.row() as usize + column / 32 * self.block() as usize;
        let (block, row) = (&blocks[start..][..self.block() as usize], row % 8);
        let header = self.header() as usize;
        let mut group: Vec<u8> = (0..header / 16).flat_map(|i| [0, 1].map(|b| block[16 * i + 2 * row + b])).collect();
        let byte = |i: usize| block[header + 32 * (i / 4) + 4 * row + i % 4];
        match self.packing {
            Packing::Q8_0 => group.extend((0..32).map(|i| byte(i) ^ 0x80)),
            _ => {
                let code = |i: usize| byte(i / 2) >> (4 * (i % 2)) & 15;
                group.extend((0..16).map(|i| code(i) | code(i + 16) << 4));
            }
        }
        (group, column % 32)
    }
}

/// Code `i` of sixteen bytes that elements i and i + 16 share.
fn nibble(codes: &[u8], i: usize) -> u8 {
    codes[i % 16] >> (4 * (i / 16)) & 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_comes_back_as_it_was() {
        for packing in [Packing::Q8_0, Packing::Q4_0, Packing::Q4_1] {
            let form = Interleaved::new(packing, 96).expect("whole groups");
            let size = packing.bytes() as usize;
            let rows: Vec<u8> = (0..16 * 3 * size).map(|i| (i * 37 + i / 256 * 11) as u8).collect();
            let blocks = form.interleave(&rows);
            assert_eq!(blocks.len(), rows.len());
            assert_ne!(blocks, rows);
            assert_eq!(form.bytes_for(16 * 96), Some(rows.len() as i64));
            for element in 0..16 * 96 {
                let (group, i) = form.group(&blocks, element);
                assert_eq!((&group[..], i), (&rows[element / 32 * size..][..size], element % 32), "{packing:?}");
            }
        }
    }

    #[test]
    fn other_rows_are_refused() {
        for (packing, depth) in [(Packing::Q4K, 256), (Packing::Q8_0, 0), (Packing::Q8_0, 40), (Packing::Q4_0, 1 << 40)]
        {
            assert_eq!(Interleaved::new(packing, depth), None);
        }
        assert_eq!(Interleaved { packing: Packing::Q8_0, depth: 0 }.bytes_for(8), None);
    }
}
