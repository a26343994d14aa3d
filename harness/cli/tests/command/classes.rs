//! `hotfire exec` on small programs that die in a way of their own each: the class, the rule and
//! whose code it was. Every class stands beside a twin that differs in one mechanism.
//!
//! Deliberately absent: the built-in engine's defects, which have scenarios.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Case;
use crate::told::{Told, check, healthy, told, unknown};
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] = &[
    ("class-of-accesses-to-memory", memory),
    ("class-of-jumps", jumps),
    ("class-of-instructions-and-calls", instructions),
    ("class-of-kills", kills),
    ("class-of-freed-memory", freed),
    ("class-of-aborts", aborts),
    ("class-of-aborts-that-nobody-can-read", unread_aborts),
    ("class-of-aborts-with-a-handler", handled_aborts),
    ("class-of-exceptions-by-name", exceptions),
    ("class-of-threads", threads),
    ("class-of-deaths-at-exit", exits),
    ("class-of-near-misses", near),
    ("class-of-panics", panics),
    ("class-of-unloaded-libraries", unloaded),
];

const HEADER: (&str, &str) = ("deaths.h", include_str!("../fixtures/classes/deaths.h"));
const SOURCES: [(&str, &str); 5] = [
    ("main.cc", include_str!("../fixtures/classes/main.cc")),
    ("memory.cc", include_str!("../fixtures/classes/memory.cc")),
    ("aborts.cc", include_str!("../fixtures/classes/aborts.cc")),
    ("exits.cc", include_str!("../fixtures/classes/exits.cc")),
    ("near.cc", include_str!("../fixtures/classes/near.cc")),
];
const PANICS: (&str, &str) = ("panics.rs", include_str!("../fixtures/classes/panics.rs"));
const LIBRARY: (&str, &str) = ("library.c", include_str!("../fixtures/classes/library.c"));
const UNLOAD: &str = include_str!("../fixtures/classes/unload.py");

/// Built once per content; tests that run at the same time build aside and rename.
pub(crate) fn built(name: &str, sources: &[(&str, &str)], compiler: &[&str]) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (sources, compiler).hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
    let program = folder.join(format!("{name}-{:016x}", hasher.finish()));
    if program.exists() {
        return program;
    }
    std::fs::create_dir_all(&folder).unwrap();
    let aside = tempfile::tempdir_in(&folder).unwrap();
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).arg("-o").arg(aside.path().join(name));
    for (file, text) in sources {
        std::fs::write(aside.path().join(file), text).unwrap();
        if !file.ends_with(".h") {
            command.arg(aside.path().join(file));
        }
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The first one stays: programs of tests beside this one run from it.
    if std::fs::hard_link(aside.path().join(name), &program).is_err() && !program.exists() {
        std::fs::rename(aside.path().join(name), &program).unwrap();
    }
    program
}

fn deaths() -> PathBuf {
    let compiler = ["c++", "-std=c++17", "-O0", "-g", "-pthread", "-Wall", "-Wextra", "-Werror"];
    built("deaths", &[&[HEADER][..], &SOURCES[..]].concat(), &compiler)
}

/// The same as programs are shipped: functions are inlined, and calls become jumps.
fn optimised_deaths() -> PathBuf {
    let compiler = ["c++", "-std=c++17", "-O2", "-g", "-pthread", "-w"];
    built("optimised", &[&[HEADER][..], &SOURCES[..]].concat(), &compiler)
}

fn panicker(flags: &[&str]) -> PathBuf {
    let compiler = [&["rustc", "--edition=2021", "-Copt-level=1"], flags].concat();
    built("panics", &[PANICS], &compiler)
}

/// The finding of a death.
fn finding(workshop: &Workshop, command: &[&str]) -> Value {
    crate::told::finding(workshop, &[], command)
}

fn check_all(cases: &[Told]) {
    let (workshop, plain, optimised) = (Workshop::new(), deaths(), optimised_deaths());
    for case in cases {
        check(&finding(&workshop, &[plain.to_str().unwrap(), case.way]), case);
        let finding = finding(&workshop, &[optimised.to_str().unwrap(), case.way]);
        // Whose function it was depends on what was inlined.
        check(&finding, &Told { function: "", ..*case });
    }
}

