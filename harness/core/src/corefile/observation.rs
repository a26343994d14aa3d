//! From a core file to the observation that a live death would have given.
//!
//! Deliberately absent: what it means (`diagnose`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hotfire_sys::{open_regular, signal};

use super::error::CoreError;
use super::files::Files;
use super::first_fault::first_fault;
use super::layout::Layout;
use super::memory::{CoreMemory, Segments};
use super::notes::{Notes, ThreadNote};
use super::programs::{NamedFile, find_files};
use crate::observe::{
    AddressMap, Crash, Ending, Fact, HeapFacts, LastWords, LaunchMode, NO_HOST, Observation,
    Output, Registers, Samples, Thread, Victim, Wait,
};
use crate::python::{Interpreters, merge};
use crate::supervise::{add_lock, add_memory_facts, address_map, stack_record, wait_of};
use crate::symbolize::Symbolizer;
use crate::unwind::{Frame, Limits, Mappings, Memory, Stack, Unwinder};

/// Bytes read at the program counter.
const INSTRUCTION_BYTES: usize = 16;
/// Nobody waits for us, as a stopped process would.
const STACKS_NS_MAX: u64 = 10_000_000_000;
/// What a system call gives when a signal took its thread out of it: `EINTR`, and within the kernel
/// `ERESTARTSYS`, `ERESTARTNOINTR`, `ERESTARTNOHAND`, `ERESTART_RESTARTBLOCK` (linux/errno.h).
const INTERRUPTED: [i64; 5] = [-4, -512, -513, -514, -516];
/// `int3`.
const BREAKPOINT: u8 = 0xcc;
/// `TRAP_BRKPT`, `TRAP_TRACE`, `TRAP_HWBKPT` (asm-generic/siginfo.h).
const DEBUGGERS: [i32; 3] = [1, 2, 4];

/// Reads a core file. `program` stands in for the one that the core names, where that is not there
/// any more.
///
/// # Errors
/// It is no core file of this kind of machine, it ends before the threads' registers, no signal had
/// ended its process, or the program is no ELF file.
pub fn read_core(path: &Path, program: Option<&Path>) -> Result<Observation, CoreError> {
    let core = open_regular(&path.to_string_lossy())
        .map_err(|error| CoreError::Unreadable(error.to_string()))?;
    let mut layout = Layout::read(&core)?;
    let mut notes = Notes::read(&core, &layout)?;
    let segments = Segments { core: &core, layout: &layout };
    let (named, mut soft_errors) = find_files(&core, segments, &notes, program)?;
    soft_errors.extend(cut_lines(&layout, &notes));
    add_unkept(&mut layout, &notes, &named);
    let segments = Segments { core: &core, layout: &layout };
    let files = Files::new(&layout, &notes, named);
    soft_errors.extend(files.cut_line());
    let memory = &mut CoreMemory::new(segments, &files);
    let last = notes.threads.first_mut().ok_or(CoreError::NoDeath)?;
    let signal = death(last, memory).ok_or(CoreError::NoDeath)?;
    let stack = stacks(&[last], &files, memory).pop();
    let fault = stack.and_then(|stack| first_fault(last, &stack, &files, memory));
    let through_handler = fault.is_some();
    *last = fault.unwrap_or_else(|| last.clone());
    let first = last.clone();
    let reader = Reader { segments, notes: &notes, files: &files };
    let mut symbolizer = Symbolizer::default();
    let crash = reader.crash(&first, signal, &mut symbolizer);
    let crash = reader.with_memory_facts(Crash { through_handler, ..crash });
    let notes_of_names = symbolizer.take_notes().into_iter().filter(|note| !files.is_told(note));
    soft_errors.extend(notes_of_names.map(|note| format!("names: {note}")));
    Ok(Observation {
        plan: String::new(),
        command: command(&notes, path),
        seed: 0,
        mode: LaunchMode::Spawn,
        traced: true,
        mode_note: None,
        ending: Ending::Signaled(signal),
        crash: Some(crash),
        more_crashes: Vec::new(),
        handler_reports: Vec::new(),
        stall: None,
        births: Vec::new(),
        samples: Samples::default(),
        asked_to_end: Vec::new(),
        kill: None,
        recorder: Fact::Unavailable(NO_HOST.to_owned()),
        census: Fact::Unavailable("a core file does not tell what its process held".to_owned()),
        descendants: Vec::new(),
        output: Output::default(),
        wall_us: 0,
        soft_errors,
    })
}

