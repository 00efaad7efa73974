//! Folds over small windows in wide vectors along channels: depthwise convolutions, pools, and what follows them.
//!
//! A kernel is taken where its channels lie side by side in what it reads and writes, and its windows have few places, all
//! known. A leaf computes a tile of neighbours for all channels; which places of their windows lie outside is written into
//! it, so that there is a leaf for each way in which a tile meets the borders, and no number is guarded by itself.
//! The last tile of a row and the last vector of channels begin earlier where they would not be whole: what two tiles
//! compute is the same, bit by bit, and both belong to one part.

use super::address::{Motion, motion};
use super::chain::{POINTERS, byte_of, computes, is_word};
use super::driver::Driver;
use super::epilogue::{Epilogue, constant_step, lies_along_of_bytes};
use super::left::Runs;
use super::select::{Isa, is_unit};
use super::window_leaf;
use super::x86::Width;
use crate::base::{DType, Dim, Storage};
use crate::kernel::{
    Access, AxisId, Binary, Body, Coord, ExprId, Fold, FoldKind, Index, Kernel, Node, OperandId, Reduce, Role, Source,
    Types,
};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, I8};
use cranelift_codegen::ir::{InstBuilder, Value};

/// Windows of more places are folded in loops.
const MOST_TAPS: i64 = 160;

/// Numbers side by side that are worth bringing to a row with others.
const LONG_RUN: i64 = 24;

/// The same of bytes, which tiles multiply faster than lanes do.
const LONG_RUN_OF_BYTES: i64 = 8;

/// At most so many leaves for one kernel.
const MOST_LEAVES: usize = 32;

/// Neighbours that a tile may hold, the fastest first where all else is equal; the greatest where a number that is read
/// serves two vectors of channels.
const TILES: [i64; 5] = [4, 5, 3, 2, 1];
const WIDE_TILE: i64 = 6;

/// What a window reads.
pub(super) struct Read {
    pub(super) node: ExprId,
    pub(super) operand: OperandId,
    /// Whether it differs between channels.
    pub(super) varies: bool,
    /// Whether its channels do not lie side by side, so that it is laid out `[tap][channel]` in scratch first.
    packed: bool,
    /// The type of its numbers where they are bytes.
    pub(super) byte: Option<DType>,
    /// Elements from the first place of the first window to that of each tap, and to the next window.
    pub(super) taps: Vec<i64>,
    pub(super) next: i64,
}

impl Read {
    /// Bytes of a number.
    pub(super) fn size(&self) -> i64 {
        if self.byte.is_some() { 1 } else { 4 }
    }
}

/// How a kernel runs.
pub(super) struct WindowPlan<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) types: Types,
    /// What is folded: f32, or i32 of bytes.
    pub(super) dtype: DType,
    pub(super) reduce: &'k Reduce,
    pub(super) width: Width,
    /// The axis of the lanes, and its extent.
    lanes: AxisId,
    channels: i64,
    /// Vectors of channels that a tile takes together.
    pub(super) together: i64,
    /// The axis of a tile's neighbours, and its extent.
    along: Option<AxisId>,
    length: i64,
    /// The other axes of the result.
    outer: Vec<AxisId>,
    /// The one of them that guards depend on, and where the guards change along it.
    across: Option<AxisId>,
    pub(super) reads: Vec<Read>,
    /// Nodes of the fold's value.
    pub(super) value_nodes: Vec<ExprId>,
    pub(super) epilogue: Epilogue<'k>,
    /// The leaves, by run of `across` and group of tiles.
    tile: i64,
    runs: Vec<i64>,
    groups: Vec<i64>,
    leaves: Vec<Vec<u8>>,
}

/// Which taps of which reads lie inside, of one guarded direction.
pub(super) type Inside = Vec<Vec<bool>>;

