//! Kernels and their skeletons.

use super::{Access, AxisId, BufferId, Expr, ExprId, Node, Source, ids};
use crate::base::{DType, Dim, Storage};
use serde::{Deserialize, Serialize};

ids! {
    /// An access that expressions read.
    OperandId;
}

/// A dimension of the iteration space: positions `0..extent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// For printing.
    pub name: String,
    /// How many positions.
    pub extent: Dim,
}

/// What a kernel may do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Only reads.
    Read,
    /// Only writes.
    Write,
    /// Reads what it or an earlier kernel wrote; only `loops` may.
    ReadWrite,
}

/// A buffer parameter. Its size is the caller's; the session check compares it with what the accesses reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// For printing.
    pub name: String,
    /// How elements lie in it.
    pub storage: Storage,
    /// What the kernel does with it.
    pub role: Role,
}

/// Writes `value`, converted to the buffer's type, through `access`. Points that differ only in axes the access does not
/// mention store once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Where.
    pub access: Access,
    /// What.
    pub value: ExprId,
}

/// How a fold combines; the start is its neutral element in the value's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldKind {
    /// From 0 (`false`: any).
    Sum,
    /// From 1.
    Product,
    /// From the least value; NaN if any is NaN.
    Max,
    /// From the greatest value; NaN if any is NaN.
    Min,
}

/// One pass over the reduced axes; `value` may use the results of earlier folds (`Node::Cell`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// How it combines.
    pub kind: FoldKind,
    /// What it combines.
    pub value: ExprId,
}

/// Row-wise passes over `over`, then stores: per element, or per row when the access mentions no axis of `over`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduce {
    /// The axes that the folds combine.
    pub over: Vec<AxisId>,
    /// In order.
    pub folds: Vec<Fold>,
    /// What is kept.
    pub stores: Vec<Store>,
}

/// `acc[batch, m, n] = Σ_k a[batch, m, k] · b[batch, k, n]`, then the stores' expressions over `Accumulator`.
///
/// Each role is a list of axes. That is what keeps accesses quasi-affine: a convolution has n = (y, x) and
/// k = (channel, dy, dx); flattening them would need division by dims. A backend flattens by counters instead.
/// Products and sums are of the accumulator type, to which `a` and `b` are converted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Axes of all three.
    pub batch: Vec<AxisId>,
    /// Axes of `a` and the result.
    pub m: Vec<AxisId>,
    /// Axes of `b` and the result.
    pub n: Vec<AxisId>,
    /// Axes of `a` and `b`, summed over, in this order.
    pub k: Vec<AxisId>,
    /// The left element, a prologue over operands that mention no axis of `n`.
    pub a: ExprId,
    /// The right element, a prologue over operands that mention no axis of `m`.
    pub b: ExprId,
    /// f32, f64, i32 or i64.
    pub accumulator: DType,
    /// The epilogue.
    pub stores: Vec<Store>,
}

/// `s[m, n] = score(Σ_d q[m, d] · k[n, d])`, softmax over the visible n, `out[m, e] = Σ_n p[m, n] · v[n, e]`, per batch.
/// The online softmax keeps no score matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Axes of all operands; with grouped queries this is the kv head, and the group is an axis of `m`.
    pub batch: Vec<AxisId>,
    /// Query axes.
    pub m: Vec<AxisId>,
    /// The key axis.
    pub n: AxisId,
    /// The axis of the dot product.
    pub d: AxisId,
    /// The axis of the values.
    pub e: AxisId,
    /// Over batch, m, d.
    pub q: ExprId,
    /// Over batch, n, d.
    pub k: ExprId,
    /// Over batch, n, e.
    pub v: ExprId,
    /// The score, over `Accumulator`: scale, added mask. -inf hides.
    pub score: ExprId,
    /// The range of n that a row sees, affine in m; `None` for all.
    pub visible: Option<(super::Index, super::Index)>,
    /// Whether a row that sees nothing, or only -inf, gives 0; else it gives 0 / 0.
    pub blind_is_zero: bool,
    /// Over `Accumulator`, the weighted sum.
    pub stores: Vec<Store>,
}

