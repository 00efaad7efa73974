//! The data of other formats, as their files hold it: what importers read and exporters write.
//!
//! Invariant: plain data; knows no op and no graph.

pub mod onnx;
