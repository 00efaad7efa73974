//! The graph that grows: uses of mlc's ops, folded at once where all their inputs are known.
//!
//! Invariant: types come from the ops' own `infer`, folded numbers from their `eval`; nothing is inferred twice.

use super::items::{Item, Known, Sizes};
use super::names;
use crate::graph::{Block, Constant, ConstantData, ConstantId, Graph, GraphBuilder, GuardNode, NodeKind, ValueId};
use crate::ops::{Arguments, Attr, Call, Infer, Kind, OpKind};
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Dim, Scalar, Storage};
use mlc_runtime::tensor::Tensor;
use std::collections::{HashMap, HashSet};

/// Why a node is not imported.
#[derive(Debug)]
pub(super) enum Fault {
    /// mlc has no way to say it.
    Use(String),
    /// The input of this position must be known.
    Unbound(usize),
    /// The operator is not in the table.
    Unknown,
}

/// Results of more elements than this are not folded.
const FOLDED: usize = 1 << 16;

/// Floats of more elements than this stay an op that makes them.
const LISTED: usize = 64;

/// The graph, the block that is being filled, and what its next nodes are called.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) graph: Graph,
    pub(super) block: Block,
    pub(super) guards: Vec<GuardNode>,
    /// The constants that are weights of the file.
    pub(super) weights: HashSet<ConstantId>,
    /// Where nodes come from.
    pub(super) path: String,
    /// Constants that have a value already, by name; one table for each open block.
    made: Vec<HashMap<String, (ValueId, Tensor)>>,
    keys: HashSet<String>,
}

impl Builder {
    /// The type of an item.
    pub(super) fn ty(&self, item: &Item) -> TensorType {
        match item {
            Item::Value(value) => self.graph.ty(*value).clone(),
            Item::Known(known) => {
                TensorType::new(known.tensor.dtype(), known.tensor.shape().iter().map(|dim| Dim::from(*dim as i64)))
            }
            Item::Sizes(sizes) if sizes.scalar => TensorType::scalar(sizes.dtype),
            Item::Sizes(sizes) => TensorType::fixed(sizes.dtype, &[sizes.dims.len() as i64]),
        }
    }

    /// The one result of an op.
    pub(super) fn op(&mut self, name: &str, inputs: &[&Item], attrs: &[(&str, Attr)]) -> Result<Item, Fault> {
        let inputs: Vec<Option<&Item>> = inputs.iter().map(|input| Some(*input)).collect();
        Ok(self.ops(name, &inputs, attrs)?.swap_remove(0))
    }

    /// The results of an op; `inputs` are those of its tensor parameters in order, and where one takes many, the rest.
    pub(super) fn ops(
        &mut self,
        name: &str,
        inputs: &[Option<&Item>],
        attrs: &[(&str, Attr)],
    ) -> Result<Vec<Item>, Fault> {
        let op = OpKind::by_name(name).unwrap_or_else(|| panic!("`{name}` is an op of the table"));
        let given: Vec<&Item> = inputs.iter().filter_map(|input| *input).collect();
        let arguments = self.arguments(op, inputs, attrs);
        if let Some(folded) = self.fold(op, &arguments, &given)? {
            return Ok(folded);
        }
        let values: Vec<ValueId> = given.into_iter().map(|item| self.value(item)).collect();
        let path = self.path.clone();
        let mut builder = GraphBuilder { graph: &mut self.graph, block: &mut self.block, path };
        let applied =
            builder.apply(op, arguments, &values, Loc::default()).map_err(|error| Fault::Use(error.message))?;
        if applied.outputs.iter().any(|value| self.graph.ty(*value).dims.iter().any(Dim::overflowed)) {
            return Err(Fault::Use("its result has more elements than 64 bits count".into()));
        }
        for guard in applied.guards {
            let crate::ops::Guard { at_least_zero, exactly_zero, question, .. } = guard;
            let known = |other: &GuardNode| other.at_least_zero == at_least_zero && other.exactly_zero == exactly_zero;
            if !self.guards.iter().any(known) {
                self.guards.push(GuardNode { at_least_zero, exactly_zero, message: question, loc: Loc::default() });
            }
        }
        Ok(applied.outputs.into_iter().map(Item::Value).collect())
    }

