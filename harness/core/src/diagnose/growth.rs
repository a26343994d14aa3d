//! What grows from turn to turn of a loop, and what stays in shared memory: the signs of leaks.
//!
//! The first quarter of the turns is left out: one-time initialisation happens there. Counts are
//! those of the census, from outside; what is still there before the exit has had a grace period
//! to go away. Deliberately absent: the findings themselves (`leaks.rs`).

use std::collections::BTreeMap;

use super::facts::Facts;
use super::rule::Seen;
use super::signs::line;
use super::trend::{Trend, theil_sen};
use crate::observe::{
    CensusBorder, CensusPoint, CensusRecord, Ending, SharedLeft, loops, turns_left_out,
};

/// What must have grown in all before anything is said: three things, 128 KiB.
const RISE_THINGS: f64 = 3.0;
const RISE_BYTES: f64 = 131_072.0;
/// Slower growth of memory is not told from an allocator's noise: 1 KiB per turn.
const SLOPE_BYTES: f64 = 1024.0;
/// So many turns of the second half must add something: a late one-time jump does not go on.
const RISES: usize = 2;
/// How a census calls sockets that listen.
pub(crate) const LISTENING: &str = "listening ";
/// How `/dev/shm` calls named semaphores (glibc).
const SEMAPHORE: &str = "sem.";

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Threads,
    Descriptors,
    Ports,
    Shared,
    Memory,
}

impl Kind {
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Descriptors => "descriptors",
            Self::Ports => "listening sockets",
            Self::Shared => "names in /dev/shm",
            Self::Memory => "private memory",
        }
    }

    /// How many, or how many bytes.
    pub(crate) fn of(self, point: &CensusPoint) -> f64 {
        let sum = |counts: &BTreeMap<String, u32>, is_it: fn(&str) -> bool| -> f64 {
            counts.iter().filter(|(what, _)| is_it(what)).map(|(_, count)| f64::from(*count)).sum()
        };
        match self {
            Self::Threads => sum(&point.threads, |_| true),
            Self::Descriptors => sum(&point.descriptors, |_| true),
            Self::Ports => sum(&point.descriptors, |what| what.starts_with(LISTENING)),
            Self::Shared => f64::from(point.shared),
            #[expect(
                clippy::cast_precision_loss,
                reason = "no process has 2^53 bytes of private memory"
            )]
            Self::Memory => point.private_dirty_bytes.unwrap_or(0) as f64,
        }
    }

    /// An amount with its unit.
    pub(crate) fn amount(self, value: f64) -> String {
        match self {
            Self::Memory => format!("{:.1} KiB", value / 1024.0),
            _ if value.fract() == 0.0 => format!("{value}"),
            _ => format!("{value:.2}"),
        }
    }
}

/// The turns of a loop without its first quarter.
pub(crate) struct Turns<'a> {
    /// All points of the loop, those of the turns that are left out as well.
    all: &'a [CensusPoint],
    points: Vec<&'a CensusPoint>,
    /// The point before the exit.
    end: Option<&'a CensusPoint>,
    left_out: usize,
    kind: Kind,
    /// The trend of the kind over all these turns, and over their second half.
    whole: Option<Trend>,
    half: Option<Trend>,
    /// How many turns of the second half added something.
    rises: usize,
}

impl<'a> Turns<'a> {
    /// The turns of the loop that tells most of a kind: more signs of growth, then more turns.
    pub(crate) fn new(census: &'a CensusRecord, kind: Kind) -> Self {
        let end = census.points.iter().rfind(|point| point.border == CensusBorder::End);
        let loops = loops(&census.points).into_iter().map(|all| Self::of_loop(all, end, kind));
        let signs = |turns: &Self| {
            let signs =
                [turns.grows().is_some(), turns.stays().is_some(), turns.goes_on().is_some()];
            (signs.into_iter().filter(|sign| *sign).count(), turns.points.len())
        };
        loops.max_by_key(signs).unwrap_or_else(|| Self::of_loop(&[], end, kind))
    }

