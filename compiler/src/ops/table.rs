//! The table of ops.

use super::Op;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares the closed set of ops; each line names a `static` that implements `Op`.
macro_rules! op_table {
    ($($(#[$doc:meta])* $variant:ident => $path:path,)*) => {
        /// Every op, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum OpKind { $($(#[$doc])* #[allow(missing_docs)] $variant,)* }

        impl OpKind {
            /// All ops, in the order of the table.
            pub const ALL: &'static [OpKind] = &[$(OpKind::$variant,)*];

            /// What the op says of itself.
            pub fn op(self) -> &'static dyn Op {
                match self { $(OpKind::$variant => &$path,)* }
            }
        }
    };
}

op_table! {
    Add => super::binary::ADD,
    Sub => super::binary::SUB,
    Mul => super::binary::MUL,
    Div => super::binary::DIV,
    Mod => super::binary::MOD,
    Pow => super::binary::POW,
    And => super::binary::AND,
    Or => super::binary::OR,
    Xor => super::binary::XOR,
    Eq => super::binary::EQ,
    Ne => super::binary::NE,
    Lt => super::binary::LT,
    Le => super::binary::LE,
    Gt => super::binary::GT,
    Ge => super::binary::GE,
    Prelu => super::binary::PRELU,
    Neg => super::unary::NEG,
    Abs => super::unary::ABS,
    Sign => super::unary::SIGN,
    Square => super::unary::SQUARE,
    Sqrt => super::unary::SQRT,
    Rsqrt => super::unary::RSQRT,
    Reciprocal => super::unary::RECIPROCAL,
    Exp => super::unary::EXP,
    Log => super::unary::LOG,
    Erf => super::unary::ERF,
    Tanh => super::unary::TANH,
    Sin => super::unary::SIN,
    Cos => super::unary::COS,
    Floor => super::unary::FLOOR,
    Ceil => super::unary::CEIL,
    Round => super::unary::ROUND,
    Sigmoid => super::activations::SIGMOID,
    Silu => super::activations::SILU,
    Trunc => super::unary::TRUNC,
    Not => super::unary::NOT,
    IsNan => super::unary::ISNAN,
    IsInf => super::unary::ISINF,
    Relu => super::activations::RELU,
    Relu6 => super::activations::RELU6,
    Clip => super::activations::CLIP,
    LeakyRelu => super::activations::LEAKY_RELU,
    Elu => super::activations::ELU,
    Gelu => super::activations::GELU,
    Softplus => super::activations::SOFTPLUS,
    HardSigmoid => super::activations::HARD_SIGMOID,
    HardSwish => super::activations::HARD_SWISH,
    Shl => super::shift::SHL,
    Shr => super::shift::SHR,
    Where => super::select::WHERE,
    Cast => super::cast::CAST,
    Sum => super::reduce::SUM,
    Mean => super::reduce::MEAN,
    Prod => super::reduce::PROD,
    Any => super::reduce::ANY,
    All => super::reduce::ALL,
    LogSumExp => super::reduce::LOGSUMEXP,
    L2Norm => super::reduce::L2_NORM,
    Max => super::extremum::MAX,
    Min => super::extremum::MIN,
    ArgMax => super::argmax::ARGMAX,
    ArgMin => super::argmax::ARGMIN,
    CumSum => super::cumsum::CUMSUM,
    Reshape => super::reshape::RESHAPE,
    Rearrange => super::rearrange::REARRANGE,
    Slice => super::slice::SLICE,
    Concat => super::concat::CONCAT,
    Expand => super::expand::EXPAND,
    Scalar => super::scalar::SCALAR,
    Gather => super::gather::GATHER,
    GatherElements => super::gather_elements::GATHER_ELEMENTS,
    GatherNd => super::gather_nd::GATHER_ND,
    Scatter => super::gather_elements::SCATTER,
    ScatterNd => super::gather_nd::SCATTER_ND,
    Split => super::split::SPLIT,
    Stack => super::stack::STACK,
    Unstack => super::split::UNSTACK,
    Pad => super::pad::PAD,
    Tile => super::tile::TILE,
    Flip => super::tile::FLIP,
    NonZero => super::nonzero::NONZERO,
    OneHot => super::one_hot::ONE_HOT,
    Iota => super::iota::IOTA,
    Full => super::iota::FULL,
    Uniform => super::random::UNIFORM,
    Normal => super::random::NORMAL,
    Einsum => super::einsum::EINSUM,
    Matmul => super::matmul::MATMUL,
    Transpose => super::transpose::TRANSPOSE,
    Softmax => super::softmax::SOFTMAX,
    LogSoftmax => super::softmax::LOG_SOFTMAX,
    Resize2d => super::resize::RESIZE2D,
    TopK => super::top_k::TOP_K,
    Quantize => super::quantize::QUANTIZE,
    Dequantize => super::quantize::DEQUANTIZE,
    GroupNorm => super::group_norm::GROUP_NORM,
    InstanceNorm => super::group_norm::INSTANCE_NORM,
    ConvTranspose2d => super::conv_transpose::CONV_TRANSPOSE2D,
    Lstm => super::recurrent::LSTM,
    Gru => super::recurrent::GRU,
    DepthToSpace => super::blocks::DEPTH_TO_SPACE,
    SpaceToDepth => super::blocks::SPACE_TO_DEPTH,
    Attention => super::attention::ATTENTION,
    CausalMask => super::causal_mask::CAUSAL_MASK,
    Rope => super::rope::ROPE,
    LayerNorm => super::norm::LAYER_NORM,
    RmsNorm => super::norm::RMS_NORM,
    L2Normalize => super::norm::L2_NORMALIZE,
    BatchNorm => super::batch_norm::BATCH_NORM,
    Conv1d => super::conv::CONV1D,
    Conv2d => super::conv::CONV2D,
    MaxPool1d => super::pool::MAX_POOL1D,
    MaxPool2d => super::pool::MAX_POOL2D,
    AvgPool1d => super::pool::AVG_POOL1D,
    AvgPool2d => super::pool::AVG_POOL2D,
    GlobalAvgPool => super::pool::GLOBAL_AVG_POOL,
    GlobalMaxPool => super::pool::GLOBAL_MAX_POOL,
}

impl OpKind {
    /// The op of a name in `.mdl` text.
    pub fn by_name(name: &str) -> Option<OpKind> {
        OpKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Its name in `.mdl` text.
    pub fn name(self) -> &'static str {
        self.op().signature().name
    }
}

impl Serialize for OpKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for OpKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        OpKind::by_name(&name).ok_or_else(|| serde::de::Error::custom(format!("no op named `{name}`")))
    }
}
