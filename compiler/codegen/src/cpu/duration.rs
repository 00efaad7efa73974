//! About how long a call of a kernel takes on one thread, from its sizes alone: what decides whether other threads help.
//!
//! Figures are of a Zen 3 core, rounded; a factor of two either way changes little, since a call that is short enough for
//! that to matter gains or loses less than a microsecond.

use crate::base::Storage;
use crate::kernel::{AxisId, Body, ExprId, Kernel, Node, Unary};

/// Nanoseconds of a multiply-add in wide tiles.
const PRODUCT: f64 = 0.02;

/// Nanoseconds to bring and weigh a score of attention.
const SCORE: f64 = 0.5;

/// Nanoseconds of a number that is read, of a plain operation, and of one of many instructions, at 128 bits.
const READ: f64 = 0.1;
const PLAIN: f64 = 0.05;
const FUNCTION: f64 = 0.5;

/// Bytes that a core reads in a nanosecond, where all constants together are so many bytes.
const BANDWIDTH: [(i64, f64); 3] = [(512 << 10, 85.0), (16 << 20, 40.0), (i64::MAX, 12.0)];

/// What a kernel's time grows with.
#[derive(Clone, Debug)]
pub struct Duration {
    /// Nanoseconds for each point of some axes.
    terms: Vec<(Vec<AxisId>, f64)>,
    /// Nanoseconds to read what those of some axes multiply.
    reads: Vec<(Vec<AxisId>, f64)>,
}

/// How fast constants are read that are so many bytes.
pub fn bandwidth(constants: i64) -> f64 {
    let row = BANDWIDTH.iter().find(|(most, _)| constants <= *most);
    row.expect("the last row holds all").1
}

impl Duration {
    /// `bandwidth` in bytes a nanosecond.
    pub fn new(kernel: &Kernel, bandwidth: f64) -> Duration {
        let all: Vec<AxisId> = (0..kernel.axes.len() as u32).map(AxisId).collect();
        let values: Vec<ExprId> = kernel.stores().iter().map(|store| store.value).collect();
        let each = |roots: &[ExprId]| kernel.reachable(roots).iter().map(|id| price(kernel, *id)).sum::<f64>();
        let read = |root: ExprId| bytes(kernel, root) / bandwidth;
        match &kernel.body {
            Body::Contract(c) => {
                let results = [&c.batch[..], &c.m, &c.n].concat();
                let right = [&c.batch[..], &c.n, &c.k].concat();
                Duration { terms: vec![(all, PRODUCT), (results, each(&values))], reads: vec![(right, read(c.b))] }
            }
            Body::Attention(a) => {
                let scores = [&a.batch[..], &a.m, &[a.n]].concat();
                let side = |along: AxisId| [&scores[..], &[along]].concat();
                let kept = |along: AxisId| [&a.batch[..], &[a.n, along]].concat();
                Duration {
                    terms: vec![(side(a.d), PRODUCT), (side(a.e), PRODUCT), (scores.clone(), SCORE)],
                    reads: vec![(kept(a.d), read(a.k)), (kept(a.e), read(a.v))],
                }
            }
            Body::Reduce(reduce) => {
                let folded = reduce.folds.iter().map(|fold| fold.value).chain(values).collect::<Vec<_>>();
                Duration { terms: vec![(all, each(&folded) + PLAIN)], reads: vec![] }
            }
            Body::Map(_) | Body::Loops(_) => Duration { terms: vec![(all, each(&values) + PLAIN)], reads: vec![] },
        }
    }

    /// Nanoseconds of a call with these sizes: those of arithmetic or those of memory, whichever are more.
    pub fn of(&self, kernel: &Kernel, sizes: &[i64]) -> f64 {
        let extent = |axis: &AxisId| kernel.axis(*axis).extent.eval(sizes).unwrap_or(1).max(0) as f64;
        let sum = |terms: &[(Vec<AxisId>, f64)]| {
            terms.iter().map(|(axes, each)| axes.iter().map(extent).product::<f64>() * each).sum::<f64>()
        };
        sum(&self.terms).max(sum(&self.reads))
    }
}

fn price(kernel: &Kernel, id: ExprId) -> f64 {
    match &kernel.expr.nodes[id.0 as usize] {
        Node::Operand(_) => READ,
        Node::Unary(Unary::Exp | Unary::Log | Unary::Erf | Unary::Tanh | Unary::Sin | Unary::Cos, _) => FUNCTION,
        Node::Unary(..) | Node::Binary(..) | Node::Compare(..) | Node::Select(..) | Node::Convert(..) => PLAIN,
        _ => 0.0,
    }
}

/// Bytes of what an expression reads at a point.
fn bytes(kernel: &Kernel, root: ExprId) -> f64 {
    let of = |storage: Storage| match storage {
        // Few of its numbers are there.
        Storage::Sparse(sparse) => sparse.bytes() as f64 / sparse.elements().max(1) as f64,
        storage => storage.bytes_for(1 << 20).map_or(4.0, |bytes| bytes as f64 / f64::from(1 << 20)),
    };
    let nodes = kernel.reachable(&[root]).into_iter();
    nodes
        .map(|id| match kernel.expr.nodes[id.0 as usize] {
            Node::Operand(operand) => of(kernel.buffer(kernel.operand(operand).buffer).storage),
            _ => 0.0,
        })
        .sum()
}
