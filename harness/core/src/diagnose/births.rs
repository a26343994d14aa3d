//! Threads of a command that are made again and again and never end, by their births, which are
//! known exactly.
//!
//! Deliberately absent: threads that stay from turn to turn of a plan's loop (`growth.rs`), and
//! whether the threads would have ended: the process ended with them.

use hotfire_plan::model::Phase;

use super::code::Code;
use super::culprit::{culprit_of_frame, file_name, is_of_standard_library};
use super::facts::{Context, Facts};
use super::finding::{Culprit, Finding, FindingThread, LeftBehind};
use super::rule::{Rule, Seen, decide, sign};
use super::scene::is_somebodys;
use super::signature::{new_finding, seal};
use super::signs::{evidence, line};
use super::steps::Steps;
use super::threads::finding_thread;
use super::trend::{Trend, theil_sen};
use crate::observe::{BirthPoint, BirthStack, FrameRecord, Observation, ThreadBirths};

const CLASS: &str = "thread-leak";
/// Fewer threads may be a pool, and so may a few for each processor.
const ALIVE_MIN: u32 = 48;
const ALIVE_PER_PROCESSOR: u32 = 4;
/// Of so many threads, less than one may have ended.
const ENDED_SHARE: u32 = 50;
/// Instants at which the living are counted for the slope.
const INSTANTS: u32 = 32;
/// In the second half of the time, at least one of so many is born: half of them, but for moments in
/// which the machine is busy with others.
const LATE_SHARE: u32 = 4;
/// The last birth lies in the last of so many parts of the time.
const LAST_PART: u64 = 5;
const US_PER_SECOND: f64 = 1e6;

/// The rule about threads of a command.
pub const BIRTH_RULES: &[Rule] = &[Rule {
    name: "threads-without-end",
    class: CLASS,
    text: "threads are made again and again, and none of them ends",
    signs: &[
        sign("many-live", many_live),
        sign("none-ends", none_ends),
        sign("number-grows", number_grows),
        sign("births-go-on", births_go_on),
        sign("one-maker", one_maker),
        sign("exited", exited),
    ],
}];

/// The threads that one module made, of the process with the most of them.
struct Brood<'a> {
    of: &'a ThreadBirths,
    /// Where they were made.
    stack: &'a BirthStack,
    maker: Option<Culprit>,
    /// Stacks that agree on the maker.
    looks: usize,
    /// The count before the first of them.
    before: BirthPoint,
    /// Since then.
    points: &'a [BirthPoint],
}

impl<'a> Brood<'a> {
    fn largest(observation: &'a Observation) -> Option<Self> {
        let broods = observation.births.iter().filter_map(Self::new);
        broods.max_by_key(Self::alive)
    }

    /// The threads born since the last stack that tells of another maker.
    fn new(of: &'a ThreadBirths) -> Option<Self> {
        let stack = of.stacks.last()?;
        let maker = maker(stack);
        let name = |culprit: Option<Culprit>| culprit.map(|culprit| culprit.module);
        let module = name(maker.clone());
        let is_other = |look: &&BirthStack| name(self::maker(look)) != module;
        let other = of.stacks.iter().rev().position(|look| is_other(&look));
        let looks = other.unwrap_or(of.stacks.len());
        let last_other = other.and_then(|back| of.stacks.iter().rev().nth(back));
        let born_before = last_other.map_or(0, |look| look.born);
        let at = of.points.partition_point(|point| point.born <= born_before);
        let none = BirthPoint { time_us: 0, born: 0, ended: 0 };
        let before = at.checked_sub(1).and_then(|at| of.points.get(at)).copied().unwrap_or(none);
        Some(Self { of, stack, maker, looks, before, points: of.points.get(at..)? })
    }

    fn born(&self) -> u32 {
        self.points.last().map_or(0, |last| last.born - self.before.born)
    }

    fn ended(&self) -> u32 {
        self.points.last().map_or(0, |last| last.ended - self.before.ended)
    }

    fn alive(&self) -> u32 {
        self.born().saturating_sub(self.ended())
    }

    fn first_us(&self) -> u64 {
        self.points.first().map_or(0, |first| first.time_us)
    }

    /// From the first of these births to the end of the process.
    fn span_us(&self) -> u64 {
        self.of.life_us.saturating_sub(self.first_us())
    }

    /// The count at a time.
    fn at(&self, time_us: u64) -> BirthPoint {
        let at = self.points.partition_point(|point| point.time_us <= time_us);
        at.checked_sub(1).and_then(|at| self.points.get(at)).copied().unwrap_or(self.before)
    }

    /// How the number of the living grows, per second.
    fn trend(&self) -> Option<Trend> {
        let instant = |number: u32| {
            let time_us =
                self.first_us() + self.span_us() * u64::from(number) / u64::from(INSTANTS);
            let count = self.at(time_us);
            #[expect(clippy::cast_precision_loss, reason = "no run lasts 2^53 microseconds")]
            let seconds = time_us as f64 / US_PER_SECOND;
            (seconds, f64::from(count.born) - f64::from(count.ended))
        };
        theil_sen(&(0..=INSTANTS).map(instant).collect::<Vec<_>>())
    }

