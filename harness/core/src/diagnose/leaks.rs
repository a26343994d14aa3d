//! Findings of what a run leaves or lets grow: threads, descriptors, sockets, memory, shared names.
//!
//! Deliberately absent: processes (`leftovers.rs`), and the signs (`growth.rs`).

use std::collections::BTreeMap;

use hotfire_plan::model::Phase;

use super::code::Code;
use super::facts::{Context, Facts};
use super::finding::{Finding, Growth, LeftBehind};
use super::growth::{Kind, LISTENING, Turns, is_semaphore};
use super::rule::{Decision, decide};
use super::rules::LEAK_RULES;
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::Steps;
use super::trend::Trend;
use crate::observe::{CensusBorder, CensusPoint, CensusRecord, Observation, SharedLeft};

/// Kinds of growing things that are named.
const KINDS_NAMED_MAX: usize = 4;

/// A leak: its code, its kind in reports, and what is counted.
struct Leak {
    class: &'static str,
    code: Code,
    kind: &'static str,
    counted: Option<Kind>,
}

const LEAKS: [Leak; 6] = [
    Leak {
        class: "thread-leak",
        code: Code::ThreadLeak,
        kind: "thread",
        counted: Some(Kind::Threads),
    },
    Leak { class: "port-leak", code: Code::PortLeak, kind: "port", counted: Some(Kind::Ports) },
    Leak { class: "fd-leak", code: Code::FdLeak, kind: "fd", counted: Some(Kind::Descriptors) },
    Leak { class: "semaphore-leak", code: Code::SemaphoreLeak, kind: "semaphore", counted: None },
    Leak { class: "shm-leak", code: Code::ShmLeak, kind: "shm", counted: None },
    Leak {
        class: "memory-growth",
        code: Code::MemoryGrowth,
        kind: "memory",
        counted: Some(Kind::Memory),
    },
];

/// All leaks of a run. Memory that grows beside another leak is told as its consequence, and a
/// listening socket is no second leak as a descriptor.
pub(crate) fn leak_findings(observation: &Observation, context: &Context<'_>) -> Vec<Finding> {
    let Some(census) = observation.census.known() else { return Vec::new() };
    let facts = Facts::new(observation, context);
    let steps = Steps::new(observation, context.program);
    let mut findings: Vec<Finding> = Vec::new();
    for rule in LEAK_RULES {
        let is_told = |other: &Finding| match rule.class {
            "fd-leak" => other.class == "port-leak",
            "memory-growth" => true,
            _ => false,
        };
        let Some(decision) = decide(std::slice::from_ref(rule), &facts) else { continue };
        if let Some(first) = findings.iter_mut().find(|other| is_told(other)) {
            first.evidence.extend(decision.evidence.into_iter().take(1));
            continue;
        }
        if let Some(leak) = LEAKS.iter().find(|leak| leak.class == decision.class) {
            findings.push(finding(leak, decision, census, &steps));
        }
    }
    findings
}

/// Whether a closer look is worth a run: something stays, or names in shared memory are new and
/// nobody was seen to hold them.
#[must_use]
pub fn hints_at_leak(observation: &Observation, context: &Context<'_>) -> bool {
    let census = observation.census.known();
    census.is_some_and(|census| !census.shared_unclaimed.is_empty())
        || !leak_findings(observation, context).is_empty()
}

fn finding(leak: &Leak, decision: Decision, census: &CensusRecord, steps: &Steps<'_>) -> Finding {
    let (left, title) = match leak.counted {
        Some(kind) => grown(leak, kind, census),
        None => outlived(leak, census),
    };
    let born = left.iter().find_map(|left| left.step);
    let from = born.map(|step| format!(", born in step {step} `{}`", steps.text(step)));
    let phase = born.map_or(Phase::Run, |step| steps.phase(step));
    let title = format!("{title}{}", from.unwrap_or_default());
    let mut finding = new_finding(leak.code, leak.class, phase, title);
    finding.likely_cause = Some(decision.cause);
    finding.evidence = decision.evidence;
    let what = left.iter().filter(|left| left.growth.is_some() && left.kind != "memory");
    finding.evidence.extend(what.map(|left| evidence("census", format!("more: {}", left.detail))));
    if born.is_none() {
        let text = "the step they are born in; run with --census steps".to_owned();
        finding.evidence.push(evidence("not seen", text));
    }
    finding.left_behind = left;
    finding.step = born.map(|step| steps.finding_step(0, step, 0));
    seal(finding, &[], steps)
}

