//! `hotfire explain CLASS`: what a class of deaths by a signal or of hangs means, which rules decide
//! for it and by which signs, what next. The rules are those that run: their texts stand in one
//! place.
//!
//! Deliberately absent: the classes of leaks that only plans can show, which their codes explain.

use crate::diagnose::{
    BIRTH_RULES, CRASH_RULES, HANG_RULES, LEAK_RULES, LIVING_RULES, RACE_CLASS, RACE_SIGNS,
    RACE_TEXT, RISING_RULES, Rule,
};

/// A class, what it means, and what to do next.
type Class = (&'static str, &'static str, &'static str);

const SANITIZER: &str = "Run the command against a build with -fsanitize=address: it names the \
                         allocation and the release.";
const CALLER: &str = "Look at the culprit's frame and its callers: where does the value come from?";

/// Classes that rules decide for, in the order of the contract.
const CLASSES: &[Class] = &[
    (
        "null-dereference",
        "A null pointer, or a member or element of a null object, was used.",
        CALLER,
    ),
    (
        "wild-pointer",
        "The pointer holds an address far from everything that is mapped: overwritten, truncated or \
         never set.",
        SANITIZER,
    ),
    (
        "non-canonical-address",
        "The pointer holds a value that is no address at all: overwritten or never set.",
        SANITIZER,
    ),
    ("use-after-free", "Memory was used after it had been given back.", SANITIZER),
    ("double-free", "Memory was given back twice.", SANITIZER),
    (
        "heap-corruption",
        "The allocator found its own data overwritten, some time after it happened.",
        SANITIZER,
    ),
    ("out-of-bounds", "An access went beyond the memory that it was meant for.", SANITIZER),
    (
        "stack-overflow",
        "The stack is used up: recursion without an end, or a frame too large for it.",
        "Look for frames that repeat themselves; `ulimit -s` and the thread's stack size set the limit.",
    ),
    (
        "wild-jump",
        "The program jumped to an address that holds no code: a function pointer, a virtual table or \
         a return address was overwritten.",
        SANITIZER,
    ),
    (
        "code-unloaded",
        "Code ran on, or was called, after its library or page had been unmapped.",
        "Join its threads and drop its callbacks before the library is closed.",
    ),
    (
        "write-to-read-only",
        "The program wrote to memory that may only be read, such as a constant or a mapped file.",
        CALLER,
    ),
    (
        "file-truncated",
        "A mapped file is shorter than its mapping: somebody cut or replaced it in place.",
        "Copy files to their place under another name, then rename.",
    ),
    (
        "misaligned",
        "An instruction needs a more aligned address than it was given.",
        "Look at casts and at allocators of the culprit: alignas, aligned_alloc.",
    ),
    (
        "illegal-instruction",
        "The processor does not know the instruction, or the compiler put a trap there.",
        "Compare the library's build with the processor's flags in /proc/cpuinfo.",
    ),
    ("divide-error", "An integer was divided by zero, or the quotient did not fit.", CALLER),
    (
        "uncaught-exception",
        "A C++ exception was thrown and nobody caught it, or a function that lets none out was in the \
         way.",
        "Catch it where the thread or the callback begins; the finding names its type and text.",
    ),
    ("assertion", "A check that the program makes of itself failed.", "Read the assertion's text."),
    (
        "explicit-abort",
        "The program called abort(), and no runtime said why.",
        "Read the last lines of the output, and the culprit's frame.",
    ),
    (
        "thread-not-joined",
        "A std::thread was destroyed or replaced while its thread had neither been joined nor detached.",
        "Join it in the destructor of its owner, before its members go, and when construction fails.",
    ),
    (
        "forced-unwind",
        "A thread was ended (pthread_exit, cancellation, an interpreter's shutdown) inside of a \
         function that lets no exception out, or a handler swallowed the end.",
        "End threads by a flag that they check; re-throw in `catch (...)`.",
    ),
    (
        "pure-virtual-call",
        "A virtual function was called on an object under construction or destruction.",
        "Stop the threads that use the object before its destructor begins.",
    ),
    ("rust-panic", "Rust code panicked where a panic ends the process.", "Read the panic's text."),
    (
        "stack-smashing",
        "A function overran an array on its own stack; the compiler's guard saw it on return.",
        SANITIZER,
    ),
    ("self-kill", "The process sent the signal to itself.", CALLER),
    (
        "external-kill",
        "Another process sent the signal, or (SIGKILL) the kernel.",
        "Look at the sender in the evidence. SIGKILL names none: look at time limits, memory limits \
         and watchdogs, and at the kernel's log.",
    ),
    (
        "oom-kill",
        "The kernel ended the process because its control group had no memory left.",
        "Raise the group's limit, or find what takes the memory: `--runs` with smaller inputs.",
    ),
    (
        "seccomp",
        "A filter of system calls forbids the call that the evidence names.",
        "Allow the call in the sandbox's or container's profile, or avoid it.",
    ),
    (
        "use-after-destruction",
        "A thread still ran while the process destroyed, on its way out, what the thread uses.",
        "Stop and join threads before main returns, or leave their data to the end of the process.",
    ),
    (
        "deadlock",
        "Threads or processes wait for each other in a circle: each holds what the next one wants. Locks \
         that keep no owner (semaphores, Python's threading.Lock) make no circle that can be seen: two \
         crossed ones are unknown, with the functions of both threads. threading.RLock has an owner.",
        "Take the locks in one order everywhere; read both stacks. Read a child's pipe before you wait \
         for its end.",
    ),
    (
        "fork-orphaned-lock",
        "A process made by fork() has only the thread that forked. It waits for a lock or a pool whose \
         threads only its parent has, and so for ever. The parent, which waits for it, is no victim.",
        "Start workers before threads and pools exist, by spawn, forkserver or exec; or keep the library \
         to one thread until the fork (OMP_NUM_THREADS=1).",
    ),
    (
        "lost-wakeup",
        "All threads of a process wait for events, and none is left to give them: the signal came \
         before the wait, or is never sent.",
        "Check the condition under its lock, before the wait and after it; look for the path that ends \
         without its notify or post.",
    ),
    (
        "busy-loop",
        "A thread computes and makes no system call: a loop without an end, or work that takes longer \
         than the limit. Which of the two, nobody can see from outside.",
        "Read the loop's function in the stack; run it again with a longer limit.",
    ),
    (
        "blocked-io",
        "The thread that everybody waits for reads, writes, accepts or polls without a time limit, and \
         nothing comes. The evidence names the descriptor and who holds the other end.",
        "Close the ends of pipes that a process does not use (its own writing end keeps its reading end \
         open); set a time limit.",
    ),
    (
        "interpreter-lock-held",
        "Native code keeps the interpreter's lock while it works or sleeps; all other threads of the \
         program stand still.",
        "Release the lock around the call (Py_BEGIN_ALLOW_THREADS, nogil, py::gil_scoped_release).",
    ),
    (
        "data-race",
        "Several threads use the same data at once, without a lock or an order. What breaks differs \
         from run to run, so it takes several runs (`--runs N`) to tell: one death shows only a victim.",
        "Run it under ThreadSanitizer, or with one thread: it should hold then. Look in the module's \
         documentation for what may be used by several threads.",
    ),
    (
        "thread-leak",
        "Threads are made again and again, and none of them ends. Of a command, each birth and each \
         end is known; whether they would have ended later is not: the process ended with them.",
        "Join or reuse the threads where the culprit's function makes them; a pool has as many as it \
         needs.",
    ),
    (
        "fd-leak",
        "Descriptors are opened again and again, and not closed: a limit on open files ends that. Of a \
         command, their number is sampled while it runs, and told with its slope; who opened them \
         is not seen.",
        "The finding names what they are. Look where those are opened, and at the ways out of there by \
         an error.",
    ),
];

/// Before a rule about processes that are alive.
const LIVING: &str = "Of a process that goes on (`hotfire attach`),";

/// No rule gives this class: that is what it says.
const UNKNOWN: &str = "unknown

What it means
  No rule saw all of its signs, so that no cause is named. What was seen stands in the evidence,
  and is true without a cause: the signal, the place, the stacks of all threads.

What to do next
  Read the last lines of the output and the culprit's frame (`hotfire show --full`).
  Look for evidence that says what was not seen: a stripped library, a refused trace, an output
  that went elsewhere; with those mended, the same run may have a class.
  Run it again with `--runs 20`: what comes and goes is often a race.
  Build it with debug information, or with -fsanitize=address, and run it again.
";

/// All rules whose classes have a page.
fn rules() -> impl Iterator<Item = &'static Rule> {
    // These are told of plans and of commands; other leaks have their codes' pages.
    let of_commands = || BIRTH_RULES.iter().chain(RISING_RULES);
    let is_of_both = move |rule: &&Rule| of_commands().any(|other| other.class == rule.class);
    let leaks = LEAK_RULES.iter().filter(is_of_both);
    CRASH_RULES.iter().chain(HANG_RULES).chain(of_commands()).chain(leaks)
}