pub(crate) const MEMORY: &[Told] = &[
    told("null-read", "null-dereference", "null-dereference", "read_number"),
    told("null-member", "null-dereference", "null-dereference", "null_member"),
    told("null-virtual-call", "null-dereference", "null-dereference", "call_area"),
    told("null-element", "null-dereference", "null-array", "element"),
    told("wild-read", "wild-pointer", "wild-pointer", "read_number"),
    told("wild-write", "wild-pointer", "wild-pointer", "wild_write"),
    told("kernel-read", "wild-pointer", "wild-pointer", "read_number"),
    told("poison-read", "non-canonical-address", "non-canonical-address", "read_number"),
    told("indexed-overrun", "out-of-bounds", "out-of-mapping", "element"),
    // Both go to the same place: what the pointer was made for, nobody can see.
    unknown("overrun", "fill").though(
        "out-of-bounds",
        "the pointer leads to a hole: what it was made for, nobody can see",
    ),
    told("late-unmapped-write", "use-after-free", "unmapped-memory", "fill"),
    told("forked-unmapped-read", "use-after-free", "unmapped-memory", "read_number"),
    // Of a parent with one thread, nobody looks at its birth; of one that never had it there.
    unknown("forked-alone-unmapped-read", "read_number")
        .though("use-after-free", "nobody looked at the mappings while the memory was there"),
    unknown("forked-after-unmapping-read", "read_number")
        .though("use-after-free", "nobody looked at the mappings while the memory was there"),
    unknown("guarded-read", "read_number"),
    told("read-only-write", "write-to-read-only", "write-to-read-only", "fill"),
    told("endless-recursion", "stack-overflow", "stack-overflow", "recurse"),
    told("endless-recursion-in-thread", "stack-overflow", "stack-overflow", "recurse"),
    told("far-null-member", "null-dereference", "null-member", "set_layers"),
    told("huge-array", "stack-overflow", "stack-overflow", "large_array"),
    told("truncated-nameless-file", "file-truncated", "file-truncated", "read_number"),
    told("truncated-memory-file", "file-truncated", "file-truncated", "read_number"),
    told("huge-frame", "stack-overflow", "stack-overflow", "large_frame"),
    told("truncated-file", "file-truncated", "file-truncated", "read_number"),
    told("misaligned", "misaligned", "misaligned", "misaligned"),
];

fn memory() {
    check_all(MEMORY);
}

pub(crate) const JUMPS: &[Told] = &[
    told("null-call", "null-dereference", "null-call", "null_call"),
    told("wild-call", "wild-jump", "wild-jump", "wild_call"),
    told("poison-call", "non-canonical-address", "non-canonical-address", "poison_call"),
    told("data-call", "wild-jump", "wild-jump", ""),
    told("unloaded-call", "code-unloaded", "code-unloaded", "unloaded_call"),
    // The same without a look in time at the code that was there.
    told("hole-call", "wild-jump", "unmapped-call", "hole_call"),
    told("wild-return", "wild-jump", "wild-return", "wild_return"),
    told("zero-return", "wild-jump", "null-return", ""),
];

fn jumps() {
    check_all(JUMPS);
}

pub(crate) const INSTRUCTIONS: &[Told] = &[
    told("illegal", "illegal-instruction", "illegal-instruction", "illegal"),
    told("divide", "divide-error", "divide-error", "divide"),
    told("seccomp-trap", "seccomp", "seccomp", "forbidden_call"),
    told("seccomp-kill", "seccomp", "seccomp-kill", "forbidden_call"),
    told("kill-itself-sys", "self-kill", "self-kill", "kill_itself_sys"),
    told("kill-itself", "self-kill", "self-kill", "kill_itself"),
    unknown("file-size-limit", "file_size_limit"),
    healthy("seccomp-error"),
    healthy("seccomp-allow"),
];

fn instructions() {
    check_all(INSTRUCTIONS);
    // Of a grandchild, whose parent goes on.
    let program = deaths();
    let script = ["sh", "-c", "\"$0\" seccomp-kill; true", program.to_str().unwrap()];
    let of_grandchild = finding(&Workshop::new(), &script);
    check(&of_grandchild, &told("seccomp-kill", "seccomp", "seccomp-kill", "forbidden_call"));
    assert_eq!(of_grandchild["victim"]["relation"], "descendant");
    let evidence = finding(&Workshop::new(), &[deaths().to_str().unwrap(), "file-size-limit"]);
    assert!(evidence["evidence"].to_string().contains("RLIMIT_FSIZE is 4096 bytes"));
    let evidence = finding(&Workshop::new(), &[deaths().to_str().unwrap(), "seccomp-kill"]);
    assert!(evidence["evidence"].to_string().contains("forbids getppid"), "{evidence:#}");
}

