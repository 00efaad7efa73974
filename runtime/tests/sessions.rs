//! Small plans, built by hand and run as machine code on one thread and several.

mod build;

use build::{Builder, With, arena, call, constant, input, output, port, slot, state};
use mlc_codegen::base::{DType, Dim, Slot, SlotDef, Storage};
use mlc_codegen::kernel::{
    Argument, Binary, Compare, Condition, Family, IndexCheck, Plan, PlanBuffer, SizeGuard, StateDef, Step, Variant,
};
use mlc_runtime::artifact::{Artifact, Constant, Meta, OpenOptions, Source};
use mlc_runtime::session::{Cpu, JitError, Model, Options, RunError};
use mlc_runtime::tensor::Tensor;

const N: Slot = Slot(0);

fn slots() -> Vec<SlotDef> {
    vec![SlotDef::Given { name: "n".into(), lo: 0, hi: 1 << 40, size: false }]
}

fn meta() -> Meta {
    let source = |line, text: &str| Source { file: "m.mdl".into(), line, col: 9, text: text.into(), length: 1 };
    Meta { model: "M".into(), sources: vec![source(1, "entry main(x)"), source(2, "gather(x, i)")], ..Meta::default() }
}

fn load(plan: Plan, constants: Vec<Constant>, threads: usize) -> Result<Model, JitError> {
    let artifact = Artifact::from_parts(meta(), plan, constants).expect("constants fit");
    Model::load(artifact, Options { threads, ..Options::default() })
}

fn model(plan: &Plan, constants: &[Constant], threads: usize) -> Model {
    load(plan.clone(), constants.to_vec(), threads).expect("a plan that may run")
}

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_f32([values.len()], values).expect("small")
}

fn ramp(n: usize) -> Tensor {
    floats(&(0..n).map(|i| i as f32 * 0.25 - 7.0).collect::<Vec<_>>())
}

/// `out = x * weight[0] + x`, by a map of one axis.
fn scale() -> Plan {
    let mut b = Builder::new("scale", &["x", "w"], &[("out", DType::F32)], Dim::slot(N));
    let (x, w) = (b.read(0), b.read_first(1));
    let product = b.binary(Binary::Mul, x, w);
    let sum = b.binary(Binary::Add, product, x);
    let kernel = b.store(2, sum);
    let buffers = vec![input(0, slot(N)), constant(0, 1), output(0, slot(N))];
    build::plan(slots(), vec![kernel], buffers, vec![call(0, &[0, 1, 2])])
        .with_ports(&[port("x", DType::F32, slot(N))], &[port("out", DType::F32, slot(N))])
        .with_constant(Storage::Plain(DType::F32), 1)
}

fn three() -> Vec<Constant> {
    vec![Constant::copied(&3f32.to_le_bytes()).expect("small")]
}

#[test]
fn a_map_runs_alike_on_every_number_of_threads() {
    let plan = scale();
    for n in [0, 1, 5, 8191, 100_003] {
        let x = ramp(n);
        let outs: Vec<Tensor> = [1, 2, 3]
            .map(|threads| {
                let mut session = model(&plan, &three(), threads).session();
                session.run(Some("main"), &[("x", &x)], &[]).expect("runs").remove(0).1
            })
            .into();
        assert!(outs.windows(2).all(|pair| pair[0] == pair[1]), "bit-equal");
        assert_eq!(outs[0].shape(), [n]);
        let right = x.to_f32_vec().iter().map(|v| v * 3.0 + v).collect::<Vec<_>>();
        assert_eq!(outs[0].to_f32_vec(), right);
    }
}

#[test]
fn every_cpu_level_that_runs_here_gives_the_same() {
    let x = ramp(1000);
    let run = |cpu: Cpu| {
        let artifact = Artifact::from_parts(meta(), scale(), three()).expect("fits");
        let model = Model::load(artifact, Options { threads: 1, cpu, ..Options::default() }).expect("loads");
        model.session().run(None, &[("x", &x)], &[]).expect("runs").remove(0).1
    };
    let native = run(Cpu::Native);
    Cpu::ALL.into_iter().filter(|cpu| cpu.runs_here()).for_each(|cpu| assert_eq!(run(cpu), native, "{cpu}"));
}

