//! What the system says when it refuses, in the words of our messages.

use std::io;

/// `no such file or directory`: without the number, and without a capital in the middle of a sentence.
pub fn why(error: &io::Error) -> String {
    let said = error.to_string();
    let said = said.split(" (os error").next().unwrap_or(&said);
    let mut letters = said.chars();
    match letters.next() {
        Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().to_string() + letters.as_str()
        }
        _ => said.to_owned(),
    }
}
