//! Which plans tell nothing by passing: a known failure is gone only where every plan that may show
//! it was run, and watched as closely as its scenario says.
//!
//! Deliberately absent: counting passes (`hotfire-core`'s judge).

use std::collections::BTreeSet;

use hotfire_core::campaign::Subject;
use hotfire_core::judge::Unproven;
use hotfire_plan::plan_id;
use hotfire_plan::scenario::{Census, Limits, Scenario};

use crate::args::{SharedArgs, Trace};
use crate::scenarios::{self, Loaded, Scenarios};
use crate::subjects::PLAN_NAME;

/// A scenario's name and a plan's id.
type Key = (String, String);

const NOT_RUN: &str = "not all plans that it names were run";
const OTHER_ENGINE: &str = "--engine takes other settings than its scenario";
const UNTRACED: &str = "without ptrace it may not show";
const NO_LEDGER: &str = "without the ledger it may not show";
const NO_CENSUS: &str = "without the census it may not show";
const LATE_BEAT: &str = "with this --beat it may not show";

/// The plans of an invocation, and those beside them, whose passes tell nothing. `filters` are those
/// that chose the subjects; `shared` has what their runs are watched with.
pub(crate) fn unproven(
    subjects: &[Subject],
    shared: &SharedArgs,
    filters: &[String],
) -> Vec<Unproven> {
    let Scenarios { loaded, left_out } = scenarios::around(filters);
    let unread = left_out.into_iter().map(|scenario| Unproven {
        scenario,
        id: String::new(),
        why: NOT_RUN.to_owned(),
    });
    let key = |subject: &Subject| (subject.scenario.clone(), plan_id(&subject.plan));
    let keys: BTreeSet<Key> = subjects.iter().map(key).collect();
    let beside = loaded.iter().flat_map(|one| not_run(&one.scenario, &keys));
    let run = subjects.iter().filter_map(|subject| {
        let why = weakness(subject, shared, &loaded)?.to_owned();
        let (scenario, id) = key(subject);
        Some(Unproven { scenario, id, why })
    });
    // How a plan was run says more than which others were not.
    run.chain(beside).chain(unread).collect()
}

/// The scenario's plans that are not run.
fn not_run(scenario: &Scenario, run: &BTreeSet<Key>) -> Vec<Unproven> {
    let plans = scenario.plans.iter().map(|plan| plan.plan.with_engine(&scenario.engine));
    let keys = plans.map(|plan| (scenario.name.clone(), plan_id(&plan)));
    let missing = keys.filter(|key| !run.contains(key));
    missing.map(|(scenario, id)| Unproven { scenario, id, why: NOT_RUN.to_owned() }).collect()
}

/// How the subject is watched less closely than failures of it are accepted.
fn weakness(subject: &Subject, shared: &SharedArgs, loaded: &[Loaded]) -> Option<&'static str> {
    if shared.trace == Some(Trace::Off) {
        return Some(UNTRACED);
    }
    if shared.no_ledger {
        return Some(NO_LEDGER);
    }
    let scenario =
        loaded.iter().map(|one| &one.scenario).find(|scenario| scenario.name == subject.scenario);
    let (census, limits) = match scenario {
        Some(scenario) if scenario.engine != subject.engine => return Some(OTHER_ENGINE),
        Some(scenario) => (scenario.census, scenario.limits),
        None if subject.scenario == PLAN_NAME => (Census::default(), Limits::default()),
        // A kept finding of a scenario that is not here: its other plans are not known.
        None => return Some(NOT_RUN),
    };
    let is_late = subject.limits.beat_ms == 0 || subject.limits.beat_ms > limits.beat_ms;
    match (subject.census, census) {
        (Census::Off, Census::Ends | Census::Steps) => Some(NO_CENSUS),
        _ => (limits.beat_ms > 0 && is_late).then_some(LATE_BEAT),
    }
}
