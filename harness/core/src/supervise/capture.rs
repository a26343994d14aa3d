//! What is read of a process at the moment a signal is about to end it.
//!
//! Deliberately absent: which of several faults was the first (see `first_chance`).

use std::collections::{BTreeMap, BTreeSet};

use hotfire_sys::procfs::{self, DELETED, MapLine};
use hotfire_sys::{
    FileIdentity, SysError, TraceRegisters, Tracee, monotonic_ns, path_identity, read_memory,
    signal,
};

use super::first_chance::{Chance, cause, caused_by, first_chance, keep};
use super::peers::Holders;
use super::run::Run;
use super::supervisor::{Manners, Supervisor};
use super::tasks::Role;
use super::waits::{lies_in_private_memory, thread};
use super::words::add_memory_facts;
use crate::observe::{
    AddressMap, Crash, Fact, HeapFacts, LastWords, Mapping, Registers, ResourceLimit, SignalInfo,
    Thread, UNDELIVERED, Victim, Wait,
};
use crate::unwind::{Frame, LiveMemory, Paged};

/// Bytes read at the program counter.
pub(super) const INSTRUCTION_BYTES: usize = 16;
/// Threads listed of a process.
pub(super) const THREADS_MAX: usize = 512;

/// Numbers of system calls are smaller.
const CALLS_MAX: u64 = 1024;

/// The threads of a process that all stand.
pub(super) struct Standing {
    pub(super) threads: Vec<Thread>,
    /// All frames as they were walked, by thread.
    pub(super) frames: BTreeMap<i32, Vec<Frame>>,
    /// The thread that holds the interpreter's lock; `None`: nobody waits for it.
    pub(super) interpreter_lock: Fact<Option<i32>>,
}

impl Supervisor {
    /// A signal is about to be delivered to a thread: look, then let it go on with the signal.
    pub(super) fn on_signal(&mut self, tid: i32, signal: i32) {
        if self.on_border(tid, signal) {
            return;
        }
        if self.manners() == Manners::Wrapper {
            self.note_met(tid, signal);
        }
        let process = self.tasks.process_of(tid).unwrap_or(tid);
        let role = self.tasks.role(process);
        if signal::is_fatal_by_default(signal)
            && let Some(role) = role
            && role.is_of_run()
            && self.run.as_ref().is_some_and(|run| !run.ending && !run.asked_to_end_rest)
        {
            self.look_at(tid, signal, (process, role));
        }
        // The thread may have been killed meanwhile; then there is nothing to resume.
        let _ = Tracee::new(tid).resume(signal);
    }

    fn look_at(&mut self, tid: i32, signal: i32, (process, role): (i32, Role)) {
        let begun_ns = monotonic_ns();
        self.begin_look();
        let masks = match procfs::signal_masks(tid) {
            Ok(masks) => masks,
            // Whether the process catches the signal is not known: no reason to call it fatal.
            Err(error) => return self.not_looked_at(tid, signal, error),
        };
        let bit = signal::mask_bit(signal);
        if masks.ignored & bit != 0 {
            return;
        }
        if masks.caught & bit != 0 {
            if signal::is_fault(signal) {
                self.keep_first_chance(tid, signal);
            } else if role == Role::Root && signal::asks_to_end(signal) {
                self.note_request(tid, signal);
            }
            return;
        }
        let crash = match self.capture(tid, signal, (process, role)) {
            Ok(crash) => crash,
            Err(error) => return self.not_looked_at(tid, signal, error),
        };
        let is_child = role == Role::Root;
        let of_command = self.run.as_ref().is_some_and(Run::is_command);
        let is_wanted = self.run.as_ref().is_some_and(|run| run.wants(&crash));
        if !is_wanted || (!is_child && !is_crash_of_descendant(&crash, of_command)) {
            return;
        }
        let chances = self.run.as_mut().and_then(|run| run.first_chances.remove(&tid));
        let first = first_chance(&crash, chances.unwrap_or_default(), masks);
        let (mut crash, maps) = self.with_all_stacks(crash, first.as_ref());
        let Some(run) = &mut self.run else { return };
        let address = crash.siginfo.known().and_then(|info| info.address);
        add_surroundings(&mut crash, &maps, tid);
        let is_mapped = crash.address_map.known().is_none_or(|map| map.inside.is_some());
        let former = address
            .filter(|_| !is_mapped)
            .and_then(|address| run.former.at(crash.victim.pid, address));
        crash.former_of_parent = former.is_some_and(|(_, is_of_parent)| is_of_parent);
        crash.former = former.map(|(map, _)| mapping(map, file_bytes(map, &root_of(tid))));
        crash.held_ns = monotonic_ns().saturating_sub(begun_ns);
        run.keep_crash(crash);
    }

