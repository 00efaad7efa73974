//! The kernels of a plan, each kept once.

use mlc_codegen::kernel::{Kernel, KernelId};
use std::collections::HashMap;

/// Kernels by what they do; their names and the names of axes and buffers do not count.
#[derive(Debug, Default)]
pub(super) struct Kernels {
    list: Vec<Kernel>,
    known: HashMap<String, KernelId>,
}

impl Kernels {
    /// The number of a kernel, which may be that of an equal one. The first name is kept.
    pub(super) fn intern(&mut self, kernel: Kernel) -> KernelId {
        let mut nameless = kernel.clone();
        nameless.name.clear();
        nameless.axes.iter_mut().for_each(|axis| axis.name.clear());
        nameless.buffers.iter_mut().for_each(|buffer| buffer.name.clear());
        let key = format!("{nameless:?}");
        *self.known.entry(key).or_insert_with(|| {
            self.list.push(kernel);
            KernelId(self.list.len() as u32 - 1)
        })
    }

    /// All of them, by number.
    pub(super) fn finish(self) -> Vec<Kernel> {
        self.list
    }
}
