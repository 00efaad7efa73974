//! Near names: did-you-mean by edit distance and by what other libraries call the same thing.

/// The nearest of some names: at most a third of the letters differ. Ties go to the name that sorts first.
pub(super) fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let close = |other: &str| name.len().abs_diff(other.len()) <= 4 * limit;
    let near = all.filter(|other| *other != name && close(other));
    let (distance, found) = near.map(|other| (strsim::damerau_levenshtein(name, other), other)).min()?;
    let same_case = || name.eq_ignore_ascii_case(found);
    (distance <= limit && distance < name.chars().count() || same_case()).then_some(found)
}

/// What other frameworks call our element types.
const DTYPES: [(&str, &str); 19] = [
    ("float64", "f64"),
    ("double", "f64"),
    ("float32", "f32"),
    ("float", "f32"),
    ("single", "f32"),
    ("float16", "f16"),
    ("half", "f16"),
    ("bfloat16", "bf16"),
    ("int64", "i64"),
    ("long", "i64"),
    ("int32", "i32"),
    ("int16", "i16"),
    ("short", "i16"),
    ("int8", "i8"),
    ("uint8", "u8"),
    ("byte", "u8"),
    ("int4", "i4"),
    ("uint4", "u4"),
    ("boolean", "bool"),
];

/// What other frameworks call our operators.
const OPERATORS: [(&str, &str); 34] = [
    ("gemm", "matmul"),
    ("mm", "matmul"),
    ("bmm", "matmul"),
    ("dot", "matmul"),
    ("LayerNorm", "layer_norm"),
    ("layernorm", "layer_norm"),
    ("RMSNorm", "rms_norm"),
    ("BatchNorm", "batch_norm"),
    ("GroupNorm", "group_norm"),
    ("InstanceNorm", "instance_norm"),
    ("swish", "silu"),
    ("hardswish", "hard_swish"),
    ("hardsigmoid", "hard_sigmoid"),
    ("leakyrelu", "leaky_relu"),
    ("LeakyRelu", "leaky_relu"),
    ("Relu", "relu"),
    ("ReLU", "relu"),
    ("GELU", "gelu"),
    ("logsoftmax", "log_softmax"),
    ("permute", "transpose"),
    ("view", "reshape"),
    ("concatenate", "concat"),
    ("cat", "concat"),
    ("chunk", "split"),
    ("embedding", "gather"),
    ("index_select", "gather"),
    ("take", "gather"),
    ("clamp", "clip"),
    ("topk", "top_k"),
    ("arange", "iota"),
    ("repeat_interleave", "tile"),
    ("broadcast_to", "expand"),
    ("power", "pow"),
    ("astype", "cast"),
];

/// What other frameworks call our arguments.
const ARGUMENTS: [(&str, &str); 22] = [
    ("dim", "axis"),
    ("dims", "axis"),
    ("axes", "axis"),
    ("axis", "axes"),
    ("keepdim", "keep"),
    ("keepdims", "keep"),
    ("keep_dims", "keep"),
    ("padding", "pad"),
    ("strides", "stride"),
    ("kernel_size", "kernel"),
    ("group", "groups"),
    ("epsilon", "eps"),
    ("weight", "gamma"),
    ("bias", "beta"),
    ("weight", "w"),
    ("bias", "b"),
    ("approximate", "approx"),
    ("to", "dtype"),
    ("size", "shape"),
    ("attn_mask", "mask"),
    ("permutation", "perm"),
    ("base", "theta"),
];

fn synonym<'a>(table: &[(&str, &'a str)], name: &str, known: impl Fn(&str) -> bool) -> Option<&'a str> {
    table.iter().find(|(other, own)| *other == name && known(own)).map(|(_, own)| *own)
}

/// The element type that a word was meant to be.
pub(super) fn dtype(name: &str) -> Option<&'static str> {
    let all = mlc_codegen::base::DType::ALL;
    synonym(&DTYPES, name, |_| true).or_else(|| nearest(name, all.iter().map(|d| d.name())))
}

/// The operator that another framework calls by this name, where there is one.
pub(super) fn operator(name: &str, known: impl Fn(&str) -> bool) -> Option<&'static str> {
    synonym(&OPERATORS, name, known)
}

/// The argument, of these, that a word was meant to be.
pub(super) fn argument<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let own = synonym(&ARGUMENTS, name, |own| known.contains(&own));
    own.and_then(|own| known.iter().copied().find(|k| *k == own)).or_else(|| nearest(name, known.iter().copied()))
}

/// `a`, `b` and `c`, quoted.
pub(super) fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1 axis`, `2 axes`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    match n {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}