impl<'k> WindowPlan<'k> {
    /// `None` where the loops are as good or the only way.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Reduce(reduce) = &kernel.body else { return None };
        let (width, types) = (isa.wide()?, kernel.types().ok()?);
        let [fold] = &reduce.folds[..] else { return None };
        let dtype = types.of(fold.value);
        if !matches!(dtype, DType::F32 | DType::I32) {
            return None;
        }
        let taps = positions(kernel, &reduce.over)?;
        let rows: Vec<AxisId> =
            (0..kernel.axes.len() as u32).map(AxisId).filter(|a| !reduce.over.contains(a)).collect();
        let side_by_side = |axis: &&AxisId| {
            let mut stores = reduce.stores.iter();
            stores.all(|store| lies_along_of_bytes(kernel, &types, store, **axis, &reduce.over))
        };
        let lanes = *rows.iter().rev().find(side_by_side)?;
        let channels = kernel.axis(lanes).extent.as_constant().filter(|channels| *channels >= width.lanes())?;
        let fixed_extent = |axis: &&AxisId| kernel.axis(**axis).extent.as_constant().is_some_and(|extent| extent > 0);
        let along = rows.iter().rev().filter(|axis| **axis != lanes).find(fixed_extent).copied();
        let length = along.map_or(1, |axis| kernel.axis(axis).extent.as_constant().unwrap_or(1));
        let outer: Vec<AxisId> = rows.iter().copied().filter(|axis| *axis != lanes && Some(*axis) != along).collect();
        let value_nodes = kernel.reachable(&[fold.value]);
        let tile: Vec<AxisId> = along.into_iter().collect();
        let epilogue = Epilogue::of_bytes(kernel, &types, &reduce.stores, lanes, &tile, &reduce.over)?;
        let mut plan = WindowPlan {
            kernel,
            types,
            dtype,
            reduce,
            width,
            lanes,
            channels,
            together: 1,
            along,
            length,
            across: None,
            outer,
            reads: vec![],
            value_nodes,
            epilogue,
            tile: 1,
            runs: vec![],
            groups: vec![],
            leaves: vec![],
        };
        plan.find_reads(&taps)?;
        let shared = plan.reads.iter().any(|read| !read.varies) && channels % (2 * width.lanes()) == 0;
        plan.together = if shared { 2 } else { 1 };
        let pointers = plan.reads.len() + plan.epilogue.moves().count();
        let found = pointers <= POINTERS && plan.find_across()? && plan.make_leaves(&taps);
        found.then_some(plan)
    }

    /// The axis of the lanes.
    pub(super) fn lanes(&self) -> AxisId {
        self.lanes
    }

    /// Channels of a step.
    fn step(&self) -> i64 {
        self.width.lanes() * self.together
    }

    /// For each pointer of a leaf, the bytes that it moves by with a channel.
    pub(super) fn sizes(&self) -> impl Iterator<Item = i64> {
        let reads = self.reads.iter().map(|read| if read.varies { read.size() } else { 0 });
        reads.chain(self.epilogue.sizes(self.kernel))
    }

    /// Bytes of scratch for each part.
    pub(super) fn scratch(&self) -> Dim {
        let packed = self.reads.iter().filter(|read| read.packed);
        Dim::from(packed.map(|read| read.taps.len() as i64 * self.channels * read.size()).sum::<i64>())
    }

    fn find_reads(&mut self, taps: &[Vec<i64>]) -> Option<()> {
        let all = &self.kernel.expr.nodes;
        for id in self.value_nodes.clone() {
            if !is_word(self.types.of(id)) {
                return None;
            }
            let operand = match &all[id.0 as usize] {
                Node::Operand(operand) => *operand,
                Node::Constant(_) => continue,
                node if computes(node, &self.types) => continue,
                _ => return None,
            };
            let read = self.read(id, operand, taps)?;
            self.reads.push(read);
        }
        (!self.reads.is_empty()).then_some(())
    }

    fn read(&self, node: ExprId, operand: OperandId, taps: &[Vec<i64>]) -> Option<Read> {
        let (kernel, access) = (self.kernel, self.kernel.operand(operand));
        let buffer = kernel.buffer(access.buffer);
        let byte = byte_of(kernel, access);
        let plain = byte.is_some() || buffer.storage == Storage::Plain(DType::F32);
        if !plain || buffer.role != Role::Read || access.values().next().is_some() {
            return None;
        }
        let lanes = match motion(kernel, access, self.lanes) {
            Motion::Fixed => 0,
            Motion::Step(step) => step.as_constant()?,
            Motion::Free => return None,
        };
        let steps: Vec<i64> =
            (self.reduce.over.iter()).map(|axis| constant_step(kernel, access, *axis)).collect::<Option<_>>()?;
        let packed = !matches!(lanes, 0 | 1);
        let constant = access.coords.iter().all(|coord| coord.guard.is_none())
            && self.along.iter().chain(&self.outer).all(|axis| !kernel.access_mentions(access, *axis));
        if packed && !constant {
            return None;
        }
        let offset = |(number, tap): (usize, &Vec<i64>)| match packed {
            true => number as i64 * self.channels,
            false => tap.iter().zip(&steps).map(|(place, step)| place * step).sum(),
        };
        let taps = taps.iter().enumerate().map(offset).collect();
        Some(Read { node, operand, varies: lanes != 0, packed, byte, taps, next: self.next(access)? })
    }

    /// Elements from one neighbour of a tile to the next.
    fn next(&self, access: &Access) -> Option<i64> {
        self.along.map_or(Some(0), |axis| constant_step(self.kernel, access, axis))
    }

    /// Guards depend on places in the window and on one axis at most; those on another than `along` all on the same.
    fn find_across(&mut self) -> Option<bool> {
        let mut across = None;
        for read in &self.reads {
            for coord in self.kernel.operand(read.operand).coords.iter().filter(|coord| coord.guard.is_some()) {
                let Source::Index(index) = &coord.source else { return None };
                coord.guard.as_ref()?.as_constant()?;
                index.plus.as_constant()?;
                let mut other = index.terms.iter().map(|(axis, _)| *axis).filter(|a| !self.reduce.over.contains(a));
                match (other.next(), other.next()) {
                    (None, _) => {}
                    (Some(axis), None) if Some(axis) == self.along => {}
                    (Some(axis), None) if axis != self.lanes && across.is_none_or(|a| a == axis) => across = Some(axis),
                    _ => return Some(false),
                }
            }
        }
        self.across = across;
        Some(across.is_none_or(|axis| self.kernel.axis(axis).extent.as_constant().is_some()))
    }

    /// Whether the guards of `coords` hold, of each read at each tap, with the axis at a position.
    fn inside(&self, taps: &[Vec<i64>], axis: Option<AxisId>, position: i64, of_axis: bool) -> Inside {
        let along = |index: &Index| self.along.is_some_and(|along| index.mentions(along));
        let holds = |coord: &Coord, tap: &Vec<i64>| {
            let (Source::Index(index), Some(guard)) = (&coord.source, &coord.guard) else { return true };
            if along(index) != of_axis {
                return true;
            }
            let at = |a: AxisId| match self.reduce.over.iter().position(|over| *over == a) {
                Some(place) => tap[place],
                None if Some(a) == axis => position,
                None => 0,
            };
            let sum = index.terms.iter().fold(index.plus.as_constant().unwrap_or(0), |sum, (a, c)| sum + c * at(*a));
            let quotient = sum.div_euclid(index.div);
            let place = index.modulus.map_or(quotient, |modulus| quotient.rem_euclid(modulus));
            (0..guard.as_constant().unwrap_or(0)).contains(&place)
        };
        let of_read = |read: &Read| {
            let coords = &self.kernel.operand(read.operand).coords;
            taps.iter().map(|tap| coords.iter().all(|coord| holds(coord, tap))).collect()
        };
        self.reads.iter().map(of_read).collect()
    }

    /// Finds how tiles meet the borders, and the widest tile whose leaves fit the registers.
    fn make_leaves(&mut self, taps: &[Vec<i64>]) -> bool {
        let height = self.across.map_or(1, |axis| self.kernel.axis(axis).extent.as_constant().unwrap_or(1));
        let rows: Vec<Inside> = (0..height).map(|at| self.inside(taps, self.across, at, false)).collect();
        let places: Vec<Inside> = (0..self.length).map(|at| self.inside(taps, self.along, at, true)).collect();
        let starts = |all: &mut dyn Iterator<Item = bool>| -> Vec<i64> {
            (0..).zip(all).filter(|(_, differs)| *differs).map(|(at, _)| at).collect()
        };
        self.runs = starts(&mut (0..rows.len()).map(|i| i == 0 || rows[i] != rows[i - 1]));
        let wide = (self.together > 1).then_some(WIDE_TILE);
        let mut tiles: Vec<i64> = wide.into_iter().chain(TILES).filter(|tile| *tile <= self.length).collect();
        // A tile costs its folds and, about three quarters of one more, what it reads anew.
        tiles.sort_by_key(|tile| (self.length + tile - 1) / tile * (4 * tile + 3));
        for tile in tiles {
            let count = (self.length + tile - 1) / tile;
            let of_tile = |i: i64| {
                let first = (i * tile).min(self.length - tile) as usize;
                &places[first..first + tile as usize]
            };
            self.groups = starts(&mut (0..count).map(|i| i == 0 || of_tile(i) != of_tile(i - 1)));
            self.tile = tile;
            if self.runs.len() * self.groups.len() > MOST_LEAVES {
                return false;
            }
            let made: Option<Vec<Vec<u8>>> = (self.runs.iter())
                .flat_map(|run| self.groups.iter().map(move |group| (run, group)))
                .map(|(run, group)| window_leaf::emit(self, &rows[*run as usize], of_tile(*group)).ok())
                .collect();
            if let Some(made) = made {
                self.leaves = made;
                return true;
            }
        }
        false
    }
}

