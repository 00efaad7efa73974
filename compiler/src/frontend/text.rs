//! The text of a model file: bounded, and UTF-8.

use mlc_runtime::system::why;
use std::io::Read;

/// A file no larger than this is read; a model is text that people write.
const LIMIT: u64 = 64 << 20;

/// Why a file has no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The system says so.
    #[error("{0}")]
    Unread(String),
    /// It is something else than the text of a model.
    #[error("{0}")]
    Unfit(String),
}

impl TextError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        match self {
            TextError::Unread(_) => "MDL0003",
            TextError::Unfit(_) => "MDL0004",
        }
    }
}

impl From<std::io::Error> for TextError {
    fn from(error: std::io::Error) -> Self {
        TextError::Unread(why(&error))
    }
}

/// All text of a reader.
///
/// # Errors
/// It cannot be read, is too long, or is not UTF-8.
pub fn read_text(reader: impl Read) -> Result<String, TextError> {
    let mut bytes = Vec::new();
    reader.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(TextError::Unfit(format!("it is larger than {} MiB", LIMIT >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
        TextError::Unfit(format!("it is not UTF-8 at line {line}, byte {valid} of the file"))
    })
}
