//! Example models stand beside this crate; its programs use mlc as a library.
