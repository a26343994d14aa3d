//! Lines and inlined functions for the frames of an observation. They come from a helper process
//! with a deadline and little memory, once the run is over: debug information may be huge, or lie.
//!
//! Deliberately absent: reading it (`dwarf`); lines of frames that nobody looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;

use hotfire_sys::procfs::DELETED;
use hotfire_sys::{
    Command, Stop, StreamSocket, SysError, end_process, monotonic_ns, poll_readable, spawn,
    stream_pair, wait_one,
};

use super::dwarf::Source;
use super::line_helper::{Build, LineRequest};
use crate::observe::{Fact, FoundBy, FrameRecord, Location, Observation, SourceRecord, Thread};

/// How long the helper may take for all files of an observation together. Its work is limited for
/// itself: on a busy machine little work takes long.
const TIME_NS_MAX: u64 = 10_000_000_000;
/// How long it may take to be gone.
const END_NS: u64 = 2_000_000_000;
/// Between two looks whether it is.
const LOOK_NS: u64 = 1_000_000;
/// Frames of a thread, and places of all, that are looked up.
const FRAMES_MAX: usize = 64;
const PLACES_MAX: usize = 1_024;
/// Places that are kept for later observations.
const KEPT_MAX: usize = 65_536;

/// A file as an observation names it.
type FileKey = (String, Build);

/// Finds lines; keeps what it found for the next observation.
#[derive(Debug)]
pub struct LineReader {
    program: String,
    known: BTreeMap<(FileKey, u64), Vec<SourceRecord>>,
    /// Files without debug information, and those that the helper failed on.
    without: BTreeSet<FileKey>,
    /// From question to question: what it has read is dear.
    helper: Option<Helper>,
    pub(super) limit_ns: u64,
}

impl LineReader {
    /// A reader whose helper is `PROGRAM __symbolize`.
    #[must_use]
    pub fn new(program: String) -> Self {
        Self {
            program,
            known: BTreeMap::new(),
            without: BTreeSet::new(),
            helper: None,
            limit_ns: TIME_NS_MAX,
        }
    }

    /// Adds lines to the stacks of an observation. What kept some back comes back, as lowercase
    /// fragments; that a file has no debug information does not.
    pub fn add_lines(&mut self, observation: &mut Observation) -> Vec<String> {
        let mut asked: BTreeMap<FileKey, BTreeSet<u64>> = BTreeMap::new();
        let places = frames(observation).filter_map(|(frame, exact)| place(frame, exact));
        for (file, address) in places.take(PLACES_MAX) {
            let is_new = !self.without.contains(&file);
            if is_new && !self.known.contains_key(&(file.clone(), address)) {
                asked.entry(file).or_default().insert(address);
            }
        }
        let failures = if asked.is_empty() { Vec::new() } else { self.ask(asked) };
        for (frame, exact) in frames(observation) {
            if let Some(place) = place(frame, exact) {
                frame.source = self.known.get(&place).cloned().unwrap_or_default();
            }
        }
        failures
    }

    fn ask(&mut self, asked: BTreeMap<FileKey, BTreeSet<u64>>) -> Vec<String> {
        if self.known.len() > KEPT_MAX {
            self.known.clear();
        }
        let deadline_ns = monotonic_ns() + self.limit_ns;
        let mut failures = Vec::new();
        let (own, systems): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|((path, _), _)| !is_of_system(path));
        for (file, addresses) in own.into_iter().chain(systems) {
            let addresses: Vec<u64> = addresses.into_iter().collect();
            let (path, build) = file.clone();
            let request = LineRequest { path, build, addresses: addresses.clone() };
            match self.answer(&request, deadline_ns) {
                Ok(Ok(Some(records))) => {
                    let places = addresses.into_iter().map(|address| (file.clone(), address));
                    self.known.extend(places.zip(records));
                }
                Ok(Ok(None)) => drop(self.without.insert(file)),
                Ok(Err(reason)) => {
                    failures.push(format!("{} {reason}", file.0));
                    self.without.insert(file);
                }
                // No file behind this one is asked for.
                Err(reason) => {
                    failures.push(format!("{reason}, at {}", file.0));
                    self.without.insert(file);
                    self.helper = None;
                    break;
                }
            }
        }
        failures
    }

    /// Asks the helper; one that has gone since the last time is replaced.
    fn answer(&mut self, request: &LineRequest, deadline_ns: u64) -> Result<Source, String> {
        if let Some(helper) = &mut self.helper {
            match helper.ask(request, deadline_ns) {
                Err(_) if monotonic_ns() < deadline_ns => self.helper = None,
                answer => return answer,
            }
        }
        let helper = Helper::start(&self.program)
            .map_err(|error| format!("the helper process cannot be started: {error}"))?;
        self.helper.insert(helper).ask(request, deadline_ns)
    }

    /// Ends the helper process until the next question: whoever counts its children wants none.
    pub fn rest(&mut self) {
        self.helper = None;
    }
}

/// The system's libraries have large debug information and tell least of whoever uses them: they are
/// looked up in what time is left.
fn is_of_system(path: &str) -> bool {
    ["/lib", "/usr/lib"].iter().any(|folder| path.starts_with(folder))
}