/// The general form. Axes are bound by `For`; cells are scalars private to a parallel iteration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// Runs `body` for every position of the axis.
    For {
        /// The axis it binds.
        axis: AxisId,
        /// Whether iterations are independent.
        parallel: bool,
        /// What runs.
        body: Vec<Statement>,
    },
    /// Runs `body` where `condition` (bool) holds.
    If {
        /// A bool.
        condition: ExprId,
        /// What runs.
        body: Vec<Statement>,
    },
    /// `Node::Cell(cell)` reads the cell.
    SetCell {
        /// Which.
        cell: u32,
        /// Of the cell's type.
        value: ExprId,
    },
    /// Writes one element.
    Store(Store),
}

/// The general skeleton: cells, and statements in order.
/// Parts share the work when the whole body is one parallel `For`; anything else runs on part 0 alone, since there is no
/// barrier inside a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loops {
    /// The compute type of each cell.
    pub cells: Vec<DType>,
    /// What runs.
    pub statements: Vec<Statement>,
}

/// What runs over the iteration space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Every point on its own.
    Map(Vec<Store>),
    /// Row-wise passes.
    Reduce(Reduce),
    /// A product of two operands summed over an axis.
    Contract(Contract),
    /// Online softmax between two products.
    Attention(Attention),
    /// Anything else.
    Loops(Loops),
}

/// A unit of work with the one ABI `(buffers, size block, part, parts)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// For printing and profiles: the source path.
    pub name: String,
    /// The iteration space.
    pub axes: Vec<Axis>,
    /// The parameters.
    pub buffers: Vec<Buffer>,
    /// Reads, by `OperandId`.
    pub operands: Vec<Access>,
    /// All expressions.
    pub expr: Expr,
    /// What runs.
    pub body: Body,
}

impl Kernel {
    /// A map of nothing, to be built upon.
    pub fn empty() -> Kernel {
        let (name, body) = (String::new(), Body::Map(vec![]));
        Kernel { name, axes: vec![], buffers: vec![], operands: vec![], expr: Expr::default(), body }
    }

    /// An axis.
    pub fn axis(&self, id: AxisId) -> &Axis {
        &self.axes[id.0 as usize]
    }

    /// A read.
    pub fn operand(&self, id: OperandId) -> &Access {
        &self.operands[id.0 as usize]
    }

    /// A parameter.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// Every store, whatever the skeleton.
    pub fn stores(&self) -> Vec<&Store> {
        match &self.body {
            Body::Map(stores) => stores.iter().collect(),
            Body::Reduce(reduce) => reduce.stores.iter().collect(),
            Body::Contract(contract) => contract.stores.iter().collect(),
            Body::Attention(attention) => attention.stores.iter().collect(),
            Body::Loops(loops) => loops.statements.iter().flat_map(Statement::stores).collect(),
        }
    }

    /// The nodes that `roots` need, computed coordinates included, in evaluation order.
    pub fn reachable(&self, roots: &[ExprId]) -> Vec<ExprId> {
        self.expr.reachable(roots, &|operand| self.operand(operand).values().collect())
    }

    /// Whether an access depends on an axis, also through the values it computes.
    pub fn access_mentions(&self, access: &Access, axis: AxisId) -> bool {
        access.coords.iter().any(|c| match &c.source {
            Source::Index(index) => index.mentions(axis),
            Source::Value(value) => self.value_mentions(*value, axis),
        })
    }

    /// Whether an expression depends on an axis.
    pub fn value_mentions(&self, value: ExprId, axis: AxisId) -> bool {
        self.reachable(&[value]).into_iter().any(|id| match &self.expr.nodes[id.0 as usize] {
            Node::Position(a) => *a == axis,
            Node::Operand(o) => self.operand(*o).coords.iter().any(|c| match &c.source {
                Source::Index(index) => index.mentions(axis),
                Source::Value(_) => false,
            }),
            _ => false,
        })
    }
}

impl Access {
    /// The expressions that its coordinates compute.
    pub fn values(&self) -> impl Iterator<Item = ExprId> + '_ {
        self.coords.iter().filter_map(|c| match c.source {
            Source::Value(value) => Some(value),
            Source::Index(_) => None,
        })
    }
}

impl Statement {
    fn stores(&self) -> Vec<&Store> {
        match self {
            Statement::Store(store) => vec![store],
            Statement::For { body, .. } | Statement::If { body, .. } => {
                body.iter().flat_map(Statement::stores).collect()
            }
            Statement::SetCell { .. } => vec![],
        }
    }
}
