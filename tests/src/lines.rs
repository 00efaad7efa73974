//! A line of `.mdl` becomes a function: what it names is declared with the types that the examples of ops are written for.

/// Parameters where the line calls an op that takes more than `x: f32[2, 3, 4]`.
const DECLARED: &[(&[&str], &str)] = &[
    (&["prelu"], "x: f32[2, 3, 4], slope: f32[3, 1]"),
    (&["not"], "x: bool[2, 3, 4]"),
    (&["gather", "one_hot"], "x: f32[2, 3, 4], ids: i64[5]"),
    (&["gather_elements"], "x: f32[2, 3, 4], indices: i64[2, 3, 4]"),
    (&["gather_nd"], "x: f32[2, 3, 4], indices: i64[5, 2]"),
    (&["scatter"], "x: f32[2, 3, 4], indices: i64[2, 3, 4], updates: f32[2, 3, 4]"),
    (&["scatter_nd"], "x: f32[2, 3, 4], indices: i64[5, 1], updates: f32[5, 3, 4]"),
    (&["dequantize"], "x: f32[2, 3, 4], q: i8[2, 3], scale: f32"),
    (&["lstm"], "x: f32[2, 7, 3], w: f32[16, 3], r: f32[16, 4]"),
    (&["gru"], "x: f32[2, 7, 3], w: f32[12, 3], r: f32[12, 4]"),
    (&["attention"], "x: f32[2, 3, 4], q: f32[1, 2, 8, 4], k: f32[1, 2, 8, 4], v: f32[1, 2, 8, 4]"),
    (&["batch_norm"], "x: f32[2, 3, 4], gamma: f32[3], beta: f32[3], mean: f32[3], var: f32[3]"),
    (&["conv1d"], "x: f32[2, 3, 4], w: f32[5, 3, 3]"),
    (&["conv2d"], "x: f32[1, 3, 8, 8], w: f32[5, 3, 3, 3]"),
    (&["conv_transpose2d"], "x: f32[1, 3, 8, 8], w: f32[3, 5, 2, 2]"),
    (&["depth_to_space", "space_to_depth"], "x: f32[1, 12, 4, 4]"),
    (&["max_pool2d", "avg_pool2d", "global_avg_pool", "global_max_pool", "resize2d"], "x: f32[1, 3, 8, 8]"),
];

/// A function around statements. It returns its first number, whatever they bind.
pub(crate) fn function(statements: &str) -> String {
    let calls = |op: &&str| statements.contains(&format!("= {op}("));
    let row = DECLARED.iter().find(|(ops, _)| ops.iter().any(calls));
    let params = row.map_or("x: f32[2, 3, 4]", |(_, params)| params);
    format!("fn example({params}) -> f32 {{\n{statements}return 1.0\n}}\n")
}
