//! Deaths by SIGKILL: by the process itself, by another, for want of memory.
//!
//! Deliberately absent: how it is seen who sent it; the command's tests show that.

use hotfire_core::observe::{Ending, Fact, Kill, NO_HOST};

use crate::build::{Case, crash, descendant, healthy};
use crate::rules::{RuleCases, SEGV, change};

const KILL: i32 = 9;

fn command(ending: Ending, kill: Option<Kill>) -> Case {
    let mut case = healthy("exit").ending(ending);
    case.observation.command = vec!["./engine".to_owned()];
    case.observation.recorder = Fact::Unavailable(NO_HOST.to_owned());
    case.observation.kill = kill;
    case
}

fn killed(by_itself: bool, out_of_memory: Option<u64>) -> Case {
    command(Ending::Signaled(KILL), Some(Kill { by_itself, out_of_memory }))
}

fn oom_kill() -> RuleCases {
    let seen = || Some(Kill { by_itself: false, out_of_memory: Some(1) });
    RuleCases {
        rule: "oom-kill",
        fires: killed(false, Some(1)),
        twins: vec![
            killed(false, Some(0)),
            killed(false, None),
            // Another process of its group had no memory left.
            killed(true, Some(1)),
            // Its threads were ended by SIGKILL, as an exec by one of them does: it went on.
            command(Ending::Exited(0), seen()),
            command(Ending::Signaled(15), seen()),
        ],
    }
}

fn by_another() -> RuleCases {
    RuleCases {
        rule: "killed",
        fires: killed(false, Some(0)),
        twins: vec![
            killed(true, Some(0)),
            // Nobody saw its last moments.
            command(Ending::Signaled(KILL), None),
            command(Ending::Signaled(15), Some(Kill { by_itself: false, out_of_memory: None })),
        ],
    }
}

pub(crate) fn cases() -> Vec<RuleCases> {
    vec![oom_kill(), by_another()]
}

#[test]
fn a_command_that_kills_itself_is_no_finding() {
    assert_eq!(killed(true, None).findings(), []);
    let unseen = command(Ending::Signaled(KILL), None).finding();
    assert_eq!((unseen.class.as_str(), unseen.code.as_str()), ("unknown", "C108"));
    let other = killed(false, None).finding();
    assert_eq!((other.class.as_str(), other.status.as_str()), ("external-kill", "SIGKILL"));
}

/// What a plan's engine does to its host is another matter.
#[test]
fn a_plan_whose_host_dies_of_it_has_not_asked_for_it() {
    let mut case = healthy("create a = reference; exit").in_step(1).ending(Ending::Signaled(KILL));
    case.observation.kill = Some(Kill { by_itself: true, out_of_memory: None });
    assert_eq!(case.finding().code, "C108");
}

/// The finding of a process that it made is about that process.
#[test]
fn a_killed_command_says_nothing_of_what_it_made() {
    let of_another = change(crash(SEGV, 2, Some(0x18)), |crash| {
        (crash.victim.pid, crash.victim.tid, crash.victim.is_child) = (102, 102, false);
    });
    let mut case = killed(true, None).crashed(of_another);
    let end = hotfire_core::observe::DescendantEnd::Signaled(SEGV);
    case.observation.descendants.push(descendant(102, end));
    let finding = case.finding();
    assert_eq!((finding.status.as_str(), finding.class.as_str()), ("SIGSEGV", "unknown"));
}
