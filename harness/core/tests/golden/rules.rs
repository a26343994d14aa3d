//! Every rule fires where it should; a twin that lacks one sign is not taken for it; and no sign
//! is superfluous: without it, a twin would be.

use hotfire_core::diagnose::{
    BIRTH_RULES, CRASH_RULES, Facts, HANG_RULES, LEAK_RULES, RISING_RULES, Rule,
};
use hotfire_core::observe::{
    Crash, Descendant, DescendantEnd, Fact, LedgerEntry, Pointer, ResourceLimit,
};

use crate::build::{
    CHILD, CRASH_NS, Case, PC, SP, crash, descendant, healthy, ledger_event, mapping, with_stack,
};

pub(crate) const SEGV: i32 = 11;
pub(crate) const BUS: i32 = 7;
pub(crate) const ABRT: i32 = 6;
pub(crate) const FPE: i32 = 8;
const ILL: i32 = 4;
pub(crate) const TERM: i32 = 15;

const PLAN: &str = "create a = reference; load a tiny; generate a 16; exit";

/// A rule's case, and the twins that lack one sign each.
pub(crate) struct RuleCases {
    pub(crate) rule: &'static str,
    pub(crate) fires: Case,
    pub(crate) twins: Vec<Case>,
}

pub(crate) fn crashed(crash: Crash) -> Case {
    healthy(PLAN).in_step(3).crashed(crash)
}

pub(crate) fn fault(signal: i32, code: i32, address: u64) -> Crash {
    crash(signal, code, Some(address))
}

/// The same, with all mappings far away.
pub(crate) fn far_fault(signal: i32, code: i32, address: u64) -> Crash {
    change(fault(signal, code, address), |crash| {
        if let Fact::Known(map) = &mut crash.address_map {
            map.above = Some(mapping(0x7f10_0000_0000, 0x7f10_0001_0000, "r-xp", "/lib/libc.so"));
        }
    })
}

pub(crate) fn sent(signal: i32, code: i32, sender: i32) -> Crash {
    let mut crash = crash(signal, code, None);
    if let Fact::Known(info) = &mut crash.siginfo {
        info.sender = Some(sender);
    }
    crash
}

pub(crate) fn change(mut crash: Crash, change: impl FnOnce(&mut Crash)) -> Crash {
    change(&mut crash);
    crash
}

pub(crate) fn set_pc(crash: &mut Crash, pc: u64) {
    if let Fact::Known(registers) = &mut crash.registers {
        registers.rip = pc;
    }
}

fn set_sp(crash: &mut Crash, sp: u64) {
    if let Fact::Known(registers) = &mut crash.registers {
        registers.rsp = sp;
    }
}

fn set_address(crash: &mut Crash, address: u64) {
    if let Fact::Known(info) = &mut crash.siginfo {
        info.address = Some(address);
    }
}

fn set_inside(crash: &mut Crash, permissions: &str, file_bytes: Option<u64>) {
    if let Fact::Known(map) = &mut crash.address_map {
        let mut inside = mapping(0x7f10_0000_0000, 0x7f10_0001_0000, permissions, "/m/tiny.gguf");
        inside.file_bytes = file_bytes;
        map.inside = Some(inside);
    }
}

fn null_dereference() -> RuleCases {
    RuleCases {
        rule: "null-dereference",
        fires: crashed(fault(SEGV, 1, 0x18)),
        twins: vec![
            crashed(fault(SEGV, 1, 0x1_0000)),
            // A jump there is another matter.
            crashed(change(fault(SEGV, 1, 0x18), |crash| set_pc(crash, 0x18))),
            // NX or protection keys at a low address: vm.mmap_min_addr is 0 somewhere.
            crashed(fault(SEGV, 2, 0x18)),
            // BUS_ADRALN has the same number as SEGV_MAPERR.
            crashed(fault(BUS, 1, 0x18)),
        ],
    }
}

