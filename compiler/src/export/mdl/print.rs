//! A graph as one file: the blocks that branches became, then the model with its dims, weights, states and entries.

use super::body::{Body, Writer};
use super::branches::param;
use super::constants::Constants;
use super::dims::Scope;
use super::literals::Literals;
use super::names::{Names, identifier, is_identifier};
use super::roll::roll;
use super::tree;
use super::uses::Uses;
use crate::graph::{ConstantData, ConstantId, Entry, Graph, StateId, ValueId};
use mlc_codegen::base::{Slot, SlotDef};
use mlc_grammar::ast::{
    Arg, Attr, Dim, DimKind, Edition, File, Func, Ident, Item, ItemKind, Member, MemberKind, Model, Param, Ret, Span,
    StmtKind, Text, Type,
};
use mlc_grammar::print_file;
use mlc_runtime::tensor::Tensor;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A graph as text, and the tensors that the text reads from the file beside it.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The `.mdl` text.
    pub text: String,
    /// What is neither in the text nor in an untouched weight file, by key.
    pub constants: Vec<(String, Tensor)>,
    /// Which of them are bytes of packed groups, and what of: `q4_0[64, 64]`.
    pub packed: Vec<(String, String)>,
}

/// How the text names files.
pub struct Links<'a> {
    /// The file that will hold the constants.
    pub constants: &'a str,
    /// An untouched weight file, by the path it was opened by.
    pub weights: &'a dyn Fn(&Path) -> String,
}

/// The text of a graph; weight files are named without their folders, and constants lie in the model's name with
/// `.safetensors`.
pub fn print(graph: &Graph) -> Printed {
    let weights = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let constants = format!("{}.safetensors", graph.name);
    print_linked(graph, &Links { constants: &constants, weights: &weights })
}

/// The text of a graph beside the files that `links` name.
pub fn print_linked(graph: &Graph, links: &Links) -> Printed {
    let Written { file, constants, packed, .. } = written(graph, links, &HashSet::new());
    Printed { text: print_file(&file), constants, packed }
}

/// The same with what repeats written once. Constants in `kept` are weights of the file beside, however short they are;
/// `about` is what the file says of itself, a line each.
pub fn print_rolled(graph: &Graph, links: &Links, kept: &HashSet<ConstantId>, about: &[String]) -> Printed {
    let Written { mut file, types, constants, packed } = written(graph, links, kept);
    roll(&mut file, &types);
    file.docs = about.iter().map(|line| Text::new(line)).collect();
    Printed { text: print_file(&file), constants, packed }
}

/// A graph as a tree.
struct Written {
    file: File,
    /// Of the values that the entries name.
    types: HashMap<String, Type>,
    constants: Vec<(String, Tensor)>,
    packed: Vec<(String, String)>,
}

fn written(graph: &Graph, links: &Links, kept: &HashSet<ConstantId>) -> Written {
    let mut item_names = Names::default();
    let model_name = item_names.fresh(if graph.name.is_empty() { "Model" } else { &graph.name });
    let mut names = Names::default();
    names.reserve(&model_name);
    let mut scope = Scope::new(&graph.slots);
    let mut members = dims(graph, &mut names, &mut scope);
    let constants = Constants::of(graph, kept);
    members.extend(weights(graph, links, !constants.made.is_empty()));
    let mut states: HashMap<StateId, String> = HashMap::new();
    for (id, state) in graph.states.iter() {
        let name = names.fresh(&state.name);
        members.push(member(MemberKind::State { name: Ident::new(&name), ty: scope.ty(&state.ty) }));
        states.insert(id, name);
    }
    let (literals, uses, hints) = (Literals::default(), Uses::default(), HashMap::new());
    let (guards, items, types) = (vec![], vec![], HashMap::new());
    let mut cx = Writer { graph, constants, literals, uses, hints, guards, items, item_names, types };
    let mut entry_names = Names::default();
    for entry in &graph.entries {
        let around = (names.clone(), scope.clone(), states.clone());
        members.push(entry_member(&mut cx, entry, around, &mut entry_names));
    }
    let model = Model { name: Ident::new(&model_name), statics: vec![], members };
    let mut items = cx.items;
    items.push(Item { docs: vec![], attrs: vec![], kind: ItemKind::Model(model), span: Span::default() });
    let edition = Some(Edition { number: 1, span: Span::default() });
    let Constants { made: constants, packed, .. } = cx.constants;
    Written { file: File { edition, docs: vec![], items }, types: cx.types, constants, packed }
}

fn member(kind: MemberKind) -> Member {
    Member { docs: vec![], attrs: vec![], kind, span: Span::default() }
}

/// The symbolic dims, with their ranges.
fn dims(graph: &Graph, names: &mut Names, scope: &mut Scope) -> Vec<Member> {
    let given = graph.slots.iter().filter_map(|(slot, def)| match def {
        SlotDef::Given { name, lo, hi, size: false } => Some((slot, name, *lo, *hi)),
        _ => None,
    });
    let dim = |(slot, name, lo, hi): (Slot, &String, i64, i64)| {
        let name = names.fresh(name);
        scope.bind(slot, &name, 0);
        let kind = match (lo, hi) {
            (0, i64::MAX) => DimKind::Free,
            (lo, hi) => DimKind::Range(tree::int(lo), tree::int(hi)),
        };
        member(MemberKind::Dim(Dim { name: Ident::new(&name), kind }))
    };
    given.map(dim).collect()
}

