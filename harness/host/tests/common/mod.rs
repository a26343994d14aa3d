//! What the tests of the three modes share: recorders, processes with a deadline, sockets.
//!
//! Deliberately absent: tests.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hotfire_host::{FORKSERVER_VARIABLE, PREPARE_VARIABLE};
use hotfire_recorder::{
    FLAG_LEDGER, ReadError, Snapshot, TOTAL_BYTES, brief_words, header_words, read_snapshot,
};

/// The longest that any wait of a test may take.
const DEADLINE: Duration = Duration::from_secs(20);

fn check(call: &str, result: i32) -> i32 {
    assert!(result != -1, "{call}: {}", io::Error::last_os_error());
    result
}

fn memory_file(name: &std::ffi::CStr) -> File {
    // SAFETY: the name is a C string; the descriptor is fresh and owned from here on.
    unsafe {
        let fd = check("memfd_create", libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC));
        File::from_raw_fd(fd)
    }
}

/// A recorder with a brief, as a supervisor makes it.
pub(crate) struct Recorder {
    pub(crate) fd: File,
}

impl Recorder {
    pub(crate) fn new(plan: &str, beat_period_us: u64) -> Self {
        let fd = memory_file(c"recorder");
        fd.set_len(TOTAL_BYTES as u64).expect("room");
        write_words(&fd, 0, &header_words(FLAG_LEDGER, 1, beat_period_us, plan.len()));
        let (offset, words) = brief_words(plan).expect("a short plan");
        write_words(&fd, offset, &words);
        Self { fd }
    }

    pub(crate) fn truncate(&self, bytes: u64) {
        self.fd.set_len(bytes).expect("no seal");
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut fetch = |start: usize, count: usize| {
            let mut bytes = vec![0; count * 8];
            self.fd
                .read_exact_at(&mut bytes, (start * 8) as u64)
                .map_err(|error| ReadError(error.to_string()))?;
            Ok(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
        };
        read_snapshot(&mut fetch).expect("a good header")
    }
}

fn write_words(file: &File, offset: usize, words: &[u64]) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.write_all_at(&bytes, offset as u64).expect("written");
}

/// The fixture, which cargo builds with the tests.
fn fixture() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("target/debug/deps");
    let fixture = target.join("examples").join("fixture_host");
    assert!(fixture.exists(), "build it: cargo build -p hotfire-host --example fixture_host");
    fixture
}

/// A host that inherits these descriptors and no other beside its standard ones.
pub(crate) fn host(inherited: &[RawFd]) -> Command {
    let mut command = Command::new(fixture());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let inherited = inherited.to_vec();
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            let flags = libc::CLOSE_RANGE_CLOEXEC;
            if libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags) == -1 {
                return Err(io::Error::last_os_error());
            }
            for fd in &inherited {
                if libc::fcntl(*fd, libc::F_SETFD, 0) == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command
}

/// Runs a host to its end, or kills it at the deadline.
pub(crate) fn wait_for_end(mut command: Command) -> Output {
    wait_for_output(command.spawn().expect("a host"))
}

fn wait_for_output(child: Child) -> Output {
    let pid = i32::try_from(child.id()).expect("a pid");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(DEADLINE) {
        Ok(output) => output.expect("an output"),
        Err(_) => {
            // SAFETY: no memory is passed; the child is not reaped yet, so the pid is its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("the host did not end");
        }
    }
}

/// Runs a host in a plain shell's way.
pub(crate) fn run_standalone(arguments: &[&str]) -> Output {
    let mut command = host(&[]);
    command.args(arguments);
    wait_for_end(command)
}

/// A forkserver and our end of its socket.
pub(crate) struct Forkserver {
    process: Option<Child>,
    socket: Option<OwnedFd>,
}

impl Forkserver {
    pub(crate) fn start(prepare: &str) -> Self {
        let mut ends = [0; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: `ends` takes two descriptors, fresh and owned from here on.
        let (ours, theirs) = unsafe {
            check("socketpair", libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()));
            (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
        };
        let timeout = libc::timeval { tv_sec: 20, tv_usec: 0 };
        // SAFETY: the value is a timeval of the size said.
        unsafe {
            let size = mem::size_of_val(&timeout) as libc::socklen_t;
            let option = (&raw const timeout).cast();
            let fd = ours.as_raw_fd();
            check(
                "setsockopt",
                libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, option, size),
            );
        }
        let mut command = host(&[theirs.as_raw_fd()]);
        command.env(FORKSERVER_VARIABLE, theirs.as_raw_fd().to_string());
        command.env(PREPARE_VARIABLE, prepare);
        Self { process: Some(command.spawn().expect("a host")), socket: Some(ours) }
    }