#[test]
fn a_model_runs_from_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.mlc");
    Artifact::from_parts(meta(), scale(), three()).expect("fits").write(&path).expect("written");
    for mmap in [true, false] {
        let artifact = Artifact::open(&path, OpenOptions { mmap, verify_weights: false }).expect("opens");
        let mut session = Model::load(artifact, Options::default()).expect("loads").session();
        let out = session.run(Some("main"), &[("x", &floats(&[1.0, 2.0]))], &[]).expect("runs");
        assert_eq!((out[0].0.as_str(), out[0].1.to_f32_vec()), ("out", vec![4.0, 8.0]));
    }
}

fn refusal(plan: &Plan, constants: &[Constant], inputs: &[(&str, &Tensor)]) -> RunError {
    model(plan, constants, 1).session().run(Some("main"), inputs, &[]).expect_err("refused")
}

#[test]
fn refusals_name_what_was_given_and_what_is_taken() {
    let plan = scale();
    let messages: Vec<String> = [
        refusal(&plan, &three(), &[]),
        refusal(&plan, &three(), &[("x", &ramp(3)), ("y", &ramp(3))]),
        refusal(&plan, &three(), &[("x", &Tensor::zeros(DType::F32, [2, 3]).expect("small"))]),
        refusal(&plan, &three(), &[("x", &Tensor::zeros(DType::I64, [3]).expect("small"))]),
        model(&plan, &three(), 1).session().run(Some("other"), &[], &[]).expect_err("refused"),
        model(&plan, &three(), 1).session().run(Some("main"), &[("x", &ramp(3))], &[("past", 1)]).expect_err("refused"),
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    assert_eq!(
        messages,
        [
            "m.mdl:1:9: MDL0701: input `x` is missing; `main` takes f32[n]",
            "m.mdl:1:9: MDL0701: `main` has no input `y`; its inputs are `x`",
            "m.mdl:1:9: MDL0701: input `x` has shape [2, 3]; `main` takes f32[n]; reshape it to [6]",
            "m.mdl:1:9: MDL0701: input `x` is i64 of shape [3]; `main` takes f32[n]",
            "MDL0707: there is no entry `other`; entries are `main`",
            "m.mdl:1:9: MDL0701: `main` has no size `past`; its sizes are none",
        ]
    );
}

#[test]
fn guards_ranges_and_memory_are_checked_first() {
    let mut plan = scale();
    let at_least_zero = Dim::from(4) - slot(N);
    plan.entries[0].guards =
        vec![SizeGuard { at_least_zero, exactly_zero: false, message: "n is at most 4".into(), source: 1 }];
    assert_eq!(refusal(&plan, &three(), &[("x", &ramp(5))]).to_string(), "m.mdl:2:9: MDL0702: n is at most 4");

    plan.slots = build::table(vec![SlotDef::Given { name: "n".into(), lo: 1, hi: 3, size: false }]);
    assert_eq!(refusal(&plan, &three(), &[("x", &ramp(4))]).to_string(), "m.mdl:1:9: MDL0702: n = 4 is outside 1..=3");

    for arena in [Dim::from(1 << 40), slot(N) * (1 << 62) * slot(N), Dim::from(-1)] {
        let mut plan = scale();
        plan.entries[0].arena = arena;
        let error = refusal(&plan, &three(), &[("x", &ramp(300))]);
        assert_eq!(error.code, "MDL0704", "{error}");
    }
}

/// `carry = carry * w[i] + x` over three iterations: weights are a family, the carried value alternates.
fn repeat() -> Plan {
    let counter = Slot(1);
    let mut b = Builder::new("layer", &["carry", "w", "x"], &[("out", DType::F32)], slot(N));
    let (carry, w, x) = (b.read(0), b.read_first(1), b.read(2));
    let product = b.binary(Binary::Mul, carry, w);
    let sum = b.binary(Binary::Add, product, x);
    let layer = b.store(3, sum);
    let bytes = slot(N) * 4;
    let family = |members: &[u32], ahead| {
        Argument::Family(Family { members: members.iter().map(|m| PlanBuffer(*m)).collect(), counter, ahead })
    };
    let whole = |b| Argument::Buffer(PlanBuffer(b));
    let stride = slot(N) * 64;
    let buffers = vec![
        input(0, slot(N)),
        constant(0, 1),
        constant(1, 1),
        constant(2, 1),
        arena(0, slot(N)),
        arena(stride.clone(), slot(N)),
        output(0, slot(N)),
    ];
    let body = vec![Step::Call(build::always(
        0,
        vec![family(&[4, 5], 0), family(&[1, 3, 2], 0), whole(0), family(&[4, 5], 1)],
    ))];
    let steps = vec![
        Step::Copy { from: whole(0), to: whole(4), bytes: bytes.clone() },
        Step::Loop { counter, trips: Dim::from(3), condition: None, body },
        Step::Copy { from: whole(5), to: whole(6), bytes },
    ];
    let mut defs = slots();
    defs.push(SlotDef::Counter { name: "i".into(), trips: Dim::from(3) });
    let mut plan = build::plan(defs, vec![layer], buffers, steps)
        .with_ports(&[port("x", DType::F32, slot(N))], &[port("out", DType::F32, slot(N))]);
    plan.constants = vec![(Storage::Plain(DType::F32), 1); 3];
    plan.entries[0].arena = stride * 2;
    plan
}

#[test]
fn a_loop_takes_its_weights_in_turn() {
    let weights = [2f32, 5.0, 7.0].map(|w| Constant::copied(&w.to_le_bytes()).expect("small"));
    for threads in [1, 2] {
        let mut session = model(&repeat(), &weights, threads).session();
        for n in [1, 4, 20_000] {
            let x = ramp(n);
            let out = session.run(Some("main"), &[("x", &x)], &[]).expect("runs").remove(0).1;
            let right: Vec<f32> =
                x.to_f32_vec().iter().map(|x| [2.0, 7.0, 5.0].iter().fold(*x, |c, w| c * w + x)).collect();
            assert_eq!(out.to_f32_vec(), right);
        }
    }
}

/// Adds `x` to the state, then checks `i`, then gives the state.
fn accumulate() -> Plan {
    let mut b = Builder::new("add", &["x"], &[], slot(N));
    b.add_read_write("sum", DType::F32);
    let (x, sum) = (b.read(0), b.read(1));
    let total = b.binary(Binary::Add, x, sum);
    let kernel = b.store_loops(1, total);
    let whole = |b| Argument::Buffer(PlanBuffer(b));
    let check = IndexCheck {
        indices: whole(3),
        count: Dim::from(2),
        extent: slot(N),
        negative: true,
        column: 0,
        columns: 1,
        source: 1,
    };
    let steps =
        vec![call(0, &[0, 1]), Step::Check(check), Step::Copy { from: whole(1), to: whole(2), bytes: slot(N) * 4 }];
    let buffers = vec![
        input(0, slot(N)),
        state(0, slot(N)),
        output(0, slot(N)),
        build::plain(build::input_place(1), DType::I64, Dim::from(2)),
    ];
    let mut plan = build::plan(slots(), vec![kernel], buffers, steps).with_ports(
        &[port("x", DType::F32, slot(N)), port("i", DType::I64, Dim::from(2))],
        &[port("out", DType::F32, slot(N))],
    );
    plan.states = vec![StateDef { name: "sum".into(), dtype: DType::F32, dims: vec![slot(N)] }];
    plan
}

#[test]
fn a_failed_call_leaves_the_state_as_it_was() {
    for threads in [1, 2] {
        let mut session = model(&accumulate(), &[], threads).session();
        let fine = Tensor::from_i64([2], [0, -3]).expect("small");
        let bad = Tensor::from_i64([2], [0, 3]).expect("small");
        let x = floats(&[1.0, 2.0, 3.0]);
        let refused = session.run(
            Some("main"),
            &[("x", &floats(&[1.0; 8])), ("i", &Tensor::from_i64([2], [0, -9]).expect("small"))],
            &[],
        );
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "m.mdl:2:9: MDL0703: index -9 at position 1 is outside -8..8"
        );
        assert_eq!(session.state("sum"), None, "a failed first call fixes no dims");
        let out = session.run(Some("main"), &[("x", &x), ("i", &fine)], &[]).expect("runs").remove(0).1;
        assert_eq!(out.to_f32_vec(), [1.0, 2.0, 3.0]);
        assert_eq!(session.run(Some("main"), &[("x", &x), ("i", &bad)], &[]).expect_err("refused").code, "MDL0703");
        let out = session.run(Some("main"), &[("x", &x), ("i", &fine)], &[]).expect("runs").remove(0).1;
        assert_eq!(out.to_f32_vec(), [2.0, 4.0, 6.0]);
        let other = session.run(Some("main"), &[("x", &ramp(4)), ("i", &fine)], &[]).expect_err("another size");
        assert_eq!(other.code, "MDL0706", "{other}");
        session.reset();
        let out = session.run(Some("main"), &[("x", &floats(&[5.0; 4])), ("i", &fine)], &[]).expect("runs").remove(0).1;
        assert_eq!(out.to_f32_vec(), [5.0; 4]);
    }
}

