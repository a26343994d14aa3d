//! Keeps the ends of a stack that is too long to keep, and finds what repeats itself.

use std::collections::VecDeque;

use super::stack::{Cycle, EndReason, Frame, Limits, Omitted, Stack};

/// The longest repetition that is looked for, in frames.
const CYCLE_FRAMES_MAX: usize = 64;
/// So many times the head is searched for a repetition, once in as many frames.
const SEARCHED_HEADS: usize = 4;
const FRAMES_PER_LOOK: usize = 32;
/// Fewer repetitions are no cycle.
const CYCLE_TIMES_MIN: u64 = 8;

/// Takes frames one by one, innermost first.
#[derive(Debug)]
pub(super) struct Folder {
    limits: Limits,
    /// Longer than it is to be until it is settled where it ends.
    head: Vec<Frame>,
    is_settled: bool,
    tail: VecDeque<Frame>,
    walked: u64,
    /// The cycle that runs through the end of the head: its length and its frames so far.
    running: Option<Running>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    first: usize,
    length: usize,
    frames: u64,
    broken: bool,
}

impl Folder {
    pub(super) fn new(limits: Limits) -> Self {
        let (head, tail) = (Vec::new(), VecDeque::new());
        Self { limits, head, is_settled: false, tail, walked: 0, running: None }
    }

    /// Frames so far.
    pub(super) fn walked(&self) -> u64 {
        self.walked
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.walked += 1;
        if !self.is_settled {
            self.head.push(frame);
            return self.look();
        }
        if let Some(running) = &mut self.running
            && !running.broken
        {
            let place = running.frames % running.length as u64;
            let expected = self.head.get(running.first + place as usize);
            if expected.is_some_and(|expected| expected.pc == frame.pc) {
                running.frames += 1;
            } else {
                running.broken = true;
            }
        }
        self.push_to_tail(frame);
    }

    fn push_to_tail(&mut self, frame: Frame) {
        self.tail.push_back(frame);
        if self.tail.len() > self.limits.tail_frames_max {
            self.tail.pop_front();
        }
    }

    /// Whether something repeats itself by now: then the head ends with it.
    fn look(&mut self) {
        let length = self.head.len();
        let beyond = length.checked_sub(self.limits.head_frames_max);
        if beyond.is_some_and(|beyond| beyond % FRAMES_PER_LOOK == 0) {
            self.running = running(&self.head);
            self.is_settled = self.running.is_some();
        }
        if beyond.is_some() && length >= self.limits.head_frames_max * SEARCHED_HEADS {
            self.settle();
        }
    }

    /// What is too much for a head in which nothing repeats itself is the begin of the tail.
    fn settle(&mut self) {
        if !self.is_settled && self.head.len() > self.limits.head_frames_max {
            let rest = self.head.split_off(self.limits.head_frames_max);
            rest.into_iter().for_each(|frame| self.push_to_tail(frame));
        }
        self.is_settled = true;
    }

    pub(super) fn finish(mut self, end: EndReason) -> Stack {
        self.settle();
        let Self { mut head, tail, walked, running, .. } = self;
        let kept = (head.len() + tail.len()) as u64;
        let omitted = (walked > kept)
            .then_some(Omitted { before: head.len(), frames: walked.saturating_sub(kept) });
        let cycle = running.or_else(|| running_within(&head)).and_then(|running| {
            let times = running.frames / running.length as u64;
            let (first, length) = (running.first, running.length);
            (times >= CYCLE_TIMES_MIN).then_some(Cycle { first, length, times })
        });
        head.extend(tail);
        Stack { frames: head, omitted, cycle, saved: Vec::new(), end }
    }
}

/// The cycle that the last frames are part of: the shortest, from its first frame on.
fn running(frames: &[Frame]) -> Option<Running> {
    (1..=CYCLE_FRAMES_MAX).find_map(|length| {
        let same = |(later, earlier): &(&Frame, &Frame)| later.pc == earlier.pc;
        let pairs = frames.iter().rev().zip(frames.iter().rev().skip(length));
        let repeated = pairs.take_while(same).count();
        let covered = repeated + length;
        let first = frames.len().checked_sub(covered)?;
        (repeated as u64 >= (CYCLE_TIMES_MIN - 1) * length as u64).then_some(Running {
            first,
            length,
            frames: covered as u64,
            broken: false,
        })
    })
}

