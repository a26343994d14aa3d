//! A robust straight line through a series: one-time steps and single outliers do not bend it.
//!
//! Deliberately absent: what the numbers mean, and whether a slope is a leak (`growth.rs`).

/// A slope with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    /// Units per step of x.
    pub(crate) slope: f64,
    /// Lower end of the 95 % interval.
    pub(crate) low: f64,
    /// Upper end of the 95 % interval.
    pub(crate) high: f64,
}

/// The 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The median of the slopes between all pairs of points, with its interval at 95 %. `None` with
/// fewer than eight points, for which the interval's normal approximation is too coarse.
///
/// P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", J. American
/// Statistical Association 63 (1968), 1379-1389; without his correction for ties, which makes the
/// interval wider, never narrower.
pub(crate) fn theil_sen(points: &[(f64, f64)]) -> Option<Trend> {
    if points.len() < 8 {
        return None;
    }
    let mut slopes: Vec<f64> = Vec::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let later = points.iter().skip(index + 1).filter(|(other, _)| other > x);
        slopes.extend(later.map(|(other_x, other_y)| (other_y - y) / (other_x - x)));
    }
    slopes.sort_by(f64::total_cmp);
    let n = f64::from(u32::try_from(points.len()).ok()?);
    let pairs = f64::from(u32::try_from(slopes.len()).ok()?);
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    Some(Trend {
        slope: at(&slopes, (pairs - 1.0) / 2.0)?,
        low: at(&slopes, ((pairs - spread) / 2.0 - 1.0).floor())?,
        high: at(&slopes, ((pairs + spread) / 2.0).ceil())?,
    })
}

/// The value at a rank of a sorted list, from 0, between two neighbours their mean; ranks beyond
/// the ends are those of the ends.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rank is clamped to the indices of a list in memory"
)]
fn at(sorted: &[f64], rank: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let pick = |rank: f64| sorted.get((rank.max(0.0) as usize).min(last)).copied();
    Some(f64::midpoint(pick(rank.floor())?, pick(rank.ceil())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(values: &[f64]) -> Trend {
        let points: Vec<(f64, f64)> = (0u32..).map(f64::from).zip(values.iter().copied()).collect();
        theil_sen(&points).unwrap()
    }

    #[test]
    fn a_line_has_its_own_slope_exactly() {
        let values: Vec<f64> = (0..20).map(|x| 3.0 + 2.0 * f64::from(x)).collect();
        assert_eq!(trend(&values), Trend { slope: 2.0, low: 2.0, high: 2.0 });
    }

    #[test]
    fn outliers_and_a_step_do_not_bend_it() {
        let mut values = [5.0; 20];
        values[7] = 500.0;
        values[13] = -90.0;
        assert_eq!(trend(&values).slope, 0.0);
        let step: Vec<f64> = (0..20).map(|x| if x < 2 { 1.0 } else { 9.0 }).collect();
        let trend = trend(&step);
        assert_eq!((trend.slope, trend.low), (0.0, 0.0));
    }

    #[test]
    fn the_interval_of_noise_holds_zero() {
        // A fixed sequence without a trend.
        let values: Vec<f64> = (0u32..40).map(|x| f64::from(x * 7919 % 101)).collect();
        let trend = trend(&values);
        assert!(trend.low < 0.0 && trend.high > 0.0, "{trend:?}");
    }

    #[test]
    fn few_points_say_nothing() {
        assert_eq!(theil_sen(&[(0.0, 0.0); 7]), None);
        assert_eq!(theil_sen(&[(1.0, 0.0); 9]), None, "one x has no slope");
    }
}