/// `if x[0] < 0 { -x } else { x + x }`
#[test]
fn a_branch_runs_one_side() {
    let mut flag = Builder::new("flag", &["x"], &[("flag", DType::Bool)], Dim::from(1));
    let (x, zero) = (flag.read_first(0), flag.constant(0.0));
    let below = flag.compare(Compare::Lt, x, zero);
    let flag = flag.store(1, below);
    let side = |op| {
        let mut b = Builder::new("side", &["x"], &[("out", DType::F32)], slot(N));
        let (x, zero) = (b.read(0), b.constant(0.0));
        let value = if op == Binary::Sub { b.binary(op, zero, x) } else { b.binary(op, x, x) };
        b.store(1, value)
    };
    let kernels = vec![flag, side(Binary::Sub), side(Binary::Add)];
    let buffers =
        vec![input(0, slot(N)), build::plain(build::arena_place(0), DType::Bool, Dim::from(1)), output(0, slot(N))];
    let branch = Step::Branch {
        flag: Argument::Buffer(PlanBuffer(1)),
        then: vec![call(1, &[0, 2])],
        otherwise: vec![call(2, &[0, 2])],
    };
    let mut plan = build::plan(slots(), kernels, buffers, vec![call(0, &[0, 1]), branch])
        .with_ports(&[port("x", DType::F32, slot(N))], &[port("out", DType::F32, slot(N))]);
    plan.entries[0].arena = Dim::from(64);
    let mut session = model(&plan, &[], 2).session();
    for (x, right) in [([-1.0, 2.0], [1.0, -2.0]), ([1.0, 2.0], [2.0, 4.0])] {
        let out = session.run(Some("main"), &[("x", &floats(&x))], &[]).expect("runs").remove(0).1;
        assert_eq!(out.to_f32_vec(), right);
    }
}

