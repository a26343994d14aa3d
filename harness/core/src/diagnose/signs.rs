//! The signs that rules ask for: each is one question to the facts.
//!
//! Deliberately absent: which signs make a cause (`rules.rs`); text signs (`texts.rs`).

use super::accesses::access_words;
use super::facts::Facts;
use super::finding::Evidence;
use super::ledger;
use super::rule::Seen;
use super::signals;
use crate::observe::{Fact, Mapping, Pointer, UNDELIVERED};

/// Addresses below this are never mapped for programs (vm.mmap_min_addr is 64 KiB).
pub(crate) const NULL_PAGE_BYTES: u64 = 0x1_0000;
/// How far from the stack pointer a frame's first touch may lie.
const FRAME_BYTES_MAX: u64 = 0x1_0000;
const PAGE_BYTES: u64 = 0x1000;

/// One thing seen.
pub(crate) fn evidence(source: &str, text: String) -> Evidence {
    Evidence { text, source: source.to_owned() }
}

/// The same as a sign's answer.
pub(crate) fn line(source: &str, text: String) -> Seen {
    Seen::Line(evidence(source, text))
}

fn signal_is(facts: &Facts<'_>, wanted: i32) -> Option<Seen> {
    (facts.signal()? == wanted).then_some(Seen::Told)
}

fn code_is(facts: &Facts<'_>, wanted: i32) -> Option<Seen> {
    (facts.code()? == wanted).then_some(Seen::Told)
}

pub(crate) fn is_segv(facts: &Facts<'_>) -> Option<Seen> {
    signal_is(facts, signals::SIGSEGV)
}

pub(crate) fn is_bus(facts: &Facts<'_>) -> Option<Seen> {
    signal_is(facts, signals::SIGBUS)
}

pub(crate) fn is_abort(facts: &Facts<'_>) -> Option<Seen> {
    signal_is(facts, signals::SIGABRT)
}

/// With SIGABRT, a process ends itself for a fault that it found.
pub(crate) fn is_no_abort(facts: &Facts<'_>) -> Option<Seen> {
    (facts.signal()? != signals::SIGABRT).then_some(Seen::Told)
}

pub(crate) fn is_fpe(facts: &Facts<'_>) -> Option<Seen> {
    signal_is(facts, signals::SIGFPE)
}

pub(crate) fn is_ill(facts: &Facts<'_>) -> Option<Seen> {
    signal_is(facts, signals::SIGILL)
}

pub(crate) fn is_memory_fault(facts: &Facts<'_>) -> Option<Seen> {
    signals::is_memory_fault(facts.signal()?).then_some(Seen::Told)
}

pub(crate) fn is_unmapped(facts: &Facts<'_>) -> Option<Seen> {
    code_is(facts, signals::SEGV_MAPERR)
}

pub(crate) fn is_forbidden(facts: &Facts<'_>) -> Option<Seen> {
    code_is(facts, signals::SEGV_ACCERR)
}

pub(crate) fn is_without_backing(facts: &Facts<'_>) -> Option<Seen> {
    code_is(facts, signals::BUS_ADRERR)
}

pub(crate) fn is_integer_division(facts: &Facts<'_>) -> Option<Seen> {
    code_is(facts, signals::FPE_INTDIV)
}

pub(crate) fn is_misaligned_access(facts: &Facts<'_>) -> Option<Seen> {
    code_is(facts, signals::BUS_ADRALN)
}

pub(crate) fn is_sys(facts: &Facts<'_>) -> Option<Seen> {
    signal_is(facts, signals::SIGSYS)
}

pub(crate) fn is_filtered(facts: &Facts<'_>) -> Option<Seen> {
    (facts.code()? == signals::SYS_SECCOMP).then(|| forbidden_call(facts))
}