    /// A handler may end the process by the same signal: then it is the asker's.
    fn note_request(&mut self, tid: i32, signal: i32) {
        let sender = Tracee::new(tid).signal_info().map(|info| signal::details(&info).2);
        let process = self.tasks.process_of(tid);
        let Some(run) = &mut self.run else { return };
        // What a terminal sends has no sender.
        if sender.is_ok_and(|sender| sender.is_none() || sender != process)
            && !run.asked_to_end.contains(&signal)
        {
            run.asked_to_end.push(signal);
        }
    }

    fn not_looked_at(&mut self, tid: i32, signal: i32, error: SysError) {
        // One that is gone ends already, by another thread's fault.
        if !error.is_gone() {
            self.soft_error(format!("{} of thread {tid}: {error}", signal::name(signal)));
        }
    }

    fn keep_first_chance(&mut self, tid: i32, signal: i32) {
        match (Chance::of(tid, signal), &mut self.run) {
            (Ok(chance), Some(run)) => keep(run.first_chances.entry(tid).or_default(), chance),
            (Err(error), _) => self.not_looked_at(tid, signal, error),
            (Ok(_), None) => {}
        }
    }

    fn capture(
        &mut self,
        tid: i32,
        signal: i32,
        (process, role): (i32, Role),
    ) -> Result<Crash, SysError> {
        let (siginfo, registers) = cause(tid, signal)?;
        let facts = (Fact::Known(siginfo), kept(&registers));
        Ok(self.captured(tid, signal, (process, role), facts))
    }

    /// A filter of system calls may end a process without delivering the signal: then its last
    /// stop, with this status, is where it ends. The kernel has put the number of the call back to
    /// where it was.
    pub(super) fn note_undelivered(&mut self, tid: i32, status: i64) {
        if status & 0x7f != i64::from(signal::SIGSYS)
            || self.run.as_ref().is_none_or(|run| run.ending)
        {
            return;
        }
        let process = self.tasks.process_of(tid).unwrap_or(tid);
        let Some(role) = self.tasks.role(process).filter(|role| role.is_of_run()) else { return };
        let Ok(registers) = Tracee::new(tid).registers().map(|registers| kept(&registers)) else {
            return;
        };
        if !made_a_call(tid, &registers) {
            return;
        }
        self.begin_look();
        let facts = (Fact::Unavailable(UNDELIVERED.to_owned()), registers);
        let crash = self.captured(tid, signal::SIGSYS, (process, role), facts);
        if self.run.as_ref().is_some_and(|run| run.wants(&crash)) {
            let crash = self.with_own_stack(crash);
            if let Some(run) = &mut self.run {
                run.keep_crash(crash);
            }
        }
    }

    fn captured(
        &mut self,
        tid: i32,
        signal: i32,
        (process, role): (i32, Role),
        (siginfo, registers): (Fact<SignalInfo>, Registers),
    ) -> Crash {
        let time_ns = monotonic_ns();
        let mut instruction = vec![0; INSTRUCTION_BYTES];
        let read = read_memory(tid, registers.rip, &mut instruction).unwrap_or(0);
        instruction.truncate(read);
        let threads = self.threads(process);
        let own = threads.iter().find(|thread| thread.tid == tid).map(|own| own.name.clone());
        // More threads than are listed.
        let name = || procfs::stat(tid).map_or_else(|_| String::new(), |stat| stat.name);
        Crash {
            victim: Victim {
                pid: process,
                tid,
                thread: own.unwrap_or_else(name),
                is_child: role == Role::Root,
                command: procfs::command_line(process),
            },
            signal,
            instruction,
            // Both are told by the mappings, which are read once, together with the stacks.
            location: Fact::Unavailable("not looked for".to_owned()),
            address_map: Fact::Unavailable("not looked for".to_owned()),
            former: None,
            former_of_parent: false,
            limit: limit_of(tid, signal),
            pointers: Vec::new(),
            heap: HeapFacts::default(),
            last_words: LastWords::default(),
            threads,
            siginfo,
            registers: Fact::Known(registers),
            through_handler: false,
            time_ns,
            held_ns: 0,
        }
    }

