//! Models of other formats become graphs.
//!
//! Invariant: knows ops and graphs, no syntax and no kernel; nothing in a file is executed, and no number of a file is
//! believed before it is compared with the file's length.

pub mod onnx;
