//! What each reader gives for a valid file, and what it says of a damaged one.

use super::samples;
use super::{Fault, Format, OpenOptions, WeightFile, WeightSet};
use crate::tensor::Tensor;
use mlc_codegen::base::{DType, Packing, Storage};

fn open(bytes: &[u8]) -> WeightFile {
    WeightFile::from_bytes("w.safetensors", bytes).expect("valid")
}

fn refused(bytes: &[u8]) -> String {
    WeightFile::from_bytes("w.safetensors", bytes).expect_err("invalid").to_string()
}

fn safetensors_of(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn safetensors_come_back_as_written() {
    let bytes = samples::safetensors();
    let file = open(&bytes);
    for (name, tensor) in samples::tensors() {
        assert_eq!(file.read(&name).expect("there"), tensor);
    }
    assert_eq!(file.entries().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "a", "layer.c", "q"]);
    let q = file.read("q").expect("there");
    assert_eq!((q.dtype(), q.shape()), (DType::I4, &[2, 4][..]));
    assert_eq!(q.to_f64_vec(), [0.0, 1.0, 2.0, 3.0, -2.0, -1.0, -4.0, -3.0]);
    assert_eq!(bytes, samples::safetensors(), "the same tensors give the same bytes");
}

#[test]
fn damaged_safetensors_say_where() {
    let one = |dtype: &str, shape: &str, end: u64| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let valid = safetensors_of(&one("F32", "[2]", 8), 8);
    open(&valid);
    assert!(refused(&valid[..valid.len() - 1]).contains("the tensors needs bytes"));
    assert!(refused(&[&valid[..], b"x"].concat()).contains("1 bytes follow the last tensor"));
    assert!(refused(&safetensors_of(&one("F32", "[274877906944]", 1 << 40), 8)).contains("cut short"));
    assert!(refused(&safetensors_of(&one("F32", "[4294967296,4294967296,4294967296]", 8), 8)).contains("header"));
    assert!(refused(&[&u64::MAX.to_le_bytes()[..], b"{"].concat()).contains("claims 18446744073709551615 bytes"));
    let overlap =
        r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    assert!(refused(&safetensors_of(overlap, 6)).contains("without gaps"));
    let foreign = open(&safetensors_of(&one("U32", "[2]", 8), 8));
    assert_eq!(foreign.foreign().collect::<Vec<_>>(), [("a", "U32")]);
    assert!(foreign.read("a").expect_err("foreign").to_string().contains("tensor `a` is U32"));
    assert_eq!(
        foreign.read("b").expect_err("absent").to_string(),
        "`w.safetensors`: no tensor named `b`; the file has 0"
    );
}

#[test]
fn gguf_is_read_row_major_with_its_groups() {
    let file = open(&samples::gguf());
    let (x, y) = (file.get("x").expect("x"), file.get("y").expect("y"));
    assert_eq!((x.storage, &x.shape[..]), (Storage::Plain(DType::F32), &[2, 3][..]));
    assert_eq!((y.storage, &y.shape[..]), (Storage::Packed(Packing::Q4_0), &[2, 32][..]));
    assert_eq!(file.read_raw("y").expect("there").1.len(), 36);
    assert_eq!(file.read("y").expect("there").to_f64_vec(), [0.0; 64]);
    assert_eq!(file.metadata()["general.name"].as_str(), Some("sample"));
    let words = file.metadata()["words"].as_array().expect("an array");
    assert_eq!(file.strings(words).expect("text"), ["one", "two"]);
    assert!(file.numbers(words).is_err());
}

