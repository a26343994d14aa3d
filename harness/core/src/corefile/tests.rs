//! Cores that the tests write, read back.

use hotfire_sys::procfs;
use hotfire_sys::signal::{SIGABRT, SIGSEGV, SIGTRAP};

use super::builder::{Builder, CALL, Load, RAX, RBP, RDI, RIP, RSP, Thread, write};
use super::{CoreError, read_core};
use crate::observe::{Ending, Fact, FoundBy, LockKind, LockRecord, Observation, Wait};
use crate::symbolize::Symbolizer;
use crate::unwind::LiveMemory;

const CODE: u64 = 0x5555_0000_0000;
const STACK: u64 = 0x7fff_0000_0000;
const READ: u32 = 4;
const WRITE: u32 = 2;
const RUN: u32 = 1;

/// Code in which one function calls the next, and the stack of a fault in the innermost: two
/// frames with frame pointers.
pub(super) fn fault() -> Builder {
    let mut code = vec![0x90; 4096];
    // Three functions that set up frame pointers, and the calls of the inner two.
    for start in [0, 0x80, 0x180] {
        code[start..start + 4].copy_from_slice(&[0x55, 0x48, 0x89, 0xe5]);
    }
    code[0x100..0x105].copy_from_slice(&[0xe8, 0xfb, 0xfe, 0xff, 0xff]);
    code[0x200..0x205].copy_from_slice(&[0xe8, 0x7b, 0xfe, 0xff, 0xff]);
    code[0x10..0x13].copy_from_slice(&[0x8b, 0x47, 0x18]);
    let mut stack = vec![0; 4096];
    let words = [STACK + 0x820, CODE + 0x105, 0, 0, 0, CODE + 0x205];
    for (place, word) in stack[0x800..].chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let place = [(RIP, CODE + 0x10), (RSP, STACK + 0x800), (RBP, STACK + 0x800)];
    let mut first = Thread::new(71, &place);
    (first.signal, first.signal_info) = (11, Some((SIGSEGV, 1, 0x18)));
    let futex = [(RIP, CODE + 0x300), (RAX, (-512_i64).cast_unsigned()), (CALL, 202)];
    let mut second = Thread::new(72, &futex);
    // The word of a mutex that the first thread holds.
    let mutex = [2_i32, 0, 71].map(i32::to_le_bytes).concat();
    stack[..12].copy_from_slice(&mutex);
    second.registers[RDI] = STACK;
    second.registers[13] = 128;
    Builder {
        threads: vec![first, second],
        loads: vec![
            Load { start: STACK, length: 4096, flags: READ | WRITE, bytes: stack },
            Load { start: CODE, length: 4096, flags: READ | RUN, bytes: code },
            Load { start: CODE + 0x8000, length: 4096, flags: 0, bytes: Vec::new() },
        ],
        auxiliary: vec![(25, STACK + 0xf00)],
        files: Vec::new(),
        process: Some((71, "engine", "./engine --load tiny ")),
        count_elsewhere: false,
    }
}

pub(super) fn read(builder: &Builder) -> Result<Observation, CoreError> {
    let (_folder, path) = builder.write();
    read_core(&path, None)
}

fn read_bytes(bytes: &[u8]) -> Result<Observation, CoreError> {
    let (_folder, path) = write(bytes);
    read_core(&path, None)
}

