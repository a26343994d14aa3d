//! Rules that read the stack: where they fire without a line of text, and their twins.

use hotfire_core::diagnose::Evidence;
use hotfire_core::observe::{Crash, Exception, Fact, NO_HOST, SourceRecord};

use crate::build::{CHILD, Case, ledger_event, lock, standing_in, with_stack};
use crate::rules::{ABRT, RuleCases, SEGV, TERM, change, crashed, fault, sent};

const ABORT: [(&str, &str); 2] = [("libc.so.6", "raise"), ("libc.so.6", "abort")];
const XFSZ: i32 = 25;
const TERMINATE: (&str, &str) = ("libstdc++.so.6", "std::terminate()");

pub(crate) fn frames(middle: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let program = [("libengine.so", "engine::Session::step(int)"), ("hotfire", "main")];
    [&ABORT[..], middle, &program[..]].concat()
}

/// An abort whose stack goes through these frames.
pub(crate) fn aborted(middle: &[(&'static str, &'static str)]) -> Crash {
    with_stack(sent(ABRT, -6, CHILD), &frames(middle))
}

fn class(crash: Crash) -> String {
    crashed(crash).finding().class
}

fn thread_not_joined() -> RuleCases {
    let dropped = [TERMINATE, ("libengine.so", "std::thread::~thread()")];
    let through =
        |signal, code, sender| crashed(with_stack(sent(signal, code, sender), &frames(&dropped)));
    RuleCases {
        rule: "thread-not-joined",
        fires: through(ABRT, -6, CHILD),
        twins: vec![
            // Somebody's own call, below a thread's destructor or not.
            crashed(aborted(&[TERMINATE])),
            crashed(aborted(&[
                TERMINATE,
                ("libengine.so", "engine::give_up()"),
                ("libengine.so", "std::thread::~thread()"),
            ])),
            through(TERM, -6, CHILD),
            through(ABRT, 0, 9999),
        ],
    }
}

/// Nothing is mapped there, and nobody knows whether something was.
const GONE: u64 = 0x7f10_0000_0000;

/// A worker faults while main stands in these frames.
fn worker(signal: i32, code: i32, address: u64, main: &[(&str, &str)]) -> Case {
    let crash = change(fault(signal, code, address), |crash| {
        crash.victim.tid = 102;
        let own = standing_in(102, &[("libengine.so", "engine::Pool::work()")]);
        crash.threads = vec![standing_in(CHILD, main), own];
    });
    let mut case = crashed(crash);
    case.recorded().stage = hotfire_core::observe::HostStage::Exiting;
    case
}

/// Of an unmodified command.
fn of_command(mut case: Case) -> Case {
    case.observation.command = vec!["./engine".to_owned()];
    case.observation.recorder = Fact::Unavailable(NO_HOST.to_owned());
    case
}

const LEAVING: [(&str, &str); 2] =
    [("libengine.so", "engine::Table::~Table()"), ("libc.so.6", "exit")];
const JOINING: [(&str, &str); 3] =
    [("libc.so.6", "pthread_join"), ("libengine.so", "engine::stop()"), ("libc.so.6", "exit")];

/// CPython waits for its threads before it destroys anything.
fn waiting() -> Case {
    let main = [("libc.so.6", "do_futex_wait"), ("libpython3.11.so.1.0", "Py_FinalizeEx")];
    let mut case = worker(SEGV, 1, GONE, &main);
    case.observation.crash.as_mut().unwrap().threads[0].wait = lock(0x1000);
    case
}

fn use_after_destruction() -> RuleCases {
    let staying = [("libc.so.6", "read"), ("hotfire", "main")];
    let sent = || {
        let mut case = worker(SEGV, -6, GONE, &LEAVING);
        if let Some(Fact::Known(info)) = case.observation.crash.as_mut().map(|c| &mut c.siginfo) {
            info.sender = Some(CHILD);
        }
        case
    };
    RuleCases {
        rule: "use-after-destruction",
        fires: worker(SEGV, 1, GONE, &LEAVING),
        twins: vec![
            worker(SEGV, 1, GONE, &staying),
            worker(8, 1, GONE, &LEAVING),
            worker(SEGV, 1, 0, &LEAVING),
            sent(),
            worker(SEGV, 1, GONE, &JOINING),
            waiting(),
        ],
    }
}