#[test]
fn damaged_gguf_say_where() {
    let x: (&str, &[u64], u32, u64) = ("x", &[8], 0, 0);
    open(&samples::gguf_of(&[x], 32));
    assert!(refused(&samples::gguf_of(&[x], 31)).contains("tensor `x` needs bytes"));
    assert!(refused(&samples::gguf_of(&[x], 64)).contains("32 bytes follow the last tensor"));
    assert!(refused(&samples::gguf_of(&[x, ("y", &[8], 0, 0)], 32)).contains("tensor `y`: it overlaps"));
    assert!(refused(&samples::gguf_of(&[x, ("y", &[8], 0, 64)], 96)).contains("belong to no tensor"));
    assert!(refused(&samples::gguf_of(&[x, x], 64)).contains("occurs twice"));
    assert!(refused(&samples::gguf_of(&[("x", &[33], 2, 0)], 64)).contains("is no shape of q4_0"));
    assert!(refused(&samples::gguf_of(&[("x", &[1 << 38], 0, 0)], 64)).contains("cut short"));
    assert!(refused(&samples::gguf_of(&[("x", &[u64::MAX, u64::MAX], 0, 0)], 64)).contains("is no shape of f32"));
    let mut huge = samples::gguf();
    huge[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refused(&huge).contains("cut short"));
    let foreign = open(&samples::gguf_of(&[("x", &[256], 11, 0)], 110));
    assert!(
        foreign.read("x").expect_err("foreign").to_string().contains("is Q3_K, which mlc does not read; requantize")
    );
    let control = samples::gguf_of(&[("x\u{1b}[2J", &[9], 2, 0)], 64);
    assert!(refused(&control).contains(r"`x\u{1b}[2J`"));
}

#[test]
fn pth_views_become_row_major() {
    let file = open(&samples::pth());
    assert_eq!(file.format(), Format::Pth);
    assert_eq!(file.read("w").expect("there"), Tensor::from_f32([3, 2], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]).expect("six"));
    let rebuild = "torch._utils\n_rebuild_tensor_v2";
    let tail = open(&samples::pth_of(&samples::pickle(&[2], &[1], 4, rebuild)));
    assert_eq!(tail.read("w").expect("there").to_f64_vec(), [4.0, 5.0]);
    for (shape, strides, offset) in [([3, 2], [3, 1], 0), ([2, 3], [3, 1], 1), ([255, 255], [0, 0], 0)] {
        let bytes = samples::pth_of(&samples::pickle(&shape, &strides, offset, rebuild));
        assert!(refused(&bytes).contains("leaves its storage of 6 elements"), "{shape:?}");
    }
}

#[test]
fn pth_of_before_1_6_is_read_the_same() {
    let bytes = samples::pth_legacy();
    let file = open(&bytes);
    assert_eq!(file.format(), Format::Pth);
    assert_eq!(file.read("w").expect("there"), Tensor::from_f32([3, 2], [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]).expect("six"));
    assert!(refused(&[&bytes[..], b"x"].concat()).contains("1 bytes follow the last storage"));
    assert!(refused(&bytes[..bytes.len() - 1]).contains("storage `0` needs bytes"));
}

#[test]
fn pth_that_would_run_code_is_refused() {
    let message = refused(&samples::pth_of(&samples::pickle(&[2], &[1], 0, "os\nsystem")));
    assert!(message.contains("it names os.system"), "{message}");
    assert!(refused(b"\x80\x02K\x01.\x80\x02K\x01.").contains("a bare pickle"));
}

#[test]
fn npz_members_are_checked_and_bounded() {
    for compressed in [false, true] {
        let file = open(&samples::npz(compressed));
        for (name, tensor) in samples::tensors() {
            assert_eq!(file.read(&name).expect("there"), tensor);
        }
    }
    let mut flipped = samples::npz(false);
    let at = flipped.windows(4).position(|w| w == 5.0f32.to_le_bytes()).expect("the last of `a`");
    flipped[at] ^= 1;
    assert!(refused(&flipped).contains("does not expand (Invalid checksum)"));
    let folder = tempfile::tempdir().expect("a folder");
    let bomb = folder.path().join("bomb.npz");
    let zeros = Tensor::zeros(DType::U8, [80 << 20]).expect("memory");
    crate::npz::write_npz(&bomb, &[("z".into(), zeros)], true).expect("written");
    assert!(matches!(WeightFile::open(&bomb).expect_err("a bomb").fault, Fault::Bomb { .. }));
    let patient = OpenOptions { expand_limit: 1 << 30, ..OpenOptions::default() };
    assert!(WeightFile::open_with(&bomb, patient).is_ok());
}

