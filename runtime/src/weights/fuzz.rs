//! Entry points for fuzzing: any bytes, as each format. They return whatever the file is; a panic is a bug.

use super::file::{Format, WeightFile};
use super::gguf::MetaValue;

/// Reads `bytes` as a safetensors file.
pub fn fuzz_safetensors(bytes: &[u8]) {
    read_all(bytes, "fuzz.safetensors", &[Format::Safetensors]);
}

/// Reads `bytes` as a GGUF file.
pub fn fuzz_gguf(bytes: &[u8]) {
    read_all(bytes, "fuzz.gguf", &[Format::Gguf]);
}

/// Reads `bytes` as a `.npz` or `.npy` file.
pub fn fuzz_npz(bytes: &[u8]) {
    read_all(bytes, "fuzz.npz", &[Format::Npz, Format::Npy]);
}

/// Reads `bytes` as a PyTorch file.
pub fn fuzz_pth(bytes: &[u8]) {
    read_all(bytes, "fuzz.pth", &[Format::Pth]);
}

/// Opens the file and reads everything in it; what is read must be as long as its headers said.
fn read_all(bytes: &[u8], name: &str, formats: &[Format]) {
    let Ok(file) = WeightFile::from_bytes(name, bytes) else { return };
    if !formats.contains(&file.format()) {
        return;
    }
    for (name, entry) in file.entries() {
        if let Ok((storage, raw)) = file.read_raw(name) {
            let count = entry.shape.iter().product::<usize>() as i64;
            assert_eq!(storage.bytes_for(count), Some(raw.len() as i64), "{name}");
        }
        if let Ok(tensor) = file.read(name) {
            assert_eq!(tensor.shape(), entry.shape, "{name}");
        }
    }
    for value in file.metadata().values() {
        if let MetaValue::Array(array) = value {
            let _ = (file.strings(array), file.numbers(array));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{fuzz_gguf, fuzz_npz, fuzz_pth, fuzz_safetensors};
    use crate::weights::samples;

    type Reader = fn(&[u8]);

    /// xorshift64*: the same mutants for the same seed, on every machine.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
        }

        fn mutate(&mut self, bytes: &mut Vec<u8>) {
            let at = self.below(bytes.len());
            let extremes = [0u64, 1, 0x7f, 0xff, 0xffff_ffff, 1 << 40, 1 << 62, u64::MAX];
            match self.below(6) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2 => bytes.truncate(at),
                3 => {
                    let piece = bytes[at..(at + 1 + self.below(16)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                4 => {
                    bytes.drain(at..(at + 1 + self.below(16)).min(bytes.len()));
                }
                _ => {
                    let word = extremes[self.below(extremes.len())].to_le_bytes();
                    let width = [1, 2, 4, 8][self.below(4)].min(bytes.len() - at);
                    bytes[at..at + width].copy_from_slice(&word[..width]);
                }
            }
        }
    }

    #[test]
    fn mutated_files_are_refused_without_a_panic() {
        let readers: [(Reader, Vec<u8>); 6] = [
            (fuzz_safetensors, samples::safetensors()),
            (fuzz_gguf, samples::gguf()),
            (fuzz_npz, samples::npz(false)),
            (fuzz_npz, samples::npz(true)),
            (fuzz_pth, samples::pth()),
            (fuzz_pth, samples::pth_legacy()),
        ];
        let mut random = Random(0x6d6c_6301);
        for (read, sample) in readers {
            for _ in 0..1500 {
                let mut bytes = sample.clone();
                (0..=random.below(4)).for_each(|_| random.mutate(&mut bytes));
                read(&bytes);
            }
        }
    }

    #[test]
    fn files_cut_anywhere_are_refused_without_a_panic() {
        let readers: [(Reader, Vec<u8>); 5] = [
            (fuzz_safetensors, samples::safetensors()),
            (fuzz_gguf, samples::gguf()),
            (fuzz_npz, samples::npz(true)),
            (fuzz_pth, samples::pth()),
            (fuzz_pth, samples::pth_legacy()),
        ];
        for (read, sample) in readers {
            (0..sample.len()).for_each(|len| read(&sample[..len]));
        }
    }
}