/// The signal that ended the process. A debugger's core of a living one has none, or one by which
/// it was merely stopped: at a breakpoint, which the debugger takes out of the code again.
fn death(thread: &ThreadNote, memory: &mut dyn Memory) -> Option<i32> {
    let mut is_breakpoint = || {
        let mut before = [0];
        let place = thread.registers.rip.wrapping_sub(1);
        memory.read(place, &mut before) == 1 && before != [BREAKPOINT]
    };
    let is_step = thread.signal == signal::SIGTRAP
        && match &thread.signal_info {
            None => true,
            Some(info) => DEBUGGERS.contains(&info.code) || is_breakpoint(),
        };
    let is_death = thread.signal > 0 && signal::is_fatal_by_default(thread.signal) && !is_step;
    is_death.then_some(thread.signal)
}

/// Debuggers leave what nobody could write to out of their cores, and tell of the files alone.
fn add_unkept(layout: &mut Layout, notes: &Notes, named: &BTreeMap<String, NamedFile>) {
    let mappings = notes.files.iter().map(|file| {
        let is_code = named.get(&file.path).is_some_and(|named| named.is_code(file.offset));
        (file.start, file.end, is_code)
    });
    layout.add_unkept(mappings);
}

/// What is missing.
fn cut_lines(layout: &Layout, notes: &Notes) -> Vec<String> {
    let mut lines = Vec::new();
    if layout.is_cut() {
        let (there, whole) = (layout.there_bytes, layout.whole_bytes);
        lines.push(format!(
            "the core is cut short: {} of its {whole} bytes are missing, and the memory in them",
            whole - there
        ));
    }
    if notes.threads_cut > 0 {
        lines.push(format!("{} more threads than are looked at", notes.threads_cut));
    }
    lines
}

/// The command line, as far as the core has it.
fn command(notes: &Notes, core: &Path) -> Vec<String> {
    let process = notes.process.as_ref();
    let arguments = process.map(|process| process.arguments.as_str()).unwrap_or_default();
    let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    if !words.is_empty() {
        return words;
    }
    let name = process.map(|process| process.name.clone()).filter(|name| !name.is_empty());
    vec![name.unwrap_or_else(|| core.display().to_string())]
}

/// The stacks of threads, that of the one that died first: the limit of time is one for all.
fn stacks(notes: &[&ThreadNote], files: &Files, memory: &mut CoreMemory<'_>) -> Vec<Stack> {
    let limits =
        Limits { work_ns_max: STACKS_NS_MAX, time_ns_max: STACKS_NS_MAX, ..Limits::default() };
    let mut unwinder = Unwinder::new(limits);
    let mut process = unwinder.process(Mappings::from(files.lines.as_slice()), memory);
    notes.iter().map(|note| process.unwind((&note.registers).into())).collect()
}

/// What all parts of the observation are read from.
struct Reader<'a> {
    segments: Segments<'a>,
    notes: &'a Notes,
    files: &'a Files,
}