    fn fd(&self) -> RawFd {
        self.socket.as_ref().expect("not hung up").as_raw_fd()
    }

    pub(crate) fn receive(&mut self) -> String {
        let mut bytes = [0u8; 512];
        // SAFETY: the buffer is as long as said.
        let got = unsafe { libc::recv(self.fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        let got = usize::try_from(got).expect("an answer within the deadline");
        String::from_utf8_lossy(&bytes[..got]).into_owned()
    }

    pub(crate) fn send(&mut self, request: &str, descriptors: &[RawFd]) {
        #[repr(C, align(8))]
        struct Control([u8; 64]);
        let mut control = Control([0; 64]);
        let mut part =
            libc::iovec { iov_base: request.as_ptr().cast_mut().cast(), iov_len: request.len() };
        let payload = u32::try_from(mem::size_of_val(descriptors)).expect("few");
        // SAFETY: header, part and control live through the call; the control buffer has room for
        // seven descriptors, and the CMSG functions place them.
        unsafe {
            let mut header: libc::msghdr = mem::zeroed();
            header.msg_iov = &raw mut part;
            header.msg_iovlen = 1;
            if !descriptors.is_empty() {
                header.msg_control = (&raw mut control).cast();
                header.msg_controllen = libc::CMSG_SPACE(payload) as usize;
                let item = libc::CMSG_FIRSTHDR(&raw const header);
                (*item).cmsg_level = libc::SOL_SOCKET;
                (*item).cmsg_type = libc::SCM_RIGHTS;
                (*item).cmsg_len = libc::CMSG_LEN(payload) as usize;
                libc::CMSG_DATA(item).copy_from_nonoverlapping(
                    descriptors.as_ptr().cast(),
                    mem::size_of_val(descriptors),
                );
            }
            let sent = libc::sendmsg(self.fd(), &raw const header, libc::MSG_NOSIGNAL);
            assert!(sent > 0, "{}", io::Error::last_os_error());
        }
    }

    /// Has a child forked that runs this recorder's plan.
    pub(crate) fn run(&mut self, recorder: &Recorder) -> Forked {
        let output = memory_file(c"output");
        let fd = output.as_raw_fd();
        self.send("run", &[recorder.fd.as_raw_fd(), fd, fd]);
        let answer = self.receive();
        let pid = answer.strip_prefix("forked ").and_then(|pid| pid.parse().ok());
        Forked { pid: pid.unwrap_or_else(|| panic!("{answer}")), output }
    }

    /// The server's children that are there, zombies too.
    pub(crate) fn children(&self) -> Vec<i32> {
        let server = self.process.as_ref().expect("not waited for").id().to_string();
        let entries = std::fs::read_dir("/proc").expect("/proc");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let behind_name = stat.rsplit(") ").next().unwrap_or_default();
            behind_name.split(' ').nth(1) == Some(&server)
        })
        .collect()
    }

    pub(crate) fn signal(&self, signal: i32) {
        let pid = self.process.as_ref().expect("not waited for").id();
        // SAFETY: no memory is passed; the server is not waited for, so the pid is its own.
        check("kill", unsafe { libc::kill(pid.cast_signed(), signal) });
    }

    pub(crate) fn hang_up(&mut self) {
        self.socket = None;
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        wait_for_output(self.process.take().expect("not waited for")).status
    }
}

impl Drop for Forkserver {
    fn drop(&mut self) {
        self.hang_up();
        if let Some(process) = self.process.take() {
            wait_for_output(process);
        }
    }
}

/// A child of the forkserver.
pub(crate) struct Forked {
    pid: i32,
    output: File,
}

impl Forked {
    /// Waits until the child is gone. It is no child of ours, so by its pidfd.
    pub(crate) fn wait(&self) {
        // SAFETY: no memory is passed to pidfd_open; the descriptor is fresh; `poll` gets one entry.
        unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, self.pid, 0);
            let Ok(fd @ 0..) = i32::try_from(fd) else {
                let error = io::Error::last_os_error();
                assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{error}");
                return;
            };
            let fd = OwnedFd::from_raw_fd(fd);
            let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let timeout = i32::try_from(DEADLINE.as_millis()).expect("short");
            assert_eq!(libc::poll(&raw mut entry, 1, timeout), 1, "the child did not end");
        }
    }

    /// What it wrote.
    pub(crate) fn output(&self) -> String {
        let length = self.output.metadata().expect("a length").len();
        let mut bytes = vec![0; usize::try_from(length).expect("short")];
        self.output.read_exact_at(&mut bytes, 0).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