pub(crate) const KILLED_BY_ITSELF: &[Told] = &[
    healthy("kill-9"),
    healthy("kill-9-queued"),
    healthy("kill-9-by-descriptor"),
    healthy("kill-9-by-thread"),
];

const KILLED: &str = "external-kill";

/// Of a shell that runs the text: by a process that it made; by one while it is in a call that has
/// sent a signal to itself, another one; by other signals; not at all.
pub(crate) const KILLED_SHELLS: &[(Told, &str)] = &[
    (told("killed-by-child", KILLED, "killed", ""), "sh -c 'kill -KILL $PPID'; sleep 120"),
    (
        told("killed-while-stopped", KILLED, "killed", ""),
        "(until grep -q 'State:.[Tt]' /proc/$$/status; do sleep 0.01; done; kill -KILL $$) & kill -STOP $$",
    ),
    (healthy("terminated-by-child"), "sh -c 'kill -TERM $PPID'; sleep 120"),
    (unknown("aborted-by-child", ""), "sh -c 'kill -ABRT $PPID'; sleep 120"),
    (healthy("child-kills-nobody"), "sh -c 'kill -0 $PPID'"),
    (healthy("kills-child"), "sleep 120 & kill -KILL $!"),
];

/// Who ends itself meant to; who is ended by another, did not.
fn kills() {
    let (workshop, program) = (Workshop::new(), deaths());
    for Told { way, .. } in KILLED_BY_ITSELF {
        let done = workshop.run(&["exec", "--", program.to_str().unwrap(), way]);
        let note = "note: the command sent SIGKILL to itself, which is no finding\n";
        assert_eq!((done.status, done.stderr.as_str()), (137, note), "{way}");
    }
    for (case, text) in KILLED_SHELLS {
        let finding = finding(&workshop, &["sh", "-c", text]);
        check(&finding, case);
        let is_kill = finding["status"] == "SIGKILL" && finding["code"] == "C108";
        assert_eq!(is_kill, case.class == KILLED, "{finding:#}");
    }
}

pub(crate) const FREED: &[Told] = &[
    told("freed-small", "use-after-free", "freed-block", "call_area"),
    told("freed-large", "use-after-free", "freed-block", "call_area"),
    told("freed-listed-node", "use-after-free", "freed-block", "value_of"),
    told("freed-fast-node", "use-after-free", "freed-block", "value_of"),
    unknown("recycled-node", "value_of")
        .though("use-after-free", "the block is in use again, and nobody keeps who had it before"),
    // The same words in a block that is in use again.
    unknown("recycled", "call_area"),
];

fn freed() {
    check_all(FREED);
}

pub(crate) const ABORTS: &[Told] = &[
    told("throw-error", "uncaught-exception", "uncaught-exception", "throw_error"),
    told("throw-code", "uncaught-exception", "uncaught-exception", "throw_code"),
    told("throw-through-noexcept", "uncaught-exception", "uncaught-exception", "throw_error"),
    told("abort-in-handler", "explicit-abort", "explicit-abort", "abort_in_handler"),
    unknown("terminate", "terminate"),
    told("free-twice", "double-free", "double-free", "free_twice"),
    told("overwrite-flags", "heap-corruption", "heap-corruption", "overwrite_flags"),
    unknown("rethrow-nothing", "rethrow_nothing"),
    told("free-inside", "heap-corruption", "heap-corruption", "free_inside"),
    told("overwrite-size", "heap-corruption", "heap-corruption", "overwrite_size"),
    told("assert", "assertion", "assertion", "assert_fails"),
    told("smash-stack", "stack-smashing", "stack-smashing", "smash"),
    told("fortified-copy", "out-of-bounds", "buffer-overflow", "copy_name"),
    told("call-pure", "pure-virtual-call", "pure-virtual-call", "call"),
];

pub(crate) const MORE_ABORTS: &[Told] = &[
    told("plain-abort", "explicit-abort", "explicit-abort", "plain_abort"),
    told("raise-abort", "explicit-abort", "raised-abort", "raise_abort"),
    told("said-assertion", "assertion", "assertion", "said_assertion"),
    told("old-assertion", "explicit-abort", "explicit-abort", "old_assertion"),
    // A runtime's line, and the signal by another way than a runtime's.
    told("logged-terminate", "explicit-abort", "raised-abort", "logged_terminate"),
    // A runtime's line, printed by a program that aborts by itself.
    told("abort-with-text", "explicit-abort", "explicit-abort", "abort_with_text"),
];

fn aborts() {
    check_all(ABORTS);
    check_all(MORE_ABORTS);
}