/// Only a filter of system calls ends a process by SIGSYS so.
pub(crate) fn is_undelivered(facts: &Facts<'_>) -> Option<Seen> {
    match &facts.crash?.siginfo {
        Fact::Unavailable(reason) if reason == UNDELIVERED => Some(forbidden_call(facts)),
        _ => None,
    }
}

/// The kernel has put the call's number back to rax.
fn forbidden_call(facts: &Facts<'_>) -> Seen {
    let number = facts.registers().and_then(|registers| registers.general.first().copied());
    let number = number.and_then(|number| i64::try_from(number).ok());
    let call = number.map_or_else(|| "a system call".to_owned(), signals::syscall_name);
    line("registers", format!("a filter of system calls forbids {call}"))
}

/// The kernel reports a general protection fault with SI_KERNEL and address 0.
pub(crate) fn is_general_protection(facts: &Facts<'_>) -> Option<Seen> {
    (facts.code()? == signals::SI_KERNEL && facts.address().unwrap_or(0) == 0)
        .then(|| line("siginfo", "si_code is SI_KERNEL (128) without an address".to_owned()))
}

/// Positive codes up to SI_KERNEL come from the kernel; zero and negative ones from a sender.
pub(crate) fn is_raised_by_kernel(facts: &Facts<'_>) -> Option<Seen> {
    (facts.code()? > 0).then_some(Seen::Told)
}

pub(crate) fn is_sent(facts: &Facts<'_>) -> Option<Seen> {
    (facts.code()? <= 0).then_some(Seen::Told)
}

pub(crate) fn is_from_itself(facts: &Facts<'_>) -> Option<Seen> {
    let sender = facts.sender()?;
    let is_own = facts.crash?.victim.pid == sender;
    is_own.then(|| line("siginfo", format!("the sender is the process itself (pid {sender})")))
}

/// The kernel does not send this signal as if the process did.
pub(crate) fn is_no_kernels(facts: &Facts<'_>) -> Option<Seen> {
    (!signals::is_by_kernel_as_itself(facts.signal()?)).then_some(Seen::Told)
}

pub(crate) fn is_from_outside(facts: &Facts<'_>) -> Option<Seen> {
    let sender = facts.sender()?;
    (!facts.is_of_run(sender))
        .then(|| line("siginfo", format!("the sender, pid {sender}, is no process of this run")))
}

pub(crate) fn is_near_null(facts: &Facts<'_>) -> Option<Seen> {
    let address = facts.address()?;
    (address < NULL_PAGE_BYTES)
        .then(|| line("siginfo", format!("the address {address:#x} lies in the first 64 KiB")))
}

/// The address lies near the stack pointer; or far above it, where a large frame begins to be
/// used, and then the stack pointer itself has left the stack.
pub(crate) fn is_at_stack_pointer(facts: &Facts<'_>) -> Option<Seen> {
    let (address, sp) = (facts.address()?, facts.registers()?.rsp);
    let stack = facts.map()?.above.as_ref()?.start;
    // Another thread's stack lies below the main one, too, and is one.
    let mut pointers = facts.crash?.pointers.iter();
    let is_usable = |pointer: &Pointer| pointer.mapping.permissions.starts_with("rw");
    let has_stack = pointers.any(|pointer| pointer.value == sp && is_usable(pointer));
    let text = if address.abs_diff(sp) < FRAME_BYTES_MAX {
        format!("the address {address:#x} lies near the stack pointer {sp:#x}")
    } else if sp < address && sp < stack && !has_stack {
        format!("the stack pointer {sp:#x} lies {} KiB below the stack", (stack - sp) / 1024)
    } else {
        return None;
    };
    Some(line("registers", text))
}

fn is_stack_like(mapping: &Mapping) -> bool {
    mapping.permissions.starts_with("rw") && (mapping.path.is_empty() || is_stack(mapping))
}

pub(crate) fn is_stack(mapping: &Mapping) -> bool {
    mapping.path.starts_with("[stack")
}

