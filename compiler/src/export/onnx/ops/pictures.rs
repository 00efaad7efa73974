//! Pictures resized, and channels as blocks of them.

use super::super::node::{Op, int, text};
use super::{Made, Rows, one};
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows =
    &[("depth_to_space", depth_to_space), ("resize2d", resize), ("space_to_depth", space_to_depth)];

fn resize(o: &mut Op) -> Made {
    let x = o.x("x");
    let mode = if o.call.text("mode") == Some("bilinear") { "linear" } else { "nearest" };
    let align = o.call.text("align").unwrap_or("half_pixel");
    let nearest = if align == "asymmetric" { "floor" } else { "round_prefer_ceil" };
    let sizes = o.w.dims(&o.call.result(0).dims)?;
    let mut attributes = vec![text("mode", mode), text("coordinate_transformation_mode", align)];
    if mode == "nearest" {
        attributes.push(text("nearest_mode", nearest));
    }
    one(o.node("Resize", &[x, "", "", &sizes], attributes))
}

fn depth_to_space(o: &mut Op) -> Made {
    let (x, block) = (o.x("x"), o.call.int("block").expect("the signature requires the block"));
    let mode = o.call.text("mode").unwrap_or("dcr").to_uppercase();
    one(o.node("DepthToSpace", &[x], vec![int("blocksize", block), text("mode", &mode)]))
}

/// The format's operator undoes mode DCR; the other mode is a transposition of pieces.
fn space_to_depth(o: &mut Op) -> Made {
    let (x, block) = (o.x("x"), o.call.int("block").expect("the signature requires the block"));
    if o.call.text("mode") != Some("crd") {
        return one(o.node("SpaceToDepth", &[x], vec![int("blocksize", block)]));
    }
    let (from, to) = (o.ty("x").dims.clone(), o.call.result(0).dims.clone());
    let [n, c, h, w] = [from[0].clone(), from[1].clone(), to[2].clone(), to[3].clone()];
    let apart = o.w.reshaped(x, &[n, c, h, Dim::from(block), w, Dim::from(block)])?;
    let turned = o.transposed(&apart, &[0, 1, 3, 5, 2, 4]);
    one(o.w.reshaped(&turned, &to)?)
}