#[test]
fn a_fault_is_told_as_of_a_living_process() {
    let seen = read(&fault()).unwrap();
    assert_eq!(seen.ending, Ending::Signaled(SIGSEGV));
    assert_eq!(seen.command, ["./engine", "--load", "tiny"]);
    assert!(seen.soft_errors.is_empty(), "{:?}", seen.soft_errors);
    let crash = seen.crash.unwrap();
    let victim = &crash.victim;
    assert_eq!((victim.pid, victim.tid, victim.thread.as_str()), (71, 71, "engine"));
    let info = crash.siginfo.known().unwrap();
    assert_eq!((info.code, info.address, info.sender), (1, Some(0x18), None));
    assert_eq!(crash.instruction[..3], [0x8b, 0x47, 0x18]);
    let registers = crash.registers.known().unwrap();
    assert_eq!((registers.rip, registers.rbp), (CODE + 0x10, STACK + 0x800));
    let map = crash.address_map.known().unwrap();
    let above = map.above.as_ref().unwrap();
    assert!(map.inside.is_none() && above.start == CODE && above.permissions == "r-xp");
    let stack = crash.threads[0].stack.known().unwrap();
    let frames: Vec<(u64, FoundBy)> =
        stack.frames.iter().map(|frame| (frame.pc, frame.found_by)).collect();
    assert_eq!(
        frames,
        [
            (CODE + 0x10, FoundBy::Registers),
            (CODE + 0x105, FoundBy::FramePointer),
            (CODE + 0x205, FoundBy::FramePointer)
        ]
    );
    let (kind, told_by, owner_gone) = (LockKind::Mutex, None, None);
    let lock = Some(LockRecord { kind, address: STACK, told_by, owner_gone });
    let (address, owner) = (STACK, Some(71));
    let waits = Wait::Futex { address, untimed: true, private: true, owner, lock };
    assert_eq!((crash.threads[1].name.as_str(), &crash.threads[1].wait), ("?", &waits));
}

#[test]
fn what_was_sent_has_a_sender_and_a_thread_that_is_not_the_first_has_no_name() {
    let mut core = fault();
    core.process = Some((70, "engine", ""));
    core.threads[0].signal = 6;
    core.threads[0].signal_info = Some((SIGABRT, -6, 70));
    let seen = read(&core).unwrap();
    assert_eq!(seen.command, ["engine"]);
    let crash = seen.crash.unwrap();
    assert_eq!((crash.signal, crash.victim.thread.as_str()), (SIGABRT, "?"));
    let info = crash.siginfo.known().unwrap();
    assert_eq!((info.address, info.sender), (None, Some(70)));
    assert!(matches!(crash.address_map, Fact::Unavailable(_)));
    core.threads[0].signal_info = None;
    assert!(matches!(read(&core).unwrap().crash.unwrap().siginfo, Fact::Unavailable(_)));
}

#[test]
fn a_living_process_has_not_died() {
    for (signal, info) in [
        (0, None),
        (19, Some((19, 0, 0))),
        (5, None),
        (5, Some((SIGTRAP, 2, CODE))),
        // At a breakpoint whose byte is gone from the code.
        (5, Some((SIGTRAP, 128, 0))),
    ] {
        let mut core = fault();
        (core.threads[0].signal, core.threads[0].signal_info) = (signal, info);
        assert_eq!(read(&core).unwrap_err(), CoreError::NoDeath, "{signal}");
    }
    let mut trap = fault();
    (trap.threads[0].signal, trap.threads[0].signal_info) = (5, Some((SIGTRAP, 128, 0)));
    trap.loads[1].bytes[0xf] = 0xcc;
    assert_eq!(read(&trap).unwrap().ending, Ending::Signaled(SIGTRAP));
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    let told = |bytes: &[u8]| read_bytes(bytes).unwrap_err().to_string();
    assert!(told(b"").contains("an empty file"));
    assert!(told(b"#!/bin/sh\n").contains("another format"));
    assert!(matches!(
        read_bytes(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0]).unwrap_err(),
        CoreError::Compressed { tool: "zstd -d FILE" }
    ));
    let core = fault().build();
    let with = |place: usize, value: u8| {
        let mut bytes = core.clone();
        bytes[place] = value;
        told(&bytes)
    };
    assert!(with(16, 3).contains("an ELF program or library"), "{}", with(16, 3));
    assert!(with(18, 183).contains("AArch64"));
    assert!(with(4, 1).contains("x86-64 in its form of 32 bits"));
    assert!(with(5, 2).contains("big-endian"));
    assert!(with(54, 32).contains("damaged"));
    assert!(matches!(read_core("/dev/zero".as_ref(), None), Err(CoreError::Unreadable(_))));
}