#[test]
fn the_first_variant_whose_guard_holds_runs() {
    let mut plan = scale();
    let mut other = Builder::new("other", &["x", "w"], &[("out", DType::F32)], slot(N));
    let w = other.read_first(1);
    plan.kernels.push(other.store(2, w));
    let Step::Call(call) = &mut plan.entries[0].steps[0] else { panic!("a call") };
    let guard = vec![Condition::AtMost(slot(N), 2), Condition::Device("cpu".into())];
    call.variants.insert(0, Variant { guard, kernel: mlc_codegen::kernel::KernelId(1) });
    let mut session = model(&plan, &three(), 1).session();
    session.start_profile(true);
    for (n, right) in [(2, 3.0), (3, -28.0)] {
        let out = session.run(Some("main"), &[("x", &ramp(n))], &[]).expect("runs").remove(0).1;
        assert_eq!(out.to_f32_vec()[0], right);
    }
    let profile = session.take_profile().expect("it was started");
    assert_eq!([profile.kernels[0].calls, profile.kernels[1].calls], [1, 1]);
    assert_eq!(profile.events.map(|events| events.len()), Some(2));
}

#[test]
fn outputs_can_be_given() {
    let mut session = model(&scale(), &three(), 1).session();
    let mut outputs = [Tensor::zeros(DType::F32, [2]).expect("small")];
    for x in [[1.0, 2.0], [3.0, 4.0]] {
        session.run_into(Some("main"), &[("x", &floats(&x))], &[], &mut outputs).expect("runs");
        assert_eq!(outputs[0].to_f32_vec(), x.map(|v| v * 4.0));
    }
    let mut wrong = [Tensor::zeros(DType::F32, [3]).expect("small")];
    let error = session.run_into(Some("main"), &[("x", &ramp(2))], &[], &mut wrong).expect_err("refused");
    assert_eq!(error.to_string(), "m.mdl:1:9: MDL0701: output `out` cannot go into f32 of shape [3]; it is f32[n]");
}

