//! The exit status of the command, which is an API.
//!
//! Deliberately absent: 2, 70, 110, 130 and 143, which tell of the command itself.

use super::known::BaselineEntry;
use super::verdict::{PlanVerdict, Verdict};
use crate::diagnose::Code;

/// As expected.
const EXPECTED: i32 = 0;
/// Nothing ran, also: all skipped.
const NOTHING_RAN: i32 = 4;
/// What is required could not be observed.
const BLIND: i32 = 97;
/// A lifecycle failed.
const FAILED: i32 = 100;
/// An engine could not be started.
const NOT_STARTED: i32 = 101;

/// The exit status for these plans. A failed lifecycle outranks an engine that could not be
/// started, which outranks one that could not be observed.
///
/// An entry of the baseline that fails is a failed lifecycle, too: the list must shrink.
#[must_use]
pub fn exit_code(verdicts: &[PlanVerdict], baseline: &[BaselineEntry]) -> i32 {
    let entries = baseline.iter().filter(|entry| entry.fails).map(|_| FAILED);
    let worst = verdicts.iter().map(plan_code).chain(entries).max_by_key(|code| rank(*code));
    worst.unwrap_or(NOTHING_RAN)
}

fn plan_code(plan: &PlanVerdict) -> i32 {
    match plan.verdict {
        Verdict::AsExpected | Verdict::Known | Verdict::Fixed => EXPECTED,
        Verdict::New | Verdict::Flaky | Verdict::Expired => FAILED,
        Verdict::Skipped => NOTHING_RAN,
        Verdict::Blind => {
            let starts = [Code::NotStarted, Code::Refused, Code::NeverAttached].map(Code::text);
            let code = plan.blind_code.as_deref();
            if code.is_some_and(|code| starts.contains(&code)) { NOT_STARTED } else { BLIND }
        }
    }
}

/// Some skipped and some as expected is as expected.
fn rank(code: i32) -> u8 {
    match code {
        NOTHING_RAN => 0,
        EXPECTED => 1,
        BLIND => 2,
        NOT_STARTED => 3,
        _ => 4,
    }
}
