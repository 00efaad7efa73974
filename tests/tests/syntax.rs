//! Every model text of the repository: printing undoes parsing, formatting twice is formatting once and keeps comments,
//! and the tree is what docs/src/ast-schema.json says.

use mlc_grammar::ast::File;
use mlc_grammar::{format, parse, print_file, to_json};
use mlc_tests::golden::{self, Golden};
use mlc_tests::schema::validate;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every `.mdl` file, and every one inside a golden file, by name.
fn texts() -> Vec<(String, String)> {
    let (mut found, mut waiting) =
        (vec![], ["grammar", "compiler", "examples", "tests", "docs"].map(|f| root().join(f)).to_vec());
    while let Some(folder) = waiting.pop() {
        for path in std::fs::read_dir(folder).expect("a folder of the repository").flatten().map(|entry| entry.path()) {
            let linked = path.is_symlink();
            if path.is_dir() && !linked {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "mdl") {
                let text = std::fs::read_to_string(&path).expect("a model is text");
                found.push((path.strip_prefix(root()).expect("below the root").display().to_string(), text));
            }
        }
    }
    for path in golden::all() {
        let golden = Golden::read(&path).expect("a golden file");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let models = golden.files.into_iter().filter(|(_, file, _)| file.ends_with(".mdl"));
        found.extend(models.map(|(_, file, text)| (format!("{name}: {file}"), text)));
    }
    found.sort();
    assert!(found.len() > 60, "found only {}", found.len());
    found
}

/// Those without a syntax error, and their trees.
fn sound() -> Vec<(String, String, File)> {
    let all = texts();
    let count = all.len();
    let sound: Vec<_> = all
        .into_iter()
        .map(|(name, text)| {
            let parsed = parse(&text);
            (name, text, parsed)
        })
        .filter(|(_, _, parsed)| parsed.errors.is_empty())
        .map(|(name, text, parsed)| (name, text, parsed.file))
        .collect();
    assert!(sound.len() * 4 > count * 3, "{} of {count} parse", sound.len());
    let examples = sound.iter().filter(|(name, ..)| name.starts_with("examples/")).count();
    assert!(examples >= 6, "every example parses");
    sound
}

fn json(file: &File) -> Value {
    serde_json::from_str(&to_json(file)).expect("the tree's JSON")
}

/// A tree without its places.
fn shape(file: &File) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !name.ends_with("span"));
                fields.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = json(file);
    strip(&mut value);
    value
}

#[test]
fn printing_undoes_parsing() {
    for (name, _, file) in sound() {
        let text = print_file(&file);
        let again = parse(&text);
        assert_eq!(again.errors, [], "{name}:\n{text}");
        assert_eq!(shape(&again.file), shape(&file), "{name}:\n{text}");
        assert_eq!(print_file(&again.file), text, "{name}");
    }
}

#[test]
fn formatting_twice_is_formatting_once() {
    for (name, text, file) in sound() {
        let once = format(&text).expect("it parses");
        assert_eq!(format(&once).as_deref(), Ok(once.as_str()), "{name}");
        assert_eq!(shape(&parse(&once).file), shape(&file), "{name}:\n{once}");
        assert_eq!(once.matches("//").count(), text.matches("//").count(), "{name} keeps its comments");
    }
}

fn schema() -> Value {
    let text = std::fs::read_to_string(root().join("docs/src/ast-schema.json")).expect("the schema");
    serde_json::from_str(&text).expect("the schema is JSON")
}

#[test]
fn every_tree_is_as_the_schema_says() {
    let schema = schema();
    for (name, text) in texts() {
        let tree = json(&parse(&text).file);
        validate(&schema, &tree).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}

/// Every place of a tree, changed: a field left out, a field too many, another word, another kind of value.
fn changed(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            out.push((path.into(), "more".into()));
            for (key, inner) in fields {
                let inside = format!("{path}/{key}");
                out.extend(["absent", "renamed", "wrong"].map(|how| (inside.clone(), how.to_owned())));
                changed(inner, &inside, out);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| changed(item, &format!("{path}/{i}"), out));
        }
        _ => {}
    }
}

fn with_change(tree: &Value, path: &str, how: &str) -> Value {
    let mut tree = tree.clone();
    let (parent, key) = path.rsplit_once('/').unwrap_or(("", ""));
    let place = if how == "more" { path } else { parent };
    let Some(Value::Object(fields)) = tree.pointer_mut(place) else { unreachable!("paths lead to objects") };
    match how {
        "more" => drop(fields.insert("more".into(), Value::Null)),
        "absent" => drop(fields.shift_remove(key)),
        "renamed" => {
            let value = fields.shift_remove(key).unwrap_or_default();
            fields.insert(format!("{key}s"), value);
        }
        _ => drop(fields.insert(key.into(), serde_json::json!({"wrong": [true]}))),
    }
    tree
}

#[test]
fn the_schema_refuses_what_is_no_tree() {
    let schema = schema();
    let text = std::fs::read_to_string(root().join("tests/data/graph/choice.mdl")).expect("a model");
    let tree = json(&parse(&text).file);
    let mut changes = vec![];
    changed(&tree, "", &mut changes);
    assert!(changes.len() > 1000, "{}", changes.len());
    for (path, how) in changes.into_iter().step_by(7) {
        let broken = with_change(&tree, &path, &how);
        assert!(validate(&schema, &broken).is_err(), "{how} at {path} is taken for a tree");
    }
}