    fn of_loop(all: &'a [CensusPoint], end: Option<&'a CensusPoint>, kind: Kind) -> Self {
        let turns = all.iter().filter(|point| point.border == CensusBorder::Turn);
        let left_out = turns_left_out(turns.clone().count());
        let points: Vec<&CensusPoint> = turns.skip(left_out).collect();
        let x = |point: &CensusPoint| f64::from(u32::try_from(point.turn).unwrap_or(u32::MAX));
        let series: Vec<(f64, f64)> =
            points.iter().map(|point| (x(point), kind.of(point))).collect();
        let second_half = series.get(series.len() / 2..).unwrap_or_default();
        let pairs = second_half.iter().zip(second_half.iter().skip(1));
        let rises = pairs.filter(|((_, before), (_, after))| after > before).count();
        let (whole, half) = (theil_sen(&series), theil_sen(second_half));
        Self { all, points, end, left_out, kind, whole, half, rises }
    }

    /// Every two points of which the second is a border of a step, and nothing else lies between
    /// them: not the turns that a long loop is not looked at in.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&'a CensusPoint, &'a CensusPoint)> {
        let first_turn = self.points.first().map_or(u64::MAX, |point| point.turn);
        let pairs = self.all.iter().zip(self.all.iter().skip(1));
        pairs.filter(move |(before, after)| {
            let is_next = match before.border {
                CensusBorder::Turn => before.turn + 1 == after.turn,
                _ => before.turn == after.turn,
            };
            after.border == CensusBorder::Step && is_next && after.turn >= first_turn
        })
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.points.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn first(&self) -> Option<&'a CensusPoint> {
        self.points.first().copied()
    }

    pub(crate) fn end(&self) -> Option<&'a CensusPoint> {
        self.end
    }

    pub(crate) fn trend(&self) -> Option<Trend> {
        self.whole
    }

    /// How much the trend adds over all turns.
    fn rise(&self, trend: Trend) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let turns = u32::try_from(last.turn.saturating_sub(first.turn)).ok()?;
        Some(trend.slope * f64::from(turns))
    }

    /// It grows credibly, and by enough.
    fn grows(&self) -> Option<Trend> {
        let trend = self.whole?;
        let (low, rise) = match self.kind {
            Kind::Memory => (SLOPE_BYTES, RISE_BYTES),
            _ => (0.0, RISE_THINGS),
        };
        let is_enough = if self.kind == Kind::Memory { trend.low >= low } else { trend.low > low };
        (is_enough && self.rise(trend)? >= rise).then_some(trend)
    }

    /// Half of what the turns added is still there before the exit.
    fn stays(&self) -> Option<&'a CensusPoint> {
        let (kind, end) = (self.kind, self.end?);
        let rise = self.rise(self.whole?)?;
        (kind.of(end) >= kind.of(self.points.first()?) + rise / 2.0).then_some(end)
    }

    /// The second half of the turns grows like all of them, and more than once: it does not level
    /// off. Memory comes in pages, so its growth must be credible by itself.
    fn goes_on(&self) -> Option<Trend> {
        let (whole, half) = (self.whole?, self.half?);
        let is_credible = self.kind != Kind::Memory || half.low > 0.0;
        let goes_on = half.slope > 0.0 && half.slope >= whole.slope / 2.0;
        (goes_on && is_credible && self.rises >= RISES).then_some(half)
    }
}

fn census<'a>(facts: &Facts<'a>) -> Option<&'a CensusRecord> {
    facts.observation.census.known()
}

fn grows(facts: &Facts<'_>, kind: Kind) -> Option<Seen> {
    let turns = Turns::new(census(facts)?, kind);
    let trend = turns.grows()?;
    let (noun, slope) = (kind.plural(), kind.amount(trend.slope));
    let (low, high) = (kind.amount(trend.low), kind.amount(trend.high));
    let (count, left_out) = (turns.count(), turns.left_out);
    Some(line(
        "census",
        format!(
            "{noun}: +{slope} per turn, 95 % [{low}, {high}], {count} turns after the first {left_out}"
        ),
    ))
}

