//! What a core's notes tell: threads with registers, the signal, the process, mapped files.
//!
//! Layouts: Linux `include/linux/elfcore.h` and `include/uapi/linux/elfcore.h` for x86-64,
//! `arch/x86/include/asm/user_64.h` (registers), `fs/binfmt_elf.c` (`NT_FILE`).

use std::fs::File;

use hotfire_sys::{TraceRegisters, signal};

use super::error::CoreError;
use super::layout::{Layout, read_from};
use crate::observe::SignalInfo;
use crate::unwind::{array, u16_at, u32_at, u64_at};

/// Bytes of notes that are read: a thread has 3 to 12 KiB, a mapped file 100 bytes.
const NOTES_BYTES_MAX: u64 = 64 << 20;
/// Threads that are kept, as of a live process.
const THREADS_MAX: usize = 512;
const FILES_MAX: usize = 262_144;
/// `PATH_MAX`, and what the kernel may write behind it.
const PATH_BYTES_MAX: usize = 4_096 + 16;

const PRSTATUS: u32 = 1;
const PRPSINFO: u32 = 3;
const AUXV: u32 = 6;
const SIGINFO: u32 = 0x5349_4749;
const FILE: u32 = 0x4649_4c45;

/// In `struct elf_prstatus`.
const SIGNAL_AT: usize = 12;
const BLOCKED_AT: usize = 24;
const PID_AT: usize = 32;
const REGISTERS_AT: usize = 112;
/// In `struct elf_prpsinfo`.
const LEADER_AT: usize = 24;
const NAME_AT: usize = 40;
const ARGUMENTS_AT: usize = 56;
const ARGUMENTS_BYTES: usize = 80;

/// Entries of the auxiliary vector (getauxval(3)).
const AT_PHDR: u64 = 3;
const AT_ENTRY: u64 = 9;
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;

/// All that the notes tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// The threads; the first is the one that the signal ended.
    pub(super) threads: Vec<ThreadNote>,
    /// Threads that were left out for their number.
    pub(super) threads_cut: u64,
    pub(super) process: Option<ProcessNote>,
    /// Where the vDSO begins.
    pub(super) vdso: Option<u64>,
    /// An address in the program itself.
    pub(super) in_program: Option<u64>,
    /// An address on the first thread's stack.
    pub(super) on_stack: Option<u64>,
    /// Mapped files, by address.
    pub(super) files: Vec<FileNote>,
}

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThreadNote {
    pub(super) tid: i32,
    /// The signal at which it stood; 0: none.
    pub(super) signal: i32,
    pub(super) registers: TraceRegisters,
    /// The base of `fs`: what `pthread_self` gives.
    pub(super) thread_pointer: u64,
    /// The signals that it had blocked, by their bits in `/proc/PID/status`.
    pub(super) blocked: u64,
    /// The system call that it entered the kernel by; negative: another way.
    pub(super) call: i64,
    pub(super) signal_info: Option<SignalInfo>,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessNote {
    pub(super) pid: i32,
    /// Its name, at most 15 bytes.
    pub(super) name: String,
    /// Its command line, joined by blanks and cut at 79 bytes.
    pub(super) arguments: String,
}

/// A mapping of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileNote {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Bytes from the file's begin.
    pub(super) offset: u64,
    pub(super) path: String,
}

impl Notes {
    /// Reads all notes.
    pub(super) fn read(file: &File, layout: &Layout) -> Result<Self, CoreError> {
        let cut = |what| CoreError::Truncated {
            there: layout.there_bytes,
            whole: layout.whole_bytes,
            what,
        };
        let mut notes = Self::default();
        let mut room = NOTES_BYTES_MAX;
        for &(offset, bytes) in &layout.notes {
            // What is not there needs no room.
            let there = layout.there_bytes.saturating_sub(offset).min(bytes).min(room);
            room -= there;
            let mut buffer = vec![0; usize::try_from(there).unwrap_or(0)];
            let length = read_from(file, offset, &mut buffer);
            notes.parse(buffer.get(..length).unwrap_or_default());
        }
        notes.files.sort_by_key(|file| file.start);
        if notes.threads.is_empty() {
            return Err(match layout.is_cut() {
                true => cut("the threads' registers"),
                false => CoreError::Damaged("it tells of no thread"),
            });
        }
        Ok(notes)
    }

    /// Takes in note after note; what is behind one that makes no sense is lost.
    fn parse(&mut self, mut rest: &[u8]) -> Option<()> {
        loop {
            let (name_bytes, bytes) = (u32_at(rest, 0)? as usize, u32_at(rest, 4)? as usize);
            let kind = u32_at(rest, 8)?;
            let start = 12_usize.checked_add(name_bytes.checked_next_multiple_of(4)?)?;
            let end = start.checked_add(bytes)?;
            let content = rest.get(start..end)?;
            if array(rest, 12) == Some(*b"CORE") {
                self.take(kind, content);
            }
            rest = rest.get(end.checked_next_multiple_of(4)?..)?;
        }
    }

