//! The plan: a tree of calls, loops and branches over buffers. It owns everything that changes between calls of a kernel:
//! which buffers, which variant, which iteration. Kernels see plain buffers and the size block.

use super::{Kernel, ids};
use crate::base::{DType, Dim, Slot, Slots, Storage};
use serde::{Deserialize, Serialize};

ids! {
    /// A kernel of the plan.
    KernelId;
    /// A buffer of the plan.
    PlanBuffer;
}

/// A buffer for each iteration of a loop: the weights of a `repeat`, or the two halves a loop-carried value alternates
/// between (`members.len() == 2`). Iteration `i` gets `members[(i + ahead) mod len]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// One per iteration, or fewer, taken in turn.
    pub members: Vec<PlanBuffer>,
    /// The loop counter that selects.
    pub counter: Slot,
    /// Added to the counter: a loop-carried value is read at `i` and written at `i + 1`.
    pub ahead: i64,
}

/// What a call passes for a buffer parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Argument {
    /// The same in every iteration.
    Buffer(PlanBuffer),
    /// By iteration.
    Family(Family),
}

/// A fact about sizes or the device, decided when a call is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// `dim <= limit`.
    AtMost(Dim, i64),
    /// `dim % factor == 0`, factor positive.
    MultipleOf(Dim, i64),
    /// A word that the backend answers: `avx512`, `cc9.0`.
    Device(String),
}

/// A kernel, and when it may run. The guard is what code generation may assume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// All hold.
    pub guard: Vec<Condition>,
    /// What runs then.
    pub kernel: KernelId,
}

/// Runs the first variant whose guard holds. All variants take the same arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// In order of preference.
    pub variants: Vec<Variant>,
    /// One for each buffer parameter.
    pub arguments: Vec<Argument>,
}

/// Refuses a call whose index operand holds a number outside `-negative..extent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCheck {
    /// A plain i64 or i32 buffer.
    pub indices: Argument,
    /// How many elements of it count.
    pub count: Dim,
    /// Indices are below this.
    pub extent: Dim,
    /// Whether `-extent..0` is allowed too.
    pub negative: bool,
    /// The first element that counts; below `columns`.
    pub column: i64,
    /// Every so many elements one counts; positive.
    pub columns: i64,
    /// The entry of the source table that an error points at.
    pub source: u32,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Runs a kernel.
    Call(Call),
    /// Copies `bytes` bytes between buffers that do not overlap.
    Copy {
        /// From.
        from: Argument,
        /// To.
        to: Argument,
        /// How many.
        bytes: Dim,
    },
    /// Checks data before kernels use it.
    Check(IndexCheck),
    /// Sets a counted slot, and all slots derived from it, to element 0 of an i64 buffer.
    Count {
        /// The slot.
        slot: Slot,
        /// The buffer a kernel wrote it to.
        from: PlanBuffer,
    },
    /// Runs `body` with `counter` at `0..trips`.
    Loop {
        /// Its slot in the size block.
        counter: Slot,
        /// How often.
        trips: Dim,
        /// A bool buffer read before each iteration: the loop ends when element 0 is false.
        condition: Option<Argument>,
        /// What runs.
        body: Vec<Step>,
    },
    /// A run-time bool, element 0 of a bool buffer.
    Branch {
        /// The bool.
        flag: Argument,
        /// When true.
        then: Vec<Step>,
        /// When false.
        otherwise: Vec<Step>,
    },
}

/// What a buffer of the plan is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The entry's input of this number.
    Input(u32),
    /// The entry's output of this number.
    Output(u32),
    /// A constant of the artifact.
    Constant(u32),
    /// A state of the model; lives between calls.
    State(u32),
    /// Bytes of the session's arena, from an offset that is a multiple of 64.
    Arena {
        /// In bytes, a dim: regions follow one another.
        offset: Dim,
    },
}

/// A buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferDef {
    /// Where it lives.
    pub place: Place,
    /// How elements lie in it.
    pub storage: Storage,
    /// How many elements.
    pub elements: Dim,
}

/// A tensor as the outside sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// As in the source.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Row-major dims.
    pub dims: Vec<Dim>,
    /// The entry of the source table that errors point at.
    pub source: u32,
}

impl Port {
    /// As the source writes it: `f32[batch, 784]`.
    pub fn show(&self, slots: &Slots) -> String {
        let dims: Vec<String> = self.dims.iter().map(|dim| slots.show(dim)).collect();
        if dims.is_empty() { self.dtype.to_string() } else { format!("{}[{}]", self.dtype, dims.join(", ")) }
    }
}

/// A fact that must hold for the sizes of a call: `dim >= 0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeGuard {
    /// Must not be negative.
    pub at_least_zero: Dim,
    /// Must be zero, rather than only not negative.
    pub exactly_zero: bool,
    /// What an error says.
    pub message: String,
    /// The entry of the source table that the error points at.
    pub source: u32,
}

/// A callable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPlan {
    /// As in the source.
    pub name: String,
    /// Tensors, in order.
    pub inputs: Vec<Port>,
    /// `size` arguments: name and slot.
    pub sizes: Vec<(String, Slot)>,
    /// In order.
    pub outputs: Vec<Port>,
    /// Checked before anything runs.
    pub guards: Vec<SizeGuard>,
    /// By `PlanBuffer`.
    pub buffers: Vec<BufferDef>,
    /// Bytes of the arena.
    pub arena: Dim,
    /// What runs.
    pub steps: Vec<Step>,
}

/// A state: fixed capacity, kept between calls, zero after a reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDef {
    /// As in the source.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Row-major dims; symbolic ones are fixed by the first call after a reset.
    pub dims: Vec<Dim>,
}

/// Everything that a device runs, without the constants' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The size block.
    pub slots: Slots,
    /// Shared by all entries.
    pub kernels: Vec<Kernel>,
    /// Shared by all entries.
    pub states: Vec<StateDef>,
    /// Storage and elements of each constant.
    pub constants: Vec<(Storage, i64)>,
    /// The callables.
    pub entries: Vec<EntryPlan>,
}

impl Call {
    /// The kernel to run for these sizes, or `None` when no guard holds.
    pub fn choose(&self, sizes: &[i64], device: &dyn Fn(&str) -> bool) -> Option<KernelId> {
        let holds = |condition: &Condition| match condition {
            Condition::AtMost(dim, limit) => dim.eval(sizes).is_some_and(|v| v <= *limit),
            Condition::MultipleOf(dim, factor) => dim.eval(sizes).is_some_and(|v| v % factor == 0),
            Condition::Device(word) => device(word),
        };
        self.variants.iter().find(|v| v.guard.iter().all(holds)).map(|v| v.kernel)
    }
}

impl Argument {
    /// The buffer for the current counters.
    pub fn resolve(&self, sizes: &[i64]) -> PlanBuffer {
        match self {
            Argument::Buffer(buffer) => *buffer,
            Argument::Family(f) => {
                let turn = sizes[f.counter.0 as usize] + f.ahead;
                f.members[turn.rem_euclid(f.members.len() as i64) as usize]
            }
        }
    }

    /// Every buffer it may resolve to.
    pub fn members(&self) -> &[PlanBuffer] {
        match self {
            Argument::Buffer(buffer) => std::slice::from_ref(buffer),
            Argument::Family(family) => &family.members,
        }
    }
}
