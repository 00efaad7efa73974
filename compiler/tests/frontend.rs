//! The checker: whole programs, and situations as data: a text, and the code and place of each thing that is said.

use mlc::diag::{Applicability, Diagnostic, Severity, SourceMap, apply};
use mlc::frontend::{Checked, Options, check};
use mlc::graph::{Graph, NodeKind};
use rules::Shows;
use std::path::{Path, PathBuf};

#[path = "frontend/control_rules.rs"]
mod control_rules;
#[path = "frontend/rules.rs"]
mod rules;
#[path = "frontend/situations.rs"]
mod situations;
#[path = "frontend/sound.rs"]
mod sound;
#[path = "frontend/value_rules.rs"]
mod value_rules;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn run(text: &str, options: &Options) -> (Checked, SourceMap) {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", text);
    let checked = check(&mut sources, file, options);
    (checked, sources)
}

fn lenient() -> Options {
    Options { folder: Some(data()), without_weights: true, ..Options::default() }
}

fn program(name: &str) -> Checked {
    let text = std::fs::read_to_string(data().join(name)).expect("the program is there");
    run(&text, &Options { random_weights: Some(1), ..lenient() }).0
}

/// The graph of a text that must be sound.
fn graph(text: &str) -> Graph {
    let (checked, sources) = run(text, &Options { random_weights: Some(1), ..lenient() });
    checked.graph.unwrap_or_else(|| panic!("{}", said(&checked.diagnostics, &sources)))
}

/// `CODE: text at the primary place`, a line each.
fn said(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let line = |d: &Diagnostic| {
        let loc = d.labels[0].loc;
        let place = &sources.text(loc.file)[loc.start as usize..loc.end as usize];
        format!("{}: {}\n", d.code, place.replace('\n', " "))
    };
    diagnostics.iter().map(line).collect()
}

fn ops(graph: &Graph, name: &str) -> usize {
    let is = |kind: &NodeKind| matches!(kind, NodeKind::Op { op, .. } if op.name() == name);
    graph.entries.iter().flat_map(|e| graph.nodes_within(&e.body)).filter(|n| is(&graph.nodes[*n].kind)).count()
}

#[test]
fn the_four_programs_become_graphs() {
    for (name, entry, inputs) in [
        ("mlp.mdl", "main", 1),
        ("mobilenet_block.mdl", "main", 1),
        ("minilm.mdl", "embed", 2),
        ("gpt2.mdl", "step", 1),
    ] {
        let checked = program(name);
        let errors: Vec<_> = checked.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        let graph = checked.graph.expect("there is no error");
        assert_eq!((graph.entries[0].name.as_str(), graph.entries[0].inputs.len()), (entry, inputs), "{name}");
    }
}

#[test]
fn a_repeat_stays_rolled_and_its_weights_are_families() {
    let graph = program("minilm.mdl").graph.expect("it is sound");
    let body = &graph.entries[0].body;
    let repeats = body.nodes.iter().filter(|n| matches!(graph.nodes[**n].kind, NodeKind::Repeat(_))).count();
    assert_eq!(repeats, 1);
    let families = graph.nodes.values().filter_map(|node| match &node.kind {
        NodeKind::Constant { members, counter: Some(_) } => Some(members.clone()),
        _ => None,
    });
    let families: Vec<_> = families.collect();
    assert_eq!(families.len(), 16, "each layer has sixteen weights");
    let names: Vec<&str> = families[0].iter().map(|c| graph.constants[*c].name.as_str()).collect();
    assert_eq!(names.len(), 6);
    assert_eq!(names[5], "encoder.layer.5.attention.self.query.weight");
}

