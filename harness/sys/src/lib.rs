//! The operating-system layer of the harness side: processes, ptrace, `/proc`, sockets, memfds.
//!
//! The only crate of the harness side with `unsafe`. Linux x86-64; each other platform would add
//! modules with the same functions.
//!
//! Deliberately absent: what the facts mean, and any policy (see hotfire-core).

mod apart;
mod bounded;
pub mod census;
mod clock;
mod descriptors;
mod endpoints;
mod error;
mod file;
mod held;
mod launcher;
pub mod machine;
mod memory;
mod pipe;
mod poll;
mod process;
pub mod procfs;
mod progress;
mod recorder_file;
mod scratch;
pub mod signal;
mod socket;
mod spawn;
mod target;
mod trace;
mod wait;

pub use apart::fork_apart;
pub use bounded::{BoundedRun, run_bounded};
pub use clock::{Deadline, monotonic_ns, thread_cpu_ns};
pub use descriptors::close_rest_on_exec;
pub use endpoints::{Endpoint, SocketLine, endpoint, epoll_targets, sockets};
pub use error::SysError;
pub use file::{
    FileIdentity, file_identity, open_regular, path_identity, pipe_of, same_file, written_file,
};
pub use held::{Dispositions, Held, Program};
pub use launcher::{LaunchReply, guard_main, launch_main, launch_reply, launch_request};
pub use memory::read_memory;
pub use pipe::{ReadEnd, output_pipe, write_if_ready};
pub use poll::{Polled, Readiness, pause_briefly, poll_readable, poll_ready};
pub use process::{
    ProcessIdentity, become_subreaper, die_with_parent, end_process, forbid_core_dumps,
    is_thread_of, limit_memory, limit_work, own_executable, process_alive, send_signal,
    shares_terminal_group, stop_this_process, terminate_process,
};
pub use progress::{TaskCounts, task_counts};
pub use recorder_file::RecorderFile;
pub use scratch::Scratch;
pub use socket::{Received, SeqSocket, StreamSocket, seq_pair, stream_pair};
pub use spawn::{Command, spawn};
pub use target::{Target, is_copy, target, threads_before};
pub use trace::{SystemCall, TraceRegisters, Tracee};
pub use wait::{Stop, WaitEvent, wait_any, wait_one};
