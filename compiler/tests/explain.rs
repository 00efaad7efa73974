//! What is said of a model's kernels.

use mlc::diag::SourceMap;
use mlc::frontend::{Options, check};
use mlc::graph::Graph;
use mlc::passes::Keep;
use mlc::report::kernels::{KernelRow, Reason, json, table};
use mlc::schedule::{explain, schedule};
use mlc::{Pipeline, lowered};
use mlc_codegen::kernel::Step;
use std::collections::BTreeSet;
use std::path::Path;

const MODEL: &str = "mdl 1
block Dense[Out, In](x: f32[..B, In]) -> f32[..B, Out] {
  weight w: f32[Out, In] from \"w\"
  return einsum(\"... i, o i -> ... o\", x, w)
}
model M {
  dim n in 1..=9
  state seen: f32[4, 8]
  entry main(x: f32[n, 8]) -> f32[n, 8] {
    repeat i in 0..3 carry x {
      let x = relu(Dense[8](transpose(transpose(x)) |> Dense[8] at \"{i}.a\") at \"{i}.b\")
    }
    fused \"squash\" {
      let y = tanh(exp(x)) + x
    }
    set seen[0:1] = softmax(y[0:1], axis = -1)
    let z = layer_norm(y, axis = -1)
    return z - max(z, axis = -1, keep = true)
  }
}";

fn graph(text: &str) -> (Graph, SourceMap) {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", text);
    let options = Options { random_weights: Some(1), without_weights: true, ..Options::default() };
    let checked = check(&mut sources, file, &options);
    (checked.graph.unwrap_or_else(|| panic!("{:?}", checked.diagnostics)), sources)
}

fn calls(steps: &[Step]) -> usize {
    let of = |step: &Step| match step {
        Step::Call(_) => 1,
        Step::Loop { body, .. } => calls(body),
        Step::Branch { then, otherwise, .. } => calls(then) + calls(otherwise),
        _ => 0,
    };
    steps.iter().map(of).sum()
}

fn row<'r>(rows: &'r [KernelRow], kernel: &str) -> &'r KernelRow {
    rows.iter().find(|row| row.kernel == kernel).unwrap_or_else(|| panic!("no `{kernel}` in {rows:?}"))
}

#[test]
fn every_kernel_of_the_plan_has_its_row() {
    let (graph, _) = graph(MODEL);
    let rows = explain(&graph, Some(1 << 30)).expect("small sizes");
    let plan = schedule(&graph).expect("small sizes").plan;
    let listed: usize = rows.iter().map(|row| row.kernels.len()).sum();
    assert_eq!(listed, calls(&plan.entries[0].steps), "{rows:?}");
}

/// A group that no kernel can hold, a carried number that begins as a literal, one kernel for two layers.
const OTHERS: [&str; 3] = [
    "mdl 1
model M {
  entry main(x: f32[4, 4]) -> f32[4, 4] {
    fused \"two\" {
      let y = einsum(\"a b, b c -> a c\", x, x)
      let z = einsum(\"a b, b c -> a c\", y, x) + 1.0
    }
    return z
  }
}",
    "mdl 1
model M {
  entry main(x: f32[4]) -> f32[] {
    let total = 0.0
    repeat i in 0..3 carry total { let total = total + sum(x) }
    return total
  }
}",
    "mdl 1
model M {
  entry main(x: f32[4, 4]) -> f32[4, 4] {
    return softmax(softmax(x, axis = -1), axis = -1)
  }
  entry other(x: f32[4, 4]) -> f32[4, 4] { return softmax(x, axis = -1) }
}",
];

#[test]
fn the_kernels_listed_are_those_of_the_artifact() {
    for (text, keep) in [MODEL].iter().chain(&OTHERS).flat_map(|text| [(text, Keep::All), (text, Keep::None)]) {
        let (mut graph, sources) = graph(text);
        let pipeline = Pipeline { groups: keep, ..Pipeline::default() };
        pipeline.run(&mut graph).expect("passes");
        let plan = lowered(&pipeline, &graph, &sources, 0, &mut |_, _| {}).expect("builds").plan;
        let rows = explain(&graph, Some(1 << 30)).expect("small sizes");
        let listed: BTreeSet<u32> = rows.iter().flat_map(|row| row.kernels.clone()).collect();
        assert!(listed.into_iter().eq(0..plan.kernels.len() as u32), "{text}\n{rows:?}");
        for entry in &plan.entries {
            let own = rows.iter().filter(|row| row.entry == entry.name);
            assert_eq!(own.map(|row| row.kernels.len()).sum::<usize>(), calls(&entry.steps), "{text}\n{rows:?}");
        }
        let alone = |row: &&KernelRow| row.group.is_none() && row.ops.len() > 1;
        assert!(rows.iter().find(alone).is_none(), "several ops are a group: {rows:?}");
        assert!(keep == Keep::All || rows.iter().all(|row| row.group.is_none()), "{rows:?}");
    }
}

#[test]
fn so_it_is_for_every_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut seen = 0;
    for file in std::fs::read_dir(&folder).expect("the examples").map(|entry| entry.expect("a file").path()) {
        if file.extension().is_none_or(|extension| extension != "mdl") {
            continue;
        }
        let mut sources = SourceMap::default();
        let number = sources.add(file.display().to_string(), std::fs::read_to_string(&file).expect("text"));
        let options = Options { folder: Some(folder.clone()), without_weights: true, ..Options::default() };
        let mut graph = check(&mut sources, number, &options).graph.unwrap_or_else(|| panic!("{}", file.display()));
        Pipeline::default().run(&mut graph).expect("passes");
        let plan = schedule(&graph).expect("small sizes").plan;
        let rows = explain(&graph, Some(1 << 30)).expect("small sizes");
        let listed: BTreeSet<u32> = rows.iter().flat_map(|row| row.kernels.clone()).collect();
        assert!(listed.into_iter().eq(0..plan.kernels.len() as u32), "{}", file.display());
        for entry in &plan.entries {
            let own = rows.iter().filter(|row| row.entry == entry.name);
            assert_eq!(own.map(|row| row.kernels.len()).sum::<usize>(), calls(&entry.steps), "{}", file.display());
        }
        seen += 1;
    }
    assert!(seen >= 6, "{seen} examples");
}

