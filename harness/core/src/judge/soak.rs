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

/// The soaks of a plan whose lifecycle never failed in processes of its own.
#[derive(Debug, Clone, Copy)]
pub struct SoakRuns<'a> {
    /// How many processes of their own passed.
    pub alone: u32,
    /// How many cycles a soak has.
    pub cycles: u32,
    /// Soaks that lived all their cycles.
    pub passed: u32,
    /// The cycle, from 1, in which each other soak failed; `None`: not known, the last at the latest.
    pub failed_in: &'a [Option<u32>],
}

impl SoakRuns<'_> {
    /// The cycles that were lived until the failures, and in soaks that passed: as many as it can be.
    fn lived(&self) -> f64 {
        let until = self.failed_in.iter().map(|cycle| f64::from(cycle.unwrap_or(self.cycles)));
        until.sum::<f64>() + f64::from(self.passed) * f64::from(self.cycles)
    }

    /// All soaks failed, each in the same cycle, which is not the first.
    fn fail_in_the_same_later_cycle(&self) -> bool {
        let first = self.failed_in.first().copied().flatten();
        let is_same = first.is_some() && self.failed_in.iter().all(|cycle| *cycle == first);
        is_same && first > Some(1) && self.passed == 0
    }
}

/// Judges soaks of which at least one failed.
///
/// Were both alike, all failures would fall among the soaks' cycles only by chance: with K cycles
/// lived there, `s` failures, and n lifecycles alone, `(K / (K + n))^s`. This is the conditional
/// test of two Poisson rates (J. Przyborowski and H. Wilenski, "Homogeneity of results in testing
/// samples from Poisson series", Biometrika 31 (1940), 313–323). A cycle that is not known counts
/// against the claim: K is then as large as it can be.
#[must_use]
pub fn judge_soak(runs: SoakRuns<'_>) -> SoakVerdict {
    let lived = runs.lived();
    let failures = f64::from(u32::try_from(runs.failed_in.len().max(1)).unwrap_or(u32::MAX));
    let by_chance = (lived / (lived + f64::from(runs.alone))).powf(failures);
    let is_regular = runs.fail_in_the_same_later_cycle()
        && runs.failed_in.len() >= SAME_CYCLE_SOAKS
        && runs.alone > 0;
    if by_chance <= ERROR_MAX || is_regular {
        return SoakVerdict::LeftOver;
    }
    let needed = lived * (ERROR_MAX.powf(-1.0 / failures) - 1.0);
    // A float beyond the range becomes the largest number.
    SoakVerdict::MayBeChance { runs: needed.ceil() as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Soaks of 50 cycles that all failed.
    fn failing(alone: u32, cycles: &[u32]) -> SoakVerdict {
        soaks(alone, 0, &cycles.iter().copied().map(Some).collect::<Vec<_>>())
    }

    fn soaks(alone: u32, passed: u32, failed_in: &[Option<u32>]) -> SoakVerdict {
        judge_soak(SoakRuns { alone, cycles: 50, passed, failed_in })
    }

    #[test]
    fn early_failures_beside_many_passes_are_no_chance() {
        assert_eq!(failing(20, &[2; 6]), SoakVerdict::LeftOver);
        // (2 / 42)^1: one soak alone decides where so many passed.
        assert_eq!(failing(40, &[2]), SoakVerdict::LeftOver);
        assert_eq!(failing(20, &[2, 5, 3]), SoakVerdict::LeftOver);
    }

    #[test]
    fn one_late_failure_may_be_chance_and_the_cost_is_told() {
        assert_eq!(failing(20, &[40]), SoakVerdict::MayBeChance { runs: 760 });
        assert_eq!(failing(760, &[40]), SoakVerdict::LeftOver);
        assert_eq!(failing(759, &[40]), SoakVerdict::MayBeChance { runs: 760 });
    }

    #[test]
    fn the_same_late_cycle_each_time_is_no_chance() {
        assert_eq!(failing(20, &[40; 6]), SoakVerdict::LeftOver);
        assert!(matches!(failing(20, &[40; 2]), SoakVerdict::MayBeChance { .. }));
        assert!(matches!(failing(20, &[40, 39, 40]), SoakVerdict::MayBeChance { .. }));
    }

    #[test]
    fn the_same_late_cycle_is_no_rule_where_a_soak_passed_or_a_cycle_is_not_known() {
        assert_eq!(soaks(20, 0, &[Some(40); 5]), SoakVerdict::LeftOver);
        assert!(matches!(soaks(20, 1, &[Some(40); 5]), SoakVerdict::MayBeChance { .. }));
        let one_unknown = [Some(40), Some(40), Some(40), None];
        assert!(matches!(soaks(20, 0, &one_unknown), SoakVerdict::MayBeChance { .. }));
        assert!(matches!(soaks(20, 0, &[None; 5]), SoakVerdict::MayBeChance { .. }));
    }

    #[test]
    fn soaks_that_passed_and_unknown_cycles_count_as_lived_to_the_end() {
        // 2 cycles lived, and 2 + 50.
        assert_eq!(soaks(40, 0, &[Some(2)]), SoakVerdict::LeftOver);
        assert_eq!(soaks(40, 1, &[Some(2)]), SoakVerdict::MayBeChance { runs: 988 });
        assert_eq!(soaks(988, 1, &[Some(2)]), SoakVerdict::LeftOver);
        assert_eq!(soaks(20, 0, &[None]), SoakVerdict::MayBeChance { runs: 950 });
    }

    #[test]
    fn the_first_cycle_never_counts_as_late_and_nothing_is_claimed_without_passes() {
        assert!(matches!(failing(1, &[1; 3]), SoakVerdict::MayBeChance { .. }));
        assert!(matches!(failing(0, &[7; 9]), SoakVerdict::MayBeChance { .. }));
    }
}