/// The same with an output that nobody keeps, as a terminal's: class, and identity.
fn unread_aborts() {
    let (workshop, program) = (Workshop::new(), deaths());
    let program = program.to_str().unwrap();
    let text = "exec \"$0\" \"$1\" 2> /dev/null";
    let said = told("said-assertion", "explicit-abort", "explicit-abort", "said_assertion");
    let raised = told("raise-abort", "explicit-abort", "raised-abort", "raise_abort");
    for case in ABORTS.iter().chain([&said, &raised]) {
        let unread = finding(&workshop, &["sh", "-c", text, program, case.way]);
        assert_eq!(unread["output_tail"], Value::Null, "{}", case.way);
        check(&unread, case);
        let read = finding(&workshop, &[program, case.way]);
        assert_eq!(unread["signature"], read["signature"], "{}", case.way);
    }
}

/// A handler of the program's own sees the abort first: the same death.
fn handled_aborts() {
    let (workshop, program) = (Workshop::new(), deaths());
    let program = program.to_str().unwrap();
    let thread = told("drop-thread", "thread-not-joined", "thread-not-joined", "drop_thread");
    let raised = told("raise-abort", "explicit-abort", "raised-abort", "raise_abort");
    for case in ABORTS.iter().chain([&thread, &raised]) {
        let plain = finding(&workshop, &[program, case.way]);
        for how in ["at-once", "returned"] {
            let handled = finding(&workshop, &[program, case.way, how]);
            check(&handled, case);
            // One that has returned leaves nothing behind.
            let told = handled["evidence"].to_string().contains("a handler saw it first");
            assert_eq!(told, how == "at-once", "{}: {handled:#}", case.way);
            assert_eq!(handled["signature"], plain["signature"], "{} {how}", case.way);
            assert_eq!(handled["exception"], plain["exception"], "{} {how}", case.way);
        }
    }
}

fn exceptions() {
    let (workshop, program) = (Workshop::new(), deaths());
    let exception =
        |way| finding(&workshop, &[program.to_str().unwrap(), way])["exception"].clone();
    let error = exception("throw-error");
    assert_eq!(error["type"], "(anonymous namespace)::ModelError");
    assert_eq!(error["what"], "the model has no layers");
    let code = exception("throw-code");
    assert_eq!(
        (&code["type"], &code["what"]),
        (&"(anonymous namespace)::Code".into(), &Value::Null)
    );
    assert_eq!(exception("terminate"), Value::Null);
    let assertion = &finding(&workshop, &[program.to_str().unwrap(), "assert"])["assertion"];
    assert!(assertion.as_str().unwrap().contains("Assertion `layers > 0"), "{assertion}");
}

pub(crate) const THREADS: &[Told] = &[
    told("throw-in-thread", "uncaught-exception", "uncaught-exception", "throw_error"),
    told("drop-thread", "thread-not-joined", "thread-not-joined", "drop_thread"),
    told("replace-thread", "thread-not-joined", "thread-not-joined", "replace_thread"),
    told("forced-unwind", "forced-unwind", "forced-unwind", "leave_quietly"),
    told("forced-unwind-swallowed", "forced-unwind", "forced-unwind", "swallowing"),
];

fn threads() {
    check_all(THREADS);
}

pub(crate) const EXITS: &[Told] = &[
    told("worker-outlives-statics", "use-after-destruction", "use-after-destruction", "use_rows"),
    told("worker-reads-null-at-exit", "null-dereference", "null-dereference", "use_rows").though(
        "use-after-destruction",
        "what is null may have been null before: told is what is sure",
    ),
    told("at-exit-null", "null-dereference", "null-dereference", "at_exit_null"),
    told("at-exit-abort", "explicit-abort", "explicit-abort", "at_exit_abort"),
];

/// Nothing has been destroyed; nothing uses what is.
pub(crate) const BEFORE_EXIT: &[Told] = &[
    told("worker-before-exit", "null-dereference", "null-dereference", "use_rows"),
    told("worker-joined-at-exit", "wild-pointer", "wild-pointer", "use_rows"),
    healthy("worker-joined-before-exit"),
];

fn exits() {
    let (workshop, program) = (Workshop::new(), deaths());
    for case in EXITS {
        let finding = finding(&workshop, &[program.to_str().unwrap(), case.way]);
        assert_eq!((&finding["phase"], &finding["status"]), (&"exit".into(), &"EXIT-CRASH".into()));
        check(&finding, case);
    }
    for case in BEFORE_EXIT {
        let finding = finding(&workshop, &[program.to_str().unwrap(), case.way]);
        check(&finding, case);
        let is_before = finding["phase"] == "run" && finding["status"] == "SIGSEGV";
        assert!(is_before || finding.is_null(), "{finding:#}");
    }
}

