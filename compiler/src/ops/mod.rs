//! The tensor ops: one op, one file, one line in the table below.
//!
//! An op says its words (`signature`), its result type (`infer`), its meaning in plain loops (`eval`: the definition that
//! every backend is held to), and how it becomes kernels (`lower`).
//! Invariant: ops know types and kernels, never the graph, never a backend.

mod activations;
mod argmax;
mod attention;
mod batch_norm;
mod binary;
mod blocks;
mod broadcast;
mod build;
mod call;
mod cast;
mod causal_mask;
mod check;
mod common;
mod concat;
mod contraction;
mod conv;
mod conv_transpose;
mod cumsum;
mod einsum;
mod einsum_pattern;
mod elementwise;
mod erf;
mod expand;
mod extremum;
mod fragments;
mod gather;
mod gather_elements;
mod gather_nd;
mod group_norm;
mod infer;
mod iota;
mod matmul;
mod nonzero;
mod norm;
mod numbers;
mod one_hot;
mod op;
mod pad;
mod places;
mod pool;
mod probe;
mod quantize;
mod random;
mod rearrange;
mod rearrange_pattern;
mod recurrent;
mod reduce;
mod reshape;
mod resize;
mod rope;
mod scalar;
mod select;
mod shift;
mod signature;
mod slice;
mod softmax;
mod split;
mod stack;
mod table;
mod tile;
mod top_k;
mod transpose;
mod unary;
mod window;

pub use build::{At, Build, Lowering, Point, Stage, Target, row_major};
pub use call::{Arguments, Attr, Call, fits};
pub use contraction::Contraction;
pub use infer::{Blame, Guard, Infer, OpError};
pub use op::{EvalError, IndexUse, Op, Tolerance};
pub use probe::{Reads, Traits, traits_of};
pub use signature::{Default, Kind, Param, Signature};
pub use table::OpKind;

use common::{nan_max, offset, positions, require_float, rows};
use fragments::input_as;
use numbers::{from_scalars, result_shape};
