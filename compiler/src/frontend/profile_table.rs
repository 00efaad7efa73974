//! The words of profiles: directives, their arguments, and what each takes.

/// What an argument of a directive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A path pattern or a list of them: selects weights.
    Paths,
    /// One of these words, quoted or not.
    Word(&'static [&'static str]),
    /// Quoted text: a file, a target, a place.
    Text,
    /// An integer.
    Int,
    /// A number.
    Number,
    /// A share, `50%` or 0.5.
    Share,
    /// A number or a share.
    Drop,
    /// A time, `8ms`.
    Time,
    /// A size in bytes, `120MiB`.
    Bytes,
    /// `true` or `false`, or a word that names a way.
    Flag(&'static [&'static str]),
}

/// A directive.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Arguments without a name, each.
    pub(super) positional: Option<Takes>,
    pub(super) args: &'static [(&'static str, Takes)],
}

const WEIGHTS: Takes = Takes::Word(&["f16", "bf16", "i8", "i4", "q8_0", "q4_0", "q4_1", "q4_k", "q6_k"]);
const ACTIVATIONS: Takes = Takes::Word(&["none", "i8", "dynamic", "static"]);

/// Every directive.
static TABLE: [Row; 6] = [
    Row { name: "target", positional: Some(Takes::Text), args: &[("threads", Takes::Int)] },
    Row {
        name: "prune",
        positional: None,
        args: &[
            ("select", Takes::Paths),
            ("skip", Takes::Paths),
            ("sparsity", Takes::Share),
            ("pattern", Takes::Word(&["2:4", "blocks", "bitmask", "unstructured", "channel", "head"])),
            ("method", Takes::Word(&["magnitude", "wanda", "sparsegpt", "obs", "taylor"])),
            ("block", Takes::Int),
            ("per_layer", Takes::Flag(&[])),
            ("calibrate", Takes::Text),
            ("samples", Takes::Int),
        ],
    },
    Row {
        name: "quantize",
        positional: Some(WEIGHTS),
        args: &[
            ("weights", WEIGHTS),
            ("activations", ACTIVATIONS),
            ("per", Takes::Word(&["tensor", "channel", "group", "token"])),
            ("group", Takes::Int),
            ("method", Takes::Word(&["minmax", "rtn", "gptq", "awq", "smooth", "mse", "percentile"])),
            ("percentile", Takes::Number),
            ("symmetric", Takes::Flag(&[])),
            ("bias_correction", Takes::Flag(&[])),
            ("equalize", Takes::Flag(&[])),
            ("state", Takes::Word(&["f16", "i8"])),
            ("select", Takes::Paths),
            ("skip", Takes::Paths),
            ("calibrate", Takes::Text),
            ("samples", Takes::Int),
        ],
    },
    Row {
        name: "crop",
        positional: None,
        args: &[
            ("select", Takes::Paths),
            ("skip", Takes::Paths),
            ("heads", Takes::Share),
            ("channels", Takes::Share),
            ("layers", Takes::Int),
            ("rank", Takes::Share),
            ("per_layer", Takes::Flag(&[])),
            ("calibrate", Takes::Text),
            ("samples", Takes::Int),
        ],
    },
    Row {
        name: "fuse",
        positional: None,
        args: &[
            ("attention", Takes::Flag(&["flash", "off"])),
            ("layer_norm", Takes::Flag(&[])),
            ("only", Takes::Text),
            ("off", Takes::Flag(&[])),
        ],
    },
    Row {
        name: "budget",
        positional: None,
        args: &[
            ("max_drop", Takes::Drop),
            ("relative", Takes::Flag(&[])),
            ("metric", Takes::Word(&["top1", "top5", "mse", "cosine", "spearman", "perplexity", "agreement"])),
            ("data", Takes::Text),
            ("latency", Takes::Time),
            ("at", Takes::Text),
            ("size", Takes::Bytes),
            ("memory", Takes::Bytes),
            ("confidence", Takes::Share),
        ],
    },
];

/// A directive by its name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

/// The names of all directives.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

impl Takes {
    /// What messages call it.
    pub(super) fn describe(self) -> String {
        match self {
            Takes::Paths => "a quoted pattern, or a list of them".into(),
            Takes::Word(words) => format!("one of {}", super::words::listed(words)),
            Takes::Text => "quoted text".into(),
            Takes::Int => "an integer".into(),
            Takes::Number => "a number".into(),
            Takes::Share => "a share, such as 50%".into(),
            Takes::Drop => "a number or a share, such as 0.5%".into(),
            Takes::Time => "a time, such as 8ms".into(),
            Takes::Bytes => "a size, such as 120MiB".into(),
            Takes::Flag([]) => "true or false".into(),
            Takes::Flag(words) => format!("true, false, or one of {}", super::words::listed(words)),
        }
    }
}
