//! How sure a rate is.
//!
//! Deliberately absent: tests of hypotheses; an interval informs people, it decides nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An interval of a rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Lower end, 0 to 1.
    pub low: f64,
    /// Upper end, 0 to 1.
    pub high: f64,
    /// `wilson-95`.
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
}
