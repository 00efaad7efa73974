//! What an op does with its inputs, found by building its kernel once and watching.
//!
//! So no op has to say whether it is a view or reads under guards, and none can say it wrongly.

use super::{At, Build, Call, Lowering, OpKind, Target, row_major};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_codegen::kernel::{Body, Buffer, BufferId, ExprId, Kernel, Node, OperandId, Role, Source, Store, Unary};

/// How an op reads one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Some coordinate may lie outside.
    pub guarded: bool,
    /// Reads of different elements for one element of the result.
    pub places: usize,
    /// Every read is at the place of the result.
    pub elementwise: bool,
}

/// What kind of code an op becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// No code at all: the same elements in the same order.
    pub alias: bool,
    /// An expression for each element.
    pub point: bool,
    /// A point that is one read and nothing else.
    pub view: bool,
    /// One kernel with a skeleton that takes an epilogue: any but loops.
    pub anchor: bool,
    /// A sum of products, or an attention.
    pub contracts: bool,
    /// That kernel is a reduction.
    pub reduces: bool,
    /// A function of many instructions is evaluated (exp, mod).
    pub costly: bool,
    /// By input.
    pub reads: Vec<Reads>,
}

/// Builds and inspects.
pub fn traits_of(op: OpKind, call: &Call) -> Traits {
    let mut probe = Probe {
        call,
        kernel: Kernel::empty(),
        reads: vec![Reads { elementwise: true, ..Reads::default() }; call.inputs.len()],
        seen: vec![vec![]; call.inputs.len()],
        place: None,
    };
    let mut traits = Traits {
        alias: false,
        point: false,
        view: false,
        anchor: false,
        contracts: false,
        reduces: false,
        costly: false,
        reads: vec![],
    };
    match op.op().lower(call) {
        Lowering::Alias => traits.alias = true,
        Lowering::Point(point) => {
            let axes = (&mut probe as &mut dyn Build).axes(&call.results[0].dims);
            let at = At::axes(&axes);
            probe.place = Some(at.clone());
            let root = point(&mut probe, &at);
            traits.point = true;
            traits.view = matches!(probe.kernel.expr.nodes[root.0 as usize], Node::Operand(_));
        }
        Lowering::Stages { temps, stages } => {
            let single = temps.is_empty() && stages.len() == 1;
            for stage in stages {
                let body = stage(&mut probe);
                traits.contracts |= matches!(body, Body::Contract(_) | Body::Attention(_));
                traits.reduces = single && matches!(body, Body::Reduce(_));
                traits.anchor = single && !matches!(body, Body::Loops(_));
            }
            probe.reads.iter_mut().for_each(|r| r.elementwise = false);
        }
    }
    traits.costly = probe.kernel.expr.nodes.iter().any(is_costly);
    traits.reads = probe.reads;
    traits
}

fn is_costly(node: &Node) -> bool {
    use mlc_codegen::kernel::Binary::Mod;
    matches!(node, Node::Unary(Unary::Exp, _) | Node::Binary(Mod, ..))
}

struct Probe<'a> {
    call: &'a Call<'a>,
    kernel: Kernel,
    reads: Vec<Reads>,
    seen: Vec<Vec<Vec<At>>>,
    place: Option<Vec<At>>,
}

impl Probe<'_> {
    /// A buffer of its own for every read, so that reads stay apart.
    fn read(&mut self, ty: &TensorType, at: &[At], fill: Option<Scalar>) -> ExprId {
        let buffer = self.buffer(ty.dtype);
        let fill = fill.unwrap_or(Scalar::zero(ty.dtype));
        self.kernel.operands.push(row_major(buffer, ty, at, fill));
        let operand = OperandId(self.kernel.operands.len() as u32 - 1);
        self.kernel.expr.push(Node::Operand(operand))
    }

    fn buffer(&mut self, dtype: DType) -> BufferId {
        self.kernel.buffers.push(Buffer { name: String::new(), storage: Storage::Plain(dtype), role: Role::Read });
        BufferId(self.kernel.buffers.len() as u32 - 1)
    }
}

impl Build for Probe<'_> {
    fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    fn input_or(&mut self, input: usize, at: &[At], fill: Option<Scalar>) -> ExprId {
        let reads = &mut self.reads[input];
        reads.guarded |= at.iter().any(|a| a.guarded || matches!(a.source, Source::Value(_)));
        reads.elementwise &= self.place.as_deref() == Some(at);
        if !self.seen[input].iter().any(|place| place == at) {
            self.seen[input].push(at.to_vec());
            reads.places += 1;
        }
        let ty = self.call.inputs[input].clone();
        self.read(&ty, at, fill)
    }

    fn store(&mut self, _target: Target, _at: &[At], _value: ExprId) -> Vec<Store> {
        vec![]
    }

    fn load(&mut self, target: Target, at: &[At], fill: Option<Scalar>) -> ExprId {
        let dtype = match target {
            Target::Result(i) => self.call.results[i].dtype,
            Target::Temp(_) => DType::F32,
        };
        let ty = TensorType::new(dtype, at.iter().map(|_| mlc_codegen::base::Dim::from(1)));
        self.read(&ty, at, fill)
    }
}
