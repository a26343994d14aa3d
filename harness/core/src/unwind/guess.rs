//! One step outward without unwind information: by the return address of a call into nowhere, by
//! the frame pointer, or by a search of the stack.
//!
//! A word on the stack is taken for a return address only if a call ends there that could have
//! led to where we are: a call whose instruction names another function could not. Words of
//! returned calls lie on every stack, so one is preferred whose function was called by what its
//! unwind information says is its caller. Tail calls make true callers look impossible: a search may
//! miss the one before code without unwind information that was reached so.

use super::memory::{Memory, read_exact, read_word};
use super::process::{Known, Place, StoppedProcess};
use super::step::{Step, step};
use super::x86_64::{self, RBP, WORD};
use crate::observe::FoundBy;

/// A function without unwind information is not longer than that, in bytes.
const FUNCTION_BYTES_MAX: u64 = 64 * 1024;
/// Code before a program counter in which the beginning of its function is looked for, in bytes.
const PROLOGUE_SEARCH_BYTES: u64 = 4_096;
/// A frame is not longer than that, in bytes, where only its frame pointer says how long it is.
const FRAME_BYTES_MAX: u64 = 1 << 20;
/// Bytes that tell what code does.
const CODE_BYTES: usize = 16;

/// What called, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// A call of the function that we are in.
    OfThis { start: u64 },
    /// A call through a register, memory or a jump table.
    Unknown,
}

/// A word of the stack that is taken for a return address.
#[derive(Debug, Clone, Copy)]
struct Found {
    slot: u64,
    address: u64,
    caller: Caller,
}