/// A contraction over few places of a picture, as the fold that it is: a convolution of few channels, whose rows are not
/// worth bringing together.
pub(super) fn as_window(kernel: &Kernel) -> Option<Kernel> {
    let Body::Contract(contract) = &kernel.body else { return None };
    let slides = |coord: &Coord| match &coord.source {
        Source::Index(index) => {
            let inside = |axis: &AxisId| contract.k.contains(axis) && !is_unit(kernel, &[*axis]);
            let inside = index.terms.iter().filter(|(axis, _)| inside(axis)).count();
            inside > 0 && inside < index.terms.len()
        }
        Source::Value(_) => false,
    };
    let sliding = kernel.operands.iter().any(|access| access.coords.iter().any(slides));
    let run = if contract.accumulator == DType::F32 { LONG_RUN } else { LONG_RUN_OF_BYTES };
    let long = |side: ExprId| match kernel.expr.nodes[side.0 as usize] {
        Node::Operand(operand) => Runs::new(kernel, kernel.operand(operand), &contract.k)
            .is_some_and(|runs| runs.length >= run && kernel.operand(operand).coords.iter().any(slides)),
        _ => false,
    };
    let plain = |side: ExprId| match kernel.expr.nodes[side.0 as usize] {
        Node::Operand(operand) => {
            contract.accumulator == DType::F32 || byte_of(kernel, kernel.operand(operand)).is_some()
        }
        _ => contract.accumulator == DType::F32,
    };
    if !sliding || !matches!(contract.accumulator, DType::F32 | DType::I32) || long(contract.a) {
        return None;
    }
    let mut window = kernel.clone();
    let types = kernel.types().ok()?;
    if [contract.a, contract.b].iter().any(|side| types.of(*side) != contract.accumulator || !plain(*side)) {
        return None;
    }
    let value = window.expr.binary(Binary::Mul, contract.a, contract.b);
    window.expr.nodes.iter_mut().filter(|node| **node == Node::Accumulator).for_each(|node| *node = Node::Cell(0));
    let folds = vec![Fold { kind: FoldKind::Sum, value }];
    window.body = Body::Reduce(Reduce { over: contract.k.clone(), folds, stores: contract.stores.clone() });
    Some(window)
}