fn grown(leak: &Leak, kind: Kind, census: &CensusRecord) -> (Vec<LeftBehind>, String) {
    let turns = Turns::new(census);
    let (Some(trend), Some(first), Some(end)) = (turns.trend(kind), turns.first(), turns.end())
    else {
        return (Vec::new(), format!("{} grow", kind.plural()));
    };
    let rise = kind.of(end) - kind.of(first);
    let title = format!(
        "{}: +{} per turn; {} more at the end than after turn {}",
        kind.plural(),
        kind.amount(trend.slope),
        kind.amount(rise),
        first.turn + 1
    );
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rise of things is a small whole number; memory counts as one"
    )]
    let count = if kind == Kind::Memory { 1 } else { rise.max(1.0) as u32 };
    let left = LeftBehind {
        kind: leak.kind.to_owned(),
        count,
        detail: detail(kind, first, end),
        step: birth_step(kind, census, first.turn),
        growth: Some(growth(trend, &turns)),
    };
    (vec![left], title)
}

fn growth(trend: Trend, turns: &Turns<'_>) -> Growth {
    Growth {
        per_turn: trend.slope,
        low: trend.low,
        high: trend.high,
        turns: turns.count(),
        method: "theil-sen-95".to_owned(),
    }
}

/// Which names or targets there are more of, the most first.
fn detail(kind: Kind, first: &CensusPoint, end: &CensusPoint) -> String {
    let (before, after) = match kind {
        Kind::Threads => (&first.threads, &end.threads),
        Kind::Descriptors | Kind::Ports => (&first.descriptors, &end.descriptors),
        Kind::Memory | Kind::Shared => {
            let (from, to) = (kind.of(first), kind.of(end));
            return format!("{} became {}", kind.amount(from), kind.amount(to));
        }
    };
    let mut more: BTreeMap<&str, u32> = BTreeMap::new();
    for (what, count) in after {
        let grown = count.saturating_sub(before.get(what).copied().unwrap_or(0));
        if grown > 0 && (kind != Kind::Ports || what.starts_with(LISTENING)) {
            // Each socket has a port of its own.
            let name = if what.starts_with(LISTENING) {
                what.trim_end_matches(|letter: char| letter.is_ascii_digit())
            } else {
                what.as_str()
            };
            *more.entry(name.trim_end()).or_insert(0) += grown;
        }
    }
    let mut more: Vec<(&str, u32)> = more.into_iter().collect();
    more.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let rest = more.len().saturating_sub(KINDS_NAMED_MAX);
    let named: Vec<String> =
        more.iter().take(KINDS_NAMED_MAX).map(|(name, count)| format!("{count} {name}")).collect();
    let rest = if rest > 0 { format!(", and {rest} kinds more") } else { String::new() };
    format!("{}{rest}", named.join(", "))
}

/// The step after which most of them appeared, where every step's border was looked at.
fn birth_step(kind: Kind, census: &CensusRecord, first_turn: u64) -> Option<u32> {
    let mut gained: BTreeMap<u32, f64> = BTreeMap::new();
    for pair in census.points.windows(2) {
        let [before, after] = pair else { continue };
        if after.border == CensusBorder::Step && after.turn >= first_turn {
            *gained.entry(after.step).or_insert(0.0) += kind.of(after) - kind.of(before);
        }
    }
    let (step, most) = gained.into_iter().max_by(|left, right| left.1.total_cmp(&right.1))?;
    (most > 0.0 && step > 0).then_some(step)
}

fn outlived(leak: &Leak, census: &CensusRecord) -> (Vec<LeftBehind>, String) {
    let is_it = |shared: &&SharedLeft| is_semaphore(shared) == (leak.kind == "semaphore");
    let names: Vec<&SharedLeft> = census.shared_left.iter().filter(is_it).collect();
    let noun = match (leak.kind, names.len()) {
        ("semaphore", 1) => "named semaphore",
        ("semaphore", _) => "named semaphores",
        (_, 1) => "shared-memory object",
        _ => "shared-memory objects",
    };
    // Only a border of a step tells which one; one seen at a loop's turn was born somewhere in it.
    let knows_steps = census.points.iter().any(|point| point.border == CensusBorder::Step);
    let step = names.iter().map(|shared| shared.step).find(|step| *step > 0 && knows_steps);
    let removed = names.iter().filter(|shared| shared.was_removed).count();
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let turns = Turns::new(census);
    let trend = turns.trend(Kind::Shared).filter(|trend| trend.low > 0.0);
    let rate = trend.map(|trend| format!(", +{} per turn", Kind::Shared.amount(trend.slope)));
    let title = format!("{count} {noun} outlived the process{}", rate.unwrap_or_default());
    let first = names.first().map_or("", |shared| shared.name.as_str());
    let left = LeftBehind {
        kind: leak.kind.to_owned(),
        count,
        detail: format!("/dev/shm/{first}; {removed} of {count} removed after the run"),
        step,
        growth: trend.map(|trend| growth(trend, &turns)),
    };
    (vec![left], title)
}
