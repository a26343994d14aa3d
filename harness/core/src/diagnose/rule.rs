//! What a rule is: a class with the signs that must all be seen, and how rules are asked.
//!
//! Deliberately absent: the rules themselves (`rules.rs`) and their signs (`signs.rs`).

use super::facts::Facts;
use super::finding::{Evidence, LikelyCause};

/// How a sign was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It adds a line of evidence.
    Line(Evidence),
    /// It adds more than one.
    Lines(Vec<Evidence>),
    /// The finding's first line of evidence (signal, code, thread, address) tells it already.
    Told,
}

/// A question to the facts.
pub(crate) type Question = fn(&Facts<'_>) -> Option<Seen>;

/// A named question to the facts.
#[derive(Clone, Copy)]
pub struct Sign {
    /// Its name, unique within a rule.
    pub name: &'static str,
    /// How it is seen; `None` where it is not.
    pub holds: Question,
}

pub(crate) const fn sign(name: &'static str, holds: Question) -> Sign {
    Sign { name, holds }
}

/// A class by mechanism. It fires only when every sign is seen.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// The class that it decides for.
    pub class: &'static str,
    /// The cause in one sentence.
    pub text: &'static str,
    /// Its signs, the most telling first.
    pub signs: &'static [Sign],
}

impl Rule {
    /// The evidence of all signs, or `None` when one is missing. A sign named in `without` is not
    /// asked: tests prove with it that each sign is needed.
    #[must_use]
    pub fn evidence(&self, facts: &Facts<'_>, without: Option<&str>) -> Option<Vec<Seen>> {
        self.signs
            .iter()
            .filter(|sign| without != Some(sign.name))
            .map(|sign| (sign.holds)(facts))
            .collect()
    }

    fn cause(&self) -> LikelyCause {
        let signs = u32::try_from(self.signs.len()).unwrap_or(u32::MAX);
        LikelyCause { rule: self.name.into(), text: self.text.into(), signs, of: signs }
    }
}

/// What the first rule that fires says.
pub(crate) struct Decision {
    pub(crate) class: &'static str,
    pub(crate) cause: LikelyCause,
    pub(crate) evidence: Vec<Evidence>,
}

/// The first rule of the table that fires; `None`: the class is unknown.
pub(crate) fn decide(rules: &[Rule], facts: &Facts<'_>) -> Option<Decision> {
    rules.iter().find_map(|rule| {
        let evidence = rule.evidence(facts, None)?;
        let evidence = evidence.into_iter().flat_map(|seen| match seen {
            Seen::Line(line) => vec![line],
            Seen::Lines(lines) => lines,
            Seen::Told => Vec::new(),
        });
        let evidence = evidence.collect();
        Some(Decision { class: rule.class, cause: rule.cause(), evidence })
    })
}

/// The class by what the same death shows each time; it alone is part of an identity.
pub(crate) fn lasting_class(rules: &[Rule], facts: &Facts<'_>) -> &'static str {
    decide(rules, &facts.without_chance()).map_or("unknown", |decision| decision.class)
}