#[test]
fn a_cut_core_tells_how_much_is_missing() {
    let whole = fault().build();
    let notes_to = whole.len() - 8192;
    for length in (1..whole.len()).step_by(7) {
        let seen = read_bytes(&whole[..length]);
        let missing = whole.len() - length;
        match seen {
            Ok(seen) => {
                let text = &seen.soft_errors[0];
                assert!(text.contains(&format!("{missing} of its {} bytes", whole.len())));
                assert!(length > notes_to - 2_000, "{length}: the registers are not there");
            }
            Err(CoreError::Truncated { there, whole: promised, .. }) => {
                assert_eq!(there, length as u64);
                assert!(promised > there && promised <= whole.len() as u64);
            }
            Err(CoreError::NotACore(_)) => assert!(length < 20),
            Err(error) => panic!("{length}: {error}"),
        }
    }
    // Notes first: registers and place are told when no byte of memory is there.
    let seen = read_bytes(&whole[..notes_to]).unwrap();
    let crash = seen.crash.unwrap();
    assert!(crash.registers.known().is_some() && crash.instruction.is_empty());
}

#[test]
fn as_many_segments_as_do_not_fit_the_header() {
    let core = Builder { count_elsewhere: true, ..fault() };
    let (mut plain, mut elsewhere) = (read(&fault()).unwrap(), read(&core).unwrap());
    assert_eq!(plain.crash.take(), elsewhere.crash.take());
    assert!(elsewhere.soft_errors.is_empty());
}

/// A core of a process that had the C library mapped as this one has, and died in it.
fn in_library(path: &str) -> (Builder, u64) {
    let own = i32::try_from(std::process::id()).unwrap();
    let maps = procfs::maps(own).unwrap();
    let of_libc = || maps.iter().filter(|line| line.path.contains("/libc.so"));
    let mut core = fault();
    for line in of_libc().filter(|line| !line.permissions.contains('w')) {
        let flags = READ | if line.permissions.contains('x') { RUN } else { 0 };
        let mut bytes = std::fs::read(&line.path).unwrap();
        // Of a file the kernel keeps its head.
        bytes.truncate(if line.offset == 0 { 4096 } else { 0 });
        core.loads.push(Load { start: line.start, length: line.end - line.start, flags, bytes });
        core.files.push((line.start, line.end, line.offset / 4096, path.to_owned()));
    }
    let mut symbolizer = Symbolizer::default();
    let code = of_libc().find(|line| line.permissions.contains('x')).unwrap();
    let mut places = (code.start..code.end).step_by(64);
    let named = |pc: &u64| {
        symbolizer
            .locate(&maps, &mut LiveMemory::new(own), *pc)
            .is_ok_and(|location| location.function.is_some())
    };
    let pc = places.find(named).unwrap();
    core.threads[0].registers[RIP] = pc;
    core.auxiliary.push((9, pc));
    (core, pc)
}

fn library() -> String {
    let own = i32::try_from(std::process::id()).unwrap();
    let maps = procfs::maps(own).unwrap();
    maps.iter().find(|line| line.path.contains("/libc.so")).unwrap().path.clone()
}

#[test]
fn a_file_that_is_still_there_gives_names_and_bytes() {
    let (core, pc) = in_library(&library());
    let own = i32::try_from(std::process::id()).unwrap();
    let maps = procfs::maps(own).unwrap();
    let expected = Symbolizer::default().locate(&maps, &mut LiveMemory::new(own), pc).unwrap();
    let seen = read(&core).unwrap();
    assert!(seen.soft_errors.is_empty(), "{:?}", seen.soft_errors);
    let crash = seen.crash.unwrap();
    assert_eq!(crash.location.known(), Some(&expected));
    let mut code = [0; 16];
    hotfire_sys::read_memory(own, pc, &mut code).unwrap();
    assert_eq!(crash.instruction, code);
}

