//! Findings of what a run leaves or lets grow: threads, descriptors, sockets, memory, shared names.
//!
//! Deliberately absent: processes (`leftovers.rs`), and the signs (`growth.rs`).

use std::collections::{BTreeMap, BTreeSet};

use hotfire_plan::model::Phase;

use super::code::Code;
use super::facts::{Context, Facts};
use super::finding::{Evidence, Finding, Growth, LeftBehind};
use super::growth::{Kind, LISTENING, Turns, is_semaphore};
use super::rule::{Decision, decide};
use super::rules::LEAK_RULES;
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::Steps;
use super::trend::Trend;
use crate::observe::{
    CensusBorder, CensusPoint, CensusRecord, Ending, Observation, SharedLeft, without_numbers,
};

/// Kinds of growing things that are named.
const KINDS_NAMED_MAX: usize = 4;
/// The longest extension of a file that tells what it is.
const EXTENSION_MAX: usize = 8;

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
    let exited = matches!(observation.ending, Ending::Exited(_));
    let census = observation.census.known().filter(|_| exited);
    census.is_some_and(|census| !census.shared_unclaimed.is_empty())
        || !leak_findings(observation, context).is_empty()
}

/// What stands in shared memory after a death that gave no time to clean up: no finding, and
/// evidence of the death's.
pub(crate) fn left_at_death(observation: &Observation) -> Option<Evidence> {
    let census = observation.census.known()?;
    let first = census.shared_left.first()?;
    let is_death = !matches!(observation.ending, Ending::Exited(_));
    let count = census.shared_left.len();
    let text = format!("{count} names stood there after the death, the first {}", first.name);
    is_death.then(|| evidence("/dev/shm", text))
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
    let turns = Turns::new(census, kind);
    let (Some(trend), Some(first), Some(end)) = (turns.trend(), turns.first(), turns.end()) else {
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
    let more = more(kind, first, end);
    let left = LeftBehind {
        kind: leak.kind.to_owned(),
        count,
        detail: detail(kind, &more, first, end),
        mostly: mostly(&more),
        step: birth_step(kind, &turns),
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

/// Which names or targets there are more of, the most first; nothing of memory.
fn more(kind: Kind, first: &CensusPoint, end: &CensusPoint) -> Vec<(String, u32)> {
    let (before, after) = match kind {
        Kind::Threads => (&first.threads, &end.threads),
        Kind::Descriptors | Kind::Ports => (&first.descriptors, &end.descriptors),
        Kind::Memory | Kind::Shared => return Vec::new(),
    };
    let is_it = |what: &&String| kind != Kind::Ports || what.starts_with(LISTENING);
    let mut more: Vec<(String, u32)> = after
        .keys()
        .filter(is_it)
        .map(|what| {
            let count = |counts: &BTreeMap<String, u32>| counts.get(what).copied().unwrap_or(0);
            (what.clone(), count(after).saturating_sub(count(before)))
        })
        .filter(|(_, grown)| *grown > 0)
        .collect();
    more.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    more
}

fn detail(kind: Kind, more: &[(String, u32)], first: &CensusPoint, end: &CensusPoint) -> String {
    if kind == Kind::Memory {
        let (from, to) = (kind.of(first), kind.of(end));
        return format!("{} became {}", kind.amount(from), kind.amount(to));
    }
    named(more)
}

/// The first of these kinds with their counts.
pub(super) fn named(more: &[(String, u32)]) -> String {
    let rest = more.len().saturating_sub(KINDS_NAMED_MAX);
    let named: Vec<String> =
        more.iter().take(KINDS_NAMED_MAX).map(|(name, count)| format!("{count} {name}")).collect();
    let rest = if rest > 0 { format!(", and {rest} kinds more") } else { String::new() };
    format!("{}{rest}", named.join(", "))
}

/// The kinds that there are at least half as many more of as of the first, in words that stay the
/// same from run to run.
pub(super) fn mostly(more: &[(String, u32)]) -> Option<String> {
    let (_, most) = more.first()?;
    let kinds = more.iter().filter(|(_, count)| count.saturating_mul(2) >= *most);
    let kinds: BTreeSet<String> = kinds.map(|(name, _)| lasting_name(name)).collect();
    Some(Vec::from_iter(kinds).join(" + "))
}

/// A name without what changes from run to run and from machine to machine: numbers, and where a
/// file lies.
pub(super) fn lasting_name(name: &str) -> String {
    let is_device = name.starts_with("/dev/") && !name.starts_with("/dev/shm/");
    if name.starts_with('/') && !is_device {
        let file = name.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default();
        let is_word = |extension: &&str| {
            (1..=EXTENSION_MAX).contains(&extension.len())
                && extension.chars().all(|letter| letter.is_ascii_lowercase())
        };
        let extension = file.rsplit_once('.').map(|(_, extension)| extension).filter(is_word);
        return extension.map_or("file".to_owned(), |extension| format!("file .{extension}"));
    }
    without_numbers(name)
}

/// The step after which most of them appeared, where the borders of steps were looked at.
fn birth_step(kind: Kind, turns: &Turns<'_>) -> Option<u32> {
    let mut gained: BTreeMap<u32, f64> = BTreeMap::new();
    for (before, after) in turns.steps() {
        *gained.entry(after.step).or_insert(0.0) += kind.of(after) - kind.of(before);
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
    let turns = Turns::new(census, Kind::Shared);
    let trend = turns.trend().filter(|trend| trend.low > 0.0);
    let rate = trend.map(|trend| format!(", +{} per turn", Kind::Shared.amount(trend.slope)));
    let title = format!("{count} {noun} outlived the process{}", rate.unwrap_or_default());
    let first = names.first().map_or("", |shared| shared.name.as_str());
    let left = LeftBehind {
        kind: leak.kind.to_owned(),
        count,
        detail: format!("/dev/shm/{first}; {removed} of {count} removed after the run"),
        mostly: None,
        step,
        growth: trend.map(|trend| growth(trend, &turns)),
    };
    (vec![left], title)
}
