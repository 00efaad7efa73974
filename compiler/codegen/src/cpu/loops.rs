//! Statements to control flow.

use super::driver::{Driver, register};
use crate::base::Scalar;
use crate::kernel::{Body, Statement};
use cranelift_codegen::ir::InstBuilder;

/// Emits a kernel whose body is `Loops`.
pub(super) fn lower(d: &mut Driver) {
    let Body::Loops(loops) = &d.kernel.body else { unreachable!("the caller desugared") };
    for dtype in &loops.cells {
        let cell = d.b.declare_var(register(*dtype));
        let zero = d.constant(Scalar::zero(*dtype));
        d.b.def_var(cell, zero);
        d.cells.push(cell);
    }
    if let [only @ Statement::For { parallel: true, .. }] = &loops.statements[..] {
        return emit(d, only, true);
    }
    let first = d.b.ins().icmp_imm_s(cranelift_codegen::ir::condcodes::IntCC::Equal, d.part, 0);
    d.when(first, &mut |d| loops.statements.iter().for_each(|s| emit(d, s, false)));
}

fn emit(d: &mut Driver, statement: &Statement, split: bool) {
    match statement {
        Statement::For { axis, body, .. } => {
            d.each_position(*axis, split, &mut |d| body.iter().for_each(|s| emit(d, s, false)));
        }
        Statement::If { condition, body } => {
            let condition = d.values(&[*condition])[0];
            d.when(condition, &mut |d| body.iter().for_each(|s| emit(d, s, false)));
        }
        Statement::SetCell { cell, value } => {
            let value = d.values(&[*value])[0];
            d.b.def_var(d.cells[*cell as usize], value);
        }
        Statement::Store(store) => {
            let mut roots = vec![store.value];
            roots.extend(store.access.values());
            let values = d.values(&roots);
            let places: Vec<_> = roots[1..].iter().zip(&values[1..]).map(|(id, v)| d.position_value(*id, *v)).collect();
            d.store(store, values[0], &places);
        }
    }
}
