//! Weights in panels, as tiles and windows read them: packed once by the build instead of in every call.
//!
//! Invariant: all reads of a constant, in every call of every entry, agree on one form; a constant that is also read
//! otherwise, as a table that a gather reads too, stays as it is.

use super::kernels::Kernels;
use super::steps::{each_argument, each_call_mut};
use mlc_codegen::base::Dim;
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
    /// As these bytes: a sparse matrix.
    Bytes(Vec<u8>),
}

/// Gives kernels the panels of constants wherever all their readers can take them; the form of each constant.
pub(super) fn arrange(plan: &mut Plan) -> Vec<Form> {
    let forms = chosen(plan);
    let elements = |form: &Form| match form {
        Form::AsIs | Form::Bytes(_) => None,
        Form::Panels(panels) => Some(panels.elements()),
    };
    for (form, row) in forms.iter().zip(&mut plan.constants) {
        row.1 = elements(form).unwrap_or(row.1);
    }
    let (old, mut kernels) = (std::mem::take(&mut plan.kernels), Kernels::default());
    let mut known: HashMap<(KernelId, Vec<BufferId>), KernelId> = HashMap::new();
    for entry in &mut plan.entries {
        let buffers = &mut entry.buffers;
        each_call_mut(&mut entry.steps, &mut |call| {
            let packed = |argument: &Argument| constant_of(buffers, argument).is_some_and(|c| forms[c] != Form::AsIs);
            let packed = (0..).map(BufferId).zip(&call.arguments).filter(|(_, argument)| packed(argument));
            let packed: Vec<BufferId> = packed.map(|(buffer, _)| buffer).collect();
            for variant in &mut call.variants {
                let kernel = &old[variant.kernel.0 as usize];
                let key = (variant.kernel, packed.clone());
                variant.kernel = *known.entry(key).or_insert_with(|| kernels.intern(reading(kernel, &packed)));
            }
        });
        for buffer in buffers {
            if let Place::Constant(constant) = buffer.place
                && let Some(elements) = elements(&forms[constant as usize])
            {
                buffer.elements = Dim::from(elements);
            }
        }
    }
    plan.kernels = kernels.finish();
    forms
}

/// A kernel that reads some of its buffers in panels.
fn reading(kernel: &Kernel, packed: &[BufferId]) -> Kernel {
    packed.iter().fold(kernel.clone(), |kernel, buffer| {
        let (_, laid_out) = wanted(&kernel, *buffer).expect("the form was chosen because kernels can take it");
        laid_out
    })
}

/// The constant that an argument's first member is.
fn constant_of(buffers: &[BufferDef], argument: &Argument) -> Option<usize> {
    match buffers[argument.members()[0].0 as usize].place {
        Place::Constant(constant) => Some(constant as usize),
        _ => None,
    }
}

/// The largest set of constants that every reader takes in panels.
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
            let form = reader.filter(|_| all).and_then(|(call, buffer)| form_for(plan, &mut asked, call, buffer));
            let form = form.map_or(Form::AsIs, Form::Panels);
            for constant in &constants {
                let old = wanted[*constant].get_or_insert_with(|| form.clone());
                if *old != form {
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
            if constants.iter().any(|c| forms[*c] == Form::AsIs) {
                for constant in constants {
                    changed |= std::mem::replace(&mut forms[*constant], Form::AsIs) != Form::AsIs;
                }
            }
        }
    }
    forms
}

/// What kernels want of their buffers, as far as it was asked.
type Asked = HashMap<(KernelId, BufferId), Option<Panels>>;

/// The form in which all variants of a call take a buffer.
fn form_for(plan: &Plan, asked: &mut Asked, call: &Call, buffer: BufferId) -> Option<Panels> {
    let mut forms = call.variants.iter().map(|variant| {
        let kernel = &plan.kernels[variant.kernel.0 as usize];
        let form = asked.entry((variant.kernel, buffer));
        form.or_insert_with(|| wanted(kernel, buffer).map(|(panels, _)| panels)).clone()
    });
    let first = forms.next()??;
    forms.all(|form| form.as_ref() == Some(&first)).then_some(first)
}
