//! What a program's way to die, not to go on or to live is taken for: the class, the rule and whose
//! code it was. The lists of such ways stand with the tests that run them; `twins` reads them.
//!
//! Deliberately absent: how programs are built.

use serde_json::Value;

use crate::workshop::Workshop;

/// In place of a class: nothing is wrong.
pub(crate) const HEALTHY: &str = "no finding";
/// No rule fires.
pub(crate) const NONE: &str = "";

/// What a program's way is taken for.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) way: &'static str,
    pub(crate) class: &'static str,
    pub(crate) rule: &'static str,
    /// Part of the culprit function's name.
    pub(crate) function: &'static str,
    /// Which class it is, and why it is told to be none.
    pub(crate) truth: Option<(&'static str, &'static str)>,
}

pub(crate) const fn told(
    way: &'static str,
    class: &'static str,
    rule: &'static str,
    function: &'static str,
) -> Told {
    Told { way, class, rule, function, truth: None }
}

/// No rule fires, and none should.
pub(crate) const fn unknown(way: &'static str, function: &'static str) -> Told {
    told(way, "unknown", NONE, function)
}

pub(crate) const fn healthy(way: &'static str) -> Told {
    told(way, HEALTHY, NONE, "")
}

impl Told {
    /// The class by its mechanism, where it is not told, and the reason.
    pub(crate) const fn though(self, class: &'static str, why: &'static str) -> Self {
        Self { truth: Some((class, why)), ..self }
    }

    /// What it is by its mechanism.
    pub(crate) fn is(&self) -> &'static str {
        self.truth.map_or(self.class, |(class, _)| class)
    }
}

/// The first finding of a command, or null.
pub(crate) fn finding(workshop: &Workshop, options: &[&str], command: &[&str]) -> Value {
    let arguments = [&["exec"], options, &["--json", "out.json", "--"], command].concat();
    let done = workshop.run(&arguments);
    let finding = workshop.json("out.json")["findings"][0].clone();
    assert_eq!(done.status == 100, !finding.is_null(), "{command:?}: {}", done.stderr);
    finding
}

pub(crate) fn check(finding: &Value, told: &Told) {
    let rule = finding["likely_cause"]["rule"].as_str().unwrap_or(NONE);
    let class = finding["class"].as_str().unwrap_or(HEALTHY);
    assert_eq!((class, rule), (told.class, told.rule), "{}: {finding:#}", told.way);
    let function = finding["culprit"]["function"].as_str().unwrap_or_default();
    assert!(function.contains(told.function), "{}: {function}", told.way);
}
