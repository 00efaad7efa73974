//! Memory that is fresh from the system: zeros, which cost nothing before they are touched, in large pages where it has them.

use memmap2::MmapMut;

/// Zero bytes that begin at a page.
pub(crate) struct Pages(MmapMut);

impl Pages {
    /// As many bytes are worth pages of their own.
    pub(crate) const WORTH: usize = 1 << 20;

    /// `len` zero bytes; `None` when the system refuses.
    pub(crate) fn zeroed(len: usize) -> Option<Pages> {
        let map = MmapMut::map_anon(len).ok()?;
        // One fault for two megabytes instead of one for each page; a system that has no such pages says so, and all is well.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Pages(map))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
