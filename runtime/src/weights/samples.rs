//! Small valid files of each format, built here so that tests can damage them.

use super::write_safetensors;
use crate::npz::write_npz;
use crate::tensor::Tensor;
use mlc_codegen::base::{DType, Scalar};
use std::io::{Cursor, Write};
use std::path::Path;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// `a` f32[2, 3] of 0..6, `b` i64[2], `c` f16[4].
pub(super) fn tensors() -> Vec<(String, Tensor)> {
    let a = Tensor::from_f32([2, 3], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).expect("six");
    let b = Tensor::from_i64([2], [-1, 1 << 40]).expect("two");
    let c = Tensor::from_fn(DType::F16, [4], |i| Scalar::F32(i as f32 / 2.0)).expect("four");
    vec![("a".into(), a), ("b".into(), b), ("layer.c".into(), c)]
}

fn written(write: impl FnOnce(&Path)) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sample");
    write(&path);
    std::fs::read(path).expect("written")
}

/// [`tensors`] and a 4-bit one.
pub(super) fn safetensors() -> Vec<u8> {
    let mut all = tensors();
    all.push(("q".into(), Tensor::new(DType::I4, [2, 4], &[0x10, 0x32, 0xfe, 0xdc]).expect("eight")));
    written(|path| write_safetensors(path, &all).expect("written"))
}

pub(super) fn npz(compressed: bool) -> Vec<u8> {
    written(|path| write_npz(path, &tensors(), compressed).expect("written"))
}

/// Appends to a GGUF file.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Appends a tensor info: name, dims fastest first, type, offset.
pub(super) fn info(out: &mut Vec<u8>, name: &str, dims: &[u64], kind: u32, offset: u64) {
    text(out, name);
    out.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
    out.extend(kind.to_le_bytes());
    out.extend(offset.to_le_bytes());
}

/// A GGUF file of these tensor infos and as many zero bytes of data.
pub(super) fn gguf_of(infos: &[(&str, &[u64], u32, u64)], data: usize) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((infos.len() as u64).to_le_bytes());
    out.extend(2u64.to_le_bytes());
    text(&mut out, "general.name");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "sample");
    text(&mut out, "words");
    out.extend(9u32.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    text(&mut out, "one");
    text(&mut out, "two");
    infos.iter().for_each(|(name, dims, kind, offset)| info(&mut out, name, dims, *kind, *offset));
    out.resize(out.len().next_multiple_of(32), 0);
    out.resize(out.len() + data, 0);
    out
}

/// `x` f32[2, 3], `y` q4_0[2, 32], of zeros.
pub(super) fn gguf() -> Vec<u8> {
    gguf_of(&[("x", &[3, 2], 0, 0), ("y", &[32, 2], 2, 32)], 32 + 36)
}

fn word(out: &mut Vec<u8>, word: &str) {
    out.push(b'X');
    out.extend((word.len() as u32).to_le_bytes());
    out.extend(word.as_bytes());
}

fn sizes(out: &mut Vec<u8>, sizes: &[u8]) {
    out.push(b'(');
    sizes.iter().for_each(|size| out.extend([b'K', *size]));
    out.push(b't');
}

/// The pickle of `{"state_dict": {"w": f32 view of shape, steps and offset}}`, as `torch.save` writes it.
pub(super) fn pickle(shape: &[u8], strides: &[u8], offset: u8, callee: &str) -> Vec<u8> {
    let mut out = b"\x80\x02}q\x00(".to_vec();
    word(&mut out, "epoch");
    out.extend(b"K\x05");
    word(&mut out, "state_dict");
    out.extend(b"ccollections\nOrderedDict\nq\x01)Rq\x02");
    word(&mut out, "w");
    out.extend(format!("c{callee}\n((").as_bytes());
    word(&mut out, "storage");
    out.extend(b"ctorch\nFloatStorage\n");
    word(&mut out, "0");
    word(&mut out, "cpu");
    out.extend(b"K\x06tQ");
    out.extend([b'K', offset]);
    sizes(&mut out, shape);
    sizes(&mut out, strides);
    out.extend(b"\x89h\x01)RtRsu.");
    out
}

/// An archive around a pickle, whose one storage holds 0.0 to 5.0.
pub(super) fn pth_of(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let data: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    for (name, bytes) in [("m/data.pkl", pickle), ("m/byteorder", b"little"), ("m/data/0", &data)] {
        zip.start_file(name, options).expect("begun");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("finished").into_inner()
}

/// `w` f32[3, 2], the transpose of f32[2, 3].
pub(super) fn pth() -> Vec<u8> {
    pth_of(&pickle(&[3, 2], &[1, 3], 0, "torch._utils\n_rebuild_tensor_v2"))
}

/// The same as [`pth`], as PyTorch before 1.6 wrote it.
pub(super) fn pth_legacy() -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00(".to_vec();
    word(&mut out, "little_endian");
    out.extend(b"\x88u.");
    out.extend(pickle(&[3, 2], &[1, 3], 0, "torch._utils\n_rebuild_tensor_v2"));
    out.extend(b"\x80\x02]q\x00");
    word(&mut out, "0");
    out.extend(b"a.");
    out.extend(6u64.to_le_bytes());
    (0..6u8).for_each(|i| out.extend(f32::from(i).to_le_bytes()));
    out
}