/// Every position of axes whose extents are known and few, the last axis fastest.
fn positions(kernel: &Kernel, axes: &[AxisId]) -> Option<Vec<Vec<i64>>> {
    let mut all = vec![vec![]];
    for axis in axes {
        let extent = kernel.axis(*axis).extent.as_constant().filter(|extent| (1..=MOST_TAPS).contains(extent))?;
        let longer = |place: &Vec<i64>| {
            let place = place.clone();
            (0..extent).map(move |i| [&place[..], &[i]].concat())
        };
        all = all.iter().flat_map(longer).collect();
        if all.len() as i64 > MOST_TAPS {
            return None;
        }
    }
    Some(all)
}

/// Emits the loops around the leaves.
pub(super) fn lower(d: &mut Driver, plan: &WindowPlan) {
    d.find_unstable();
    d.enter_lanes(None, false);
    let packed = pack(d, plan);
    let (vectors, rest) = (plan.channels / plan.step(), plan.channels % plan.step());
    let mut extents: Vec<Value> = plan.outer.iter().map(|axis| d.extent(*axis)).collect();
    let all_vectors = d.integer(vectors);
    // A last vector that begins earlier belongs to the part of the others.
    let splits = rest == 0 || plan.outer.is_empty();
    if splits {
        extents.push(d.integer(if rest == 0 { vectors } else { 1 }));
    }
    let ranges = d.shares(&extents);
    let channels = match (rest, splits) {
        (0, _) => ranges[plan.outer.len()],
        (_, true) => {
            let zero = d.integer(0);
            let (from, to) = ranges[0];
            let some = d.b.ins().icmp(IntCC::SignedLessThan, from, to);
            (zero, d.b.ins().select(some, all_vectors, zero))
        }
        (_, false) => (d.integer(0), all_vectors),
    };
    let leaves: Vec<_> = plan.leaves.iter().map(|bytes| d.leaf(bytes.clone(), 2)).collect();
    let list = d.stack((plan.reads.len() + plan.epilogue.moves().count()) * 8);
    let block = d.stack(plan.epilogue.fixed.len().max(1) * 4);
    let tiles = d.integer((plan.length + plan.tile - 1) / plan.tile);
    let some = d.b.ins().icmp(IntCC::SignedLessThan, channels.0, channels.1);
    d.when(some, &mut |d| {
        d.each_in(&plan.outer, &ranges[..plan.outer.len()], &mut |d| {
            d.forget();
            for (i, id) in (0..).zip(&plan.epilogue.fixed) {
                let value = d.uniform(*id);
                d.write(value, block, i * 4);
            }
            let row = plan.across.map(|axis| d.positions[axis.0 as usize].expect("bound by the loop"));
            let run = which(d, row, &plan.runs);
            let zero = d.integer(0);
            d.each(zero, tiles, 1, &mut |d, tile| {
                let group = which(d, Some(tile), &plan.groups);
                let chosen = d.times(run, plan.groups.len() as i64);
                let chosen = d.b.ins().iadd(chosen, group);
                place(d, plan, tile, channels.0);
                let pointers = pointers(d, plan, &packed, block);
                let count = d.b.ins().isub(channels.1, channels.0);
                call(d, &leaves, chosen, &pointers, list, count);
                if rest > 0 {
                    let one = d.integer(1);
                    let skipped = plan.channels - plan.step();
                    let moved: Vec<(Value, i64)> =
                        pointers.iter().map(|(at, size)| (d.b.ins().iadd_imm_s(*at, skipped * size), *size)).collect();
                    call(d, &leaves, chosen, &moved, list, one);
                }
            });
        });
    });
}