impl<M: Memory> StoppedProcess<'_, M> {
    /// The caller's frame by the methods that need no unwind information.
    pub(super) fn guess(&mut self, place: &Place, known: Option<&Known>) -> Option<Place> {
        let (pc, sp) = (place.registers.pc(), place.registers.sp());
        let nowhere = !self.mappings.executable(pc);
        // Gone to where no code is, or to a PLT's entry, maybe by a tail call: on top of the stack
        // is still what the last call pushed.
        // So it is where a system call makes a thread: its stub has no unwind information there, as
        // that would be wrong in the new one, and has touched no stack (glibc's clone3.S).
        let is_stub = x86_64::is_jump_stub(&self.code::<CODE_BYTES>(pc));
        let makes_thread = known.is_none() && self.code(pc.wrapping_sub(2)) == x86_64::SYSCALL;
        if place.exact && (nowhere || is_stub || makes_thread) {
            let address = read_word(&mut self.memory, sp)?;
            if self.is_call(address) {
                return by_return_address(place, address);
            }
        }
        if nowhere {
            return self
                .by_frame_pointer(place, known)
                .or_else(|| self.by_scan(place, known, None));
        }
        let found = self.search(place, known, true);
        if let Some(Found { caller: Caller::OfThis { start }, slot, address }) = found {
            if place.exact && slot == sp && self.is_at_beginning(start, pc) {
                return by_return_address(place, address);
            }
            let keeps_pointer = self.has_set_up_frame_pointer(start, pc);
            let by_pointer = keeps_pointer.then(|| self.by_frame_pointer(place, known)).flatten();
            return by_pointer.or_else(|| self.by_scan(place, known, found));
        }
        // The function's beginning is not known. Where none that keeps a frame pointer is near, the
        // register is its caller's, and following it would skip that caller.
        if self.prologue_near(pc) {
            let by_pointer = self.by_frame_pointer(place, known);
            return by_pointer.or_else(|| self.by_scan(place, known, None));
        }
        self.by_scan(place, known, None).or_else(|| self.by_frame_pointer(place, known))
    }

    fn by_frame_pointer(&mut self, place: &Place, known: Option<&Known>) -> Option<Place> {
        let (sp, pointer) = (place.registers.sp(), place.registers.get(RBP)?);
        let within = pointer.checked_sub(sp).is_some_and(|length| length < FRAME_BYTES_MAX);
        let same_stack = self.mappings.at(sp).is_some_and(|stack| stack.contains(pointer));
        if !within || !same_stack || !pointer.is_multiple_of(WORD) {
            return None;
        }
        let saved = read_word(&mut self.memory, pointer)?;
        let slot = pointer.checked_add(WORD)?;
        let address = read_word(&mut self.memory, slot)?;
        self.could_have_called(address, place, known)?;
        let mut registers = place.registers.returned(address, slot.checked_add(WORD)?);
        registers.set(RBP, Some(saved));
        let (found_by, exact) = (FoundBy::FramePointer, false);
        Some(Place { registers, found_by, exact, doubtful: place.doubtful })
    }

    fn by_scan(
        &mut self,
        place: &Place,
        known: Option<&Known>,
        found: Option<Found>,
    ) -> Option<Place> {
        let found = found.or_else(|| self.search(place, known, false))?;
        let registers = place.registers.returned(found.address, found.slot.checked_add(WORD)?);
        let (found_by, exact, doubtful) = (FoundBy::Scan, false, true);
        Some(Place { registers, found_by, exact, doubtful })
    }

    /// The nearest word of the stack that may be the return address; with `of_this`, the nearest
    /// behind a call that names this function.
    fn search(&mut self, place: &Place, known: Option<&Known>, of_this: bool) -> Option<Found> {
        let sp = place.registers.sp().checked_next_multiple_of(WORD)?;
        let stack = *self.mappings.at(sp)?;
        let words = ((stack.end - sp) / WORD).min(self.limits.scan_words_max);
        let mut first = None;
        for index in 0..words {
            let slot = sp + index * WORD;
            let address = read_word(&mut self.memory, slot)?;
            // Cheap, and most words end here.
            if !self.mappings.executable(address.wrapping_sub(1)) {
                continue;
            }
            let Some(caller) = self.could_have_called(address, place, known) else { continue };
            let found = Found { slot, address, caller };
            match caller {
                Caller::OfThis { .. } => return Some(found),
                Caller::Unknown if of_this => {}
                // What is asked now costs more than all before.
                Caller::Unknown if self.late() => return first,
                Caller::Unknown => match self.was_called(place, found) {
                    Some(true) => return Some(found),
                    Some(false) => first = first.or(Some(found)),
                    None => {}
                },
            }
        }
        first
    }

    /// Whether the function that a word of the stack returns to was called where its unwind
    /// information says. A tail call before it also makes that look untrue. `None`: there is no
    /// such function.
    fn was_called(&mut self, place: &Place, found: Found) -> Option<bool> {
        let Some(known) = self.known(found.address.wrapping_sub(1)) else {
            return self.is_generated_code(found.address).then_some(true);
        };
        let sp = found.slot.checked_add(WORD)?;
        let registers = place.registers.returned(found.address, sp);
        let (found_by, exact, doubtful) = (FoundBy::Scan, false, true);
        let there = Place { registers, found_by, exact, doubtful };
        match step(&known.row, &there.registers, &mut self.memory) {
            Some(Step::Outermost) => Some(true),
            Some(Step::Caller(outer)) => {
                Some(self.could_have_called(outer.pc(), &there, Some(&known)).is_some())
            }
            None => Some(false),
        }
    }

    fn is_call(&mut self, address: u64) -> bool {
        self.mappings.executable(address.wrapping_sub(1))
            && x86_64::call_before(&mut self.memory, address).is_some()
    }

    /// Whether the call before `address` can have led to the frame.
    fn could_have_called(
        &mut self,
        address: u64,
        place: &Place,
        known: Option<&Known>,
    ) -> Option<Caller> {
        if !self.mappings.executable(address.wrapping_sub(1)) {
            return None;
        }
        let call = x86_64::call_before(&mut self.memory, address)?;
        let direct = call.direct.and_then(|target| self.could_lead_to(target, place, known));
        direct.or_else(|| call.indirect.then_some(Caller::Unknown))
    }

    /// Whether a call of `target` can have led to the frame.
    fn could_lead_to(
        &mut self,
        target: u64,
        place: &Place,
        known: Option<&Known>,
    ) -> Option<Caller> {
        let pc = place.registers.pc();
        let is_this = match known {
            Some(known) => known.function_start == target,
            None => {
                let near = pc.checked_sub(target).is_some_and(|bytes| bytes < FUNCTION_BYTES_MAX);
                let same = self.mappings.at(pc).is_some_and(|code| code.contains(target));
                near && same && self.known(target).is_none()
            }
        };
        if is_this {
            return Some(Caller::OfThis { start: target });
        }
        x86_64::is_jump_stub(&self.code::<CODE_BYTES>(target)).then_some(Caller::Unknown)
    }

    /// Code that no file holds, as a just-in-time compiler makes it.
    fn is_generated_code(&self, address: u64) -> bool {
        self.mappings.at(address.wrapping_sub(1)).is_some_and(|code| code.file.is_none())
    }

    /// The code at an address; zeroes where it cannot be read.
    fn code<const N: usize>(&mut self, address: u64) -> [u8; N] {
        let mut code = [0; N];
        match read_exact(&mut self.memory, address, &mut code) {
            Some(()) => code,
            None => [0; N],
        }
    }

    /// Whether the function at `start` has done nothing yet.
    fn is_at_beginning(&mut self, start: u64, pc: u64) -> bool {
        let marked = x86_64::end_branch_bytes(&self.code::<CODE_BYTES>(start));
        start == pc || start.checked_add(marked) == Some(pc)
    }

    fn has_set_up_frame_pointer(&mut self, start: u64, pc: u64) -> bool {
        let code = self.code::<CODE_BYTES>(start);
        x86_64::frame_pointer_prologue(&code).is_some_and(|bytes| pc - start >= bytes)
    }

    /// Whether a function that keeps a frame pointer begins not far before `pc`.
    fn prologue_near(&mut self, pc: u64) -> bool {
        let Some(region) = self.mappings.at(pc).copied() else { return false };
        let start = region.start.max(pc.saturating_sub(PROLOGUE_SEARCH_BYTES));
        let mut code = vec![0; usize::try_from(pc - start).unwrap_or(0)];
        if read_exact(&mut self.memory, start, &mut code).is_none() {
            return false;
        }
        (0..code.len()).any(|at| {
            let rest = code.get(at..).unwrap_or_default();
            x86_64::frame_pointer_prologue(rest).is_some_and(|bytes| bytes <= rest.len() as u64)
        })
    }
}

/// The caller of a function that has not touched its stack.
fn by_return_address(place: &Place, address: u64) -> Option<Place> {
    let sp = place.registers.sp().checked_add(WORD)?;
    let registers = place.registers.returned(address, sp);
    let (found_by, exact) = (FoundBy::ReturnAddress, false);
    Some(Place { registers, found_by, exact, doubtful: place.doubtful })
}
