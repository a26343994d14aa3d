//! The baseline as data: failures that are known, each with its issue and its last day.
//!
//! Deliberately absent: the file's format and the clock; the command reads both and hands them in.

use super::date::Date;
use super::known::KnownIssue;
use crate::diagnose::Finding;

/// One failure that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownFailure {
    /// The scenarios that may show it: a name, in which `*` stands for any text.
    pub scenario: String,
    /// The one plan that may show it, by its id; `None`: any plan of the scenario.
    pub plan: Option<String>,
    /// The finding's signature or id; `None`: the words below decide.
    pub signature: Option<String>,
    /// The finding's class.
    pub class: Option<String>,
    /// The finding's status word.
    pub status: Option<String>,
    /// The finding's phase.
    pub phase: Option<String>,
    /// Where it is tracked, a URL.
    pub issue: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Why it is accepted.
    pub reason: Option<String>,
    /// The last day on which it is accepted.
    pub expires: Date,
    /// The highest share of runs that may show it, 0 to 1.
    pub max_rate: f64,
    /// The lowest share of runs that is known to show it, above 0; `None`: not known.
    pub min_rate: Option<f64>,
    /// Its line in the baseline's file, from 1.
    pub line: u32,
}

/// All failures that are known, and the day on which that is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The file, for messages.
    pub file: String,
    /// Its entries, in its order.
    pub entries: Vec<KnownFailure>,
    /// Today.
    pub today: Date,
    /// Whether an entry whose failure is gone makes the command fail.
    pub strict_fixed: bool,
    /// Plans of this invocation and of the project whose passes do not tell that a failure is gone.
    pub unproven: Vec<Unproven>,
}

/// A plan of which no pass tells that its failure is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// The scenario's name.
    pub scenario: String,
    /// The plan's id; empty: not known.
    pub id: String,
    /// Why, a lowercase fragment.
    pub why: String,
}

/// A plan as an entry names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanName<'a> {
    /// The scenario's name; `plan` for a plan from the command line.
    pub scenario: &'a str,
    /// The plan's id.
    pub id: &'a str,
}

impl Baseline {
    /// A list of nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            file: String::new(),
            entries: Vec::new(),
            today: Date::from_days(0),
            strict_fixed: false,
            unproven: Vec::new(),
        }
    }

    /// The entries that name a plan, with their places in the list.
    pub fn naming(&self, plan: PlanName<'_>) -> impl Iterator<Item = (usize, &KnownFailure)> {
        self.entries.iter().enumerate().filter(move |(_, entry)| entry.names(plan))
    }

    /// Why it cannot be told that what the entry lists is gone: a plan that it names was not run,
    /// or not looked at as closely as it takes to see a failure.
    #[must_use]
    pub fn unproven(&self, entry: &KnownFailure) -> Option<&str> {
        let mut plans = self.unproven.iter();
        let named =
            |plan: &&Unproven| entry.names(PlanName { scenario: &plan.scenario, id: &plan.id });
        plans.find(named).map(|plan| plan.why.as_str())
    }

    /// An entry as reports tell it.
    #[must_use]
    pub fn issue(&self, entry: &KnownFailure) -> KnownIssue {
        KnownIssue {
            issue: entry.issue.clone(),
            owner: entry.owner.clone(),
            reason: entry.reason.clone(),
            expires: entry.expires.to_string(),
            days_left: self.today.days_until(entry.expires),
            place: format!("{}:{}", self.file, entry.line),
        }
    }
}

impl KnownFailure {
    /// Whether the plan may show it.
    #[must_use]
    pub fn names(&self, plan: PlanName<'_>) -> bool {
        self.plan.as_deref().is_none_or(|id| id == plan.id) && fits(&self.scenario, plan.scenario)
    }

    /// Whether the finding is this one.
    #[must_use]
    pub fn lists(&self, finding: &Finding) -> bool {
        let allows = |wanted: &Option<String>, word: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == word)
        };
        (allows(&self.signature, &finding.signature.value) || allows(&self.signature, &finding.id))
            && allows(&self.class, &finding.class)
            && allows(&self.status, &finding.status)
            && allows(&self.phase, &finding.phase)
    }

    /// The plans that it names, for people.
    #[must_use]
    pub fn selector(&self) -> String {
        match &self.plan {
            Some(plan) => format!("{} (plan {plan})", self.scenario),
            None => self.scenario.clone(),
        }
    }

    /// What it lists, for people.
    #[must_use]
    pub fn description(&self) -> String {
        let words = [&self.signature, &self.class, &self.status, &self.phase];
        words.into_iter().flatten().cloned().collect::<Vec<String>>().join(" ")
    }
}

/// Whether the whole name fits the pattern, in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // The first place is the best for all parts but the last, which must end the name.
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("swap", "swap"),
            ("*", "swap"),
            ("swap*", "swap"),
            ("swap-*", "swap-deadlock"),
            ("*-lock", "swap-lock"),
            ("s*a*p", "swap"),
            ("*a*", "swap"),
            ("**", ""),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("swap", "swap-deadlock"),
            ("swap-*", "swap"),
            ("*-lock", "swap-lock-free"),
            ("swap*swap", "swap"),
            ("a*b*c", "acb"),
            ("", "swap"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
