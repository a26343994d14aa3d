//! The reader on memory that lies: an interpreter that is laid out by hand, whole and with words of it
//! overwritten. Whatever is there, reading ends, and gives a reason or what is true.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::debug_offsets::TOLD_BY_3_14;
use super::layout::Layout;
use super::offsets::{PYTHON_3_8, PYTHON_3_10, PYTHON_3_11, PYTHON_3_12, TOLD_BY_3_13};
use super::source::Source;
use super::walk::{Codes, frames, thread_states};
use super::{Interpreters, runtime::Runtime};
use crate::unwind::Memory;

const BASE: u64 = 0x10_0000;
const BYTES: usize = 0x1_0000;
const RUNTIME: u64 = BASE;
const INTERPRETER: u64 = BASE + 0x1000;
const THREAD: u64 = BASE + 0x2000;
const RECORD: u64 = BASE + 0x2800;
const FRAMES: [u64; 3] = [BASE + 0x3000, BASE + 0x3400, BASE + 0x3800];
const CODES: [u64; 2] = [BASE + 0x4000, BASE + 0x5000];
const LINES: u64 = BASE + 0x6000;
const TEXTS: [u64; 3] = [BASE + 0x7000, BASE + 0x7100, BASE + 0x7200];
const CODE_TYPE: u64 = BASE + 0x8000;
const TEXT_TYPE: u64 = BASE + 0x8200;
const BYTES_TYPE: u64 = BASE + 0x8400;
const FRAME_TYPE: u64 = BASE + 0x8600;
const VERSION: u64 = BASE + 0x8800;
const NONE: u64 = BASE + 0x8900;
const LOCK: u64 = BASE + 0x8a00;
const STACK: u64 = BASE + 0x9000;
const RECURSIVE: u64 = BASE + 0xa000;
const RECURSIVE_TYPE: u64 = BASE + 0xa100;
const TYPE_NAME: u64 = BASE + 0xa200;
const INNER_LOCK: u64 = 0x7f00_0000_2000;
const POINTER: u64 = 0x7f00_0000_1000;

/// Memory from [`BASE`] on.
#[derive(Clone)]
struct Flat(Vec<u8>);

impl Memory for Flat {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let Some(start) = address.checked_sub(BASE).filter(|at| *at < BYTES as u64) else {
            return 0;
        };
        let there = &self.0[start as usize..];
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        length
    }
}

impl Flat {
    fn put(&mut self, address: u64, bytes: &[u8]) {
        let at = (address - BASE) as usize;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&mut self, address: u64, word: u64) {
        self.put(address, &word.to_le_bytes());
    }
}

/// The interpreters that are laid out: minor version, and its table.
const KINDS: [(u8, Layout); 6] = [
    (8, PYTHON_3_8),
    (10, PYTHON_3_10),
    (11, PYTHON_3_11),
    (12, PYTHON_3_12),
    (13, TELLING),
    (14, TELLING),
];
/// One that tells its offsets; the state that they begin is larger.
const TELLING: Layout =
    Layout { interpreters_head: 0x800, cframe_frame: None, cframe_previous: None, ..PYTHON_3_12 };

