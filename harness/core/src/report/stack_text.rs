//! All stacks of a finding, and the registers of its crash, for those who ask for them.
//!
//! Deliberately absent: the finding's own page (`finding_text.rs`), which has the crashed thread.

use super::colour::{RenderContext, Tone};
use super::finding_text::{frame_line, python_line, thread_line};
use super::sanitize::sanitize;
use crate::diagnose::Finding;
use crate::observe::{Crash, Fact};

/// Registers on a line.
const REGISTERS_PER_LINE: usize = 4;
/// The names of [`crate::observe::Registers::general`].
const GENERAL: [&str; 14] = [
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];

/// The stacks of all threads, whole, each frame with how it was found.
#[must_use]
pub fn render_stacks(finding: &Finding, context: &RenderContext) -> String {
    let mut text = String::from("\nall threads:\n");
    for thread in &finding.threads {
        let line = sanitize(&thread_line(thread, finding), usize::MAX);
        text.push_str(&format!("{}\n", context.paint(Tone::Strong, &line)));
        for (at, frame) in thread.frames.iter().enumerate() {
            text.push_str(&format!("{}\n", sanitize(&frame_line(at, frame), usize::MAX)));
        }
        if thread.frames.is_empty() {
            text.push_str("     (no stack)\n");
        }
        if let Some(line) = python_line(thread) {
            text.push_str(&format!("{}\n", sanitize(&line, usize::MAX)));
        }
    }
    text
}

/// The registers at the fault and the bytes of its instruction.
#[must_use]
pub fn render_registers(crash: &Crash) -> String {
    let registers = match &crash.registers {
        Fact::Known(registers) => registers,
        Fact::Unavailable(why) => return format!("\nregisters: not seen: {why}\n"),
    };
    let first = [("rip", registers.rip), ("rsp", registers.rsp), ("rbp", registers.rbp)];
    let general = GENERAL.into_iter().zip(registers.general.iter().copied());
    let all: Vec<String> = first
        .into_iter()
        .chain(general)
        .map(|(name, value)| format!("{name:>3} {value:#018x}"))
        .collect();
    let mut text = String::from("\nregisters:\n");
    for line in all.chunks(REGISTERS_PER_LINE) {
        text.push_str(&format!("  {}\n", line.join("  ")));
    }
    let bytes: Vec<String> = crash.instruction.iter().map(|byte| format!("{byte:02x}")).collect();
    if !bytes.is_empty() {
        text.push_str(&format!("  bytes at rip: {}\n", bytes.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Registers, bare_crash};

    #[test]
    fn registers_stand_in_columns() {
        let registers =
            Registers { rip: 0x1000, rsp: 0x7fff_0000, rbp: 0, general: (0..14).collect() };
        let crash = Crash {
            registers: Fact::Known(registers),
            instruction: vec![0x8b, 0x07],
            ..bare_crash(11)
        };
        let text = render_registers(&crash);
        assert!(text.contains("rip 0x0000000000001000  rsp 0x000000007fff0000"), "{text}");
        assert!(text.contains("r15 0x000000000000000d\n  bytes at rip: 8b 07\n"), "{text}");
    }
}