/// The number of the last of sorted `starts` that a position is not below.
fn which(d: &mut Driver, position: Option<Value>, starts: &[i64]) -> Value {
    let mut number = d.integer(0);
    let Some(position) = position else { return number };
    for start in &starts[1..] {
        let reached = d.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, position, *start);
        let reached = d.b.ins().uextend(cranelift_codegen::ir::types::I64, reached);
        number = d.b.ins().iadd(number, reached);
    }
    number
}

/// Binds the axes to the first place of a tile and of its windows.
fn place(d: &mut Driver, plan: &WindowPlan, tile: Value, vector: Value) {
    let zero = d.integer(0);
    if let Some(axis) = plan.along {
        let first = d.times(tile, plan.tile);
        let last = d.integer(plan.length - plan.tile);
        d.positions[axis.0 as usize] = Some(d.b.ins().smin(first, last));
    }
    let channel = d.times(vector, plan.step());
    d.positions[plan.lanes.0 as usize] = Some(channel);
    plan.reduce.over.iter().for_each(|axis| d.positions[axis.0 as usize] = Some(zero));
    d.forget();
}

/// Pointers to what a leaf reads and writes, and the bytes that each moves by with a channel.
fn pointers(d: &mut Driver, plan: &WindowPlan, packed: &[Option<Value>], block: Value) -> Vec<(Value, i64)> {
    let at = |d: &mut Driver, access: &Access| {
        let (element, _) = d.element(access, None);
        d.address(access, element)
    };
    let mut pointers = Vec::new();
    for (read, packed) in plan.reads.iter().zip(packed) {
        let pointer = match packed {
            Some(packed) => {
                let channel = d.positions[plan.lanes.0 as usize].expect("just bound");
                let bytes = d.times(channel, read.size());
                d.offset(*packed, bytes)
            }
            None => at(d, plan.kernel.operand(read.operand)),
        };
        pointers.push(pointer);
    }
    for (_, operand, _) in &plan.epilogue.rows {
        pointers.push(at(d, plan.kernel.operand(*operand)));
    }
    if !plan.epilogue.fixed.is_empty() {
        pointers.push(block);
    }
    for store in &plan.reduce.stores {
        pointers.push(at(d, &store.access));
    }
    pointers.into_iter().zip(plan.sizes()).collect()
}