/// The address lies below a stack: in its guard mapping, or in the gap under the main stack.
pub(crate) fn is_below_stack(facts: &Facts<'_>) -> Option<Seen> {
    let map = facts.map()?;
    let above = map.above.as_ref()?;
    let below = match &map.inside {
        Some(guard) => {
            guard.permissions.starts_with("---") && guard.end == above.start && is_stack_like(above)
        }
        // The kernel puts nothing between a stack that may still grow and what lies below.
        None => is_stack(above),
    };
    below.then(|| {
        let text = format!("it lies below the stack at {:#x}-{:#x}", above.start, above.end);
        line("maps", text)
    })
}

pub(crate) fn is_at_pc(facts: &Facts<'_>) -> Option<Seen> {
    let (address, pc) = (facts.address()?, facts.registers()?.rip);
    (address == pc).then(|| {
        line("registers", format!("the fault address is the program counter itself, {pc:#x}"))
    })
}

pub(crate) fn is_not_at_pc(facts: &Facts<'_>) -> Option<Seen> {
    let (address, pc) = (facts.address()?, facts.registers()?.rip);
    (address != pc).then(|| match access_words(facts) {
        // The page tells it anyway, in more words.
        Some(_) => Seen::Told,
        None => line("registers", format!("the instruction at {pc:#x} accessed {address:#x}")),
    })
}

/// An access to readable memory that its permissions forbid can only be a write, or an execution
/// (which the program counter tells apart).
pub(crate) fn is_read_only(facts: &Facts<'_>) -> Option<Seen> {
    let mapping = facts.inside()?;
    mapping.permissions.starts_with("r-").then(|| {
        let place = if mapping.path.is_empty() { "anonymous memory" } else { &mapping.path };
        line("maps", format!("{place} is mapped read-only ({})", mapping.permissions))
    })
}

/// The address lies in a file mapping, on a page behind the file's last one. A core file does not
/// keep how long the file was, so that is part of no identity.
pub(crate) fn is_behind_file_end(facts: &Facts<'_>) -> Option<Seen> {
    let mapping = facts.inside().filter(|_| facts.with_chance)?;
    let bytes = mapping.file_bytes?;
    let offset = facts.address()?.checked_sub(mapping.start)?.checked_add(mapping.offset)?;
    (offset / PAGE_BYTES * PAGE_BYTES >= bytes).then(|| {
        let text = format!("byte {offset} of {} is mapped, the file has {bytes}", mapping.path);
        line("maps", text)
    })
}

/// The address lies in memory that was acquired, and released before the crash.
pub(crate) fn is_in_released_memory(facts: &Facts<'_>) -> Option<Seen> {
    let crash_ns = facts.crash?.time_ns;
    let range = ledger::released_range(facts.ledger?, facts.address()?, crash_ns)?;
    Some(line("ledger", range.describe(crash_ns)))
}

pub(crate) fn is_in_no_live_range(facts: &Facts<'_>) -> Option<Seen> {
    let live = ledger::live_resource(facts.ledger?, facts.address()?, facts.crash?.time_ns);
    live.is_none().then(|| line("ledger", "nothing acquired later holds that address".to_owned()))
}

pub(crate) fn is_in_live_range(facts: &Facts<'_>) -> Option<Seen> {
    let resource = ledger::live_resource(facts.ledger?, facts.address()?, facts.crash?.time_ns)?;
    let text = format!("the address lies in memory of a {resource} that was not released");
    Some(line("ledger", text))
}

/// Something was in use whose owner had been released.
pub(crate) fn has_widow(facts: &Facts<'_>) -> Option<Seen> {
    Some(line("ledger", ledger::widow(facts.ledger?, facts.crash?.time_ns)?))
}

/// What was being released had been released before.
pub(crate) fn releases_twice(facts: &Facts<'_>) -> Option<Seen> {
    Some(line("ledger", ledger::second_release(facts.ledger?, facts.crash?.time_ns)?))
}