    fn take(&mut self, kind: u32, content: &[u8]) -> Option<()> {
        match kind {
            PRSTATUS if self.threads.len() >= THREADS_MAX => self.threads_cut += 1,
            PRSTATUS => self.threads.push(thread(content)?),
            // It stands behind its thread's registers; a debugger writes one for each.
            SIGINFO if self.threads_cut == 0 => {
                let thread = self.threads.last_mut()?;
                thread.signal_info = thread.signal_info.take().or(signal_info(content));
            }
            PRPSINFO => self.process = process(content),
            AUXV => self.auxiliary(content),
            FILE => self.files = files(content).unwrap_or_default(),
            _ => {}
        }
        Some(())
    }

    fn auxiliary(&mut self, content: &[u8]) {
        let (words, _) = content.as_chunks::<16>();
        for pair in words {
            let (Some(kind), Some(value)) = (u64_at(pair, 0), u64_at(pair, 8)) else { continue };
            match kind {
                AT_SYSINFO_EHDR => self.vdso = Some(value),
                AT_ENTRY => self.in_program = Some(value),
                AT_PHDR => self.in_program = self.in_program.or(Some(value)),
                AT_RANDOM => self.on_stack = Some(value),
                _ => {}
            }
        }
    }
}

fn i32_at(content: &[u8], at: usize) -> Option<i32> {
    array(content, at).map(i32::from_le_bytes)
}

fn thread(content: &[u8]) -> Option<ThreadNote> {
    // `struct user_regs_struct`, in words.
    let register = |number: usize| u64_at(content, REGISTERS_AT + 8 * number);
    let [r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8] = [
        register(0)?,
        register(1)?,
        register(2)?,
        register(3)?,
        register(4)?,
        register(5)?,
        register(6)?,
        register(7)?,
        register(8)?,
        register(9)?,
    ];
    let (rax, rcx, rdx) = (register(10)?, register(11)?, register(12)?);
    let (rsi, rdi, call) = (register(13)?, register(14)?, register(15)?);
    let general = [rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
    Some(ThreadNote {
        tid: i32_at(content, PID_AT)?,
        signal: u16_at(content, SIGNAL_AT)?.into(),
        blocked: u64_at(content, BLOCKED_AT)?,
        registers: TraceRegisters { rip: register(16)?, rsp: register(19)?, rbp, general },
        thread_pointer: register(21)?,
        call: call.cast_signed(),
        signal_info: None,
    })
}

/// `siginfo_t` in bytes; which fields it has depends on signal and code, as for a live one.
pub(super) fn signal_info(content: &[u8]) -> Option<SignalInfo> {
    let (number, code) = (i32_at(content, 0)?, i32_at(content, 8)?);
    let was_sent = matches!(code, SI_USER | SI_QUEUE | SI_TKILL | SI_MESGQ);
    let is_fault = signal::is_fault(number) && code > 0;
    Some(SignalInfo {
        signal: number,
        code,
        address: if is_fault { Some(u64_at(content, 16)?) } else { None },
        sender: if was_sent { Some(i32_at(content, 16)?) } else { None },
    })
}

const SI_USER: i32 = 0;
const SI_QUEUE: i32 = -1;
const SI_MESGQ: i32 = -3;
const SI_TKILL: i32 = -6;

fn process(content: &[u8]) -> Option<ProcessNote> {
    let text = |bytes: &[u8]| {
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).trim().to_owned()
    };
    Some(ProcessNote {
        pid: i32_at(content, LEADER_AT)?,
        name: text(content.get(NAME_AT..ARGUMENTS_AT)?),
        arguments: text(content.get(ARGUMENTS_AT..ARGUMENTS_AT + ARGUMENTS_BYTES)?),
    })
}

/// A count and the size of a page; for each mapping where it begins, where it ends and its pages
/// from the file's begin; then the paths, each with a NUL.
fn files(content: &[u8]) -> Option<Vec<FileNote>> {
    let (count, page_bytes) = (u64_at(content, 0)?, u64_at(content, 8)?);
    let count = usize::try_from(count).ok()?;
    let (entries, mut paths) = content.get(16..)?.split_at_checked(count.checked_mul(24)?)?;
    let mut files = Vec::new();
    for entry in entries.chunks_exact(24).take(FILES_MAX) {
        let end = paths.iter().position(|byte| *byte == 0)?;
        let path = paths.get(..end)?;
        paths = paths.get(end + 1..)?;
        let (start, end) = (u64_at(entry, 0)?, u64_at(entry, 8)?);
        let Some(offset) = u64_at(entry, 16)?.checked_mul(page_bytes) else { continue };
        // A file has at most `i64::MAX` bytes; whoever counts from here cannot go over the end.
        let is_possible = offset.saturating_add(end.saturating_sub(start)) <= i64::MAX as u64;
        if start < end && is_possible && path.len() <= PATH_BYTES_MAX {
            let path = String::from_utf8_lossy(path).into_owned();
            files.push(FileNote { start, end, offset, path });
        }
    }
    Some(files)
}
