//! Walks the stacks of a stopped process.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hotfire_sys::{Deadline, thread_cpu_ns};

use super::cache::{ImageCache, ImageId};
use super::fold::Folder;
use super::mappings::{Mappings, Region};
use super::memory::{Memory, Paged};
use super::rows::Row;
use super::stack::{EndReason, Frame, Limits, Stack};
use super::step::{Step, step};
use super::x86_64::{self, Registers};
use crate::observe::FoundBy;

/// Handlers that may have interrupted each other on one stack: only there may the stack pointer
/// go back, so that without a limit a forged one could lead in circles.
const SIGNALS_MAX: u32 = 64;
/// The clock is read once in as many frames.
const FRAMES_PER_LOOK: u64 = 256;

/// The innermost frames whose registers are kept.
const CALLERS_ASKED_MAX: u64 = 8;

/// Images that are kept from process to process; each may hold an open file.
const IMAGES_MAX: usize = 128;

/// Unwinds; keeps what it has read of files for the next process.
#[derive(Debug, Default)]
pub struct Unwinder {
    cache: ImageCache,
    limits: Limits,
    deadline: Deadline,
}

impl Unwinder {
    /// An unwinder that knows no file yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// All processes from now on are walked until then, whatever the limits of each say.
    pub fn end_by(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// A process whose threads are stopped, and whose memory does not change while it is looked at.
    pub fn process<M: Memory>(&mut self, mappings: Mappings, memory: M) -> StoppedProcess<'_, M> {
        self.cache.trim(IMAGES_MAX);
        StoppedProcess {
            cache: &mut self.cache,
            limits: self.limits,
            mappings,
            memory: Paged::new(memory),
            modules: BTreeMap::new(),
            work_end_ns: thread_cpu_ns().saturating_add(self.limits.work_ns_max),
            deadline: self.deadline.or_after(self.limits.time_ns_max),
        }
    }
}

/// A process whose stacks can be walked.
#[derive(Debug)]
pub struct StoppedProcess<'a, M> {
    cache: &'a mut ImageCache,
    pub(super) limits: Limits,
    pub(super) mappings: Mappings,
    pub(super) memory: Paged<M>,
    /// By where a mapping begins: its image and what to add to addresses as linked.
    modules: BTreeMap<u64, Option<(ImageId, u64)>>,
    work_end_ns: u64,
    deadline: Deadline,
}

/// A frame while it is walked.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) registers: Registers,
    pub(super) found_by: FoundBy,
    pub(super) exact: bool,
    pub(super) doubtful: bool,
}

impl Place {
    pub(super) fn lookup_address(&self) -> u64 {
        let pc = self.registers.pc();
        if self.exact { pc } else { pc.wrapping_sub(1) }
    }
}

/// The rules for a frame and where its function begins in the process.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) row: Rc<Row>,
    pub(super) function_start: u64,
}

fn finish(folder: Folder, end: EndReason, saved: BTreeSet<u64>) -> Stack {
    Stack { saved: saved.into_iter().collect(), ..folder.finish(end) }
}

/// What one stack may still cost.
#[derive(Debug)]
struct Budget {
    signals: u32,
    searches: u32,
}

