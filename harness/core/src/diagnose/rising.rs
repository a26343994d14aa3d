//! What a command holds more and more of while it runs: descriptors are a leak where all signs of
//! one are seen; else they, threads and processes are worth a note.
//!
//! The first quarter of the samples is left out: a program starts up there. Deliberately absent:
//! threads by their births (`births.rs`), which are exact, and turns of a plan's loop (`growth.rs`).

use std::collections::BTreeMap;

use hotfire_plan::model::Phase;

use super::code::Code;
use super::facts::{Context, Facts};
use super::finding::{Finding, LeftBehind};
use super::leaks::{lasting_name, mostly, named};
use super::rule::{Rule, Seen, Sign, decide};
use super::signature::{new_finding, seal};
use super::signs::{evidence, line};
use super::steps::Steps;
use super::trend::{Trend, theil_sen};
use crate::observe::{Observation, SampledProcess, Samples, turns_left_out};

const CLASS: &str = "fd-leak";
/// Fewer samples, or a shorter time, tell nothing.
const SAMPLES_MIN: usize = 24;
const SPAN_SECONDS_MIN: f64 = 5.0;
/// What must have come, by the trend, before anything is said.
const DESCRIPTORS_MIN: f64 = 64.0;
const THREADS_MIN: f64 = 32.0;
const PROCESSES_MIN: f64 = 16.0;
/// So many samples of the second half must add something: what comes in a few bursts may be pools.
const RISES_MIN: usize = 8;
/// The last of so many parts of the time adds something, too.
const LAST_PART: usize = 5;
/// Of so many things that came, one may go again.
const FALL_SHARE: f64 = 4.0;
const US_PER_SECOND: f64 = 1e6;
/// How a census calls a socket that does not listen: others ask for those.
const SOCKET: &str = "socket";
/// With one socket in so many descriptors, all of them may be its clients'.
const SOCKET_SHARE: f64 = 8.0;
/// How it calls kinds beyond those that it lists.
const REST: &str = "…";

const fn sign(name: &'static str, holds: fn(&Facts<'_>) -> Option<Seen>) -> Sign {
    Sign { name, holds }
}

/// The rule about descriptors of a command.
pub const RISING_RULES: &[Rule] = &[Rule {
    name: "descriptors-without-end",
    class: CLASS,
    text: "descriptors are opened again and again, and not closed",
    signs: &[
        sign("number-grows", number_grows),
        sign("long-enough", long_enough),
        sign("goes-on", goes_on),
        sign("none-goes", none_goes),
        sign("held-at-exit", held_at_exit),
        sign("not-asked-for", not_asked_for),
        sign("exited", exited),
    ],
}];

/// A count over time, without the first quarter of its samples.
struct Rising {
    points: Vec<(f64, f64)>,
    left_out: usize,
    whole: Option<Trend>,
}

impl Rising {
    fn new(counts: impl Iterator<Item = (u64, u32)>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no run lasts 2^53 microseconds")]
        let seconds = |time_us: u64| time_us as f64 / US_PER_SECOND;
        let all: Vec<(f64, f64)> =
            counts.map(|(time_us, count)| (seconds(time_us), f64::from(count))).collect();
        let left_out = turns_left_out(all.len());
        let points: Vec<(f64, f64)> = all.into_iter().skip(left_out).collect();
        Self { whole: theil_sen(&points), points, left_out }
    }

    fn of_descriptors(process: &SampledProcess) -> Self {
        Self::new(process.points.iter().map(|point| (point.time_us, point.descriptors)))
    }

    fn first(&self) -> f64 {
        self.points.first().map_or(0.0, |point| point.1)
    }

    fn span(&self) -> f64 {
        let ends = self.points.first().zip(self.points.last());
        ends.map_or(0.0, |(first, last)| last.0 - first.0)
    }

    /// How much the trend adds in all.
    fn rise(&self) -> f64 {
        self.whole.map_or(0.0, |trend| trend.slope * self.span())
    }

    fn grows(&self, min: f64) -> Option<Trend> {
        self.whole.filter(|trend| trend.low > 0.0 && self.rise() >= min)
    }

    fn is_long_enough(&self) -> bool {
        self.points.len() >= SAMPLES_MIN && self.span() >= SPAN_SECONDS_MIN
    }