#[test]
fn a_group_that_no_kernel_holds_is_told_op_by_op() {
    let rows = explain(&graph(OTHERS[0]).0, Some(1 << 30)).expect("small sizes");
    let ops: Vec<&[&str]> = rows.iter().map(|row| row.ops.as_slice()).collect();
    assert_eq!(ops, [&["einsum"][..], &["einsum"], &["add"]]);
    assert!(rows.iter().all(|row| row.group.is_none() && row.kernels.len() == 1), "{rows:?}");
    assert_eq!(rows[0].ends, [Reason::TwoContractions]);
}

#[test]
fn one_group_of_several_can_be_kept() {
    let (mut graph, _) = graph(MODEL);
    Pipeline::default().run(&mut graph).expect("passes");
    let all = graph.groups().len();
    assert!(all > 1, "{all}");
    assert_eq!(Keep::Only(all).apply(&mut graph), Err(all));
    let kept = graph.groups()[1];
    Keep::Only(1).apply(&mut graph).expect("it is there");
    assert_eq!(graph.groups(), [kept]);
    mlc::graph::verify(&graph).expect("a group is transparent");
}

#[test]
fn rows_say_what_is_moved_and_why_a_kernel_ends() {
    let (graph, _) = graph(MODEL);
    let rows = explain(&graph, Some(1 << 30)).expect("small sizes");
    let first = row(&rows, "{i}.a: einsum");
    assert_eq!((first.calls.as_str(), first.bytes.as_str(), first.fixed_bytes), ("3", "64 * n + 256", None));
    assert_eq!((first.ops.as_slice(), first.views.as_slice()), (&["einsum"][..], &["transpose", "transpose"][..]));
    assert_eq!(first.ends, [Reason::TwoContractions]);
    assert_eq!(row(&rows, "{i}.b: einsum").ends, [Reason::Ungrouped]);
    assert_eq!(row(&rows, "relu").ends, [Reason::ControlFlow]);
    let group = row(&rows, "squash");
    assert_eq!((group.ops.as_slice(), group.bytes.as_str()), (&["exp", "tanh", "add"][..], "64 * n"));
    assert_eq!(group.ends, [Reason::MultiUse]);
    assert_eq!(row(&rows, "softmax").ends, [Reason::StateWrite]);
    assert_eq!(row(&rows, "set seen").fixed_bytes, Some(64));
    assert_eq!(row(&rows, "max").ends, [Reason::ReductionThenBroadcast]);
    assert_eq!(row(&rows, "sub").ends, [Reason::Returned]);
}

#[test]
fn gathers_count_what_they_pick() {
    let text = "mdl 1
model M {
  entry main(ids: i64[4]) -> f32[4, 8] {
    weight table: f32[1000, 8] from \"t\"
    return gather(table, ids)
  }
}";
    assert_eq!(
        row(&explain(&graph(text).0, Some(1 << 30)).expect("small sizes"), "gather").fixed_bytes,
        Some(4 * 8 + 2 * 4 * 8 * 4)
    );
}

#[test]
fn text_and_json_name_places_and_stable_words() {
    let (graph, sources) = graph(MODEL);
    let rows = explain(&graph, Some(1 << 30)).expect("small sizes");
    let text = table(&rows, &sources);
    assert!(
        text.contains("  k0 {i}.a: einsum, 3 times: 64 * n + 256 bytes\n    m.mdl:4:10 einsum, reads through"),
        "{text}"
    );
    let json = json(&rows, &sources);
    let words: Vec<&str> = json.as_array().into_iter().flatten().filter_map(|row| row["ends"][0].as_str()).collect();
    assert_eq!(words.len(), rows.iter().filter(|row| !row.ends.is_empty()).count());
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).expect("a word"), reason.name());
    }
}
