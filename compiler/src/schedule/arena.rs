//! Where temporaries lie: regions of one arena, taken again once their value is dead.
//!
//! Sizes are dims, so a region is taken again only by a value that is provably no larger.

use mlc_codegen::base::{Dim, Slots, Storage, Truth};

/// A region of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region(usize);

/// The regions of one entry.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// Bytes, a multiple of 64, and whether it is free.
    regions: Vec<(Dim, bool)>,
}

impl Arena {
    /// A region for so many elements. Prefers one of the same size.
    pub(super) fn take(&mut self, slots: &mut Slots, storage: Storage, elements: &Dim) -> Region {
        let need = bytes(slots, storage, elements);
        let same = self.regions.iter().position(|(have, free)| *free && *have == need);
        let fits = || self.regions.iter().position(|(have, free)| *free && slots.at_most(&need, have) == Truth::Yes);
        let found = same.or_else(fits);
        match found {
            Some(i) => {
                self.regions[i].1 = false;
                Region(i)
            }
            None => {
                self.regions.push((need, false));
                Region(self.regions.len() - 1)
            }
        }
    }

    /// The value is dead.
    pub(super) fn give(&mut self, region: Region) {
        self.regions[region.0].1 = true;
    }

    /// The first byte of a region: the sizes of all before it.
    pub(super) fn offset(&self, region: Region) -> Dim {
        self.regions[..region.0].iter().map(|(bytes, _)| bytes.clone()).sum()
    }

    /// Bytes of the arena.
    pub(super) fn total(&self) -> Dim {
        self.regions.iter().map(|(bytes, _)| bytes.clone()).sum()
    }
}

/// Bytes of a tensor, rounded up to whole cache lines.
fn bytes(slots: &mut Slots, storage: Storage, elements: &Dim) -> Dim {
    let bits = match storage {
        Storage::Plain(dtype) => i64::from(dtype.bits()),
        Storage::Packed(_) | Storage::Interleaved(_) | Storage::Sparse(_) => {
            unreachable!("only constants are packed or sparse")
        }
    };
    slots.ceil_div(&(elements.clone() * bits), 512) * 64
}