impl Reader<'_> {
    fn memory(&self) -> CoreMemory<'_> {
        CoreMemory::new(self.segments, self.files)
    }

    fn crash(&self, first: &ThreadNote, signal: i32, symbolizer: &mut Symbolizer) -> Crash {
        let lines = &self.files.lines;
        let registers = &first.registers;
        let mut instruction = vec![0; INSTRUCTION_BYTES];
        let length = self.memory().read(registers.rip, &mut instruction);
        instruction.truncate(length);
        let mut location = symbolizer
            .locate(lines, &mut self.memory(), registers.rip)
            .map_or_else(Fact::Unavailable, Fact::Known);
        self.files.restore(&mut location);
        let siginfo = first.signal_info.clone();
        Crash {
            victim: Victim {
                pid: self.pid(first),
                tid: first.tid,
                thread: self.thread_name(first),
                is_child: true,
                command: command(self.notes, Path::new("")).join(" "),
            },
            signal,
            address_map: self.around(siginfo.as_ref().and_then(|info| info.address)),
            siginfo: siginfo
                .map_or_else(|| Fact::Unavailable("the core has none".to_owned()), Fact::Known),
            registers: Fact::Known(Registers {
                rip: registers.rip,
                rsp: registers.rsp,
                rbp: registers.rbp,
                general: registers.general.to_vec(),
            }),
            instruction,
            location,
            threads: self.threads(self.pid(first), symbolizer),
            former: None,
            former_of_parent: false,
            limit: None,
            pointers: Vec::new(),
            heap: HeapFacts::default(),
            last_words: LastWords::default(),
            through_handler: false,
            time_ns: 0,
            held_ns: 0,
        }
    }

    /// What lies around the registers, and what the process was about to say.
    fn with_memory_facts(&self, mut crash: Crash) -> Crash {
        add_memory_facts(&mut crash, &self.files.lines, &mut self.memory());
        for pointer in &mut crash.pointers {
            pointer.mapping.path = self.files.name(&pointer.mapping.path).to_owned();
        }
        crash
    }

    /// The process; without a note of it, its only thread at least.
    fn pid(&self, first: &ThreadNote) -> i32 {
        self.notes.process.as_ref().map_or(first.tid, |process| process.pid)
    }

    /// A core has the name of the first thread alone, as the process's.
    fn thread_name(&self, thread: &ThreadNote) -> String {
        let process = self.notes.process.as_ref().filter(|process| process.pid == thread.tid);
        process.map_or_else(|| "?".to_owned(), |process| process.name.clone())
    }

    fn around(&self, address: Option<u64>) -> Fact<AddressMap> {
        let Some(address) = address else {
            return Fact::Unavailable("the signal has no address".to_owned());
        };
        let mut map = address_map(&self.files.lines, address, "");
        let neighbours = [&mut map.inside, &mut map.below, &mut map.above];
        for mapping in neighbours.into_iter().flatten() {
            mapping.path = self.files.name(&mapping.path).to_owned();
        }
        Fact::Known(map)
    }

    /// All threads with their stacks.
    fn threads(&self, pid: i32, symbolizer: &mut Symbolizer) -> Vec<Thread> {
        let mut seen = BTreeSet::new();
        let notes = self.notes.threads.iter().filter(|note| seen.insert(note.tid));
        let notes: Vec<&ThreadNote> = notes.collect();
        let stacks = stacks(&notes, self.files, &mut self.memory());
        let frames: Vec<Frame> = stacks.iter().flat_map(|stack| &stack.frames).copied().collect();
        // All at once: a file's symbols are looked through once for all threads.
        let lines = &self.files.lines;
        let places = symbolizer.locate_frames(lines, &mut self.memory(), &frames);
        let mut places = places.into_iter();
        let mut memory = self.memory();
        let mut python = Interpreters::find(symbolizer, lines, &mut memory);
        let tids: Vec<i32> = self.notes.threads.iter().map(|note| note.tid).collect();
        let mut threads = Vec::new();
        for (note, walked) in notes.into_iter().zip(&stacks) {
            let mut stack = stack_record(walked, &mut places);
            let running = python.as_mut().and_then(|python| python.running(note.thread_pointer));
            if let Some(running) = running {
                merge(&mut stack, walked, running);
            }
            for frame in &mut stack.frames {
                self.files.restore(&mut frame.location);
            }
            let mut thread = Thread {
                pid,
                tid: note.tid,
                name: self.thread_name(note),
                state: '?',
                wait: self.wait(note),
                stack: Fact::Known(stack),
                progress: Fact::Unavailable("a core is one moment".to_owned()),
            };
            add_lock(&mut thread, &mut self.memory(), &tids);
            threads.push(thread);
        }
        threads.sort_by_key(|thread| thread.tid);
        threads
    }

    /// The system call out of which the end of the process took a thread.
    fn wait(&self, note: &ThreadNote) -> Wait {
        let [rax, _, _, rdx, rsi, rdi, r8, r9, r10, ..] = note.registers.general;
        if note.call < 0 || !INTERRUPTED.contains(&rax.cast_signed()) {
            return Wait::None;
        }
        wait_of(note.call, &[rdi, rsi, rdx, r10, r8, r9], &self.files.lines)
    }
}
