//! Weights in the groups of a GGUF file stay packed in what is built, and kernels read them as the reference does.

use mlc_codegen::base::Storage;
use mlc_runtime::artifact::{Artifact, OpenOptions};
use mlc_tests::golden::program;
use std::path::Path;
use std::process::Command;

/// A GGUF tensor type: its number, the bytes of a group of 32, and the bytes before the codes.
#[derive(Clone, Copy)]
struct Format {
    number: u32,
    bytes: usize,
    head: &'static [u8],
}

/// f16 scale 1/8, nibbles.
const Q4_0: Format = Format { number: 2, bytes: 18, head: &[0x00, 0x30] };
/// f16 scale 1/8, f16 minimum -1/2, nibbles.
const Q4_1: Format = Format { number: 3, bytes: 20, head: &[0x00, 0x30, 0x00, 0xb8] };

/// A file of matrices `[rows, depth]`, their codes drawn.
fn gguf(tensors: &[(&str, Format, [u64; 2])]) -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(0u64.to_le_bytes());
    let (mut data, mut seed) = (vec![], 7u32);
    for (name, format, [rows, depth]) in tensors {
        file.extend((name.len() as u64).to_le_bytes());
        file.extend(name.as_bytes());
        file.extend(2u32.to_le_bytes());
        file.extend(depth.to_le_bytes());
        file.extend(rows.to_le_bytes());
        file.extend(format.number.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        for _ in 0..rows * depth / 32 {
            data.extend(format.head);
            for _ in format.head.len()..format.bytes {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                data.push((seed >> 24) as u8);
            }
        }
        data.resize(data.len().next_multiple_of(32), 0);
    }
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    file
}

const MODEL: &str = r#"mdl 1
model M {
  weights from "w.gguf"
  entry main(x: f32[3, 64], ids: i64[4]) -> (y: f32[3, 64], rows: f32[4, 64]) {
    weight table: f32[9, 64] from "table"
    let y = x
    repeat i in 0..2 carry y {
      weight w: f32[64, 64] from "layer.{i}"
      let y = y + 0.01 * einsum("m i, o i -> m o", y, w)
    }
    return (y, gather(table, ids))
  }
}
"#;

/// One table, gathered from and multiplied by.
const TIED: &str = r#"mdl 1
model M {
  weights from "w.gguf"
  dim s in 1..=8
  entry main(x: f32[s, 64], ids: i64[s]) -> (y: f32[s, 80], rows: f32[s, 64]) {
    weight table: f32[80, 64] from "table"
    return (einsum("m i, o i -> m o", x, table), gather(table, ids))
  }
}
"#;

fn mlc(folder: &Path, words: &str) -> String {
    let mut command = Command::new(program().expect("mlc is built"));
    let output = command.args(words.split_whitespace()).current_dir(folder).output().expect("mlc runs");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the model on weights of these formats; the bytes of its artifact.
fn agrees(first: Format, second: Format) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let tensors = [("table", Q4_1, [9, 64]), ("layer.0", first, [64, 64]), ("layer.1", second, [64, 64])];
    std::fs::write(at("w.gguf"), gguf(&tensors)).expect("written");
    std::fs::write(at("m.mdl"), MODEL).expect("written");
    let said = mlc(folder.path(), "compare m.mdl -i x=random:1 -i ids=i64[4]=[0,8,-1,3]");
    assert!(said.contains("y: f32[3, 64]") && !said.contains("differs"), "{said}");
    mlc(folder.path(), "build m.mdl --verify");
    std::fs::metadata(at("m.mlc")).expect("it was built").len()
}

#[test]
fn groups_stay_packed() {
    let (nibbles, mixed) = (agrees(Q4_0, Q4_0), agrees(Q4_0, Q4_1));
    let (packed, wide) = (2 * 64 * 64 / 32 * 18, 2 * 64 * 64 * 4);
    assert!(nibbles < packed + 9_000, "{nibbles} bytes");
    assert!(mixed > wide, "members of one family have one storage, and f32 holds both: {mixed} bytes");
}

/// A table that products read too has its rows side by side, once for both readers.
#[test]
fn tied_tables_are_kept_once() {
    for format in [Q4_0, Q4_1] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("w.gguf"), gguf(&[("table", format, [80, 64])])).expect("written");
        std::fs::write(folder.path().join("m.mdl"), TIED).expect("written");
        for (rows, ids) in [(1, "[79]"), (3, "[0,8,77]"), (7, "[1,2,3,4,5,6,72]")] {
            let said = mlc(folder.path(), &format!("compare m.mdl -D s={rows} -i x=random:1 -i ids=i64[{rows}]={ids}"));
            assert!(said.contains(&format!("y: f32[{rows}, 80]")) && !said.contains("differs"), "{said}");
        }
        mlc(folder.path(), "build m.mdl --verify");
        let built = Artifact::open(&folder.path().join("m.mlc"), OpenOptions::default()).expect("it was built");
        let [(storage, elements)] = built.plan.constants[..] else { panic!("one constant") };
        assert!(matches!(storage, Storage::Interleaved(rows) if rows.depth == 64), "{storage:?}");
        assert_eq!(storage.bytes_for(elements), Some(80 * 64 / 32 * format.bytes as i64));
    }
}