    fn arguments(&self, op: OpKind, inputs: &[Option<&Item>], attrs: &[(&str, Attr)]) -> Arguments {
        let signature = op.op().signature();
        let (mut counts, mut at) = (vec![], 0);
        for param in signature.params.iter().filter(|param| param.is_tensor()) {
            let rest = inputs.len().saturating_sub(at);
            let take = if param.kind == Kind::Tensors { rest } else { rest.min(1) };
            counts.push(inputs[at..at + take].iter().filter(|input| input.is_some()).count() as u32);
            at += take;
        }
        let rank = inputs.iter().flatten().next().map_or(0, |item| self.ty(item).rank());
        let others = signature.params.iter().filter(|param| !param.is_tensor());
        let attr = |param: &crate::ops::Param| {
            let given = attrs.iter().find(|(name, _)| *name == param.name);
            given.map_or_else(|| param.default_attr(rank), |(_, attr)| attr.clone())
        };
        let known = |name: &str| signature.params.iter().any(|param| param.name == name && !param.is_tensor());
        assert!(attrs.iter().all(|(name, _)| known(name)), "`{}` has all of {attrs:?}", signature.name);
        Arguments { counts, attrs: others.map(attr).collect() }
    }

    /// The results where all inputs are known and they are not long.
    fn fold(&mut self, op: OpKind, arguments: &Arguments, inputs: &[&Item]) -> Result<Option<Vec<Item>>, Fault> {
        let tensors: Option<Vec<&Tensor>> = inputs.iter().map(|item| item.tensor()).collect();
        let Some(tensors) = tensors else { return Ok(None) };
        let open = arguments.attrs.iter().any(|attr| match attr {
            Attr::Dim(dim) => dim.as_constant().is_none(),
            Attr::Dims(dims) => dims.iter().flatten().any(|dim| dim.as_constant().is_none()),
            Attr::Names(names) => names.iter().any(|(_, dim)| dim.as_constant().is_none()),
            _ => false,
        });
        let drawn = matches!(op, OpKind::Uniform | OpKind::Normal);
        if open || drawn || tensors.iter().any(|tensor| tensor.len() > FOLDED) {
            return Ok(None);
        }
        let types: Vec<TensorType> = inputs.iter().map(|item| self.ty(item)).collect();
        let signature = op.op().signature();
        let mut cx = Infer::new(&mut self.graph.slots, &self.graph.facts);
        let call = Call { signature, arguments, inputs: &types, results: &[] };
        let results = op.op().infer(&call, &mut cx).map_err(|error| Fault::Use(error.message))?;
        let short = |ty: &TensorType| {
            let most = if ty.dtype.is_float() && tensors.is_empty() { LISTED } else { FOLDED };
            let shape = ty.shape();
            shape.is_some_and(|shape| {
                shape.iter().try_fold(1i64, |n, d| n.checked_mul(*d)).is_some_and(|n| n <= most as i64)
            })
        };
        if !cx.guards.is_empty() || !results.iter().all(short) {
            return Ok(None);
        }
        let call = Call { signature, arguments, inputs: &types, results: &results };
        let sizes = vec![0; self.graph.slots.len()];
        let folded = op.op().eval(&call, &tensors, &sizes).map_err(|error| Fault::Use(error.to_string()))?;
        Ok(Some(folded.into_iter().map(Item::known).collect()))
    }

    /// The value of an item; what is known becomes a constant, a size an op.
    pub(super) fn value(&mut self, item: &Item) -> ValueId {
        match item {
            Item::Value(value) => *value,
            Item::Known(known) => self.constant(known),
            Item::Sizes(sizes) => self.of_sizes(sizes),
        }
    }

    fn constant(&mut self, known: &Known) -> ValueId {
        let found = known.name.as_ref().and_then(|name| self.made.iter().rev().find_map(|made| made.get(name)));
        // Graphs inside of others use names again, for other numbers.
        if let Some((value, tensor)) = found
            && (tensor.bytes().as_ptr() == known.tensor.bytes().as_ptr() || *tensor == known.tensor)
        {
            return *value;
        }
        let ty = self.ty(&Item::Known(known.clone()));
        let key = self.key(known.name.as_deref());
        let data = ConstantData::Tensor(known.tensor.clone());
        let storage = Storage::Plain(ty.dtype);
        let name = Some(names::of_weight(&key));
        let constant = Constant { ty: ty.clone(), storage, name: key, data, loc: Loc::default() };
        let id = self.graph.constants.push(constant);
        if known.weight && !known.tensor.shape().is_empty() {
            self.weights.insert(id);
        }
        let members = vec![id];
        let path = self.path.clone();
        let mut builder = GraphBuilder { graph: &mut self.graph, block: &mut self.block, path };
        let value = builder.value(ty, name, Loc::default());
        builder.node(NodeKind::Constant { members, counter: None }, vec![], vec![value], Loc::default());
        if let Some(name) = &known.name {
            if self.made.is_empty() {
                self.made.push(HashMap::new());
            }
            self.made.last_mut().expect("pushed above").insert(name.clone(), (value, known.tensor.clone()));
        }
        value
    }

