//! Where the size of an axis comes from: a side table beside types, which carry only dims.

use crate::types::Loc;
use std::rc::Rc;

/// The place that gave a dim its size, and how a label there reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Where.
    pub(super) loc: Loc,
    /// `` `128` comes from `Out = 128` ``.
    pub(super) text: String,
}

impl Origin {
    /// An origin to share.
    pub(super) fn new(loc: Loc, text: impl Into<String>) -> Whence {
        Some(Rc::new(Origin { loc, text: text.into() }))
    }
}

/// The origin of one dim, where it is known.
pub(super) type Whence = Option<Rc<Origin>>;