fn stack_overflow() -> RuleCases {
    let stack = |crash: &mut Crash| {
        if let Fact::Known(map) = &mut crash.address_map {
            map.inside = Some(mapping(SP - 0x1000, SP, "---p", ""));
            map.above = Some(mapping(SP, SP + 0x80_0000, "rw-p", ""));
        }
        set_sp(crash, SP + 0x40);
    };
    let overflow = change(fault(SEGV, 2, SP - 8), stack);
    RuleCases {
        rule: "stack-overflow",
        fires: crashed(overflow.clone()),
        twins: vec![
            // A guard page between code mappings.
            crashed(change(overflow.clone(), |crash| {
                if let Fact::Known(map) = &mut crash.address_map {
                    map.above = Some(mapping(SP, SP + 0x1000, "r-xp", "/opt/libengine.so"));
                }
            })),
            // The guard of another thread's stack, hit by a wild pointer.
            crashed(change(overflow.clone(), |crash| set_sp(crash, SP + 0x40_0000))),
            // A wild pointer, deep below a stack whose pointer stands right under it.
            crashed(change(overflow.clone(), |crash| {
                set_address(crash, SP - 0x100_0000);
                if let Fact::Known(map) = &mut crash.address_map {
                    map.inside = Some(mapping(SP - 0x200_0000, SP, "---p", ""));
                }
                set_sp(crash, SP - 8);
            })),
            crashed(change(change(fault(BUS, 2, SP - 8), stack), |_| {})),
        ],
    }
}

fn wild_jump() -> RuleCases {
    let at = 0x4141_4141_4141;
    let wild = change(far_fault(SEGV, 1, at), |crash| set_pc(crash, at));
    RuleCases {
        rule: "wild-jump",
        fires: crashed(wild.clone()),
        twins: vec![
            crashed(far_fault(SEGV, 1, at)),
            // Code that is mapped executable by now (a racing mmap).
            crashed(change(fault(SEGV, 1, 0x7f10_0000_0040), |crash| {
                set_pc(crash, 0x7f10_0000_0040);
                set_inside(crash, "r-xp", None);
            })),
            crashed(change(far_fault(BUS, 2, at), |crash| set_pc(crash, at))),
        ],
    }
}

fn write_to_read_only() -> RuleCases {
    let at = 0x7f10_0000_0040;
    let write = change(fault(SEGV, 2, at), |crash| set_inside(crash, "r--p", None));
    RuleCases {
        rule: "write-to-read-only",
        fires: crashed(write.clone()),
        twins: vec![
            crashed(change(write.clone(), |crash| set_inside(crash, "---p", None))),
            // A protection key forbids the read.
            crashed(change(fault(SEGV, 4, at), |crash| set_inside(crash, "r--p", None))),
            // Data run as code: also SEGV_ACCERR in a read-only mapping.
            crashed(change(write.clone(), |crash| set_pc(crash, at))),
            // Code that could not be run a moment before.
            crashed(change(fault(SEGV, 2, at), |crash| {
                set_pc(crash, at);
                set_inside(crash, "r-xp", None);
            })),
            crashed(change(fault(BUS, 2, at), |crash| set_inside(crash, "r--p", None))),
        ],
    }
}

fn non_canonical() -> RuleCases {
    // The instruction is mov (%rbx),%eax; rbx is the second general register.
    let set_rbx = |value: u64| {
        move |crash: &mut Crash| {
            if let Fact::Known(registers) = &mut crash.registers {
                registers.general[1] = value;
            }
        }
    };
    let poison = set_rbx(0xdead_beef_dead_beef);
    RuleCases {
        rule: "non-canonical-address",
        fires: crashed(change(fault(SEGV, 128, 0), poison)),
        twins: vec![
            // A misaligned SSE access is also a general protection fault.
            crashed(change(fault(SEGV, 128, 0), set_rbx(0x7f00_0000_0008))),
            crashed(change(fault(SEGV, 1, 0x1_0000), poison)),
            crashed(change(fault(TERM, 128, 0), poison)),
        ],
    }
}

