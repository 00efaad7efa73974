//! How long kernels take, as far as that decides whether a second thread helps: some microseconds.

mod support;

use mlc_codegen::base::{DType, Packing, Storage};
use mlc_codegen::cpu::duration::{Duration, bandwidth};
use mlc_codegen::kernel::*;
use support::build::{Build, slot};

/// Nanoseconds that are worth sharing.
const WORTH: f64 = 5000.0;

fn product([m, n, k]: [i64; 3], right: Storage, constants: i64) -> f64 {
    let mut b = Build::new("product");
    let (m, n, k) = (b.axis("m", m), b.axis("n", n), b.axis("k", k));
    let (x, w, y) = (b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
    b.0.buffers[w.0 as usize].storage = right;
    let (a, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[n, k]));
    let sum = b.0.expr.push(Node::Accumulator);
    let stores = vec![b.store_dense(y, &[m, n], sum)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    let contract = Contract { batch: vec![], m, n, k, a, b: right, accumulator: DType::F32, stores };
    let kernel = b.finish(Body::Contract(contract));
    Duration::new(&kernel, bandwidth(constants)).of(&kernel, &[])
}

/// A row times a matrix takes as long as that matrix takes to be read, from where there is room for all constants.
#[test]
fn a_row_takes_as_long_as_its_weights() {
    let single = Storage::Plain(DType::F32);
    let near = product([1, 128, 784], single, 408 << 10);
    assert!(near < WORTH, "from a second-level cache: {near}");
    let far = product([1, 128, 784], single, 134 << 20);
    assert!(far > 4.0 * near, "from memory: {far}");
    let packed = product([1, 192, 576], Storage::Packed(Packing::Q4_1), 84 << 20);
    assert!((WORTH..far).contains(&packed), "four bits a weight: {packed}");
}

/// Many rows take as long as their arithmetic.
#[test]
fn many_rows_take_as_long_as_their_products() {
    let single = Storage::Plain(DType::F32);
    let [some, more] = [32, 64].map(|rows| product([rows, 128, 784], single, 408 << 10));
    assert!(some > WORTH && (1.9..2.1).contains(&(more / some)), "{some} and {more}");
    assert!(product([32, 10, 128], single, 408 << 10) < WORTH);
}

/// A map's time grows with its points, known when it is called.
#[test]
fn a_map_takes_its_points() {
    let mut b = Build::new("map");
    let i = b.axis("i", slot(0));
    let (x, y) = (b.input(DType::F32), b.output(DType::F32));
    let value = b.read_dense(x, &[i]);
    let value = b.unary(Unary::Exp, value);
    let stores = vec![b.store_dense(y, &[i], value)];
    let kernel = b.finish(Body::Map(stores));
    let duration = Duration::new(&kernel, bandwidth(0));
    let [few, many] = [576, 57_600].map(|points| duration.of(&kernel, &[points]));
    assert!(few < WORTH && many > WORTH && (99.0..101.0).contains(&(many / few)), "{few} and {many}");
}