/// Plans whose numbers name nothing, or whose kernels leave their buffers, run nothing.
#[test]
fn damaged_plans_are_refused() {
    let spoil: [fn(&mut Plan); 10] = [
        |plan| plan.entries[0].buffers[0] = input(1, slot(N)),
        |plan| plan.entries[0].buffers[1] = constant(9, 1),
        |plan| plan.entries[0].inputs[0].dims = vec![slot(Slot(9))],
        |plan| plan.kernels[0].axes[0].extent = slot(Slot(9)),
        |plan| plan.slots = build::table([slots(), vec![SlotDef::Floor(slot(N), 0)]].concat()),
        |plan| plan.slots = build::table([slots(), vec![SlotDef::Floor(slot(Slot(1)), 2)]].concat()),
        |plan| plan.entries[0].steps = vec![Step::Loop { counter: N, trips: 1.into(), condition: None, body: vec![] }],
        |plan| plan.entries[0].steps = vec![call(0, &[0, 1, 0])],
        |plan| plan.entries[0].steps = vec![call(0, &[0, 1])],
        |plan| plan.entries[0].steps = vec![call(7, &[0, 1, 2])],
    ];
    for (i, spoil) in spoil.into_iter().enumerate() {
        let mut plan = scale();
        spoil(&mut plan);
        let error = load(plan, three(), 1).expect_err("refused at load");
        assert_eq!(error.code(), "MDL0709", "{i}: {error}");
    }
    let spoil: [fn(&mut Plan); 2] =
        [|plan| plan.kernels[0].axes[0].extent = slot(N) + 1, |plan| plan.entries[0].buffers[2] = arena(0, slot(N))];
    for (i, spoil) in spoil.into_iter().enumerate() {
        let mut plan = scale();
        spoil(&mut plan);
        let error = refusal(&plan, &three(), &[("x", &ramp(16))]);
        assert_eq!(error.code, "MDL0709", "{i}: {error}");
    }
}

#[test]
fn sessions_run_on_several_threads_at_once() {
    let model = model(&scale(), &three(), 2);
    std::thread::scope(|scope| {
        for start in 0..3 {
            let mut session = model.session();
            scope.spawn(move || {
                for n in 0..50 {
                    let x = ramp(30_000 + start + n);
                    let out = session.run(Some("main"), &[("x", &x)], &[]).expect("runs").remove(0).1;
                    assert!(out.to_f32_vec().iter().zip(x.to_f32_vec()).all(|(o, x)| *o == x * 3.0 + x));
                }
            });
        }
    });
}