fn file_truncated() -> RuleCases {
    let at = 0x7f10_0000_5000;
    let short = |crash: &mut Crash| set_inside(crash, "r--s", Some(0x4f00));
    RuleCases {
        rule: "file-truncated",
        fires: crashed(change(fault(BUS, 2, at), short)),
        twins: vec![
            // The file's last page is whole: the rest of it reads as zeros.
            crashed(change(fault(BUS, 2, 0x7f10_0000_4fff), short)),
            crashed(change(fault(BUS, 1, at), short)),
            // The memory itself is broken (BUS_MCEERR_AR).
            crashed(change(fault(BUS, 4, at), short)),
            crashed(change(change(fault(SEGV, 2, at), short), |crash| set_pc(crash, at))),
            // Nobody may touch it at all.
            crashed(change(fault(SEGV, 2, at), |crash| set_inside(crash, "---s", Some(0x4f00)))),
        ],
    }
}

fn use_after_free() -> RuleCases {
    let at = 0x7f20_0000_0800;
    let memory = (0x7f20_0000_0000, 0x1000);
    let tensor = ("tensor", 9, 1);
    let acquired = ledger_event(10, true, tensor, memory);
    let released = |time_ns| ledger_event(time_ns, false, tensor, (0, 0));
    let freed = vec![acquired.clone(), released(20)];
    let again = ledger_event(30, true, ("tensor", 10, 1), memory);
    RuleCases {
        rule: "use-after-free",
        fires: crashed(fault(SEGV, 1, at)).with_ledger(freed.clone()),
        twins: vec![
            crashed(fault(SEGV, 1, at + 0x1000)).with_ledger(freed.clone()),
            // Released only after the crash: the memory was live.
            crashed(fault(SEGV, 1, at)).with_ledger(vec![acquired.clone(), released(CRASH_NS + 1)]),
            crashed(fault(SEGV, 2, at)).with_ledger([freed.clone(), vec![again]].concat()),
            crashed(fault(FPE, 1, at)).with_ledger(freed),
        ],
    }
}

fn unmapped_under_its_owner() -> RuleCases {
    let at = 0x7f20_0000_0800;
    let memory = (0x7f20_0000_0000, 0x1000);
    let live = || vec![ledger_event(10, true, ("worker", 9, 1), memory)];
    RuleCases {
        rule: "unmapped-under-its-owner",
        fires: crashed(fault(SEGV, 1, at)).with_ledger(live()),
        twins: vec![
            crashed(fault(SEGV, 1, at + 0x1000)).with_ledger(live()),
            // Reserved, and not yet to be touched.
            crashed(fault(SEGV, 2, at)).with_ledger(live()),
            crashed(fault(BUS, 1, at)).with_ledger(live()),
        ],
    }
}

/// What the ledger tells of releases, whatever the address.
fn by_release(rule: &'static str, wrong: &[LedgerEntry], twins: &[Vec<LedgerEntry>]) -> RuleCases {
    let acquired = [
        ledger_event(10, true, ("model", 8, 0), (0, 0)),
        ledger_event(11, true, ("session", 9, 8), (0, 0)),
    ];
    let with =
        |crash, more: &[LedgerEntry]| crashed(crash).with_ledger([&acquired[..], more].concat());
    let at = 0x7f20_0000_0800;
    let right = twins.iter().map(|events| with(fault(SEGV, 1, at), events));
    let others = [with(fault(FPE, 1, at), wrong), with(sent(SEGV, 0, 9999), wrong)];
    RuleCases { rule, fires: with(fault(SEGV, 1, at), wrong), twins: right.chain(others).collect() }
}

