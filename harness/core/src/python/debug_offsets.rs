//! What an interpreter tells of itself, from 3.13 on: `_Py_DebugOffsets`, the first of `_PyRuntime`.
//!
//! Source: CPython's Include/internal/pycore_runtime.h (3.13), pycore_debug_offsets.h (3.14).
//! Deliberately absent: most of what it tells.

use super::layout::Layout;
use super::source::{Read, Source};

/// Where CPython 3.14 tells each. Its headers are not at hand where tables are made; the order of
/// the words is that of `_Py_DebugOffsets` in its source.
pub(super) const TOLD_BY_3_14: Layout = Layout {
    interpreters_head: 40,
    interpreter_next: 64,
    interpreter_threads: 72,
    runtime_lock: None,
    interpreter_lock: Some(120),
    lock_holder: 152,
    lock_taken: 144,
    thread_next: 192,
    thread_interpreter: 200,
    thread_id: 216,
    thread_frame: 208,
    cframe_frame: None,
    cframe_previous: None,
    frame_previous: 256,
    frame_code: 264,
    frame_instruction: 272,
    frame_owner: Some(288),
    code_file: 320,
    code_name: 328,
    code_qualified_name: Some(336),
    code_first_line: 352,
    code_lines: 344,
    code_instructions: Some(384),
    object_type: 408,
    bytes_length: 600,
    bytes_data: 608,
    text_length: 632,
    text_state: 624,
    text_ascii: 640,
    text_wide: 640,
};

/// What it begins with.
const COOKIE: &[u8; 8] = b"xdebugpy";
const VERSION_AT: u64 = 8;
const FREE_THREADED_AT: u64 = 16;
/// No offset within these structures is larger, but those within the runtime's own.
const OFFSET_MAX: u64 = 1 << 20;
/// Where the interpreter's own lock is told (`gil_runtime_state`), behind where the address is of
/// the one that it uses (`ceval_gil`).
const OWN_LOCK: u64 = 8;
/// Behind the ASCII head of a text: the length and the address of its UTF-8.
const WIDE_BYTES: u64 = 16;

