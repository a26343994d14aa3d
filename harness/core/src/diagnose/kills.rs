//! Signs of a command's death by SIGKILL, of which no process sees more than the end.
//!
//! Deliberately absent: who it was; the kernel tells nobody who sent a SIGKILL.

use super::facts::Facts;
use super::rule::Seen;
use super::signals;
use super::signs::line;
use crate::observe::{Ending, Kill};

/// The command's own death, where its last moments were seen; not that of what it made.
fn kill<'a>(facts: &Facts<'a>) -> Option<&'a Kill> {
    facts.observation.kill.as_ref().filter(|_| facts.crash.is_none())
}

pub(crate) fn is_killed(facts: &Facts<'_>) -> Option<Seen> {
    let is_kill = facts.observation.ending == Ending::Signaled(signals::SIGKILL);
    (is_kill && facts.crash.is_none()).then_some(Seen::Told)
}

/// None of its threads was in a call that sends SIGKILL to the process.
pub(crate) fn is_by_another(facts: &Facts<'_>) -> Option<Seen> {
    (!kill(facts)?.by_itself)
        .then(|| line("registers", "none of its own threads sent the signal".to_owned()))
}

/// The kernel counts the processes that it ends for want of memory.
pub(crate) fn is_counted(facts: &Facts<'_>) -> Option<Seen> {
    let count = kill(facts)?.out_of_memory.filter(|count| *count > 0)?;
    let processes = if count == 1 { "process" } else { "processes" };
    let text =
        format!("meanwhile the kernel ended {count} {processes} of its group for want of memory");
    Some(line("control group", text))
}
