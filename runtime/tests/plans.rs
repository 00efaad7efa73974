//! Plans made by hand: every kind of step runs, and what would leave its buffers is refused.

use mlc_codegen::base::{DType, Dim, Scalar, Slot, SlotDef, Slots, Storage};
use mlc_codegen::kernel::{
    Access, Argument, Axis, AxisId, Binary, Body, Buffer, BufferDef, BufferId, Call, Coord, EntryPlan, Expr, Family,
    Index, IndexCheck, Kernel, KernelId, Node, OperandId, Place, Plan, PlanBuffer, Port, Role, StateDef, Step, Store,
    Variant,
};
use mlc_runtime::artifact::{Artifact, Constant, Meta};
use mlc_runtime::session::{JitError, Model, Options};
use mlc_runtime::tensor::Tensor;

const F32: Storage = Storage::Plain(DType::F32);
const N: Slot = Slot(0);
const TURN: Slot = Slot(1);

/// `y[i] = x[i] + w[0]` for i in 0..extent.
fn shift(extent: Dim) -> Kernel {
    let axis = AxisId(0);
    let fill = Scalar::F32(0.0);
    let along = |buffer| Access::new(BufferId(buffer), vec![Coord::new(Index::axis(axis), 1)], fill);
    let mut expr = Expr::default();
    let x = expr.push(Node::Operand(OperandId(0)));
    let w = expr.push(Node::Operand(OperandId(1)));
    let value = expr.binary(Binary::Add, x, w);
    let buffer = |name: &str, role| Buffer { name: name.into(), storage: F32, role };
    Kernel {
        name: "shift".into(),
        axes: vec![Axis { name: "i".into(), extent }],
        buffers: vec![buffer("x", Role::Read), buffer("w", Role::Read), buffer("y", Role::Write)],
        operands: vec![along(0), Access::new(BufferId(1), vec![], fill)],
        expr,
        body: Body::Map(vec![Store { access: along(2), value }]),
    }
}

fn call(arguments: Vec<Argument>) -> Step {
    Step::Call(Call { variants: vec![Variant { guard: vec![], kernel: KernelId(0) }], arguments })
}

fn buffer(number: u32) -> Argument {
    Argument::Buffer(PlanBuffer(number))
}

/// Buffers: 0 the input, 1 and 2 constants, 3 the output, 4 and 5 arena, 6 state, 7 a flag, 8 indices.
fn plan(kernel: Kernel, steps: Vec<Step>) -> Plan {
    let mut slots = Slots::default();
    slots.add(SlotDef::Given { name: "n".into(), lo: 0, hi: 1000, size: false });
    slots.add(SlotDef::Counter { name: "i".into(), trips: Dim::from(3) });
    let n = || Dim::slot(N);
    let def = |place, storage, elements: Dim| BufferDef { place, storage, elements };
    let port = |name: &str, dtype, dims| Port { name: name.into(), dtype, dims, source: 0 };
    let buffers = vec![
        def(Place::Input(0), F32, n()),
        def(Place::Constant(0), F32, Dim::from(1)),
        def(Place::Constant(1), F32, Dim::from(1)),
        def(Place::Output(0), F32, n()),
        def(Place::Arena { offset: Dim::from(0) }, F32, n()),
        def(Place::Arena { offset: Dim::from(4096) }, F32, n()),
        def(Place::State(0), F32, n()),
        def(Place::Input(1), Storage::Plain(DType::Bool), Dim::from(1)),
        def(Place::Input(2), Storage::Plain(DType::I64), Dim::from(2)),
    ];
    let entry = EntryPlan {
        name: "main".into(),
        inputs: vec![
            port("x", DType::F32, vec![n()]),
            port("flag", DType::Bool, vec![]),
            port("indices", DType::I64, vec![Dim::from(2)]),
        ],
        sizes: vec![],
        outputs: vec![port("y", DType::F32, vec![n()])],
        guards: vec![],
        buffers,
        arena: Dim::from(8192),
        steps,
    };
    let states = vec![StateDef { name: "s".into(), dtype: DType::F32, dims: vec![n()] }];
    Plan { slots, kernels: vec![kernel], states, constants: vec![(F32, 1), (F32, 1)], entries: vec![entry] }
}

fn load(plan: Plan, threads: usize) -> Model {
    try_load(plan, threads).expect("the plan verifies")
}

