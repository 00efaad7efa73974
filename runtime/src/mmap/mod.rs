//! Files as memory, read-only, and memory that is fresh from the system.
//!
//! What must hold: nobody shortens or rewrites a mapped file while it is mapped. Reading a page that no longer exists
//! ends the process; a rewritten page changes bytes behind a shared reference. Who upholds it: whoever runs the process.
//! Our own writers never touch a finished file: they write aside and rename, which leaves a mapping of the old file
//! whole (the test `a_replaced_file_keeps_its_mapping`); who cannot promise it for other writers reads with `--no-mmap`.
//! Everything parsed from a mapping is checked as bytes of a stranger, so a change can give wrong numbers, never an
//! access outside of the mapping.

mod mapping;
mod pages;

pub(crate) use mapping::Mapping;
pub(crate) use pages::Pages;
