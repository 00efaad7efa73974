//! Which tensors of the arena lie channels-last, or with their heads inside of rows, and kernels that read and write them so.
//!
//! A layout is nothing but the strides of the accesses to a buffer, so no tensor is ever transposed: a kernel that reads
//! one layout and writes the other is where that happens. Inputs, outputs and states stay row-major.
//! Invariant: every access to a buffer uses the strides of one layout, in all steps of an entry, and a coordinate of an
//! access moves along one dim and stays inside of it.

use super::axes;
use super::kernels::Kernels;
use super::steps::{each_call, each_call_mut};
use mlc_codegen::base::{Dim, Storage};
use mlc_codegen::kernel::{
    Access, Argument, AxisId, Body, BufferDef, BufferId, Call, Coord, EntryPlan, Index, Kernel, Plan, PlanBuffer,
    Source, Step,
};

/// The dims of each buffer's tensor, where the buffer is one of the arena.
pub(super) type Shapes = Vec<Option<Vec<Dim>>>;

/// Fewer channels do not fill a vector.
const CHANNELS: i64 = 8;

/// How a tensor lies that does not lie in the order of its dims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// The second dim innermost.
    ChannelsLast,
    /// The second dim beside the last: `[b, row, head, d]`.
    HeadsInside,
}

/// By buffer, its dims and how it shall lie.
type Layouts = Vec<Option<(Vec<Dim>, Layout)>>;

/// Chooses the layouts of every entry and rewrites its kernels.
pub(super) fn arrange(plan: &mut Plan, shapes: &[Shapes]) {
    let (old, mut kernels) = (std::mem::take(&mut plan.kernels), Kernels::default());
    for (entry, shapes) in plan.entries.iter_mut().zip(shapes) {
        let layouts = chosen(entry, shapes, &old);
        each_call_mut(&mut entry.steps, &mut |call| {
            for variant in &mut call.variants {
                let kernel = &old[variant.kernel.0 as usize];
                variant.kernel = kernels.intern(rewritten(kernel, &call.arguments, &layouts));
            }
        });
    }
    plan.kernels = kernels.finish();
}

fn chosen(entry: &EntryPlan, shapes: &Shapes, kernels: &[Kernel]) -> Layouts {
    let mut choice = Choice::new(&entry.buffers, shapes);
    choice.walk(&entry.steps, kernels);
    choice.spread(&entry.steps, kernels);
    let layout = |i: usize| match choice.state(i) {
        state if state.is_picture() && state.wanted => Some(Layout::ChannelsLast),
        State { free: true, headed: true, .. } => Some(Layout::HeadsInside),
        _ => None,
    };
    shapes.iter().enumerate().map(|(i, dims)| Some((dims.clone()?, layout(i)?))).collect()
}

/// What is known of buffers that must have one layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Whether all accesses allow another layout.
    free: bool,
    /// Whether there are channels enough.
    picture: bool,
    /// Whether some kernel gains from channels-last.
    wanted: bool,
    /// Whether some kernel sums over heads and what lies in them as over one axis.
    headed: bool,
}

impl State {
    fn is_picture(self) -> bool {
        self.free && self.picture
    }
}

struct Choice<'a> {
    shapes: &'a Shapes,
    /// Another buffer of the same layout, or itself.
    same: Vec<usize>,
    /// By the buffer that stands for all of the same layout.
    states: Vec<State>,
}

impl<'a> Choice<'a> {
    fn new(buffers: &[BufferDef], shapes: &'a Shapes) -> Self {
        let candidate = |(buffer, dims): (&BufferDef, &Option<Vec<Dim>>)| {
            let plain = matches!(buffer.storage, Storage::Plain(dtype) if dtype.bits() >= 8);
            plain && dims.as_ref().is_some_and(|dims| matches!(dims.len(), 3 | 4))
        };
        let states = buffers.iter().zip(shapes).map(|pair| {
            let picture = pair.1.as_ref().is_some_and(|dims| is_picture(dims));
            State { free: candidate(pair), picture, wanted: false, headed: false }
        });
        Choice { shapes, same: (0..buffers.len()).collect(), states: states.collect() }
    }

