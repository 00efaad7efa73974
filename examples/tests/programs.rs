//! The example programs, run as README says. What needs files that `examples/fetch` brings is counted as ignored where
//! they are not there, after a line that says so.

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::Path;
use std::process::Command;

/// A program, what it needs, its words, and what its output must be or, where it ends in `…`, begin with.
struct Program {
    name: &'static str,
    bin: &'static str,
    needs: &'static [&'static str],
    words: &'static [&'static str],
    prints: &'static str,
}

const PROGRAMS: [Program; 6] = [
    Program {
        name: "embed",
        bin: env!("CARGO_BIN_EXE_embed"),
        needs: &[],
        words: &[],
        prints: "out: [256, 10]; 225 of 256 pictures named right\n",
    },
    Program {
        name: "embed_with_convolutions",
        bin: env!("CARGO_BIN_EXE_embed"),
        needs: &[],
        words: &["examples/fashion_cnn.mdl"],
        prints: "out: [256, 10]; 238 of 256 pictures named right\n",
    },
    Program {
        name: "search",
        bin: env!("CARGO_BIN_EXE_search"),
        needs: &["models/minilm"],
        words: &["examples/proverbs.txt", "mistakes happen when you hurry", "--best", "3"],
        prints: "0.393  Haste makes waste.\n0.358  Practice makes perfect.\n0.340  Look before you leap.\n",
    },
    Program {
        name: "chat",
        bin: env!("CARGO_BIN_EXE_chat"),
        needs: &["models/smollm2"],
        words: &["What is the capital of France?"],
        prints: "The capital of France is Paris.\n",
    },
    Program {
        name: "classify",
        bin: env!("CARGO_BIN_EXE_classify"),
        needs: &["models/efficientnet_lite0", "data/photos", "data/imagenet_labels.txt"],
        words: &[
            "examples/data/photos/chelsea.png",
            "examples/data/photos/coffee.png",
            "examples/data/photos/motorcycle_left.png",
        ],
        prints: "examples/data/photos/chelsea.png: 285 Egyptian Mau 0.40…\n\
                 examples/data/photos/coffee.png: 967 espresso 0.94…\n\
                 examples/data/photos/motorcycle_left.png: 665 moped 0.7…\n",
    },
    Program {
        name: "listen",
        bin: env!("CARGO_BIN_EXE_listen"),
        needs: &["models/silero_vad", "data/speech"],
        words: &["examples/data/speech/sense_and_sensibility_01_austen_64kb-0880.wav"],
        prints: "examples/data/speech/sense_and_sensibility_01_austen_64kb-0880.wav: 2.99 s\n    0.26 to   2.85\n",
    },
];

fn main() {
    let mut trials = Vec::new();
    for program in PROGRAMS {
        let absent = program.needs.iter().any(|need| !examples().join(need).exists());
        if absent {
            println!("{}: skipped; examples/fetch all brings {}", program.name, program.needs.join(", "));
        }
        trials.push(Trial::test(program.name, move || prints(&program)).with_ignored_flag(absent));
    }
    for page in ["README.md", "docs/src/examples.md", "docs/src/library.md"] {
        trials.push(Trial::test(format!("{page} shows what they print"), move || shown(page)));
    }
    for (name, bin, words, says) in REFUSALS {
        trials.push(Trial::test(name, move || refuses(bin, words, says)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn examples() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(bin: &str, words: &[&str]) -> Result<(bool, String, String), Failed> {
    let output = Command::new(bin).args(words).current_dir(examples().join("..")).output()?;
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok((output.status.success(), stdout, stderr))
}

fn prints(program: &Program) -> Result<(), Failed> {
    let (ran, stdout, stderr) = run(program.bin, program.words)?;
    let same = stdout.lines().count() == program.prints.lines().count()
        && stdout.lines().zip(program.prints.lines()).all(|(found, expected)| match expected.strip_suffix('…') {
            Some(start) => found.starts_with(start),
            None => found == expected,
        });
    if ran && same { Ok(()) } else { Err(format!("it printed\n{stdout}{stderr}\nnot\n{}", program.prints).into()) }
}

/// What a page says that a program prints is what the table says of it.
fn shown(page: &str) -> Result<(), Failed> {
    let text = std::fs::read_to_string(examples().join("..").join(page))?;
    let commands: Vec<&str> = text.split("$ cargo run -q -p mlc-examples --bin ").skip(1).collect();
    for command in &commands {
        let end = command.find("\n$ ").into_iter().chain(command.find("\n```")).min().unwrap_or(command.len());
        let (words, output) = command[..end].split_once('\n').unwrap_or((command, ""));
        let mut words = words.split_whitespace().map(|word| word.trim_matches('"'));
        let bin = words.next().unwrap_or_default();
        let of_bin =
            || PROGRAMS.iter().filter(|program| program.name == bin).flat_map(|program| program.prints.lines());
        for line in output.lines() {
            let same = |known: &str| match known.strip_suffix('…') {
                Some(start) => line.starts_with(start),
                None => line == known,
            };
            if !of_bin().any(same) {
                return Err(format!("{page}: `{bin}` is not known to print `{line}`").into());
            }
        }
    }
    if commands.is_empty() { Err(format!("{page} shows no program").into()) } else { Ok(()) }
}

/// Wrong uses, and what each is told.
const REFUSALS: [(&str, &str, &[&str], &str); 5] = [
    ("a_model_that_is_not_there", env!("CARGO_BIN_EXE_embed"), &["none.mdl"], "cannot read `none.mdl`"),
    ("text_that_is_no_model", env!("CARGO_BIN_EXE_embed"), &["README.md"], "error[MDL0"),
    (
        "a_file_without_lines",
        env!("CARGO_BIN_EXE_search"),
        &["examples/src/bin", "anything"],
        "cannot read `examples/src/bin`",
    ),
    (
        "words_that_are_no_gguf",
        env!("CARGO_BIN_EXE_chat"),
        &["hello", "--words", "examples/fashion_mlp.safetensors"],
        "the file's metadata have no `tokenizer.ggml.model`",
    ),
    (
        "a_label_file_that_is_not_there",
        env!("CARGO_BIN_EXE_classify"),
        &["cat.png", "--labels", "none.txt"],
        "cannot read `none.txt`",
    ),
];

fn refuses(bin: &str, words: &[&str], says: &str) -> Result<(), Failed> {
    let (ran, _, stderr) = run(bin, words)?;
    let told = !ran && stderr.contains(says) && !stderr.contains("panicked");
    if told { Ok(()) } else { Err(format!("it said\n{stderr}\nnot\n{says}").into()) }
}