    /// What all threads of a process do, as far as it is told without the mappings.
    fn threads(&self, process: i32) -> Vec<Thread> {
        let threads = self.tasks.threads_of(process);
        threads.into_iter().take(THREADS_MAX).map(|tid| thread(process, tid, &[], None)).collect()
    }

    /// What all threads of a process do, and their stacks, at one moment, with all frames as they
    /// were walked. They go on after.
    pub(super) fn threads_and_stacks(
        &mut self,
        process: i32,
        holders: Option<&Holders>,
    ) -> Standing {
        let tids = self.tasks.threads_of(process);
        let before = tids.iter().copied().take(THREADS_MAX);
        // What each waits for is read while it waits; a stop takes it out of its call.
        let maps = self.maps_of(&tids);
        let mut threads: Vec<Thread> =
            before.map(|tid| thread(process, tid, &maps, holders)).collect();
        let (standing, listed) = self.halt_process(process, None);
        add_late_threads(&mut threads, process, (&standing, &listed));
        // Only now: until they stand they map and unmap. Threads of other processes may stand, too.
        let own: Vec<i32> = threads.iter().map(|thread| thread.tid).collect();
        let standing: BTreeSet<i32> =
            own.into_iter().filter(|tid| standing.contains(tid)).collect();
        let maps = standing.iter().find_map(|tid| procfs::maps(*tid).ok()).unwrap_or(maps);
        let frames = self.add_stacks(&mut threads, &maps, &standing, None);
        let interpreter_lock = self.add_python_locks(&mut threads, &maps, &frames);
        Standing { threads, frames, interpreter_lock }
    }

    /// The frames of these threads of a process, without names. They go on after.
    pub(super) fn frames_of(&mut self, process: i32, tids: &[i32]) -> BTreeMap<i32, Vec<Frame>> {
        let standing = self.halt(tids, None);
        let maps = self.maps_of(&self.tasks.threads_of(process));
        let wanted = tids.iter().copied().filter(|tid| standing.contains(tid)).collect();
        let stacks = self.walk(wanted, &maps, None).into_iter();
        stacks.filter_map(|(tid, stack)| Some((tid, stack.ok()?.frames))).collect()
    }

    /// The mappings of the process that holds these threads.
    fn maps_of(&self, tids: &[i32]) -> Vec<MapLine> {
        tids.iter().find_map(|tid| procfs::maps(*tid).ok()).unwrap_or_default()
    }

    /// The stack of the thread that got the signal.
    fn with_own_stack(&mut self, mut crash: Crash) -> Crash {
        let (tid, maps) = (crash.victim.tid, procfs::maps(crash.victim.tid));
        let own = crash.threads.iter_mut().find(|thread| thread.tid == tid);
        if let (Some(own), Ok(maps)) = (own, &maps) {
            let own = std::slice::from_mut(own);
            self.add_stacks(own, maps, &BTreeSet::new(), Some((tid, None)));
        }
        let mut crash = self.with_places(crash, &maps);
        crash.address_map = around(&maps, crash.siginfo.known().and_then(|info| info.address), tid);
        crash
    }

    /// The stacks of all threads, at the moment of the death, and what is mapped while they stand;
    /// of the one that died, its stack at the fault that it died of.
    fn with_all_stacks(
        &mut self,
        crash: Crash,
        first: Option<&Chance>,
    ) -> (Crash, Result<Vec<MapLine>, SysError>) {
        let (process, tid) = (crash.victim.pid, crash.victim.tid);
        let mut crash = match first {
            Some(first) => caused_by(crash, first),
            None => crash,
        };
        let (standing, listed) = self.halt_process(process, Some(tid));
        // Only now: until they stand they map and unmap.
        let maps = procfs::maps(tid);
        if let Ok(maps) = &maps {
            add_late_threads(&mut crash.threads, process, (&standing, &listed));
            self.add_stacks(&mut crash.threads, maps, &standing, Some((tid, first)));
        }
        (self.with_places(crash, &maps), maps)
    }

