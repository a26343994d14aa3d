//! A fixture's case: run it in one launch mode, prove that it left nothing and hurt nobody, then
//! check what was seen. [`fixtures`] makes two tests of each case, one per mode.
//!
//! Deliberately absent: repeats. A fixture is deterministic, or its check allows what may be.

use std::time::Duration;

use hotfire_core::observe::{Crash, DescendantEnd, Ending, LaunchMode, Observation, SignalInfo};
use hotfire_plan::scenario::Limits;

use super::stand::{LIMITS, Stand};

/// What to run, under which limits, and how soon it must be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    plan: &'static str,
    limits: Limits,
    within: Duration,
    /// The next run of the same worker must be of the same mode (a fixture that ends its
    /// forkserver makes the worker fall back, and say so).
    keeps_mode: bool,
}

/// A case with far limits that must be over within four seconds (the machine may be busy).
pub(crate) const fn run(plan: &'static str) -> Case {
    Case { plan, limits: LIMITS, within: Duration::from_secs(4), keeps_mode: true }
}

impl Case {
    pub(crate) const fn run_ms(mut self, run_ms: u64) -> Self {
        self.limits.run_ms = run_ms;
        self
    }

    pub(crate) const fn step_ms(mut self, step_ms: u64) -> Self {
        self.limits.step_ms = step_ms;
        self
    }

    pub(crate) const fn exit_ms(mut self, exit_ms: u64) -> Self {
        self.limits.exit_ms = exit_ms;
        self
    }

    pub(crate) const fn processes(mut self, processes: u32) -> Self {
        self.limits.processes = processes;
        self
    }

    pub(crate) const fn within_ms(mut self, within_ms: u64) -> Self {
        self.within = Duration::from_millis(within_ms);
        self
    }

    pub(crate) const fn ends_its_maker(mut self) -> Self {
        self.keeps_mode = false;
        self
    }

    pub(crate) fn prove(self, mode: LaunchMode, check: fn(&Observation)) {
        let stand = Stand::new();
        let mut job = stand.job(1, self.plan, mode);
        job.limits = self.limits;
        let jobs = vec![job, stand.job(2, "exit 0", mode)];
        let seen = stand.run(stand.pool(1), jobs);
        let [first, second] = seen.as_slice() else { unreachable!("the stand counts") };
        let observation = &first.observation;
        assert_eq!((observation.mode, &observation.mode_note), (mode, &None), "{observation:#?}");
        assert_eq!(observation.soft_errors, Vec::<String>::new());
        check(observation);
        assert!(first.took < self.within, "it took {:?}", first.took);
        self.assert_unharmed(&second.observation, mode);
    }

    /// The worker is as good as new: the next run shows nothing of this one.
    fn assert_unharmed(self, next: &Observation, mode: LaunchMode) {
        assert_eq!(next.ending, Ending::Exited(0), "{next:#?}");
        assert!(next.crash.is_none() && next.stall.is_none(), "{next:#?}");
        assert!(next.descendants.is_empty() && next.soft_errors.is_empty(), "{next:#?}");
        assert_eq!(next.output.stdout.bytes + next.output.stderr.bytes, 0, "{next:#?}");
        assert!(!self.keeps_mode || next.mode == mode, "{next:#?}");
    }
}

/// Names cases and makes of each a module with the tests `spawn` and `fork`.
macro_rules! fixtures {
    ($($name:ident: $case:expr => $check:expr;)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn spawn() {
                ($case).prove(LaunchMode::Spawn, $check);
            }

            #[test]
            fn fork() {
                ($case).prove(LaunchMode::Fork, $check);
            }
        })*

        /// The fixtures that are run here.
        pub(crate) fn plans() -> Vec<&'static str> {
            vec![$(($case).plan()),*]
        }
    };
}
pub(crate) use fixtures;

impl Case {
    pub(crate) fn plan(self) -> &'static str {
        self.plan
    }
}

/// The crash, of the child itself.
pub(crate) fn crash_of_child(observation: &Observation, signal: i32) -> (&Crash, &SignalInfo) {
    assert_eq!(observation.ending, Ending::Signaled(signal), "{observation:#?}");
    assert!(observation.stall.is_none(), "{observation:#?}");
    let crash = observation.crash.as_ref().unwrap_or_else(|| panic!("{observation:#?}"));
    assert!(crash.victim.is_child && crash.signal == signal, "{crash:#?}");
    let info = crash.siginfo.known().expect("ptrace gives it");
    (crash, info)
}

/// It ended with a status, and nothing was wrong with it.
pub(crate) fn assert_exited(observation: &Observation, status: i32) {
    assert_eq!(observation.ending, Ending::Exited(status), "{observation:#?}");
    assert!(observation.crash.is_none() && observation.stall.is_none(), "{observation:#?}");
}

/// How the descendants ended, in the order of their birth.
pub(crate) fn ends(observation: &Observation) -> Vec<&DescendantEnd> {
    observation.descendants.iter().map(|descendant| &descendant.end).collect()
}
