//! Example models stand beside this crate; its programs use mlc as a library, and share what is here.

mod chatml;
mod sampler;
mod wav;

pub use chatml::{ChatMl, ChatMlError, Words};
pub use sampler::Sampler;
pub use wav::{Wav, WavError};

/// The positions of the `n` greatest scores, best first; of equal ones the earlier.
///
/// ```
/// assert_eq!(mlc_examples::best(&[0.1, 0.7, 0.2], 2), [1, 2]);
/// ```
pub fn best(scores: &[f32], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.truncate(n);
    order
}

/// The chapter of the book about the library, whose blocks are run as the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/src/library.md")]
struct Library;
