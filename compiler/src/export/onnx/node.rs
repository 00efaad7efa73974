//! One op that is being written, and the attributes of nodes.

use super::super::walk::Why;
use super::writer::Writer;
use crate::formats::onnx::{AttributeProto, GraphProto};
use crate::ops::Call;
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};

/// A use of an op, and where its nodes go.
pub(super) struct Op<'a, 'w, 'g> {
    /// Its types and arguments.
    pub(super) call: Call<'a>,
    /// What stands for its inputs.
    pub(super) inputs: &'a [String],
    /// The model.
    pub(super) w: &'w mut Writer<'g>,
}

impl<'a> Op<'a, '_, '_> {
    /// The tensor of a parameter.
    pub(super) fn x(&self, name: &str) -> &'a str {
        self.opt(name).expect("the signature requires the tensor")
    }

    /// The tensor of a parameter that may be left out.
    pub(super) fn opt(&self, name: &str) -> Option<&'a str> {
        self.call.tensor(name).map(|place| self.inputs[place].as_str())
    }

    /// The type of a parameter's tensor.
    pub(super) fn ty(&self, name: &str) -> &'a TensorType {
        self.call.input(self.call.tensor(name).expect("the tensor is given"))
    }

    /// The element type of the first result.
    pub(super) fn dtype(&self) -> DType {
        self.call.result(0).dtype
    }

    /// A node with one result.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.w.node(op, inputs, attributes)
    }

    /// A node without attributes.
    pub(super) fn plain(&mut self, op: &str, inputs: &[&str]) -> String {
        self.w.node(op, inputs, vec![])
    }

    /// A scalar.
    pub(super) fn number(&mut self, value: f64, dtype: DType) -> String {
        self.w.number(value, dtype)
    }

    /// A tensor in another element type.
    pub(super) fn cast(&mut self, x: &str, from: DType, to: DType) -> String {
        if from == to {
            return x.to_owned();
        }
        let code = i64::from(crate::formats::onnx::code(to));
        self.node("Cast", &[x], vec![int("to", code)])
    }

    /// Axes in another order.
    pub(super) fn transposed(&mut self, x: &str, perm: &[usize]) -> String {
        if perm.iter().enumerate().all(|(place, axis)| place == *axis) {
            return x.to_owned();
        }
        let perm: Vec<i64> = perm.iter().map(|axis| *axis as i64).collect();
        self.node("Transpose", &[x], vec![ints("perm", &perm)])
    }

    /// Further axes of extent 1.
    pub(super) fn unsqueezed(&mut self, x: &str, axes: &[i64]) -> String {
        if axes.is_empty() {
            return x.to_owned();
        }
        let axes = self.w.ints(axes);
        self.plain("Unsqueeze", &[x, &axes])
    }

    /// A vector along axis 1 of tensors of `rank` axes.
    pub(super) fn along_channels(&mut self, x: &str, rank: usize) -> String {
        let axes: Vec<i64> = (1..rank as i64 - 1).collect();
        self.unsqueezed(x, &axes)
    }

    /// Positions `start` to `stop` of an axis.
    pub(super) fn cut(&mut self, x: &str, axis: usize, start: &Dim, stop: &Dim) -> Result<String, Why> {
        let one = std::slice::from_ref;
        let (start, stop) = (self.w.dims(one(start))?, self.w.dims(one(stop))?);
        let axes = self.w.ints(&[axis as i64]);
        Ok(self.plain("Slice", &[x, &start, &stop, &axes]))
    }

    /// 0, 1, … of i64.
    pub(super) fn counted(&mut self, n: &Dim) -> Result<String, Why> {
        let (zero, one) = (self.number(0.0, DType::I64), self.number(1.0, DType::I64));
        let n = self.w.dim(n)?;
        Ok(self.plain("Range", &[&zero, &n, &one]))
    }
}

/// An attribute of one integer.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: value, kind: 2, ..AttributeProto::default() }
}

/// An attribute of a list of integers.
pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: values.to_vec(), kind: 7, ..AttributeProto::default() }
}

/// An attribute of one float.
pub(super) fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { name: name.into(), f: value as f32, kind: 1, ..AttributeProto::default() }
}

/// An attribute of text.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: value.as_bytes().to_vec(), kind: 3, ..AttributeProto::default() }
}

/// An attribute of a block.
pub(super) fn block(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto { name: name.into(), g: Some(Box::new(graph)), kind: 5, ..AttributeProto::default() }
}