    /// A key that no other constant has: the file's name, or where that is a number of the exporter, the node's place.
    fn key(&mut self, name: Option<&str>) -> String {
        let stem = match name {
            Some(name) if !names::is_anonymous(name) => name.to_owned(),
            _ if self.path.is_empty() => "constant".into(),
            _ => format!("{}.weight", self.path.rsplit_once('.').map_or(&*self.path, |(place, _)| place)),
        };
        let mut key = stem.clone();
        let mut next = 2;
        while !self.keys.insert(key.clone()) {
            key = format!("{stem}_{next}");
            next += 1;
        }
        key
    }

    fn of_sizes(&mut self, sizes: &Sizes) -> ValueId {
        let scalar = |builder: &mut Builder, dim: &Dim| {
            let attrs = [("value", Attr::Dim(dim.clone())), ("dtype", Attr::DType(sizes.dtype))];
            let made = builder.op("scalar", &[], &attrs);
            made.unwrap_or_else(|_| Item::known(Tensor::scalar(sizes.dtype, Scalar::I64(0))))
        };
        let all: Vec<Item> = sizes.dims.iter().map(|dim| scalar(self, dim)).collect();
        if sizes.scalar {
            return self.value(&all[0]);
        }
        let given: Vec<Option<&Item>> = all.iter().map(Some).collect();
        let stacked = self.ops("stack", &given, &[("axis", Attr::Int(0))]);
        let item = stacked.map_or_else(|_| unreachable!("scalars of one type stack"), |mut items| items.swap_remove(0));
        self.value(&item)
    }

    /// Opens a block of its own; what is made in it is not seen outside.
    pub(super) fn open(&mut self) -> Block {
        if self.made.is_empty() {
            self.made.push(HashMap::new());
        }
        self.made.push(HashMap::new());
        std::mem::take(&mut self.block)
    }

    /// Closes it and goes on with the block around it.
    pub(super) fn close(&mut self, around: Block) -> Block {
        self.made.pop();
        std::mem::replace(&mut self.block, around)
    }

    /// A number of an item's element type.
    pub(super) fn number(&self, like: &Item, value: f64) -> Item {
        let dtype = self.ty(like).dtype;
        Item::known(Tensor::scalar(dtype, Scalar::from_f64(dtype, value)))
    }

    /// Another element type.
    pub(super) fn cast(&mut self, x: &Item, dtype: DType) -> Result<Item, Fault> {
        match self.ty(x).dtype == dtype {
            true => Ok(x.clone()),
            false => self.op("cast", &[x], &[("dtype", Attr::DType(dtype))]),
        }
    }

    /// Other dims with as many elements.
    pub(super) fn reshape(&mut self, x: &Item, dims: Vec<Dim>) -> Result<Item, Fault> {
        match self.ty(x).dims == dims {
            true => Ok(x.clone()),
            false => self.op("reshape", &[x], &[("shape", self::dims(dims))]),
        }
    }

    /// Axes in another order.
    pub(super) fn transpose(&mut self, x: &Item, perm: Vec<i64>) -> Result<Item, Fault> {
        match perm.iter().enumerate().all(|(i, axis)| *axis == i as i64) {
            true => Ok(x.clone()),
            false => self.op("transpose", &[x], &[("perm", Attr::Ints(perm))]),
        }
    }

    /// Axes repeated where they are 1.
    pub(super) fn expand(&mut self, x: &Item, dims: Vec<Dim>) -> Result<Item, Fault> {
        match self.ty(x).dims == dims {
            true => Ok(x.clone()),
            false => self.op("expand", &[x], &[("shape", self::dims(dims))]),
        }
    }

    /// Positions `start..stop` along an axis.
    pub(super) fn cut(&mut self, x: &Item, axis: i64, start: i64, stop: i64) -> Result<Item, Fault> {
        let attrs = [
            ("starts", dims(vec![start.into()])),
            ("stops", dims(vec![stop.into()])),
            ("axis", Attr::Ints(vec![axis])),
        ];
        self.op("slice", &[x], &attrs)
    }

    /// One tensor behind another.
    pub(super) fn concat(&mut self, parts: &[Item], axis: i64) -> Result<Item, Fault> {
        match parts {
            [only] => Ok(only.clone()),
            parts => self.op("concat", &parts.iter().collect::<Vec<_>>(), &[("axis", Attr::Int(axis))]),
        }
    }
}

/// Dims that are all given.
pub(super) fn dims(dims: Vec<Dim>) -> Attr {
    Attr::Dims(dims.into_iter().map(Some).collect())
}
