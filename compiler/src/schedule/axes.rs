//! The axes of a kernel in the order in which its buffers lie: none of one position, none apart that move as one, the
//! innermost last.
//!
//! Invariant: the kernel computes the same numbers, but for the order in which a contraction sums over its axes.

use mlc_codegen::base::{Dim, Scalar};
use mlc_codegen::kernel::{Access, AxisId, Body, Coord, Index, Kernel, Loops, Node, Source, Statement, Store};

/// Shows every access of a kernel, reads first.
pub(super) fn each_access(kernel: &mut Kernel, body: &mut dyn FnMut(&mut Access)) {
    kernel.operands.iter_mut().for_each(&mut *body);
    each_store(&mut kernel.body, &mut |store| body(&mut store.access));
}

fn each_store(body: &mut Body, change: &mut dyn FnMut(&mut Store)) {
    match body {
        Body::Map(stores) => stores.iter_mut().for_each(change),
        Body::Reduce(reduce) => reduce.stores.iter_mut().for_each(change),
        Body::Contract(contract) => contract.stores.iter_mut().for_each(change),
        Body::Attention(attention) => attention.stores.iter_mut().for_each(change),
        Body::Loops(Loops { statements, .. }) => statements.iter_mut().for_each(|s| in_statement(s, change)),
    }
}

fn in_statement(statement: &mut Statement, change: &mut dyn FnMut(&mut Store)) {
    match statement {
        Statement::Store(store) => change(store),
        Statement::For { body, .. } | Statement::If { body, .. } => {
            body.iter_mut().for_each(|inner| in_statement(inner, change));
        }
        Statement::SetCell { .. } => {}
    }
}

/// Brings the axes of a map, a reduction or a contraction in order.
pub(super) fn tidy(kernel: &mut Kernel) {
    let Some(mut roles) = roles(kernel) else { return };
    drop_units(kernel, &mut roles);
    exchange_sides(kernel, &mut roles);
    sort(kernel, &mut roles);
    merge(kernel, &mut roles);
    renumber(kernel, &roles);
}

/// The axes by what they are for: rows, or batch, m and n; last those that are summed over.
type Roles = Vec<Vec<AxisId>>;

fn roles(kernel: &Kernel) -> Option<Roles> {
    let all = (0..kernel.axes.len() as u32).map(AxisId);
    match &kernel.body {
        Body::Map(_) => Some(vec![all.collect(), vec![]]),
        Body::Reduce(reduce) => {
            Some(vec![all.filter(|axis| !reduce.over.contains(axis)).collect(), reduce.over.clone()])
        }
        Body::Contract(c) => Some(vec![c.batch.clone(), c.m.clone(), c.n.clone(), c.k.clone()]),
        Body::Attention(_) | Body::Loops(_) => None,
    }
}

/// Axes of one position stand still; each role keeps an axis if it has one.
fn drop_units(kernel: &mut Kernel, roles: &mut Roles) {
    for role in roles {
        let units = |axis: &AxisId| kernel.axis(*axis).extent == Dim::from(1);
        let mut gone: Vec<AxisId> = role.iter().copied().filter(units).collect();
        if gone.len() == role.len() {
            gone.pop();
        }
        role.retain(|axis| !gone.contains(axis));
        each_access(kernel, &mut |access| {
            for coord in &mut access.coords {
                if let Source::Index(index) = &mut coord.source {
                    index.terms.retain(|(axis, _)| !gone.contains(axis));
                }
            }
        });
        for node in &mut kernel.expr.nodes {
            if matches!(node, Node::Position(axis) if gone.contains(axis)) {
                *node = Node::Constant(Scalar::I64(0));
            }
        }
    }
    each_access(kernel, &mut |access| {
        access.coords.retain(|coord| {
            let still = matches!(&coord.source, Source::Index(index) if *index == Index::constant(0));
            !still || coord.guard.is_some()
        });
    });
}

/// What results lie along innermost belongs to the right side, which is read in panels of neighbours.
fn exchange_sides(kernel: &mut Kernel, roles: &mut Roles) {
    let Body::Contract(contract) = &kernel.body else { return };
    let unit = |axes: &[AxisId]| {
        let moves = |axis: &AxisId| contract.stores.iter().all(|s| step(&s.access, *axis) == Some(Dim::from(1)));
        axes.iter().any(moves)
    };
    if !unit(&contract.m) || unit(&contract.n) {
        return;
    }
    roles.swap(1, 2);
    let Body::Contract(contract) = &mut kernel.body else { unreachable!("it is a contraction") };
    std::mem::swap(&mut contract.a, &mut contract.b);
}

/// The distance between neighbours along an axis, where the access moves evenly.
fn step(access: &Access, axis: AxisId) -> Option<Dim> {
    let mut sum = Dim::from(0);
    for coord in &access.coords {
        let Source::Index(index) = &coord.source else { return None };
        match index.terms.iter().find(|(a, _)| *a == axis) {
            Some((_, c)) if index.is_affine() => sum = sum + coord.stride.clone() * *c,
            Some(_) => return None,
            None => {}
        }
    }
    Some(sum)
}

