//! A program run to its end, within a limit of time, its output kept up to a limit of bytes.
//!
//! For programs of the user's own machine (a shell, an interpreter's `--version`). Deliberately
//! absent: tracing, and all that a run under supervision has.

use std::ffi::CString;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::monotonic_ns;
use crate::error::{Named, SysError};
use crate::pipe::{ReadEnd, output_pipe};
use crate::poll::poll_readable;
use crate::spawn::{Command, spawn};
use crate::wait::{Stop, wait_one};

/// Output that is kept, in bytes; the rest is read and dropped.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Between two looks at a program that has closed its output.
const LOOK_NS: u64 = 1_000_000;
/// How long a killed program may take to be gone.
const KILL_NS: u64 = 2_000_000_000;

/// How a bounded run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundedRun {
    /// How the program ended; `None`: its time was up, and it was ended with its whole group.
    pub stop: Option<Stop>,
    /// Standard output and standard error in the order of their writing.
    pub output: String,
}

/// Runs `program` with `arguments` (its own name first) and exactly this environment in a session
/// of its own, without input, for at most `limit_ns`. Waits for its end, never for the end of its
/// output.
///
/// # Errors
/// It could not be started, or a string holds a zero byte (EINVAL).
pub fn run_bounded(
    program: &str,
    arguments: &[String],
    environment: &[String],
    limit_ns: u64,
) -> Result<BoundedRun, SysError> {
    let (read, write) = output_pipe()?;
    let null = std::fs::File::open("/dev/null").named("open(/dev/null)")?;
    let pid = spawn(&Command {
        program: c_string(program)?,
        arguments: arguments.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?,
        environment: environment.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?,
        descriptors: vec![null.as_fd(), write.as_fd(), write.as_fd()],
        own_session: true,
    })?;
    drop(write);
    let mut output = Output { read, bytes: Vec::new(), ended: false };
    let stop = watch(pid, &mut output, monotonic_ns().saturating_add(limit_ns));
    output.take();
    Ok(BoundedRun { stop: stop?, output: String::from_utf8_lossy(&output.bytes).into_owned() })
}

fn c_string(text: &str) -> Result<CString, SysError> {
    CString::new(text).map_err(|_| SysError::new("posix_spawn", Errno::EINVAL))
}

/// Reads and waits until the program has ended; ends it when its time is up.
fn watch(pid: i32, output: &mut Output, deadline_ns: u64) -> Result<Option<Stop>, SysError> {
    loop {
        output.take();
        if let Some(stop) = ended(pid)? {
            return Ok(Some(stop));
        }
        if monotonic_ns() >= deadline_ns {
            return end_group(pid).map(|()| None);
        }
        output.wait()?;
    }
}

fn ended(pid: i32) -> Result<Option<Stop>, SysError> {
    let stop = wait_one(pid)?.map(|event| event.stop);
    Ok(stop.filter(|stop| matches!(stop, Stop::Exited(_) | Stop::Signaled(_))))
}

/// Ends the program and what it started in its group, and reaps it.
fn end_group(pid: i32) -> Result<(), SysError> {
    // Not reaped yet, so that the number is still its own.
    kill(Pid::from_raw(-pid), Signal::SIGKILL).named("kill")?;
    let deadline = monotonic_ns() + KILL_NS;
    while ended(pid)?.is_none() && monotonic_ns() < deadline {
        poll_readable(&[], LOOK_NS)?;
    }
    Ok(())
}

struct Output {
    read: ReadEnd,
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Takes what is there now.
    fn take(&mut self) {
        let mut buffer = [0; 4096];
        // At most twice the kept length at once: a flood must not keep us from the deadline.
        for _ in 0..2 * OUTPUT_BYTES_MAX / buffer.len() {
            match self.read.read(&mut buffer) {
                Ok(Some(count)) if count > 0 => {
                    let room = OUTPUT_BYTES_MAX.saturating_sub(self.bytes.len());
                    self.bytes.extend(buffer.iter().take(count.min(room)));
                }
                Ok(None) => return,
                Ok(Some(_)) | Err(_) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    /// Waits a moment for more.
    fn wait(&self) -> Result<(), SysError> {
        // Its end is no output, so that a wait for output is short, too.
        let descriptors = [self.read.as_fd()];
        let polled = if self.ended { &[] } else { descriptors.as_slice() };
        poll_readable(polled, LOOK_NS).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit_ns: u64) -> BoundedRun {
        let arguments = ["sh", "-c", script].map(str::to_owned);
        run_bounded("/bin/sh", &arguments, &["A=b".to_owned()], limit_ns).unwrap()
    }

    #[test]
    fn both_streams_are_kept_in_order_and_the_status_is_told() {
        let run = shell("echo one; echo two >&2; echo $A; exit 3", 20_000_000_000);
        assert_eq!(run, BoundedRun { stop: Some(Stop::Exited(3)), output: "one\ntwo\nb\n".into() });
        let killed = shell("kill -9 $$", 20_000_000_000);
        assert_eq!(killed.stop, Some(Stop::Signaled(9)));
    }

    #[test]
    fn what_takes_too_long_is_ended_with_what_it_started() {
        // The inner program holds the output, too.
        let run = shell("sleep 1000 & echo $!; wait", 300_000_000);
        assert_eq!(run.stop, None);
        let inner: i32 = run.output.trim().parse().unwrap();
        let deadline = monotonic_ns() + 5_000_000_000;
        while crate::process::process_alive(inner) {
            assert!(monotonic_ns() < deadline, "{inner} lives");
            poll_readable(&[], LOOK_NS).unwrap();
        }
    }

    #[test]
    fn a_flood_is_cut_and_its_end_is_not_waited_for() {
        // The sleeper holds the output for longer than the shell lives, and then ends by itself.
        let begun = monotonic_ns();
        let run = shell("head -c 1000000 /dev/zero; sleep 3 & exit 0", 20_000_000_000);
        assert_eq!(run.stop, Some(Stop::Exited(0)));
        assert_eq!(run.output.len(), OUTPUT_BYTES_MAX);
        assert!(monotonic_ns() - begun < 2_500_000_000);
    }
}
