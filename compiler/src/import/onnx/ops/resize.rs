//! Resizing.
//!
//! What `resize2d` means is that op. Everything else is separable: along each axis the result is a known matrix, or
//! known places, of the input.

use super::super::builder::{Fault, dims};
use super::super::items::Item;
use super::super::node::{Node, front};
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::{DType, Dim};
use mlc_runtime::tensor::Tensor;

pub(super) const ROWS: Rows = &[("Resize", resize), ("Upsample", resize)];

/// How positions of one axis map.
struct Axis {
    axis: usize,
    from: i64,
    to: i64,
    /// Of the result, in elements of the input.
    scale: f64,
    /// The part of the axis that is read, as fractions of it.
    region: (f64, f64),
}

fn resize(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (mut x, own) = (n.x(0)?, n.ty(0)?.dims);
    let mode = n.text("mode", "nearest");
    let new = n.proto.op_type == "Resize" && n.version >= 11;
    let (scales_at, place) = match (n.proto.op_type.as_str(), new) {
        ("Resize", true) => (2, n.text("coordinate_transformation_mode", "half_pixel")),
        _ => (1, "asymmetric".into()),
    };
    let axes: Vec<usize> = match n.ints("axes") {
        Some(axes) => {
            let found: Result<Vec<i64>, Fault> = axes.into_iter().map(|a| front(a, own.len() as i64)).collect();
            found?.into_iter().map(|axis| axis as usize).collect()
        }
        None => (0..own.len()).collect(),
    };
    let scales =
        n.known_floats(scales_at)?.or_else(|| n.floats("scales").map(|s| s.into_iter().map(f64::from).collect()));
    let scales = scales.filter(|scales| !scales.is_empty());
    let sizes = if new { n.known_dims(3)?.filter(|sizes| !sizes.is_empty()) } else { None };
    if let Some(direct) = direct(n, &x, &own, (&axes, &scales, &sizes), &place)? {
        return Ok(vec![direct]);
    }
    let Some(shape) = n.ty(0)?.shape() else { return refuse("it resizes symbolic dims in a way that needs numbers") };
    let roi = if place == "tf_crop_and_resize" { n.known_floats(1)?.unwrap_or_default() } else { vec![] };
    let policy = n.text("keep_aspect_ratio_policy", "stretch");
    let sizes: Option<Vec<i64>> = match sizes {
        Some(sizes) => Some(sizes.iter().map(Dim::as_constant).collect::<Option<_>>().ok_or(Fault::Unbound(3))?),
        None => None,
    };
    let ratio = sizes.as_ref().filter(|_| policy != "stretch").map(|sizes| {
        let ratios = sizes.iter().zip(&axes).map(|(size, axis)| *size as f64 / shape[*axis] as f64);
        if policy == "not_larger" { ratios.fold(f64::INFINITY, f64::min) } else { ratios.fold(0.0, f64::max) }
    });
    for (i, axis) in axes.iter().copied().enumerate() {
        let from = shape[axis];
        let (scale, to) = match (&sizes, &scales) {
            (Some(_), _) if ratio.is_some() => {
                let ratio = ratio.expect("just seen");
                (ratio, (ratio * from as f64 + 0.5).floor() as i64)
            }
            (Some(sizes), _) => (sizes[i] as f64 / from as f64, sizes[i]),
            (None, Some(scales)) if i < scales.len() => (scales[i], (from as f64 * scales[i]).floor() as i64),
            _ => return refuse("it has neither scales nor sizes for all axes"),
        };
        let region = match roi.len() == 2 * axes.len() {
            true => (roi[i], roi[axes.len() + i]),
            false => (0.0, 1.0),
        };
        if scale != 1.0 || to != from || region != (0.0, 1.0) {
            let line = Axis { axis, from, to, scale, region };
            x = along(n, &x, &line, &mode, &place)?;
        }
    }
    Ok(vec![x])
}

type Sizing<'a> = (&'a [usize], &'a Option<Vec<f64>>, &'a Option<Vec<Dim>>);

/// Pictures at whole multiples, in the ways that mlc's op knows.
fn direct(n: &mut Node, x: &Item, own: &[Dim], sizing: Sizing, place: &str) -> Result<Option<Item>, Fault> {
    let (axes, scales, sizes) = sizing;
    let mode = n.text("mode", "nearest");
    let nearest = n.text("nearest_mode", "round_prefer_floor");
    let align = match (mode.as_str(), place) {
        ("linear", "half_pixel") => "half_pixel",
        ("linear", "asymmetric") => "asymmetric",
        ("linear", "align_corners") => "align_corners",
        ("nearest", "asymmetric") if nearest == "floor" || n.version < 11 => "asymmetric",
        _ => return Ok(None),
    };
    let whole = |dims: &[Dim]| dims.len() == 4 && dims[..2] == own[..2];
    let target: Vec<Dim> = match (scales, sizes) {
        (_, Some(sizes)) if axes.len() == 4 && whole(sizes) => sizes[2..].to_vec(),
        (Some(scales), None) if scales.len() == 4 && axes.len() == 4 && scales[..2] == [1.0, 1.0] => {
            if scales.iter().any(|scale| scale.fract() != 0.0) {
                return Ok(None);
            }
            (2..4).map(|axis| own[axis].clone() * scales[axis] as i64).collect()
        }
        _ => return Ok(None),
    };
    let stretch = n.text("keep_aspect_ratio_policy", "stretch") == "stretch";
    let float = n.build.ty(x).dtype == DType::F32;
    if !stretch || !float || n.int("antialias", 0) != 0 || n.int("exclude_outside", 0) != 0 {
        return Ok(None);
    }
    let mode = if mode == "linear" { "bilinear" } else { "nearest" };
    let attrs = [("size", dims(target)), ("mode", Attr::Text(mode.into())), ("align", Attr::Text(align.into()))];
    n.op("resize2d", &[x], &attrs).map(Some)
}