/// The widest steps first: of what is stored for rows, of what the left or only operand reads for what is summed over.
fn sort(kernel: &Kernel, roles: &mut Roles) {
    let stores: Vec<&Access> = kernel.stores().into_iter().map(|store| &store.access).collect();
    let root = match &kernel.body {
        Body::Contract(contract) => Some(contract.a),
        Body::Reduce(reduce) => reduce.folds.first().map(|fold| fold.value),
        _ => None,
    };
    let read: Vec<&Access> = root.map_or(vec![], |root| {
        let nodes = kernel.reachable(&[root]).into_iter();
        let operands = nodes.filter_map(|id| match kernel.expr.nodes[id.0 as usize] {
            Node::Operand(operand) => Some(kernel.operand(operand)),
            _ => None,
        });
        operands.collect()
    });
    let last = roles.len() - 1;
    for (number, role) in roles.iter_mut().enumerate() {
        let accesses = if number == last { &read } else { &stores };
        // Which of two symbolic steps is wider is asked for one size of all dims.
        let wide = |axis: &AxisId| -> i64 {
            let steps = accesses.iter().filter_map(|access| step(access, *axis)?.eval(&[64; 1024]));
            steps.map(i64::abs).filter(|step| *step > 0).min().unwrap_or(0)
        };
        role.sort_by_key(|axis| std::cmp::Reverse(wide(axis)));
    }
}

/// Neighbours in a role that every access moves along as along one axis become one.
fn merge(kernel: &mut Kernel, roles: &mut Roles) {
    for role in roles {
        let mut place = 1;
        while place < role.len() {
            let (outer, inner) = (role[place - 1], role[place]);
            if !one_axis(kernel, outer, inner) {
                place += 1;
                continue;
            }
            let both = kernel.axis(outer).extent.clone() * &kernel.axis(inner).extent;
            kernel.axes[inner.0 as usize].extent = both;
            each_access(kernel, &mut |access| {
                access.coords.retain(|coord| !moves_alone(coord, outer));
            });
            role.remove(place - 1);
        }
    }
}

/// Whether a coordinate is the axis and nothing else.
fn moves_alone(coord: &Coord, axis: AxisId) -> bool {
    coord.guard.is_none() && matches!(&coord.source, Source::Index(index) if *index == Index::axis(axis))
}

fn one_axis(kernel: &Kernel, outer: AxisId, inner: AxisId) -> bool {
    let extent = &kernel.axis(inner).extent;
    let positions =
        kernel.expr.nodes.iter().any(|node| matches!(node, Node::Position(a) if [outer, inner].contains(a)));
    let stores = kernel.stores();
    let mut accesses = kernel.operands.iter().chain(stores.iter().map(|store| &store.access));
    let even = |access: &Access| {
        let mentions = |axis: AxisId| {
            let with = access.coords.iter().filter(|coord| match &coord.source {
                Source::Index(index) => index.mentions(axis),
                Source::Value(_) => false,
            });
            with.collect::<Vec<&Coord>>()
        };
        match (&mentions(outer)[..], &mentions(inner)[..]) {
            ([], []) => true,
            ([a], [b]) => moves_alone(a, outer) && moves_alone(b, inner) && a.stride == b.stride.clone() * extent,
            _ => false,
        }
    };
    !positions && accesses.all(even)
}

/// Numbers the axes in the order of their roles and leaves out those that have none.
fn renumber(kernel: &mut Kernel, roles: &Roles) {
    let order: Vec<AxisId> = roles.iter().flatten().copied().collect();
    let number = |axis: AxisId| {
        let place = order.iter().position(|a| *a == axis).expect("an axis that is mentioned has a role");
        AxisId(place as u32)
    };
    kernel.axes = order.iter().map(|axis| kernel.axis(*axis).clone()).collect();
    each_access(kernel, &mut |access| {
        for coord in &mut access.coords {
            if let Source::Index(index) = &mut coord.source {
                index.terms.iter_mut().for_each(|(axis, _)| *axis = number(*axis));
            }
        }
    });
    for node in &mut kernel.expr.nodes {
        if let Node::Position(axis) = node {
            *axis = number(*axis);
        }
    }
    let renumbered = |role: &[AxisId]| role.iter().map(|axis| number(*axis)).collect::<Vec<_>>();
    match &mut kernel.body {
        Body::Reduce(reduce) => reduce.over = renumbered(&roles[1]),
        Body::Contract(c) => {
            let [batch, m, n, k] = [0, 1, 2, 3].map(|role| renumbered(&roles[role]));
            (c.batch, c.m, c.n, c.k) = (batch, m, n, k);
        }
        Body::Map(_) | Body::Attention(_) | Body::Loops(_) => {}
    }
}
