//! The rules, as data, in the order in which they are asked: the first that fires decides.
//!
//! A rule names a mechanism, never a package. To add one: write its signs, put it where its
//! more general neighbours come after it, and give it a case and near-miss twins in
//! `tests/golden/rules.rs`, which proves that each sign is needed.
//! Deliberately absent: what the facts are (`signs.rs`, `texts.rs`).

use super::rule::{Rule, Sign, sign};
use super::{accesses, calls, growth, kills, leaving, signs, stuck, texts};

const SELF_ABORT: Sign = sign("abort", signs::is_abort);
const FROM_ITSELF: Sign = sign("from-itself", signs::is_from_itself);

macro_rules! abort_rule {
    ($name:literal, $text:literal, $sign:path) => {
        Rule {
            name: $name,
            class: $name,
            text: $text,
            signs: &[sign("told", $sign), SELF_ABORT, FROM_ITSELF],
        }
    };
    ($name:literal, $class:literal, $text:literal, $sign:path) => {
        Rule {
            name: $name,
            class: $class,
            text: $text,
            signs: &[sign("told", $sign), SELF_ABORT, FROM_ITSELF],
        }
    };
}

/// Rules about deaths by a signal.
pub const CRASH_RULES: &[Rule] = &[
    Rule {
        name: "stack-overflow",
        class: "stack-overflow",
        text: "the stack is used up: recursion too deep, or a frame too large",
        signs: &[
            sign("below-stack", signs::is_below_stack),
            sign("at-stack-pointer", signs::is_at_stack_pointer),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "use-after-destruction",
        class: "use-after-destruction",
        text: "a thread still ran while the process destroyed what it uses",
        signs: &[
            sign("runs-on", leaving::runs_on_while_leaving),
            sign("not-null", accesses::is_not_through_null),
            sign("memory-fault", signs::is_memory_fault),
            sign("raised-by-kernel", signs::is_raised_by_kernel),
        ],
    },
    Rule {
        name: "released-twice",
        class: "double-free",
        text: "something was released that had been released before",
        signs: &[
            sign("releases-twice", signs::releases_twice),
            sign("memory-fault", signs::is_memory_fault),
            sign("raised-by-kernel", signs::is_raised_by_kernel),
        ],
    },
    Rule {
        name: "use-after-free",
        class: "use-after-free",
        text: "memory was used after its release",
        signs: &[
            sign("in-released-memory", signs::is_in_released_memory),
            sign("not-live", signs::is_in_no_live_range),
            sign("memory-fault", signs::is_memory_fault),
        ],
    },
    Rule {
        name: "unmapped-under-its-owner",
        class: "use-after-free",
        text: "memory was unmapped while its owner still used it",
        signs: &[
            sign("in-live-memory", signs::is_in_live_range),
            sign("unmapped", signs::is_unmapped),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "freed-block",
        class: "use-after-free",
        text: "an object was used whose memory the allocator already holds as free",
        signs: &[
            sign("through-freed-block", accesses::goes_through_freed_block),
            sign("memory-fault", signs::is_memory_fault),
            sign("raised-by-kernel", signs::is_raised_by_kernel),
        ],
    },
    Rule {
        name: "code-unloaded",
        class: "code-unloaded",
        text: "code ran on, or was called, after it had been unmapped",
        signs: &[
            sign("was-code", accesses::was_code),
            sign("at-pc", signs::is_at_pc),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "owner-released",
        class: "use-after-free",
        text: "something was used whose owner had been released",
        signs: &[
            sign("owner-released", signs::has_widow),
            sign("memory-fault", signs::is_memory_fault),
            sign("raised-by-kernel", signs::is_raised_by_kernel),
        ],
    },
    Rule {
        name: "null-call",
        class: "null-dereference",
        text: "a null function pointer was called",
        signs: &[
            sign("at-pc", signs::is_at_pc),
            sign("near-null", signs::is_near_null),
            sign("called", accesses::was_called),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "null-return",
        class: "wild-jump",
        text: "the program jumped to address 0 without a call: a return address was overwritten",
        signs: &[
            sign("at-pc", signs::is_at_pc),
            sign("near-null", signs::is_near_null),
            sign("not-called", accesses::was_not_called),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "null-dereference",
        class: "null-dereference",
        text: "a null pointer, or a member of a null object, was used",
        signs: &[
            sign("near-null", signs::is_near_null),
            sign("not-at-pc", signs::is_not_at_pc),
            sign("unmapped", signs::is_unmapped),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "null-array",
        class: "null-dereference",
        text: "an array that is null was indexed",
        signs: &[
            sign("indexed-from-null", accesses::is_indexed_from_null),
            sign("unmapped", signs::is_unmapped),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "null-member",
        class: "null-dereference",
        text: "a far member of a null object was used",
        signs: &[
            sign("member-of-null", accesses::is_member_of_null),
            sign("unmapped", signs::is_unmapped),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "wild-jump",
        class: "wild-jump",
        text: "the program jumped to an address that holds no code",
        signs: &[
            sign("at-pc", signs::is_at_pc),
            sign("no-code", accesses::is_no_code),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "unmapped-call",
        class: "wild-jump",
        text: "a function was called where nothing is mapped: its code is gone, or never was there",
        signs: &[
            sign("at-pc", signs::is_at_pc),
            sign("in-hole", accesses::is_in_hole),
            sign("called", accesses::was_called),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "wild-return",
        class: "wild-jump",
        text: "a return address on the stack was overwritten",
        signs: &[
            sign("returns-nowhere", accesses::returns_nowhere),
            sign("general-protection", signs::is_general_protection),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "out-of-mapping",
        class: "out-of-bounds",
        text: "an access went beyond the memory that its pointer points into",
        signs: &[
            sign("leads-out", accesses::leads_out),
            sign("not-at-pc", signs::is_not_at_pc),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "unmapped-memory",
        class: "use-after-free",
        text: "memory was used after it had been unmapped",
        signs: &[
            sign("was-data", accesses::was_data),
            sign("unmapped", signs::is_unmapped),
            sign("not-at-pc", signs::is_not_at_pc),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "write-to-read-only",
        class: "write-to-read-only",
        text: "the program wrote to memory that is mapped read-only",
        signs: &[
            sign("read-only", signs::is_read_only),
            sign("forbidden", signs::is_forbidden),
            sign("not-at-pc", signs::is_not_at_pc),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "non-canonical-address",
        class: "non-canonical-address",
        text: "the pointer holds no address: overwritten or uninitialised",
        signs: &[
            sign("non-canonical-operand", accesses::has_non_canonical_operand),
            sign("general-protection", signs::is_general_protection),
            sign("memory-fault", signs::is_memory_fault),
        ],
    },
    Rule {
        name: "misaligned",
        class: "misaligned",
        text: "an instruction needs a more aligned address than it was given",
        signs: &[
            sign("misaligned", accesses::is_misaligned),
            sign("general-protection", signs::is_general_protection),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "alignment-check",
        class: "misaligned",
        text: "the processor checks alignment, and the address has it not",
        signs: &[
            sign("misaligned-access", signs::is_misaligned_access),
            sign("bus", signs::is_bus),
        ],
    },
    Rule {
        name: "wild-pointer",
        class: "wild-pointer",
        text: "the pointer points to where nothing was ever mapped",
        signs: &[
            sign("far-from-all", accesses::is_far_from_all),
            sign("unmapped", signs::is_unmapped),
            sign("not-at-pc", signs::is_not_at_pc),
            sign("segv", signs::is_segv),
        ],
    },
    Rule {
        name: "file-truncated",
        class: "file-truncated",
        text: "a mapped file is shorter than its mapping",
        signs: &[
            sign("behind-file-end", signs::is_behind_file_end),
            sign("without-backing", signs::is_without_backing),
            sign("bus", signs::is_bus),
        ],
    },
    Rule {
        name: "thread-not-joined",
        class: "thread-not-joined",
        text: "a thread object was destroyed or replaced before its thread was joined",
        signs: &[sign("drops-a-thread", calls::drops_a_thread), SELF_ABORT, FROM_ITSELF],
    },
    abort_rule!(
        "forced-unwind",
        "a thread was ended, and a function that lets no exception out was in the way",
        texts::tells_forced_unwind
    ),
    abort_rule!("rust-panic", "Rust code panicked and aborted", texts::tells_rust_panic),
    abort_rule!(
        "pure-virtual-call",
        "an object was used while under construction or destruction",
        texts::tells_pure_virtual
    ),
    abort_rule!("uncaught-exception", "a C++ exception was not caught", texts::tells_exception),
    abort_rule!("double-free", "memory was freed twice", texts::tells_double_free),
    abort_rule!(
        "heap-corruption",
        "the allocator found its own data overwritten, or a block freed twice",
        texts::tells_heap_corruption
    ),
    abort_rule!(
        "stack-smashing",
        "a function overran an array on its stack",
        texts::tells_stack_smashing
    ),
    abort_rule!(
        "buffer-overflow",
        "out-of-bounds",
        "a function of the C library was to write beyond its buffer",
        texts::tells_buffer_overflow
    ),
    abort_rule!("assertion", "an assertion failed", texts::tells_assertion),
    Rule {
        name: "explicit-abort",
        class: "explicit-abort",
        text: "abort() was called",
        signs: &[
            sign("line", texts::says_nothing_known),
            sign("calls-abort", calls::calls_abort),
            SELF_ABORT,
            FROM_ITSELF,
        ],
    },
    Rule {
        name: "raised-abort",
        class: "explicit-abort",
        text: "the program sent SIGABRT to itself, as abort() does",
        signs: &[sign("raised", calls::raises), SELF_ABORT, FROM_ITSELF],
    },
    Rule {
        name: "self-kill",
        class: "self-kill",
        text: "the process sent the signal to itself",
        signs: &[
            FROM_ITSELF,
            sign("sent", signs::is_sent),
            sign("no-abort", signs::is_no_abort),
            sign("no-kernels", signs::is_no_kernels),
        ],
    },
    Rule {
        name: "external-kill",
        class: "external-kill",
        text: "a process outside of the run sent the signal",
        signs: &[sign("from-outside", signs::is_from_outside), sign("sent", signs::is_sent)],
    },
    Rule {
        name: "oom-kill",
        class: "oom-kill",
        text: "the kernel ended the process: its control group had no memory left",
        signs: &[
            sign("counted", kills::is_counted),
            sign("by-another", kills::is_by_another),
            sign("killed", kills::is_killed),
        ],
    },
    Rule {
        name: "killed",
        class: "external-kill",
        text: "SIGKILL came from outside of the process: from another one, or from the kernel",
        signs: &[sign("by-another", kills::is_by_another), sign("killed", kills::is_killed)],
    },
    Rule {
        name: "divide-error",
        class: "divide-error",
        text: "an integer was divided by zero, or the quotient did not fit",
        signs: &[sign("integer-division", signs::is_integer_division), sign("fpe", signs::is_fpe)],
    },
    Rule {
        name: "seccomp",
        class: "seccomp",
        text: "a filter of system calls (seccomp) forbids the call",
        signs: &[sign("filtered", signs::is_filtered), sign("sys", signs::is_sys)],
    },
    Rule {
        name: "seccomp-kill",
        class: "seccomp",
        text: "a filter of system calls (seccomp) ends the process for the call",
        signs: &[sign("undelivered", signs::is_undelivered), sign("sys", signs::is_sys)],
    },
    Rule {
        name: "illegal-instruction",
        class: "illegal-instruction",
        text: "an instruction unknown to the processor, or a trap on purpose",
        signs: &[sign("ill", signs::is_ill), sign("raised-by-kernel", signs::is_raised_by_kernel)],
    },
];

/// Of a run that came to a halt, and of a process that goes on.
pub(crate) const HELD_ACROSS_FORK: Rule = Rule {
    name: "held-across-fork",
    class: "fork-orphaned-lock",
    text: "a lock was held at the moment of a fork; in the new process nobody can release it",
    signs: &[
        sign("owner-in-parent", stuck::owner_is_in_parent),
        sign("no-progress", stuck::left_behind_stays),
    ],
};

/// Of both, too.
pub(crate) const LOCKS_OF_EACH_OTHER: Rule = Rule {
    name: "locks-of-each-other",
    class: "deadlock",
    text: "all threads wait for locks that only one of them can hold",
    signs: &[sign("locks", stuck::all_wait_for_locks), sign("no-progress", stuck::all_stay)],
};

/// Rules about runs that came to a halt. What is proven comes before what is left.
pub const HANG_RULES: &[Rule] = &[
    Rule {
        name: "deadlock",
        class: "deadlock",
        text: "threads or processes wait in a circle",
        signs: &[sign("cycle", stuck::has_cycle), sign("no-progress", stuck::cycle_stays)],
    },
    HELD_ACROSS_FORK,
    Rule {
        name: "fork-orphaned-lock",
        class: "fork-orphaned-lock",
        text: "a forked process waits for threads that only its parent has",
        signs: &[
            sign("lost-threads", stuck::has_lost_threads),
            sign("waits-for-wake-up", stuck::waits_for_wake_up),
            sign("nobody-left", stuck::nobody_is_left),
            sign("no-progress", stuck::orphan_stays),
        ],
    },
    LOCKS_OF_EACH_OTHER,
    Rule {
        name: "interpreter-lock-held",
        class: "interpreter-lock-held",
        text: "native code keeps the interpreter's lock while others wait for it",
        signs: &[
            sign("waited-for", stuck::interpreter_is_waited_for),
            sign("held-in-native-code", stuck::is_held_in_native_code),
            sign("holder-stays", stuck::holder_stays),
        ],
    },
    Rule {
        name: "busy-loop",
        class: "busy-loop",
        text: "a thread computes without an end, or for longer than the limit",
        signs: &[
            sign("computes", stuck::computes),
            sign("no-call", stuck::calls_nothing),
            sign("same-loop", stuck::stays_in_loop),
        ],
    },
    Rule {
        name: "blocked-io",
        class: "blocked-io",
        text: "the program waits, without a time limit, for something from outside",
        signs: &[
            sign("descriptor", stuck::waits_for_descriptor),
            sign("no-limit", stuck::waits_without_limit),
            sign("no-progress", stuck::root_stays),
        ],
    },
    Rule {
        name: "lost-wakeup",
        class: "lost-wakeup",
        text: "all threads wait for an event that none of them is left to give",
        signs: &[
            sign("event", stuck::waits_for_event),
            sign("all-wait", stuck::all_wait),
            sign("no-progress", stuck::all_stay),
            sign("no-hidden-holder", stuck::no_hidden_holder),
            sign("no-lost-threads", stuck::lost_no_threads),
        ],
    },
];

macro_rules! growth_rule {
    ($name:literal, $text:literal, $grows:path, $stays:path, $goes_on:path) => {
        Rule {
            name: $name,
            class: $name,
            text: $text,
            signs: &[sign("grows", $grows), sign("stays", $stays), sign("goes-on", $goes_on)],
        }
    };
}

/// Rules about what stays: each is asked, and more than one may fire.
pub const LEAK_RULES: &[Rule] = &[
    growth_rule!(
        "thread-leak",
        "each turn starts threads that do not end",
        growth::threads_grow,
        growth::threads_stay,
        growth::threads_go_on
    ),
    growth_rule!(
        "port-leak",
        "each turn opens a listening socket that is not closed",
        growth::ports_grow,
        growth::ports_stay,
        growth::ports_go_on
    ),
    growth_rule!(
        "fd-leak",
        "each turn opens descriptors that are not closed",
        growth::descriptors_grow,
        growth::descriptors_stay,
        growth::descriptors_go_on
    ),
    Rule {
        name: "semaphore-leak",
        class: "semaphore-leak",
        text: "a named semaphore is made and never unlinked",
        signs: &[
            sign("semaphores-left", growth::semaphores_left),
            sign("ended-by-itself", growth::ended_by_itself),
        ],
    },
    Rule {
        name: "shm-leak",
        class: "shm-leak",
        text: "named shared memory is made and never unlinked",
        signs: &[
            sign("segments-left", growth::segments_left),
            sign("ended-by-itself", growth::ended_by_itself),
        ],
    },
    growth_rule!(
        "memory-growth",
        "each turn keeps memory that the next one does not use",
        growth::memory_grows,
        growth::memory_stays,
        growth::memory_goes_on
    ),
];
