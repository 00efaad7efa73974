//! The table from operators of ONNX to mlc's ops: one row for each, by family.
//!
//! Invariant: a row says nothing of other nodes. What is not imported of an operator is refused by name, never computed
//! otherwise.

mod activations;
mod arithmetic;
mod attention;
mod cells;
mod constants;
mod conv;
mod indices;
mod norms;
mod pools;
mod products;
mod quantized;
mod recurrent;
mod reductions;
mod resize;
mod shapes;
mod slices;

use super::builder::Fault;
use super::items::Item;
use super::node::Node;

/// What a row does: the results of a node.
pub(super) type Import = fn(&mut Node) -> Result<Vec<Item>, Fault>;

/// Rows of a family.
type Rows = &'static [(&'static str, Import)];

const FAMILIES: &[Rows] = &[
    activations::ROWS,
    arithmetic::ROWS,
    attention::ROWS,
    constants::ROWS,
    conv::ROWS,
    indices::ROWS,
    norms::ROWS,
    pools::ROWS,
    products::ROWS,
    quantized::ROWS,
    recurrent::ROWS,
    reductions::ROWS,
    resize::ROWS,
    shapes::ROWS,
    slices::ROWS,
];

/// The row of an operator.
pub(super) fn by_name(operator: &str) -> Option<Import> {
    FAMILIES.iter().flat_map(|rows| rows.iter()).find(|(name, _)| *name == operator).map(|(_, import)| *import)
}

/// An importer's refusal.
fn refuse<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Use(why.into()))
}

#[cfg(test)]
mod tests {
    use super::FAMILIES;

    #[test]
    fn an_operator_has_one_row() {
        let mut names: Vec<&str> = FAMILIES.iter().flat_map(|rows| rows.iter().map(|(name, _)| *name)).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
