//! Values that live longer than the block that last gave them: their room is not taken too early.

use mlc::diag::SourceMap;
use mlc::frontend::{Options as CheckOptions, check};
use mlc::{Pipeline, artifact_by};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::session::{Model, Options};
use mlc_runtime::tensor::Tensor;

/// What a model without weights gives, as it stands.
fn outputs(text: &str, inputs: &[(&str, &Tensor)]) -> Vec<f64> {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", text);
    let checked = check(&mut sources, file, &CheckOptions::default());
    let graph = checked.graph.unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    let artifact = artifact_by(&Pipeline::none(), &graph, &sources, file).expect("it builds");
    let model = Model::load(artifact, Options { threads: 1, ..Options::default() }).expect("it loads");
    let outputs = model.session().run(None, inputs, &[]).expect("it runs");
    outputs.into_iter().flat_map(|(_, tensor)| tensor.to_f64_vec()).collect()
}

#[test]
fn a_loop_may_read_what_a_carried_value_began_as() {
    let text = "mdl 1
model M {
  entry main(x: f32[2]) -> f32[2] {
    let start = x + 1.0
    let y = start
    repeat i in 0..3 carry y {
      let y = y + start
    }
    return y
  }
}";
    let x = Tensor::from_f32([2], [1.0, 2.0]).expect("two");
    assert_eq!(outputs(text, &[("x", &x)]), [8.0, 12.0]);
}

#[test]
fn a_branch_may_give_what_the_other_reads() {
    let text = "mdl 1
model M {
  entry main(x: f32[2], flag: bool) -> f32[2] {
    let y = x * 2.0
    return (if flag { y } else { y + 1.0 }) + y
  }
}";
    let x = Tensor::from_f32([2], [1.0, 2.0]).expect("two");
    for (flag, expected) in [(true, [4.0, 8.0]), (false, [5.0, 9.0])] {
        let flag = Tensor::scalar(DType::Bool, Scalar::Bool(flag));
        assert_eq!(outputs(text, &[("x", &x), ("flag", &flag)]), expected);
    }
}
