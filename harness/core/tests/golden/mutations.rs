//! Rules with one thing wrong in them: each such mutation of each table changes what some stored
//! observation is told to be. So no sign can be lost, turned round or doubled unseen.
//!
//! A mutation is made by the way in which a table is asked, not in the code: a sign that is left
//! out, a sign that is turned round, a rule that is gone. Deliberately absent: what the signs
//! themselves get wrong, which the cases of each rule show.

use std::collections::{BTreeMap, BTreeSet};

use hotfire_core::diagnose::{
    BIRTH_RULES, CRASH_RULES, Facts, HANG_RULES, LEAK_RULES, LIVING_RULES, RISING_RULES, Rule, Sign,
};

use crate::build::Case;
use crate::rules::{RuleCases, all_cases};

/// Signs that only an earlier rule of the table makes superfluous, which decides for all that lacks
/// them. They stay, so that each rule says all that it needs, wherever it stands.
const COVERED: [(&str, &str, &str); 2] = [
    ("wild-pointer", "not-at-pc", "wild-jump"),
    ("lost-wakeup", "no-lost-threads", "fork-orphaned-lock"),
];

/// What is wrong with a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mutation {
    Without(&'static str),
    Inverted(&'static str),
    Gone,
}

use Mutation::{Gone, Inverted, Without};

/// A table of rules, with all stored observations that are told by it.
struct Table {
    name: &'static str,
    rules: &'static [Rule],
    /// Every rule is asked, not only up to the first that fires.
    asks_all: bool,
    cases: Vec<RuleCases>,
}

fn tables() -> Vec<Table> {
    let of = |name, rules: &'static [Rule], asks_all| {
        let is_of = |cases: &RuleCases| rules.iter().any(|rule| rule.name == cases.rule);
        Table { name, rules, asks_all, cases: all_cases().into_iter().filter(is_of).collect() }
    };
    let living = Table {
        name: "living",
        rules: LIVING_RULES,
        asks_all: false,
        cases: crate::living::cases(),
    };
    vec![
        of("crash", CRASH_RULES, false),
        of("hang", HANG_RULES, false),
        of("leak", LEAK_RULES, true),
        of("birth", BIRTH_RULES, false),
        of("rising", RISING_RULES, false),
        living,
    ]
}

/// What the table tells of this observation: each rule with its class, as a finding has both.
fn told(
    table: &Table,
    case: &Case,
    of: &str,
    mutation: Option<Mutation>,
) -> BTreeSet<(&'static str, &'static str)> {
    let context = case.context();
    let facts = Facts::new(&case.observation, &context);
    let fires = |rule: &&Rule| match mutation {
        Some(mutation) if rule.name == of => fires_mutated(rule, &facts, mutation),
        _ => rule.evidence(&facts, None).is_some(),
    };
    let count = if table.asks_all { usize::MAX } else { 1 };
    table.rules.iter().filter(fires).take(count).map(|rule| (rule.class, rule.name)).collect()
}

fn fires_mutated(rule: &Rule, facts: &Facts<'_>, mutation: Mutation) -> bool {
    let holds = |sign: &Sign| (sign.holds)(facts).is_some();
    match mutation {
        Without(name) => rule.evidence(facts, Some(name)).is_some(),
        Inverted(name) => rule.signs.iter().all(|sign| holds(sign) != (sign.name == name)),
        Gone => false,
    }
}

fn observations(table: &Table) -> impl Iterator<Item = &Case> {
    table.cases.iter().flat_map(|cases| std::iter::once(&cases.fires).chain(&cases.twins))
}

/// Whether some observation is told to be something else.
fn is_caught(table: &Table, rule: &Rule, mutation: Mutation) -> bool {
    let covered =
        COVERED.iter().find(|(name, sign, _)| *name == rule.name && mutation == Without(sign));
    if let Some((_, sign, by)) = covered {
        return is_covered(table, rule, sign, by);
    }
    observations(table).any(|case| {
        told(table, case, rule.name, None) != told(table, case, rule.name, Some(mutation))
    })
}

/// The rule's twins that lack the sign alone are the earlier rule's.
fn is_covered(table: &Table, rule: &Rule, sign: &'static str, by: &str) -> bool {
    let place = |name| table.rules.iter().position(|rule| rule.name == name);
    let lacks_it_alone = |case: &&Case| {
        let context = case.context();
        fires_mutated(rule, &Facts::new(&case.observation, &context), Inverted(sign))
    };
    let mut lacking = observations(table).filter(lacks_it_alone);
    place(by) < place(rule.name)
        && lacking.all(|case| told(table, case, "", None).iter().all(|(_, name)| *name == by))
}

#[test]
fn every_rule_has_one_case_and_a_near_miss_for_each_sign() {
    for table in tables() {
        let mut count: BTreeMap<&str, u32> = BTreeMap::new();
        for cases in &table.cases {
            *count.entry(cases.rule).or_default() += 1;
        }
        for rule in table.rules {
            assert_eq!(count.get(rule.name), Some(&1), "{}: {}", table.name, rule.name);
            let cases = table.cases.iter().find(|cases| cases.rule == rule.name).unwrap();
            let told = told(&table, &cases.fires, "", None);
            assert!(told.contains(&(rule.class, rule.name)), "{}: {told:?}", rule.name);
            for sign in rule.signs {
                let facts_differ = cases.twins.iter().any(|twin| {
                    let context = twin.context();
                    fires_mutated(
                        rule,
                        &Facts::new(&twin.observation, &context),
                        Inverted(sign.name),
                    )
                });
                assert!(facts_differ, "{}: no twin lacks the sign {} alone", rule.name, sign.name);
            }
        }
    }
}

#[test]
fn every_mutation_of_every_rule_is_caught() {
    let mut survivors = Vec::new();
    let mut count = 0;
    for table in tables() {
        for rule in table.rules {
            let signs = rule.signs.iter();
            let mutations = signs.flat_map(|sign| [Without(sign.name), Inverted(sign.name)]);
            for mutation in mutations.chain([Gone]) {
                count += 1;
                if !is_caught(&table, rule, mutation) {
                    survivors.push(match mutation {
                        Without(sign) => format!("{}: {} without {sign}", table.name, rule.name),
                        Inverted(sign) => {
                            format!("{}: {} with {sign} inverted", table.name, rule.name)
                        }
                        Gone => format!("{}: no {}", table.name, rule.name),
                    });
                }
            }
        }
    }
    assert!(survivors.is_empty(), "{} of {count} survive: {survivors:#?}", survivors.len());
}