pub(crate) const PANICKED: &[Told] = &[
    told("panic", "rust-panic", "rust-panic", "panics::main"),
    told("index", "rust-panic", "rust-panic", "panics::main"),
    healthy("index-within"),
    healthy("add"),
    told("abort", "explicit-abort", "explicit-abort", "panics::main"),
    told("overflow", "stack-overflow", "stack-overflow", "panics::depth"),
];
pub(crate) const UNWOUND: &[Told] = &[
    // A panic of a thread that is long gone.
    told("caught", "explicit-abort", "explicit-abort", "panics::main"),
    healthy("panic"),
];
/// The compiler has put a check behind the sum.
pub(crate) const CHECKED: &[Told] = &[told("add", "rust-panic", "rust-panic", "panics::main")];

fn panics() {
    let workshop = Workshop::new();
    let text = "exec \"$0\" \"$1\" 2> /dev/null";
    for (flags, cases) in [
        (&["-Cpanic=abort"][..], PANICKED),
        (&["-Cpanic=unwind"], UNWOUND),
        (&["-Cpanic=abort", "-Cdebug-assertions=on"], CHECKED),
    ] {
        let program = panicker(flags);
        let program = program.to_str().unwrap();
        for case in cases {
            check(&finding(&workshop, &[program, case.way]), case);
            check(&finding(&workshop, &["sh", "-c", text, program, case.way]), case);
        }
    }
}

pub(crate) const UNLOADED: &[Told] = &[
    told("unloaded-function", "code-unloaded", "code-unloaded", ""),
    told("unloaded-data", "use-after-free", "unmapped-memory", ""),
    healthy("loaded-twice"),
];

fn unloaded() {
    let workshop = Workshop::new();
    workshop.write("unload.py", UNLOAD);
    let library = built("library.so", &[LIBRARY], &["cc", "-shared", "-fPIC", "-O1"]);
    for case in UNLOADED {
        let command = ["python3", "unload.py", case.way, library.to_str().unwrap()];
        check(&finding(&workshop, &command), case);
    }
}

/// What the other programs do, with one thing changed.
pub(crate) const NEAR: &[Told] = &[
    healthy("valid-read"),
    told("unmade-virtual-call", "null-dereference", "null-dereference", "call_unmade"),
    healthy("free-behind-call"),
    healthy("free-two"),
    healthy("free-null-twice"),
    healthy("fill-exactly"),
    healthy("fill-name-exactly"),
    healthy("copy-fitting"),
    healthy("indexed-within"),
    healthy("recursion-with-end"),
    unknown("below-thread-stack", "read_number").though(
        "out-of-bounds",
        "the guard may be met from anywhere: which array the pointer comes from, nobody can see",
    ),
    healthy("executable-call"),
    told("forgotten-mprotect", "wild-jump", "wild-jump", "call_made_code"),
    told("literal-write", "write-to-read-only", "write-to-read-only", "write_byte"),
    unknown("guarded-write", "write_byte"),
    healthy("read-only-read"),
    healthy("made-writable"),
    healthy("removed-file"),
    healthy("cut-within-page"),
    told("unmapped-file", "use-after-free", "unmapped-memory", "read_number"),
    healthy("unaligned-store"),
    told("aligned-store-to-null", "null-dereference", "null-dereference", "to_null"),
    unknown("breakpoint", "breakpoint"),
    unknown("privileged", "privileged"),
    told("raise-illegal", "self-kill", "self-kill", "raise_illegal"),
    healthy("known-instruction"),
    healthy("divide-by-one"),
    told("divide-overflow", "divide-error", "divide-error", "divide_overflow"),
    healthy("divide-float"),
    unknown("trapped-divide-float", "divide_float").though(
        "divide-error",
        "no rule knows traps of floating-point numbers, which few programs turn on",
    ),
    told("raise-division", "self-kill", "self-kill", "raise_division"),
    healthy("caught-error"),
    healthy("assertion-holds"),
    healthy("exit-134"),
    healthy("survived-abort"),
    healthy("joined-thread"),
    healthy("detached-thread"),
    healthy("unwound-freely"),
    healthy("unwound-and-rethrown"),
    healthy("call-with-body"),
    healthy("call-when-made"),
    healthy("ignored-kill"),
    healthy("kill-child"),
];

fn near() {
    check_all(NEAR);
}