    /// What the mappings tell of the crash's place and of the futexes that threads wait for.
    fn with_places(&mut self, mut crash: Crash, maps: &Result<Vec<MapLine>, SysError>) -> Crash {
        let known = maps.as_deref().unwrap_or_default();
        for thread in &mut crash.threads {
            if let Wait::Futex { address, private, .. } = &mut thread.wait {
                *private = *private || lies_in_private_memory(*address, known);
            }
        }
        // The innermost frame knows where its function begins, too.
        let tid = crash.victim.tid;
        let own = crash.threads.iter().find(|thread| thread.tid == tid);
        let stack = own.and_then(|own| own.stack.known());
        let innermost = stack.and_then(|stack| stack.frames.first()).map(|frame| &frame.location);
        let pc = crash.registers.known().map_or(0, |registers| registers.rip);
        let location = match (innermost, maps) {
            (Some(location), _) => location.clone(),
            // More threads than are listed.
            (None, Ok(maps)) => match self.symbolizer.locate(maps, &mut LiveMemory::new(tid), pc) {
                Ok(location) => Fact::Known(location),
                Err(reason) => Fact::Unavailable(reason),
            },
            (None, Err(error)) => Fact::Unavailable(unread(*error)),
        };
        Crash { location, ..crash }
    }
}

/// Adds threads that were made while the others were looked at.
fn add_late_threads(
    threads: &mut Vec<Thread>,
    process: i32,
    (standing, listed): (&BTreeSet<i32>, &[i32]),
) {
    let known: BTreeSet<i32> = threads.iter().map(|thread| thread.tid).collect();
    let tids = listed.iter().copied();
    let late = tids.filter(|tid| standing.contains(tid) && !known.contains(tid));
    let room = THREADS_MAX.saturating_sub(threads.len());
    // What one waits for is not known: its stop has taken it out of its call.
    threads.extend(late.take(room).map(|tid| thread(process, tid, &[], None)));
}

/// The death of a process that the child made counts as a crash unless somebody merely asked it
/// to end.
/// In a command's processes a terminal and timers end what they shall, too.
fn is_crash_of_descendant(crash: &Crash, of_command: bool) -> bool {
    let sent = crash.siginfo.known().is_some_and(|info| info.code <= 0);
    let broke = signal::is_fault(crash.signal) || crash.signal == signal::SIGABRT;
    broke || (!sent && !of_command)
}

pub(super) fn kept(registers: &TraceRegisters) -> Registers {
    Registers {
        rip: registers.rip,
        rsp: registers.rsp,
        rbp: registers.rbp,
        general: registers.general.to_vec(),
    }
}

/// What lies around the addresses that matter.
fn add_surroundings(crash: &mut Crash, maps: &Result<Vec<MapLine>, SysError>, tid: i32) {
    crash.address_map = around(maps, crash.siginfo.known().and_then(|info| info.address), tid);
    if let Fact::Known(AddressMap { inside: Some(inside), .. }) = &mut crash.address_map
        && inside.file_bytes.is_none()
        && inside.inode != 0
    {
        let lines = maps.as_deref().unwrap_or_default();
        let line = lines.iter().find(|line| line.start == inside.start);
        inside.file_bytes = line.and_then(|line| procfs::mapped_file_bytes(tid, line));
    }
    if let Ok(maps) = maps {
        add_memory_facts(crash, maps, &mut Paged::new(LiveMemory::new(tid)));
    }
}

/// The limit that this signal is about (setrlimit(2)).
fn limit_of(tid: i32, signal: i32) -> Option<ResourceLimit> {
    let (name, line, unit) = match signal {
        signal::SIGXCPU => ("RLIMIT_CPU", "Max cpu time", "s"),
        signal::SIGXFSZ => ("RLIMIT_FSIZE", "Max file size", "bytes"),
        _ => return None,
    };
    let soft = procfs::soft_limit(tid, line)?;
    // The kernel grants a second more with each SIGXCPU (kernel/time/posix-cpu-timers.c).
    let soft = if signal == signal::SIGXCPU { soft.saturating_sub(1) } else { soft };
    Some(ResourceLimit { name: name.to_owned(), value: format!("{soft} {unit}") })
}

/// Whether the thread stands behind a system call, with the call's number in rax.
fn made_a_call(tid: i32, registers: &Registers) -> bool {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let mut before = [0; 2];
    let read = read_memory(tid, registers.rip.wrapping_sub(2), &mut before);
    let number = registers.general.first().copied().unwrap_or(u64::MAX);
    read == Ok(before.len()) && before == SYSCALL && number < CALLS_MAX
}

fn unread(error: SysError) -> String {
    format!("the mappings could not be read: {error}")
}

/// What is mapped at and around a signal's address.
fn around(
    maps: &Result<Vec<MapLine>, SysError>,
    address: Option<u64>,
    tid: i32,
) -> Fact<AddressMap> {
    match (address, maps) {
        (None, _) => Fact::Unavailable("the signal has no address".into()),
        (Some(address), Ok(maps)) => Fact::Known(address_map(maps, address, &root_of(tid))),
        (Some(_), Err(error)) => Fact::Unavailable(unread(*error)),
    }
}

