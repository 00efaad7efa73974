//! The words of a chat model, from its GGUF file: byte-pair tokens, and turns in ChatML (`<|im_start|>role … <|im_end|>`).
//!
//! Invariant: everything comes from the file's metadata; a file whose tokenizer or template is of another kind is refused.

use mlc_runtime::weights::{LoadError, MetaValue, WeightFile};
use std::path::Path;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, DecodeStream, Tokenizer};
use tokenizers::{DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

/// Text to tokens and back, and the form of a conversation.
pub struct ChatMl {
    tokenizer: Tokenizer,
    system: Option<String>,
    end: u32,
}

/// Text that grows with every token.
pub type Words<'t> =
    DecodeStream<'t, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Why a file does not tell how to talk.
#[derive(Debug, thiserror::Error)]
pub enum ChatMlError {
    /// It cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Metadata that are not there.
    #[error("the file's metadata have no `{0}`")]
    Missing(&'static str),
    /// Another tokenizer.
    #[error("`{key}` is `{found}`; this program knows `{known}`")]
    Unknown {
        /// Which metadata.
        key: &'static str,
        /// What they say.
        found: String,
        /// What is known.
        known: &'static str,
    },
    /// Another template.
    #[error("the chat template is not ChatML")]
    Template,
    /// The tokenizer refuses.
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] tokenizers::Error),
}

const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";
/// GGUF's number for a token that is not made of text.
const CONTROL: f64 = 3.0;

impl ChatMl {
    /// Reads a GGUF file's metadata.
    ///
    /// # Errors
    /// It cannot be read, or was made for another tokenizer or template.
    pub fn open(path: impl AsRef<Path>) -> Result<ChatMl, ChatMlError> {
        let file = WeightFile::open(path)?;
        let text = |key| file.metadata().get(key).and_then(MetaValue::as_str).ok_or(ChatMlError::Missing(key));
        for (key, known) in [("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "smollm")] {
            let found = text(key)?;
            if found != known {
                return Err(ChatMlError::Unknown { key, found: found.into(), known });
            }
        }
        let template = text("tokenizer.chat_template")?;
        if !template.contains(START) || !template.contains(END) {
            return Err(ChatMlError::Template);
        }
        let tokenizer = tokenizer(&file)?;
        let end = tokenizer.token_to_id(END).ok_or(ChatMlError::Template)?;
        Ok(ChatMl { tokenizer, system: between(template, "<|im_start|>system\n", END).map(str::to_owned), end })
    }

    /// The tokens of a turn, up to where the model is to answer; the first turn opens with the template's system message.
    ///
    /// # Errors
    /// The tokenizer refuses.
    pub fn turn(&self, first: bool, text: &str) -> Result<Vec<i64>, ChatMlError> {
        let opening = match (&self.system, first) {
            (Some(system), true) => format!("{START}system\n{system}{END}\n"),
            (None, true) => String::new(),
            (_, false) => format!("{END}\n"),
        };
        let turn = format!("{opening}{START}user\n{text}{END}\n{START}assistant\n");
        let tokens = self.tokenizer.encode(turn, false)?;
        Ok(tokens.get_ids().iter().map(|id| i64::from(*id)).collect())
    }

    /// Whether the model ends its turn with this token.
    pub fn ends(&self, token: usize) -> bool {
        token == self.end as usize
    }

    /// The text of an answer, token by token.
    pub fn words(&self) -> Words<'_> {
        self.tokenizer.decode_stream(true)
    }
}

/// Byte-level BPE whose digits stand alone, as `tokenizer.ggml.pre = smollm` says.
fn tokenizer(file: &WeightFile) -> Result<Tokenizer, ChatMlError> {
    let array = |key| file.metadata().get(key).and_then(MetaValue::as_array).ok_or(ChatMlError::Missing(key));
    let tokens = file.strings(array("tokenizer.ggml.tokens")?)?;
    let kinds = file.numbers(array("tokenizer.ggml.token_type")?)?;
    let merges = file.strings(array("tokenizer.ggml.merges")?)?;
    let merges = merges.iter().filter_map(|pair| pair.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect();
    let vocabulary: Vocab = tokens.iter().cloned().zip(0u32..).collect();
    let model = BPE::builder().vocab_and_merges(vocabulary, merges).build()?;

    let mut tokenizer = Tokenizer::new(model);
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![Digits::new(true).into(), bytes.into()])));
    tokenizer.with_decoder(Some(bytes));
    let control = tokens.into_iter().zip(kinds).filter(|(_, kind)| *kind == CONTROL);
    tokenizer.add_special_tokens(control.map(|(token, _)| AddedToken::from(token, true)))?;
    Ok(tokenizer)
}

/// What stands between two markers, at the first place where both do.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}