#[test]
fn a_process_that_waits_for_its_threads_has_not_begun_to_leave() {
    let told = |case: Case| {
        let finding = of_command(case).finding();
        (finding.class, finding.code, finding.phase)
    };
    let run = ("unknown".to_owned(), "C101".to_owned(), "run".to_owned());
    assert_eq!(told(worker(SEGV, 1, GONE, &JOINING)), run);
    assert_eq!(told(waiting()), run);
    let leaving = told(worker(SEGV, 1, GONE, &LEAVING));
    assert_eq!(leaving, ("use-after-destruction".into(), "X201".into(), "exit".into()));
    // Libraries go one after the other, the caller of the join among them.
    let library = [("libc.so.6", "pthread_join"), ("ld-linux-x86-64.so.2", "_dl_fini")];
    let destroying = told(worker(SEGV, 1, GONE, &library));
    assert_eq!(destroying, ("unknown".into(), "X201".into(), "exit".into()));
}

/// It has begun to destroy, and joins only then: what the worker's owner still holds is gone.
#[test]
fn one_that_joins_too_late_has_destroyed_already() {
    let live = ledger_event(10, true, ("worker", 9, 1), (GONE, 0x1000));
    let case = || worker(SEGV, 1, GONE, &JOINING).with_ledger(vec![live.clone()]);
    assert_eq!(case().finding().class, "use-after-destruction");
    let released = ledger_event(20, false, ("worker", 9, 1), (0, 0));
    let case = worker(SEGV, 1, GONE, &JOINING).with_ledger(vec![live.clone(), released]);
    assert_eq!(case.finding().class, "use-after-free", "it may have been long ago");
}

/// A null pointer may have been null before.
#[test]
fn a_null_pointer_on_the_way_out_is_one() {
    let finding = of_command(worker(SEGV, 1, 0, &LEAVING)).finding();
    assert_eq!((finding.class.as_str(), finding.code.as_str()), ("null-dereference", "X201"));
    let told = |line: &Evidence| line.text.contains("in exit() while this thread still ran");
    assert!(finding.evidence.iter().any(told), "{:?}", finding.evidence);
}

const RAISED: [(&str, &str); 2] =
    [("libc.so.6", "raise"), ("libengine.so", "engine::Session::step(int)")];

fn raised_abort() -> RuleCases {
    let raised =
        |signal, sender, frames: &[_]| crashed(with_stack(sent(signal, -6, sender), frames));
    RuleCases {
        rule: "raised-abort",
        fires: raised(ABRT, CHILD, &RAISED),
        twins: vec![
            // A runtime ends the process, for a reason that nobody read.
            crashed(aborted(&[TERMINATE])),
            raised(TERM, CHILD, &RAISED),
            raised(ABRT, 9999, &RAISED),
            // Nobody could walk the stack: it may have been abort().
            crashed(sent(ABRT, -6, CHILD)),
        ],
    }
}

fn self_kill() -> RuleCases {
    RuleCases {
        rule: "self-kill",
        fires: crashed(sent(TERM, 0, CHILD)),
        twins: vec![
            crashed(sent(TERM, 0, 9999)),
            crashed(sent(TERM, 1, CHILD)),
            crashed(aborted(&[])),
            crashed(with_stack(sent(ABRT, -6, CHILD), &RAISED)),
            // Behind the limit of a file's size, the kernel signs with the writer's name.
            crashed(sent(XFSZ, 0, CHILD)),
        ],
    }
}

pub(crate) fn cases() -> Vec<RuleCases> {
    vec![thread_not_joined(), use_after_destruction(), raised_abort(), self_kill()]
}

#[test]
fn stacks_tell_what_nobody_could_read() {
    for (middle, told) in [
        (&[TERMINATE, ("libstdc++.so.6", "__cxa_throw")][..], "uncaught-exception"),
        (
            &[
                ("libstdc++.so.6", "__gxx_personality_v0"),
                ("libgcc_s.so.1", "_Unwind_RaiseException"),
            ],
            "uncaught-exception",
        ),
        (&[("libstdc++.so.6", "__cxa_pure_virtual")], "pure-virtual-call"),
        (&[("libc.so.6", "__assert_fail")], "assertion"),
        (&[("libstdc++.so.6", "std::__glibcxx_assert_fail(char const*, int)")], "assertion"),
        (&[("libc.so.6", "__fortify_fail"), ("libc.so.6", "__stack_chk_fail")], "stack-smashing"),
        (&[("libc.so.6", "__fortify_fail"), ("libc.so.6", "__chk_fail")], "out-of-bounds"),
        (&[TERMINATE, ("libgcc_s.so.1", "_Unwind_ForcedUnwind")], "forced-unwind"),
        (&[("libengine.so", "core::panicking::panic_fmt")], "rust-panic"),
        (&[("libengine.so", "__rustc::rust_panic")], "rust-panic"),
        (&[], "explicit-abort"),
        // What they lead to without the telling frame.
        (&[TERMINATE], "unknown"),
        (&[("libc.so.6", "free")], "unknown"),
        (&[("libengine.so", "std::panicking::catch_unwind")], "explicit-abort"),
        // A frame far below: the exception was thrown and caught long before.
        (&[TERMINATE, ("libengine.so", "a()"), ("libstdc++.so.6", "__cxa_throw")], "unknown"),
    ] {
        assert_eq!(class(aborted(middle)), told, "{middle:?}");
    }
}