/// A thread in `inner`, called by `outer`, both in `a.py`; from 3.12 on, with a frame of C behind.
fn interpreter(minor: u8, layout: &Layout) -> Flat {
    let mut memory = Flat(vec![0; BYTES]);
    memory.word(VERSION, 0x0300_00f0 | u64::from(minor) << 16);
    memory.word(RUNTIME + layout.interpreters_head, INTERPRETER);
    match minor {
        13 => tell(&mut memory, layout, &TOLD_BY_3_13),
        14 => tell(&mut memory, layout, &TOLD_BY_3_14),
        _ => {}
    }
    let record = layout.runtime_lock.map_or(LOCK, |offset| RUNTIME + offset);
    layout.interpreter_lock.into_iter().for_each(|it| memory.word(INTERPRETER + it, record));
    memory.word(record + layout.lock_holder, THREAD);
    memory.put(record + layout.lock_taken, &[1, 0, 0, 0]);
    memory.word(INTERPRETER + layout.interpreter_threads, THREAD);
    memory.word(THREAD + layout.thread_interpreter, INTERPRETER);
    memory.word(THREAD + layout.thread_id, POINTER);
    match layout.cframe_frame {
        Some(offset) => {
            memory.word(THREAD + layout.thread_frame, RECORD);
            memory.word(RECORD + offset, FRAMES[0]);
        }
        None => memory.word(THREAD + layout.thread_frame, FRAMES[0]),
    }
    let instruction = |code: u64| layout.code_instructions.map_or(2, |offset| code + offset + 2);
    for (at, frame) in FRAMES.iter().enumerate().take(if minor >= 12 { 3 } else { 2 }) {
        let code = CODES[at.min(1)];
        memory.word(frame + layout.object_type, if minor <= 10 { FRAME_TYPE } else { 0 });
        let held = if at == 2 && minor >= 13 { NONE } else { code };
        memory.word(frame + layout.frame_code, held | u64::from(minor == 14));
        memory.word(frame + layout.frame_instruction, instruction(code));
        if let Some(owner) = layout.frame_owner {
            let owner_is = if minor == 11 { u8::from(at == 1) } else { u8::from(at == 2) * 3 };
            memory.put(frame + owner, &[owner_is]);
        }
        if at > 0 {
            memory.word(FRAMES[at - 1] + layout.frame_previous, *frame);
        }
    }
    let table: &[u8] = match minor {
        8 => &[2, 3],
        10 => &[8, 3],
        // One line further, for eight instructions of two bytes.
        _ => &[0x80 | 13 << 3 | 7, 6],
    };
    memory.word(LINES + layout.object_type, BYTES_TYPE);
    memory.word(LINES + layout.bytes_length, table.len() as u64);
    memory.put(LINES + layout.bytes_data, table);
    for (text, name) in TEXTS.iter().zip(["inner", "outer", "a.py"]) {
        memory.word(text + layout.object_type, TEXT_TYPE);
        memory.word(text + layout.text_length, name.len() as u64);
        memory.put(text + layout.text_state, &[1 << 2 | 1 << 5 | 1 << 6, 0, 0, 0]);
        memory.put(text + layout.text_ascii, name.as_bytes());
    }
    for (code, name) in CODES.iter().zip(TEXTS) {
        memory.word(code + layout.object_type, CODE_TYPE);
        memory.word(code + layout.bytes_length, 8);
        memory.word(code + layout.code_name, name);
        layout.code_qualified_name.into_iter().for_each(|it| memory.word(code + it, name));
        memory.word(code + layout.code_file, TEXTS[2]);
        memory.put(code + layout.code_first_line, &7_i32.to_le_bytes());
        memory.word(code + layout.code_lines, LINES);
    }
    memory
}

/// Writes the offsets to where they are told.
fn tell(memory: &mut Flat, layout: &Layout, places: &Layout) {
    memory.put(RUNTIME, b"xdebugpy");
    memory.word(RUNTIME + 8, 0x030d_00f0);
    let own_lock = places.interpreter_lock.unwrap() + 8;
    let fields: [(u64, u64); 25] = [
        (places.interpreters_head, layout.interpreters_head),
        (places.interpreter_next, layout.interpreter_next),
        (places.interpreter_threads, layout.interpreter_threads),
        (places.interpreter_lock.unwrap(), layout.interpreter_lock.unwrap()),
        (own_lock, 0x700),
        (places.lock_holder, 0x700 + layout.lock_holder),
        (places.lock_taken, 0x700 + layout.lock_taken),
        (places.thread_next, layout.thread_next),
        (places.thread_interpreter, layout.thread_interpreter),
        (places.thread_id, layout.thread_id),
        (places.thread_frame, layout.thread_frame),
        (places.frame_previous, layout.frame_previous),
        (places.frame_code, layout.frame_code),
        (places.frame_instruction, layout.frame_instruction),
        (places.frame_owner.unwrap(), layout.frame_owner.unwrap()),
        (places.code_file, layout.code_file),
        (places.code_name, layout.code_name),
        (places.code_qualified_name.unwrap(), layout.code_qualified_name.unwrap()),
        (places.code_first_line, layout.code_first_line),
        (places.code_lines, layout.code_lines),
        (places.code_instructions.unwrap(), layout.code_instructions.unwrap()),
        (places.object_type, layout.object_type),
        (places.bytes_length, layout.bytes_length),
        (places.bytes_data, layout.bytes_data),
        (places.text_length, layout.text_length),
    ];
    for (place, offset) in fields {
        memory.word(RUNTIME + place, offset);
    }
    memory.word(RUNTIME + places.text_state, layout.text_state);
    memory.word(RUNTIME + places.text_ascii, layout.text_ascii);
}

