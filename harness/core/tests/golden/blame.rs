//! Whose fault a death is, and which of its facts make its identity.

use hotfire_core::observe::{Crash, Fact, FrameCycle};

use crate::build::{CHILD, Case, SP, mapping, with_stack};
use crate::rules::{ABRT, SEGV, change, crashed, fault, sent};

const KILL: i32 = 9;
const XCPU: i32 = 24;
const SI_KERNEL: i32 = 128;

/// The death of a command: no plan, no steps.
fn of_command(crash: Crash, command: &str) -> Case {
    let mut case = crashed(crash);
    case.observation.command = vec![command.to_owned()];
    case.observation.recorder = Fact::Unavailable("a command has none".to_owned());
    if let Some(crash) = &mut case.observation.crash {
        crash.victim.command = format!("/usr/bin/{command} --serve");
    }
    case
}

fn faulting_in(frames: &[(&str, &str)]) -> Crash {
    with_stack(fault(SEGV, 1, 0), frames)
}

#[test]
fn a_function_with_standard_parameters_is_the_programs_own() {
    let frames = [
        ("libc.so.6", "memcpy"),
        ("app", "void std::vector<int, std::allocator<int> >::push_back(int const&)"),
        ("app", "process(std::vector<int, std::allocator<int> >&)"),
        ("app", "main"),
    ];
    let culprit = of_command(faulting_in(&frames), "app").finding().culprit.unwrap();
    assert!(culprit.function.unwrap().starts_with("process("));
}

/// The stack is used up in `leaf`, below recursion through `walk` and `visit`.
fn recursion(leaf: &str) -> Crash {
    let frames = [
        ("app", leaf),
        ("app", "walk(Node*)"),
        ("app", "visit(Node*)"),
        ("app", "walk(Node*)"),
        ("app", "visit(Node*)"),
        ("app", "main"),
    ];
    change(faulting_in(&frames), |crash| {
        crash.siginfo = fault(SEGV, 2, SP - 8).siginfo;
        let Fact::Known(map) = &mut crash.address_map else { panic!("no maps") };
        map.inside = Some(mapping(SP - 0x1000, SP, "---p", ""));
        map.above = Some(mapping(SP, SP + 0x80_0000, "rw-p", ""));
        let Fact::Known(stack) = &mut crash.threads[0].stack else { panic!("no stack") };
        stack.cycle = Some(FrameCycle { first: 1, length: 2, times: 40_000 });
    })
}

#[test]
fn recursion_is_one_finding_whichever_function_used_up_the_stack() {
    let found = |leaf| of_command(recursion(leaf), "app").finding();
    let (one, other) = (found("allocate(int)"), found("visit(Node*)"));
    assert_eq!(one.class, "stack-overflow");
    assert_eq!(one.culprit.as_ref().unwrap().function.as_deref(), Some("visit(Node*)"));
    assert_eq!(one.id, other.id);
}

#[test]
fn what_came_from_elsewhere_is_nobodys_fault() {
    let busy = |signal, code, sender, function| {
        let crash = with_stack(sent(signal, code, sender), &[("app", function), ("app", "main")]);
        of_command(crash, "app").finding()
    };
    for (signal, code, sender) in [(ABRT, 0, 9999), (KILL, 0, 9999), (XCPU, SI_KERNEL, 0)] {
        let (one, other) = (busy(signal, code, sender, "f"), busy(signal, code, sender, "g"));
        assert_eq!((one.culprit, other.culprit), (None, None), "signal {signal}");
        assert_eq!(one.id, other.id, "it is met wherever it is");
    }
    let raised = busy(ABRT, 0, CHILD, "f");
    assert_eq!(raised.culprit.unwrap().function.as_deref(), Some("f"));
    let general_protection = busy(SEGV, SI_KERNEL, 0, "f");
    assert!(general_protection.culprit.is_some());
}

#[test]
fn without_a_culprit_programs_are_told_apart() {
    let id = |program: &str, function| {
        let unknown = |crash: &mut Crash| crash.location = Fact::Unavailable("not read".to_owned());
        let crash = change(faulting_in(&[("libc.so.6", function)]), unknown);
        of_command(crash, program).finding().id
    };
    assert_eq!(id("app", "memcpy"), id("app", "memcpy"));
    assert_ne!(id("app", "memcpy"), id("server", "memcpy"));
    assert_ne!(id("app", "memcpy"), id("app", "strlen"));
}

#[test]
fn what_a_compiler_splits_off_is_the_same_function() {
    let id = |function| {
        let frames = [("app", function), ("app", "main")];
        of_command(faulting_in(&frames), "app").finding().id
    };
    assert_eq!(id("work"), id("work.constprop.0"));
    assert_eq!(id("work(int)"), id("work(int) [clone .isra.0]"));
    assert_ne!(id("work"), id("rest"));
}