impl<M: Memory> StoppedProcess<'_, M> {
    /// The stack of a thread with these registers. The time limit is one for all stacks of the
    /// process, so the one that matters comes first.
    pub fn unwind(&mut self, registers: Registers) -> Stack {
        let mut budget = Budget { signals: SIGNALS_MAX, searches: self.limits.scans_max };
        let mut folder = Folder::new(self.limits);
        let mut saved = BTreeSet::new();
        let (found_by, exact, doubtful) = (FoundBy::Registers, true, false);
        let mut place = Place { registers, found_by, exact, doubtful };
        loop {
            let known = self.known(place.lookup_address());
            let trampoline = match &known {
                Some(known) => known.row.signal_trampoline,
                None => x86_64::is_signal_trampoline(&mut self.memory, place.registers.pc()),
            };
            folder.push(Frame {
                pc: place.registers.pc(),
                sp: place.registers.sp(),
                found_by: place.found_by,
                exact: place.exact,
                signal_trampoline: trampoline,
                doubtful: place.doubtful,
                function_start: known.as_ref().map(|known| known.function_start),
            });
            if folder.walked() <= CALLERS_ASKED_MAX && !place.doubtful {
                saved.extend(place.registers.preserved());
            }
            if let Some(end) = self.spent(&folder) {
                return finish(folder, end, saved);
            }
            let next = if trampoline {
                self.before_signal(&place, known.as_ref(), &mut budget)
            } else {
                self.caller(&place, known.as_ref(), &mut budget)
            };
            match next {
                Ok(caller) => place = caller,
                Err(end) => return finish(folder, end, saved),
            }
        }
    }

    fn spent(&self, folder: &Folder) -> Option<EndReason> {
        if folder.walked() >= self.limits.frames_walked_max {
            return Some(EndReason::FramesMax);
        }
        let looks = folder.walked() % FRAMES_PER_LOOK == 1;
        (looks && self.late()).then_some(EndReason::TimeMax)
    }

    pub(super) fn late(&self) -> bool {
        self.deadline.has_passed() || thread_cpu_ns() > self.work_end_ns
    }

    /// What a signal interrupted; the stack may have been another one.
    fn before_signal(
        &mut self,
        place: &Place,
        known: Option<&Known>,
        budget: &mut Budget,
    ) -> Result<Place, EndReason> {
        budget.signals = budget.signals.checked_sub(1).ok_or(EndReason::NoProgress)?;
        let registers = match known {
            Some(known) => match step(&known.row, &place.registers, &mut self.memory) {
                Some(Step::Caller(registers)) => Some(registers),
                Some(Step::Outermost) => return Err(EndReason::Outermost),
                None => None,
            },
            None => x86_64::interrupted(&mut self.memory, place.registers.sp()),
        };
        let registers = registers.ok_or(EndReason::NoCaller)?;
        let (found_by, exact) = (FoundBy::UnwindInfo, true);
        Ok(Place { registers, found_by, exact, doubtful: place.doubtful })
    }

    fn caller(
        &mut self,
        place: &Place,
        known: Option<&Known>,
        budget: &mut Budget,
    ) -> Result<Place, EndReason> {
        if let Some(known) = known {
            match step(&known.row, &place.registers, &mut self.memory) {
                Some(Step::Outermost) => return Err(EndReason::Outermost),
                Some(Step::Caller(caller)) if caller.pc() == 0 => return Err(EndReason::Outermost),
                Some(Step::Caller(caller)) if self.mappings.executable(caller.pc() - 1) => {
                    if caller.sp() <= place.registers.sp() {
                        return Err(EndReason::NoProgress);
                    }
                    return Ok(Place {
                        registers: caller,
                        found_by: FoundBy::UnwindInfo,
                        exact: false,
                        doubtful: place.doubtful,
                    });
                }
                // The return address was overwritten, or the frame cannot be read.
                _ => {}
            }
        }
        budget.searches = budget.searches.checked_sub(1).ok_or(EndReason::NoCaller)?;
        if self.late() {
            return Err(EndReason::TimeMax);
        }
        let caller = self.guess(place, known).ok_or(EndReason::NoCaller)?;
        if caller.registers.sp() <= place.registers.sp() {
            return Err(EndReason::NoProgress);
        }
        Ok(caller)
    }

    /// The function that holds an address, by its unwind information.
    pub(super) fn known(&mut self, address: u64) -> Option<Known> {
        let region = *self.mappings.at(address).filter(|region| region.executable)?;
        let (image, bias) = match self.modules.get(&region.start) {
            Some(module) => (*module)?,
            None => {
                let module = self.module(region);
                self.modules.insert(region.start, module);
                module?
            }
        };
        let place = (bias, address.wrapping_sub(bias));
        let row = self.cache.row(image, &mut self.memory, place)?;
        let function_start = row.function_start.wrapping_add(bias);
        Some(Known { row, function_start })
    }

    fn module(&mut self, region: Region) -> Option<(ImageId, u64)> {
        let index = region.file?;
        let of_file = self.mappings.file(index).and_then(|file| self.cache.of_file(file));
        if let Some(image) = of_file {
            let headers = self.cache.headers(image)?;
            return Some((image, headers.bias(region.offset, region.start, region.executable)?));
        }
        // Deleted, replaced, of another file system, or the vDSO: what is mapped is in memory.
        let start = self.mappings.file_start(index, region.start)?;
        self.cache.of_memory(&mut self.memory, start)
    }
}
