//! Borrowed bytes that machine code may touch.

use std::marker::PhantomData;

/// Bytes that a plan's buffer stands for, borrowed for as long as this lives.
#[derive(Clone, Copy)]
pub(crate) struct Region<'a> {
    pub(super) start: *mut u8,
    pub(super) bytes: usize,
    lifetime: PhantomData<&'a mut [u8]>,
}

// SAFETY: a region is a borrow of plain bytes.
unsafe impl Send for Region<'_> {}

// SAFETY: likewise; parts on other threads use it only while the walk that was given it has not returned.
unsafe impl Sync for Region<'_> {}

impl<'a> Region<'a> {
    /// Bytes that are only read: what `check_plan` calls inputs and constants.
    pub(crate) fn shared(bytes: &'a [u8]) -> Self {
        Region { start: bytes.as_ptr().cast_mut(), bytes: bytes.len(), lifetime: PhantomData }
    }

    /// Bytes that kernels may write.
    pub(crate) fn exclusive(bytes: &'a mut [u8]) -> Self {
        Region { start: bytes.as_mut_ptr(), bytes: bytes.len(), lifetime: PhantomData }
    }

    /// A part of it. Panics when it does not lie inside.
    pub(crate) fn part(self, offset: usize, bytes: usize) -> Self {
        let end = offset.checked_add(bytes);
        assert!(end.is_some_and(|end| end <= self.bytes), "a part lies inside its region");
        // SAFETY: the offset lies inside the region.
        Region { start: unsafe { self.start.add(offset) }, bytes, ..self }
    }

    /// The allocation of a table for regions of another lifetime.
    pub(crate) fn emptied(mut regions: Vec<Region<'a>>) -> Vec<Region<'static>> {
        regions.clear();
        regions.into_iter().map(|_| Region::shared(&[])).collect()
    }
}