/// Each rule that decides for a class, with its signs.
fn deciding(class: &str) -> Vec<String> {
    let line = |name: &str, text: &str, signs: Vec<&str>| {
        format!("{name}: {text}. Signs, all of them: {}.", signs.join(", "))
    };
    let of_runs = (class == RACE_CLASS).then(|| {
        let signs = RACE_SIGNS.iter().map(|sign| sign.name).collect();
        format!("{} Never of one run.", line(class, RACE_TEXT, signs))
    });
    let of_rule = |rule: &Rule| {
        let signs = rule.signs.iter().map(|sign| sign.name).collect();
        line(rule.name, rule.text, signs)
    };
    let of_class = rules().filter(|rule| rule.class == class).map(of_rule);
    // They bear the names of the others, and ask for more.
    let living = LIVING_RULES.iter().filter(|rule| rule.class == class);
    let living = living.map(|rule| format!("{LIVING} {}", of_rule(rule)));
    of_class.chain(living).chain(of_runs).collect()
}

/// The page of a class, in any case; `None` where no rule about deaths or hangs decides for it.
#[must_use]
pub fn explain_class(class: &str) -> Option<String> {
    if class.eq_ignore_ascii_case("unknown") {
        return Some(UNKNOWN.to_owned());
    }
    let (name, means, next) = CLASSES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(class))?;
    let mut page =
        format!("{name}\n\nWhat it means\n{}\n\nHow it is decided\n", filled(means, "  "));
    for line in deciding(name) {
        page.push_str(&filled(&line, "  "));
        page.push('\n');
    }
    page.push_str(&format!("\nWhat to do next\n{}\n", filled(next, "  ")));
    Some(page)
}

