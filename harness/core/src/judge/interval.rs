//! How sure a rate is: an interval for people (Wilson), one for gates (Clopper-Pearson), and how
//! many passes prove a failure gone.
//!
//! Deliberately absent: sequential tests, which are a campaign's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An interval of a rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Lower end, 0 to 1.
    pub low: f64,
    /// Upper end, 0 to 1.
    pub high: f64,
    /// `wilson-95` or `clopper-pearson-95`.
    pub method: String,
}

/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The Wilson score interval at 95 % for `failed` of `of` runs. Without runs: 0 to 1.
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
/// J. American Statistical Association 22 (1927), 209–212.
#[must_use]
pub fn wilson(failed: u32, of: u32) -> Rate {
    let method = "wilson-95".to_owned();
    if of == 0 {
        return Rate { low: 0.0, high: 1.0, method };
    }
    let n = f64::from(of);
    let p = f64::from(failed.min(of)) / n;
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the formula gives 0 and 1 but for rounding.
    let low = if failed == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if failed >= of { 1.0 } else { (centre + half).min(1.0) };
    Rate { low, high, method }
}

/// Half of the error that the Clopper-Pearson interval allows at each end.
const TAIL: f64 = 0.025;
/// Halvings of [0, 1] that a bound is sought with: 1e-12 is finer than anybody reads.
const HALVINGS: u32 = 40;

/// The Clopper-Pearson interval at 95 % for `failed` of `of` runs: whatever the true rate, each
/// end is wrong in at most 2.5 % of all cases, so that a gate may decide by it.
///
/// C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the
/// case of the binomial", Biometrika 26 (1934), 404–413. Without runs: 0 to 1.
#[must_use]
pub fn clopper_pearson(failed: u32, of: u32) -> Rate {
    let failed = failed.min(of);
    Rate {
        low: lower_bound(failed, of),
        high: 1.0 - lower_bound(of - failed, of),
        method: "clopper-pearson-95".to_owned(),
    }
}

/// The rate at which so many failures or more are seen with a probability of [`TAIL`].
fn lower_bound(failed: u32, of: u32) -> f64 {
    if failed == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if at_least(failed, of, middle) < TAIL { low = middle } else { high = middle }
    }
    low
}

/// The probability of `failed` failures or more in `of` runs at a rate between 0 and 1.
fn at_least(failed: u32, of: u32, rate: f64) -> f64 {
    let (n, odds) = (f64::from(of), (rate / (1.0 - rate)).ln());
    // The logarithm of each term from the one before; terms of large samples are too small for
    // plain numbers.
    let mut term = n * (1.0 - rate).ln();
    let mut sum = 0.0;
    for k in 0..=of {
        if k >= failed {
            sum += term.exp();
        }
        let k = f64::from(k);
        term += ((n - k) / (k + 1.0)).ln() + odds;
    }
    sum.min(1.0)
}

/// The most passes that a failure of a given rate survives in 1 of 20 cases: [`passes_needed`].
const SURVIVAL: f64 = 0.05;
/// So many passes prove nothing more.
const PASSES_MAX: f64 = 1e6;

/// How many passes in a row say that a failure which showed in at least `rate` of runs is gone:
/// the smallest n with (1 − rate)ⁿ ≤ 5 %. `rate` lies above 0 and is at most 1.
#[must_use]
pub fn passes_needed(rate: f64) -> u32 {
    if rate >= 1.0 {
        return 1;
    }
    let passes = (SURVIVAL.ln() / (1.0 - rate).ln()).ceil();
    let passes = if passes.is_finite() { passes.clamp(1.0, PASSES_MAX) } else { PASSES_MAX };
    passes as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_interval(failed: u32, of: u32, low: f64, high: f64) {
        let rate = wilson(failed, of);
        assert!((rate.low - low).abs() < 5e-5, "{failed} of {of}: low is {}", rate.low);
        assert!((rate.high - high).abs() < 5e-5, "{failed} of {of}: high is {}", rate.high);
    }

    #[test]
    fn known_values() {
        // R. G. Newcombe, "Two-sided confidence intervals for the single proportion",
        // Statistics in Medicine 17 (1998), table I, method 3 (score without continuity correction).
        assert_interval(81, 263, 0.2553, 0.3662);
        assert_interval(15, 148, 0.0624, 0.1605);
        assert_interval(0, 20, 0.0, 0.1611);
        assert_interval(1, 29, 0.0061, 0.1718);
        assert_interval(29, 29, 0.8830, 1.0);
    }

    #[test]
    fn ends_are_exact_and_nothing_known_is_said() {
        assert_eq!(wilson(0, 5).low.to_bits(), 0.0_f64.to_bits());
        assert_eq!(wilson(5, 5).high.to_bits(), 1.0_f64.to_bits());
        assert_eq!((wilson(0, 0).low, wilson(0, 0).high), (0.0, 1.0));
        assert!(wilson(10, 10).low > 0.72 && wilson(10, 10).low < 0.73);
    }

    #[test]
    fn exact_bounds_are_those_of_the_tables() {
        // R: binom.test(failed, of)$conf.int
        for (failed, of, low, high) in [
            (5, 5, 0.4782, 1.0),
            (0, 10, 0.0, 0.3085),
            (1, 10, 0.0025, 0.4450),
            (9, 10, 0.5550, 0.9975),
            (3, 20, 0.0321, 0.3789),
            (81, 263, 0.2527, 0.3676),
        ] {
            let rate = clopper_pearson(failed, of);
            assert!((rate.low - low).abs() < 5e-5, "{failed} of {of}: low is {}", rate.low);
            assert!((rate.high - high).abs() < 5e-5, "{failed} of {of}: high is {}", rate.high);
        }
        assert_eq!((clopper_pearson(0, 0).low, clopper_pearson(0, 0).high), (0.0, 1.0));
        let large = clopper_pearson(50_000, 100_000);
        assert!(large.low > 0.496 && large.high < 0.504, "{large:?}");
    }

    #[test]
    fn passes_that_prove_a_failure_gone() {
        for (rate, passes) in [(1.0, 1), (0.5, 5), (0.3, 9), (0.1, 29), (0.05, 59), (0.01, 299)] {
            assert_eq!(passes_needed(rate), passes, "{rate}");
        }
        assert_eq!(passes_needed(1e-300), 1_000_000);
    }
}
