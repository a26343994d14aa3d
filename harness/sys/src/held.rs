//! A program that is made by fork, held until somebody traces it, and then exec'ed: it inherits
//! everything that this process has (terminal, process group, folder, limits, open descriptors),
//! as if its user had started it without us.
//!
//! Deliberately absent: watching it; and a clean environment (see `spawn`).

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{F_SETFL, OFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, fork};

use crate::error::{Named, SysError};
use crate::process::ensure_one_thread;
use crate::procfs;

/// What runs a script that has no first line of its own, as execvp does (POSIX).
const SHELL: &str = "/bin/sh";
/// Where programs are looked for without a `PATH` (confstr `_CS_PATH`).
const PATH_DEFAULT: &str = "/bin:/usr/bin";
/// What a child that cannot become its program ends with.
const CANNOT_RUN: i32 = 127;

/// A command as its user gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The files to try, in the order of `PATH`.
    candidates: Vec<CString>,
    arguments: Vec<CString>,
}

impl Program {
    /// A command: its name or path, then its arguments. A name is looked for in `search_path`.
    ///
    /// # Errors
    /// EINVAL: no word at all, or one with a NUL inside.
    pub fn new(words: &[OsString], search_path: Option<&OsString>) -> Result<Self, SysError> {
        let invalid = || SysError::new("exec", Errno::EINVAL);
        let name = words.first().ok_or_else(invalid)?;
        let text = |word: &OsString| CString::new(word.as_bytes()).map_err(|_| invalid());
        let files = files(name, search_path);
        let candidates = files.into_iter().map(|file| text(&file.into_os_string()));
        Ok(Self {
            candidates: candidates.collect::<Result<_, _>>()?,
            arguments: words.iter().map(text).collect::<Result<_, _>>()?,
        })
    }

    /// Becomes the program; the answer is why that failed. EACCES outranks ENOENT, as in execvp.
    fn become_it(&self) -> Errno {
        let mut failure = Errno::ENOENT;
        for file in &self.candidates {
            // Environment and all else stay as they are.
            let Err(errno) = nix::unistd::execv(file, &self.arguments);
            match errno {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => failure = errno,
                Errno::ENOEXEC => return self.become_shell(file),
                _ => return errno,
            }
        }
        failure
    }

    fn become_shell(&self, script: &CString) -> Errno {
        let Ok(shell) = CString::new(SHELL) else { return Errno::ENOEXEC };
        let rest = self.arguments.iter().skip(1);
        let arguments: Vec<&CString> = [&shell, script].into_iter().chain(rest).collect();
        let Err(errno) = nix::unistd::execv(&shell, &arguments);
        errno
    }
}

fn files(name: &OsString, search_path: Option<&OsString>) -> Vec<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(name)];
    }
    let folders = search_path.map_or(PATH_DEFAULT.as_bytes(), |path| path.as_bytes());
    let folder = |bytes: &[u8]| match bytes {
        // An empty entry is the current folder.
        [] => PathBuf::from("."),
        bytes => PathBuf::from(OsString::from_vec(bytes.to_vec())),
    };
    folders.split(|byte| *byte == b':').map(|bytes| folder(bytes).join(Path::new(name))).collect()
}

/// How this process was started to treat signals; a program that it starts inherits that.
#[derive(Debug, Clone)]
pub struct Dispositions {
    ignored: Vec<Signal>,
    mask: SigSet,
}

/// Signals that shells and `nohup` have their children ignore. SIGPIPE is not among them: Rust's
/// runtime ignores it before anyone can ask, and no more is known of what the user wanted.
const INHERITED: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCHLD,
];

impl Dispositions {
    /// Those of this process, before it changes any. From here on its own children are told of.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn of_this_process() -> Result<Self, SysError> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let ignored = procfs::signal_masks(own)?.ignored;
        let is_ignored = |signal: &Signal| ignored & crate::signal::mask_bit(*signal as i32) != 0;
        let ignored = INHERITED.into_iter().filter(is_ignored).collect();
        // Who ignores it is told of no child's stop or end.
        crate::signal::default_action(Signal::SIGCHLD, SaFlags::empty())?;
        Ok(Self { ignored, mask: SigSet::thread_get_mask().named("sigprocmask")? })
    }

    /// Restores them, in a child before its exec.
    fn restore(&self) -> Result<(), Errno> {
        for signal in INHERITED.into_iter().chain([Signal::SIGPIPE]) {
            let is_ignored = self.ignored.contains(&signal);
            let handler = if is_ignored { SigHandler::SigIgn } else { SigHandler::SigDfl };
            let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
            // SAFETY: neither of the two runs code of ours.
            unsafe { sigaction(signal, &action) }?;
        }
        self.mask.thread_set_mask()
    }
}