#[test]
fn memory_behind_the_program_is_its_heap() {
    let (mut core, _) = in_library(&library());
    let end = core.files.iter().map(|file| file.1).max().unwrap();
    let plain = |start, flags| Load { start, length: 4096, flags, bytes: Vec::new() };
    // What the program has of zeros, the heap, and what lies too far away.
    core.loads.push(plain(end, READ | WRITE));
    core.loads.push(plain(end + 0x40_0000, READ | WRITE));
    core.loads.push(plain(end + 0x60_0000, READ));
    core.threads[0].signal_info = Some((SIGSEGV, 1, end + 0x50_0000));
    let seen = read(&core).unwrap().crash.unwrap();
    let map = seen.address_map.known().unwrap();
    let (below, above) = (map.below.as_ref().unwrap(), map.above.as_ref().unwrap());
    assert_eq!((below.path.as_str(), below.permissions.as_str()), ("[heap]", "rw-p"));
    assert_eq!((above.path.as_str(), above.permissions.as_str()), ("", "r--p"));
    core.threads[0].signal_info = Some((SIGSEGV, 1, end));
    let seen = read(&core).unwrap().crash.unwrap();
    assert_eq!(seen.address_map.known().unwrap().inside.as_ref().unwrap().path, "");
}

#[test]
fn a_file_that_is_gone_or_another_gives_its_name_and_build_id_only() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("libgone.so").display().to_string();
    let (core, pc) = in_library(&path);
    let told = |core: &Builder| {
        let seen = read(core).unwrap();
        let location = seen.crash.unwrap().location.known().cloned().unwrap();
        (location, seen.soft_errors)
    };
    let (location, notes) = told(&core);
    assert!(notes[0].contains("the program is not here"), "{notes:?}");
    assert_eq!((location.pc, &location.module, &location.function), (pc, &path, &None));
    let expected = crate::symbolize::file_build_id(&library());
    assert_eq!((location.build_id, location.offset < 1 << 32), (expected.clone(), true));

    // Another build at its place: the tests' own program.
    std::fs::copy("/proc/self/exe", &path).unwrap();
    let (location, notes) = told(&core);
    assert!(notes[0].contains("is here as another build"), "{notes:?}");
    assert_eq!((location.function, location.build_id), (None, expected));
}

#[test]
fn the_program_that_the_user_gives_stands_in() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("gone").display().to_string();
    let (core, _) = in_library(&path);
    let (_core_folder, file) = core.write();
    let given = |program: &str| read_core(&file, Some(program.as_ref()));
    let copy = folder.path().join("copy").display().to_string();
    std::fs::copy(library(), &copy).unwrap();
    let seen = given(&copy).unwrap();
    let location = seen.crash.unwrap().location.known().cloned().unwrap();
    assert!(location.function.is_some() && location.module == path, "{location:?}");
    assert!(seen.soft_errors[0].contains("is not here"), "{:?}", seen.soft_errors);

    let seen = given("/proc/self/exe").unwrap();
    assert!(seen.soft_errors[0].contains("is not the program that died"));
    assert_eq!(seen.crash.unwrap().location.known().unwrap().function, None);
    for useless in ["/dev/null", "/proc/self/maps", "/no/such/file"] {
        assert!(matches!(given(useless), Err(CoreError::Program { .. })), "{useless}");
    }

    // Not needed: the one that the core names is there.
    std::fs::copy(library(), &path).unwrap();
    assert_eq!(given(&copy).unwrap().soft_errors, Vec::<String>::new());
}