    /// Births in the second half of the time.
    fn late(&self) -> u32 {
        let half = self.at(self.first_us() + self.span_us() / 2);
        self.points.last().map_or(0, |last| last.born - half.born)
    }
}

/// Who makes the thread: the innermost frame that is somebody's.
fn maker(look: &BirthStack) -> Option<Culprit> {
    let nobodys = hotfire_plan::Program::default();
    let context = Context { program: &nobodys, ledger_used: false, host_module: None };
    let frames = look.maker.stack.known().map(|stack| stack.frames.as_slice()).unwrap_or_default();
    let is_somebodys = |frame: &&FrameRecord| {
        frame.location.known().is_some_and(|location| is_somebodys(&location.module))
    };
    let trusted = frames.iter().take_while(|frame| !frame.doubtful).filter(is_somebodys);
    let makers: Vec<Culprit> =
        trusted.filter_map(|frame| culprit_of_frame(frame, &context)).collect();
    let is_own = |one: &&Culprit| !one.function.as_deref().is_some_and(is_of_standard_library);
    makers.iter().find(is_own).or(makers.first()).cloned()
}

fn brood<'a>(facts: &Facts<'a>) -> Option<Brood<'a>> {
    Brood::largest(facts.observation)
}

fn many_live(facts: &Facts<'_>) -> Option<Seen> {
    let brood = brood(facts)?;
    let (alive, processors) = (brood.alive(), brood.of.processors);
    let enough = alive >= ALIVE_MIN && alive > ALIVE_PER_PROCESSOR.saturating_mul(processors);
    let text = format!("{alive} threads lived when process {} ended", brood.of.pid);
    enough.then(|| line("births", format!("{text}; it may use {processors} processors")))
}

fn none_ends(facts: &Facts<'_>) -> Option<Seen> {
    let brood = brood(facts)?;
    let (born, ended) = (brood.born(), brood.ended());
    let text = format!("of {born} threads that were born, {ended} ended before the process did");
    (ended < born.div_ceil(ENDED_SHARE)).then(|| line("births", text))
}

fn number_grows(facts: &Facts<'_>) -> Option<Seen> {
    let trend = brood(facts)?.trend().filter(|trend| trend.low > 0.0)?;
    let Trend { slope, low, high } = trend;
    let text = format!("+{slope:.1} threads per second ({low:.1} to {high:.1}, Theil-Sen, 95 %)");
    Some(line("births", text))
}

fn births_go_on(facts: &Facts<'_>) -> Option<Seen> {
    let brood = brood(facts)?;
    let (late, born, span_us) = (brood.late(), brood.born(), brood.span_us());
    let last_us = brood.of.points.iter().map(|point| (point.born, point.time_us));
    let last_us = last_us.min_by_key(|(born, time)| (std::cmp::Reverse(*born), *time))?.1;
    let to_end_us = brood.of.life_us.saturating_sub(last_us);
    let text = format!(
        "{late} of {born} were born in the second half of {} ms, the last one {} ms before the end",
        span_us / 1000,
        to_end_us / 1000
    );
    let goes_on =
        late.saturating_mul(LATE_SHARE) >= born && to_end_us.saturating_mul(LAST_PART) <= span_us;
    goes_on.then(|| line("births", text))
}

fn one_maker(facts: &Facts<'_>) -> Option<Seen> {
    let brood = brood(facts)?;
    let module = brood.maker?.module;
    let text = format!("{} of these births were looked at: {} made each", brood.looks, module);
    Some(line("stacks", text))
}

/// A process that a signal ended had no time to end its threads.
fn exited(facts: &Facts<'_>) -> Option<Seen> {
    brood(facts)?.of.exited.then_some(Seen::Told)
}

/// The finding of threads that a command made without end.
pub(crate) fn births_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    if !Steps::new(observation, context.program).is_of_command() {
        return None;
    }
    let decision = decide(BIRTH_RULES, &Facts::new(observation, context))?;
    let brood = Brood::largest(observation)?;
    let maker = brood.maker.clone()?;
    let who = if brood.of.is_child { "" } else { " of a process that the child made" };
    let alive = brood.alive();
    let title = format!("{alive} threads{who}, made one after the other, never ended");
    let mut finding = new_finding(Code::ThreadLeak, CLASS, Phase::Run, title);
    finding.likely_cause = Some(decision.cause);
    finding.evidence = decision.evidence;
    let text = "whether they would have ended: the process ended with them".to_owned();
    finding.evidence.push(evidence("not seen", text));
    if !brood.of.is_child {
        let text = format!("process {} is `{}`", brood.of.pid, brood.of.command);
        finding.evidence.push(evidence("process table", text));
    }
    finding.left_behind = vec![LeftBehind {
        kind: "thread".to_owned(),
        count: alive,
        detail: format!("made by {}", file_name(&maker.module)),
        mostly: None,
        step: None,
        growth: None,
    }];
    finding.culprit = Some(maker);
    finding.threads = vec![last_maker(&brood)];
    Some(seal(finding, &[], &Steps::new(observation, context.program)))
}

/// The thread that made the last one that was looked at, where it stood.
fn last_maker(brood: &Brood<'_>) -> FindingThread {
    let BirthStack { born, maker } = brood.stack;
    FindingThread { state: format!("makes thread {born}"), waits_on: None, ..finding_thread(maker) }
}
