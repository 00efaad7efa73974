//! Why a file does not become a graph.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why an ONNX file is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The system gives no bytes.
    #[error("cannot read `{}`: {why}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// It is no ONNX file, or its parts contradict each other.
    #[error("this is no sound ONNX model: {0}")]
    Damaged(String),
    /// Operators that have no place in the table, all of them.
    #[error("{}", operators(.0))]
    Operators(BTreeMap<String, Vec<String>>),
    /// Uses of operators that cannot be expressed, all of them.
    #[error("{}", lines(.0))]
    Uses(Vec<(String, String)>),
    /// Inputs of the model whose numbers decide shapes.
    #[error("{}", unbound(.0))]
    Unbound(Vec<String>),
    /// External data that may not, or cannot, be read.
    #[error("the data of tensor `{tensor}` lies in `{path}`: {why}")]
    External {
        /// The tensor.
        tensor: String,
        /// The path in the file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// More than is allowed.
    #[error("{0}")]
    Limit(String),
}

impl ImportError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        match self {
            ImportError::Unread { .. } => "MDL0003",
            ImportError::Damaged(_) => "MDL0801",
            ImportError::Operators(_) => "MDL0802",
            ImportError::Uses(_) => "MDL0803",
            ImportError::Unbound(_) => "MDL0804",
            ImportError::External { .. } => "MDL0805",
            ImportError::Limit(_) => "MDL0806",
        }
    }
}

fn operators(all: &BTreeMap<String, Vec<String>>) -> String {
    const SHOWN: usize = 3;
    let kinds = if all.len() == 1 { "an operator".into() } else { format!("{} operators", all.len()) };
    let mut text = format!("the model uses {kinds} that mlc does not import:");
    for (operator, places) in all {
        let shown: Vec<String> = places.iter().take(SHOWN).map(|place| format!("`{place}`")).collect();
        let more = places.len().saturating_sub(SHOWN);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        text += &format!("\n  {operator}: {}{more}", shown.join(", "));
    }
    text
}

fn lines(all: &[(String, String)]) -> String {
    const SHOWN: usize = 50;
    let line = |(place, why): &(String, String)| format!("`{place}`: {why}");
    if let [only] = all {
        return line(only);
    }
    let shown: String = all.iter().take(SHOWN).map(|case| format!("\n  {}", line(case))).collect();
    let more = all.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
    format!("the model uses operators in {} ways that mlc does not import:{shown}{more}", all.len())
}

fn unbound(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let (what, verb) = if names.len() == 1 { ("input", "decides") } else { ("inputs", "decide") };
    let flags: Vec<String> = names.iter().map(|name| format!("--bind {name}=VALUE")).collect();
    let list = shown.join(", ");
    format!("{what} {list} {verb} shapes, which must be known when the model is compiled; give {}", flags.join(" "))
}
