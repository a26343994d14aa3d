//! What a program's own crash handlers said, beside what was seen from outside.
//!
//! Deliberately absent: trust in them; a handler runs in the process that has just broken.

use super::finding::Evidence;
use super::signals::signal_name;
use super::signs::evidence;
use crate::observe::{Crash, Observation};

/// How CPython's faulthandler begins (Modules/faulthandler.c), and the words for its signals.
const FAULTHANDLER: &str = "Fatal Python error: ";
/// The same of an abort.
pub(crate) const FAULTHANDLER_ABORT: &str = "Fatal Python error: Aborted";
const FAULT_WORDS: [(&str, &str); 5] = [
    ("Segmentation fault", "SIGSEGV"),
    ("Bus error", "SIGBUS"),
    ("Aborted", "SIGABRT"),
    ("Floating point exception", "SIGFPE"),
    ("Illegal instruction", "SIGILL"),
];
/// Signals that a report may name.
const NAMES: [&str; 6] = ["SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP"];

/// A line for each handler that spoke, with agreement or disagreement.
pub(crate) fn handler_lines(observation: &Observation, crash: &Crash) -> Vec<Evidence> {
    if !crash.through_handler {
        // Whatever was printed was not of this death.
        return Vec::new();
    }
    let own = signal_name(crash.siginfo.known().map_or(crash.signal, |info| info.signal));
    let verdict = |told: &str| {
        if told == own {
            "as seen from outside".to_owned()
        } else {
            format!("outside, {own} was seen")
        }
    };
    let mut lines = Vec::new();
    let stderr = &observation.output.stderr;
    let printed = stderr.tail.lines().chain(stderr.head.lines());
    let word = printed
        .filter_map(|line| line.strip_prefix(FAULTHANDLER))
        .find_map(|rest| FAULT_WORDS.iter().find(|(word, _)| rest.starts_with(word)));
    if let Some((word, told)) = word {
        lines.push(evidence("faulthandler", format!("it says {word}, {}", verdict(told))));
    }
    for report in &observation.handler_reports {
        let told = NAMES.iter().find(|name| report.text.contains(**name));
        let name = report.path.rsplit('/').next().unwrap_or(&report.path);
        let text = match told {
            Some(told) => format!("{name} says {told}, {}", verdict(told)),
            None => format!("{name} names no signal"),
        };
        lines.push(evidence("handler's file", text));
    }
    lines
}