/// The text in lines of a terminal's width.
fn filled(text: &str, margin: &str) -> String {
    const WIDTH: usize = 96;
    let mut lines = vec![margin.to_owned()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.len() + word.len() >= WIDTH {
            lines.push(format!("{margin}{word}"));
        } else {
            let space = if line.len() == margin.len() { "" } else { " " };
            line.push_str(space);
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_that_a_rule_decides_for_has_a_page_and_every_page_a_rule() {
        for rule in rules() {
            let page = explain_class(rule.class).unwrap_or_default();
            assert!(page.contains(&format!("  {}: ", rule.name)), "{}", rule.class);
            assert!(page.lines().all(|line| line.chars().count() <= 98), "{page}");
        }
        for (name, ..) in CLASSES {
            assert!(!deciding(name).is_empty(), "{name}");
        }
        for rule in LIVING_RULES {
            let page = explain_class(rule.class).unwrap();
            let words: Vec<&str> = page.split_whitespace().collect();
            let signs: Vec<&str> = rule.signs.iter().map(|sign| sign.name).collect();
            let line = format!(
                "{LIVING} {}: {}. Signs, all of them: {}.",
                rule.name,
                rule.text,
                signs.join(", ")
            );
            assert!(words.join(" ").contains(&line), "{line}\n{page}");
            assert!(page.lines().all(|line| line.chars().count() <= 98), "{page}");
        }
        let unknown = explain_class("Unknown").unwrap();
        assert!(unknown.lines().all(|line| line.chars().count() <= 98), "{unknown}");
        assert!(explain_class("data-race").unwrap().contains("threads-in-it"));
        assert_eq!(explain_class("clean-exit"), None);
    }
}