/// What the interpreter exports.
fn exports(minor: u8) -> Vec<(&'static str, u64)> {
    let version = match minor {
        8 => "PyCode_NewWithPosOnlyArgs",
        9 => "PyInterpreterState_Get",
        10 => "PyIter_Send",
        _ => "Py_Version",
    };
    vec![
        ("_PyRuntime", RUNTIME),
        ("PyCode_Type", CODE_TYPE),
        ("PyUnicode_Type", TEXT_TYPE),
        ("PyBytes_Type", BYTES_TYPE),
        ("PyFrame_Type", FRAME_TYPE),
        (version, VERSION),
    ]
}

/// The functions of the thread, innermost first, or why there are none.
fn read(minor: u8, memory: &mut Flat) -> Result<Vec<String>, String> {
    let mut interpreters = Interpreters::at(&exports(minor), memory);
    let Some(running) = interpreters.running(POINTER) else { return Ok(Vec::new()) };
    let groups = running?.groups.groups;
    let frames = groups.iter().flat_map(|group| &group.frames);
    Ok(frames.map(|it| format!("{} {}:{:?}", it.function, it.file, it.line)).collect())
}

fn truth() -> Vec<String> {
    ["inner a.py:Some(10)", "outer a.py:Some(10)"].map(str::to_owned).into()
}

#[test]
fn every_version_is_read() {
    for (minor, layout) in KINDS {
        assert_eq!(read(minor, &mut interpreter(minor, &layout)), Ok(truth()), "3.{minor}");
    }
}

#[test]
fn who_has_the_interpreters_lock_is_told_by_itself() {
    for (minor, layout) in KINDS {
        let holder = |change: fn(&mut Flat, u64, &Layout)| {
            let mut memory = interpreter(minor, &layout);
            let record = layout.runtime_lock.map_or(LOCK, |offset| RUNTIME + offset);
            change(&mut memory, record, &layout);
            Interpreters::at(&exports(minor), &mut memory).lock_holder()
        };
        assert_eq!(holder(|_, _, _| {}), Ok(Some(POINTER)), "3.{minor}");
        let given_back = holder(|memory, record, it| memory.put(record + it.lock_taken, &[0; 4]));
        assert_eq!(given_back, Ok(None), "3.{minor}: who had it last has it no more");
        let stranger = holder(|memory, record, it| memory.word(record + it.lock_holder, CODES[0]));
        assert!(stranger.unwrap_err().contains("is no thread state"), "3.{minor}");
        let garbage = holder(|memory, record, it| memory.put(record + it.lock_taken, &[9; 4]));
        assert!(garbage.unwrap_err().contains("is no state"), "3.{minor}");
    }
    // Two interpreters with a lock each: whose is waited for is not known.
    let (minor, layout) = (12, PYTHON_3_12);
    let mut memory = interpreter(minor, &layout);
    let other = BASE + 0xb000;
    memory.word(INTERPRETER + layout.interpreter_next, other);
    memory.word(other + layout.interpreter_lock.unwrap(), LOCK + 0x80);
    let told = Interpreters::at(&exports(minor), &mut memory).lock_holder();
    assert_eq!(told.unwrap_err(), "the process has 2 locks of interpreters");
}

