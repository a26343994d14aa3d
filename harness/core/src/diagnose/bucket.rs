//! Several deaths of one command as one finding: what differs from run to run, in code that several
//! threads were in each time, is a race.
//!
//! Never from one run. Deliberately absent: rates and their intervals (`judge`), and running it.

use std::collections::BTreeMap;

use super::culprit::file_name;
use super::finding::{Culprit, Finding, LikelyCause};
use super::scene::{Scene, Within};
use super::signature::seal_by;
use super::signs::evidence;

/// The class, which is also the rule's name.
pub const RACE_CLASS: &str = "data-race";
/// The cause in one sentence.
pub const RACE_TEXT: &str = "threads use the same data at the same time, without order";
/// Ways to die and functions that are named.
const NAMED_MAX: usize = 4;

/// A question to all deaths, about a module.
type RaceQuestion = fn(&[Death<'_>], &str) -> bool;

/// A sign of a race.
#[derive(Clone, Copy)]
pub struct RaceSign {
    /// Its name.
    pub name: &'static str,
    holds: RaceQuestion,
}

/// What must hold for a module before a race in it is claimed.
pub const RACE_SIGNS: &[RaceSign] = &[
    RaceSign { name: "differently", holds: |deaths, _| differ(deaths) },
    RaceSign {
        name: "threads-in-it",
        holds: |deaths, module| deaths.iter().all(|death| death.scene.busy_in(module) > 1),
    },
    RaceSign {
        name: "died-in-it",
        holds: |deaths, module| deaths.iter().all(|death| death.scene.died_in(module)),
    },
];

/// A run's death, and what is said of it.
#[derive(Debug, Clone, Copy)]
pub struct Death<'a> {
    /// Where its threads were.
    pub scene: &'a Scene,
    /// The run's finding.
    pub finding: &'a Finding,
}

/// The one finding that all these deaths of a command are, or `None`: they stay what each of them
/// is. A sign named in `without` is not asked: tests prove with it that each is needed.
#[must_use]
pub fn data_race(deaths: &[Death<'_>], without: Option<&str>) -> Option<Finding> {
    let asked = || RACE_SIGNS.iter().filter(|sign| without != Some(sign.name));
    let holds = |module: &&String| asked().all(|sign| (sign.holds)(deaths, module));
    let modules = modules(deaths);
    let candidates: Vec<&String> = modules.iter().filter(holds).collect();
    let module = chosen(deaths, &candidates)?;
    finding(deaths, module)
}

/// Whether the same identity would not do, because signals, places or classes differ.
fn differ(deaths: &[Death<'_>]) -> bool {
    let Some((first, others)) = deaths.split_first() else { return false };
    let way = |death: &Death<'_>| {
        (death.scene.signal.clone(), death.scene.top.clone(), death.finding.class.clone())
    };
    others.iter().any(|other| other.finding.id != first.finding.id && way(other) != way(first))
}

/// All modules that a thread was at work in, in their order by name.
fn modules(deaths: &[Death<'_>]) -> Vec<String> {
    let mut names: Vec<String> = within(deaths).map(|within| within.module.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn within<'a>(deaths: &'a [Death<'_>]) -> impl Iterator<Item = &'a Within> {
    let threads = deaths.iter().flat_map(|death| &death.scene.threads);
    threads.flat_map(|thread| &thread.modules)
}

/// The one that all deaths are blamed on anyway. Where there is none: the outermost library, as a
/// race breaks what lies below it; the program itself only where no library comes into question.
fn chosen<'a>(deaths: &[Death<'_>], candidates: &[&'a String]) -> Option<&'a String> {
    let blames = |name: &str| {
        let mut culprits = deaths.iter().map(|death| death.finding.culprit.as_ref());
        culprits.all(|culprit| culprit.is_some_and(|culprit| culprit.module == name))
    };
    if let Some(common) = candidates.iter().find(|name| blames(name)) {
        return Some(common);
    }
    let outermost = |name: &str| {
        let threads = deaths.iter().flat_map(|death| &death.scene.threads);
        let first_of = threads.filter(|thread| {
            let mut modules = thread.modules.iter().map(|within| within.module.as_str());
            let first = modules.find(|one| candidates.iter().any(|other| other.as_str() == *one));
            first == Some(name)
        });
        first_of.count()
    };
    let is_library = |name: &str| file_name(name).contains(".so");
    let key = |name: &str| (is_library(name), outermost(name), std::cmp::Reverse(name.to_owned()));
    candidates.iter().max_by_key(|name| key(name)).copied()
}

/// The most frequent, and of equals the first.
fn commonest<'a, T: Ord + ?Sized>(of: impl Iterator<Item = &'a T>) -> Option<&'a T> {
    let mut counts: BTreeMap<&T, (usize, std::cmp::Reverse<usize>)> = BTreeMap::new();
    for (at, one) in of.enumerate() {
        counts.entry(one).or_insert((0, std::cmp::Reverse(at))).0 += 1;
    }
    counts.into_iter().max_by_key(|(_, rank)| *rank).map(|(one, _)| one)
}

fn finding(deaths: &[Death<'_>], module: &str) -> Option<Finding> {
    let code = commonest(deaths.iter().map(|death| death.finding.code.as_str()));
    let of_code = deaths.iter().filter(|death| Some(death.finding.code.as_str()) == code);
    // Its first one has kept its evidence.
    let id = commonest(of_code.map(|death| death.finding.id.as_str()));
    let shown = deaths.iter().find(|death| Some(death.finding.id.as_str()) == id)?.finding;
    let ways = ways(deaths);
    let name = file_name(module);
    let mut finding = Finding {
        class: RACE_CLASS.to_owned(),
        title: format!("{} deaths in {} ways, with threads in {name}", deaths.len(), ways.len()),
        culprit: Some(culprit(deaths, module)),
        ..shown.clone()
    };
    let signs = u32::try_from(RACE_SIGNS.len()).unwrap_or(u32::MAX);
    finding.likely_cause = Some(LikelyCause {
        rule: RACE_CLASS.to_owned(),
        text: RACE_TEXT.to_owned(),
        signs,
        of: signs,
    });
    let rest = ways.len().saturating_sub(NAMED_MAX);
    let named = ways.into_iter().take(NAMED_MAX).map(|(way, count)| format!("{count} {way}"));
    let mut named = named.collect::<Vec<_>>().join("; ");
    if rest > 0 {
        named.push_str(&format!("; {rest} ways more"));
    }
    let busy = deaths.iter().map(|death| death.scene.busy_in(module).to_string());
    let busy = busy.collect::<Vec<_>>().join(", ");
    let own = vec![
        evidence("all runs", named),
        evidence("all stacks", format!("threads at work in {name}, death by death: {busy}")),
    ];
    finding.evidence = [own, shown.evidence.clone()].concat();
    Some(seal_by(finding, vec![format!("class={RACE_CLASS}"), format!("module={module}")]))
}

/// Signals and innermost frames with their counts, the most frequent first.
fn ways(deaths: &[Death<'_>]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for Death { scene, .. } in deaths {
        *counts.entry(format!("{} in {}", scene.signal, scene.top)).or_insert(0) += 1;
    }
    let mut ways: Vec<(String, usize)> = counts.into_iter().collect();
    ways.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    ways
}

/// The module, with the function by which most threads had entered it.
fn culprit(deaths: &[Death<'_>], module: &str) -> Culprit {
    let own = || within(deaths).filter(|within| within.module == module);
    let function = commonest(own().filter_map(|within| within.function.as_deref()));
    Culprit {
        module: module.to_owned(),
        function: function.map(str::to_owned),
        file: None,
        line: None,
        build_id: own().find_map(|within| within.build_id.clone()),
        function_start: None,
    }
}
