//! Whether a failure that shows in a soak alone tells of state that is left over from earlier
//! cycles, or may be the chance that one lifecycle in many fails.
//!
//! Deliberately absent: making more runs until it is decided; what that would cost is told.

/// How sure the claim must be: the chance of a wrong one is at most this.
const ERROR_MAX: f64 = 0.05;
/// So many soaks that all fail in the same later cycle decide alone: were each cycle to fail by
/// chance, in whatever share p of cases, three would do so with at most
/// `max over p of the sum over k ≥ 2 of (p (1 - p)^(k - 1))^3` = 0.018.
const SAME_CYCLE_SOAKS: usize = 3;

/// What a soak that failed tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoakVerdict {
    /// State is left over from earlier cycles.
    LeftOver,
    /// It may be chance: so many runs in processes of their own would tell, if all of them pass.
    MayBeChance {
        /// How many.
        runs: u32,
    },
}

/// Judges soaks that failed in these cycles (from 1) of a plan that passed `alone` times in
/// processes of its own and never failed there.
///
/// Were both alike, all failures would fall among the soaks' cycles only by chance: with K cycles
/// lived there until `s` failures, and n lifecycles alone, `(K / (K + n))^s`. This is the
/// conditional test of two Poisson rates (J. Przyborowski and H. Wilenski, "Homogeneity of results
/// in testing samples from Poisson series", Biometrika 31 (1940), 313–323).
#[must_use]
pub fn judge_soak(alone: u32, failed_in: &[u32]) -> SoakVerdict {
    let lived: f64 = failed_in.iter().map(|cycle| f64::from(*cycle)).sum();
    let failures = f64::from(u32::try_from(failed_in.len().max(1)).unwrap_or(u32::MAX));
    let by_chance = (lived / (lived + f64::from(alone))).powf(failures);
    let first = failed_in.first().copied().unwrap_or(0);
    let same_and_late = first > 1 && failed_in.iter().all(|cycle| *cycle == first);
    let is_regular = same_and_late && failed_in.len() >= SAME_CYCLE_SOAKS && alone > 0;
    if by_chance <= ERROR_MAX || is_regular {
        return SoakVerdict::LeftOver;
    }
    let runs = lived * (ERROR_MAX.powf(-1.0 / failures) - 1.0);
    // A float beyond the range becomes the largest number.
    SoakVerdict::MayBeChance { runs: runs.ceil() as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_failures_beside_many_passes_are_no_chance() {
        assert_eq!(judge_soak(20, &[2; 6]), SoakVerdict::LeftOver);
        // (2 / 42)^1: one soak alone decides where so many passed.
        assert_eq!(judge_soak(40, &[2]), SoakVerdict::LeftOver);
        assert_eq!(judge_soak(20, &[2, 5, 3]), SoakVerdict::LeftOver);
    }

    #[test]
    fn one_late_failure_may_be_chance_and_the_cost_is_told() {
        assert_eq!(judge_soak(20, &[40]), SoakVerdict::MayBeChance { runs: 760 });
        assert_eq!(judge_soak(760, &[40]), SoakVerdict::LeftOver);
        assert_eq!(judge_soak(759, &[40]), SoakVerdict::MayBeChance { runs: 760 });
    }

    #[test]
    fn the_same_late_cycle_each_time_is_no_chance() {
        assert_eq!(judge_soak(20, &[40; 6]), SoakVerdict::LeftOver);
        assert!(matches!(judge_soak(20, &[40; 2]), SoakVerdict::MayBeChance { .. }));
        assert!(matches!(judge_soak(20, &[40, 39, 40]), SoakVerdict::MayBeChance { .. }));
    }

    #[test]
    fn the_first_cycle_never_counts_as_late_and_nothing_is_claimed_without_passes() {
        assert!(matches!(judge_soak(1, &[1; 3]), SoakVerdict::MayBeChance { .. }));
        assert!(matches!(judge_soak(0, &[7; 9]), SoakVerdict::MayBeChance { .. }));
    }
}