#[test]
fn a_recursive_lock_is_known_by_its_type_and_by_what_is_waited_for() {
    let found = |change: fn(&mut Flat)| {
        let mut memory = interpreter(11, &PYTHON_3_11);
        memory.word(STACK + 0x40, CODES[0]);
        memory.word(STACK + 0x60, RECURSIVE);
        memory.word(RECURSIVE + 8, RECURSIVE_TYPE);
        memory.word(RECURSIVE + 16, INNER_LOCK);
        memory.word(RECURSIVE + 24, POINTER);
        memory.word(RECURSIVE + 32, 2);
        memory.word(RECURSIVE_TYPE + 24, TYPE_NAME);
        memory.put(TYPE_NAME, b"_thread.RLock\0");
        change(&mut memory);
        let lock = Interpreters::at(&exports(11), &mut memory).recursive_lock(STACK, INNER_LOCK);
        lock.map(|lock| (lock.object, lock.owner))
    };
    assert_eq!(found(|_| {}), Some((RECURSIVE, POINTER)));
    assert_eq!(found(|memory| memory.put(TYPE_NAME, b"_thread.lock\0\0")), None, "no owner");
    assert_eq!(found(|memory| memory.word(RECURSIVE + 16, INNER_LOCK + 32)), None, "another lock");
    assert_eq!(found(|memory| memory.word(RECURSIVE + 32, 0)), None, "nobody has it");
    assert_eq!(found(|memory| memory.word(STACK + 0x60, 0)), None, "it is not on the stack");
    assert_eq!(found(|memory| memory.word(RECURSIVE + 8, u64::MAX)), None, "its type is none");
}

#[test]
fn other_versions_and_builds_are_told() {
    for (hex, reason) in [
        (0x0400_00f0_u64, "no version of Python 3"),
        (0x030f_00f0, "not one of the versions that are known"),
        (0x030d_00f0, "does not tell its offsets"),
    ] {
        let mut memory = interpreter(12, &PYTHON_3_12);
        memory.word(VERSION, hex);
        let told = read(12, &mut memory).unwrap_err();
        assert!(told.contains(reason), "{told}");
    }
    let mut memory = interpreter(12, &PYTHON_3_12);
    memory.word(VERSION, 0x030d_00f0);
    memory.put(RUNTIME, b"xdebugpy");
    memory.word(RUNTIME + 8, 0x030d_00f0);
    memory.word(RUNTIME + 16, 1);
    assert_eq!(read(12, &mut memory).unwrap_err(), "it is a free-threaded build");
    let mut interpreters = Interpreters::at(&[("_PyRuntime", RUNTIME)], &mut memory);
    assert!(interpreters.running(POINTER).unwrap().unwrap_err().contains("does not export"));
}

#[test]
fn lists_that_lead_back_end() {
    for (minor, layout) in KINDS {
        let of_frames = FRAMES[1] + layout.frame_previous;
        for (place, to, what) in [
            (INTERPRETER + layout.interpreter_next, INTERPRETER, "interpreters"),
            (THREAD + layout.thread_next, THREAD, "thread states"),
            (of_frames, FRAMES[0], "frames"),
        ] {
            let mut memory = interpreter(minor, &layout);
            memory.word(place, to);
            let told = read(minor, &mut memory).unwrap_err();
            assert!(told.contains(&format!("list of {what} leads back")), "3.{minor}: {told}");
        }
    }
}

