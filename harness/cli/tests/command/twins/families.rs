//! Which program is a twin of which, and what is changed.
//!
//! Deliberately absent: what they are told; the lists of the tests that run them say that.

/// A program that has a class, and its twins, each with what is changed.
pub(crate) struct Family {
    pub(crate) base: &'static str,
    pub(crate) twins: &'static [(&'static str, &'static str)],
}

const fn of(base: &'static str, twins: &'static [(&'static str, &'static str)]) -> Family {
    Family { base, twins }
}

pub(crate) const FAMILIES: &[Family] = &[
    of(
        "deaths null-read",
        &[
            ("deaths valid-read", "the pointer leads to a number"),
            ("deaths wild-read", "the pointer leads to where nothing is"),
            ("deaths guarded-read", "the pointer leads to memory that nobody may touch"),
        ],
    ),
    of("deaths null-call", &[("deaths zero-return", "a return leads to address 0, and no call")]),
    of("rust-checked add", &[("rust add", "nobody checks the sum")]),
    of(
        "deaths wild-read",
        &[
            ("deaths null-element", "the far address is an index into null"),
            ("deaths poison-read", "the pointer is no address at all"),
            ("deaths late-unmapped-write", "something was mapped there before"),
        ],
    ),
    of(
        "deaths poison-read",
        &[
            ("deaths wild-write", "the bits above the address are gone"),
            ("deaths misaligned", "the operand is an address, but an odd one"),
            ("deaths wild-return", "a return address is poisoned, and no pointer"),
        ],
    ),
    of(
        "deaths freed-small",
        &[
            ("deaths free-behind-call", "it is freed behind the call"),
            ("deaths unmade-virtual-call", "it is not freed, and was never constructed"),
            ("deaths recycled", "the block is in use again, and was never written"),
            ("deaths null-virtual-call", "the object is null"),
        ],
    ),
    of(
        "deaths late-unmapped-write",
        &[("deaths overrun", "the pointer begins in memory that is there")],
    ),
    of(
        "python unloaded-data",
        &[
            ("python unloaded-function", "a function of the library is called, no variable read"),
            ("python loaded-twice", "another one keeps the library"),
        ],
    ),
    of(
        "deaths free-twice",
        &[
            ("deaths free-two", "two blocks, each freed once"),
            ("deaths free-null-twice", "the pointer is cleared in between"),
            ("deaths free-inside", "the second pointer is no block's"),
            ("deaths overwrite-flags", "freed once; an overrun turned the block's flag of use"),
        ],
    ),
    of(
        "deaths overwrite-size",
        &[
            ("deaths fill-exactly", "the filling ends with the block"),
            ("deaths smash-stack", "the array lies on the stack"),
            ("deaths free-twice", "nothing is overrun; a block is freed twice"),
        ],
    ),
    of(
        "deaths indexed-overrun",
        &[
            ("deaths indexed-within", "the index lies in the array"),
            ("deaths null-element", "the array is null"),
            ("deaths late-unmapped-write", "the pointer was right once"),
        ],
    ),
    of(
        "deaths fortified-copy",
        &[
            ("deaths copy-fitting", "the text fits"),
            ("deaths smash-stack", "the copy checks nothing; the function does on its return"),
        ],
    ),
    of(
        "deaths endless-recursion",
        &[
            ("deaths recursion-with-end", "it ends after 1,000 calls"),
            ("deaths guarded-read", "the page without rights is no stack's guard"),
            (
                "deaths below-thread-stack",
                "a stack's guard is met by an index, far from the stack pointer",
            ),
        ],
    ),
    of("rust overflow", &[("rust index", "the index is checked, and the stack has room")]),
    of(
        "deaths wild-call",
        &[
            ("deaths null-call", "the function is null"),
            ("deaths poison-call", "the function is no address"),
            ("deaths unloaded-call", "code was mapped there before"),
        ],
    ),
    of("deaths forgotten-mprotect", &[("deaths executable-call", "the page may be run")]),
    of(
        "deaths unloaded-call",
        &[
            ("deaths hole-call", "no code was ever there"),
            ("deaths executable-call", "the code is still there"),
            ("deaths late-unmapped-write", "data was there, and is written"),
        ],
    ),
    of(
        "python unloaded-function",
        &[
            ("python unloaded-data", "a variable of the library is read, no function called"),
            ("python loaded-twice", "another one keeps the library"),
        ],
    ),
    of(
        "deaths read-only-write",
        &[
            ("deaths read-only-read", "it is read, not written"),
            ("deaths made-writable", "it is made writable first"),
            ("deaths guarded-write", "it may not be read, either"),
            ("deaths data-call", "what may not be run is run"),
        ],
    ),
    of(
        "deaths truncated-file",
        &[
            ("deaths removed-file", "the file is removed, not cut"),
            ("deaths cut-within-page", "it is cut within the page that is read"),
            ("deaths unmapped-file", "the mapping goes, and the file stays"),
        ],
    ),
    of(
        "deaths misaligned",
        &[
            ("deaths unaligned-store", "an instruction that takes any address"),
            ("deaths aligned-store-to-null", "the address is aligned, and null"),
            ("deaths poison-read", "the operand is no address"),
        ],
    ),
    of(
        "deaths illegal",
        &[
            ("deaths known-instruction", "an instruction that is known"),
            ("deaths breakpoint", "a breakpoint: another signal"),
            ("deaths privileged", "a known instruction that programs may not run"),
            ("deaths raise-illegal", "the same signal, sent by itself"),
        ],
    ),
    of(
        "deaths divide",
        &[
            ("deaths divide-by-one", "the divisor is 1"),
            ("deaths divide-float", "the numbers have a point: infinity"),
            ("deaths raise-division", "the same signal, sent by itself"),
        ],
    ),
    of(
        "deaths throw-error",
        &[
            ("deaths caught-error", "it is caught"),
            ("deaths abort-in-handler", "it is caught, and abort() called"),
            ("deaths terminate", "std::terminate() without an exception"),
            ("deaths rethrow-nothing", "thrown again where there is none"),
        ],
    ),
    of(
        "deaths assert",
        &[
            ("deaths assertion-holds", "what it asserts holds"),
            ("deaths plain-abort", "abort() without a text"),
            ("deaths old-assertion", "another assertion failed long before"),
        ],
    ),
    of(
        "deaths plain-abort",
        &[
            ("deaths exit-134", "the status that a shell shows for it, without the signal"),
            ("deaths survived-abort", "a handler leaves it"),
            ("deaths throw-error", "an exception comes before it"),
            ("sh aborted-by-child", "another process of the run sends the signal"),
        ],
    ),
    of(
        "deaths drop-thread",
        &[
            ("deaths joined-thread", "it is joined"),
            ("deaths detached-thread", "it is detached"),
            ("deaths throw-in-thread", "it is joined, and throws"),
            ("deaths terminate", "no thread is there"),
        ],
    ),
    of(
        "deaths forced-unwind",
        &[
            ("deaths unwound-freely", "no function in the way promises to let nothing out"),
            ("deaths throw-through-noexcept", "an exception, and no thread's end"),
        ],
    ),
    of(
        "deaths forced-unwind-swallowed",
        &[("deaths unwound-and-rethrown", "the handler throws it on")],
    ),
    of(
        "deaths call-pure",
        &[
            ("deaths call-with-body", "the function has a body in the base class"),
            ("deaths call-when-made", "it is called when all is constructed"),
            ("deaths null-virtual-call", "the object is null"),
        ],
    ),
    of(
        "rust panic",
        &[
            ("rust index-within", "nothing panics"),
            ("rust abort", "abort() without a panic"),
            ("rust-unwinding panic", "it unwinds: exit status 101"),
            ("rust-unwinding caught", "another thread's, caught; abort() comes later"),
        ],
    ),
    of(
        "deaths smash-stack",
        &[
            ("deaths fill-name-exactly", "the filling ends with the array"),
            ("deaths fortified-copy", "the copy itself checks"),
            ("deaths overwrite-size", "the array lies in the heap"),
            ("deaths wild-return", "no guard is there"),
        ],
    ),
    of(
        "deaths kill-itself",
        &[
            ("deaths null-read", "the kernel sends the same signal, for an access"),
            ("deaths ignored-kill", "a signal that it ignores"),
            ("deaths kill-child", "the signal goes to its child"),
            ("deaths kill-9", "SIGKILL: who sends that to itself means it"),
        ],
    ),
    of(
        "sh killed-by-child",
        &[
            ("deaths kill-9-by-thread", "it sends the signal itself"),
            ("sh terminated-by-child", "SIGTERM, by a process of the run"),
            ("sh child-kills-nobody", "the signal is 0, which asks only"),
            ("sh kills-child", "the signal goes the other way"),
        ],
    ),
    of(
        "group too-much-memory",
        &[
            ("python too-much-memory", "the group has enough"),
            ("group memory-within-limit", "it takes less"),
            ("group killed-in-group", "another process of the group sends the signal"),
        ],
    ),
    of(
        "deaths seccomp-trap",
        &[
            ("deaths seccomp-error", "the filter lets the call fail"),
            ("deaths seccomp-allow", "the filter lets it pass"),
            ("deaths kill-itself-sys", "the same signal, sent by itself"),
        ],
    ),
    of(
        "deaths worker-outlives-statics",
        &[
            ("deaths worker-joined-before-exit", "the thread is joined before"),
            ("deaths worker-before-exit", "nothing is destroyed yet"),
            (
                "deaths worker-joined-at-exit",
                "main waits for the thread before anything is destroyed",
            ),
            ("deaths at-exit-null", "it is main itself that faults on the way out"),
        ],
    ),
    of(
        "vector shared",
        &[
            ("vector own", "each thread has a vector of its own"),
            ("vector locked", "a lock keeps them in order"),
        ],
    ),
    of(
        "hangs crossed-mutexes",
        &[
            ("hangs ordered-mutexes", "both take them in one order"),
            ("hangs contention", "each gives its lock back: they go on"),
            ("hangs lost-signal", "one waits for a signal, not for a lock"),
        ],
    ),
    of("hangs lock-again", &[("hangs lock-again-recursive", "the mutex counts")]),
    of("hangs full-pipe", &[("hangs drained-pipe", "the parent reads before it waits")]),
    of(
        "rust crossed",
        &[
            ("rust ordered", "both take them in one order"),
            ("rust parked", "it waits for nobody's lock"),
        ],
    ),
    of(
        "hangs pool-across-fork",
        &[
            ("hangs pool-behind-fork", "the pool starts behind the fork"),
            ("hangs semaphore-behind-fork", "its parent has no other thread"),
            ("hangs exec-behind-fork", "the child execs"),
        ],
    ),
    of("hangs lock-across-fork", &[("hangs unlocked-before-fork", "the lock is free at the fork")]),
    of(
        "python queue-across-fork",
        &[("python queue-behind-fork", "the thread starts behind the fork")],
    ),
    of(
        "hangs lost-signal",
        &[
            ("hangs checked-signal", "it looks first whether that has happened"),
            ("hangs signals-come", "the signals come, again and again"),
            ("hangs crossed-std-mutexes", "they wait for locks, and these have owners"),
        ],
    ),
    of("rust parked", &[("rust unparked", "another thread wakes it")]),
    of("rust own-again", &[("rust own-once", "it is taken once")]),
    of("rust within-itself", &[("rust within-another", "it needs another one")]),
    of(
        "hangs busy",
        &[
            ("hangs busy-with-end", "the loop ends"),
            ("hangs busy-and-tells", "it writes now and then"),
            ("hangs await-nobody", "it waits, and does not compute"),
        ],
    ),
    of("python spins", &[("python sleeps", "it sleeps, and does not compute")]),
    of(
        "hangs read-own-pipe",
        &[
            ("hangs read-closed-pipe", "the writing end is closed"),
            ("hangs poll-again", "with a time limit, again and again"),
            ("hangs await-nobody", "it waits for a semaphore"),
        ],
    ),
    of(
        "hangs read-childs-pipe",
        &[("hangs full-pipe", "the child writes, and its parent waits for its end")],
    ),
    of(
        "python held-interpreter",
        &[
            ("python returned-interpreter", "the call gives the lock back"),
            ("python sleeps", "the interpreter's own function sleeps"),
            ("python spins", "the interpreter's own loop, which gives the lock away in turn"),
        ],
    ),
    of(
        "threads leaks",
        &[
            ("threads pool", "all are made at once, and then work"),
            ("threads ends", "each ends before the next"),
            ("threads served", "each ends a while later"),
            ("threads joined", "all are ended in the end"),
        ],
    ),
    of("plan leak-thread", &[("plan no-leak", "the thread is told to end")]),
    of(
        "plan leak-fd",
        &[
            ("plan no-leak", "the file is closed"),
            ("plan one-leak", "one load: it is left open once"),
            ("plan leak-semaphore", "a name is left, no descriptor"),
        ],
    ),
    of(
        "descriptors leaks",
        &[
            ("descriptors closes", "they are closed in the end"),
            ("descriptors serves", "many at once are closed again and again"),
            ("descriptors once", "all are opened at the start"),
        ],
    ),
    of("loaded opens", &[("loaded listens", "the socket listens")]),
    of(
        "loaded listens",
        &[
            ("loaded listens-and-closes", "it is closed again"),
            ("loaded listens-once", "only the first load opens one"),
            ("loaded opens", "the socket does not listen"),
        ],
    ),
    of(
        "loaded shares",
        &[
            ("loaded shares-and-unlinks", "the name is unlinked"),
            ("plan leak-semaphore", "the name is a semaphore's"),
        ],
    ),
    of(
        "plan leak-semaphore",
        &[
            ("plan unlinked-semaphore", "the name is unlinked"),
            ("loaded shares", "the name is shared memory's"),
        ],
    ),
    of(
        "plan leak-memory",
        &[
            ("plan no-leak", "the memory is unmapped"),
            ("plan one-load", "one load, and work that uses it again"),
            ("plan leak-fd", "a descriptor stays, not memory"),
        ],
    ),
    of(
        "plan illegal-taken",
        &[
            ("plan illegal-refused", "the engine refuses the step"),
            ("plan only-legal-steps", "the plan has none"),
        ],
    ),
    of(
        "plan swap-in-generate",
        &[
            ("plan swap-waits-for-generate", "a generate keeps its model"),
            ("plan swap-behind-generate", "the swap comes later"),
        ],
    ),
    of(
        "plan export-on-loop",
        &[
            ("plan export-handed-over", "the export has a thread of its own"),
            ("plan export-beside-loop", "the step does not run on the loop"),
            ("plan short-export-on-loop", "it is shorter than the limit"),
        ],
    ),
    of(
        "sh daemon",
        &[
            ("sh daemon-ended", "its parent ends it"),
            ("sh daemon-awaited", "its parent waits for it"),
            ("sh daemon-ends-in-time", "it ends by itself, a moment later"),
        ],
    ),
    of(
        "loaded exits-3",
        &[("loaded exits-0", "the status is 0"), ("plan no-leak", "nothing exits")],
    ),
    of(
        "loaded exits-0",
        &[("loaded exits-3", "the status is not 0"), ("plan no-leak", "nothing exits")],
    ),
];