/// Where position `at` of the result lies in the input.
fn source(line: &Axis, at: i64, place: &str) -> f64 {
    let (at, from, to, scale) = (at as f64, line.from as f64, line.to as f64, line.scale);
    let whole = from * scale;
    match place {
        "align_corners" if to <= 1.0 => 0.0,
        "align_corners" => at * (from - 1.0) / (whole - 1.0).max(1.0),
        "asymmetric" => at / scale,
        "pytorch_half_pixel" if whole <= 1.0 => -0.5,
        "half_pixel_symmetric" => {
            let offset = from / 2.0 * (1.0 - to / whole);
            offset + (at + 0.5) / scale - 0.5
        }
        "tf_crop_and_resize" if to > 1.0 => {
            let (start, end) = line.region;
            start * (from - 1.0) + at * (end - start) * (from - 1.0) / (to - 1.0)
        }
        "tf_crop_and_resize" => 0.5 * (line.region.0 + line.region.1) * (from - 1.0),
        _ => (at + 0.5) / scale - 0.5,
    }
}

fn along(n: &mut Node, x: &Item, line: &Axis, mode: &str, place: &str) -> Result<Item, Fault> {
    let most = (line.from - 1).max(0);
    let outside = |at: f64| place == "tf_crop_and_resize" && (at < 0.0 || at > most as f64);
    if mode == "nearest" {
        let rule = n.text("nearest_mode", "round_prefer_floor");
        let rule = if n.version < 11 { "floor".into() } else { rule };
        let round = |at: f64| match rule.as_str() {
            "floor" => at.floor(),
            "ceil" => at.ceil(),
            "round_prefer_ceil" => (at + 0.5).floor(),
            _ => (at - 0.5).ceil(),
        };
        let places: Vec<i64> = (0..line.to).map(|at| (round(source(line, at, place)) as i64).clamp(0, most)).collect();
        if (0..line.to).any(|at| outside(source(line, at, place))) {
            return refuse("it reads outside of the picture");
        }
        let places = Tensor::from_i64([places.len()], &places).map_err(|error| Fault::Use(error.to_string()))?;
        return n.op("gather", &[x, &Item::known(places)], &[("axis", Attr::Int(line.axis as i64))]);
    }
    let cubic = mode == "cubic";
    let coefficient = n.float("cubic_coeff_a", -0.75);
    let wide = if n.int("antialias", 0) != 0 && line.scale < 1.0 { 1.0 / line.scale } else { 1.0 };
    let (exclude, fill) = (n.int("exclude_outside", 0) != 0, n.float("extrapolation_value", 0.0));
    let (rows, columns) = (line.to as usize, line.from as usize);
    if rows.checked_mul(columns).is_none_or(|count| count > 1 << 24) {
        return refuse("it needs a matrix of more than 2^24 numbers");
    }
    let mut matrix = vec![0f32; rows * columns];
    for (at, row) in matrix.chunks_mut(columns.max(1)).enumerate() {
        let center = source(line, at as i64, place);
        if outside(center) {
            if fill != 0.0 {
                return refuse("it reads outside of the picture, and fills with a number");
            }
            continue;
        }
        let reach = if cubic { 2.0 } else { 1.0 } * wide;
        let (first, last) = ((center - reach).floor() as i64, (center + reach).ceil() as i64);
        let mut weights: Vec<(i64, f64)> = (first..=last)
            .map(|tap| {
                let distance = (center - tap as f64).abs() / wide;
                (tap, if cubic { cubic_weight(distance, coefficient) } else { (1.0 - distance).max(0.0) })
            })
            .collect();
        if exclude {
            weights.retain(|(tap, _)| (0..=most).contains(tap));
        }
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        for (tap, weight) in weights {
            row[tap.clamp(0, most) as usize] += (weight / sum) as f32;
        }
    }
    let matrix = Tensor::from_f32([rows, columns], &matrix).map_err(|error| Fault::Use(error.to_string()))?;
    let dtype = n.build.ty(x).dtype;
    let matrix = n.build.cast(&Item::known(matrix), dtype)?;
    let names: Vec<String> = (0..n.build.ty(x).rank()).map(|axis| format!("a{axis}")).collect();
    let result: Vec<&str> = (0..names.len()).map(|i| if i == line.axis { "out" } else { names[i].as_str() }).collect();
    let pattern = format!("{}, out a{} -> {}", names.join(" "), line.axis, result.join(" "));
    n.op("einsum", &[x, &matrix], &[("pattern", Attr::Text(pattern))])
}

fn cubic_weight(distance: f64, a: f64) -> f64 {
    match distance {
        d if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        d if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        _ => 0.0,
    }
}
