//! Where something stands in the sources.

use serde::{Deserialize, Serialize};

/// A byte range of a source file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Loc {
    /// The file, by its number in the source map.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Loc {
    /// A range of a file.
    pub fn new(file: u32, start: u32, end: u32) -> Self {
        Loc { file, start, end }
    }

    /// The range from the start of `self` to the end of `other`; `self` when they are in different files.
    pub fn to(self, other: Loc) -> Loc {
        if self.file != other.file {
            return self;
        }
        Loc { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}
