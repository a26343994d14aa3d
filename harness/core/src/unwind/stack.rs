//! What the unwinder gives back: data only.

use crate::observe::FoundBy;

/// A thread's stack, innermost frame first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// The frames that were kept: all, or the innermost and the outermost.
    pub frames: Vec<Frame>,
    /// Frames that were walked but not kept.
    pub omitted: Option<Omitted>,
    /// A sequence of frames that repeats itself, as in endless recursion.
    pub cycle: Option<Cycle>,
    /// What the innermost callers keep in registers that a callee preserves, in the order of the
    /// values.
    pub saved: Vec<u64>,
    /// Why there are no more frames.
    pub end: EndReason,
}

/// A hole in [`Stack::frames`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Omitted {
    /// The hole lies before the frame with this index.
    pub before: usize,
    /// How many frames lie in it.
    pub frames: u64,
}

/// Frames that repeat themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// Index of the first frame of the first repetition.
    pub first: usize,
    /// Frames of one repetition.
    pub length: usize,
    /// Whole repetitions, those in the hole included.
    pub times: u64,
}

/// One function that had not returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The program counter: of an exact frame the instruction to be run, else the return address.
    pub pc: u64,
    /// The stack pointer in this frame.
    pub sp: u64,
    /// How the frame was found.
    pub found_by: FoundBy,
    /// `pc` is the instruction itself, not the one behind a call: the innermost frame, and one
    /// that a signal interrupted.
    pub exact: bool,
    /// The trampoline to which a signal handler returns.
    pub signal_trampoline: bool,
    /// The frame, or one above it, rests on a search of the stack.
    pub doubtful: bool,
    /// Where the function begins, by its unwind information.
    pub function_start: Option<u64>,
}

impl Frame {
    /// An address inside of the instruction that the frame is at: what to look names up by. A
    /// call may be its function's last instruction, so the return address is not.
    #[must_use]
    pub fn lookup_address(&self) -> u64 {
        if self.exact { self.pc } else { self.pc.wrapping_sub(1) }
    }
}

/// Why a stack ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The unwind information says that the function has no caller, or the return address is 0.
    Outermost,
    /// No method finds a caller.
    NoCaller,
    /// The caller's frame would lie inside of its callee's.
    NoProgress,
    /// As many frames as the limit allows.
    FramesMax,
    /// It took as long as the limit allows.
    TimeMax,
}

/// What unwinding may cost; each limit but the time holds for one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Frames that are walked.
    pub frames_walked_max: u64,
    /// Innermost frames that are kept; up to four times as many where they lead to a repetition.
    pub head_frames_max: usize,
    /// Outermost frames that are kept.
    pub tail_frames_max: usize,
    /// Words that one search looks at.
    pub scan_words_max: u64,
    /// Searches of one stack.
    pub scans_max: u32,
    /// Processor time for all stacks of a process together, in nanoseconds: where others take the
    /// processor, a stack is no shorter.
    pub work_ns_max: u64,
    /// Wall time for the same, in nanoseconds: files may be slow to read.
    pub time_ns_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A stack of 8 MiB overflows with at most half a million frames of 16 bytes.
            frames_walked_max: 600_000,
            head_frames_max: 256,
            tail_frames_max: 64,
            scan_words_max: 4_096,
            scans_max: 16,
            work_ns_max: 500_000_000,
            time_ns_max: 10_000_000_000,
        }
    }
}
