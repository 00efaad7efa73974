//! Weights that are mostly zeros, stored without them: a pass over the finished plan.
//!
//! A constant becomes sparse when every use of it is one side of a contraction that could be, read alike, and its share of
//! numbers that are not zero is below what `cost` says for the rows of the other side. The members of a family become so
//! together, with room for as many steps each. Everything else stays as it was.

use super::steps::{each_argument, each_call, each_call_mut};
use crate::graph::{ConstantId, Graph, ReadError};
use crate::report::kernels::Zeros;
use mlc_codegen::base::{Dense, Form, Sparse, Storage};
use mlc_codegen::cpu::{Isa, cost};
use mlc_codegen::kernel::{Argument, Call, EntryPlan, Kernel, KernelId, Place, Plan, Right};
use mlc_runtime::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// What the pass did.
#[derive(Debug, Default)]
pub(super) struct Sparsified {
    /// The bytes of constants that are no longer stored as the graph has them, by number in the plan.
    pub(super) bytes: BTreeMap<u32, Vec<u8>>,
    /// What was found about the weights that calls read, by number of the call over all entries.
    pub(super) zeros: Vec<(usize, Zeros)>,
}

/// The form that artifacts are made in, which all levels read, and the level that it is best for.
const FORM: Form = Form::Cached;
const LEVEL: Isa = Isa::Avx2;

/// A call that reads constants through a side that could be sparse.
struct Use {
    /// The call, counted over all entries.
    call: usize,
    kernel: KernelId,
    constants: Vec<u32>,
    right: Right,
}

/// Makes constants of a plan sparse where that pays.
///
/// # Errors
/// A weight that cannot be read.
pub(super) fn sparsify(graph: &Graph, plan: &mut Plan, constants: &[ConstantId]) -> Result<Sparsified, ReadError> {
    let mut made = Sparsified::default();
    let uses = uses(plan);
    let mut stored: BTreeMap<u32, Sparse> = BTreeMap::new();
    for group in groups(plan, &uses) {
        let own: Vec<usize> = (0..uses.len()).filter(|i| group.contains(&uses[*i].constants[0])).collect();
        let rows = |i: usize| uses[i].right.others(&plan.kernels[uses[i].kernel.0 as usize]).as_constant();
        let elements = uses[own[0]].right.rows as usize * uses[own[0]].right.columns.len();
        let limits = own.iter().map(|i| cost::densest(rows(*i), elements, LEVEL));
        let densest = limits.min().expect("a group has a use");
        let density = density(graph, constants, &group)?;
        let sparse = density < f64::from(densest);
        for i in &own {
            let first = constants[uses[*i].constants[0] as usize];
            let constant = graph.constants[first].name.clone();
            made.zeros.push((uses[*i].call, Zeros { constant, density, densest, rows: rows(*i), sparse }));
        }
        if sparse {
            for (number, sparse, bytes) in encoded(graph, constants, &group, &uses[own[0]].right)? {
                stored.insert(number, sparse);
                made.bytes.insert(number, bytes);
            }
        }
    }
    rewrite(plan, &uses, &stored);
    Ok(made)
}

/// The uses that could be sparse, in the order of calls.
fn uses(plan: &Plan) -> Vec<Use> {
    let (mut found, mut call) = (Vec::new(), 0);
    for entry in &plan.entries {
        each_call(&entry.steps, &mut |own| {
            found.extend(use_of(plan, entry, own, call));
            call += 1;
        });
    }
    found
}

fn use_of(plan: &Plan, entry: &EntryPlan, call: &Call, number: usize) -> Option<Use> {
    let [variant] = &call.variants[..] else { return None };
    let kernel = variant.kernel;
    let sides = Right::all_of(&plan.kernels[kernel.0 as usize]).into_iter();
    let mut sides = sides.filter_map(|right| {
        let constants = constants_of(entry, &call.arguments[right.buffer.0 as usize])?;
        Some(Use { call: number, kernel, constants, right })
    });
    sides.next()
}

/// The constants that an argument stands for, where it stands for nothing else.
fn constants_of(entry: &EntryPlan, argument: &Argument) -> Option<Vec<u32>> {
    let constant = |place: &Place| if let Place::Constant(number) = place { Some(*number) } else { None };
    argument.members().iter().map(|member| constant(&entry.buffers[member.0 as usize].place)).collect()
}

/// Sets of constants that become sparse together or not at all: all their uses could be, and are alike.
fn groups(plan: &Plan, uses: &[Use]) -> Vec<BTreeSet<u32>> {
    let mut groups: Vec<BTreeSet<u32>> = Vec::new();
    for u in uses {
        let mut joined: BTreeSet<u32> = u.constants.iter().copied().collect();
        let (touching, others) = groups.into_iter().partition(|group| !group.is_disjoint(&joined));
        groups = others;
        joined.extend(touching.into_iter().flat_map(|group: BTreeSet<u32>| group));
        groups.push(joined);
    }
    let otherwise = used_otherwise(plan);
    groups.retain(|group| {
        let mut rights = uses.iter().filter(|u| group.contains(&u.constants[0])).map(|u| &u.right);
        let first = rights.next().expect("a group has a use");
        let alike = rights.all(|r| (r.rows, r.by_row, &r.columns) == (first.rows, first.by_row, &first.columns));
        let elements = first.rows as usize * first.columns.len();
        let whole = |number: &u32| {
            let count = usize::try_from(plan.constants[*number as usize].1).ok();
            count == Some(elements) && first.reach() == count
        };
        alike && elements >= cost::LEAST && group.iter().all(whole) && group.is_disjoint(&otherwise)
    });
    groups
}

