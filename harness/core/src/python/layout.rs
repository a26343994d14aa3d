//! Where CPython keeps what is read of it.
//!
//! Deliberately absent: what the fields mean from version to version (`conventions`).

/// Offsets in bytes within CPython's structures; of a table `TOLD_BY_…`, within `_Py_DebugOffsets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// `_PyRuntimeState`: the first interpreter.
    pub(super) interpreters_head: u64,
    /// `PyInterpreterState`: the next one, and its first thread state.
    pub(super) interpreter_next: u64,
    pub(super) interpreter_threads: u64,
    /// The interpreter's lock (`struct _gil_runtime_state`): in `_PyRuntimeState`, or where
    /// `PyInterpreterState` has its address. Then within it: the thread state that took it last,
    /// and whether it is taken.
    pub(super) runtime_lock: Option<u64>,
    pub(super) interpreter_lock: Option<u64>,
    pub(super) lock_holder: u64,
    pub(super) lock_taken: u64,
    /// `PyThreadState`: the next one, its interpreter, and what `pthread_self` gave it.
    pub(super) thread_next: u64,
    pub(super) thread_interpreter: u64,
    pub(super) thread_id: u64,
    /// The innermost frame, or a record on the C stack (`_PyCFrame`) that has it.
    pub(super) thread_frame: u64,
    /// `_PyCFrame`: the innermost frame, and the record of the caller.
    pub(super) cframe_frame: Option<u64>,
    pub(super) cframe_previous: Option<u64>,
    /// `PyFrameObject` or `_PyInterpreterFrame`: the caller, the code, the instruction.
    pub(super) frame_previous: u64,
    pub(super) frame_code: u64,
    pub(super) frame_instruction: u64,
    /// Who has the frame (`owner`), or whether C entered the interpreter with it (`is_entry`).
    pub(super) frame_owner: Option<u64>,
    /// `PyCodeObject`.
    pub(super) code_file: u64,
    pub(super) code_name: u64,
    pub(super) code_qualified_name: Option<u64>,
    pub(super) code_first_line: u64,
    pub(super) code_lines: u64,
    /// Where its instructions begin, if within it.
    pub(super) code_instructions: Option<u64>,
    /// `PyObject`.
    pub(super) object_type: u64,
    /// `PyBytesObject`; the length is that of every object of variable size.
    pub(super) bytes_length: u64,
    pub(super) bytes_data: u64,
    /// `PyASCIIObject`, and where the characters of each kind begin.
    pub(super) text_length: u64,
    pub(super) text_state: u64,
    pub(super) text_ascii: u64,
    pub(super) text_wide: u64,
}