#[test]
fn a_stack_that_contradicts_a_line_wins() {
    let line = "terminate called after throwing an instance of 'std::bad_alloc'";
    // The line is another process's, or older: this one called abort() by itself.
    let case = crashed(aborted(&[])).saying(line);
    assert_eq!(case.finding().class, "explicit-abort");
    let own = [("libengine.so", "engine::log_and_abort()")];
    let case = crashed(aborted(&own)).saying("Assertion `n > 0' failed.");
    assert_eq!(case.finding().class, "assertion", "such a line is printed before abort()");
}

/// At -O2 the destructor has no frame of its own.
#[test]
fn an_inlined_destructor_of_a_thread_is_seen() {
    let inlined = |functions: &[&str]| {
        change(aborted(&[TERMINATE, ("libengine.so", "engine::Pool::stop()")]), |crash| {
            if let Fact::Known(stack) = &mut crash.threads[0].stack {
                let functions = functions.iter().map(|function| SourceRecord {
                    function: Some((*function).to_owned()),
                    inlined: true,
                    file: None,
                    line: None,
                });
                stack.frames[3].source = functions.collect();
            }
        })
    };
    let destructor = "std::thread::~thread()";
    let told = class(inlined(&["std::__terminate()", destructor, "engine::Worker::~Worker()"]));
    assert_eq!(told, "thread-not-joined");
    assert_eq!(class(inlined(&[])), "unknown");
    // Somebody's own call, inlined into what is inlined into the destructor.
    assert_eq!(class(inlined(&["engine::give_up()", destructor])), "unknown");
}

/// Many libraries have the C++ runtime linked in, some of them without names.
#[test]
fn a_runtime_that_is_linked_in_is_no_program() {
    let linked = [
        ("libengine.so", "__gnu_cxx::__verbose_terminate_handler()"),
        ("libengine.so", "__cxxabiv1::__terminate(void (*)())"),
        ("libengine.so", "std::terminate()"),
    ];
    let line = "terminate called without an active exception";
    assert_eq!(crashed(aborted(&linked)).saying(line).finding().class, "unknown");
    let thrown = [&linked[..], &[("libengine.so", "__cxa_throw")]].concat();
    assert_eq!(class(aborted(&thrown)), "uncaught-exception");
    let nameless = || {
        change(aborted(&[("libengine.so", "")]), |crash| {
            if let Fact::Known(stack) = &mut crash.threads[0].stack
                && let Fact::Known(location) = &mut stack.frames[2].location
            {
                location.function = None;
            }
        })
    };
    let thrown = "terminate called after throwing an instance of 'std::bad_alloc'";
    assert_eq!(crashed(nameless()).saying(thrown).finding().class, "uncaught-exception");
    assert_eq!(crashed(nameless()).finding().class, "unknown", "nobody read what it said");
    let mut said = crashed(nameless()).saying("the model is broken");
    said.observation.output.stderr.bytes = 20;
    assert_eq!(said.finding().class, "explicit-abort");
}

#[test]
fn the_c_librarys_own_message_outranks_what_was_printed() {
    let in_free = change(aborted(&[("libc.so.6", "free")]), |crash| {
        crash.last_words.message = Fact::Known("free(): double free detected in tcache 2".into());
    });
    let case = crashed(in_free).saying("malloc(): corrupted top size");
    let finding = case.finding();
    assert_eq!(finding.class, "double-free");
    assert!(finding.evidence.iter().any(|line| line.source == "process memory"));
}

#[test]
fn an_exception_is_named() {
    let throws = [TERMINATE, ("libstdc++.so.6", "__cxa_throw")];
    let named = |crash| {
        change(crash, |crash| {
            let what = Some("no layers".to_owned());
            crash.last_words.exception =
                Fact::Known(Exception { kind: "engine::Error".into(), what });
        })
    };
    let finding = crashed(named(aborted(&throws))).finding();
    assert_eq!(finding.exception.unwrap().kind, "engine::Error");
    // Called in a handler's landing pad: the exception is there, no frame of the throw is.
    assert_eq!(class(named(aborted(&[TERMINATE]))), "uncaught-exception");
    // A handler that aborts has caught it.
    assert_eq!(class(named(aborted(&[]))), "explicit-abort");
}

#[test]
fn templates_of_the_standard_library_are_nobodys() {
    let dropped = aborted(&[TERMINATE, ("libengine.so", "std::thread::~thread()")]);
    let culprit = crashed(dropped).finding().culprit.unwrap();
    assert_eq!(culprit.function.as_deref(), Some("engine::Session::step(int)"));
}
