//! The tensor ops: one op, one file, one line in the table below.
//!
//! An op says its words (`signature`), its result type (`infer`), its meaning in plain loops (`eval`: the definition that
//! every backend is held to), and how it becomes kernels (`lower`).
//! Invariant: ops know types and kernels, never the graph, never a backend.

mod broadcast;
mod build;
mod call;
mod check;
mod common;
mod contraction;
mod einsum_pattern;
mod elementwise;
mod erf;
mod fragments;
mod infer;
mod numbers;
mod op;
mod places;
mod probe;
mod rearrange_pattern;
mod signature;
mod table;
mod window;

pub use build::{At, Build, Lowering, Point, Stage, Target, row_major};
pub use call::{Arguments, Attr, Call, fits};
pub use contraction::Contraction;
pub use einsum_pattern::equation;
pub use infer::{Blame, Guard, Infer, OpError};
pub use op::{EvalError, IndexUse, Op, Tolerance};
pub use probe::{Reads, Traits, traits_of};
pub use rearrange::Rearranged;
pub use signature::{Default, Kind, Param, Signature};
pub use window::{Padding, paddings};

use common::{nan_max, offset, positions, require_float, rows};
use fragments::input_as;
use numbers::{from_scalars, result_shape};

table::op_table! {
    binary: Add = ADD, Sub = SUB, Mul = MUL, Div = DIV, Mod = MOD, Pow = POW, And = AND, Or = OR, Xor = XOR, Eq = EQ,
        Ne = NE, Lt = LT, Le = LE, Gt = GT, Ge = GE, Prelu = PRELU;
    unary: Neg = NEG, Abs = ABS, Sign = SIGN, Square = SQUARE, Sqrt = SQRT, Rsqrt = RSQRT, Reciprocal = RECIPROCAL,
        Exp = EXP, Log = LOG, Erf = ERF, Tanh = TANH, Sin = SIN, Cos = COS, Floor = FLOOR, Ceil = CEIL, Round = ROUND,
        Trunc = TRUNC, Not = NOT, IsNan = ISNAN, IsInf = ISINF;
    activations: Sigmoid = SIGMOID, Silu = SILU, Relu = RELU, Relu6 = RELU6, Clip = CLIP, LeakyRelu = LEAKY_RELU,
        Elu = ELU, Gelu = GELU, Softplus = SOFTPLUS, HardSigmoid = HARD_SIGMOID, HardSwish = HARD_SWISH;
    shift: Shl = SHL, Shr = SHR;
    select: Where = WHERE;
    cast: Cast = CAST;
    reduce: Sum = SUM, Mean = MEAN, Prod = PROD, Any = ANY, All = ALL, LogSumExp = LOGSUMEXP, L2Norm = L2_NORM;
    extremum: Max = MAX, Min = MIN;
    argmax: ArgMax = ARGMAX, ArgMin = ARGMIN;
    cumsum: CumSum = CUMSUM;
    reshape: Reshape = RESHAPE;
    rearrange: Rearrange = REARRANGE;
    slice: Slice = SLICE;
    concat: Concat = CONCAT;
    expand: Expand = EXPAND;
    scalar: Scalar = SCALAR;
    gather: Gather = GATHER;
    gather_elements: GatherElements = GATHER_ELEMENTS, Scatter = SCATTER;
    gather_nd: GatherNd = GATHER_ND, ScatterNd = SCATTER_ND;
    split: Split = SPLIT, Unstack = UNSTACK;
    stack: Stack = STACK;
    pad: Pad = PAD;
    tile: Tile = TILE, Flip = FLIP;
    nonzero: NonZero = NONZERO;
    one_hot: OneHot = ONE_HOT;
    iota: Iota = IOTA, Full = FULL;
    random: Uniform = UNIFORM, Normal = NORMAL;
    einsum: Einsum = EINSUM;
    matmul: Matmul = MATMUL;
    transpose: Transpose = TRANSPOSE;
    softmax: Softmax = SOFTMAX, LogSoftmax = LOG_SOFTMAX;
    resize: Resize2d = RESIZE2D;
    top_k: TopK = TOP_K;
    quantize: Quantize = QUANTIZE, Dequantize = DEQUANTIZE;
    group_norm: GroupNorm = GROUP_NORM, InstanceNorm = INSTANCE_NORM;
    conv_transpose: ConvTranspose2d = CONV_TRANSPOSE2D;
    recurrent: Lstm = LSTM, Gru = GRU;
    blocks: DepthToSpace = DEPTH_TO_SPACE, SpaceToDepth = SPACE_TO_DEPTH;
    attention: Attention = ATTENTION;
    causal_mask: CausalMask = CAUSAL_MASK;
    tril: Tril = TRIL, Triu = TRIU;
    rope: Rope = ROPE;
    norm: LayerNorm = LAYER_NORM, RmsNorm = RMS_NORM, L2Normalize = L2_NORMALIZE;
    batch_norm: BatchNorm = BATCH_NORM;
    conv: Conv1d = CONV1D, Conv2d = CONV2D;
    pool: MaxPool1d = MAX_POOL1D, MaxPool2d = MAX_POOL2D, AvgPool1d = AVG_POOL1D, AvgPool2d = AVG_POOL2D,
        GlobalAvgPool = GLOBAL_AVG_POOL, GlobalMaxPool = GLOBAL_MAX_POOL;
}
