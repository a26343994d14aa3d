//! Lines against what the compiler was given, and helpers that fail.

use std::collections::BTreeSet;
use std::path::Path;

use hotfire_sys::{file_identity, open_regular};
use tempfile::TempDir;

use super::debug_file::DebugFolder;
use super::dwarf::{DebugInformation, Source};
use super::line_helper::Build;
use super::mapped::file_state;
use super::tests::{build, located, run};
use super::{LineReader, Symbolizer, file_build_id};
use crate::observe::{
    Fact, FoundBy, FrameRecord, Location, Observation, SourceRecord, StackRecord, Stall,
    StallReason, Thread, Wait, bare_observation,
};

const INLINED: &str = "
static inline __attribute__((always_inline)) void poke(volatile int *p) {
    *p = 1;
}
__attribute__((noinline)) void step(volatile int *p) {
    poke(p);
}
int main(void) { int n; step(&n); return 0; }
";

fn source_of(path: &str, build: &Build, addresses: &[u64], folder: &DebugFolder) -> Source {
    let read = DebugInformation::read(path, build, folder)?;
    Ok(read.map(|read| read.sources(addresses)))
}

/// What is told of the first instruction that writes in `step`.
fn poked(program: &Path, root: &Path) -> Source {
    let address = address_of_poke(program);
    let build = Build::Id(file_build_id(program.to_str().unwrap()).unwrap());
    let folder = DebugFolder::new(root.to_path_buf());
    source_of(program.to_str().unwrap(), &build, &[address], &folder)
}

/// By the machine code: `movl $1,(%rdi)`, which stripping does not change.
fn address_of_poke(program: &Path) -> u64 {
    let text = run("objdump", &["-d", "--no-show-raw-insn", program.to_str().unwrap()]);
    let line = text.lines().find(|line| line.ends_with("movl   $0x1,(%rdi)")).unwrap();
    u64::from_str_radix(line.trim().split(':').next().unwrap(), 16).unwrap()
}

fn told_lines(source: Source) -> Vec<String> {
    let records = source.unwrap().unwrap().remove(0);
    let line = |record: &SourceRecord| {
        let file = record.file.as_ref().map_or("?", |file| file.rsplit('/').next().unwrap());
        let function = record.function.as_deref().unwrap_or("?");
        format!("{function} {file}:{} {}", record.line.unwrap_or(0), record.inlined)
    };
    records.iter().map(line).collect()
}

#[test]
fn lines_and_inlined_functions_come_from_the_program_or_its_debug_file() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("root");
    let expected = ["poke program.c:3 true", "step program.c:6 false"];
    for more in ["-gdwarf-5", "-gdwarf-4", "-gz=zlib"] {
        let flags = ["-O1", "-g", "-Wl,--build-id", more];
        let program = build(folder.path(), "cc", INLINED, &flags);
        assert_eq!(told_lines(poked(&program, &root)), expected, "{more}");
        let (path, debug) = (program.to_str().unwrap(), folder.path().join("program.debug"));
        run("objcopy", &["--only-keep-debug", path, debug.to_str().unwrap()]);
        run("strip", &[path]);
        assert_eq!(poked(&program, &root), Ok(None), "{more}");
        run("objcopy", &[&format!("--add-gnu-debuglink={}", debug.display()), path]);
        assert_eq!(told_lines(poked(&program, &root)), expected, "{more}");
    }
    let program = build(folder.path(), "cc", INLINED, &["-O1", "-g"]);
    let path = program.to_str().unwrap();
    let source = |build| source_of(path, &build, &[1], &Default::default());
    let another = Err("is another build by now".to_owned());
    assert_eq!(source(Build::Id("00".to_owned())), another);
    assert_eq!(source(state(&program)), another, "it has a build-id, so that its state is not it");
    // Nothing is there: no line, and no failure.
    assert_eq!(source(Build::Id(file_build_id(path).unwrap())), Ok(Some(vec![Vec::new()])));
}

fn state(program: &Path) -> Build {
    let file = open_regular(program.to_str().unwrap()).unwrap();
    Build::File(file_state(&file_identity(&file).unwrap()).unwrap())
}

