//! Names against `nm`, on programs of three languages: whole, stripped, and with their debug
//! information in a file of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use hotfire_sys::procfs::MapLine;
use hotfire_sys::{Deadline, file_identity, open_regular, thread_cpu_ns};
use tempfile::TempDir;

use super::Symbolizer;
use crate::observe::{FoundBy, Location};
use crate::unwind::{Frame, Memory};

const BIAS: u64 = 0x5555_0000_0000;

const C: &str = "
__attribute__((noinline)) static int inner(int n) { return n * 3 + 1; }
__attribute__((noinline)) int outer(int n) { return inner(n) + inner(n + 2); }
extern int also_outer(int) __attribute__((alias(\"outer\")));
extern int __outer(int) __attribute__((alias(\"outer\")));
static int chosen(int n) { return n; }
static int (*choose(void))(int) { return chosen; }
int by_machine(int) __attribute__((ifunc(\"choose\")));
asm(\".text\\n.globl bare\\nbare: nop; nop; nop; ret\\n.globl behind\\n.type behind,@function\\nbehind: nop; ret\\n.size behind, .-behind\\n nop; nop\\n\");
int main(int n, char **v) { (void)v; return outer(n) + by_machine(n); }
";
const CPP: &str = "
namespace engine { template <class T> struct Session { __attribute__((noinline)) T step(T n) { return n * 2; } }; }
namespace { __attribute__((noinline)) int hidden(int n) { return n + 7; } }
int main(int n, char **) { return engine::Session<long>().step(n) + hidden(n); }
";
const RUST: &str = "
mod engine { pub trait Step { fn step(&self, n: u64) -> u64; } pub struct Session; impl Step for Session {
#[inline(never)] fn step(&self, n: u64) -> u64 { n * 3 + 1 } } }
fn main() { use engine::Step; println!(\"{}\", engine::Session.step(std::env::args().count() as u64)); }
";

/// No memory: nothing needs it while the file is the mapped one.
pub(super) struct Nothing;

impl Memory for Nothing {
    fn read(&mut self, _: u64, _: &mut [u8]) -> usize {
        0
    }
}

pub(super) fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Builds a program in a folder; returns its path.
pub(super) fn build(folder: &Path, compiler: &str, source: &str, flags: &[&str]) -> PathBuf {
    let extension = match compiler {
        "cc" => "c",
        "c++" => "cc",
        _ => "rs",
    };
    let (text, program) = (folder.join(format!("program.{extension}")), folder.join("program"));
    std::fs::write(&text, source).unwrap();
    let paths = [text.to_str().unwrap(), "-o", program.to_str().unwrap()];
    run(compiler, &[&paths, flags].concat());
    program
}

/// Mappings of a file as they are when it runs.
fn maps(path: &Path) -> Vec<MapLine> {
    let path = path.display().to_string();
    let identity = file_identity(&open_regular(&path).unwrap()).unwrap();
    let headers = crate::unwind::Headers::of_file(&open_regular(&path).unwrap()).unwrap();
    let line = |segment: &crate::unwind::Segment| MapLine {
        start: BIAS + (segment.address & !0xfff),
        end: BIAS + (segment.address + segment.file_bytes).next_multiple_of(0x1000),
        permissions: if segment.executable { "r-xp" } else { "r--p" }.to_owned(),
        offset: segment.offset & !0xfff,
        device: identity.device,
        inode: identity.inode,
        path: path.clone(),
    };
    headers.segments.iter().map(line).collect()
}

fn frame(address: u64) -> Frame {
    Frame {
        pc: BIAS + address,
        sp: 0,
        found_by: FoundBy::Registers,
        exact: true,
        signal_trampoline: false,
        doubtful: false,
        function_start: None,
    }
}

pub(super) fn located(symbolizer: &mut Symbolizer, path: &Path, address: u64) -> Location {
    let mut places = symbolizer.locate_frames(&maps(path), &mut Nothing, &[frame(address)]);
    places.pop().unwrap().unwrap()
}

fn name(symbolizer: &mut Symbolizer, path: &Path, address: u64) -> Option<String> {
    located(symbolizer, path, address).function
}

/// The functions that `nm` tells, by address: their lengths and all their names.
fn told(path: &Path, flags: &[&str]) -> BTreeMap<u64, (u64, BTreeSet<String>)> {
    let text = run("nm", &[flags, &["-S", "--defined-only", path.to_str().unwrap()]].concat());
    let mut functions: BTreeMap<u64, (u64, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [address, length, kind, name] = words[..] else { continue };
        if !"tTwWi".contains(kind) {
            continue;
        }
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let function = functions.entry(number(address)).or_default();
        function.0 = function.0.max(number(length));
        function.1.insert(super::demangle::demangle(name));
    }
    functions
}

/// Asks for the first, a middle and the last byte of all functions, in one pass.
fn assert_agrees(path: &Path, flags: &[&str], functions_min: usize) {
    let functions = told(path, flags);
    assert!(functions.len() >= functions_min, "{}", functions.len());
    let (mut frames, mut names) = (Vec::new(), Vec::new());
    for (start, (length, aliases)) in &functions {
        for behind in [0, length / 2, length - 1] {
            frames.push(frame(start + behind));
            names.push(aliases);
        }
    }
    let mut symbolizer = Symbolizer::default();
    let places = symbolizer.locate_frames(&maps(path), &mut Nothing, &frames);
    assert_eq!(symbolizer.passes(), 1);
    let mut wrong = Vec::new();
    for ((place, frame), aliases) in places.into_iter().zip(&frames).zip(names) {
        let function = place.unwrap().function;
        if !function.as_ref().is_some_and(|name| aliases.contains(name)) {
            wrong.push(format!("{:#x}: {function:?}, not {aliases:?}", frame.pc - BIAS));
        }
    }
    // Where functions lie in one another, `nm` tells both and the inner one is ours.
    assert!(wrong.len() * 1_000 <= frames.len(), "{} of {}: {wrong:#?}", wrong.len(), frames.len());
    assert!(symbolizer.take_notes().is_empty());
}

#[test]
fn names_are_those_of_nm() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    assert_agrees(&build(&place("c"), "cc", C, &["-O1", "-g"]), &[], 6);
    assert_agrees(&build(&place("cpp"), "c++", CPP, &["-O1"]), &[], 4);
    assert_agrees(&build(&place("rust"), "rustc", RUST, &["-O"]), &[], 100);
    let v0 = ["-O", "-Csymbol-mangling-version=v0"];
    let v0 = build(&place("v0"), "rustc", RUST, &v0);
    assert_agrees(&v0, &[], 100);
    assert!(told(&v0, &[]).values().any(|(_, names)| {
        names.contains("<program::engine::Session as program::engine::Step>::step")
    }));
    let lines = hotfire_sys::procfs::maps(i32::try_from(std::process::id()).unwrap()).unwrap();
    let libc = lines.iter().find(|line| line.path.contains("/libc.so")).unwrap();
    assert_agrees(Path::new(&libc.path), &["-D"], 1_000);
}

/// Where a function begins, by its mangled name in `nm`.
fn address_of(path: &Path, name: &str) -> u64 {
    let text = run("nm", &["--defined-only", path.to_str().unwrap()]);
    let line = text.lines().find(|line| line.rsplit(' ').next() == Some(name)).unwrap();
    u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
}

#[test]
fn aliases_labels_and_gaps_have_the_names_that_people_use() {
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", C, &["-O1"]);
    let mut symbolizer = Symbolizer::default();
    let mut at = |place: u64| name(&mut symbolizer, &program, place);
    assert_eq!(at(address_of(&program, "outer")).as_deref(), Some("outer"));
    assert_eq!(at(address_of(&program, "by_machine")).as_deref(), Some("by_machine"));
    let (bare, behind) = (address_of(&program, "bare"), address_of(&program, "behind"));
    assert_eq!((bare + 4, at(bare + 3).as_deref()), (behind, Some("bare")));
    assert_eq!(at(behind + 1).as_deref(), Some("behind"));
    // A function with a length has ended there, and the label before it, too.
    assert_eq!(at(behind + 2), None);
    // The label has no length, but another function is known to begin behind it.
    let inside = Frame { function_start: Some(BIAS + bare + 1), ..frame(bare + 2) };
    let places = symbolizer.locate_frames(&maps(&program), &mut Nothing, &[inside]);
    let place = places[0].as_ref().unwrap();
    assert_eq!((&place.function, place.function_start), (&None, Some(bare + 1)));
    assert_eq!((place.pc, place.offset), (BIAS + bare + 2, bare + 2));
}

#[test]
fn a_return_address_belongs_to_the_function_that_called() {
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", C, &["-O1"]);
    // The first byte behind `bare`'s: it is `behind`'s unless a call returns there.
    let behind = address_of(&program, "behind");
    let returns = Frame { exact: false, found_by: FoundBy::UnwindInfo, ..frame(behind) };
    let places = Symbolizer::default().locate_frames(&maps(&program), &mut Nothing, &[returns]);
    let place = places[0].as_ref().unwrap();
    assert_eq!((place.function.as_deref(), place.offset), (Some("bare"), behind));
}

#[test]
fn names_of_a_build_are_looked_up_once_wherever_it_lies() {
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", C, &["-O1", "-Wl,--build-id"]);
    let outer = address_of(&program, "outer");
    let mut symbolizer = Symbolizer::default();
    assert_eq!(name(&mut symbolizer, &program, outer).as_deref(), Some("outer"));
    assert_eq!(name(&mut symbolizer, &program, outer).as_deref(), Some("outer"));
    let copy = folder.path().join("copy");
    std::fs::copy(&program, &copy).unwrap();
    let place = located(&mut symbolizer, &copy, outer);
    assert_eq!((place.function.as_deref(), symbolizer.passes()), (Some("outer"), 1));
    assert_eq!(place.module, copy.display().to_string());
    // The same build without its names is another matter.
    run("strip", &[copy.to_str().unwrap()]);
    assert_eq!(name(&mut symbolizer, &copy, outer), None);
    assert_eq!(name(&mut symbolizer, &program, outer).as_deref(), Some("outer"));
}

#[test]
fn a_stripped_program_is_named_by_its_debug_file() {
    let folder = TempDir::new().unwrap();
    for id in ["-Wl,--build-id", "-Wl,--build-id=none"] {
        let program = build(folder.path(), "cc", C, &["-O1", "-g", id]);
        let inner = address_of(&program, "inner");
        let (path, debug) = (program.to_str().unwrap(), folder.path().join("program.debug"));
        let (debug, root) = (debug.to_str().unwrap(), folder.path().join("root"));
        run("objcopy", &["--only-keep-debug", path, debug]);
        run("strip", &[path]);
        let named = || name(&mut Symbolizer::with_debug_folder(root.clone()), &program, inner);
        assert_eq!(named(), None, "nothing leads there");
        run("objcopy", &[&format!("--add-gnu-debuglink={debug}"), path]);
        assert_eq!(named().as_deref(), Some("inner"), "beside the program");
        let aside = folder.path().join(".debug");
        std::fs::create_dir_all(&aside).unwrap();
        std::fs::rename(debug, aside.join("program.debug")).unwrap();
        assert_eq!(named().as_deref(), Some("inner"), "in .debug");
        let below = root.join(folder.path().strip_prefix("/").unwrap());
        std::fs::create_dir_all(&below).unwrap();
        let there = below.join("program.debug");
        std::fs::rename(aside.join("program.debug"), &there).unwrap();
        assert_eq!(named().as_deref(), Some("inner"), "below the folder of debug files");
        let build_id = located(&mut Symbolizer::default(), &program, inner).build_id;
        assert_eq!(build_id.is_none(), id.ends_with("none"));
        if let Some(build_id) = build_id {
            let place = root.join(".build-id").join(&build_id[..2]);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::rename(&there, place.join(format!("{}.debug", &build_id[2..]))).unwrap();
            assert_eq!(named().as_deref(), Some("inner"), "by its build-id");
        } else {
            let mut bytes = std::fs::read(&there).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&there, bytes).unwrap();
            assert_eq!(named(), None, "another file by its checksum");
        }
    }
}

#[test]
fn a_debug_file_that_was_replaced_gives_no_names_and_one_elsewhere_does() {
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", C, &["-O1", "-g", "-Wl,--build-id"]);
    let (inner, outer) = (address_of(&program, "inner"), address_of(&program, "outer"));
    let (path, debug) = (program.to_str().unwrap(), folder.path().join("program.debug"));
    run("objcopy", &["--only-keep-debug", path, debug.to_str().unwrap()]);
    run("strip", &[path]);
    run("objcopy", &[&format!("--add-gnu-debuglink={}", debug.display()), path]);
    let mut symbolizer = Symbolizer::with_debug_folder(folder.path().join("root"));
    assert_eq!(name(&mut symbolizer, &program, inner).as_deref(), Some("inner"));
    // Another build's, of which the same bytes are something else.
    let own = std::fs::read(&debug).unwrap();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let source = format!("int more(int n) {{ return n; }}\n{C}");
    let another = build(&other, "cc", &source, &["-O1", "-g", "-Wl,--build-id"]);
    run("objcopy", &["--only-keep-debug", another.to_str().unwrap(), debug.to_str().unwrap()]);
    assert_eq!(name(&mut symbolizer, &program, outer), None);
    let aside = folder.path().join(".debug");
    std::fs::create_dir(&aside).unwrap();
    std::fs::write(aside.join("program.debug"), own).unwrap();
    let mut symbolizer = Symbolizer::with_debug_folder(folder.path().join("root"));
    assert_eq!(name(&mut symbolizer, &program, outer).as_deref(), Some("outer"));
}

/// The bytes of a file as they are mapped, at their addresses.
struct Loaded {
    bytes: Vec<u8>,
    maps: Vec<MapLine>,
}

impl Memory for &Loaded {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let Some(map) = self.maps.iter().find(|map| (map.start..map.end).contains(&address)) else {
            return 0;
        };
        let place = usize::try_from(map.offset + (address - map.start)).unwrap();
        let there = self.bytes.get(place..).unwrap_or_default();
        buffer.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
        buffer.len().min(there.len())
    }
}

#[test]
fn a_replaced_file_names_only_the_same_build() {
    let folder = TempDir::new().unwrap();
    let program = build(folder.path(), "cc", C, &["-O1", "-Wl,--build-id"]);
    let outer = address_of(&program, "outer");
    let path = program.display().to_string();
    let mut loaded = Loaded { bytes: std::fs::read(&program).unwrap(), maps: maps(&program) };
    let locate = |loaded: &Loaded| {
        let mut symbolizer = Symbolizer::default();
        let place = symbolizer.locate(&loaded.maps, &mut &*loaded, BIAS + outer).unwrap();
        (place, symbolizer.take_notes())
    };
    let (whole, notes) = locate(&loaded);
    assert_eq!((whole.function.as_deref(), notes), (Some("outer"), Vec::new()));
    // Installed again: another file, the same build.
    let aside = folder.path().join("aside");
    std::fs::copy(&program, &aside).unwrap();
    std::fs::rename(&aside, &program).unwrap();
    for map in &mut loaded.maps {
        map.path = format!("{path} (deleted)");
    }
    let (again, notes) = locate(&loaded);
    assert_eq!((again.function, notes), (whole.function.clone(), Vec::new()));
    // Another build at the same path.
    let other = C.replace("n * 3", "n * 5 - n / 3");
    build(folder.path(), "cc", &other, &["-O1", "-Wl,--build-id"]);
    let (replaced, notes) = locate(&loaded);
    assert_eq!((replaced.function, &replaced.build_id), (None, &whole.build_id));
    assert_eq!(
        (replaced.offset, &notes[..]),
        (outer, &[format!("{path} is another file than the one that is mapped")][..])
    );
    // Gone.
    std::fs::remove_file(&program).unwrap();
    let (gone, notes) = locate(&loaded);
    assert_eq!((gone.function, gone.build_id, gone.offset), (None, whole.build_id, outer));
    assert_eq!(notes, [format!("{path} cannot be read any more")]);
}

/// The bytes of a small program with a debug link, built once.
pub(super) fn small_program() -> &'static [u8] {
    static BYTES: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let folder = TempDir::new().unwrap();
        let program = build(folder.path(), "cc", C, &["-O1", "-Wl,--build-id"]);
        let path = program.to_str().unwrap();
        run("objcopy", &[&format!("--add-gnu-debuglink={path}"), path]);
        std::fs::read(program).unwrap()
    });
    &BYTES
}

/// A file that says that it has millions of symbols: they lie in a hole behind its end.
fn with_endless_symbols(folder: &Path) -> PathBuf {
    const SYMBOLS_BYTES: u64 = 24 * 12_000_000;
    let mut bytes = small_program().to_vec();
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (sections, end) = (word(&bytes, 40) as usize, bytes.len() as u64);
    let is_symbols = |at: &usize| bytes[*at + 4..*at + 8] == 2_u32.to_le_bytes();
    let symbols = (sections..bytes.len()).step_by(64).find(is_symbols).unwrap();
    bytes[symbols + 24..symbols + 32].copy_from_slice(&end.to_le_bytes());
    bytes[symbols + 32..symbols + 40].copy_from_slice(&SYMBOLS_BYTES.to_le_bytes());
    let path = folder.join("endless");
    std::fs::write(&path, &bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(end + SYMBOLS_BYTES).unwrap();
    path
}

#[test]
fn names_come_until_the_deadline_and_what_is_left_out_is_said() {
    let folder = TempDir::new().unwrap();
    let path = with_endless_symbols(folder.path());
    let map = whole_map(&path);
    let look = |deadline| {
        let mut symbolizer = Symbolizer::default();
        symbolizer.end_by(deadline);
        let begun_ns = thread_cpu_ns();
        let place = symbolizer.locate(std::slice::from_ref(&map), &mut Nothing, map.start + 8);
        (thread_cpu_ns() - begun_ns, place, symbolizer.take_notes())
    };
    let (whole_ns, place, notes) = look(Deadline::default());
    assert!(place.is_ok() && notes.is_empty(), "{notes:?}");
    let (cut_ns, place, notes) = look(Deadline::after(2_000_000));
    assert!(cut_ns < whole_ns / 2, "{cut_ns} of {whole_ns} ns");
    let cut = format!("{} was not looked through to its end: out of time", path.display());
    assert_eq!((place.map(|place| place.function), notes), (Ok(None), vec![cut]));
    let (_, place, notes) = look(Deadline::after(0));
    assert_eq!((place, notes), (Err("out of time".to_owned()), vec!["out of time".to_owned()]));
}

/// A file mapped from its begin, as far as anybody may ask.
pub(super) fn whole_map(path: &Path) -> MapLine {
    let path = path.display().to_string();
    let identity = file_identity(&open_regular(&path).unwrap()).unwrap();
    MapLine {
        start: BIAS,
        end: BIAS + 0x10_0000,
        permissions: "r-xp".to_owned(),
        offset: 0,
        device: identity.device,
        inode: identity.inode,
        path,
    }
}

/// What the pass over a big library costs: `cargo test --release -p hotfire-core -- --ignored
/// a_big_library --nocapture`, with its path in HOTFIRE_TEST_LIBRARY.
#[test]
#[ignore = "a measurement, of a library that is named from outside"]
fn a_big_library_is_named_in_milliseconds() {
    let library = PathBuf::from(std::env::var("HOTFIRE_TEST_LIBRARY").unwrap());
    let functions = told(&library, &["-D"]);
    let step = functions.len() / 270;
    let frames: Vec<Frame> =
        functions.keys().step_by(step.max(1)).map(|start| frame(start + 1)).collect();
    let maps = maps(&library);
    let mut symbolizer = Symbolizer::default();
    for round in ["first", "again", "one"] {
        let only = [frame(functions.keys().next().unwrap() + 2)];
        let frames = if round == "one" { &only[..] } else { &frames[..] };
        let begun = std::time::Instant::now();
        let places = symbolizer.locate_frames(&maps, &mut Nothing, frames);
        let took = begun.elapsed();
        let named = places.iter().flatten().filter(|place| place.function.is_some()).count();
        println!(
            "{round}: {} functions, {named} of {} places, {took:?}",
            functions.len(),
            frames.len()
        );
    }
}