#[test]
fn what_could_be_written_to_is_not_read_from_files() {
    let (mut core, pc) = in_library(&library());
    for load in &mut core.loads {
        if load.flags == READ | RUN {
            load.flags |= WRITE;
        }
    }
    let crash = read(&core).unwrap().crash.unwrap();
    assert_eq!(crash.registers.known().unwrap().rip, pc);
    assert!(crash.instruction.is_empty());
}

/// A signal frame in the stack, `below` bytes below its pointer, of a fault by this trap.
fn with_signal_frame(below: usize, trap: u64, error: u64, address: u64) -> Builder {
    let mut core = fault();
    let [rsp, rip] = [STACK + 0x800, CODE + 0x10];
    let frame = 0x800 - below;
    let context = [(15, rsp), (16, rip), (19, error), (20, trap), (22, address), (10, rsp)];
    for (number, word) in context {
        let place = frame + 40 + 8 * number;
        core.loads[0].bytes[place..place + 8].copy_from_slice(&word.to_le_bytes());
    }
    // Sent by the process to itself.
    core.threads[0].signal_info = Some((SIGSEGV, -6, 71));
    core
}

#[test]
fn a_fault_that_a_handler_let_through_is_the_cause() {
    let told = |core: &Builder| {
        let crash = read(core).unwrap().crash.unwrap();
        let info = crash.siginfo.known().cloned().unwrap();
        (crash.through_handler, info.signal, info.code, info.address)
    };
    let own = (false, SIGSEGV, -6, None);
    assert_eq!(told(&with_signal_frame(0x600, 14, 4, 0x18)), (true, SIGSEGV, 1, Some(0x18)));
    let execution = with_signal_frame(0x600, 14, 16, STACK);
    assert_eq!(told(&execution), (true, SIGSEGV, 2, Some(STACK)));
    assert_eq!(told(&with_signal_frame(0x600, 13, 0, 7)), (true, SIGSEGV, 128, Some(0)));
    // A division, or a page without backing, is not what SIGSEGV was sent for.
    assert_eq!(told(&with_signal_frame(0x600, 0, 0, 0)), own);
    assert_eq!(told(&with_signal_frame(0x600, 14, 4, STACK)), own);
    // Of another place, or not sent.
    let mut elsewhere = with_signal_frame(0x600, 14, 4, 0x18);
    elsewhere.threads[0].registers[RIP] += 2;
    assert_eq!(told(&elsewhere), own);
    let mut fresh = with_signal_frame(0x600, 14, 4, 0x18);
    fresh.threads[0].signal_info = Some((SIGSEGV, 1, 0x20));
    assert_eq!(told(&fresh), (false, SIGSEGV, 1, Some(0x20)));
}

#[test]
fn a_fault_whose_handler_is_at_work_is_the_cause() {
    // The trampoline stands in the code, and the thread in it: `mov $15,%rax; syscall`.
    let trampoline = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    let mut core = with_signal_frame(0x600, 14, 4, 0x18);
    core.loads[1].bytes[0x400..0x409].copy_from_slice(&trampoline);
    let first = &mut core.threads[0];
    (first.registers[RIP], first.registers[RSP]) = (CODE + 0x400, STACK + 0x200);
    (first.signal, first.signal_info) = (6, Some((SIGABRT, -6, 71)));
    let crash = read(&core).unwrap().crash.unwrap();
    // No note says that SIGSEGV is blocked: the handler may be that of another signal.
    assert!(!crash.through_handler);
    core.threads[0].blocked = 1 << (SIGSEGV - 1);
    let crash = read(&core).unwrap().crash.unwrap();
    assert!(crash.through_handler && crash.signal == SIGABRT);
    assert_eq!(crash.siginfo.known().unwrap().address, Some(0x18));
    let stack = crash.threads[0].stack.known().unwrap();
    let pcs: Vec<u64> = stack.frames.iter().map(|frame| frame.pc).collect();
    assert_eq!(pcs, [CODE + 0x10, CODE + 0x105, CODE + 0x205]);
}