#[test]
fn state_is_written_by_set_and_read_after() {
    let graph = program("gpt2.mdl").graph.expect("it is sound");
    let nodes = graph.nodes_within(&graph.entries[0].body);
    let order: Vec<&str> = nodes
        .iter()
        .filter_map(|n| match &graph.nodes[*n].kind {
            NodeKind::Set { .. } => Some("set"),
            NodeKind::Read(_) => Some("read"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["set", "set", "read", "read"]);
    assert_eq!(graph.entries[0].sizes.len(), 1);
    assert_eq!(graph.entries[0].guards.len(), 1, "the assertion; everything else follows from it");
    assert_eq!(graph.facts.len(), 1);
    assert_eq!(graph.entries[0].outputs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["logits", "next"]);
}

#[test]
fn one_key_is_one_constant() {
    let graph = program("gpt2.mdl").graph.expect("it is sound");
    let tables = graph.constants.values().filter(|c| c.name == "wte.weight").count();
    assert_eq!(tables, 1);
}

#[test]
fn the_broken_file_names_axis_for_dim() {
    let text = std::fs::read_to_string(data().join("broken.mdl")).expect("it is there");
    let (checked, sources) = run(&text, &lenient());
    let found = checked.diagnostics.iter().find(|d| d.code == "MDL0204").expect("line 15");
    assert_eq!(sources.position(found.labels[0].loc), (15, 23));
    let fix = &found.fixes[0];
    assert_eq!((fix.edits[0].text.as_str(), fix.applicability), ("axis", Applicability::Exact));
    assert_eq!(checked.diagnostics.len(), 11, "{}", said(&checked.diagnostics, &sources));
}

/// What is wrong with what holds a rule, where something is.
fn broken(shows: &Shows) -> Option<String> {
    let seeded = Options { random_weights: Some(1), ..lenient() };
    match shows {
        Shows::Type(text, ty) => {
            let (checked, sources) = run(text, &seeded);
            let found = checked.graph.as_ref().map(|graph| graph.ty(graph.entries[0].outputs[0].1).show(&graph.slots));
            let right = found.as_deref() == Some(ty) && checked.diagnostics.is_empty();
            (!right).then(|| format!("{text}\n  {found:?}, not {ty}\n{}", said(&checked.diagnostics, &sources)))
        }
        Shows::Keys(text, keys) => {
            let graph = graph(text);
            let is_weight = |name: &&str| name.contains(char::is_alphabetic);
            let mut names: Vec<&str> = graph.constants.values().map(|c| c.name.as_str()).filter(is_weight).collect();
            names.sort_unstable();
            (names != *keys).then(|| format!("{text}\n  {names:?}, not {keys:?}"))
        }
        Shows::Says(text, expected) => {
            let (checked, sources) = run(text, &seeded);
            let (found, wanted) =
                (said(&checked.diagnostics, &sources), expected.iter().map(|line| format!("{line}\n")));
            (found != wanted.collect::<String>()).then(|| format!("{text}\n  wanted {expected:?}, found\n{found}"))
        }
        Shows::Tested(place) => {
            let (file, name) = place.split_once(' ').unwrap_or((place, ""));
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file));
            let there = text.is_ok_and(|text| name.is_empty() || text.contains(&format!("fn {name}")));
            (!there).then(|| format!("there is no test {place}"))
        }
    }
}