    fn root(&self, mut buffer: usize) -> usize {
        while self.same[buffer] != buffer {
            buffer = self.same[buffer];
        }
        buffer
    }

    fn state(&self, buffer: usize) -> State {
        self.states[self.root(buffer)]
    }

    fn forbid(&mut self, argument: &Argument) {
        for member in argument.members() {
            let root = self.root(member.0 as usize);
            self.states[root].free = false;
        }
    }

    /// From here on both have one layout.
    fn unite(&mut self, a: PlanBuffer, b: PlanBuffer) {
        let [a, b] = [a, b].map(|buffer| self.root(buffer.0 as usize));
        let equal = self.shapes[a] == self.shapes[b];
        self.states[a].free &= self.states[b].free && equal;
        self.states[a].wanted |= self.states[b].wanted;
        self.states[a].headed |= self.states[b].headed;
        self.same[b] = a;
    }

    /// Finds what stands in the way.
    fn walk(&mut self, steps: &[Step], kernels: &[Kernel]) {
        for step in steps {
            match step {
                Step::Call(call) => self.call(call, kernels),
                Step::Copy { from, to, .. } => {
                    let all = [from.members(), to.members()].concat();
                    all[1..].iter().for_each(|other| self.unite(all[0], *other));
                }
                Step::Check(check) => self.forbid(&check.indices),
                Step::Count { from, .. } => self.forbid(&Argument::Buffer(*from)),
                Step::Loop { condition, body, .. } => {
                    condition.iter().for_each(|flag| self.forbid(flag));
                    self.walk(body, kernels);
                }
                Step::Branch { flag, then, otherwise } => {
                    self.forbid(flag);
                    self.walk(then, kernels);
                    self.walk(otherwise, kernels);
                }
            }
        }
    }

    fn call(&mut self, call: &Call, kernels: &[Kernel]) {
        for (number, argument) in (0..).zip(&call.arguments) {
            let members = argument.members();
            members[1..].iter().for_each(|other| self.unite(members[0], *other));
            let Some(dims) = &self.shapes[members[0].0 as usize] else { continue };
            for variant in &call.variants {
                let kernel = &kernels[variant.kernel.0 as usize];
                let mut accesses = accesses_to(kernel, BufferId(number));
                if !accesses.all(|access| dims_of(kernel, access, dims).is_some()) {
                    self.forbid(argument);
                }
                let headed = accesses_to(kernel, BufferId(number)).any(|access| sums_heads(kernel, access, dims));
                let root = self.root(members[0].0 as usize);
                self.states[root].headed |= headed;
            }
        }
    }

    /// Wants what windows slide over, and what is computed element by element beside it.
    fn spread(&mut self, steps: &[Step], kernels: &[Kernel]) {
        loop {
            let before = self.states.clone();
            each_call(steps, &mut |call| {
                let kernel = &kernels[call.variants[0].kernel.0 as usize];
                let slid = (0..kernel.buffers.len() as u32).map(|i| slides_over(kernel, BufferId(i)));
                let slid: Vec<bool> = slid.collect();
                let buffers = || call.arguments.iter().map(|argument| argument.members()[0].0 as usize);
                let any = slid.contains(&true);
                let from: Vec<usize> = (buffers().zip(&slid))
                    .filter(|(buffer, slid)| self.state(*buffer).is_picture() && (**slid || self.state(*buffer).wanted))
                    .map(|(buffer, _)| buffer)
                    .collect();
                let spreads = any || matches!(kernel.body, Body::Map(_));
                for buffer in buffers() {
                    let rank = |i: usize| self.shapes[i].as_ref().map(Vec::len);
                    let beside = spreads && from.iter().any(|other| rank(*other) == rank(buffer));
                    // A convolution's result is worth it also where the picture that it reads stays as it is.
                    if from.contains(&buffer) || beside || any && rank(buffer).is_some() {
                        let root = self.root(buffer);
                        self.states[root].wanted = true;
                    }
                }
            });
            if before == self.states {
                return;
            }
        }
    }
}