fn try_load(plan: Plan, threads: usize) -> Result<Model, JitError> {
    let constant = |value: f32| Constant::copied(&value.to_le_bytes()).expect("four bytes");
    let artifact = Artifact::from_parts(Meta::default(), plan, vec![constant(1.0), constant(10.0)]).expect("it fits");
    Model::load(artifact, Options { threads, ..Options::default() })
}

fn run(model: &Model, x: &[f32], flag: bool, indices: [i64; 2]) -> Result<Vec<f32>, String> {
    run_in(&mut model.session(), x, flag, indices)
}

fn run_in(
    session: &mut mlc_runtime::session::Session,
    x: &[f32],
    flag: bool,
    indices: [i64; 2],
) -> Result<Vec<f32>, String> {
    let x = Tensor::from_f32([x.len()], x).expect("small");
    let flag = Tensor::scalar(DType::Bool, Scalar::Bool(flag));
    let indices = Tensor::from_i64([2], indices).expect("small");
    let outputs = session.run(None, &[("x", &x), ("flag", &flag), ("indices", &indices)], &[]);
    outputs.map(|outputs| outputs[0].1.to_f32_vec()).map_err(|error| error.code.to_owned())
}

fn once() -> Vec<Step> {
    vec![call(vec![buffer(0), buffer(1), buffer(3)])]
}

#[test]
fn a_call_runs_for_any_size_on_any_number_of_threads() {
    for threads in [1, 2, 3] {
        let model = load(plan(shift(Dim::slot(N)), once()), threads);
        for n in [0, 1, 7, 1000] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: Vec<f32> = x.iter().map(|v| v + 1.0).collect();
            assert_eq!(run(&model, &x, true, [0, 0]), Ok(expected));
        }
        assert_eq!(run(&model, &[0.0; 1001], true, [0, 0]), Err("MDL0702".into()));
    }
}

#[test]
fn a_loop_takes_turns_through_its_families() {
    let family = |members: [u32; 2], ahead| {
        Argument::Family(Family { members: members.map(PlanBuffer).to_vec(), counter: TURN, ahead })
    };
    let bytes = Dim::slot(N) * 4;
    let steps = vec![
        Step::Copy { from: buffer(0), to: buffer(4), bytes: bytes.clone() },
        Step::Loop {
            counter: TURN,
            trips: Dim::from(3),
            condition: None,
            body: vec![call(vec![family([4, 5], 0), family([1, 2], 0), family([4, 5], 1)])],
        },
        Step::Copy { from: buffer(5), to: buffer(3), bytes },
    ];
    let model = load(plan(shift(Dim::slot(N)), steps), 2);
    assert_eq!(run(&model, &[0.0, 5.0], true, [0, 0]), Ok(vec![12.0, 17.0]), "1 + 10 + 1");
}

#[test]
fn sizes_derived_from_a_counter_follow_it() {
    let mut half = plan(shift(Dim::from(1)), vec![]);
    let turn = half.slots.floor_div(&Dim::slot(TURN), &Dim::from(2));
    half.kernels[0].operands[0].base = turn.clone();
    let Body::Map(stores) = &mut half.kernels[0].body else { unreachable!("shift is a map") };
    stores[0].access.base = turn;
    half.entries[0].steps = vec![Step::Loop { counter: TURN, trips: Dim::from(3), condition: None, body: once() }];
    let model = load(half, 1);
    assert_eq!(run(&model, &[5.0, 7.0], true, [0, 0]), Ok(vec![6.0, 8.0]), "elements 0, 0 and 1");
    assert_eq!(run(&model, &[5.0], true, [0, 0]), Err("MDL0709".into()), "the third turn reaches element 1");
}

