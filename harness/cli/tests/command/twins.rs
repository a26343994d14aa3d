//! Near-miss twins: for each class a program that has it, and programs that differ from that one in
//! one mechanism and must be told to be what they then are. `docs/twins.md` is made of this list and
//! of those that the other tests run: what stands there was told.
//!
//! `UPDATE_TWINS=1 cargo test -p hotfire --test command twins` writes that page. Deliberately absent:
//! running anything; each list stands with the test that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use hotfire_core::diagnose::{
    BIRTH_RULES, CRASH_RULES, HANG_RULES, LEAK_RULES, LIVING_RULES, RACE_CLASS, RISING_RULES,
};

use crate::told::{HEALTHY, Told};
use crate::{Case, births, classes, hangs, races, rising, runs};

mod families;
use families::{FAMILIES, Family};

pub(crate) const CASES: &[Case] = &[
    ("twins-of-every-class-are-told-apart", every_class_has_twins),
    ("twins-page-is-what-is-told", page),
];

/// Twins that each class has at least.
const TWINS_MIN: usize = 2;
const PAGE: &str = "docs/twins.md";

/// Every way of every program, by `PROGRAM WAY`.
fn all_told() -> BTreeMap<String, Told> {
    let of_plans = |cases: &[(Told, &str)]| cases.iter().map(|(told, _)| *told).collect::<Vec<_>>();
    let lists: [(&str, Vec<Told>); 27] = [
        ("deaths", classes::MEMORY.to_vec()),
        ("deaths", classes::JUMPS.to_vec()),
        ("deaths", classes::INSTRUCTIONS.to_vec()),
        ("deaths", classes::KILLED_BY_ITSELF.to_vec()),
        ("deaths", classes::FREED.to_vec()),
        ("deaths", classes::ABORTS.to_vec()),
        ("deaths", classes::MORE_ABORTS.to_vec()),
        ("deaths", classes::THREADS.to_vec()),
        ("deaths", classes::EXITS.to_vec()),
        ("deaths", classes::BEFORE_EXIT.to_vec()),
        ("deaths", classes::NEAR.to_vec()),
        ("sh", of_plans(classes::KILLED_SHELLS)),
        ("rust", classes::PANICKED.to_vec()),
        ("rust-unwinding", classes::UNWOUND.to_vec()),
        ("rust-checked", classes::CHECKED.to_vec()),
        ("python", classes::UNLOADED.to_vec()),
        ("hangs", [hangs::CIRCLES, hangs::EVENTS, hangs::FORKS].concat()),
        ("hangs", [hangs::LOOPS, hangs::OUTSIDE].concat()),
        ("rust", hangs::RUSTS.to_vec()),
        ("python", hangs::PYTHONS.to_vec()),
        ("threads", births::BIRTHS.to_vec()),
        ("descriptors", [&[rising::LEAKS][..], rising::HEALTHY, rising::NOTED].concat()),
        ("vector", races::RACES.to_vec()),
        (
            "plan",
            [runs::GROWING, runs::CONTRACTS, runs::BEATS].concat().iter().map(|it| it.0).collect(),
        ),
        ("loaded", of_plans(runs::LOADED)),
        ("sh", of_plans(runs::LEFTOVERS)),
        ("group", of_plans(runs::GROUPED)),
    ];
    let mut all = BTreeMap::new();
    let ungrouped = ("python", of_plans(runs::UNGROUPED));
    for (program, ways) in lists.into_iter().chain([ungrouped]) {
        for told in ways {
            let name = format!("{program} {}", told.way);
            assert!(all.insert(name.clone(), told).is_none(), "{name} stands there twice");
        }
    }
    all
}

/// A program of a list.
fn named<'a>(all: &'a BTreeMap<String, Told>, name: &str) -> &'a Told {
    all.get(name).unwrap_or_else(|| panic!("no list has {name}"))
}

/// What a class has twins for: all that a rule decides for, and what is found without one.
fn classes() -> BTreeSet<&'static str> {
    let tables = [CRASH_RULES, HANG_RULES, LIVING_RULES, LEAK_RULES, BIRTH_RULES, RISING_RULES];
    let of_rules = tables.into_iter().flatten().map(|rule| rule.class);
    let without_rules = [
        RACE_CLASS,
        "missed-heartbeat",
        "orphan-process",
        "contract-violation",
        "torn-result",
        "clean-exit",
        "nonzero-exit",
    ];
    of_rules.chain(without_rules).collect()
}

fn every_class_has_twins() {
    let all = all_told();
    let mut twins: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for family in FAMILIES {
        let base = named(&all, family.base);
        assert_eq!(base.truth, None, "{}: a base must be told", family.base);
        for (twin, change) in family.twins {
            let is = named(&all, twin).is();
            assert_ne!(is, base.class, "{twin} is no twin of {}: {change}", family.base);
            assert!(twins.entry(base.class).or_default().insert(*twin), "{twin} counts twice");
        }
    }
    for class in classes() {
        let count = twins.get(class).map_or(0, BTreeSet::len);
        assert!(count >= TWINS_MIN, "{class} has {count} twins");
    }
    let told: BTreeSet<&str> = twins.into_keys().collect();
    assert_eq!(told, classes(), "a class that no rule knows");
}