/// `[n, c, y, x]` or `[n, c, t]` with channels enough.
fn is_picture(dims: &[Dim]) -> bool {
    matches!(dims.len(), 3 | 4) && dims[1].as_constant().is_some_and(|channels| channels >= CHANNELS)
}

/// Whether a window slides over a buffer: a coordinate is the sum of a place and a place in the window.
fn slides_over(kernel: &Kernel, buffer: BufferId) -> bool {
    let inner: &[AxisId] = match &kernel.body {
        Body::Contract(contract) => &contract.k,
        Body::Reduce(reduce) => &reduce.over,
        _ => return false,
    };
    let window = |coord: &Coord| match &coord.source {
        Source::Index(index) => {
            let inside = index.terms.iter().filter(|(axis, _)| inner.contains(axis)).count();
            inside > 0 && inside < index.terms.len()
        }
        Source::Value(_) => false,
    };
    kernel.operands.iter().any(|access| access.buffer == buffer && access.coords.iter().any(window))
}

/// Whether a contraction sums over one axis that an access to `[b, head, row, d]` moves along as along heads and d.
fn sums_heads(kernel: &Kernel, access: &Access, dims: &[Dim]) -> bool {
    let (Body::Contract(contract), [_, _, _, inner]) = (&kernel.body, dims) else { return false };
    let halves = |outer: &Coord, other: &Coord| {
        let summed =
            matches!(&other.source, Source::Index(index) if contract.k.iter().any(|axis| index.mentions(*axis)));
        let inside = Coord { stride: outer.stride.clone(), ..other.clone() };
        summed
            && other.stride == Dim::from(1)
            && rejoined(outer, &inside).is_some_and(|(_, div)| Dim::from(div) == *inner)
    };
    access.coords.iter().any(|outer| access.coords.iter().any(|other| halves(outer, other)))
}

/// The coordinate that a quotient and a remainder are of, at the remainder's stride, and what it was divided by.
fn rejoined(quotient: &Coord, remainder: &Coord) -> Option<(Coord, i64)> {
    let (Source::Index(over), Source::Index(below)) = (&quotient.source, &remainder.source) else { return None };
    let div = below.modulus.filter(|_| below.div == 1 && quotient.guard.is_none() && remainder.guard.is_none())?;
    let whole = Index { modulus: None, ..below.clone() };
    let same = *over == Index { div, ..whole.clone() };
    same.then(|| (Coord { source: Source::Index(whole), ..remainder.clone() }, div))
}

/// Joins what two coordinates reach together.
fn rejoin(access: &mut Access) {
    let coords = &access.coords;
    let pairs = (0..coords.len()).flat_map(|i| (0..coords.len()).map(move |j| (i, j)));
    let found = pairs.filter_map(|(i, j)| {
        let (whole, div) = rejoined(&coords[i], &coords[j])?;
        (coords[i].stride == coords[j].stride.clone() * div).then_some((i, j, whole))
    });
    if let Some((i, j, whole)) = found.collect::<Vec<_>>().into_iter().next() {
        access.coords[j] = whole;
        access.coords.remove(i);
    }
}

fn accesses_to(kernel: &Kernel, buffer: BufferId) -> impl Iterator<Item = &Access> {
    let stores = kernel.stores().into_iter().map(|store| &store.access);
    kernel.operands.iter().chain(stores).filter(move |access| access.buffer == buffer)
}

