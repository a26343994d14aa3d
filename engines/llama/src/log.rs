//! What llama.cpp prints: its error lines go to stderr, all else is dropped.
//!
//! The last lines before a crash are evidence, and llama.cpp tells hundreds of lines per model.
//! Deliberately absent: any parsing of the lines.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// `GGML_LOG_LEVEL_ERROR` of ggml.h.
const LEVEL_ERROR: c_int = 4;
/// `GGML_LOG_LEVEL_CONT`: goes on with the line before, at that line's level.
const LEVEL_CONTINUE: c_int = 5;

static LAST_WAS_ERROR: AtomicBool = AtomicBool::new(false);

/// A `ggml_log_callback`.
pub(crate) extern "C" fn keep_errors(level: c_int, text: *const c_char, _user: *mut c_void) {
    let is_error = if level == LEVEL_CONTINUE {
        LAST_WAS_ERROR.load(Ordering::Relaxed)
    } else {
        LAST_WAS_ERROR.store(level == LEVEL_ERROR, Ordering::Relaxed);
        level == LEVEL_ERROR
    };
    if is_error && !text.is_null() {
        // SAFETY: ggml hands a C string that lives for the call; null was ruled out.
        let text = unsafe { CStr::from_ptr(text) };
        // A closed stderr must not stop the engine.
        let _ = std::io::stderr().write_all(text.to_bytes());
    }
}