#[test]
fn every_rule_of_the_language_is_held() {
    let all = [rules::NAMES, rules::KEYS, value_rules::TYPES, value_rules::SHAPES, control_rules::CONTROL].concat();
    assert!(all.iter().all(|(_, shows)| !shows.is_empty()));
    let faults = all
        .iter()
        .flat_map(|(rule, shows)| shows.iter().filter_map(broken).map(move |why| format!("== {rule}\n{why}")));
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_dim_pinned_to_one_does_not_broadcast() {
    let text = "mdl 1
model M {
  dim n in 1..=8
  entry main(x: f32[n, 4], a: f32[3, 4]) -> f32[3, 4] { return x + a }
}";
    let (checked, sources) = run(text, &Options { dims: vec![("n".into(), 1)], ..lenient() });
    assert_eq!(said(&checked.diagnostics, &sources), "MDL0302: x + a\n");
}

#[test]
fn sound_programs_have_the_types_they_promise() {
    let mut failed = vec![];
    for (title, text, ty) in sound::ALL {
        let (checked, sources) = run(text, &lenient());
        let found = match &checked.graph {
            Some(graph) => graph.ty(graph.entries[0].outputs[0].1).show(&graph.slots),
            None => String::new(),
        };
        if found != *ty || !checked.diagnostics.is_empty() {
            let said = said(&checked.diagnostics, &sources);
            let messages: Vec<&str> = checked.diagnostics.iter().map(|d| d.message.as_str()).collect();
            failed.push(format!("== {title}\n{found}, not {ty}\n{said}{}", messages.join("\n")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn situations_are_said_at_their_place() {
    let mut failed = vec![];
    for (title, text, expected) in situations::ALL {
        let (checked, sources) = run(text, &lenient());
        let found = said(&checked.diagnostics, &sources);
        let wanted: String = expected.iter().map(|line| format!("{line}\n")).collect();
        if found != wanted {
            failed.push(format!("== {title}\nexpected:\n{wanted}found:\n{found}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn exact_fixes_mend_what_they_name() {
    for (title, text, _) in situations::ALL {
        let (checked, sources) = run(text, &lenient());
        let fixes: Vec<_> = checked.diagnostics.iter().flat_map(|d| &d.fixes).collect();
        if !fixes.iter().any(|f| f.applicability == Applicability::Exact) {
            continue;
        }
        let (mended, _) = apply(0, sources.text(0), &checked.diagnostics);
        let (again, _) = run(&mended, &lenient());
        let codes = |c: &Checked| c.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        assert!(codes(&again) < codes(&checked), "{title}");
    }
}

#[test]
fn a_loop_whose_body_needs_the_number_is_unrolled() {
    let text = "mdl 1
block Layer[k: int](x: f32[n]) -> f32[n] {
  return if k == 0 { relu(x) } else { x * 2.0 }
}
model M {
  entry main(x: f32[4]) -> f32[4] {
    repeat i in 0..3 carry x {
      let x = Layer[k = i](x)
    }
    return x
  }
}";
    let graph = graph(text);
    assert_eq!((ops(&graph, "relu"), ops(&graph, "mul")), (1, 2));
}

#[test]
fn nested_loops_name_weights_by_both_indices() {
    let text = "mdl 1
model M {
  weights from \"w.safetensors\"
  entry main(x: f32[4]) -> f32[4] {
    repeat i in 0..2 carry x {
      repeat j in 0..3 carry x {
        weight w: f32[4] from \"l.{i}.{j}\"
        let x = x * w
      }
    }
    return x
  }
}";
    let graph = graph(text);
    let mut names: Vec<&str> = graph.constants.values().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["l.0.0", "l.0.1", "l.0.2", "l.1.0", "l.1.1", "l.1.2"]);
}

#[test]
fn a_pinned_dim_is_a_number() {
    let text = "mdl 1
model M {
  dim n in 1..=8
  entry main(x: f32[n, 2]) -> f32[n, 2] { return relu(x) }
}";
    let options = Options { dims: vec![("n".into(), 3)], ..lenient() };
    let graph = run(text, &options).0.graph.expect("it is sound");
    assert_eq!(graph.ty(graph.entries[0].inputs[0].value).shape(), Some(vec![3, 2]));
    let wrong = Options { dims: vec![("m".into(), 3)], ..lenient() };
    assert_eq!(run(text, &wrong).0.diagnostics[0].code, "MDL0207");
}

#[test]
fn imports_are_found_beside_the_file_and_cycles_are_drawn() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it can be written");
    write("nn.mdl", "mdl 1\nconst TWO: f32 = 2.0\nfn double(x: f32[..B]) -> f32[..B] { return x * TWO }\n");
    let options = Options { folder: Some(folder.path().into()), ..lenient() };
    let text = "mdl 1
import nn from \"nn.mdl\"
import { double } from \"nn.mdl\"
model M { entry main(x: f32[4]) -> f32[4] { return nn.double(double(x)) * nn.TWO } }";
    let (checked, sources) = run(text, &options);
    assert!(checked.graph.is_some(), "{}", said(&checked.diagnostics, &sources));
    write("a.mdl", "mdl 1\nimport { B } from \"b.mdl\"\nfn A(x: f32[n]) -> f32[n] { return x }\n");
    write("b.mdl", "mdl 1\nimport { A } from \"a.mdl\"\nfn B(x: f32[n]) -> f32[n] { return x }\n");
    let (checked, _) = run("mdl 1\nimport { A } from \"a.mdl\"\n", &options);
    let cycle = checked.diagnostics.iter().find(|d| d.code == "MDL0203").expect("a cycle");
    assert_eq!(cycle.labels.len(), 2, "{cycle:?}");
}

#[test]
fn long_chains_take_linear_time_and_little_stack() {
    let chain = |n: usize| {
        let sum = vec!["x"; n].join(" + ");
        format!("mdl 1\nmodel M {{ entry main(x: f32[4]) -> f32[4] {{ return {sum} }} }}")
    };
    let graph = graph(&chain(100_000));
    assert_eq!(ops(&graph, "add"), 99_999);
}

#[test]
fn many_statements_take_linear_time() {
    let lets: String = (0..50_000).map(|i| format!("    let v{i} = relu(x)\n    let x = v{i}\n")).collect();
    let text = format!("mdl 1\nmodel M {{\n  entry main(x: f32[4]) -> f32[4] {{\n{lets}    return x\n  }}\n}}");
    assert_eq!(ops(&graph(&text), "relu"), 50_000);
}

#[test]
fn blocks_that_double_at_each_level_are_refused_soon() {
    let mut text = String::from("mdl 1\nfn g0(x: f32[n]) -> f32[n] { return relu(x) }\n");
    for i in 1..40 {
        text += &format!("fn g{i}(x: f32[n]) -> f32[n] {{ return g{0}(g{0}(x)) }}\n", i - 1);
    }
    text += "model M { entry main(x: f32[4]) -> f32[4] { return g39(x) } }";
    let (checked, _) = run(&text, &lenient());
    assert!(checked.diagnostics.iter().any(|d| d.code == "MDL0217"), "{:?}", checked.diagnostics);
}