fn releases() -> Vec<RuleCases> {
    let release = |time_ns, resource, id| ledger_event(time_ns, false, (resource, id, 0), (0, 0));
    let session = |time_ns| release(time_ns, "session", 9);
    let model = |time_ns| release(time_ns, "model", 8);
    vec![
        by_release(
            "released-twice",
            &[session(20), session(21)],
            // Once; twice, but the second time went well; only after the crash.
            &[
                vec![session(20)],
                vec![session(20), session(21), model(22)],
                vec![session(20), session(CRASH_NS + 1)],
            ],
        ),
        by_release(
            "owner-released",
            &[model(20)],
            // In the right order; the other way round, but nothing is left; after the crash.
            &[
                vec![session(20), model(21)],
                vec![model(20), session(21)],
                vec![model(CRASH_NS + 1)],
            ],
        ),
    ]
}

/// A cause that is told by a line: without the line, by another signal, sent by another process.
fn by_line(rule: &'static str, line: &str, other: &str) -> RuleCases {
    RuleCases {
        rule,
        fires: crashed(sent(ABRT, -6, CHILD)).saying(line),
        twins: vec![
            crashed(sent(ABRT, -6, CHILD)).saying(other),
            crashed(sent(TERM, -6, CHILD)).saying(line),
            crashed(sent(ABRT, 0, 9999)).saying(line),
        ],
    }
}

fn lines() -> Vec<RuleCases> {
    vec![
        by_line(
            "rust-panic",
            "thread 'main' (100) panicked at src/lib.rs:3:5:",
            // Another thread's, which was caught.
            "thread 'worker' (7) panicked at src/lib.rs:3:5:",
        ),
        by_line(
            "uncaught-exception",
            "terminate called after throwing an instance of 'std::runtime_error'",
            "terminate called without an active exception",
        ),
        by_line(
            "double-free",
            "free(): double free detected in tcache 2",
            // So it says, too, when the block's neighbour was written over.
            "double free or corruption (!prev)",
        ),
        by_line("heap-corruption", "corrupted size vs. prev_size", "malloc failed"),
        by_line(
            "stack-smashing",
            "*** stack smashing detected ***: terminated",
            "stack smashing is bad",
        ),
        by_line("pure-virtual-call", "pure virtual method called", "virtual call"),
        by_line(
            "assertion",
            "engine: session.cpp:12: step: Assertion `n > 0' failed.",
            "test_login: assert login_ok failed, retry 1",
        ),
        by_line(
            "forced-unwind",
            "FATAL: exception not rethrown",
            "terminate called without an active exception",
        ),
        by_line("buffer-overflow", "*** buffer overflow detected ***: terminated", "overflow"),
        explicit_abort(),
    ]
}

fn explicit_abort() -> RuleCases {
    let mut cases = by_line("explicit-abort", "the model is broken", "Assertion `n > 0' failed.");
    let raised = [("libc.so.6", "raise"), ("libengine.so", "step")];
    cases.twins.push(crashed(sent(ABRT, -6, 9999)));
    cases.twins.push(crashed(with_stack(sent(ABRT, -6, CHILD), &raised)));
    cases
}

fn senders() -> Vec<RuleCases> {
    vec![
        RuleCases {
            rule: "external-kill",
            fires: crashed(sent(TERM, 0, 9999)),
            twins: vec![crashed(sent(TERM, 0, CHILD)), crashed(sent(TERM, 1, 9999))],
        },
        RuleCases {
            rule: "divide-error",
            fires: crashed(fault(FPE, 1, PC)),
            twins: vec![crashed(fault(FPE, 3, PC)), crashed(fault(BUS, 1, PC))],
        },
        RuleCases {
            rule: "illegal-instruction",
            fires: crashed(fault(ILL, 2, PC)),
            twins: vec![
                crashed(fault(5, 2, PC)),
                crashed(sent(ILL, -6, CHILD)),
                // Sent by a process that it made.
                crashed(sent(ILL, 0, 102))
                    .with_descendant(descendant(102, DescendantEnd::Exited(0))),
            ],
        },
    ]
}

