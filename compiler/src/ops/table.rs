//! The macro that makes the table of ops, and the names in it.

use super::OpKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares the closed set of ops. A line names a file of this folder and, for each op in it, the variant of `OpKind` and
/// the `static` that implements `Op`.
macro_rules! op_table {
    ($($file:ident: $($variant:ident = $op:ident),+;)+) => {
        $(mod $file;)+

        /// Every op, by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum OpKind { $($($variant,)+)+ }

        impl OpKind {
            /// All ops, in the order of the table.
            pub const ALL: &'static [OpKind] = &[$($(OpKind::$variant,)+)+];

            /// What the op says of itself.
            pub fn op(self) -> &'static dyn Op {
                match self { $($(OpKind::$variant => &$file::$op,)+)+ }
            }
        }
    };
}

pub(super) use op_table;

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