/// A table with one offset that is wrong must not give other names: a reason, nothing, or the truth.
/// The first line is left out: it is a bare number, and nothing around it tells what it should be.
#[test]
fn a_wrong_offset_gives_no_garbage() {
    type Field = fn(&mut Layout) -> &mut u64;
    let fields: [(&str, Field); 17] = [
        ("interpreters_head", |it| &mut it.interpreters_head),
        ("interpreter_threads", |it| &mut it.interpreter_threads),
        ("thread_interpreter", |it| &mut it.thread_interpreter),
        ("thread_id", |it| &mut it.thread_id),
        ("thread_frame", |it| &mut it.thread_frame),
        ("frame_previous", |it| &mut it.frame_previous),
        ("frame_code", |it| &mut it.frame_code),
        ("frame_instruction", |it| &mut it.frame_instruction),
        ("code_file", |it| &mut it.code_file),
        ("code_name", |it| &mut it.code_name),
        ("code_lines", |it| &mut it.code_lines),
        ("object_type", |it| &mut it.object_type),
        ("bytes_length", |it| &mut it.bytes_length),
        ("text_length", |it| &mut it.text_length),
        ("text_state", |it| &mut it.text_state),
        ("thread_next", |it| &mut it.thread_next),
        ("interpreter_next", |it| &mut it.interpreter_next),
    ];
    for (minor, layout) in KINDS {
        for (name, field) in &fields {
            for by in [-16_i64, -8, -4, 4, 8, 16] {
                let mut memory = interpreter(minor, &layout);
                let right = Interpreters::at(&exports(minor), &mut memory).first_runtime();
                let mut wrong: Runtime = right.unwrap();
                let place = field(&mut wrong.layout);
                let Some(moved) = place.checked_add_signed(by) else { continue };
                *place = moved;
                let found = read_with(&wrong, &mut memory);
                // Of a bare number, nothing tells what it should be: another line, at most.
                let is_number = ["frame_instruction", "bytes_length"].contains(name);
                let lines = |words: &[String]| -> Vec<String> {
                    let cut = |word: &String| word.split(':').next().unwrap().to_owned();
                    words
                        .iter()
                        .map(|word| if is_number { cut(word) } else { word.clone() })
                        .collect()
                };
                let is_true =
                    found.as_ref().is_ok_and(|it| lines(&truth()).starts_with(&lines(it)));
                assert!(found.is_err() || is_true, "3.{minor} {name} {by}: {found:?}");
            }
        }
    }
}

/// With a table that is given.
fn read_with(runtime: &Runtime, memory: &mut Flat) -> Result<Vec<String>, String> {
    let mut source = Source::new(memory);
    let states: BTreeMap<u64, Vec<u64>> = thread_states(&mut source, runtime)?;
    let Some([state]) = states.get(&POINTER).map(Vec::as_slice) else { return Ok(Vec::new()) };
    let groups = frames(&mut source, runtime, &mut Codes::new(), *state)?.groups;
    let frames = groups.iter().flat_map(|group| &group.frames);
    Ok(frames.map(|it| format!("{} {}:{:?}", it.function, it.file, it.line)).collect())
}

proptest! {
    #[test]
    fn overwritten_memory_ends_in_a_reason_or_in_few_frames(
        kind in 0..KINDS.len(),
        words in prop::collection::vec((0..BYTES as u64 / 8, any::<u64>(), 0..4_u8), 1..64),
    ) {
        let (minor, layout) = KINDS[kind];
        let mut memory = interpreter(minor, &layout);
        for (place, word, how) in words {
            // Pointers into the memory lead further than others.
            let word = match how {
                0 => word,
                1 => 0,
                2 => BASE + word % BYTES as u64,
                _ => BASE + ((word % BYTES as u64) & !0xff),
            };
            memory.word(BASE + 8 * place, word);
        }
        if let Ok(frames) = read(minor, &mut memory) {
            prop_assert!(frames.len() <= 4_096);
        }
        let exports = exports(minor);
        let mut interpreters = Interpreters::at(&exports, &mut memory);
        prop_assert!(matches!(interpreters.lock_holder(), Err(_) | Ok(None | Some(_))));
        let found = interpreters.recursive_lock(STACK, INNER_LOCK);
        prop_assert!(found.is_none_or(|lock| lock.owner != 0));
    }
}
