//! The packed group formats as f32: `value = scale * code + offset`, as in GGUF (ggml-quants.c, `dequantize_row_*`).
//! Each function states its bit layout; all numbers are little-endian, all arithmetic is f32.

use half::f16;
use mlc_codegen::base::Packing;

/// The f32 elements of whole groups. Panics when `bytes` is not a whole number of groups.
pub fn dequantize(packing: Packing, bytes: &[u8]) -> Vec<f32> {
    let (size, elements) = (packing.bytes() as usize, packing.elements() as usize);
    assert!(bytes.len().is_multiple_of(size), "packed bytes come in whole groups");
    let mut values = vec![0.0; bytes.len() / size * elements];
    for (group, out) in bytes.chunks_exact(size).zip(values.chunks_exact_mut(elements)) {
        dequantize_group(packing, group, out);
    }
    values
}

/// One group; `group` and `out` are as long as the packing says.
pub fn dequantize_group(packing: Packing, group: &[u8], out: &mut [f32]) {
    match packing {
        Packing::Q8_0 => q8_0(group, out),
        Packing::Q4_0 => q4_0(group, out),
        Packing::Q4_1 => q4_1(group, out),
        Packing::Q4K => q4_k(group, out),
        Packing::Q6K => q6_k(group, out),
    }
}

/// Bytes 0..2 scale, 2..34 signed codes.
fn q8_0(group: &[u8], out: &mut [f32]) {
    let scale = half_at(group, 0);
    for (value, code) in out.iter_mut().zip(&group[2..34]) {
        *value = scale * f32::from(*code as i8);
    }
}

/// Bytes 0..2 scale; byte 2 + i holds code i in its low and code i + 16 in its high nibble, each plus 8.
fn q4_0(group: &[u8], out: &mut [f32]) {
    let scale = half_at(group, 0);
    for (i, byte) in group[2..18].iter().enumerate() {
        out[i] = scale * (f32::from(byte & 0xf) - 8.0);
        out[i + 16] = scale * (f32::from(byte >> 4) - 8.0);
    }
}

/// Bytes 0..2 scale, 2..4 minimum; nibbles from byte 4 on as in q4_0, unsigned.
fn q4_1(group: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half_at(group, 0), half_at(group, 2));
    for (i, byte) in group[4..20].iter().enumerate() {
        out[i] = scale * f32::from(byte & 0xf) + minimum;
        out[i + 16] = scale * f32::from(byte >> 4) + minimum;
    }
}

/// Bytes 0..2 scale of scales, 2..4 scale of minimums, 4..16 eight 6-bit pairs (see `q4_k_pair`), 16..144 nibbles: each
/// run of 32 bytes holds 32 elements in its low nibbles and the next 32 in its high ones; every 32 have a pair.
fn q4_k(group: &[u8], out: &mut [f32]) {
    let (scales, minimums) = (half_at(group, 0), half_at(group, 2));
    for (pair, values) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = q4_k_pair(&group[4..16], pair);
        let (scale, offset) = (scales * f32::from(scale), minimums * f32::from(minimum));
        let codes = &group[16 + 32 * (pair / 2)..][..32];
        for (value, byte) in values.iter_mut().zip(codes) {
            *value = scale * f32::from(byte >> (4 * (pair % 2)) & 0xf) - offset;
        }
    }
}

/// Scale and minimum `j` of eight, 6 bits each in 12 bytes: the first four in the low bits of bytes j and j + 4; the
/// others have their low nibbles in byte j + 4 (scale low, minimum high) and their high pairs atop bytes j − 4 and j.
fn q4_k_pair(packed: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        return (packed[j] & 63, packed[j + 4] & 63);
    }
    (packed[j + 4] & 0xf | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
}