#[test]
fn mapped_and_read_files_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    for bytes in [samples::safetensors(), samples::gguf(), samples::npz(true), samples::pth()] {
        let path = folder.path().join("w.bin");
        std::fs::write(&path, bytes).expect("written");
        let mapped = WeightFile::open(&path).expect("valid");
        let read = WeightFile::open_with(&path, OpenOptions { mmap: false, ..OpenOptions::default() }).expect("valid");
        for (name, _) in mapped.entries() {
            assert_eq!(mapped.read(name).expect("there"), read.read(name).expect("there"));
        }
    }
}

#[test]
fn sets_search_in_order_and_name_duplicates() {
    let mut set = WeightSet::default();
    set.add(open(&samples::gguf()), "");
    set.add(open(&samples::safetensors()), "layer");
    assert_eq!(set.find("c").expect("one").expect("found").name, "layer.c");
    assert!(set.find("a").expect("one").is_none());
    let keys: Vec<String> = set.keys().map(|(key, _)| key).collect();
    assert_eq!(keys, ["x", "y", "/b", "/a", "c", "/q"]);
    set.add(open(&samples::gguf()), "");
    assert!(set.find("x").expect_err("two").to_string().starts_with("`x` is in"));
}

#[test]
fn shards_lie_beside_their_index() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("s.safetensors"), samples::safetensors()).expect("written");
    let index = folder.path().join("m.safetensors.index.json");
    let open = |map: &str| {
        std::fs::write(&index, format!(r#"{{"weight_map":{map}}}"#)).expect("written");
        WeightFile::open(&index)
    };
    let file = open(r#"{"b":"s.safetensors","a":"s.safetensors"}"#).expect("valid");
    assert_eq!(file.read("a").expect("there"), samples::tensors()[0].1);
    assert_eq!(file.entries().len(), 2);
    let message = |map: &str| open(map).expect_err("invalid").to_string();
    assert!(message(r#"{"zz":"s.safetensors"}"#).contains("has no such tensor"));
    assert!(message(r#"{"a":"../s.safetensors"}"#).contains("not a file of the same folder"));
}

fn npy_of(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn arrays_of_other_layouts_become_ours() {
    let array = |descr: &str, fortran: &str, shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        WeightFile::from_bytes("x.npy", &npy_of(&header, data)).expect("valid").read("x")
    };
    let columns = array("|i1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]).expect("valid");
    assert_eq!((columns.shape(), columns.to_f64_vec()), (&[2, 3][..], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let big = array(">i2", "False", "(2,)", &[1, 2, 0xff, 0xfe]).expect("valid");
    assert_eq!(big.as_slice::<i16>(), Some(&[258, -2][..]));
    let unsigned = array("<u2", "False", "(1,)", &[0xff, 0xff]).expect("valid");
    assert_eq!(unsigned.as_slice::<i32>(), Some(&[65535][..]));
    let wide = array("<u8", "False", "(1,)", &[0xff; 8]).expect_err("no i64").to_string();
    assert!(wide.contains("tensor `x` is u64 with values that i64 cannot hold"), "{wide}");
}

#[test]
fn array_headers_cannot_exhaust_the_stack() {
    let nested = format!("{{'descr': {}", "(".repeat(0x0a28 - 10));
    assert!(refused(&npy_of(&nested, &[])).contains("nested too deep"));
}

#[test]
fn weight_files_are_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<WeightFile>();
    shared::<WeightSet>();
}