/// The frames of all stacks, those of the threads that matter first, with whether each one's
/// program counter is the instruction itself.
fn frames(observation: &mut Observation) -> impl Iterator<Item = (&mut FrameRecord, bool)> {
    let crashes = observation.crash.iter_mut().chain(&mut observation.more_crashes);
    let crashed = crashes.flat_map(|crash| {
        let tid = crash.victim.tid;
        let (own, others): (Vec<_>, Vec<_>) =
            crash.threads.iter_mut().partition(|thread| thread.tid == tid);
        own.into_iter().chain(others)
    });
    let stalled = observation.stall.iter_mut().flat_map(|stall| &mut stall.threads);
    crashed.chain(stalled).flat_map(thread_frames)
}

fn thread_frames(thread: &mut Thread) -> impl Iterator<Item = (&mut FrameRecord, bool)> {
    let stack = match &mut thread.stack {
        Fact::Known(stack) => Some(stack),
        Fact::Unavailable(_) => None,
    };
    let mut behind_signal = false;
    stack.into_iter().flat_map(|stack| &mut stack.frames).take(FRAMES_MAX).map(move |frame| {
        let exact = frame.found_by == FoundBy::Registers || behind_signal;
        behind_signal = frame.signal_trampoline;
        (frame, exact)
    })
}

/// The file of a frame and an address inside of its instruction, as linked: a call may be the last
/// one of its line.
fn place(frame: &FrameRecord, exact: bool) -> Option<(FileKey, u64)> {
    let Location { module, build_id, offset, function, file, .. } = frame.location.known()?;
    let by_id = build_id.clone().map(Build::Id);
    // Of a file that is known by nothing, the one at that path may be any other.
    let build = by_id.or(file.map(Build::File))?;
    let path = match module.strip_suffix(DELETED) {
        // The file at that path has given no name, so that it is another one.
        Some(_) if function.is_none() => return None,
        path => path.unwrap_or(module),
    };
    let address = if exact { *offset } else { offset.checked_sub(1)? };
    path.starts_with('/').then(|| ((path.to_owned(), build), address))
}

/// A helper process. Dropping ends it.
#[derive(Debug)]
struct Helper {
    /// Until it is reaped.
    pid: Option<i32>,
    socket: StreamSocket,
}

impl Helper {
    fn start(program: &str) -> Result<Self, SysError> {
        let (socket, far) = stream_pair()?;
        let null = File::open("/dev/null").map_err(|error| SysError::from_io("open", &error))?;
        let parent = std::process::id().to_string();
        let words = [program, "__symbolize", "3", &parent];
        let strings = || words.iter().filter_map(|word| CString::new(*word).ok());
        let pid = spawn(&Command {
            program: strings().next().unwrap_or_default(),
            arguments: strings().collect(),
            environment: Vec::new(),
            descriptors: vec![null.as_fd(), null.as_fd(), null.as_fd(), far.as_fd()],
            own_session: true,
        })?;
        Ok(Self { pid: Some(pid), socket })
    }

    /// Asks for one file.
    fn ask(&mut self, request: &LineRequest, deadline_ns: u64) -> Result<Source, String> {
        let text = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        // Shorter than what a socket takes at once, so that nobody is waited for.
        if self.socket.send(&text).is_err() {
            return Err(self.ended());
        }
        loop {
            let left = deadline_ns.saturating_sub(monotonic_ns());
            if left == 0 {
                return Err("the helper process took too long".to_owned());
            }
            let ready = poll_readable(&[self.socket.as_fd()], left);
            if ready.is_ok_and(|ready| !ready.iter().any(|one| one.readable)) {
                continue;
            }
            let Ok(Some(messages)) = self.socket.receive() else { return Err(self.ended()) };
            if let Some(message) = messages.first() {
                return serde_json::from_slice(message).map_err(|error| error.to_string());
            }
        }
    }

    /// How it ended, once it has closed its socket.
    fn ended(&mut self) -> String {
        match self.reap() {
            Some(Stop::Signaled(signal)) => {
                format!("the helper process died by {}", hotfire_sys::signal::name(signal))
            }
            Some(Stop::Exited(status)) => format!("the helper process ended with status {status}"),
            _ => "the helper process went away".to_owned(),
        }
    }

    /// Waits until it is gone. Then its number may be another process's.
    fn reap(&mut self) -> Option<Stop> {
        let deadline = monotonic_ns() + END_NS;
        while let Some(pid) = self.pid.filter(|_| monotonic_ns() < deadline) {
            match wait_one(pid).map(|event| event.map(|event| event.stop)) {
                Ok(Some(stop @ (Stop::Signaled(_) | Stop::Exited(_)))) => {
                    self.pid = None;
                    return Some(stop);
                }
                Ok(_) => drop(poll_readable(&[], LOOK_NS)),
                Err(_) => self.pid = None,
            }
        }
        None
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // While it is not reaped, its number is its own; somebody else may have reaped it.
        if let Some(pid) = self.pid.filter(|pid| matches!(wait_one(*pid), Ok(None))) {
            // One that ends at this moment is reaped all the same.
            let _ = end_process(pid);
            self.reap();
        }
    }
}