pub(crate) fn all_cases() -> Vec<RuleCases> {
    let mut cases = vec![
        use_after_free(),
        unmapped_under_its_owner(),
        stack_overflow(),
        wild_jump(),
        null_dereference(),
        write_to_read_only(),
        non_canonical(),
        file_truncated(),
    ];
    cases.extend(releases());
    cases.extend(lines());
    cases.extend(senders());
    cases.extend(crate::calls::cases());
    cases.extend(crate::accesses::cases());
    cases.extend(crate::kills::cases());
    cases.extend(crate::leaks::cases());
    cases.extend(crate::hangs::cases());
    cases.extend(crate::births::cases());
    cases.extend(crate::rising::cases());
    cases
}

fn all_rules() -> impl Iterator<Item = &'static Rule> {
    CRASH_RULES.iter().chain(HANG_RULES).chain(LEAK_RULES).chain(BIRTH_RULES).chain(RISING_RULES)
}

fn fires(rule: &Rule, case: &Case, without: Option<&str>) -> bool {
    let facts = Facts::new(&case.observation, &case.context());
    rule.evidence(&facts, without).is_some()
}

#[test]
fn each_rule_decides_its_own_case() {
    for cases in all_cases() {
        let finding = cases.fires.findings().remove(0);
        let cause = finding.likely_cause.unwrap_or_else(|| panic!("{}: no cause", cases.rule));
        assert_eq!(cause.rule, cases.rule);
        assert_eq!(cause.signs, cause.of);
    }
}

#[test]
fn no_twin_is_taken_for_the_rule() {
    for cases in all_cases() {
        let rule = all_rules().find(|rule| rule.name == cases.rule).unwrap();
        for (at, twin) in cases.twins.iter().enumerate() {
            assert!(!fires(rule, twin, None), "{} fires for its twin {at}", cases.rule);
            let findings = twin.findings();
            let causes = findings.iter().filter_map(|finding| finding.likely_cause.as_ref());
            let taken = causes.into_iter().any(|cause| cause.rule == rule.name);
            assert!(!taken, "{} twin {at}", cases.rule);
        }
    }
}

#[test]
fn without_any_one_sign_a_twin_would_be_taken_for_the_rule() {
    for rule in all_rules() {
        let all = all_cases();
        let cases = all.iter().find(|cases| cases.rule == rule.name);
        let cases = cases.unwrap_or_else(|| panic!("{} has no case", rule.name));
        for sign in rule.signs {
            let needed = cases.twins.iter().any(|twin| fires(rule, twin, Some(sign.name)));
            assert!(needed, "{}: no twin needs the sign {}", rule.name, sign.name);
        }
    }
}

#[test]
fn names_and_signs_are_unique() {
    let mut names: Vec<&str> = all_rules().map(|rule| rule.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all_rules().count());
    for rule in all_rules() {
        let mut signs: Vec<&str> = rule.signs.iter().map(|sign| sign.name).collect();
        signs.sort_unstable();
        signs.dedup();
        assert_eq!(signs.len(), rule.signs.len(), "{}", rule.name);
    }
}

#[test]
fn without_the_ledger_a_use_after_free_is_unknown() {
    let mut case = use_after_free().fires;
    case.ledger_used = false;
    let finding = case.finding();
    assert_eq!((finding.class.as_str(), finding.status.as_str()), ("unknown", "SIGSEGV"));
    assert_eq!(finding.likely_cause, None);
}

#[test]
fn without_siginfo_nothing_is_claimed() {
    let mut case = null_dereference().fires;
    let why = "the victim vanished".to_owned();
    case.observation.crash.as_mut().unwrap().siginfo = Fact::Unavailable(why);
    let finding = case.finding();
    assert_eq!(finding.class, "unknown");
    let said = |line: &hotfire_core::diagnose::Evidence| line.text.contains("the victim vanished");
    assert!(finding.evidence.iter().any(said), "what was not seen is said");
}

#[test]
fn the_main_stack_overflows_into_a_gap_without_a_guard_mapping() {
    let mut overflow = fault(SEGV, 1, SP - 8);
    if let Fact::Known(map) = &mut overflow.address_map {
        map.above = Some(mapping(SP, SP + 0x80_0000, "rw-p", "[stack]"));
    }
    assert_eq!(crashed(overflow).finding().class, "stack-overflow");
}