/// The files that hold weights of the graph, and the one beside where something is in it.
fn weights(graph: &Graph, links: &Links, made: bool) -> Vec<Member> {
    let nodes = graph.entries.iter().flat_map(|entry| graph.nodes_within(&entry.body));
    let constants: HashSet<_> = nodes.flat_map(|id| super::constants::members(graph, id).0).collect();
    let used: HashSet<*const _> = constants
        .into_iter()
        .filter_map(|id| match &graph.constants[*id].data {
            ConstantData::Weight(key) => Some(std::ptr::from_ref(graph.weights.find(key).ok()??.file)),
            ConstantData::Tensor(_) => None,
        })
        .collect();
    let files = graph.weights.files().filter(|(file, _)| used.contains(&std::ptr::from_ref(*file)));
    let untouched = files.map(|(file, prefix)| {
        let at = (!prefix.is_empty()).then(|| Text::new(prefix));
        MemberKind::Weights { from: Text::new(&(links.weights)(file.path())), at }
    });
    let beside = made.then(|| MemberKind::Weights { from: Text::new(links.constants), at: None });
    untouched.chain(beside).map(member).collect()
}

/// One entry; a name that is no identifier is kept in `#[name(…)]`.
fn entry_member<'g>(
    cx: &mut Writer<'g>,
    entry: &Entry,
    (mut names, mut scope, states): (Names, Scope<'g>, HashMap<StateId, String>),
    entry_names: &mut Names,
) -> Member {
    let graph = cx.graph;
    let results: Vec<ValueId> = entry.outputs.iter().map(|(_, value)| *value).collect();
    cx.enter(&entry.body, &results, &entry.guards);
    let mut external: Vec<(String, String)> = vec![];
    let mut inside = |names: &mut Names, name: &str, own: Option<&str>| {
        let stem = if is_identifier(name) { name } else { own.unwrap_or(name) };
        let inside = names.fresh(stem);
        if inside != name {
            external.push((inside.clone(), name.to_owned()));
        }
        inside
    };
    let (mut values, mut bound, mut params) = (HashMap::new(), HashMap::new(), Vec::<Param>::new());
    for input in &entry.inputs {
        let name = inside(&mut names, &input.name, graph.values[input.value].name.as_deref());
        params.push(param(&name, scope.ty(graph.ty(input.value))));
        cx.types.insert(name.clone(), scope.ty(graph.ty(input.value)));
        bound.insert(name.clone(), input.value);
        values.insert(input.value, name);
    }
    let mut pinned = vec![];
    for (size, slot) in &entry.sizes {
        let SlotDef::Given { name, lo, hi, .. } = graph.slots.def(*slot) else { continue };
        let name = inside(&mut names, size, Some(name));
        params.push(param(&name, tree::tensor_type("size", vec![])));
        scope.bind(*slot, &name, 0);
        pinned.extend((lo == hi).then(|| pin(&name, *lo)));
    }
    let ret = returns(entry, &mut names, &scope, graph, &mut external);
    let (forced, inline, frozen) = (HashMap::new(), HashMap::new(), HashSet::new());
    let mut body = Body { cx, names, scope, values, bound, forced, inline, states, frozen, stmts: pinned };
    body.asserts();
    body.block(&entry.body);
    let returned = results.iter().map(|result| body.value(*result)).collect();
    body.stmts.push(tree::stmt(StmtKind::Return(tree::tuple(returned))));
    let name = entry_names.fresh(&entry.name);
    if name != entry.name {
        external.insert(0, (String::new(), entry.name.clone()));
    }
    let func = Func { name: Ident::new(&name), statics: vec![], params, ret, body: tree::body(body.stmts) };
    let docs = entry.doc.lines().map(Text::new).collect();
    Member { docs, attrs: named(external), kind: MemberKind::Entry(func), span: Span::default() }
}

/// A size that `-D` fixed.
fn pin(name: &str, value: i64) -> mlc_grammar::ast::Stmt {
    let equal = vec![(mlc_grammar::ast::BinaryOp::Eq, tree::int(value))];
    tree::stmt(StmtKind::Assert(tree::chain(tree::name(name), equal)))
}

/// What an entry promises; the one result named `out` needs no name.
fn returns(
    entry: &Entry,
    names: &mut Names,
    scope: &Scope,
    graph: &Graph,
    external: &mut Vec<(String, String)>,
) -> Ret {
    if let [(name, value)] = entry.outputs.as_slice()
        && (name == "out" || !is_identifier(name))
    {
        if name != "out" {
            external.push(("out".into(), name.clone()));
        }
        return Ret::Type(scope.ty(graph.ty(*value)));
    }
    let mut fields = Names::default();
    external.iter().for_each(|(inside, _)| fields.reserve(inside));
    let mut field = |(name, value): &(String, ValueId)| {
        let mut inside = fields.fresh(name);
        while inside != *name && names.has(&inside) {
            inside = fields.fresh(&identifier(name));
        }
        if inside != *name {
            external.push((inside.clone(), name.clone()));
        }
        param(&inside, scope.ty(graph.ty(*value)))
    };
    Ret::Named(entry.outputs.iter().map(&mut field).collect())
}

/// `#[name(x = "input.1")]`.
fn named(external: Vec<(String, String)>) -> Vec<Attr> {
    if external.is_empty() {
        return vec![];
    }
    let arg = |(inside, name): (String, String)| Arg {
        name: (!inside.is_empty()).then(|| Ident::new(&inside)),
        value: tree::text(&name),
        span: Span::default(),
    };
    let args = external.into_iter().map(arg).collect();
    vec![tree::attribute(tree::call(tree::name("name"), args))]
}