/// The dim that each coordinate of an access moves along, `None` for one that stands still; `None` where a coordinate may
/// leave its dim.
fn dims_of(kernel: &Kernel, access: &Access, dims: &[Dim]) -> Option<Vec<Option<usize>>> {
    if access.base != Dim::from(0) {
        return None;
    }
    let strides = row_major(dims);
    let mut taken = vec![false; dims.len()];
    let mut find = |coord: &Coord| {
        let still = Index::constant(0);
        if matches!(&coord.source, Source::Index(index) if *index == still) {
            return Some(None);
        }
        let fits = |i: &usize| !taken[*i] && strides[*i] == coord.stride && stays_below(kernel, coord, &dims[*i]);
        let dim = (0..dims.len()).filter(fits).min_by_key(|i| dims[*i].as_constant().unwrap_or(i64::MAX))?;
        taken[dim] = true;
        Some(Some(dim))
    };
    access.coords.iter().map(&mut find).collect()
}

/// Whether a coordinate is never `extent` or more.
fn stays_below(kernel: &Kernel, coord: &Coord, extent: &Dim) -> bool {
    if coord.guard.as_ref() == Some(extent) {
        return true;
    }
    let Source::Index(index) = &coord.source else { return false };
    if let Some(modulus) = index.modulus {
        return extent.as_constant().is_some_and(|extent| modulus <= extent);
    }
    if let ([(axis, 1)], 1) = (&index.terms[..], index.div)
        && index.plus == Dim::from(0)
        && kernel.axis(*axis).extent == *extent
    {
        return true;
    }
    let (Some(extent), Some(plus)) = (extent.as_constant(), index.plus.as_constant()) else { return false };
    let reach = index.terms.iter().try_fold(plus, |sum, (axis, c)| {
        let last = kernel.axis(*axis).extent.as_constant()? - 1;
        (*c >= 0 && last >= 0).then(|| sum.checked_add(c.checked_mul(last)?))?
    });
    let reach = reach.filter(|_| plus >= 0);
    let guarded = coord.guard.as_ref().and_then(Dim::as_constant).is_some_and(|guard| guard <= extent);
    guarded || reach.is_some_and(|reach| reach / index.div < extent)
}

fn row_major(dims: &[Dim]) -> Vec<Dim> {
    let mut strides = vec![Dim::from(1); dims.len()];
    for i in (1..dims.len()).rev() {
        strides[i - 1] = strides[i].clone() * &dims[i];
    }
    strides
}

impl Layout {
    /// The dims in the order in which they lie, by number.
    fn order(self, rank: usize) -> Vec<usize> {
        match self {
            Layout::ChannelsLast => std::iter::once(0).chain(2..rank).chain([1]).collect(),
            Layout::HeadsInside => [0, 2, 1].into_iter().chain(3..rank).collect(),
        }
    }

    fn strides(self, dims: &[Dim]) -> Vec<Dim> {
        let order = self.order(dims.len());
        let moved: Vec<Dim> = order.iter().map(|i| dims[*i].clone()).collect();
        let mut strides = vec![Dim::from(1); dims.len()];
        order.into_iter().zip(row_major(&moved)).for_each(|(i, stride)| strides[i] = stride);
        strides
    }
}

/// The kernel with the strides of its buffers' layouts, in the order that suits them.
fn rewritten(kernel: &Kernel, arguments: &[Argument], layouts: &Layouts) -> Kernel {
    let mut new = kernel.clone();
    let mut touched = false;
    let layouts: Vec<_> = arguments.iter().map(|argument| layouts[argument.members()[0].0 as usize].as_ref()).collect();
    axes::each_access(&mut new, &mut |access| {
        let Some((dims, layout)) = layouts[access.buffer.0 as usize] else { return };
        let along = dims_of(kernel, access, dims).expect("the layout was chosen because accesses allow it");
        let strides = layout.strides(dims);
        for (coord, dim) in access.coords.iter_mut().zip(along) {
            if let Some(dim) = dim {
                coord.stride = strides[dim].clone();
            }
        }
        rejoin(access);
        touched = true;
    });
    if touched {
        axes::tidy(&mut new);
    }
    new
}