    /// The second half grows like all of it, in many small steps, and so does the last part.
    fn goes_on(&self) -> Option<Trend> {
        let half = self.points.get(self.points.len() / 2..)?;
        let pairs = half.iter().zip(half.iter().skip(1));
        let rises = pairs.filter(|(before, after)| after.1 > before.1).count();
        let late = self.points.len() - self.points.len() / LAST_PART;
        let last_rise = self.points.last()?.1 - self.points.get(late.checked_sub(1)?)?.1;
        let (whole, trend) = (self.whole?, theil_sen(half)?);
        let is_like_all = trend.low > 0.0 && trend.slope >= whole.slope / 2.0;
        (is_like_all && rises >= RISES_MIN && last_rise > 0.0).then_some(trend)
    }

    /// The largest fall below what had been reached.
    fn fall(&self) -> f64 {
        let mut highest = f64::MIN;
        let mut fall = 0.0f64;
        for (_, count) in &self.points {
            highest = highest.max(*count);
            fall = fall.max(highest - count);
        }
        fall
    }

    fn never_falls(&self) -> bool {
        self.fall() * FALL_SHARE <= self.rise()
    }

    /// It grows for long, and nothing says that it will end.
    fn is_endless(&self, min: f64) -> Option<Trend> {
        let trend = self.grows(min)?;
        let holds = self.is_long_enough() && self.goes_on().is_some() && self.never_falls();
        holds.then_some(trend)
    }
}

fn per_second(trend: Trend) -> String {
    let Trend { slope, low, high } = trend;
    format!("+{slope:.1} per second ({low:.1} to {high:.1}, Theil-Sen, 95 %)")
}

/// The process with the most descriptors that came; one whose descriptors are a leak before others.
fn suspect(samples: &Samples) -> Option<(&SampledProcess, Rising)> {
    let all = samples.processes.iter();
    all.map(|process| (process, Rising::of_descriptors(process))).max_by(|one, other| {
        let is_leak = |(process, rising): &(&SampledProcess, Rising)| {
            rising.is_endless(DESCRIPTORS_MIN).is_some() && why_no_leak(process, rising).is_none()
        };
        is_leak(one).cmp(&is_leak(other)).then(one.1.rise().total_cmp(&other.1.rise()))
    })
}

/// Whether it held at its exit what had come.
fn holds(process: &SampledProcess, rising: &Rising) -> bool {
    let held = process.at_exit.values().sum::<u32>();
    f64::from(held) >= rising.first() + rising.rise() / 2.0
}

/// Whether clients may have asked for them: each may cost more than its socket (pipes, timers).
fn are_asked_for(process: &SampledProcess, rising: &Rising) -> bool {
    let sockets = process.at_exit.get(SOCKET).copied().unwrap_or(0);
    f64::from(sockets) * SOCKET_SHARE > rising.rise()
}

fn number_grows(facts: &Facts<'_>) -> Option<Seen> {
    let (_, rising) = suspect(&facts.observation.samples)?;
    let trend = rising.grows(DESCRIPTORS_MIN)?;
    Some(line("samples", format!("descriptors: {}", per_second(trend))))
}

fn long_enough(facts: &Facts<'_>) -> Option<Seen> {
    let (_, rising) = suspect(&facts.observation.samples)?;
    let (count, span, left_out) = (rising.points.len(), rising.span(), rising.left_out);
    let text = format!("{count} samples over {span:.1} s, after the first {left_out}");
    rising.is_long_enough().then(|| line("samples", text))
}

fn goes_on(facts: &Facts<'_>) -> Option<Seen> {
    let (_, rising) = suspect(&facts.observation.samples)?;
    let trend = rising.goes_on()?;
    let text = format!("it does not level off: +{:.1} per second in the second half", trend.slope);
    Some(line("samples", text))
}

fn none_goes(facts: &Facts<'_>) -> Option<Seen> {
    let (_, rising) = suspect(&facts.observation.samples)?;
    let text = format!("at no time were there more than {} fewer than before", rising.fall());
    rising.never_falls().then(|| line("samples", text))
}

fn held_at_exit(facts: &Facts<'_>) -> Option<Seen> {
    let (process, rising) = suspect(&facts.observation.samples)?;
    let held = process.at_exit.values().sum::<u32>();
    let first = rising.first();
    let text = format!("when it exited it held {held}, after its start {first}");
    holds(process, &rising).then(|| line("descriptors", text))
}