#[test]
fn without_a_build_id_only_the_very_file_that_ran_gives_lines() {
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", INLINED, &["-O1", "-g", "-Wl,--build-id=none"]);
    let (path, address) = (program.to_str().unwrap(), address_of_poke(&program));
    let Location { build_id, file, .. } = located(&mut Symbolizer::default(), &program, address);
    let (None, Some(file)) = (build_id, file) else { unreachable!() };
    let build = Build::File(file);
    assert_eq!(build, state(&program));
    let source = || source_of(path, &build, &[address], &Default::default());
    assert_eq!(told_lines(source()), ["poke program.c:3 true", "step program.c:6 false"]);
    // Another build at the same path, which nothing but the file itself tells from the first.
    let bytes = std::fs::read(&program).unwrap();
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, [bytes, vec![0]].concat()).unwrap();
    assert_eq!(source(), Err("is another build by now".to_owned()));
    // A place of which neither is known has no lines.
    let mut unknown = observed(&program, address);
    let stack = unknown.stall.as_mut().unwrap().threads[0].stack.known().cloned().unwrap();
    let mut frame = stack.frames[0].clone();
    if let Fact::Known(location) = &mut frame.location {
        location.file = None;
    }
    let frames = vec![frame];
    unknown.stall.as_mut().unwrap().threads[0].stack = Fact::Known(StackRecord { frames, ..stack });
    // Nobody is asked: this helper cannot be started.
    let mut reader = LineReader::new("/no/such/program".to_owned());
    assert!(reader.add_lines(&mut unknown).is_empty());
}

#[test]
fn debug_information_that_lies_ends() {
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", INLINED, &["-O1", "-g", "-Wl,--build-id=none"]);
    let (whole, address) = (std::fs::read(&program).unwrap(), address_of_poke(&program));
    let sections = crate::unwind::Sections::read(&mut crate::unwind::WholeFile(
        &open_regular(program.to_str().unwrap()).unwrap(),
    ));
    let sections = sections.unwrap();
    let names: [&[u8]; 5] =
        [b".debug_info", b".debug_abbrev", b".debug_line", b".debug_str", b".debug_line_str"];
    let mut random = 1_u64;
    let mut next = |limit: u64| {
        // Xorshift; the same each time.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % limit
    };
    let begun = std::time::Instant::now();
    let mut answers = BTreeSet::new();
    for _ in 0..1_500 {
        let mut bytes = whole.clone();
        for _ in 0..=next(4) {
            let section = sections.named(names[next(5) as usize]).unwrap();
            bytes[(section.offset + next(section.bytes)) as usize] = next(256) as u8;
        }
        std::fs::write(&program, bytes).unwrap();
        let path = program.to_str().unwrap();
        let source = source_of(path, &state(&program), &[address], &Default::default());
        answers.insert(format!("{source:?}"));
    }
    assert!(answers.len() > 20, "{}", answers.len());
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// A crash whose innermost frame is at an address of a program.
fn observed(program: &Path, address: u64) -> Observation {
    let location = located(&mut Symbolizer::default(), program, address);
    let frame = FrameRecord {
        pc: location.pc,
        found_by: FoundBy::Registers,
        doubtful: false,
        signal_trampoline: false,
        location: Fact::Known(location),
        source: Vec::new(),
        python: Vec::new(),
    };
    let (omitted, cycle, end) = (None, None, String::new());
    let stack = StackRecord {
        frames: vec![frame],
        omitted,
        cycle,
        saved: Vec::new(),
        extent: None,
        end,
        python: None,
    };
    let (name, wait) = (String::new(), Wait::None);
    let (stack, progress) = (Fact::Known(stack), Fact::Unavailable(String::new()));
    let thread = Thread { pid: 1, tid: 1, name, state: 'R', wait, stack, progress };
    let (reason, processes) = (StallReason::RunLimit, Vec::new());
    let stall = Stall { reason, quiet_us: 0, threads: vec![thread], processes };
    Observation { stall: Some(stall), ..bare_observation() }
}

#[test]
fn a_helper_that_fails_is_told_of_and_not_asked_again() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", INLINED, &["-O1", "-g"]);
    let address = address_of_poke(&program);
    let helper = folder.path().join("helper");
    for (script, reason) in [
        ("exit 3", "the helper process ended with status 3"),
        ("kill -ABRT $$", "the helper process died by SIGABRT"),
        ("exec sleep 60", "the helper process took too long"),
    ] {
        std::fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
        let mut reader = LineReader::new(helper.display().to_string());
        if script.starts_with("exec") {
            reader.limit_ns = 200_000_000;
        }
        let mut observation = observed(&program, address);
        let before = observation.clone();
        let failures = reader.add_lines(&mut observation);
        assert_eq!(failures, [format!("{reason}, at {}", program.display())]);
        assert_eq!(observation, before);
        assert!(reader.add_lines(&mut observation).is_empty());
    }
    let mut reader = LineReader::new("/no/such/program".to_owned());
    let failures = reader.add_lines(&mut observed(&program, address));
    assert!(failures[0].starts_with("the helper process cannot be started: "), "{failures:?}");
}