/// Reads the offsets from where `places` says that they stand.
pub(super) fn told(source: &mut Source<'_>, runtime: u64, places: &Layout) -> Read<Layout> {
    if source.bytes(runtime, 0, COOKIE.len() as u64)? != COOKIE {
        return Err("the interpreter does not tell its offsets".to_owned());
    }
    if source.word(runtime, VERSION_AT)? >> 24 != 3 {
        return Err("the interpreter's offsets are of no version of Python 3".to_owned());
    }
    if source.word(runtime, FREE_THREADED_AT)? != 0 {
        return Err("it is a free-threaded build".to_owned());
    }
    let mut at = |place: u64| {
        let offset = source.word(runtime, place)?;
        let is_sane = offset < OFFSET_MAX;
        is_sane.then_some(offset).ok_or_else(|| format!("{offset:#x} is no offset"))
    };
    // Those within the lock are told as those within an interpreter's own one.
    let own_lock = places.interpreter_lock.map(|place| at(place + OWN_LOCK)).transpose()?;
    let mut in_lock = |place: u64| {
        let offset = at(place)?.checked_sub(own_lock.unwrap_or(0));
        offset.ok_or_else(|| "the interpreter's lock begins behind what it holds".to_owned())
    };
    let (lock_holder, lock_taken) = (in_lock(places.lock_holder)?, in_lock(places.lock_taken)?);
    Ok(Layout {
        interpreters_head: at(places.interpreters_head)?,
        interpreter_next: at(places.interpreter_next)?,
        interpreter_threads: at(places.interpreter_threads)?,
        runtime_lock: None,
        interpreter_lock: places.interpreter_lock.map(&mut at).transpose()?,
        lock_holder,
        lock_taken,
        thread_next: at(places.thread_next)?,
        thread_interpreter: at(places.thread_interpreter)?,
        thread_id: at(places.thread_id)?,
        thread_frame: at(places.thread_frame)?,
        cframe_frame: None,
        cframe_previous: None,
        frame_previous: at(places.frame_previous)?,
        frame_code: at(places.frame_code)?,
        frame_instruction: at(places.frame_instruction)?,
        frame_owner: places.frame_owner.map(&mut at).transpose()?,
        code_file: at(places.code_file)?,
        code_name: at(places.code_name)?,
        code_qualified_name: places.code_qualified_name.map(&mut at).transpose()?,
        code_first_line: at(places.code_first_line)?,
        code_lines: at(places.code_lines)?,
        code_instructions: places.code_instructions.map(&mut at).transpose()?,
        object_type: at(places.object_type)?,
        bytes_length: at(places.bytes_length)?,
        bytes_data: at(places.bytes_data)?,
        text_length: at(places.text_length)?,
        text_state: at(places.text_state)?,
        text_ascii: at(places.text_ascii)?,
        text_wide: at(places.text_wide)? + WIDE_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use super::super::offsets::TOLD_BY_3_13;
    use super::*;

    /// The words of `_Py_DebugOffsets` in their order, by structure.
    const WORDS_3_13: &[(&str, &str)] = &[
        ("start", "cookie version free_threaded"),
        ("runtime", "size finalizing interpreters_head"),
        (
            "interpreter",
            "size id next threads_head gc imports_modules sysdict builtins ceval_gil \
             gil_runtime_state gil_enabled gil_locked gil_holder",
        ),
        ("thread", "size prev next interp current_frame thread_id native_thread_id chunk status"),
        ("frame", "size previous executable instr_ptr localsplus owner"),
        (
            "code",
            "size filename name qualname linetable firstlineno argcount localsplusnames \
             localspluskinds co_code_adaptive",
        ),
        ("object", "size ob_type"),
        ("type", "size tp_name tp_repr tp_flags"),
        ("tuple", "size ob_item ob_size"),
        ("list", "size ob_item ob_size"),
        ("dict", "size ma_keys ma_values"),
        ("float", "size ob_fval"),
        ("long", "size lv_tag ob_digit"),
        ("bytes", "size ob_size ob_sval"),
        ("unicode", "size state length asciiobject_size"),
    ];

    /// What 3.14 has in addition: a structure before another, or a word behind another.
    const ADDED_3_14: &[(&str, &str, &str)] = &[
        ("interpreter", "threads_head", "threads_main"),
        ("interpreter", "gil_holder", "code_object_generation tlbc_generation"),
        ("frame", "owner", "stackpointer tlbc_index"),
        ("code", "co_code_adaptive", "co_tlbc"),
        ("list", "ob_size", "set_size set_used set_table set_mask"),
    ];

    fn words(added: &[(&str, &str, &str)]) -> Vec<String> {
        let mut words = Vec::new();
        for (of, names) in WORDS_3_13 {
            for name in names.split_whitespace() {
                words.push(format!("{of}.{name}"));
                let behind = added.iter().filter(|it| (it.0, it.1) == (*of, name));
                for name in behind.flat_map(|it| it.2.split_whitespace()) {
                    words.push(format!("{of}.{name}"));
                }
            }
        }
        words
    }

    fn table(words: &[String]) -> Layout {
        let at = |name: &str| 8 * words.iter().position(|word| word == name).unwrap() as u64;
        Layout {
            interpreters_head: at("runtime.interpreters_head"),
            interpreter_next: at("interpreter.next"),
            interpreter_threads: at("interpreter.threads_head"),
            runtime_lock: None,
            interpreter_lock: Some(at("interpreter.ceval_gil")),
            lock_holder: at("interpreter.gil_holder"),
            lock_taken: at("interpreter.gil_locked"),
            thread_next: at("thread.next"),
            thread_interpreter: at("thread.interp"),
            thread_id: at("thread.thread_id"),
            thread_frame: at("thread.current_frame"),
            cframe_frame: None,
            cframe_previous: None,
            frame_previous: at("frame.previous"),
            frame_code: at("frame.executable"),
            frame_instruction: at("frame.instr_ptr"),
            frame_owner: Some(at("frame.owner")),
            code_file: at("code.filename"),
            code_name: at("code.name"),
            code_qualified_name: Some(at("code.qualname")),
            code_first_line: at("code.firstlineno"),
            code_lines: at("code.linetable"),
            code_instructions: Some(at("code.co_code_adaptive")),
            object_type: at("object.ob_type"),
            bytes_length: at("bytes.ob_size"),
            bytes_data: at("bytes.ob_sval"),
            text_length: at("unicode.length"),
            text_state: at("unicode.state"),
            text_ascii: at("unicode.asciiobject_size"),
            text_wide: at("unicode.asciiobject_size"),
        }
    }

    #[test]
    fn the_tables_are_the_order_of_the_words() {
        let all = words(&[]);
        let at = |name: &str| all.iter().position(|word| word == name).unwrap() as u64;
        let behind = at("interpreter.gil_runtime_state") - at("interpreter.ceval_gil");
        assert_eq!(8 * behind, OWN_LOCK);
        assert_eq!(table(&all), TOLD_BY_3_13);
        assert_eq!(table(&words(ADDED_3_14)), TOLD_BY_3_14);
    }
}
