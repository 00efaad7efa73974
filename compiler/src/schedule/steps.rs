//! Walks over the steps of a plan.

use mlc_codegen::kernel::{Argument, BufferId, Call, Step};

/// Every call, in loops and branches too.
pub(super) fn each_call_mut(steps: &mut [Step], body: &mut dyn FnMut(&mut Call)) {
    for step in steps {
        match step {
            Step::Call(call) => body(call),
            Step::Loop { body: inner, .. } => each_call_mut(inner, body),
            Step::Branch { then, otherwise, .. } => {
                each_call_mut(then, body);
                each_call_mut(otherwise, body);
            }
            Step::Copy { .. } | Step::Check(_) | Step::Count { .. } => {}
        }
    }
}

/// Every call, in loops and branches too.
pub(super) fn each_call<'s>(steps: &'s [Step], body: &mut dyn FnMut(&'s Call)) {
    for step in steps {
        match step {
            Step::Call(call) => body(call),
            Step::Loop { body: inner, .. } => each_call(inner, body),
            Step::Branch { then, otherwise, .. } => {
                each_call(then, body);
                each_call(otherwise, body);
            }
            Step::Copy { .. } | Step::Check(_) | Step::Count { .. } => {}
        }
    }
}

/// A call, and the parameter of its kernel that an argument is for.
pub(super) type Reader<'a> = (&'a Call, BufferId);

/// Every argument of every step, with its reader where a kernel takes it.
pub(super) fn each_argument(steps: &[Step], body: &mut dyn FnMut(&Argument, Option<Reader>)) {
    for step in steps {
        match step {
            Step::Call(call) => {
                let parameters = (0..).map(BufferId).zip(&call.arguments);
                parameters.for_each(|(buffer, argument)| body(argument, Some((call, buffer))));
            }
            Step::Copy { from, to, .. } => [from, to].into_iter().for_each(|argument| body(argument, None)),
            Step::Check(check) => body(&check.indices, None),
            Step::Count { from, .. } => body(&Argument::Buffer(*from), None),
            Step::Loop { condition, body: inner, .. } => {
                condition.iter().for_each(|argument| body(argument, None));
                each_argument(inner, body);
            }
            Step::Branch { flag, then, otherwise } => {
                body(flag, None);
                each_argument(then, body);
                each_argument(otherwise, body);
            }
        }
    }
}
