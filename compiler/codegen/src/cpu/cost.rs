//! When a product pays for being sparse, from measurements.
//!
//! A row of `TABLE` has the greatest share of numbers that are not zero, in percent, at which a sparse product is still the
//! faster one. AVX2: one thread of a Zen 3 core, square matrices of 256 to 4096 with a tenth of their numbers, taken as
//! linear in that share and rounded down. AVX-512: from figures of a Zen 4 core for the same forms written in another
//! language, without regard to size; not measured with these leaves.

use super::select::Isa;

struct Row {
    /// For at most so many rows of the left side.
    rows: i64,
    /// A dense right side of at most `NEAR` elements, which caches keep close.
    near: u32,
    /// A greater one.
    far: u32,
    avx512: u32,
}

const TABLE: [Row; 4] = [
    Row { rows: 1, near: 15, far: 50, avx512: 25 },
    Row { rows: 8, near: 30, far: 45, avx512: 35 },
    Row { rows: 16, near: 35, far: 45, avx512: 40 },
    Row { rows: i64::MAX, near: 35, far: 45, avx512: 40 },
];

/// Elements of 4 MiB.
const NEAR: usize = 1 << 20;

/// Fewer elements are not worth the bytes around them.
pub const LEAST: usize = 4096;

/// The greatest share of numbers that are not zero, in percent, that a product of `rows` rows with a right side of so many
/// elements is made sparse for; where `rows` is not known, the one that holds for all.
pub fn densest(rows: Option<i64>, elements: usize, isa: Isa) -> u32 {
    let limit = |row: &Row| match isa {
        Isa::Avx512 | Isa::Avx512Vnni => row.avx512,
        Isa::Avx2 | Isa::Avx2Vnni | Isa::Portable if elements <= NEAR => row.near,
        Isa::Avx2 | Isa::Avx2Vnni | Isa::Portable => row.far,
    };
    let all = || TABLE.iter().map(limit).min().expect("the table has rows");
    rows.and_then(|rows| TABLE.iter().find(|row| rows <= row.rows)).map_or_else(all, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_rows_count_as_the_least_favourable() {
        for elements in [LEAST, NEAR, NEAR + 1] {
            for isa in [Isa::Avx2, Isa::Avx512] {
                let unknown = densest(None, elements, isa);
                let known: Vec<u32> = [1, 5, 9, 33].map(|rows| densest(Some(rows), elements, isa)).to_vec();
                assert_eq!(Some(&unknown), known.iter().min(), "{known:?}");
            }
        }
        assert!(densest(Some(1), NEAR, Isa::Avx2) < densest(Some(1), NEAR + 1, Isa::Avx2));
    }
}
