//! Aborts: what was printed before them, who saw them first, and what of it is their identity.
//!
//! Deliberately absent: the rules' own cases (`calls.rs`, `rules.rs`).

use hotfire_core::observe::{Crash, Exception, Fact};

use crate::build::{CHILD, Case, with_stack};
use crate::calls::{aborted, frames};
use crate::rules::{ABRT, SEGV, change, crashed, fault, sent};

fn class(case: &Case) -> String {
    case.finding().class
}

/// The same where nobody read the output: of a terminal, of a core file.
fn unread(case: &Case) -> Case {
    let mut case = case.clone();
    case.observation.output.stderr = Default::default();
    case
}

fn nameless() -> Crash {
    change(aborted(&[("libengine.so", "")]), |crash| {
        if let Fact::Known(stack) = &mut crash.threads[0].stack
            && let Fact::Known(location) = &mut stack.frames[2].location
        {
            location.function = None;
        }
    })
}

#[test]
fn what_was_printed_is_part_of_no_identity() {
    let assertion = "/x/engine.c:99: ENGINE_ASSERT(n > 0) failed";
    let thrown = "terminate called after throwing an instance of 'std::bad_alloc'";
    let panicked = "thread 'main' (100) panicked at src/lib.rs:3:5:";
    let unseen = || sent(ABRT, -6, CHILD);
    for (crash, line, told, lasting) in [
        (aborted(&[]), assertion, "assertion", "explicit-abort"),
        (unseen(), assertion, "assertion", "explicit-abort"),
        (unseen(), thrown, "uncaught-exception", "explicit-abort"),
        (unseen(), panicked, "rust-panic", "explicit-abort"),
        (nameless(), thrown, "uncaught-exception", "unknown"),
        (nameless(), "the model is broken", "explicit-abort", "unknown"),
    ] {
        let mut case = crashed(crash).saying(line);
        case.observation.output.stderr.bytes = 20;
        let (seen, unseen) = (case.finding(), unread(&case).finding());
        assert_eq!((seen.class.as_str(), unseen.class.as_str()), (told, lasting), "{line}");
        assert_eq!(seen.signature, unseen.signature, "{line}");
    }
}

#[test]
fn a_check_that_failed_long_ago_aborts_nothing() {
    let failed = "x.c:3: login: Assertion `n > 0' failed.";
    let told = |printed: &str| class(&crashed(aborted(&[])).saying(printed));
    assert_eq!(
        told(&format!("{failed}\nretry worked\nconfig mismatch: stopping")),
        "explicit-abort"
    );
    assert_eq!(told(&format!("{failed}\n")), "assertion");
    // What follows is the stack, by the program or by a handler of the abort.
    let stack = "libengine.so(engine_abort+0x12) [0x7f1234567890]";
    assert_eq!(told(&format!("{failed}\n{stack}\n{stack}\n\n")), "assertion");
    let handler = "Fatal Python error: Aborted\n\nThread 0x7f12 (most recent call first):";
    assert_eq!(told(&format!("{failed}\n{handler}\n  File \"a.py\", line 3 in f")), "assertion");
}

#[test]
fn a_panic_that_was_caught_aborts_nothing() {
    let own = "thread 'main' panicked at src/main.rs:2:5:";
    let other = "thread 'main' (7) panicked at src/main.rs:2:5:";
    assert_eq!(class(&crashed(sent(ABRT, -6, CHILD)).saying(own)), "rust-panic");
    assert_eq!(class(&crashed(sent(ABRT, -6, CHILD)).saying(other)), "explicit-abort");
    assert_eq!(class(&crashed(nameless()).saying(own)), "rust-panic", "no function has a name");
    // The stack shows that nothing panics.
    let abort = [("hotfire", "std::process::abort")];
    assert_eq!(class(&crashed(aborted(&abort)).saying(own)), "explicit-abort");
}

#[test]
fn a_runtimes_line_counts_only_where_a_runtime_may_have_aborted() {
    let line = "terminate called after throwing an instance of 'int'";
    let raised = [("libc.so.6", "raise"), ("libengine.so", "engine::give_up()")];
    let case = crashed(with_stack(sent(ABRT, -6, CHILD), &raised)).saying(line);
    assert_eq!(case.finding().likely_cause.unwrap().rule, "raised-abort");
    let by_runtime = crashed(aborted(&[("libstdc++.so.6", "std::terminate()")])).saying(line);
    assert_eq!(class(&by_runtime), "uncaught-exception");
}

