//! The table from mlc's ops to operators of ONNX: one row for each, by family.
//!
//! Invariant: every op of mlc has a row; what a row cannot say of a use it refuses by name, never writes otherwise.

mod activations;
mod attention;
mod contractions;
mod convolutions;
mod elementwise;
mod indices;
mod integers;
mod made;
mod norms;
mod parts;
mod pictures;
mod quantized;
mod recurrent;
mod reductions;
mod shapes;

use super::super::walk::Why;
use super::node::Op;

/// What a row does: the results of an op.
pub(super) type Export = fn(&mut Op) -> Made;

/// The names of results, or what the format has no word for.
type Made = Result<Vec<String>, Why>;

/// Rows of a family.
type Rows = &'static [(&'static str, Export)];

const FAMILIES: &[Rows] = &[
    activations::ROWS,
    attention::ROWS,
    contractions::ROWS,
    convolutions::ROWS,
    elementwise::ROWS,
    indices::ROWS,
    integers::ROWS,
    made::ROWS,
    norms::ROWS,
    parts::ROWS,
    pictures::ROWS,
    quantized::ROWS,
    recurrent::ROWS,
    reductions::ROWS,
    shapes::ROWS,
];

/// The row of an op.
pub(super) fn by_name(op: &str) -> Option<Export> {
    FAMILIES.iter().flat_map(|rows| rows.iter()).find(|(name, _)| *name == op).map(|(_, export)| *export)
}

/// One result.
fn one(name: String) -> Made {
    Ok(vec![name])
}

#[cfg(test)]
mod tests {
    use super::{FAMILIES, by_name};
    use crate::ops::OpKind;

    #[test]
    fn every_op_has_one_row() {
        let lacking: Vec<&str> = OpKind::ALL.iter().map(|op| op.name()).filter(|op| by_name(op).is_none()).collect();
        assert_eq!(lacking, [""; 0]);
        assert_eq!(FAMILIES.iter().map(|rows| rows.len()).sum::<usize>(), OpKind::ALL.len());
    }
}