fn page() {
    let page = rendered(&all_told());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    if std::env::var_os("UPDATE_TWINS").is_some() {
        std::fs::write(file, page).unwrap();
        return;
    }
    let update = "UPDATE_TWINS=1 cargo test -p hotfire --test command twins";
    let now = std::fs::read_to_string(file).unwrap();
    assert!(page == now, "{PAGE} is not what the lists say: {update}");
}

const HEAD: &str = "# Twins

For each class a program that has it, and twins: programs that differ from it in one mechanism, and so are something else,
or are not to be told, or are healthy. Each is a real program that the tests run under `hotfire exec` or, as a plan of the
built-in engine, under `hotfire run`. None of them is in the gallery.

Made by `UPDATE_TWINS=1 cargo test -p hotfire --test command twins` from the lists that the tests run by; a test
compares it. `is` is the class by the mechanism that the program was written for, `told` what Hotfire says. `unknown` is what
it says where no rule fires, and right for what has no class; `no finding` is what it says of the healthy.

| programs | are in |
| --- | --- |
| deaths | C++, `harness/cli/tests/fixtures/classes/*.cc`, each built with -O0 and with -O2 |
| hangs | C++, `fixtures/hangs/*.cc` |
| threads, descriptors, vector | C, `fixtures/births.c`, `fixtures/rising.c`, `fixtures/races` |
| rust | `fixtures/classes/panics.rs` (panics abort; unwinding; with the compiler's checks), `fixtures/hangs/locks.rs` |
| python | `fixtures/classes/unload.py`, `fixtures/hangs/pythons.py`, CPython of the machine |
| sh, plan, loaded, group | the scripts and plans of `command/classes.rs` and `command/runs.rs`; `loaded` is a library in the engine's process, `group` a control group with little memory, shown only where one can be made |

Without twins here: `file-leak`, which nothing tells yet, and `ledger-violation`, which no engine here shows alone.
";

fn rendered(all: &BTreeMap<String, Told>) -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&summary(all));
    page.push_str(&matrix(all));
    page.push_str(&reasons(all));
    page.push_str("\n## Class by class\n\n");
    page.push_str("| class | program | twin | what is changed | is | told |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    let mut families: Vec<&Family> = FAMILIES.iter().collect();
    families.sort_by_key(|family| named(all, family.base).class);
    for family in families {
        let base = named(all, family.base);
        for (twin, change) in family.twins {
            let told = named(all, twin);
            writeln!(
                page,
                "| {} | {} | {twin} | {change} | {} | {} |",
                base.class,
                family.base,
                told.is(),
                told.class
            )
            .unwrap();
        }
    }
    page
}

fn summary(all: &BTreeMap<String, Told>) -> String {
    let right = all.values().filter(|told| told.truth.is_none()).count();
    let silent = |told: &&Told| told.truth.is_some() && ["unknown", HEALTHY].contains(&told.class);
    let silent = all.values().filter(silent).count();
    let twins: usize = FAMILIES.iter().map(|family| family.twins.len()).sum();
    format!(
        "\n**{} programs: {right} told as they are, {silent} `unknown` or `{HEALTHY}` though they have a class, {} told as \
         another one. {twins} twins of {} classes.**\n",
        all.len(),
        all.len() - right - silent,
        classes().len(),
    )
}

/// What programs are, by what they are told.
fn matrix(all: &BTreeMap<String, Told>) -> String {
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for told in all.values() {
        *counts.entry((told.is(), told.class)).or_default() += 1;
    }
    let of_both = counts.keys().flat_map(|(is, told)| [*is, *told]);
    let names: BTreeSet<&str> =
        of_both.filter(|name| ![HEALTHY, "unknown"].contains(name)).collect();
    let names: Vec<&str> = names.into_iter().chain(["unknown", HEALTHY]).collect();
    let mut text = "\n## Confusion matrix\n\nRows: what a program is; columns, by the number of their row: what it is told.\n\n```text\n"
        .to_owned();
    write!(text, "{:26}", "").unwrap();
    (1..=names.len()).for_each(|number| write!(text, "{number:>3}").unwrap());
    text.push('\n');
    for (row, is) in (1..).zip(&names) {
        write!(text, "{row:>2} {is:23}").unwrap();
        for told in &names {
            match counts.get(&(*is, *told)) {
                Some(count) => write!(text, "{count:>3}").unwrap(),
                None => text.push_str("  ·"),
            }
        }
        text.push('\n');
    }
    text.push_str("```\n");
    text
}

/// Why some are not told as they are.
fn reasons(all: &BTreeMap<String, Told>) -> String {
    let mut text = "\nOff the diagonal:\n\n".to_owned();
    for (name, told) in all {
        if let Some((class, why)) = told.truth {
            writeln!(text, "- {name} is {class}, told {}: {why}.", told.class).unwrap();
        }
    }
    text
}