/// What is mapped at and around an address; files are looked for below this folder.
pub(crate) fn address_map(maps: &[MapLine], address: u64, root: &str) -> AddressMap {
    let mapping = |map: &MapLine| mapping(map, file_bytes(map, root));
    AddressMap {
        inside: maps.iter().find(|map| (map.start..map.end).contains(&address)).map(mapping),
        below: maps.iter().rfind(|map| map.end <= address).map(mapping),
        above: maps.iter().find(|map| map.start > address).map(mapping),
    }
}

/// The root folder of the process that holds a thread: it may have mounts of its own.
fn root_of(tid: i32) -> String {
    format!("/proc/{tid}/root")
}

/// The length of a mapped file, where the file at its path is still that one.
fn file_bytes(map: &MapLine, root: &str) -> Option<u64> {
    if !map.path.starts_with('/') || map.path.ends_with(DELETED) {
        return None;
    }
    let identity = |path: &str| path_identity(path).ok();
    // Some file systems tell another device in mappings than of files, so that in the process's own
    // mounts the inode alone must do.
    let own = identity(&format!("{root}{}", map.path)).filter(|own| own.inode == map.inode);
    let same = |ours: &FileIdentity| (ours.device, ours.inode) == (map.device, map.inode);
    own.or_else(|| identity(&map.path).filter(same)).map(|file| file.bytes)
}

pub(super) fn mapping(map: &MapLine, file_bytes: Option<u64>) -> Mapping {
    Mapping {
        start: map.start,
        end: map.end,
        permissions: map.permissions.clone(),
        offset: map.offset,
        inode: map.inode,
        path: map.path.clone(),
        file_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(start: u64, end: u64, permissions: &str) -> MapLine {
        MapLine {
            start,
            end,
            permissions: permissions.into(),
            offset: 0,
            device: (0, 0),
            inode: 0,
            path: String::new(),
        }
    }

    #[test]
    fn maps_that_were_not_read_are_not_empty() {
        let (reason, gone) = ("has no address", procfs::maps(i32::MAX));
        let told = |fact: Fact<AddressMap>| match fact {
            Fact::Known(map) => format!("{map:?}"),
            Fact::Unavailable(reason) => reason,
        };
        assert!(told(around(&gone, Some(7), i32::MAX)).contains("could not be read"));
        assert!(told(around(&gone, None, i32::MAX)).contains(reason));
        let here = Ok(vec![map(0x1000, 0x2000, "rw-p")]);
        assert!(
            around(&here, Some(0x1000), i32::MAX).known().is_some_and(|map| map.inside.is_some())
        );
    }

    #[test]
    fn neighbours_of_an_address_are_found() {
        let maps = [map(0x1000, 0x2000, "rw-p"), map(0x3000, 0x4000, "r--p")];
        let hole = address_map(&maps, 0x2800, "");
        assert!(hole.inside.is_none());
        assert_eq!(hole.below.map(|map| map.start), Some(0x1000));
        assert_eq!(hole.above.map(|map| map.start), Some(0x3000));
        assert_eq!(address_map(&maps, 0x3000, "").inside.map(|map| map.end), Some(0x4000));
    }

    #[test]
    fn a_mapped_file_is_as_long_as_it_is_for_the_process_that_has_it_mapped() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().join("root");
        let (ours, its) = (folder.path().join("file"), root.join("file"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(&ours, [0; 9]).unwrap();
        std::fs::write(&its, [0; 4]).unwrap();
        let map = |file: &std::path::Path, path: &str| {
            let FileIdentity { device, inode, .. } =
                path_identity(&file.display().to_string()).unwrap();
            MapLine { device, inode, path: path.to_owned(), ..map(0x1000, 0x2000, "r--s") }
        };
        let root = root.display().to_string();
        assert_eq!(file_bytes(&map(&its, "/file"), &root), Some(4));
        // Another file is there, for the process, or for us.
        assert_eq!(file_bytes(&map(&ours, "/file"), &root), None);
        let path = ours.display().to_string();
        assert_eq!(file_bytes(&map(&ours, &path), &root), Some(9));
        assert_eq!(file_bytes(&map(&its, &path), &root), None);
        assert_eq!(file_bytes(&map(&its, "/file (deleted)"), &root), None);
    }
}
