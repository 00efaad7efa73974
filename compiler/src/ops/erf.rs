//! The error function, which Rust's floats lack.

use std::f64::consts::FRAC_2_SQRT_PI;

/// `2/√π ∫₀ˣ exp(-t²) dt` by the series of positive terms `Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!` (Abramowitz and Stegun 7.1.6), to a few
/// units in the last place.
pub(super) fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while (sum + term) != sum {
        n += 2.0;
        term *= 2.0 * x * x / n;
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
