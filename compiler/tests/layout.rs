//! How values lie between kernels, and the numbers that sizes are there.

use mlc::diag::SourceMap;
use mlc::frontend::{Options, check};
use mlc::schedule::schedule;
use mlc_codegen::kernel::{Body, Kernel, Node, Source};

const MODEL: &str = "mdl 1
model M {
  dim batch in 1..=4
  dim one in 1..=1
  entry main(q: f32[batch, 3, one, 8], k: f32[batch, 3, 5, 8], r: f32[batch, 4, 3, 8]) -> (y: f32[batch, one, 24], z: f32[batch, 4, 24]) {
    weight w: f32[24, 24] from \"w\"
    let seen = attention(q, k, k, scale = 1.0)
    let y = seen |> rearrange(\"b h s d -> b s (h d)\")
    let z = softmax(r * 2.0, axis = -1) |> rearrange(\"b s h d -> b s (h d)\")
    return (einsum(\"b s i, i o -> b s o\", y, w), einsum(\"b s i, i o -> b s o\", z, w))
  }
}";

fn kernels() -> Vec<Kernel> {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", MODEL);
    let options = Options { random_weights: Some(1), without_weights: true, ..Options::default() };
    let checked = check(&mut sources, file, &options);
    let graph = checked.graph.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    schedule(&graph).expect("it is small").plan.kernels
}

/// What attention gives lies so that a product over heads and what lies in them reads rows.
#[test]
fn heads_lie_inside_of_rows() {
    let kernels = kernels();
    let mut products = 0;
    for kernel in &kernels {
        let Body::Contract(contract) = &kernel.body else { continue };
        products += 1;
        let Node::Operand(left) = kernel.expr.nodes[contract.a.0 as usize] else { panic!("the left side is read") };
        let affine = kernel.operand(left).coords.iter().all(|coord| match &coord.source {
            Source::Index(index) => index.is_affine(),
            Source::Value(_) => false,
        });
        assert!(affine, "{:?}", kernel.operand(left));
    }
    assert_eq!(products, 2);
}

/// A size that can have one value is that number.
#[test]
fn a_size_of_one_value_is_a_number() {
    let named = |kernel: &Kernel| kernel.axes.iter().flat_map(|axis| axis.extent.slots().collect::<Vec<_>>()).collect();
    let slots: Vec<Vec<_>> = kernels().iter().map(named).collect();
    let mut all: Vec<_> = slots.into_iter().flatten().collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 1, "the batch alone is known when it is called: {all:?}");
}