/// The same in a stack that was kept whole, whose outermost frames are not part of it.
fn running_within(frames: &[Frame]) -> Option<Running> {
    (0..frames.len().min(CYCLE_FRAMES_MAX))
        .find_map(|outer| running(frames.get(..frames.len() - outer)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::FoundBy;

    fn fold(pcs: impl Iterator<Item = u64>) -> Stack {
        let limits = Limits { head_frames_max: 40, tail_frames_max: 5, ..Limits::default() };
        let mut folder = Folder::new(limits);
        for (sp, pc) in (0..).zip(pcs) {
            folder.push(Frame {
                pc,
                sp,
                found_by: FoundBy::UnwindInfo,
                exact: false,
                signal_trampoline: false,
                doubtful: false,
                function_start: None,
            });
        }
        folder.finish(EndReason::Outermost)
    }

    #[test]
    fn recursion_below_other_frames_is_folded() {
        // 100 frames of which none repeats itself, 2,000 of a recursion of three, and the begin.
        let stack = fold((5000..5100).chain((0..2_000).map(|at| 7 + at % 3)).chain([1, 2]));
        let cycle = stack.cycle.unwrap();
        assert_eq!((cycle.length, cycle.times), (3, 666));
        let of_cycle = &stack.frames[cycle.first..cycle.first + 3];
        assert!(of_cycle.iter().all(|frame| (7..10).contains(&frame.pc)), "{of_cycle:?}");
        let omitted = stack.omitted.unwrap();
        assert_eq!(stack.frames.len() as u64 + omitted.frames, 2_102);
        assert_eq!(stack.frames.last().map(|frame| frame.pc), Some(2));
        // Of frames of which none repeats itself no more are kept than were asked for.
        for count in [44, 45, 46, 159, 160, 161, 9_000] {
            let stack = fold(1..=count);
            assert_eq!(stack.frames.len() as u64, count.min(45), "{count}");
            assert_eq!(stack.omitted.map_or(0, |omitted| omitted.frames), count.saturating_sub(45));
            assert_eq!(stack.frames.last().map(|frame| frame.pc), Some(count));
        }
    }

    #[test]
    fn endless_recursion_is_folded_with_its_ends_kept() {
        let recursion = (0..1_000).flat_map(|_| [10, 20, 30]);
        let stack = fold([1, 2].into_iter().chain(recursion).chain([7, 8]));
        let cycle = Cycle { first: 2, length: 3, times: 1_000 };
        assert_eq!(stack.cycle, Some(cycle));
        assert_eq!(stack.omitted, Some(Omitted { before: 40, frames: 3_004 - 45 }));
        let pcs: Vec<u64> = stack.frames.iter().map(|frame| frame.pc).collect();
        assert_eq!((pcs.len(), &pcs[..4], &pcs[42..]), (45, &[1, 2, 10, 20][..], &[30, 7, 8][..]));
    }

    #[test]
    fn a_plain_stack_is_kept_whole() {
        let stack = fold(1..=30);
        assert_eq!((stack.frames.len(), stack.omitted, stack.cycle), (30, None, None));
        let stack = fold(1..=45);
        assert_eq!((stack.frames.len(), stack.omitted, stack.cycle), (45, None, None));
        let stack = fold([1, 2, 2, 2, 3].into_iter());
        assert_eq!(stack.cycle, None);
    }

    #[test]
    fn recursion_that_ended_in_the_head_is_found() {
        let stack = fold((0..12).map(|_| 5).chain([1, 2]));
        assert_eq!(stack.cycle, Some(Cycle { first: 0, length: 1, times: 12 }));
        assert_eq!(stack.omitted, None);
    }
}
