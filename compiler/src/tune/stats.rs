//! Statistics: intervals of shares and of anything that can be drawn again, ranks and cosines.
//!
//! Invariant: what is drawn comes from fixed seeds, so that the same data gives the same interval.

/// Where a figure lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Not less.
    pub low: f64,
    /// Not more.
    pub high: f64,
}

/// How often data is drawn again.
const DRAWS: usize = 1000;
/// The share of cases on either side of an interval.
const TAIL: f64 = 0.025;

/// The interval of a share of which `right` in `count` were seen (C. J. Clopper and E. S. Pearson, 1934): at its ends such
/// a count, or one further away, has a chance of 2.5 %.
pub(super) fn share(right: usize, count: usize) -> Option<Interval> {
    if count == 0 {
        return None;
    }
    let low = if right == 0 { 0.0 } else { bisect(|p| 1.0 - at_most(right - 1, count, p) < TAIL) };
    let high = if right == count { 1.0 } else { bisect(|p| at_most(right, count, p) > TAIL) };
    Some(Interval { low, high })
}

/// The chance of at most `right` of `count` where each has chance `p`: the binomial distribution, summed from its largest
/// term outwards.
pub(super) fn at_most(right: usize, count: usize, p: f64) -> f64 {
    if p <= 0.0 || right >= count {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    let peak = ((count as f64 * p) as usize).min(right);
    let term = |k: usize| {
        let (n, k) = (count as f64, k as f64);
        ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) + k * p.ln() + (n - k) * (-p).ln_1p()
    };
    let odds = p / (1.0 - p);
    let first = term(peak).exp();
    let (mut total, mut chance) = (first, first);
    for k in (1..=peak).rev() {
        chance *= k as f64 / ((count - k + 1) as f64 * odds);
        total += chance;
        if chance < total * 1e-17 {
            break;
        }
    }
    chance = first;
    for k in peak + 1..=right {
        chance *= (count - k + 1) as f64 * odds / k as f64;
        total += chance;
        if chance < total * 1e-17 {
            break;
        }
    }
    total.min(1.0)
}

/// ln n!, exact sums up to 255, then Stirling's series, whose error is below 1e-13 there.
fn ln_factorial(n: f64) -> f64 {
    if n < 256.0 {
        return (2..=n as u64).map(|i| (i as f64).ln()).sum();
    }
    let ln = n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln();
    ln + 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3))
}

/// The greatest number of 0..=1 where `holds`, which holds below it.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if holds(middle) { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The chance of a normal number below `x`, by the trapezium rule from far out.
fn normal(x: f64) -> f64 {
    const STEPS: usize = 2000;
    let (low, width) = (-10.0, (x + 10.0) / STEPS as f64);
    let density = |i: usize| {
        let at = low + width * i as f64;
        (-at * at / 2.0).exp() / std::f64::consts::TAU.sqrt()
    };
    let inner: f64 = (1..STEPS).map(density).sum();
    width * (inner + (density(0) + density(STEPS)) / 2.0)
}

/// Below which a normal number is with this chance.
pub(super) fn normal_quantile(chance: f64) -> f64 {
    bisect(|share| normal(share * 16.0 - 8.0) < chance) * 16.0 - 8.0
}

/// Numbers that look drawn (S. Vigna's splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Draw(pub(super) u64);

impl Draw {
    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * bound as u128) >> 64) as usize
    }
}