/// A child that waits, before its exec, for [`Held::go`].
#[derive(Debug)]
pub struct Held {
    /// Its pid.
    pub pid: i32,
    go: OwnedFd,
    failure: OwnedFd,
}

impl Held {
    /// Forks. `streams` take the place of this process's stdout and stderr where they are given.
    /// One that is not traced (a tracer's end is its own) can be made to die with this process.
    ///
    /// # Errors
    /// This process has more than one thread (EDEADLK: the others' locks would stay held in the
    /// child), or no process can be made.
    pub fn fork(
        program: &Program,
        dispositions: &Dispositions,
        dies_with_us: bool,
        streams: [Option<&OwnedFd>; 2],
    ) -> Result<Self, SysError> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        ensure_one_thread()?;
        let (go_read, go) = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe2")?;
        let (failure, failure_write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe2")?;
        // Whoever asks must not wait for a child that hangs before its exec.
        fcntl(failure.as_fd(), F_SETFL(OFlag::O_NONBLOCK)).named("fcntl")?;
        // SAFETY: this process has one thread, so that no lock is held in the child for ever.
        match unsafe { fork() }.named("fork")? {
            ForkResult::Parent { child } => Ok(Self { pid: child.as_raw(), go, failure }),
            ForkResult::Child => {
                // Else the child would keep itself waiting.
                drop(go);
                let parent = dies_with_us.then_some(own);
                let errno = run(program, dispositions, &go_read, (parent, streams));
                // Who reads is told by the status too.
                let _ = nix::unistd::write(&failure_write, &(errno as i32).to_le_bytes());
                // SAFETY: ends this process without running anybody's exit handlers.
                unsafe { libc::_exit(CANNOT_RUN) }
            }
        }
    }

    /// Lets it exec.
    ///
    /// # Errors
    /// It is gone.
    pub fn go(&self) -> Result<(), SysError> {
        nix::unistd::write(&self.go, &[1]).map(|_| ()).named("write")
    }

    /// Why it could not become its program; `None` when it could. To be asked after its exec or
    /// its end; before that, nothing is known.
    #[must_use]
    pub fn failure(&self) -> Option<SysError> {
        let mut bytes = [0; 4];
        let read = nix::unistd::read(self.failure.as_fd(), &mut bytes).unwrap_or(0);
        let errno = (read == bytes.len()).then(|| i32::from_le_bytes(bytes))?;
        Some(SysError::new("exec", Errno::from_raw(errno)))
    }
}

/// The child's way to its program; the answer is why it failed.
fn run(
    program: &Program,
    dispositions: &Dispositions,
    go: &OwnedFd,
    (parent, streams): (Option<i32>, [Option<&OwnedFd>; 2]),
) -> Errno {
    let mut byte = [0];
    if parent.is_some_and(|parent| crate::process::die_with_parent(parent).is_err()) {
        return Errno::ECANCELED;
    }
    // An end of file: who made us is gone.
    if nix::unistd::read(go, &mut byte) != Ok(1) {
        return Errno::ECANCELED;
    }
    for (number, stream) in (1..).zip(streams) {
        if let Some(stream) = stream {
            // SAFETY: both are descriptors of this process, which is about to become another
            // program.
            if unsafe { libc::dup2(stream.as_raw_fd(), number) } == -1 {
                return Errno::last();
            }
        }
    }
    match dispositions.restore() {
        Ok(()) => program.become_it(),
        Err(errno) => errno,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_name_is_looked_for_and_a_path_is_not() {
        let path = OsString::from("/a::/b");
        let files = |name: &str| files(&OsString::from(name), Some(&path));
        assert_eq!(files("x"), ["/a/x", "./x", "/b/x"].map(PathBuf::from));
        assert_eq!(files("./x"), [PathBuf::from("./x")]);
        let program = Program::new(&words("x -v"), None).unwrap();
        assert_eq!(program.candidates, [c"/bin/x".to_owned(), c"/usr/bin/x".to_owned()]);
        assert_eq!(program.arguments, [c"x".to_owned(), c"-v".to_owned()]);
    }

    #[test]
    fn no_command_is_none() {
        assert!(Program::new(&[], None).is_err());
        assert!(Program::new(&[OsString::from("a\0b")], None).is_err());
    }
}