#[test]
fn a_frame_that_is_larger_than_the_stack_overflows_it() {
    // The array is used from its upper end on, far above the stack pointer.
    let overflow = |sp: u64| {
        change(fault(SEGV, 1, SP - 0x20_0000), |crash| {
            if let Fact::Known(map) = &mut crash.address_map {
                map.above = Some(mapping(SP, SP + 0x80_0000, "rw-p", "[stack]"));
            }
            set_sp(crash, sp);
        })
    };
    assert_eq!(crashed(overflow(SP - 0x400_0000)).finding().class, "stack-overflow");
    assert_eq!(crashed(overflow(SP + 0x100)).finding().class, "unknown", "its pointer is in it");
    // A thread's own stack lies far below the main one.
    let of_thread = change(overflow(SP - 0x400_0000), |crash| {
        let mapping = mapping(SP - 0x480_0000, SP - 0x3f0_0000, "rw-p", "");
        crash.pointers = vec![Pointer { value: SP - 0x400_0000, mapping }];
    });
    assert_eq!(crashed(of_thread).finding().class, "unknown");
}

#[test]
fn a_truncated_file_is_named() {
    let finding = file_truncated().fires.finding();
    assert_eq!(finding.file.as_deref(), Some("/m/tiny.gguf"));
    // A core file does not keep how long the file was.
    let mut of_core = file_truncated().fires;
    if let Some(Fact::Known(map)) = of_core.observation.crash.as_mut().map(|c| &mut c.address_map) {
        map.inside.as_mut().unwrap().file_bytes = None;
    }
    let of_core = of_core.finding();
    assert_eq!((of_core.class.as_str(), &of_core.signature), ("unknown", &finding.signature));
}

#[test]
fn a_limit_that_is_used_up_is_told() {
    let limited = change(sent(24, 128, 0), |crash| {
        let limit = ResourceLimit { name: "RLIMIT_CPU".into(), value: "1 s".into() };
        crash.limit = Some(limit);
    });
    let finding = crashed(limited).finding();
    assert!(finding.evidence.iter().any(|line| line.text == "RLIMIT_CPU is 1 s"));
}

#[test]
fn a_process_of_the_run_that_sent_the_signal_is_named() {
    let told = |sender| {
        let mut case = crashed(sent(ABRT, 0, sender));
        let timer = descendant(102, DescendantEnd::Exited(0));
        case.observation
            .descendants
            .push(Descendant { command: "timeout 1 ./engine".into(), ..timer });
        case.finding().evidence[0].text.clone()
    };
    let named = told(102);
    assert!(
        named.ends_with(", sent by pid 102 `timeout 1 ./engine`, a process of the run"),
        "{named}"
    );
    assert!(!told(9999).contains("sent by"), "the rule tells of one outside");
}

/// The classes of the JSON contract `hotfire/1`.
const CLASSES: &str = "null-dereference wild-pointer non-canonical-address use-after-free \
    double-free heap-corruption out-of-bounds stack-overflow wild-jump code-unloaded \
    write-to-read-only file-truncated misaligned illegal-instruction divide-error \
    uncaught-exception assertion explicit-abort thread-not-joined forced-unwind \
    pure-virtual-call rust-panic stack-smashing self-kill external-kill oom-kill seccomp \
    use-after-destruction data-race deadlock fork-orphaned-lock lost-wakeup busy-loop blocked-io \
    missed-heartbeat interpreter-lock-held orphan-process thread-leak fd-leak port-leak shm-leak \
    semaphore-leak file-leak memory-growth contract-violation torn-result ledger-violation \
    clean-exit nonzero-exit unknown";

#[test]
fn rules_decide_for_classes_of_the_contract() {
    for rule in all_rules() {
        assert!(CLASSES.split_whitespace().any(|class| class == rule.class), "{}", rule.class);
    }
}
