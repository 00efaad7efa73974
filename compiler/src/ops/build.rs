//! How an op says what its kernels compute, without knowing what surrounds it.
//!
//! An op describes its result in terms of *elements of its inputs*. Whether such an element is read from a buffer or is
//! itself computed on the spot by a fused producer, and whether a result is stored or first passed through a fused
//! consumer, is the business of the schedule, which implements `Build`.

use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{
    Access, Axis, AxisId, Binary, Body, Compare, ExprId, Fold, FoldKind, Index, Kernel, Node, Source, Statement, Store,
    Unary,
};

/// One coordinate of an element.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// Where it comes from. A `Value` is always guarded.
    pub source: Source,
    /// Whether it may lie outside the dim; a read then gives the fill, a store does nothing.
    pub guarded: bool,
}

/// A tensor that a kernel of the op writes, and may read back in `loops`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A result of the op.
    Result(usize),
    /// A temporary of the op, one of `Lowering::Stages::temps`.
    Temp(usize),
}

/// What the schedule gives an op to build a kernel with.
pub trait Build {
    /// The kernel so far.
    fn kernel(&mut self) -> &mut Kernel;

    /// The element of an input, in its compute type. Every coordinate lies inside the input's dims, or is guarded: then
    /// a read outside gives `fill`.
    fn input_or(&mut self, input: usize, at: &[At], fill: Option<Scalar>) -> ExprId;

    /// The store of an element of a target; `value` is in the compute type of the target.
    fn store(&mut self, target: Target, at: &[At], value: ExprId) -> Vec<Store>;

    /// Reads back an element of a target: a temporary of an earlier stage, or, in `loops`, what this kernel wrote.
    fn load(&mut self, target: Target, at: &[At], fill: Option<Scalar>) -> ExprId;
}

/// A kernel's skeleton, built on demand.
pub type Stage<'a> = Box<dyn FnOnce(&mut dyn Build) -> Body + 'a>;

/// An element of the result at a place.
pub type Point<'a> = Box<dyn Fn(&mut dyn Build, &[At]) -> ExprId + 'a>;

/// How an op becomes code.
pub enum Lowering<'a> {
    /// The result's elements are the first input's, in the same order: no code.
    Alias,
    /// Every element of the one result is an expression of elements of inputs. Fuses into any neighbour.
    Point(Point<'a>),
    /// Kernels that run one after another, with temporaries between them.
    Stages {
        /// Types of the temporaries.
        temps: Vec<TensorType>,
        /// In order; the last writes the results. A single stage takes fused consumers as its epilogue.
        stages: Vec<Stage<'a>>,
    },
}

impl<'a> Lowering<'a> {
    /// A pointwise lowering.
    pub fn point(point: impl Fn(&mut dyn Build, &[At]) -> ExprId + 'a) -> Self {
        Lowering::Point(Box::new(point))
    }

    /// One kernel without temporaries.
    pub fn single(stage: impl FnOnce(&mut dyn Build) -> Body + 'a) -> Self {
        Lowering::Stages { temps: vec![], stages: vec![Box::new(stage)] }
    }
}

impl At {
    /// A position that is known to lie inside.
    pub fn index(index: Index) -> At {
        At { source: Source::Index(index), guarded: false }
    }

    /// The position of an axis.
    pub fn axis(axis: AxisId) -> At {
        At::index(Index::axis(axis))
    }

    /// The position 0, for dims that are broadcast.
    pub fn zero() -> At {
        At::index(Index::constant(0))
    }

    /// A computed position (i64 or i32), bounded by the dim.
    pub fn value(value: ExprId) -> At {
        At { source: Source::Value(value), guarded: true }
    }

    /// The same position, which may lie outside.
    pub fn guarded(self) -> At {
        At { guarded: true, ..self }
    }

    /// Each axis in turn.
    pub fn axes(axes: &[AxisId]) -> Vec<At> {
        axes.iter().map(|axis| At::axis(*axis)).collect()
    }
}

