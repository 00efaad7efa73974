//! Texts meant to hurt: deep, long and random ones. None may overflow the stack, panic or take more than linear time.

use mlc_grammar::{SyntaxErrorKind, format, from_json, fuzz_parse, parse, print_file, to_json};

const PROGRAMS: [&str; 6] = [
    include_str!("data/mlp.mdl"),
    include_str!("data/mobilenet_block.mdl"),
    include_str!("data/minilm.mdl"),
    include_str!("data/gpt2.mdl"),
    include_str!("data/broken.mdl"),
    include_str!("data/comments.mdl"),
];

fn constant(value: &str) -> String {
    format!("mdl 1\nconst X = {value}\n")
}

#[test]
fn a_million_parentheses() {
    for close in [1_000_000, 0] {
        let source = constant(&("(".repeat(1_000_000) + "1" + &")".repeat(close)));
        let errors = parse(&source).errors;
        assert!(errors.iter().any(|e| e.kind == SyntaxErrorKind::TooDeep));
        assert!(errors.len() <= 2, "{}", errors.len());
    }
}

#[test]
fn long_runs_of_prefixes_and_suffixes_are_too_deep() {
    for value in ["-".repeat(100_000) + "1", "not ".repeat(100_000) + "x", "x".to_owned() + &".y".repeat(100_000)] {
        let errors = parse(&constant(&value)).errors;
        assert_eq!(errors.len(), 1, "{:?}", &errors[..2]);
        assert_eq!(errors[0].code(), "MDL0107");
    }
    let calls = "f".to_owned() + &"(1)".repeat(100_000);
    assert_eq!(parse(&constant(&calls)).errors[0].code(), "MDL0107");
}

#[test]
fn long_chains_are_flat() {
    let links = [(" + a", 100_000), (" * a", 100_000), (" |> f", 100_000), (" - f(a, b = [1, 2])[0]", 10_000)];
    for (link, terms) in links {
        let source = constant(&("a".to_owned() + &link.repeat(terms)));
        let parsed = parse(&source);
        assert_eq!(parsed.errors, []);
        let copy = parsed.file.clone();
        assert_eq!(from_json(&to_json(&copy)).unwrap(), copy);
        let formatted = format(&source).unwrap();
        assert_eq!(format(&formatted).unwrap(), formatted);
        assert_eq!(parse(&print_file(&copy)).errors, []);
    }
}

#[test]
fn the_deepest_tree_fits_the_stack() {
    for (level, depth) in [("a |> b or c and d == e + f * (", 35), ("f(a, ", 120), ("(", 250), ("-(", 120)] {
        let source = constant(&(level.repeat(depth) + "1" + &")".repeat(depth)));
        let parsed = parse(&source);
        assert_eq!(parsed.errors, [], "{level}");
        assert_eq!(from_json(&to_json(&parsed.file)).unwrap(), parsed.file);
        let formatted = format(&source).unwrap();
        assert_eq!(format(&formatted).unwrap(), formatted);
    }
    let source = constant(&("a |> b or c and d == e + f * (".repeat(250) + "1" + &")".repeat(250)));
    let codes: Vec<_> = parse(&source).errors.iter().map(|e| e.code()).collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == "MDL0107"), "{codes:?}");
}

#[test]
fn mutated_programs_never_panic() {
    let seed = std::env::var("MLC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x9e37_79b9_7f4a_7c15u64);
    println!("MLC_SEED={seed}");
    let mut state = seed;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n.max(1) as u64) as usize
    };
    for round in 0..1500 {
        let mut bytes = PROGRAMS[round % PROGRAMS.len()].as_bytes().to_vec();
        for _ in 0..=below(6) {
            let (at, other) = (below(bytes.len()), below(bytes.len()));
            match below(5) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, b"(){}[]#\"/.,=:|>-+@ \n"[below(20)]),
                3 => drop(bytes.drain(at.min(other)..at.max(other).min(at.min(other) + 40))),
                _ => {
                    let piece = bytes[at.min(other)..at.max(other).min(at.min(other) + 60)].to_vec();
                    let to = below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        fuzz_parse(&bytes);
        if let Ok(source) = std::str::from_utf8(&bytes)
            && let Ok(once) = format(source)
        {
            assert_eq!(format(&once).as_deref(), Ok(&*once), "round {round}:\n{source}");
        }
    }
}
