//! What a campaign runs: a plan with its engine, limits and expectation; and the settings that
//! hold for all.

use std::collections::BTreeSet;

use hotfire_plan::model::Operation;
use hotfire_plan::scenario::{Census, Expectation, Limits};
use hotfire_plan::{EngineSpec, Item, Plan, plan_id};
use serde::{Deserialize, Serialize};

use crate::judge::{Baseline, PlanName};
use crate::observe::LaunchMode;
use crate::supervise::{HostProgram, Job};

/// What the place of a scenario begins with that is built into the command and in no file.
pub const BUILT_IN: &str = "built-in ";

/// One plan to be run and judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The scenario's name; `plan` for one from the command line.
    pub scenario: String,
    /// The scenario's file and line, where it has one.
    pub place: Option<(String, u32)>,
    /// The engine, for people.
    pub engine: EngineSpec,
    /// The plan, engines filled in.
    pub plan: Plan,
    /// Limits of each run.
    pub limits: Limits,
    /// When the processes' possessions are counted.
    pub census: Census,
    /// What is expected.
    pub expect: Expectation,
    /// How many runs.
    pub runs: u32,
}

impl Subject {
    /// What the baseline calls it by; `id` is its plan's.
    #[must_use]
    pub fn name<'a>(&'a self, id: &'a str) -> PlanName<'a> {
        PlanName { scenario: &self.scenario, id }
    }
}

/// How runs are watched: what it was when a finding showed belongs to seeing it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// Whether runs are traced; see [`Job::traced`].
    pub traced: bool,
    /// Whether engines may report to the ledger.
    pub ledger: bool,
}

impl Default for Watching {
    fn default() -> Self {
        Self { traced: true, ledger: true }
    }
}

/// Settings of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The seed of all runs.
    pub seed: u64,
    /// How children are made; `None`: forked where every engine is linked in, else spawned.
    pub mode: Option<LaunchMode>,
    /// How runs are watched.
    pub watching: Watching,
    /// The failures that are known.
    pub baseline: Baseline,
    /// How often a failing plan is repeated in fresh processes.
    pub confirmations: u32,
    /// Whether the facts of each plan's first run are kept, though it shows nothing.
    pub keep_first: bool,
    /// The program that hosts engines.
    pub host_program: String,
    /// The environment of every child, `K=V`.
    pub environment: Vec<String>,
    /// Engine kinds that are linked into the host: a forkserver needs no libraries for them.
    pub linked_kinds: Vec<String>,
}

impl Settings {
    /// The job for one run of a subject.
    #[must_use]
    pub fn job(&self, subject: &Subject, id: u64, run: u32, mode: LaunchMode) -> Job {
        let own = subject.plan.env.iter().map(|(key, value)| format!("{key}={value}"));
        Job {
            id,
            host: HostProgram {
                program: self.host_program.clone(),
                arguments: vec![self.host_program.clone(), "__host".to_owned()],
                environment: self.environment.iter().cloned().chain(own).collect(),
                prepare: kinds(&subject.plan).into_iter().collect(),
            },
            plan: subject.plan.to_string(),
            mode,
            traced: self.watching.traced,
            seed: mix(self.seed, u64::from(run)),
            ledger: self.watching.ledger,
            census: subject.census,
            limits: subject.limits,
        }
    }

    /// How the first runs of a subject are made. A plan with an environment of its own needs a
    /// fresh process: libraries read it when they are loaded. An untraced one does, too: the
    /// forkserver's children could not be waited for. Of a plan that the baseline names a rate is
    /// told, which only fresh processes give.
    #[must_use]
    pub fn mode_for(&self, subject: &Subject) -> LaunchMode {
        let linked = kinds(&subject.plan).iter().all(|kind| self.linked_kinds.contains(kind));
        match self.mode {
            _ if !subject.plan.env.is_empty() || !self.watching.traced => LaunchMode::Spawn,
            Some(mode) => mode,
            None if self.is_named(subject) => LaunchMode::Spawn,
            None if linked => LaunchMode::Fork,
            None => LaunchMode::Spawn,
        }
    }
}

impl Settings {
    fn is_named(&self, subject: &Subject) -> bool {
        // Most projects have no baseline; a plan's id costs a hash.
        !self.baseline.entries.is_empty() && {
            let id = plan_id(&subject.plan);
            self.baseline.naming(subject.name(&id)).next().is_some()
        }
    }
}

/// The engine kinds that a plan makes.
#[must_use]
pub fn kinds(plan: &Plan) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    plan.items.iter().for_each(|item| collect(item, &mut found));
    found
}

fn collect(item: &Item, found: &mut BTreeSet<String>) {
    match item {
        Item::Step(step) => {
            let makes = matches!(step.operation, Operation::Create | Operation::Swap);
            if let Some(spec) = step.engine.as_ref().filter(|_| makes) {
                found.insert(spec.kind.clone());
            }
        }
        Item::Lanes(lanes) => lanes.iter().flatten().for_each(|item| collect(item, found)),
        Item::Repeat { body, .. } | Item::UntilJoined(body) => {
            body.iter().for_each(|item| collect(item, found));
        }
        Item::Pause { .. } | Item::Order(_) => {}
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// OOPSLA 2014) over the seed and a counter.
fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        Subject {
            scenario: "plan".into(),
            place: None,
            engine: EngineSpec { kind: "one".into(), args: Default::default() },
            plan: Plan::parse(text).unwrap(),
            limits: Limits::default(),
            census: Census::default(),
            expect: Expectation::Pass,
            runs: 1,
        }
    }

    fn settings(mode: Option<LaunchMode>) -> Settings {
        Settings {
            seed: 1,
            mode,
            watching: Watching::default(),
            baseline: Baseline::empty(),
            confirmations: 5,
            keep_first: false,
            host_program: "/bin/x".into(),
            environment: vec!["A=1".into()],
            linked_kinds: vec!["one".into()],
        }
    }

    #[test]
    fn all_engines_of_a_plan_are_named() {
        let plan = Plan::parse("create a = one; [load a m | 2x(swap a engine=two)]; exit").unwrap();
        assert_eq!(Vec::from_iter(kinds(&plan)), ["one", "two"]);
    }

    #[test]
    fn the_mode_follows_engines_and_environment() {
        let linked = subject("create a = one; exit");
        let foreign = subject("create a = two; exit");
        let own = subject("env K=V; create a = one; exit");
        assert_eq!(settings(None).mode_for(&linked), LaunchMode::Fork);
        assert_eq!(settings(None).mode_for(&foreign), LaunchMode::Spawn);
        assert_eq!(settings(Some(LaunchMode::Fork)).mode_for(&foreign), LaunchMode::Fork);
        assert_eq!(settings(Some(LaunchMode::Fork)).mode_for(&own), LaunchMode::Spawn);
        let watching = Watching { traced: false, ledger: true };
        let untraced = Settings { watching, ..settings(None) };
        assert_eq!(untraced.mode_for(&linked), LaunchMode::Spawn);
        let job = settings(None).job(&own, 7, 0, LaunchMode::Spawn);
        assert_eq!(job.host.environment, ["A=1", "K=V"]);
    }

    #[test]
    fn runs_of_one_campaign_have_seeds_of_their_own() {
        let subject = subject("create a = one; exit");
        let job = |run| settings(None).job(&subject, 0, run, LaunchMode::Fork);
        assert_ne!(job(0).seed, job(1).seed);
        assert_eq!(job(1), job(1));
    }
}
