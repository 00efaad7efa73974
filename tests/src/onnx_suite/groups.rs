//! Which cases a figure is about.

use mlc::import::onnx::Survey;
use mlc_codegen::base::DType;

/// The operators that make up nearly all nodes of trained models, most frequent first: 53, then 38, then 14.
const FREQUENT: &[&str] = &[
    "Add Sub Mul Div Neg Sqrt Pow Exp Log Erf Tanh Sigmoid Relu Clip LeakyRelu HardSigmoid HardSwish Gelu Max Min MatMul \
     Gemm Conv MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization LayerNormalization Softmax \
     ReduceMean ReduceSum ReduceMax ReduceMin Reshape Transpose Concat Slice Gather Unsqueeze Squeeze Flatten Split Shape \
     Constant ConstantOfShape Cast Expand Where Equal Identity Pad Dropout",
    "LSTM GRU Resize ConvTranspose Range Tile Less LessOrEqual Greater GreaterOrEqual And Or Not Abs Reciprocal Softplus \
     Elu PRelu Floor Ceil ArgMax TopK GatherElements GatherND ScatterND CumSum InstanceNormalization GroupNormalization \
     Trilu If Size IsNaN Sin Cos DepthToSpace Sum Mean NonZero",
    "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul MatMulInteger ConvInteger \
     RMSNormalization RotaryEmbedding Attention Einsum LogSoftmax ReduceL2 RandomNormalLike",
];

/// The element types that trained models are made of.
const USUAL: &[DType] = &[DType::Bool, DType::I8, DType::U8, DType::I32, DType::I64, DType::F16, DType::F32];

/// A part of the cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Frequent operators on usual types.
    Core,
    /// Other operators or types.
    Other,
    /// An operator written out as others.
    Expanded,
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 3] = [Group::Core, Group::Other, Group::Expanded];

    /// Its word in the record.
    pub fn word(self) -> &'static str {
        match self {
            Group::Core => "core",
            Group::Other => "other",
            Group::Expanded => "expanded",
        }
    }

    /// The group of a case.
    pub fn of(name: &str, survey: &Survey) -> Group {
        let frequent = |operator: &String| FREQUENT.iter().any(|words| words.split_whitespace().any(|w| w == operator));
        let mut ports = survey.inputs.iter().chain(&survey.outputs);
        let usual = ports.all(|(_, dtype)| dtype.is_some_and(|dtype| USUAL.contains(&dtype)));
        match name.contains("_expanded") {
            true => Group::Expanded,
            false if usual && survey.operators.iter().all(frequent) => Group::Core,
            false => Group::Other,
        }
    }
}
