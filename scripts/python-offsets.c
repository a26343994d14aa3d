/* Prints where CPython keeps what `hotfire` reads, as a table of `harness/core/src/python/offsets.rs`.
 *
 * Compiled by scripts/python-offsets.sh against the headers of one interpreter, 3.8 to 3.13.
 * Deliberately absent: 3.14 and later, whose tables are taken from their sources by hand. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <stdio.h>

#define MINOR PY_MINOR_VERSION
#if MINOR >= 9
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#else
#include <internal/pycore_pystate.h>
#endif
#if MINOR >= 11
#include <internal/pycore_frame.h>
#endif

static void field(const char *name, size_t value) { printf("    %s: %zu,\n", name, value); }
static void option(const char *name, size_t value) { printf("    %s: Some(%zu),\n", name, value); }
static void none(const char *name) { printf("    %s: None,\n", name); }

#if MINOR >= 13
/* Here the interpreter tells them itself; the table says where. */
#define AT(group, name) offsetof(_Py_DebugOffsets, group.name)

int main(void) {
    printf("\n/// Where CPython 3.%d tells each.\n", MINOR);
    printf("pub(super) const TOLD_BY_3_%d: Layout = Layout {\n", MINOR);
    field("interpreters_head", AT(runtime_state, interpreters_head));
    field("interpreter_next", AT(interpreter_state, next));
    field("interpreter_threads", AT(interpreter_state, threads_head));
    none("runtime_lock");
    option("interpreter_lock", AT(interpreter_state, ceval_gil));
    field("lock_holder", AT(interpreter_state, gil_runtime_state_holder));
    field("lock_taken", AT(interpreter_state, gil_runtime_state_locked));
    field("thread_next", AT(thread_state, next));
    field("thread_interpreter", AT(thread_state, interp));
    field("thread_id", AT(thread_state, thread_id));
    field("thread_frame", AT(thread_state, current_frame));
    none("cframe_frame");
    none("cframe_previous");
    field("frame_previous", AT(interpreter_frame, previous));
    field("frame_code", AT(interpreter_frame, executable));
    field("frame_instruction", AT(interpreter_frame, instr_ptr));
    option("frame_owner", AT(interpreter_frame, owner));
    field("code_file", AT(code_object, filename));
    field("code_name", AT(code_object, name));
    option("code_qualified_name", AT(code_object, qualname));
    field("code_first_line", AT(code_object, firstlineno));
    field("code_lines", AT(code_object, linetable));
    option("code_instructions", AT(code_object, co_code_adaptive));
    field("object_type", AT(pyobject, ob_type));
    field("bytes_length", AT(bytes_object, ob_size));
    field("bytes_data", AT(bytes_object, ob_sval));
    field("text_length", AT(unicode_object, length));
    field("text_state", AT(unicode_object, state));
    field("text_ascii", AT(unicode_object, asciiobject_size));
    /* Not told: behind the ASCII head come utf8_length and utf8. */
    field("text_wide", AT(unicode_object, asciiobject_size));
    printf("};\n");
    return 0;
}
#else
int main(void) {
    printf("\n/// CPython 3.%d.\n", MINOR);
    printf("pub(super) const PYTHON_3_%d: Layout = Layout {\n", MINOR);
    field("interpreters_head", offsetof(_PyRuntimeState, interpreters.head));
    field("interpreter_next", offsetof(PyInterpreterState, next));
#if MINOR >= 11
    field("interpreter_threads", offsetof(PyInterpreterState, threads.head));
#else
    field("interpreter_threads", offsetof(PyInterpreterState, tstate_head));
#endif
#if MINOR >= 12
    none("runtime_lock");
    option("interpreter_lock", offsetof(PyInterpreterState, ceval.gil));
#else
    option("runtime_lock", offsetof(_PyRuntimeState, ceval.gil));
    none("interpreter_lock");
#endif
    field("lock_holder", offsetof(struct _gil_runtime_state, last_holder));
    field("lock_taken", offsetof(struct _gil_runtime_state, locked));
    field("thread_next", offsetof(PyThreadState, next));
    field("thread_interpreter", offsetof(PyThreadState, interp));
    field("thread_id", offsetof(PyThreadState, thread_id));
#if MINOR >= 11
    field("thread_frame", offsetof(PyThreadState, cframe));
    option("cframe_frame", offsetof(_PyCFrame, current_frame));
    option("cframe_previous", offsetof(_PyCFrame, previous));
    field("frame_previous", offsetof(_PyInterpreterFrame, previous));
    field("frame_code", offsetof(_PyInterpreterFrame, f_code));
    field("frame_instruction", offsetof(_PyInterpreterFrame, prev_instr));
#if MINOR >= 12
    option("frame_owner", offsetof(_PyInterpreterFrame, owner));
#else
    option("frame_owner", offsetof(_PyInterpreterFrame, is_entry));
#endif
#else
    field("thread_frame", offsetof(PyThreadState, frame));
    none("cframe_frame");
    none("cframe_previous");
    field("frame_previous", offsetof(PyFrameObject, f_back));
    field("frame_code", offsetof(PyFrameObject, f_code));
    field("frame_instruction", offsetof(PyFrameObject, f_lasti));
    none("frame_owner");
#endif
    field("code_file", offsetof(PyCodeObject, co_filename));
    field("code_name", offsetof(PyCodeObject, co_name));
#if MINOR >= 11
    option("code_qualified_name", offsetof(PyCodeObject, co_qualname));
#else
    none("code_qualified_name");
#endif
    field("code_first_line", offsetof(PyCodeObject, co_firstlineno));
#if MINOR >= 10
    field("code_lines", offsetof(PyCodeObject, co_linetable));
#else
    field("code_lines", offsetof(PyCodeObject, co_lnotab));
#endif
#if MINOR >= 11
    option("code_instructions", offsetof(PyCodeObject, co_code_adaptive));
#else
    none("code_instructions");
#endif
    field("object_type", offsetof(PyObject, ob_type));
    field("bytes_length", offsetof(PyVarObject, ob_size));
    field("bytes_data", offsetof(PyBytesObject, ob_sval));
    field("text_length", offsetof(PyASCIIObject, length));
    field("text_state", offsetof(PyASCIIObject, state));
    field("text_ascii", sizeof(PyASCIIObject));
    field("text_wide", sizeof(PyCompactUnicodeObject));
    printf("};\n");
    return 0;
}
#endif
