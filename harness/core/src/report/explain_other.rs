//! Pages of `hotfire explain` for hangs, leftovers, the contract and the environment.
//!
//! Deliberately absent: deaths by a signal (`explain_crash.rs`).

use super::explain::{Page, page};

/// The pages, in the order of the codes.
pub(crate) const PAGES: &[Page] = &[
    page!(
        "H301",
        "every thread waits for ever",
        "All threads of all processes of the run sit in waits without a time limit that nobody\n\
         \x20 outside can end. Waiting longer cannot help, so the run was ended early.",
        "The process table shows each thread's state and system call, several times in a row without\n\
         \x20 a change.",
        "Two locks taken in opposite orders, a condition variable without its signal, a join on a\n\
         \x20 thread that waits for the joiner, a lock held by a thread that a fork left behind.",
        "See which step each lane was in: those two meet. Run them one after the other to confirm;\n\
         \x20 then compare the order in which they take their locks.",
    ),
    page!(
        "H302",
        "a step ran into its time limit",
        "A step took longer than the scenario's `step_ms`. It may be stuck, busy, or only slow.",
        "The recorder has the step's begin and not its end; the process table shows what each thread\n\
         \x20 did.",
        "A hang that a timer or outside socket hides, an endless loop, a machine under load, a limit\n\
         \x20 too tight.",
        "Threads that run: look for a loop. Threads that wait: look at what they wait for. Raise the\n\
         \x20 limit to tell slow from stuck.",
    ),
    page!(
        "H303",
        "the run ran into its time limit",
        "All steps together took longer than the scenario's `run_ms`.",
        "The supervisor's clock; the recorder shows how far each lane came.",
        "Many slow steps, a hammer loop whose partner never ends, a limit too tight.",
        "Compare the times of the steps in `hotfire show`; raise the limit if each is healthy.",
    ),
    page!(
        "H304",
        "the process does not end after its last step",
        "The plan is done, but the process was still there after the scenario's `exit_ms`.",
        "The recorder's stage is `exiting`; the process table shows the threads that remain.",
        "A destructor that joins a thread which never ends, a worker that is not a daemon, a lock\n\
         \x20 held by a thread that exit() stopped.",
        "Add `shutdown` or `cleanup` before the exit; look at what the remaining threads wait for.",
    ),
    page!(
        "H305",
        "threads of a living process cannot go on",
        "`hotfire attach` looked at a process that runs, and found threads in it that wait for each\n\
         \x20 other, for a lock that nobody can release any more, or for native code that keeps the\n\
         \x20 interpreter's lock. The process itself goes on.",
        "Three looks over some 250 ms: who waits for what, who holds it, and that nobody moved. An\n\
         \x20 idle or busy server shows none of it; whatever it could also mean is no finding.",
        "Locks taken in another order, a fork while threads hold locks, a native call without a\n\
         \x20 release of the interpreter's lock.",
        "`hotfire attach PID --threads` prints all stacks; the class's page (`hotfire explain CLASS`)\n\
         \x20 tells what to do.",
    ),
    page!(
        "H310",
        "the heartbeat stopped for too long",
        "The loop thread ran something that did not let it beat for longer than the scenario's\n\
         \x20 `beat_ms`. Clients of such a process time out.",
        "The recorder has each beat's time and the step that the loop ran in the longest gap.",
        "A long native call on the event loop, an interpreter's lock held across a native call.",
        "Move the step off the loop (a lane of its own); release the interpreter's lock around the\n\
         \x20 native call.",
    ),
    page!(
        "L401",
        "processes outlived the child",
        "The child has ended, and processes that it made were still alive after the grace period.\n\
         \x20 They were ended.",
        "The supervisor adopts and counts every process of the run; each carries the step in which it\n\
         \x20 was born.",
        "Workers that are not told to stop, a crash or kill that skips the cleanup, daemons that\n\
         \x20 detach themselves.",
        "Let workers watch their parent (PR_SET_PDEATHSIG, or a pipe that closes); stop and join them\n\
         \x20 in `shutdown`.",
    ),
    page!(
        "L402",
        "the child made more processes than allowed",
        "More processes were alive at once than the scenario's `processes` limit; the run was ended.",
        "The supervisor is told of every fork of the run.",
        "A worker pool that grows with each load, a fork loop, a limit too low for a healthy pool.",
        "Count the processes per step in `hotfire show`; raise the limit if the pool is meant to be\n\
         \x20 that large.",
    ),
    page!(
        "L410",
        "threads stay from turn to turn",
        "Turn after turn of a loop there are more threads than before. They are still there at the end,\n\
         \x20 after a grace period, and the growth does not level off.",
        "The kernel's list of the process's threads, counted after each turn (and after each step with\n\
         \x20 `--census steps`). The slope is the median of the slopes between all pairs of turns, with its\n\
         \x20 95 % interval; the first quarter of the turns is left out. Fewer than ten turns tell nothing.\n\
         \x20 Of a command under `exec` there are no turns: see `hotfire explain thread-leak`.",
        "A worker pool that is made anew and not stopped, detached threads that wait for work that never\n\
         \x20 comes.",
        "Look at the threads' names; run with `--census steps` to see the step they are born in; join\n\
         \x20 them in `unload` or `shutdown`.",
    ),
    page!(
        "L411",
        "descriptors stay from turn to turn",
        "After each turn of the plan's loop more descriptors are open than before, and they still are at\n\
         \x20 the end, after a grace period.",
        "The kernel's list of the process's descriptors, counted by what they are; slope as in L410.\n\
         \x20 Of a command under `exec` there are no turns: see `hotfire explain fd-leak`.",
        "A file, socket or eventfd that an error path or a reload does not close.",
        "The finding names what they are; run with `--census steps` to see the step that opens them.",
    ),
    page!(
        "L412",
        "listening sockets stay from turn to turn",
        "After each turn one more socket listens. In the end the ports or the descriptors run out.",
        "The process's sockets, looked up in the kernel's tables of listeners; slope as in L410.",
        "A server that is restarted within its process without closing its old socket.",
        "Close the socket where the server is stopped; `--census steps` tells the step.",
    ),
    page!(
        "L413",
        "named semaphores outlive the process",
        "Names of POSIX semaphores stand in /dev/shm after the last process of the run has ended. They\n\
         \x20 stay until the machine restarts. Hotfire removed those that the run was seen to hold.",
        "The names in /dev/shm before and after the run; a name is the run's when the child mapped or\n\
         \x20 opened it at a step border, and no process outside of the run still does. Others are left\n\
         \x20 there and told. After a crash or a kill the names are evidence of that death, no finding.",
        "sem_open without sem_unlink, a pool whose cleanup did not run.",
        "Unlink the name right after it was opened by all who need it, or use an unnamed semaphore.",
    ),
    page!(
        "L414",
        "shared memory outlives the process",
        "Names of POSIX shared memory stand in /dev/shm after the last process of the run has ended. They\n\
         \x20 keep their memory until the machine restarts. Hotfire removed those that the run was seen\n\
         \x20 to hold.",
        "As L413.",
        "shm_open without shm_unlink, on an error path or at the exit.",
        "Unlink the name right after it was mapped by all who need it, or use memfd_create.",
    ),
    page!(
        "L415",
        "private memory grows from turn to turn",
        "After each turn of the plan's loop the process keeps more memory that it has written, and the\n\
         \x20 growth does not level off.",
        "`Private_Dirty` of the process after each turn; slope as in L410. At least 1 KiB per turn and\n\
         \x20 128 KiB in all: less is not told from an allocator's noise.",
        "Memory that is never freed, a cache without a bound, an arena that is mapped and not unmapped.",
        "Run more turns for a closer interval; `--census steps` tells the step in which it grows; a heap\n\
         \x20 profiler tells the call.",
    ),
    page!(
        "P501",
        "a step failed that must succeed",
        "The lifecycle model calls the step legal, and the engine answered with an error.",
        "The recorder has the step's outcome and the error's text.",
        "A missing or broken model file, a state that an earlier step left behind, a step that needs\n\
         \x20 more time (`await`).",
        "Read the error's text. If the engine is right, mark the step with `expect=error` or\n\
         \x20 `expect=any`.",
    ),
    page!(
        "P502",
        "an illegal step was accepted",
        "The lifecycle model calls the step illegal here (for example generate after unload); the\n\
         \x20 engine took it.",
        "The recorder has `ok` as the step's outcome.",
        "A missing check of the state; a released object that still answers.",
        "Treat it as a crash that did not happen yet: run the plan in a sanitizer build. If the\n\
         \x20 engine allows it on purpose, write `expect=ok`.",
    ),
    page!(
        "P503",
        "a result that no model of the engine gives",
        "The step succeeded with a result that belongs to none of the models that it could have used.",
        "The engine's adapter lists the digests that would be right; the recorder has the one that\n\
         \x20 came.",
        "A model swapped while a generate read it, two generates on one cache, a result from freed\n\
         \x20 memory.",
        "See which other step was in flight: these two need a lock, or one must wait for the other.",
    ),
    page!(
        "P504",
        "the engine's adapter panicked",
        "Rust code between host and engine panicked in this step; the host caught it and went on.",
        "The recorder has `panic` as the step's outcome, with the message.",
        "An assumption of the adapter that the engine broke, or a bug of the adapter.",
        "Run the replay command with RUST_BACKTRACE=1 and look at the child's output.",
    ),
    page!(
        "P510",
        "an exit status other than the plan's",
        "The process exited by itself with a status that the plan does not ask for.",
        "The wait status; the recorder tells whether the plan was done.",
        "An engine that calls exit(), an error path of a library, a runtime that reports a failure\n\
         \x20 so.",
        "Break on _exit in a debugger to see who calls it. If it is meant, write `exit code=N` into\n\
         \x20 the plan.",
    ),
    page!(
        "P511",
        "the process exited before its plan was done",
        "Status 0, but steps of the plan never ran: to a script this looks like success.",
        "The recorder's stage is still `running`, and the wait status is 0.",
        "An engine or library that calls exit(0) or _exit(0) on an error.",
        "Break on _exit in a debugger to see who calls it.",
    ),
    page!(
        "P520",
        "resources released in a wrong order or number",
        "The engine's own ledger shows a release twice, a child released after its parent, or one\n\
         \x20 never released.",
        "The ledger's events in the recorder, when all of them were kept. Without the ledger this is\n\
         \x20 silent.",
        "Destructors in the wrong order, shared ownership that nobody planned, an error path without\n\
         \x20 its release.",
        "Compare the order in the evidence with the order in which the engine's members are declared.",
    ),
    page!(
        "E901",
        "the child could not be started",
        "Nothing ran, so nothing is known about the engine.",
        "The supervisor's own error.",
        "The host program is missing or not executable, no memory or process is left.",
        "Read the reason in the evidence; check the host's path and `ulimit -u`.",
    ),
    page!(
        "E902",
        "the run could not be watched to its end",
        "The process of ours that watches runs may not trace here, or ended before the run did. Its\n\
         \x20 processes were ended with it; what it had not seen is not known.",
        "The supervisor's own error, or the front lost the connection to its supervisor.",
        "A kernel or container that forbids ptrace (kernel.yama.ptrace_scope 3, a seccomp profile\n\
         \x20 without SYS_PTRACE); a SIGKILL from outside (out of memory); an error of ours.",
        "Read the reason in the evidence. In a container, allow ptrace (docker: --cap-add\n\
         \x20 SYS_PTRACE), or run without it, with less to see: --trace off. If it repeats without\n\
         \x20 a cause on this machine, please report it.",
    ),
    page!(
        "E910",
        "the host could not run the plan",
        "The host started, and refused the plan before its first step.",
        "The recorder has the host's reason.",
        "An engine kind that this host does not have, an argument that nobody knows, a plan that is\n\
         \x20 too long.",
        "Read the reason in the evidence; `hotfire list` shows scenarios that run here.",
    ),
    page!(
        "E911",
        "the host ended before it reached its plan",
        "The host process started and exited before it opened the recorder or read its plan.",
        "The wait status; the recorder was never attached.",
        "A library that the loader cannot find (status 127), a constructor in a library that calls\n\
         \x20 exit().",
        "Run the host program by hand with LD_DEBUG=libs; read its standard error in `hotfire show`.",
    ),
];
