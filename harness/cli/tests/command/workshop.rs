//! A place for one test: a folder that is the current one, a folder for temporary files, and a
//! link to the command there. Every process of ours, the engine's own included, is known by that
//! link in `/proc/PID/exe`, whatever its parent, session or environment.
//!
//! Deliberately absent: waits without a deadline.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The longest invocation of any test.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How long a pipe may stay open after the command has ended.
const PIPE_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks at what cannot be polled.
const LOOK_NS: u64 = 2_000_000;

/// A test's own folder, with the command in it.
pub(crate) struct Workshop {
    folder: TempDir,
    program: PathBuf,
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its exit status; 128 and the signal's number when it was killed.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that runs.
pub(crate) struct Started {
    child: Child,
    pieces: Receiver<Piece>,
    open: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Error,
}

/// Bytes of a stream; none: its end.
struct Piece(Stream, Vec<u8>);

impl Workshop {
    pub(crate) fn new() -> Self {
        // Canonical, because /proc tells paths so.
        let parent = std::env::temp_dir().canonicalize().unwrap();
        let folder = tempfile::Builder::new().prefix("command-").tempdir_in(parent).unwrap();
        let built = Path::new(env!("CARGO_BIN_EXE_hotfire"));
        let program = folder.path().join("hotfire");
        if std::fs::hard_link(built, &program).is_err() {
            // Another file system.
            std::fs::copy(built, &program).unwrap();
        }
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder, program }
    }

    /// The command's own path.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// A path in the current folder of the commands.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into that folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Folders `hotfire-PID-STARTTIME` in the folder for temporary files.
    pub(crate) fn scratch_folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The command, with a small environment of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.furnish(&mut command);
        command
    }

    /// Folder, environment and streams that all commands have.
    pub(crate) fn furnish(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).env_clear().env("TMPDIR", self.path("tmp"));
        for key in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(key) {
                command.env(key, value);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Started::new(&mut self.command(arguments)).finish(LIMIT)
    }

    /// Starts the command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Started {
        Started::new(&mut self.command(arguments))
    }

    /// A JSON file in the folder.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Every process whose program is this test's link, with its command line.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let entries = std::fs::read_dir("/proc").unwrap();
        let pids =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| self.is_ours(*pid))
            .map(|pid| (pid, hotfire_sys::procfs::command_line(pid)))
            .collect()
    }

    /// A zombie has no program any more.
    fn is_ours(&self, pid: i32) -> bool {
        let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else { return false };
        let program = program.to_string_lossy().into_owned();
        Path::new(program.trim_end_matches(" (deleted)")) == self.program
    }

    /// Waits until no process of ours is alive; those that are after `limit`, else none.
    pub(crate) fn survivors(&self, limit: Duration) -> Vec<(i32, String)> {
        let deadline = Instant::now() + limit;
        loop {
            let alive = self.processes();
            if alive.is_empty() || Instant::now() >= deadline {
                return alive;
            }
            look_again();
        }
    }
}

impl Drop for Workshop {
    /// A failed test leaves no process either.
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            let _ = hotfire_sys::end_process(pid);
        }
    }
}

impl Started {
    /// Starts a furnished command, in a process group of its own.
    pub(crate) fn new(command: &mut Command) -> Self {
        let mut child = command.process_group(0).spawn().unwrap();
        let (sender, pieces) = channel();
        forward(Stream::Output, child.stdout.take().unwrap(), sender.clone());
        forward(Stream::Error, child.stderr.take().unwrap(), sender);
        Self { child, pieces, open: 2, stdout: Vec::new(), stderr: Vec::new() }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// What was printed to standard error until now.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Waits until standard error holds `text`.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.stderr().contains(text) {
            assert!(self.open > 0, "ended without {text:?}: {}", self.stderr());
            assert!(Instant::now() < deadline, "no {text:?} in time: {}", self.stderr());
            self.take_until(deadline);
        }
    }

    /// Lets the command run for so long, or to the end of its output.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.open > 0 && Instant::now() < deadline {
            self.take_until(deadline);
        }
    }

    /// Waits for the end of the command and of its output.
    pub(crate) fn finish(mut self, limit: Duration) -> Done {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() >= deadline {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("did not end within {limit:?}: {}", self.stderr());
            }
            if self.open > 0 {
                self.take_until(Instant::now() + Duration::from_millis(5));
            } else {
                look_again();
            }
        };
        let closed = Instant::now() + PIPE_LIMIT;
        while self.open > 0 {
            assert!(Instant::now() < closed, "a process outlives the command and holds its output");
            self.take_until(closed);
        }
        let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        let [stdout, stderr] = [self.stdout, self.stderr].map(|bytes| {
            // What we print is text, whatever the engine printed.
            String::from_utf8(bytes).unwrap()
        });
        Done { status, stdout, stderr }
    }

    /// Ends the command with SIGKILL and takes its status, so that no zombie hides it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn take_until(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.pieces.recv_timeout(left) {
            Ok(Piece(_, bytes)) if bytes.is_empty() => self.open -= 1,
            Ok(Piece(Stream::Output, bytes)) => self.stdout.extend(bytes),
            Ok(Piece(Stream::Error, bytes)) => self.stderr.extend(bytes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.open = 0,
        }
    }
}

impl Done {
    /// The report of `--json -`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn forward(stream: Stream, mut from: impl Read + Send + 'static, to: Sender<Piece>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            // A test that has ended reads no more.
            if to.send(Piece(stream, buffer[..count].to_vec())).is_err() || count == 0 {
                return;
            }
        }
    });
}

/// A moment, where there is nothing to poll.
pub(crate) fn look_again() {
    hotfire_sys::poll_readable(&[], LOOK_NS).unwrap();
}

/// Sends a signal by its name, e.g. `INT`; a negative pid names a process group.
pub(crate) fn send_signal(name: &str, pid: i32) {
    let script = format!("kill -s {name} -- {pid}");
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}