/// Shorthand over the kernel's expressions.
impl dyn Build + '_ {
    /// A new axis.
    pub fn axis(&mut self, name: impl Into<String>, extent: impl Into<Dim>) -> AxisId {
        let axes = &mut self.kernel().axes;
        axes.push(Axis { name: name.into(), extent: extent.into() });
        AxisId(axes.len() as u32 - 1)
    }

    /// A new axis for each dim.
    pub fn axes(&mut self, dims: &[Dim]) -> Vec<AxisId> {
        dims.iter().enumerate().map(|(i, dim)| self.axis(format!("i{i}"), dim)).collect()
    }

    /// An element of an input, inside its dims.
    pub fn input(&mut self, input: usize, at: &[At]) -> ExprId {
        self.input_or(input, at, None)
    }

    /// A literal of a dtype's compute type.
    pub fn number(&mut self, dtype: DType, value: f64) -> ExprId {
        self.constant(Scalar::from_f64(dtype, value))
    }

    /// A literal.
    pub fn constant(&mut self, value: Scalar) -> ExprId {
        self.kernel().expr.constant(value)
    }

    /// An i64 literal.
    pub fn integer(&mut self, value: i64) -> ExprId {
        self.constant(Scalar::I64(value))
    }

    /// A dim, as i64.
    pub fn size(&mut self, dim: impl Into<Dim>) -> ExprId {
        let dim = dim.into();
        match dim.as_constant() {
            Some(value) => self.integer(value),
            None => self.kernel().expr.push(Node::Size(dim)),
        }
    }

    /// The position along an axis, as i64.
    pub fn position(&mut self, axis: AxisId) -> ExprId {
        self.kernel().expr.push(Node::Position(axis))
    }

    /// A coordinate as an i64 expression.
    pub fn coordinate(&mut self, at: &At) -> ExprId {
        let index = match &at.source {
            Source::Value(value) => return self.convert(DType::I64, *value),
            Source::Index(index) => index.clone(),
        };
        let mut sum = self.size(index.plus);
        for (axis, coefficient) in index.terms {
            let position = self.position(axis);
            let factor = self.integer(coefficient);
            let step = if coefficient == 1 { position } else { self.binary(Binary::Mul, position, factor) };
            sum = self.binary(Binary::Add, sum, step);
        }
        if index.div != 1 {
            sum = self.floor_div(sum, index.div);
        }
        match index.modulus {
            None => sum,
            Some(m) => {
                let m = self.integer(m);
                self.binary(Binary::Mod, sum, m)
            }
        }
    }

    /// `floor(a / divisor)` of an i64, divisor positive.
    pub fn floor_div(&mut self, a: ExprId, divisor: i64) -> ExprId {
        let divisor = self.integer(divisor);
        let remainder = self.binary(Binary::Mod, a, divisor);
        let whole = self.binary(Binary::Sub, a, remainder);
        self.binary(Binary::Div, whole, divisor)
    }

    /// The value of a cell: a fold's result, or a cell of loops.
    pub fn cell(&mut self, cell: u32) -> ExprId {
        self.kernel().expr.push(Node::Cell(cell))
    }

    /// The accumulator of a contract.
    pub fn accumulator(&mut self) -> ExprId {
        self.kernel().expr.push(Node::Accumulator)
    }

    /// `op a`.
    pub fn unary(&mut self, op: Unary, a: ExprId) -> ExprId {
        self.kernel().expr.unary(op, a)
    }

    /// `a op b`.
    pub fn binary(&mut self, op: Binary, a: ExprId, b: ExprId) -> ExprId {
        self.kernel().expr.binary(op, a, b)
    }

    /// `a + b`.
    pub fn add(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(Binary::Add, a, b)
    }

    /// `a - b`.
    pub fn sub(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(Binary::Sub, a, b)
    }

    /// `a * b`.
    pub fn mul(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(Binary::Mul, a, b)
    }

    /// `a / b`.
    pub fn div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.binary(Binary::Div, a, b)
    }

    /// `a op b`, a bool.
    pub fn compare(&mut self, op: Compare, a: ExprId, b: ExprId) -> ExprId {
        self.kernel().expr.compare(op, a, b)
    }

    /// `if condition { yes } else { no }`.
    pub fn select(&mut self, condition: ExprId, yes: ExprId, no: ExprId) -> ExprId {
        self.kernel().expr.select(condition, yes, no)
    }

    /// A conversion through a dtype.
    pub fn convert(&mut self, dtype: DType, a: ExprId) -> ExprId {
        self.kernel().expr.convert(dtype, a)
    }

    /// A fold of a reduce.
    pub fn fold(&mut self, kind: FoldKind, value: ExprId) -> Fold {
        Fold { kind, value }
    }

    /// `for axis { body }`, one iteration after another.
    pub fn each(&mut self, axis: AxisId, body: Vec<Statement>) -> Statement {
        Statement::For { axis, parallel: false, body }
    }

    /// `for axis { body }`, iterations independent.
    pub fn each_parallel(&mut self, axis: AxisId, body: Vec<Statement>) -> Statement {
        Statement::For { axis, parallel: true, body }
    }

    /// The store as loop statements.
    pub fn put(&mut self, target: Target, at: &[At], value: ExprId) -> Vec<Statement> {
        self.store(target, at, value).into_iter().map(Statement::Store).collect()
    }
}

/// The dense row-major access of a tensor at a place.
pub fn row_major(buffer: mlc_codegen::kernel::BufferId, ty: &TensorType, at: &[At], fill: Scalar) -> Access {
    assert_eq!(ty.rank(), at.len(), "one coordinate for each dim");
    let mut stride = Dim::from(1);
    let mut coords = Vec::new();
    for (dim, at) in ty.dims.iter().zip(at).rev() {
        let guard = at.guarded.then(|| dim.clone());
        coords.push(mlc_codegen::kernel::Coord { source: at.source.clone(), stride: stride.clone(), guard });
        stride = stride * dim;
    }
    coords.reverse();
    Access::new(buffer, coords, fill)
}
