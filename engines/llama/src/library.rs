//! llama.cpp's C interface: the functions that we call, found at run time.
//!
//! Structs that go by value are opaque (see [`Opaque`]), so that one binary serves many versions.
//! Deliberately absent: unloading the libraries. They live as long as the process, as llama.cpp's
//! own bindings keep them.

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hotfire_host::EngineError;
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};

use crate::folder::{folder, main_library, missing};
use crate::log;

/// A `llama_model`.
pub(crate) enum RawModel {}
/// A `llama_context`.
pub(crate) enum RawContext {}

/// A struct of llama.h that goes by value: `llama_model_params`, `llama_context_params` or
/// `llama_batch`, each far smaller than this.
///
/// The System V ABI (x86-64 psABI 3.2.3) passes a struct of more than 16 bytes as a copy in the
/// argument area and returns it through a pointer that the caller brings; AArch64's does the same
/// through pointers. A callee that knows a smaller struct reads or writes the first bytes alone.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Opaque {
    /// The first member: `n_ctx` in `llama_context_params`. No other member is touched.
    pub(crate) first: u32,
    rest: [u32; 127],
}

type LogCallback = extern "C" fn(c_int, *const c_char, *mut c_void);

macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions of llama.h and ggml-backend.h that we call.
        pub(crate) struct Functions {
            $(pub(crate) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            /// `handle` must be a llama.cpp, whose functions have these types.
            unsafe fn find(handle: &Handle) -> Result<Self, EngineError> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the caller vouches for the types; the handle is never closed.
                        let symbol = unsafe { handle.get($symbol.as_bytes()) };
                        *symbol.map_err(|error| missing(error.to_string()))?
                    },)*
                })
            }
        }
    };
}

functions! {
    log_set = "llama_log_set": fn(LogCallback, *mut c_void);
    backend_init = "llama_backend_init": fn();
    load_backends = "ggml_backend_load_all_from_path": fn(*const c_char);
    backend_count = "ggml_backend_reg_count": fn() -> usize;
    model_default_params = "llama_model_default_params": fn() -> Opaque;
    model_load = "llama_model_load_from_file": fn(*const c_char, Opaque) -> *mut RawModel;
    model_free = "llama_model_free": fn(*mut RawModel);
    model_vocabulary = "llama_model_get_vocab": fn(*const RawModel) -> *const c_void;
    vocabulary_size = "llama_vocab_n_tokens": fn(*const c_void) -> i32;
    context_default_params = "llama_context_default_params": fn() -> Opaque;
    context_new = "llama_init_from_model": fn(*mut RawModel, Opaque) -> *mut RawContext;
    context_free = "llama_free": fn(*mut RawContext);
    context_size = "llama_n_ctx": fn(*const RawContext) -> u32;
    context_memory = "llama_get_memory": fn(*const RawContext) -> *mut c_void;
    memory_clear = "llama_memory_clear": fn(*mut c_void, bool);
    set_threads = "llama_set_n_threads": fn(*mut RawContext, i32, i32);
    batch_of = "llama_batch_get_one": fn(*mut i32, i32) -> Opaque;
    decode = "llama_decode": fn(*mut RawContext, Opaque) -> i32;
    logits = "llama_get_logits_ith": fn(*mut RawContext, i32) -> *const f32;
}

/// llama.cpp, loaded.
pub(crate) struct Library {
    /// Its functions.
    pub(crate) functions: Functions,
    /// Where it lies; models by name lie there too.
    pub(crate) folder: PathBuf,
}

/// Loads the libraries and the CPU backend, once per process. Starts no thread.
pub(crate) fn library() -> Result<&'static Library, EngineError> {
    static LIBRARY: OnceLock<Result<Library, EngineError>> = OnceLock::new();
    LIBRARY.get_or_init(|| open(folder()?)).as_ref().map_err(EngineError::clone)
}

fn open(folder: PathBuf) -> Result<Library, EngineError> {
    let path = main_library(&folder)?;
    // The ggml libraries come with it: published builds look for them in their own folder.
    // SAFETY: runs the initialisers of llama.cpp's libraries, which is what we are here for.
    let handle = unsafe { Handle::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| missing(format!("{} cannot be loaded: {error}", path.display())))?;
    // SAFETY: the file is libllama by its name; `find` fails where a function is absent.
    let functions = unsafe { Functions::find(&handle) }?;
    // Kept open for ever: the functions point into it.
    std::mem::forget(handle);
    let backends = c_path(&folder)?;
    // SAFETY: as llama.h demands, before any other call; the callback and path outlive the calls.
    let count = unsafe {
        (functions.log_set)(log::keep_errors, std::ptr::null_mut());
        (functions.load_backends)(backends.as_ptr());
        (functions.backend_init)();
        (functions.backend_count)()
    };
    if count == 0 {
        return Err(missing(format!("{} holds no ggml backend that fits", folder.display())));
    }
    Ok(Library { functions, folder })
}

/// A path as C wants it.
pub(crate) fn c_path(path: &Path) -> Result<CString, EngineError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| EngineError::Failed(format!("a NUL byte in {}", path.display())))
}