/// The constants that something beside uses reads.
fn used_otherwise(plan: &Plan) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for entry in &plan.entries {
        each_argument(&entry.steps, &mut |argument, reader| {
            let own = reader.and_then(|(call, buffer)| Some(use_of(plan, entry, call, 0)?.right.buffer == buffer));
            if own != Some(true) {
                let places = argument.members().iter().map(|member| &entry.buffers[member.0 as usize].place);
                found.extend(places.filter_map(|place| match place {
                    Place::Constant(number) => Some(*number),
                    _ => None,
                }));
            }
        });
    }
    found
}

/// The greatest share, in percent, of numbers that are not zero.
fn density(graph: &Graph, constants: &[ConstantId], group: &BTreeSet<u32>) -> Result<f64, ReadError> {
    let mut most: f64 = 0.0;
    for number in group {
        let tensor = graph.numbers(constants[*number as usize])?;
        let numbers = numbers(&tensor);
        let found = numbers.iter().filter(|number| **number != 0.0).count();
        most = most.max(found as f64 / numbers.len().max(1) as f64 * 100.0);
    }
    Ok(most)
}

fn numbers(tensor: &Tensor) -> &[f32] {
    tensor.as_slice().expect("a constant that is read as f32 holds them")
}

/// The matrices of a group, with as many steps each.
fn encoded(
    graph: &Graph,
    constants: &[ConstantId],
    group: &BTreeSet<u32>,
    right: &Right,
) -> Result<Vec<(u32, Sparse, Vec<u8>)>, ReadError> {
    let mut made = Vec::new();
    for number in group {
        let tensor = graph.numbers(constants[*number as usize])?;
        let dense = Dense { numbers: numbers(&tensor), by_row: right.by_row, columns: &right.columns };
        let (sparse, bytes) = Sparse::encode(right.rows, FORM, dense);
        made.push((*number, sparse, bytes));
    }
    let steps = made.iter().map(|(_, sparse, _)| sparse.steps).max().expect("a group has a constant");
    let wider = made.into_iter().map(|(number, sparse, bytes)| match sparse.steps == steps {
        true => (number, sparse, bytes),
        false => {
            let (sparse, bytes) = sparse.with_room(&bytes, steps);
            (number, sparse, bytes)
        }
    });
    Ok(wider.collect())
}

/// Gives the plan the new storages: its constants, its buffers, and kernels that read them. Kernels that nothing calls any
/// more go.
fn rewrite(plan: &mut Plan, uses: &[Use], stored: &BTreeMap<u32, Sparse>) {
    if stored.is_empty() {
        return;
    }
    for (number, sparse) in stored {
        plan.constants[*number as usize].0 = Storage::Sparse(*sparse);
    }
    let old = plan.kernels.len();
    let (kernels, mut call) = (&mut plan.kernels, 0);
    for entry in &mut plan.entries {
        for buffer in &mut entry.buffers {
            if let Place::Constant(number) = buffer.place
                && let Some(sparse) = stored.get(&number)
            {
                buffer.storage = Storage::Sparse(*sparse);
            }
        }
        each_call_mut(&mut entry.steps, &mut |own| {
            if let Some(u) = uses.iter().find(|u| u.call == call)
                && let Some(sparse) = stored.get(&u.constants[0])
            {
                let new = u.right.sparse(&kernels[u.kernel.0 as usize], *sparse);
                own.variants[0].kernel = interned(kernels, old, new);
            }
            call += 1;
        });
    }
    remove_unused(plan);
}

/// The number of a kernel among those from `first` on, perhaps of an equal one.
fn interned(kernels: &mut Vec<Kernel>, first: usize, kernel: Kernel) -> KernelId {
    let found = kernels[first..].iter().position(|other| *other == kernel);
    let number = found.map_or(kernels.len(), |place| first + place);
    if found.is_none() {
        kernels.push(kernel);
    }
    KernelId(number as u32)
}

fn remove_unused(plan: &mut Plan) {
    let mut used: Vec<KernelId> = vec![];
    let mut entries = std::mem::take(&mut plan.entries);
    for entry in &mut entries {
        each_call_mut(&mut entry.steps, &mut |call| {
            for variant in &mut call.variants {
                let known = used.iter().position(|kernel| *kernel == variant.kernel);
                let number = known.unwrap_or(used.len());
                if known.is_none() {
                    used.push(variant.kernel);
                }
                variant.kernel = KernelId(number as u32);
            }
        });
    }
    plan.entries = entries;
    plan.kernels = used.iter().map(|kernel| plan.kernels[kernel.0 as usize].clone()).collect();
}