#[test]
fn a_branch_runs_one_side_and_states_live_between_calls() {
    let bytes = Dim::slot(N) * 4;
    let steps = vec![
        Step::Branch {
            flag: buffer(7),
            then: vec![call(vec![buffer(6), buffer(1), buffer(3)])],
            otherwise: vec![call(vec![buffer(0), buffer(2), buffer(3)])],
        },
        Step::Copy { from: buffer(3), to: buffer(6), bytes },
    ];
    let model = load(plan(shift(Dim::slot(N)), steps), 1);
    let mut session = model.session();
    assert_eq!(run_in(&mut session, &[0.5], true, [0, 0]), Ok(vec![1.0]), "an empty state and 1");
    assert_eq!(run_in(&mut session, &[0.5], true, [0, 0]), Ok(vec![2.0]));
    assert_eq!(run_in(&mut session, &[0.5], false, [0, 0]), Ok(vec![10.5]));
    assert_eq!(run_in(&mut session, &[0.5, 0.5], false, [0, 0]), Err("MDL0706".into()), "the state's dims are fixed");
    session.reset();
    assert_eq!(run_in(&mut session, &[0.5], true, [0, 0]), Ok(vec![1.0]));
}

#[test]
fn indices_are_checked_before_kernels_run() {
    let check = IndexCheck {
        indices: buffer(8),
        count: Dim::from(2),
        extent: Dim::slot(N),
        negative: true,
        column: 0,
        columns: 1,
        source: 0,
    };
    let steps = [vec![Step::Check(check.clone())], once()].concat();
    let model = load(plan(shift(Dim::slot(N)), steps), 1);
    assert!(run(&model, &[0.0, 0.0], true, [1, -2]).is_ok());
    assert_eq!(run(&model, &[0.0, 0.0], true, [0, 2]), Err("MDL0703".into()));
    assert_eq!(run(&model, &[0.0, 0.0], true, [-3, 0]), Err("MDL0703".into()));
    let second = IndexCheck { column: 1, columns: 2, ..check };
    let model = load(plan(shift(Dim::slot(N)), [vec![Step::Check(second)], once()].concat()), 1);
    assert!(run(&model, &[0.0, 0.0], true, [9, 1]).is_ok(), "only the second column counts");
    assert_eq!(run(&model, &[0.0, 0.0], true, [0, 9]), Err("MDL0703".into()));
}

#[test]
fn what_leaves_its_buffers_is_refused() {
    let refused = |plan: Plan, why: &str| {
        assert_eq!(run(&load(plan, 1), &[0.0, 0.0], true, [0, 0]), Err("MDL0709".into()), "{why}");
    };
    refused(plan(shift(Dim::slot(N) + 1), once()), "one element too many");
    refused(plan(shift(Dim::slot(N) * Dim::slot(N) * (1 << 40)), once()), "longer than any axis may be");
    let copy = Step::Copy { from: buffer(1), to: buffer(3), bytes: Dim::slot(N) * 4 };
    refused(plan(shift(Dim::slot(N)), vec![copy]), "a copy reads beyond its source");
    let mut away = shift(Dim::slot(N));
    away.operands[0].base = Dim::from(-1);
    refused(plan(away, once()), "before the first element");
}

#[test]
fn what_needs_no_sizes_to_be_wrong_is_refused_at_load() {
    let refused = |plan: Plan, why: &str| {
        assert_eq!(try_load(plan, 1).map(|_| ()).map_err(|error| error.code()), Err("MDL0709"), "{why}");
    };
    refused(plan(shift(Dim::slot(N)), vec![call(vec![buffer(0), buffer(1), buffer(2)])]), "a constant is written");
    refused(
        plan(shift(Dim::slot(N)), vec![call(vec![buffer(0), buffer(3), buffer(3)])]),
        "read at one place, written at others",
    );
    refused(plan(shift(Dim::slot(N)), vec![call(vec![buffer(0), buffer(1), buffer(99)])]), "no such buffer");
    refused(plan(shift(Dim::slot(N)), vec![call(vec![buffer(0), buffer(1)])]), "an argument is missing");
    refused(plan(shift(Dim::slot(N)), vec![call(vec![buffer(8), buffer(1), buffer(3)])]), "another storage");
    let counter = Argument::Family(Family { members: vec![PlanBuffer(0)], counter: TURN, ahead: 0 });
    refused(plan(shift(Dim::slot(N)), vec![call(vec![counter, buffer(1), buffer(3)])]), "a family without its loop");
}

#[test]
fn code_is_freed() {
    let maps = || std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    let cycle = || drop(load(plan(shift(Dim::slot(N)), once()), 1));
    (0..8).for_each(|_| cycle());
    let before = maps();
    (0..64).for_each(|_| cycle());
    assert!(maps() <= before + 32, "mappings grew from {before} to {}", maps());
}