/// Bytes 0..128 low nibbles, 128..192 high pairs, 192..208 sixteen signed scales, 208..210 scale of scales. Each half of
/// 128 elements has 64 low and 32 high bytes: quarter q of it takes nibble q / 2 of low byte 32 (q mod 2) + i and pair q
/// of high byte i; codes are 6 bits minus 32; every 16 elements have a scale.
fn q6_k(group: &[u8], out: &mut [f32]) {
    let scale = half_at(group, 208);
    for (i, value) in out.iter_mut().enumerate() {
        let (half, quarter, lane) = (i / 128, i / 32 % 4, i % 32);
        let low = group[64 * half + 32 * (quarter % 2) + lane] >> (4 * (quarter / 2)) & 0xf;
        let high = group[128 + 32 * half + lane] >> (2 * quarter) & 3;
        let code = f32::from(low | high << 4) - 32.0;
        *value = scale * f32::from(group[192 + i / 16] as i8) * code;
    }
}

fn half_at(group: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([group[at], group[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use super::dequantize;
    use mlc_codegen::base::Packing;

    /// Byte `i` is `step * i + first` modulo 256, except for the f16 scales.
    fn group(packing: Packing, step: usize, first: usize, scales: &[(usize, u16)]) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..packing.bytes() as usize).map(|i| (i * step + first) as u8).collect();
        for (at, bits) in scales {
            bytes[*at..at + 2].copy_from_slice(&bits.to_le_bytes());
        }
        bytes
    }

    /// The expected values are those of the `gguf` package 0.19.0 (`gguf.quants.dequantize`) on the same bytes.
    #[test]
    fn groups_hold_what_gguf_says() {
        const SCALE: u16 = 0x2800;
        const MINIMUM: u16 = 0x2600;
        let check = |packing, bytes: &[u8], picks: &[(usize, f32)], sum: f64| {
            let values = dequantize(packing, bytes);
            for (i, expected) in picks {
                assert_eq!(values[*i], *expected, "{packing:?} element {i}");
            }
            assert_eq!(values.iter().map(|v| f64::from(*v)).sum::<f64>(), sum, "{packing:?}");
        };
        let q8_0 = group(Packing::Q8_0, 37, 11, &[(0, SCALE)]);
        check(Packing::Q8_0, &q8_0, &[(0, 2.65625), (1, 3.8125), (15, -4.0), (16, -2.84375), (31, -1.5)], -5.5);
        let q4_0 = group(Packing::Q4_0, 37, 11, &[(0, SCALE)]);
        check(Packing::Q4_0, &q4_0, &[(0, -0.09375), (1, 0.0625), (15, -0.25), (16, -0.09375), (31, 0.0)], -0.65625);
        let q4_1 = group(Packing::Q4_1, 37, 11, &[(0, SCALE), (2, MINIMUM)]);
        let picks = [(0, 0.4921875), (1, 0.1484375), (15, 0.3359375), (16, 0.3046875), (31, 0.3984375)];
        check(Packing::Q4_1, &q4_1, &picks, 8.40625);
        let q4_k = group(Packing::Q4K, 37, 11, &[(0, SCALE), (2, MINIMUM)]);
        let picks = [
            (0, 9.4609375),
            (1, -1.1953125),
            (31, 4.6171875),
            (32, 0.0625),
            (63, 1.0625),
            (64, 12.6640625),
            (100, 2.703125),
            (128, 13.125),
            (160, 16.171875),
            (200, 4.1953125),
            (224, -0.2578125),
            (255, 1.2421875),
        ];
        check(Packing::Q4K, &q4_k, &picks, 1635.25);
        let q6_k = group(Packing::Q6K, 53, 7, &[(208, SCALE)]);
        let picks = [
            (0, -40.96875),
            (17, 2.5),
            (31, -0.25),
            (32, -13.78125),
            (63, -95.625),
            (64, 101.0),
            (100, -1.40625),
            (127, 30.8125),
            (128, 79.78125),
            (160, 10.96875),
            (200, -37.6875),
            (224, 46.6875),
            (255, -4.6875),
        ];
        check(Packing::Q6K, &q6_k, &picks, -58.875);
    }
}