/// The figures of samples drawn again with replacement, sorted (B. Efron, 1979). Figures that are no number sort last.
pub(super) fn redrawn(count: usize, figure: &dyn Fn(&[usize]) -> f64) -> Vec<f64> {
    let (mut draw, mut drawn) = (Draw(1), vec![0; count]);
    let mut figures: Vec<f64> = (0..DRAWS)
        .map(|_| {
            drawn.iter_mut().for_each(|place| *place = draw.below(count));
            figure(&drawn)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// The interval of a figure of samples, from the percentiles of redrawn ones; `None` below ten samples.
pub(super) fn bootstrap(count: usize, figure: &dyn Fn(&[usize]) -> f64) -> Option<Interval> {
    if count < 10 {
        return None;
    }
    let figures = redrawn(count, figure);
    let at = |share: f64| figures[((DRAWS - 1) as f64 * share).round() as usize];
    Some(Interval { low: at(TAIL), high: at(1.0 - TAIL) })
}

/// 0 where one of the two is 0.
pub(super) fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// The correlation of the ranks; equal numbers share the mean of theirs.
pub(super) fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let a = ranks(pairs.iter().map(|(a, _)| *a).collect());
    let b = ranks(pairs.iter().map(|(_, b)| *b).collect());
    let mean = (pairs.len() as f64 - 1.0) / 2.0;
    let centred = |ranks: Vec<f64>| ranks.into_iter().map(|rank| rank - mean).collect::<Vec<f64>>();
    cosine(&centred(a), &centred(b))
}

fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let equal = order[start..].iter().take_while(|i| values[**i] == values[order[start]]).count().max(1);
        let shared = start as f64 + (equal as f64 - 1.0) / 2.0;
        order[start..start + equal].iter().for_each(|i| ranks[*i] = shared);
        start += equal;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::{at_most, bootstrap, ranks, share, spearman};

    #[test]
    fn equal_numbers_share_their_rank() {
        assert_eq!(ranks(vec![3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
    }

    #[test]
    fn correlation_of_ranks_is_scipys() {
        let pairs: Vec<(f64, f64)> = [0.1, 0.4, 0.35, 0.8, 0.8].into_iter().zip([1.0, 2.0, 3.0, 5.0, 4.0]).collect();
        // scipy.stats.spearmanr
        assert!((spearman(&pairs) - 0.872_081_599_272_381).abs() < 1e-12);
        let reversed: Vec<(f64, f64)> = (0..5).map(|i| (f64::from(i), f64::from(-i))).collect();
        assert!((spearman(&reversed) + 1.0).abs() < 1e-12);
    }

    #[test]
    fn intervals_of_shares_are_exact() {
        // Closed forms: nothing of n, and all of n, at (0.025)^(1/n); half of two from a quadratic.
        let none = share(0, 10).expect("ten samples");
        assert!(none.low == 0.0 && (none.high - (1.0 - 0.025f64.powf(0.1))).abs() < 1e-9);
        let all = share(10, 10).expect("ten samples");
        assert!(all.high == 1.0 && (all.low - 0.025f64.powf(0.1)).abs() < 1e-9);
        let half = share(1, 2).expect("two samples");
        assert!((half.low - (1.0 - 0.975f64.sqrt())).abs() < 1e-9 && (half.high - 0.975f64.sqrt()).abs() < 1e-9);
        assert_eq!(share(0, 0), None);
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        assert!((super::normal_quantile(0.95) - 1.644_854).abs() < 1e-5);
        assert!((super::normal_quantile(0.5)).abs() < 1e-5);
    }

    #[test]
    fn the_binomial_sums_to_one_and_is_symmetric() {
        for (right, count, p) in [(3, 10, 0.3), (700, 1000, 0.72), (8789, 10000, 0.88)] {
            let other = at_most(count - right - 1, count, 1.0 - p);
            assert!((at_most(right, count, p) + other - 1.0).abs() < 1e-9, "{right} of {count}");
        }
        assert!((at_most(1, 3, 0.5) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn a_mean_lies_in_its_interval_and_the_interval_narrows() {
        let width = |count: usize| {
            let x: Vec<f64> = (0..count).map(|i| (i % 7) as f64).collect();
            let mean = |drawn: &[usize]| drawn.iter().map(|i| x[*i]).sum::<f64>() / drawn.len() as f64;
            let all: Vec<usize> = (0..count).collect();
            let found = bootstrap(count, &mean).expect("enough samples");
            assert!(found.low < mean(&all) && mean(&all) < found.high);
            found.high - found.low
        };
        assert!(width(2800) < width(280) / 2.0);
        assert_eq!(bootstrap(9, &|_| 0.0), None);
    }
}
