//! What a fixture's way to die, or not to go on, is taken for.
//!
//! Deliberately absent: the fixtures, and how they are run.

use serde_json::Value;

/// A way, and what is told of it.
pub(crate) struct Told {
    pub(crate) way: &'static str,
    pub(crate) class: &'static str,
    /// Empty: no rule fires.
    pub(crate) rule: &'static str,
    /// Part of the culprit function's name.
    pub(crate) function: &'static str,
}

pub(crate) const fn told(
    way: &'static str,
    class: &'static str,
    rule: &'static str,
    function: &'static str,
) -> Told {
    Told { way, class, rule, function }
}

/// The finding says what was expected of the way.
pub(crate) fn check(finding: &Value, told: &Told) {
    let rule = finding["likely_cause"]["rule"].as_str().unwrap_or_default();
    let class = finding["class"].as_str().unwrap_or_default();
    assert_eq!((class, rule), (told.class, told.rule), "{}: {finding:#}", told.way);
    let function = finding["culprit"]["function"].as_str().unwrap_or_default();
    assert!(function.contains(told.function), "{}: {finding:#}", told.way);
}
