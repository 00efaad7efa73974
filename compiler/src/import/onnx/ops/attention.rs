//! Attention and rotary positions, as operators of version 23.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows = &[("Attention", attention)];

/// Of three axes, heads are a part of the last.
fn attention(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (q, k, v) = (n.x(0)?, n.x(1)?, n.x(2)?);
    if n.opt(4).is_some() || n.opt(5).is_some() || n.float("softcap", 0.0) != 0.0 || n.proto.output.len() > 1 {
        return refuse("mlc does not import attention with a cache, a soft cap or its scores");
    }
    let flat = n.rank(0)? == 3;
    let (heads, groups) = (n.int("q_num_heads", 0), n.int("kv_num_heads", 0));
    let split = |n: &mut Node, x: &Item, heads: i64| {
        if !flat {
            return Ok(x.clone());
        }
        let dims = n.build.ty(x).dims;
        let each = n.build.graph.slots.floor_div(&dims[2], &Dim::from(heads));
        let parted = n.build.reshape(x, vec![dims[0].clone(), dims[1].clone(), heads.into(), each])?;
        n.build.transpose(&parted, vec![0, 2, 1, 3])
    };
    let (q, k, v) = (split(n, &q, heads)?, split(n, &k, groups)?, split(n, &v, groups)?);
    let mut attrs = vec![];
    if n.has("scale") {
        attrs.push(("scale", Attr::Float(n.float("scale", 1.0))));
    }
    if n.int("is_causal", 0) != 0 {
        attrs.push(("causal", Attr::Int(0)));
    }
    let mask = n.opt(3);
    let y = n.build.ops("attention", &[Some(&q), Some(&k), Some(&v), mask.as_ref()], &attrs)?.swap_remove(0);
    if !flat {
        return Ok(vec![y]);
    }
    let together = n.build.transpose(&y, vec![0, 2, 1, 3])?;
    let dims = n.build.ty(&together).dims;
    let joined = vec![dims[0].clone(), dims[1].clone(), dims[2].clone() * &dims[3]];
    Ok(vec![n.build.reshape(&together, joined)?])
}