#[test]
fn nothing_is_thrown_again_without_an_exception() {
    let again = [("libstdc++.so.6", "std::terminate()"), ("libstdc++.so.6", "__cxa_rethrow")];
    let case = crashed(aborted(&again)).saying("terminate called without an active exception");
    assert_eq!(class(&case), "unknown");
    let thrown = crashed(change(aborted(&again), |crash| {
        let exception = Exception { kind: "engine::Error".into(), what: None };
        crash.last_words.exception = Fact::Known(exception);
    }));
    assert_eq!(class(&thrown), "uncaught-exception");
}

#[test]
fn a_failed_free_of_an_overwritten_block_is_no_second_one() {
    let case = |line: &str| {
        crashed(change(aborted(&[("libc.so.6", "free")]), |crash| {
            crash.last_words.message = Fact::Known(line.to_owned());
        }))
    };
    assert_eq!(class(&case("double free or corruption (!prev)")), "heap-corruption");
    assert_eq!(class(&case("double free or corruption (fasttop)")), "double-free");
}

/// The same death with a handler that speaks and lets it through: by the same signal, or by
/// another abort.
fn handled(
    crash: &Crash,
    handler: &[(&'static str, &'static str)],
    (module, function): (&str, &str),
) -> Case {
    let below = crash.threads[0].stack.known().unwrap().frames.clone();
    let trampoline = [("libc.so.6", "__restore_rt")];
    let above =
        [&[("libc.so.6", "raise")][..], handler, &[(module, function)], &trampoline].concat();
    let mut crash = with_stack(crash.clone(), &above);
    if let Fact::Known(stack) = &mut crash.threads[0].stack {
        stack.frames.last_mut().unwrap().signal_trampoline = true;
        stack.frames.extend(below);
    }
    crashed(crash)
}

#[test]
fn a_handler_that_lets_an_abort_through_changes_nothing() {
    let python = ("libpython3.11.so.1.0", "faulthandler_fatal_error");
    let logger = ("libengine.so", "logging::on_failure(int)");
    let throws = [("libstdc++.so.6", "std::terminate()"), ("libstdc++.so.6", "__cxa_throw")];
    let raised = [("libc.so.6", "raise"), ("libengine.so", "engine::give_up()")];
    for (crash, told) in [
        (aborted(&[]), "explicit-abort"),
        (aborted(&[("libc.so.6", "__assert_fail")]), "assertion"),
        (aborted(&throws), "uncaught-exception"),
        (aborted(&[("libstdc++.so.6", "__cxa_pure_virtual")]), "pure-virtual-call"),
        (with_stack(sent(ABRT, -6, CHILD), &raised), "explicit-abort"),
    ] {
        let without = crashed(crash.clone()).finding();
        assert_eq!(without.class, told);
        for (handler, place) in
            [(&[][..], python), (&[][..], logger), (&[("libc.so.6", "abort")][..], logger)]
        {
            let with = handled(&crash, handler, place).finding();
            assert_eq!(with.class, told, "{place:?}");
            assert_eq!((&with.signature, &with.culprit), (&without.signature, &without.culprit));
            let lets = |text: &str| text.contains("a handler saw it first");
            assert!(with.evidence.iter().any(|line| lets(&line.text)), "{:?}", with.evidence);
        }
    }
}

#[test]
fn a_handler_that_speaks_of_an_abort_is_checked() {
    let python = ("libpython3.11.so.1.0", "faulthandler_fatal_error");
    let case = handled(&aborted(&[]), &[], python).saying("Fatal Python error: Aborted");
    let evidence = case.finding().evidence;
    assert!(
        evidence.iter().any(|line| line.text.contains("it says Aborted, as seen")),
        "{evidence:?}"
    );
}

/// A handler of another signal, which came while the program did something else.
#[test]
fn what_a_handler_of_another_signal_interrupted_is_no_cause() {
    let asserting =
        with_stack(sent(ABRT, -6, CHILD), &frames(&[("libc.so.6", "__assert_fail")])[2..]);
    let python = ("libpython3.11.so.1.0", "faulthandler_fatal_error");
    let finding = handled(&asserting, &[], python).finding();
    assert_eq!(finding.class, "unknown", "who sent the first one, nobody saw");
}

#[test]
fn a_fault_whose_handler_aborts_is_the_fault() {
    let plain = crashed(fault(SEGV, 1, 0x18)).finding();
    let aborted = crashed(change(fault(SEGV, 1, 0x18), |crash| {
        (crash.signal, crash.through_handler) = (ABRT, true);
    }));
    let aborted = aborted.finding();
    assert_eq!((&aborted.code, &aborted.status), (&plain.code, &plain.status));
    assert_eq!(aborted.signature, plain.signature);
    let dies = |text: &str| text.contains("its handler then died of SIGABRT");
    assert!(aborted.evidence.iter().any(|line| dies(&line.text)));
}