/// Runs the chosen leaf.
fn call(
    d: &mut Driver,
    leaves: &[cranelift_codegen::ir::FuncRef],
    chosen: Value,
    pointers: &[(Value, i64)],
    list: Value,
    count: Value,
) {
    (0..).zip(pointers).for_each(|(i, (pointer, _))| d.write(*pointer, list, i * 8));
    let end = d.b.create_block();
    for (number, leaf) in leaves.iter().enumerate() {
        let last = number + 1 == leaves.len();
        let (this, next) = (d.b.create_block(), if last { end } else { d.b.create_block() });
        if last {
            d.b.ins().jump(this, &[]);
        } else {
            let is_it = d.b.ins().icmp_imm_s(IntCC::Equal, chosen, number as i64);
            d.b.ins().brif(is_it, this, &[], next, &[]);
        }
        d.b.switch_to_block(this);
        d.b.ins().call(*leaf, &[count, list]);
        d.b.ins().jump(end, &[]);
        d.b.switch_to_block(next);
    }
}

/// Lays reads out `[tap][channel]` whose channels lie apart; gives where each is.
fn pack(d: &mut Driver, plan: &WindowPlan) -> Vec<Option<Value>> {
    let bytes = d.dim(&plan.scratch());
    let mine = d.b.ins().imul(bytes, d.part);
    let mut free = d.offset(d.buffers[plan.kernel.buffers.len()], mine);
    let mut places = Vec::new();
    let zero = d.integer(0);
    for read in &plan.reads {
        if !read.packed {
            places.push(None);
            continue;
        }
        places.push(Some(free));
        let access = plan.kernel.operand(read.operand);
        let rows = plan.along.iter().chain(&plan.outer);
        rows.for_each(|axis| d.positions[axis.0 as usize] = Some(zero));
        let mut next = free;
        let axes: Vec<AxisId> = plan.reduce.over.clone();
        let channels = d.integer(plan.channels);
        let start = free;
        d.each_position(&axes, &mut |d| {
            let mut tap = d.integer(0);
            for axis in &axes {
                let extent = d.extent(*axis);
                let moved = d.b.ins().imul(tap, extent);
                tap = d.b.ins().iadd(moved, d.positions[axis.0 as usize].expect("bound by the loop"));
            }
            let skipped = d.times(tap, plan.channels * read.size());
            let row = d.offset(start, skipped);
            d.each(zero, channels, 1, &mut |d, channel| {
                d.positions[plan.lanes.0 as usize] = Some(channel);
                let (element, _) = d.element(access, None);
                let from = d.address(access, element);
                let number = d.read(if read.byte.is_some() { I8 } else { F32 }, from, 0);
                let bytes = d.times(channel, read.size());
                let to = d.offset(row, bytes);
                d.write(number, to, 0);
            });
        });
        next = d.b.ins().iadd_imm_s(next, read.taps.len() as i64 * plan.channels * read.size());
        free = next;
    }
    places
}