/// Sockets may be its clients': as many as they like.
fn not_asked_for(facts: &Facts<'_>) -> Option<Seen> {
    let (process, rising) = suspect(&facts.observation.samples)?;
    let sockets = process.at_exit.get(SOCKET).copied().unwrap_or(0);
    let all = process.at_exit.values().sum::<u32>();
    // Without a list nothing is known of them, which is said elsewhere.
    let is_theirs = are_asked_for(process, &rising);
    let text = format!("{sockets} of {all} are sockets, which clients could have asked for");
    (!is_theirs).then(|| line("descriptors", text))
}

/// A process that a signal ended had no time to close anything.
fn exited(facts: &Facts<'_>) -> Option<Seen> {
    suspect(&facts.observation.samples)?.0.exited.then_some(Seen::Told)
}

/// The finding of descriptors that a command opens without end.
pub(crate) fn rising_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    let steps = Steps::new(observation, context.program);
    if !steps.is_of_command() {
        return None;
    }
    let decision = decide(RISING_RULES, &Facts::new(observation, context))?;
    let (process, rising) = suspect(&observation.samples)?;
    let held = process.at_exit.values().sum::<u32>();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of descriptors fits, and a smaller one than before was no sign"
    )]
    let count = (f64::from(held) - rising.first()).max(0.0) as u32;
    let slope = rising.whole?.slope;
    let who = if process.is_child { "" } else { " in a process that the child made" };
    let title = format!("descriptors{who}: +{slope:.1} per second; {count} never closed");
    let mut finding = new_finding(Code::FdLeak, CLASS, Phase::Run, title);
    finding.likely_cause = Some(decision.cause);
    finding.evidence = decision.evidence;
    let text = "who opened them, and whether they would have been closed later".to_owned();
    finding.evidence.push(evidence("not seen", text));
    if !process.is_child {
        let text = format!("process {} is `{}`", process.pid, process.command);
        finding.evidence.push(evidence("process table", text));
    }
    let kinds = kinds(process);
    finding.left_behind = vec![LeftBehind {
        kind: "fd".to_owned(),
        count,
        detail: named(&kinds),
        mostly: mostly(&kinds),
        step: None,
        growth: None,
    }];
    Some(seal(finding, &[], &steps))
}

/// What the descriptors are, in words that stay the same from run to run, the most first.
fn kinds(process: &SampledProcess) -> Vec<(String, u32)> {
    let mut sums: BTreeMap<String, u32> = BTreeMap::new();
    for (name, count) in process.at_exit.iter().filter(|(name, _)| *name != REST) {
        *sums.entry(lasting_name(name)).or_insert(0) += count;
    }
    let mut kinds = Vec::from_iter(sums);
    kinds.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    kinds
}

/// What a command held more and more of, where that is no finding: a line each.
#[must_use]
pub fn rising_notes(samples: &Samples, findings: &[Finding]) -> Vec<String> {
    let is_told = |class: &str| findings.iter().any(|finding| finding.class == class);
    let mut notes = Vec::new();
    for process in &samples.processes {
        let who = format!("process {} `{}` had more and more", process.pid, process.command);
        let descriptors = Rising::of_descriptors(process);
        let is_found = is_told(CLASS) && suspect(samples).is_some_and(|(one, _)| one == process);
        if let Some(trend) = descriptors.is_endless(DESCRIPTORS_MIN).filter(|_| !is_found)
            && (holds(process, &descriptors) || !process.exited)
        {
            let why = why_no_leak(process, &descriptors).unwrap_or("they may be a leak, too");
            notes.push(format!("{who} descriptors: {}; {why}", per_second(trend)));
        }
        let threads = Rising::new(process.points.iter().map(|one| (one.time_us, one.threads)));
        let endless = threads.is_endless(THREADS_MIN).filter(|_| !is_told("thread-leak"));
        notes.extend(endless.map(|trend| format!("{who} threads: {}", per_second(trend))));
    }
    if samples.left_out > 0 {
        let count = samples.left_out;
        notes.push(format!("{count} more processes held more and more, and are not told of"));
    }
    let living = Rising::new(samples.living.iter().map(|one| (one.time_us, one.processes)));
    let trend = living.is_endless(PROCESSES_MIN);
    notes.extend(trend.map(|trend| {
        format!("more and more processes of the command lived: {}", per_second(trend))
    }));
    notes
}

/// What keeps growing descriptors from being a leak.
fn why_no_leak(process: &SampledProcess, rising: &Rising) -> Option<&'static str> {
    if !process.exited {
        return Some("it did not exit by itself, so whether it would close them is not known");
    }
    if !holds(process, rising) {
        return Some("it closed them in the end");
    }
    are_asked_for(process, rising)
        .then_some("many are sockets, and clients may have asked for all of them")
}