fn stays(facts: &Facts<'_>, kind: Kind) -> Option<Seen> {
    let turns = Turns::new(census(facts)?, kind);
    let end = turns.stays()?;
    let (now, then) = (kind.amount(kind.of(end)), kind.amount(kind.of(turns.first()?)));
    let waited = match end.grace_us / 1000 {
        0 => String::new(),
        ms => format!(" and {ms} ms of grace"),
    };
    Some(line(
        "census",
        format!(
            "after the last turn{waited}: {now}; after turn {}: {then}",
            turns.first()?.turn + 1
        ),
    ))
}

fn goes_on(facts: &Facts<'_>, kind: Kind) -> Option<Seen> {
    let trend = Turns::new(census(facts)?, kind).goes_on()?;
    let slope = kind.amount(trend.slope);
    Some(line("census", format!("it does not level off: +{slope} per turn in the second half")))
}

pub(crate) fn threads_grow(facts: &Facts<'_>) -> Option<Seen> {
    grows(facts, Kind::Threads)
}

pub(crate) fn threads_stay(facts: &Facts<'_>) -> Option<Seen> {
    stays(facts, Kind::Threads)
}

pub(crate) fn threads_go_on(facts: &Facts<'_>) -> Option<Seen> {
    goes_on(facts, Kind::Threads)
}

pub(crate) fn ports_grow(facts: &Facts<'_>) -> Option<Seen> {
    grows(facts, Kind::Ports)
}

pub(crate) fn ports_stay(facts: &Facts<'_>) -> Option<Seen> {
    stays(facts, Kind::Ports)
}

pub(crate) fn ports_go_on(facts: &Facts<'_>) -> Option<Seen> {
    goes_on(facts, Kind::Ports)
}

pub(crate) fn descriptors_grow(facts: &Facts<'_>) -> Option<Seen> {
    grows(facts, Kind::Descriptors)
}

pub(crate) fn descriptors_stay(facts: &Facts<'_>) -> Option<Seen> {
    stays(facts, Kind::Descriptors)
}

pub(crate) fn descriptors_go_on(facts: &Facts<'_>) -> Option<Seen> {
    goes_on(facts, Kind::Descriptors)
}

pub(crate) fn memory_grows(facts: &Facts<'_>) -> Option<Seen> {
    grows(facts, Kind::Memory)
}

pub(crate) fn memory_stays(facts: &Facts<'_>) -> Option<Seen> {
    stays(facts, Kind::Memory)
}

pub(crate) fn memory_goes_on(facts: &Facts<'_>) -> Option<Seen> {
    goes_on(facts, Kind::Memory)
}

/// The child ended by itself: who is killed has no time to clean up.
pub(crate) fn ended_by_itself(facts: &Facts<'_>) -> Option<Seen> {
    let observation = facts.observation;
    let exited = matches!(observation.ending, Ending::Exited(_));
    (exited && observation.stall.is_none()).then_some(Seen::Told)
}

/// Whether a name in `/dev/shm` is a named semaphore's.
pub(crate) fn is_semaphore(shared: &SharedLeft) -> bool {
    shared.name.starts_with(SEMAPHORE)
}

fn left(facts: &Facts<'_>, is_it: fn(&SharedLeft) -> bool) -> Option<Seen> {
    let names: Vec<&SharedLeft> =
        census(facts)?.shared_left.iter().filter(|shared| is_it(shared)).collect();
    let first = names.first()?;
    let more = match names.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let text = format!("/dev/shm/{}{more} stood there after the last process's end", first.name);
    Some(line("/dev/shm", text))
}

pub(crate) fn semaphores_left(facts: &Facts<'_>) -> Option<Seen> {
    left(facts, is_semaphore)
}

pub(crate) fn segments_left(facts: &Facts<'_>) -> Option<Seen> {
    left(facts, |shared| !is_semaphore(shared))
}
