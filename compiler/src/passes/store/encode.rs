//! Groups of 32 numbers in the packed formats of GGUF: scales in f16, codes beside them.
//! Invariant: codes are those nearest to the numbers for the scale as it is stored, after its own rounding.

use half::f16;
use mlc_codegen::base::Packing;

/// Scales that a search tries on either side of the one that spans a group.
const TRIED: i32 = 12;
/// How far they are apart, in parts of it.
const APART: f32 = 0.02;

/// The bytes of whole groups; `None` where a number is not finite, or the packing is not written here.
pub(super) fn packed(numbers: &[f32], packing: Packing) -> Option<Vec<u8>> {
    if numbers.iter().any(|number| !number.is_finite()) {
        return None;
    }
    let mut bytes = Vec::with_capacity(numbers.len() / 32 * packing.bytes() as usize);
    for group in numbers.chunks(32) {
        match packing {
            Packing::Q8_0 => q8_0(group, &mut bytes),
            Packing::Q4_0 => q4_0(group, &mut bytes),
            Packing::Q4_1 => q4_1(group, &mut bytes),
            Packing::Q4K | Packing::Q6K => return None,
        }
    }
    Some(bytes)
}

/// The code of a number, held to a range; codes of a scale of 0 are all 0.
fn code(number: f32, scale: f32, least: f32, most: f32) -> f32 {
    if scale == 0.0 { 0.0f32.clamp(least, most) } else { (number / scale).round_ties_even().clamp(least, most) }
}

fn greatest(group: &[f32]) -> f32 {
    group.iter().copied().fold(0.0, |far: f32, x| if x.abs() > far.abs() { x } else { far })
}

fn q8_0(group: &[f32], bytes: &mut Vec<u8>) {
    let scale = f16::from_f32(greatest(group).abs() / 127.0);
    bytes.extend(scale.to_le_bytes());
    bytes.extend(group.iter().map(|x| code(*x, scale.to_f32(), -127.0, 127.0) as i8 as u8));
}

/// The sum of square errors of codes `least..=most` times `scale`, plus `offset`.
fn error(group: &[f32], scale: f32, offset: f32, least: f32, most: f32) -> f32 {
    let one = |x: &f32| {
        let error = x - (code(x - offset, scale, least, most) * scale + offset);
        error * error
    };
    group.iter().map(one).sum()
}

/// The scale whose codes -8..=7 are nearest to a group, the sign of its farthest number taken by the code -8 or by 7.
fn q4_0(group: &[f32], bytes: &mut Vec<u8>) {
    let far = greatest(group);
    let spans = [far / -8.0, far / 7.0];
    let near = |span: &f32| {
        let span = *span;
        (-TRIED..=TRIED).map(move |step| f16::from_f32(span * (1.0 + APART * step as f32)))
    };
    let tried = spans.iter().flat_map(near);
    let cost = |scale: &f16| error(group, scale.to_f32(), 0.0, -8.0, 7.0);
    let scale = tried.min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("several are tried");
    bytes.extend(scale.to_le_bytes());
    let codes: Vec<u8> = group.iter().map(|x| (code(*x, scale.to_f32(), -8.0, 7.0) + 8.0) as u8).collect();
    bytes.extend((0..16).map(|i| codes[i] | codes[i + 16] << 4));
}

/// A scale and a minimum whose codes 0..=15 are nearest to a group.
fn q4_1(group: &[f32], bytes: &mut Vec<u8>) {
    let (low, high) = group.iter().fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let pair = |inset: i32| {
        let inset = (high - low) * APART * inset as f32 / 2.0;
        (f16::from_f32((high - low - 2.0 * inset) / 15.0), f16::from_f32(low + inset))
    };
    let cost = |(scale, low): &(f16, f16)| error(group, scale.to_f32(), low.to_f32(), 0.0, 15.0);
    let (scale, low) = (0..TRIED).map(pair).min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("several are tried");
    bytes.extend(scale.to_le_bytes());
    bytes.extend(low.to_le_bytes());
    let codes: Vec<u8> = group.iter().map(|x| code(x - low.to_f32(), scale.to_f32(), 0.0, 15.0) as u8).collect();
    bytes.extend((0..16).map(|i| codes[i] | codes[i + 16] << 4));
}

#[cfg(test)]
mod tests {
    use super::packed;
    use mlc_codegen::base::Packing;
    use mlc_runtime::weights::dequantize;

    fn drawn(count: usize) -> Vec<f32> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next() + next() + next()).collect()
    }

    /// The root of the mean square error, in parts of that of the numbers.
    fn lost(numbers: &[f32], packing: Packing) -> f32 {
        let bytes = packed(numbers, packing).expect("finite numbers");
        assert_eq!(bytes.len(), numbers.len() / 32 * packing.bytes() as usize);
        let found = dequantize(packing, &bytes);
        let error: f32 = numbers.iter().zip(&found).map(|(a, b)| (a - b) * (a - b)).sum();
        (error / numbers.iter().map(|x| x * x).sum::<f32>()).sqrt()
    }

    #[test]
    fn what_is_unpacked_is_near() {
        let numbers = drawn(32 * 64);
        assert!(lost(&numbers, Packing::Q8_0) < 0.006);
        let (four, minimum) = (lost(&numbers, Packing::Q4_0), lost(&numbers, Packing::Q4_1));
        assert!(four < 0.09 && minimum < 0.09, "{four} {minimum}");
        let shifted: Vec<f32> = numbers.iter().map(|x| x + 3.0).collect();
        assert!(lost(&shifted, Packing::Q4_1) < lost(&shifted, Packing::Q4_0) / 2.0);
    }

    #[test]
    fn a_search_beats_the_span_of_the_group() {
        let numbers = drawn(32 * 64);
        let plain = |group: &[f32]| {
            let far = group.iter().fold(0.0f32, |far, x| if x.abs() > far.abs() { *x } else { far }) / -8.0;
            group.iter().map(|x| (x - (x / far).round_ties_even().clamp(-8.0, 7.0) * far).powi(2)).sum::<f32>()
        };
        let spanned: f32 = numbers.chunks(32).map(plain).sum();
        let found = dequantize(Packing::Q4_0, &packed(&numbers, Packing::Q4_0).expect("finite numbers"));
        let searched: f32 = numbers.iter().zip(&found).map(|(a, b)| (a - b) * (a - b)).sum();
        assert!(searched < spanned * 0.95, "{searched} {spanned}");
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_no_number_is_refused() {
        for packing in [Packing::Q8_0, Packing::Q4_0, Packing::Q4_1] {
            assert_eq!(dequantize(packing, &packed(&[0.0; 32], packing).expect("zeros")), [0.0; 32]);
            assert_eq!(packed(&[f32::NAN; 32], packing), None);
        }
    }
}
