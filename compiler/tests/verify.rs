//! The graph's verifier: what the checker makes is sound, and each way to break it has its name.

use mlc::diag::SourceMap;
use mlc::frontend::{Options, check};
use mlc::graph::{ConstantData, Fault, Graph, Node, NodeId, NodeKind, ValueId, VerifyError, verify};
use mlc::ops::{Arguments, Attr, OpKind};
use mlc::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Dim, Slot, Storage};
use mlc_runtime::tensor::Tensor;

const MODEL: &str = "mdl 1
block Dense[Out, In](x: f32[..B, In]) -> f32[..B, Out] {
  weight w: f32[Out, In] from \"w\"
  return einsum(\"... i, o i -> ... o\", x, w)
}
model M {
  dim n in 1..=9
  state seen: f32[4, 8]
  entry main(x: f32[n, 8], flag: bool) -> f32[n, 8] {
    set seen[0] = x[0]
    set seen[1:3] = seen[0:2]
    repeat i in 0..3 carry x {
      let x = relu(Dense[8](x) at \"layers.{i}\")
    }
    fused \"scale\" {
      let y = tanh(exp(x))
    }
    return if flag { sigmoid(y) } else { y }
  }
}";

fn graph() -> Graph {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", MODEL);
    let options = Options { random_weights: Some(1), without_weights: true, ..Options::default() };
    let checked = check(&mut sources, file, &options);
    checked.graph.unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
}

fn find(graph: &Graph, wanted: impl Fn(&Node) -> bool) -> NodeId {
    let found = graph.nodes_within(&graph.entries[0].body).into_iter().find(|node| wanted(&graph.nodes[*node]));
    found.expect("the model has one")
}

fn op(graph: &Graph, wanted: OpKind) -> NodeId {
    find(graph, |node| matches!(node.kind, NodeKind::Op { op, .. } if op == wanted))
}

/// What is said of the graph once `edit` has broken it.
fn broken(edit: impl FnOnce(&mut Graph)) -> VerifyError {
    let mut graph = graph();
    verify(&graph).expect("the checker's graph is sound");
    edit(&mut graph);
    verify(&graph).expect_err("it was broken")
}

fn fault(edit: impl FnOnce(&mut Graph)) -> Fault {
    broken(edit).fault
}

fn with_repeat(graph: &mut Graph, edit: impl FnOnce(&mut mlc::graph::Repeat)) {
    let node = find(graph, |node| matches!(node.kind, NodeKind::Repeat(_)));
    let NodeKind::Repeat(repeat) = &mut graph.nodes[node].kind else { unreachable!("found as one") };
    edit(repeat);
}

#[test]
fn an_error_names_its_place() {
    let error = broken(|graph| {
        let einsum = op(graph, OpKind::Einsum);
        graph.nodes[einsum].inputs.pop();
    });
    let node = error.node.expect("an op is at fault");
    assert_eq!((error.entry.as_str(), error.path.as_str()), ("main", "layers.{i}"));
    assert_eq!(error.to_string(), format!("entry `main`, {node:?} of `layers.{{i}}`: 1 inputs, expected 2"));
    assert_eq!(&MODEL[error.loc.start as usize..error.loc.end as usize], "einsum(\"... i, o i -> ... o\", x, w)");
}

#[test]
fn definitions_come_before_uses() {
    let backwards = fault(|graph| graph.entries[0].body.nodes.reverse());
    assert!(matches!(backwards, Fault::Undefined(_)), "{backwards:?}");
    let inner = fault(|graph| {
        let relu = op(graph, OpKind::Relu);
        let value = graph.nodes[relu].outputs[0];
        graph.entries[0].outputs[0].1 = value;
    });
    assert!(matches!(inner, Fault::Undefined(_)), "{inner:?}");
    let twice = fault(|graph| {
        let (tanh, exp) = (op(graph, OpKind::Tanh), op(graph, OpKind::Exp));
        graph.nodes[tanh].outputs = graph.nodes[exp].outputs.clone();
    });
    assert!(matches!(twice, Fault::Redefined(_)), "{twice:?}");
    let placed = fault(|graph| {
        let last = *graph.entries[0].body.nodes.last().expect("not empty");
        graph.entries[0].body.nodes.push(last);
    });
    assert_eq!(placed, Fault::Placed);
    let nowhere = fault(|graph| graph.entries[0].outputs[0].1 = ValueId::from_u32(9999));
    assert_eq!(nowhere, Fault::Undefined(ValueId::from_u32(9999)));
    assert_eq!(fault(|graph| graph.entries[0].body.nodes.push(NodeId::from_u32(9999))), Fault::Absent("node"));
}

#[test]
fn ops_have_the_arguments_and_results_of_their_signature() {
    let set = |graph: &mut Graph, wanted: OpKind, attrs: Vec<Attr>| {
        let node = op(graph, wanted);
        let counts = vec![graph.nodes[node].inputs.len() as u32];
        graph.nodes[node].kind = NodeKind::Op { op: wanted, arguments: Arguments { counts, attrs } };
    };
    assert_eq!(
        fault(|graph| set(graph, OpKind::Relu, vec![Attr::Int(1)])),
        Fault::Count { what: "other arguments", found: 1, expected: 0 }
    );
    assert_eq!(fault(|graph| set(graph, OpKind::Einsum, vec![Attr::Int(1)])), Fault::Argument("pattern"));
    assert_eq!(fault(|graph| set(graph, OpKind::Einsum, vec![Attr::None])), Fault::Argument("pattern"));
    let refused = fault(|graph| set(graph, OpKind::Einsum, vec![Attr::Text("a b -> a b".into())]));
    assert!(matches!(refused, Fault::Refused { op: "einsum", .. }), "{refused:?}");
    let axis = fault(|graph| {
        let relu = op(graph, OpKind::Relu);
        let arguments = Arguments { counts: vec![1], attrs: vec![Attr::Int(2)] };
        graph.nodes[relu].kind = NodeKind::Op { op: OpKind::Softmax, arguments };
    });
    assert_eq!(axis, Fault::Argument("axis"));
    let ty = fault(|graph| {
        let exp = op(graph, OpKind::Exp);
        let value = graph.nodes[exp].outputs[0];
        graph.values[value].ty.dims[0] = Dim::from(9) + &graph.values[value].ty.dims[0];
    });
    assert!(matches!(&ty, Fault::Type { found, expected, .. } if found == "f32[n + 9, 8]" && expected == "f32[n, 8]"));
}

#[test]
fn constants_are_static_and_fit_their_loop() {
    let family = |graph: &Graph| find(graph, |node| matches!(node.kind, NodeKind::Constant { counter: Some(_), .. }));
    let edit = |edit: fn(&mut Vec<mlc::graph::ConstantId>, &mut Option<Slot>)| {
        fault(|graph| {
            let node = family(graph);
            let NodeKind::Constant { members, counter } = &mut graph.nodes[node].kind else { unreachable!("a family") };
            edit(members, counter);
        })
    };
    assert_eq!(edit(|members, _| members.truncate(2)), Fault::Count { what: "members", found: 2, expected: 3 });
    assert_eq!(edit(|_, counter| *counter = None), Fault::Count { what: "members", found: 3, expected: 1 });
    assert_eq!(edit(|_, counter| *counter = Some(Slot(0))), Fault::Counter);
    let moved = fault(|graph| {
        let node = family(graph);
        with_repeat(graph, |repeat| repeat.body.nodes.retain(|n| *n != node));
        graph.entries[0].body.nodes.insert(0, node);
    });
    assert_eq!(moved, Fault::Counter);
    let member = |edit: fn(&mut mlc::graph::Constant)| {
        fault(|graph| {
            let node = family(graph);
            let NodeKind::Constant { members, .. } = &graph.nodes[node].kind else { unreachable!("a family") };
            let member = members[1];
            edit(&mut graph.constants[member]);
        })
    };
    let (key, f64s) = ("layers.1.w".to_owned(), Storage::Plain(DType::F64));
    assert_eq!(member(|c| c.storage = Storage::Plain(DType::F64)), Fault::Storage { name: key.clone(), storage: f64s });
    assert_eq!(member(|c| c.ty.dims[0] = Dim::slot(Slot(0))), Fault::Dynamic(key.clone()));
    let (found, expected) = ("f32[7, 8]".to_owned(), "f32[8, 8]".to_owned());
    let typed = Fault::ConstantType { name: key.clone(), found, expected };
    assert_eq!(member(|c| c.ty.dims[0] = Dim::from(7)), typed);
    let data = member(|c| c.data = ConstantData::Tensor(Tensor::zeros(DType::F32, [8, 7]).expect("small")));
    assert_eq!(data, Fault::Numbers(key));
}

#[test]
fn states_have_one_writer_of_a_place() {
    let sets = |graph: &Graph| {
        let all = graph.nodes_within(&graph.entries[0].body);
        all.into_iter().filter(|n| matches!(graph.nodes[*n].kind, NodeKind::Set { .. })).collect::<Vec<NodeId>>()
    };
    let edit = |graph: &mut Graph, edit: fn(&mut Vec<Dim>)| {
        let node = sets(graph)[1];
        let NodeKind::Set { starts, .. } = &mut graph.nodes[node].kind else { unreachable!("found as one") };
        edit(starts);
    };
    assert_eq!(
        fault(|graph| edit(graph, |starts| starts.truncate(1))),
        Fault::Count { what: "starts", found: 1, expected: 2 }
    );
    let first = sets(&graph())[0];
    let clash = fault(|graph| edit(graph, |starts| starts[0] = Dim::from(0)));
    assert_eq!(clash, Fault::Writers { state: "seen".into(), first });
    let read = fault(|graph| {
        let read = find(graph, |node| matches!(node.kind, NodeKind::Read(_)));
        let value = graph.nodes[read].outputs[0];
        graph.values[value].ty.dtype = DType::F64;
    });
    assert!(matches!(read, Fault::Type { .. }), "{read:?}");
}

#[test]
fn loops_branches_and_groups_agree_on_their_values() {
    let short = fault(|graph| with_repeat(graph, |repeat| repeat.results.clear()));
    assert_eq!(short, Fault::Count { what: "next values", found: 0, expected: 1 });
    assert_eq!(fault(|graph| with_repeat(graph, |repeat| repeat.trips = Dim::from(4))), Fault::Counter);
    assert_eq!(fault(|graph| with_repeat(graph, |repeat| repeat.counter = Slot(0))), Fault::Counter);
    let carried = fault(|graph| {
        let node = find(graph, |node| matches!(node.kind, NodeKind::Repeat(_)));
        let output = graph.nodes[node].outputs[0];
        graph.values[output].ty = TensorType::scalar(DType::F32);
    });
    assert!(matches!(carried, Fault::Type { .. }), "{carried:?}");
    let flag = fault(|graph| {
        let node = find(graph, |node| matches!(node.kind, NodeKind::If { .. }));
        graph.nodes[node].inputs[0] = graph.entries[0].inputs[0].value;
    });
    assert!(matches!(flag, Fault::Condition(_)), "{flag:?}");
    let branch = fault(|graph| {
        let node = find(graph, |node| matches!(node.kind, NodeKind::If { .. }));
        let NodeKind::If { then, .. } = &mut graph.nodes[node].kind else { unreachable!("found as one") };
        then.1.clear();
    });
    assert_eq!(branch, Fault::Count { what: "results of a branch", found: 0, expected: 1 });
    let foreign = fault(|graph| {
        let input = graph.entries[0].inputs[0].value;
        let node = find(graph, |node| matches!(node.kind, NodeKind::Fused { .. }));
        let NodeKind::Fused { results, .. } = &mut graph.nodes[node].kind else { unreachable!("found as one") };
        results.push(input);
    });
    assert!(matches!(foreign, Fault::Foreign(_)), "{foreign:?}");
}

#[test]
fn time_grows_with_the_graph() {
    let mut graph = graph();
    let mut value = graph.entries[0].outputs[0].1;
    let ty = graph.ty(value).clone();
    for _ in 0..100_000 {
        let arguments = Arguments { counts: vec![1], attrs: vec![] };
        let output = graph.values.push(mlc::graph::Value { ty: ty.clone(), name: None, loc: Loc::default() });
        let kind = NodeKind::Op { op: OpKind::Relu, arguments };
        let node = Node { kind, inputs: vec![value], outputs: vec![output], loc: Loc::default(), path: String::new() };
        let node = graph.nodes.push(node);
        graph.entries[0].body.nodes.push(node);
        value = output;
    }
    graph.entries[0].outputs[0].1 = value;
    let start = std::time::Instant::now();
    verify(&graph).expect("sound");
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds < 5.0, "{seconds} s for 10^5 nodes");
}
