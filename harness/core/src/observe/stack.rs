//! Who called whom, with names.
//!
//! Deliberately absent: how it is found out (`unwind`, `symbolize`).

use serde::{Deserialize, Serialize};

use super::{Fact, Location};

/// A thread's stack, innermost frame first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackRecord {
    /// The frames that were kept: all, or the innermost and the outermost.
    pub frames: Vec<FrameRecord>,
    /// Frames that were walked but not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<OmittedFrames>,
    /// A sequence of frames that repeats itself, as in endless recursion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<FrameCycle>,
    /// What the innermost callers keep in registers that a callee preserves, each value once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saved: Vec<u64>,
    /// Where its frames lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extent: Option<StackExtent>,
    /// Why there are no more frames; a lowercase fragment.
    pub end: String,
    /// What the thread runs of Python; left out where no interpreter knows of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<Fact<PythonRecord>>,
}

/// The stack pointers of a thread's first and last frames. A handler may run on another stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackExtent {
    /// Of the innermost frame.
    pub innermost_sp: u64,
    /// Of the outermost frame.
    pub outermost_sp: u64,
}

/// What a thread runs of Python beside the functions that its frames have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonRecord {
    /// The interpreter's version, as far as it is known.
    pub version: String,
    /// Functions of which no native frame is known to run them, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<PythonFrame>,
    /// Functions whose native frames were walked but not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
    /// There are more functions than were read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// A function of Python that had not returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonFrame {
    /// The function, with its class where the interpreter keeps that (from 3.11 on).
    pub function: String,
    /// The file, as it was compiled.
    pub file: String,
    /// The line, from 1, where the interpreter has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

// The signature is serde's.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One function that had not returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// The program counter: of the innermost frame, and of one that a signal interrupted, the
    /// instruction itself; else the return address.
    pub pc: u64,
    /// How the frame was found.
    pub found_by: FoundBy,
    /// The frame, or one above it, rests on a search of the stack.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
    /// The trampoline to which a signal handler returns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signal_trampoline: bool,
    /// Where it is.
    pub location: Fact<Location>,
    /// Where that is in source, innermost first: functions that were inlined, and last the one
    /// that has the frame. Empty where it was not looked for or is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<SourceRecord>,
    /// The functions of Python that this frame of an interpreter runs, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub python: Vec<PythonFrame>,
}

/// A place in source code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The function, demangled, as debug information names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The file's path at its compilation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The function is inlined into the next one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
}

/// How a frame was found, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// The thread's registers: the innermost frame.
    Registers,
    /// Unwind information of the frame below, or the registers that a signal saved.
    UnwindInfo,
    /// The return address at the stack pointer, which a call pushed: the program counter lies in no
    /// code, or at the first instruction of what was called.
    ReturnAddress,
    /// The chain of frame pointers.
    FramePointer,
    /// A word on the stack that looks like a return address.
    Scan,
}

impl FoundBy {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Registers => "registers",
            Self::UnwindInfo => "unwind-info",
            Self::ReturnAddress => "return-address",
            Self::FramePointer => "frame-pointer",
            Self::Scan => "scan",
        }
    }
}

/// A hole in [`StackRecord::frames`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OmittedFrames {
    /// The hole lies before the frame with this index.
    pub before: usize,
    /// How many frames lie in it.
    pub frames: u64,
}

/// Frames that repeat themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameCycle {
    /// Index of the first frame of the first repetition.
    pub first: usize,
    /// Frames of one repetition.
    pub length: usize,
    /// Whole repetitions, those in the hole included.
    pub times: u64,
}

/// Why there is no stack where nobody asked for one.
#[must_use]
pub(super) fn not_asked_for() -> Fact<StackRecord> {
    Fact::Unavailable("not asked for".to_owned())
}
