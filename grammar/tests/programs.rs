//! The example programs: each parses, prints and formats back to itself, and each broken one reports exactly its
//! mistakes.

use mlc_grammar::ast::{File, ItemKind};
use mlc_grammar::{SyntaxError, format, from_json, parse, print_file, to_json};

const PROGRAMS: [(&str, &str); 4] = [
    ("mlp", include_str!("data/mlp.mdl")),
    ("mobilenet_block", include_str!("data/mobilenet_block.mdl")),
    ("minilm", include_str!("data/minilm.mdl")),
    ("gpt2", include_str!("data/gpt2.mdl")),
];

fn sound(source: &str) -> File {
    let parsed = parse(source);
    assert_eq!(parsed.errors, [], "in\n{source}");
    parsed.file
}

/// The tree without its spans, for comparison.
fn shape(file: &File) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.retain(|name, _| !name.ends_with("span"));
                fields.values_mut().for_each(strip);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(&to_json(file)).unwrap();
    strip(&mut value);
    value
}

fn lines(source: &str, errors: &[SyntaxError]) -> Vec<(usize, String, String)> {
    let line = |e: &SyntaxError| source[..e.span.start as usize].matches('\n').count() + 1;
    errors.iter().map(|e| (line(e), e.code().to_owned(), source[e.span.range()].to_owned())).collect()
}

#[test]
fn json_reads_back() {
    for (name, source) in PROGRAMS {
        let file = sound(source);
        assert_eq!(from_json(&to_json(&file)).unwrap(), file, "{name}");
    }
}

#[test]
fn print_then_parse_is_identity() {
    for (name, source) in PROGRAMS {
        let file = sound(source);
        let text = print_file(&file);
        assert_eq!(shape(&sound(&text)), shape(&file), "{name}:\n{text}");
    }
}

#[test]
fn format_keeps_the_tree_and_is_idempotent() {
    for (name, source) in PROGRAMS {
        let once = format(source).unwrap();
        assert_eq!(shape(&sound(&once)), shape(&sound(source)), "{name}:\n{once}");
        assert_eq!(format(&once).unwrap(), once, "{name}");
        let comments = |text: &str| text.matches("//").count();
        assert_eq!(comments(&once), comments(source), "{name}");
    }
}

#[test]
fn format_keeps_comments_and_blank_lines() {
    let source = include_str!("data/comments.mdl");
    let expected = include_str!("data/comments.formatted.mdl");
    let formatted = format(source).unwrap();
    assert_eq!(formatted, expected, "\n{formatted}");
    assert_eq!(format(&formatted).unwrap(), formatted);
}

#[test]
fn docs_stand_with_what_they_describe() {
    let file = sound(PROGRAMS[3].1);
    assert_eq!(&*file.docs[0].value, "GPT-2 small decoder with a fixed-capacity KV cache held as model state.");
    let model = file.items.iter().find_map(|item| match &item.kind {
        ItemKind::Model(model) => Some(model),
        _ => None,
    });
    let documented: Vec<_> = model.unwrap().members.iter().filter(|member| !member.docs.is_empty()).collect();
    assert_eq!(documented.len(), 2);
}

#[test]
fn broken_reports_each_mistake_once() {
    let source = include_str!("data/broken.mdl");
    let parsed = parse(source);
    let expected = [
        (3, "MDL0101", "form"),
        (5, "MDL0102", "("),
        (6, "MDL0101", "+"),
        (6, "MDL0106", "$"),
        (11, "MDL0101", "="),
        (12, "MDL0101", "f32[batch, 784]"),
        (13, "MDL0101", "fc1"),
        (14, "MDL0105", "x"),
        (18, "MDL0103", "blok"),
        (20, "MDL0101", ")"),
    ];
    let expected = expected.map(|(line, code, text)| (line, code.to_owned(), text.to_owned()));
    assert_eq!(lines(source, &parsed.errors), expected);
    let ItemKind::Model(model) = &parsed.file.items[1].kind else { panic!("the model parses") };
    assert_eq!(model.members.len(), 3);
}

#[test]
fn broken2_has_no_cascades() {
    let source = include_str!("data/broken2.mdl");
    let expected = [(2, "MDL0103", "blok"), (7, "MDL0102", "("), (12, "MDL0102", "{"), (16, "MDL0104", "}")];
    let expected = expected.map(|(line, code, text)| (line, code.to_owned(), text.to_owned()));
    let parsed = parse(source);
    assert_eq!(lines(source, &parsed.errors), expected);
    assert!(parsed.file.items.iter().all(|item| !matches!(item.kind, ItemKind::Error(_))));
}

#[test]
fn the_exact_fixes_of_broken_mend_what_they_claim() {
    let source = include_str!("data/broken.mdl");
    let errors = parse(source).errors;
    let mut edits: Vec<_> = errors.iter().flat_map(|e| e.parts().fixes).flat_map(|fix| fix.edits).collect();
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut mended = source.to_owned();
    for (span, text) in edits {
        mended.replace_range(span.range(), &text);
    }
    let left: Vec<_> = lines(&mended, &parse(&mended).errors).into_iter().map(|(line, ..)| line).collect();
    assert_eq!(left, [6, 18, 20], "\n{mended}");
}

#[test]
fn common_mistakes_are_reported_where_they_are() {
    let source = include_str!("data/mistakes.mdl");
    let found: Vec<_> = lines(source, &parse(source).errors).into_iter().map(|(line, code, _)| (line, code)).collect();
    let expected = [
        (1, "MDL0002"),
        (2, "MDL0103"),
        (3, "MDL0101"),
        (6, "MDL0101"),
        (7, "MDL0102"),
        (9, "MDL0101"),
        (10, "MDL0105"),
        (11, "MDL0105"),
        (12, "MDL0106"),
        (12, "MDL0106"),
        (13, "MDL0108"),
        (14, "MDL0108"),
        (14, "MDL0108"),
        (15, "MDL0106"),
        (16, "MDL0101"),
        (18, "MDL0101"),
        (19, "MDL0105"),
        (21, "MDL0103"),
        (22, "MDL0103"),
        (22, "MDL0102"),
        (23, "MDL0105"),
        (24, "MDL0101"),
        (25, "MDL0101"),
        (27, "MDL0101"),
        (27, "MDL0102"),
        (28, "MDL0102"),
        (29, "MDL0102"),
        (29, "MDL0101"),
    ];
    assert_eq!(found, expected.map(|(line, code)| (line, code.to_owned())));
}
