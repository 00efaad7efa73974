//! Which constants are stored in panels, and kernels that read them so.
//!
//! Invariant: a constant has one form in the whole plan; one that two kernels want in two forms, or that is also read
//! otherwise, stays as it is.

use super::kernels::Kernels;
use super::layout::{each_call, each_call_mut};
use mlc_codegen::base::Dim;
use mlc_codegen::cpu::filters::{Panels, wanted};
use mlc_codegen::kernel::{Argument, BufferId, EntryPlan, Kernel, Place, Plan, Step};
use std::collections::HashMap;

/// What is known of a constant.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    Unused,
    AsIs,
    Panels(Panels),
}

/// Rewrites the kernels of a plan; gives the form of each constant that is not stored as it is.
pub(super) fn arrange(plan: &mut Plan) -> Vec<Option<Panels>> {
    let mut asked: HashMap<(u32, u32), Option<(Panels, Kernel)>> = HashMap::new();
    let mut forms = vec![Form::Unused; plan.constants.len()];
    for entry in &plan.entries {
        each_call(&entry.steps, &mut |call| {
            for (number, argument) in (0..).zip(&call.arguments) {
                if members(entry, argument).is_empty() {
                    continue;
                }
                let variant = &call.variants[0];
                let found = asked
                    .entry((variant.kernel.0, number))
                    .or_insert_with(|| wanted(&plan.kernels[variant.kernel.0 as usize], BufferId(number)));
                let alone = call.variants.len() == 1 && constants(entry, argument).is_some();
                let form = match found {
                    Some((panels, _)) if alone => Form::Panels(panels.clone()),
                    _ => Form::AsIs,
                };
                for constant in members(entry, argument) {
                    let known = &mut forms[constant as usize];
                    *known = if *known == Form::Unused || *known == form { form.clone() } else { Form::AsIs };
                }
            }
        });
        copied(&entry.steps, &mut |argument| {
            members(entry, argument).into_iter().for_each(|constant| forms[constant as usize] = Form::AsIs);
        });
    }
    settle(plan, &mut forms);
    rewrite(plan, &asked, &forms);
    let panels = forms.into_iter().map(|form| match form {
        Form::Panels(panels) => Some(panels),
        Form::Unused | Form::AsIs => None,
    });
    panels.collect()
}

/// Members of a family have one form.
fn settle(plan: &Plan, forms: &mut [Form]) {
    loop {
        let before = forms.to_vec();
        for entry in &plan.entries {
            each_call(&entry.steps, &mut |call| {
                for argument in &call.arguments {
                    let all = members(entry, argument);
                    let whole = constants(entry, argument).is_some()
                        && all.iter().all(|c| forms[*c as usize] == forms[all[0] as usize]);
                    if !whole {
                        all.into_iter().for_each(|constant| forms[constant as usize] = Form::AsIs);
                    }
                }
            });
        }
        if before == forms {
            return;
        }
    }
}

fn rewrite(plan: &mut Plan, asked: &HashMap<(u32, u32), Option<(Panels, Kernel)>>, forms: &[Form]) {
    let (old, mut kernels) = (std::mem::take(&mut plan.kernels), Kernels::default());
    for entry in &mut plan.entries {
        let mut steps = std::mem::take(&mut entry.steps);
        each_call_mut(&mut steps, &mut |call| {
            for variant in &mut call.variants {
                let mut kernel = old[variant.kernel.0 as usize].clone();
                for (number, argument) in (0..).zip(&call.arguments) {
                    let in_panels =
                        constants(entry, argument).is_some_and(|all| matches!(forms[all[0] as usize], Form::Panels(_)));
                    if let (true, Some(Some((_, new)))) = (in_panels, asked.get(&(variant.kernel.0, number))) {
                        let own = |buffer| buffer == BufferId(number);
                        for (operand, new) in kernel.operands.iter_mut().zip(&new.operands) {
                            if own(operand.buffer) {
                                operand.clone_from(new);
                            }
                        }
                    }
                }
                variant.kernel = kernels.intern(kernel);
            }
        });
        entry.steps = steps;
        for buffer in &mut entry.buffers {
            if let Place::Constant(constant) = buffer.place
                && let Form::Panels(panels) = &forms[constant as usize]
            {
                buffer.elements = Dim::from(panels.elements());
            }
        }
    }
    plan.kernels = kernels.finish();
    for ((_, elements), form) in plan.constants.iter_mut().zip(forms) {
        if let Form::Panels(panels) = form {
            *elements = panels.elements();
        }
    }
}

/// The constants among what an argument may be.
fn members(entry: &EntryPlan, argument: &Argument) -> Vec<u32> {
    let constant = |buffer: &mlc_codegen::kernel::PlanBuffer| match entry.buffers[buffer.0 as usize].place {
        Place::Constant(number) => Some(number),
        _ => None,
    };
    argument.members().iter().filter_map(constant).collect()
}

/// The same where nothing else is among them.
fn constants(entry: &EntryPlan, argument: &Argument) -> Option<Vec<u32>> {
    let all = members(entry, argument);
    (all.len() == argument.members().len()).then_some(all)
}

/// Everything that is read by other steps than calls.
fn copied(steps: &[Step], found: &mut dyn FnMut(&Argument)) {
    for step in steps {
        match step {
            Step::Call(_) => {}
            Step::Copy { from, to, .. } => {
                found(from);
                found(to);
            }
            Step::Check(check) => found(&check.indices),
            Step::Count { from, .. } => found(&Argument::Buffer(*from)),
            Step::Loop { condition, body, .. } => {
                condition.iter().for_each(&mut *found);
                copied(body, found);
            }
            Step::Branch { flag, then, otherwise } => {
                found(flag);
                copied(then, found);
                copied(otherwise, found);
            }
        }
    }
}
