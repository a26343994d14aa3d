//! What differs between versions of CPython beside the offsets.
//!
//! Sources: CPython's Objects/frameobject.c, Include/internal/pycore_frame.h, Objects/codeobject.c,
//! Objects/lnotab_notes.txt and Objects/locations.md of each version.

/// How stacks and lines of a minor version are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conventions {
    pub(super) frames: Frames,
    pub(super) instruction: Instruction,
    pub(super) lines: Lines,
    /// Whether a frame on the C stack holds a code object, of the interpreter's own (3.12).
    pub(super) boundary_has_code: bool,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    /// An object of its own; each is run by a call of the interpreter's loop (3.8 to 3.10).
    Objects,
    /// A record with a flag on the one that C entered the loop with; a record on the C stack tells
    /// of each call of the loop (3.11).
    Flagged,
    /// Records; one on the C stack, without a function of Python, ends those of a call (from 3.12).
    Bounded,
}

/// What a frame says of where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    /// An offset in bytes, −1 before the first (3.8, 3.9).
    Offset,
    /// A number of instructions, −1 before the first (3.10).
    Number,
    /// An address (from 3.11).
    Address,
}

/// How instructions lead to lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// `co_lnotab` (3.8, 3.9).
    Steps,
    /// `co_linetable` of 3.10.
    Ranges,
    /// `co_linetable` from 3.11 on.
    Locations,
}

impl Conventions {
    /// Those of CPython 3.`minor`; `None` where they are not known.
    pub(super) fn of(minor: u8) -> Option<Self> {
        let (frames, instruction, lines) = match minor {
            8 | 9 => (Frames::Objects, Instruction::Offset, Lines::Steps),
            10 => (Frames::Objects, Instruction::Number, Lines::Ranges),
            11 => (Frames::Flagged, Instruction::Address, Lines::Locations),
            12..=14 => (Frames::Bounded, Instruction::Address, Lines::Locations),
            _ => return None,
        };
        Some(Self { frames, instruction, lines, boundary_has_code: minor == 12 })
    }
}
