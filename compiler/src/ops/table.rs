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
    Relu => super::unary::RELU,
    Relu6 => super::unary::RELU6,
    Neg => super::unary::NEG,
    Abs => super::unary::ABS,
    Sqrt => super::unary::SQRT,
    Exp => super::unary::EXP,
    Floor => super::unary::FLOOR,
    Ceil => super::unary::CEIL,
    Round => super::unary::ROUND,
    Sigmoid => super::unary::SIGMOID,
    Silu => super::unary::SILU,
    Cast => super::cast::CAST,
    Einsum => super::einsum::EINSUM,
    Matmul => super::matmul::MATMUL,
    Transpose => super::transpose::TRANSPOSE,
    Softmax => super::softmax::SOFTMAX,
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
