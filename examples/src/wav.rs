//! Sound from a WAV file: RIFF chunks, 16-bit PCM, one channel.
//! Invariant: a length in the file is only ever compared with the bytes that are there.

use std::path::{Path, PathBuf};

/// Sound as samples in -1..1.
#[derive(Debug, Clone, PartialEq)]
pub struct Wav {
    /// Samples of one second.
    pub rate: u32,
    /// One after the other.
    pub samples: Vec<f32>,
}

/// A file that is not such sound.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The system refuses.
    #[error("cannot read `{}`: {cause}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// It is no WAV file, or a cut one.
    #[error("this is no WAV file: {0}")]
    Form(&'static str),
    /// It is sound of another kind.
    #[error("the sound must be 16-bit PCM in one channel; it has {channels} channels of {bits} bits, format {format}")]
    Kind {
        /// 1 is PCM.
        format: u16,
        /// How many.
        channels: u16,
        /// Of a sample.
        bits: u16,
    },
}

impl Wav {
    /// Reads a file.
    ///
    /// # Errors
    /// The system refuses, or the file is not 16-bit PCM in one channel.
    pub fn open(path: impl AsRef<Path>) -> Result<Wav, WavError> {
        let file = path.as_ref();
        let bytes = std::fs::read(file).map_err(|cause| WavError::Read { file: file.to_owned(), cause })?;
        Wav::parse(&bytes)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// They are not 16-bit PCM in one channel.
    pub fn parse(bytes: &[u8]) -> Result<Wav, WavError> {
        let [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', chunks @ ..] = bytes else {
            return Err(WavError::Form("it does not begin with RIFF and WAVE"));
        };
        let format = chunk(chunks, b"fmt ").ok_or(WavError::Form("it has no chunk `fmt `"))?;
        let data = chunk(chunks, b"data").ok_or(WavError::Form("it has no chunk `data`"))?;
        let &[f0, f1, c0, c1, r0, r1, r2, r3, _, _, _, _, _, _, b0, b1, ..] = format else {
            return Err(WavError::Form("its chunk `fmt ` is cut short"));
        };
        let [format, channels, bits] = [[f0, f1], [c0, c1], [b0, b1]].map(u16::from_le_bytes);
        if (format, channels, bits) != (1, 1, 16) {
            return Err(WavError::Kind { format, channels, bits });
        }
        let (samples, _) = data.as_chunks::<2>();
        let samples = samples.iter().map(|sample| f32::from(i16::from_le_bytes(*sample)) / 32768.0).collect();
        Ok(Wav { rate: u32::from_le_bytes([r0, r1, r2, r3]), samples })
    }
}

/// The bytes of the first chunk of a name: four bytes of name, four of length, the bytes, one more to an even length.
fn chunk<'b>(mut bytes: &'b [u8], wanted: &[u8; 4]) -> Option<&'b [u8]> {
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let [.., a, b, c, d] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let inside = &rest[..length.min(rest.len())];
        if head.starts_with(wanted) {
            return Some(inside);
        }
        bytes = rest.get(length.checked_next_multiple_of(2)?..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Wav, WavError};

    fn file(channels: u8, samples: &[i16]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        bytes.extend([1, 0, channels, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0]);
        bytes.extend(b"data");
        bytes.extend((2 * samples.len() as u32).to_le_bytes());
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    #[test]
    fn samples_are_scaled_and_other_chunks_skipped() {
        let wav = Wav::parse(&file(1, &[0, 16384, -32768])).expect("it is sound");
        assert_eq!(wav, Wav { rate: 16000, samples: vec![0.0, 0.5, -1.0] });
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(Wav::parse(b"RIFF"), Err(WavError::Form(_))));
        assert!(matches!(Wav::parse(&file(2, &[1, 2])), Err(WavError::Kind { channels: 2, .. })));
        let whole = file(1, &[1, 2, 3]);
        for end in 0..whole.len() - 6 {
            assert!(Wav::parse(&whole[..end]).is_err(), "{end} bytes");
        }
    }
}
