//! Weights in panels, as tiles and windows read them, and packed rows side by side, as products with few rows do: laid out
//! once by the build instead of in every call.
//!
//! Invariant: all reads of a constant, in every call of every entry, agree on one form. A constant of f32 that is also read
//! otherwise, as a table that a gather reads too, stays as it is; packed rows keep their element numbers, so that whoever
//! picks elements one by one finds them in either form.

use super::kernels::Kernels;
use super::steps::{each_argument, each_call_mut};
use mlc_codegen::base::{Dim, Interleaved, Storage};
use mlc_codegen::cpu::interleaved::{self, Taste, taste};
use mlc_codegen::cpu::panels::{Panels, wanted};
use mlc_codegen::kernel::{Argument, BufferDef, BufferId, Call, Kernel, KernelId, Place, Plan};
use std::collections::HashMap;

/// How the bytes of a constant are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the graph has them.
    AsIs,
    /// In panels.
    Panels(Panels),
    /// Packed rows side by side.
    Interleaved(Interleaved),
    /// As these bytes: a sparse matrix.
    Bytes(Vec<u8>),
}

/// Gives kernels the forms of constants wherever all their readers can take them; the form of each constant.
pub(super) fn arrange(plan: &mut Plan) -> Vec<Form> {
    let forms = chosen(plan);
    let elements = |form: &Form| match form {
        Form::AsIs | Form::Interleaved(_) | Form::Bytes(_) => None,
        Form::Panels(panels) => Some(panels.elements()),
    };
    let storage = |form: &Form| match form {
        Form::Interleaved(rows) => Some(Storage::Interleaved(*rows)),
        _ => None,
    };
    for (form, row) in forms.iter().zip(&mut plan.constants) {
        *row = (storage(form).unwrap_or(row.0), elements(form).unwrap_or(row.1));
    }
    let (old, mut kernels) = (std::mem::take(&mut plan.kernels), Kernels::default());
    let mut known: HashMap<(KernelId, Vec<LaidOut>), KernelId> = HashMap::new();
    for entry in &mut plan.entries {
        let buffers = &mut entry.buffers;
        each_call_mut(&mut entry.steps, &mut |call| {
            let laid_out = |(buffer, argument): (BufferId, &Argument)| match &forms[constant_of(buffers, argument)?] {
                Form::AsIs | Form::Bytes(_) => None,
                Form::Panels(_) => Some((buffer, None)),
                Form::Interleaved(rows) => Some((buffer, Some(*rows))),
            };
            let packed: Vec<LaidOut> = (0..).map(BufferId).zip(&call.arguments).filter_map(laid_out).collect();
            for variant in &mut call.variants {
                let kernel = &old[variant.kernel.0 as usize];
                let key = (variant.kernel, packed.clone());
                variant.kernel = *known.entry(key).or_insert_with(|| kernels.intern(reading(kernel, &packed)));
            }
        });
        for buffer in buffers {
            if let Place::Constant(constant) = buffer.place {
                let form = &forms[constant as usize];
                buffer.storage = storage(form).unwrap_or(buffer.storage);
                if let Some(elements) = elements(form) {
                    buffer.elements = Dim::from(elements);
                }
            }
        }
    }
    plan.kernels = kernels.finish();
    forms
}

/// A buffer that is read side by side, or else in panels.
type LaidOut = (BufferId, Option<Interleaved>);

/// A kernel that reads some of its buffers as they are laid out.
fn reading(kernel: &Kernel, packed: &[LaidOut]) -> Kernel {
    packed.iter().fold(kernel.clone(), |kernel, (buffer, rows)| match rows {
        Some(rows) => interleaved::reading(&kernel, *buffer, *rows),
        None => wanted(&kernel, *buffer).expect("the form was chosen because kernels can take it").1,
    })
}

/// The constant that an argument's first member is.
fn constant_of(buffers: &[BufferDef], argument: &Argument) -> Option<usize> {
    match buffers[argument.members()[0].0 as usize].place {
        Place::Constant(constant) => Some(constant as usize),
        _ => None,
    }
}

/// The largest set of constants whose readers all take one form.
fn chosen(plan: &Plan) -> Vec<Form> {
    let mut wanted: Vec<Option<Form>> = vec![None; plan.constants.len()];
    let mut asked = HashMap::new();
    // Constants that one argument may be, which therefore have one form.
    let mut together: Vec<Vec<usize>> = Vec::new();
    for entry in &plan.entries {
        each_argument(&entry.steps, &mut |argument, reader| {
            let places = argument.members().iter().map(|member| &entry.buffers[member.0 as usize].place);
            let constants: Vec<usize> = places
                .clone()
                .filter_map(|place| if let Place::Constant(constant) = place { Some(*constant as usize) } else { None })
                .collect();
            if constants.is_empty() {
                return;
            }
            let all = constants.len() == places.len();
            let form = match reader.filter(|_| all) {
                Some((call, buffer)) => form_for(plan, &mut asked, call, buffer),
                None => Some(Form::AsIs),
            };
            for constant in &constants {
                let Some(form) = &form else { continue };
                let fits =
                    !matches!(form, Form::Interleaved(rows) if plan.constants[*constant].1 % rows.elements() != 0);
                let old = wanted[*constant].get_or_insert_with(|| form.clone());
                if old != form || !fits {
                    *old = Form::AsIs;
                }
            }
            together.push(constants);
        });
    }
    let mut forms: Vec<Form> = wanted.into_iter().map(|form| form.unwrap_or(Form::AsIs)).collect();
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for constants in &together {
            if constants.iter().any(|c| forms[*c] == Form::AsIs || forms[*c] != forms[constants[0]]) {
                for constant in constants {
                    changed |= std::mem::replace(&mut forms[*constant], Form::AsIs) != Form::AsIs;
                }
            }
        }
    }
    forms
}

/// What kernels want of their buffers, as far as it was asked; `None` where any form will do.
type Asked = HashMap<(KernelId, BufferId), Option<Form>>;

/// The form in which all variants of a call take a buffer; `None` where any will do.
fn form_for(plan: &Plan, asked: &mut Asked, call: &Call, buffer: BufferId) -> Option<Form> {
    let mut forms = call.variants.iter().filter_map(|variant| {
        let kernel = &plan.kernels[variant.kernel.0 as usize];
        asked.entry((variant.kernel, buffer)).or_insert_with(|| wish(kernel, buffer)).clone()
    });
    let first = forms.next()?;
    Some(if forms.all(|form| form == first) { first } else { Form::AsIs })
}

fn wish(kernel: &Kernel, buffer: BufferId) -> Option<Form> {
    if let Storage::Packed(_) = kernel.buffer(buffer).storage {
        return match taste(kernel, buffer) {
            Taste::Indifferent => None,
            Taste::Refuses => Some(Form::AsIs),
            Taste::Wants(rows) => Some(Form::Interleaved(rows)),
        };
    }
    Some(wanted(kernel, buffer).map_or(Form::AsIs, |(panels, _)| Form::Panels(panels)))
}
