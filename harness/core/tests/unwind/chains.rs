//! Where gdb has no answer: each stack is the chain that the fixture is written to have.

use std::path::Path;

use hotfire_core::observe::FoundBy;
use hotfire_core::unwind::{Frame, Stack, Unwinder};
use hotfire_sys::procfs::{self, MapLine};
use libtest_mimic::Trial;
use object::{Object, ObjectSymbol, SymbolKind};

use crate::fixture::{C, Program, Variant};
use crate::stopped::Stopped;
use crate::trial;

/// A mode, its functions from the innermost on, and how the first caller is found that unwind
/// information does not tell. `-`: code that no file holds.
type Chain = (&'static str, &'static [&'static str], FoundBy);

const CHAINS: &[Chain] = &[
    ("asm-leaf", &["asm_leaf", "call_asm_leaf", "crash", "main"], FoundBy::Scan),
    ("asm-pushing", &["asm_pushing", "call_asm_pushing", "crash", "main"], FoundBy::Scan),
    (
        "asm-calling",
        &["store_badly", "asm_calling", "call_asm_calling", "crash", "main"],
        FoundBy::Scan,
    ),
    (
        "asm-with-pointer",
        &["store_badly", "asm_with_pointer", "call_asm_with_pointer", "crash", "main"],
        FoundBy::FramePointer,
    ),
    (
        "asm-called-ambiguously",
        &["store_badly", "asm_with_pointer", "call_ambiguously", "crash", "main"],
        FoundBy::FramePointer,
    ),
    (
        "generated",
        &["-", "call_bad_function", "run_code", "run_generated", "crash", "main"],
        FoundBy::Scan,
    ),
    (
        "generated-by-pointer",
        &[
            "-",
            "call_bad_function",
            "run_code_by_pointer",
            "run_generated_by_pointer",
            "crash",
            "main",
        ],
        FoundBy::Scan,
    ),
    (
        "generated-with-pointer",
        &["store_badly", "-", "call_bad_function", "run_code", "run_generated", "crash", "main"],
        FoundBy::FramePointer,
    ),
    (
        "zombie-leader",
        &["store_badly", "plain", "plain", "plain", "crash_here"],
        FoundBy::UnwindInfo,
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let of = |variant: &Variant| {
        let variant = *variant;
        trial(format!("finds-the-written-chain-{}", variant.name), move || finds(variant))
    };
    C.iter().map(of).collect()
}

fn finds(variant: Variant) {
    let program = Program::compile(variant);
    let names = Names::read(&program.path());
    let mut unwinder = Unwinder::default();
    let mut wrong = Vec::new();
    for (mode, chain, found_by) in CHAINS {
        let stopped = Stopped::crash(&program.path(), mode, 8_192);
        let lines = procfs::maps(stopped.crashed).unwrap();
        let stacks = stopped.unwind(&mut unwinder);
        let (_, stack) = stacks.iter().find(|(tid, _)| *tid == stopped.crashed).unwrap();
        let found: Vec<String> = stack.frames.iter().map(|frame| names.of(&lines, frame)).collect();
        let guessed = stack
            .frames
            .iter()
            .map(|frame| frame.found_by)
            .find(|by| !matches!(by, FoundBy::Registers | FoundBy::UnwindInfo));
        let expected = (*found_by != FoundBy::UnwindInfo).then_some(*found_by);
        if !found.starts_with(&chain.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            || guessed != expected
            || !doubt_is_told(stack)
        {
            wrong.push(format!("{mode}: {found:?}, guessed {guessed:?}, ended {:?}", stack.end));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All frames from the first that a search found on are doubtful, and no others.
fn doubt_is_told(stack: &Stack) -> bool {
    let mut searched = false;
    stack.frames.iter().all(|frame| {
        searched |= frame.found_by == FoundBy::Scan;
        frame.doubtful == searched
    })
}

/// The program's own functions.
struct Names {
    functions: Vec<(u64, u64, String)>,
    base: u64,
    path: String,
}

impl Names {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let file = object::File::parse(&bytes[..]).unwrap();
        let functions = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
            .map(|symbol| (symbol.address(), symbol.size(), symbol.name().unwrap().to_owned()))
            .collect();
        // A program with a fixed place is linked for it.
        let base = if file.kind() == object::ObjectKind::Executable { 0 } else { 1 };
        Self { functions, base, path: path.display().to_string() }
    }

    fn of(&self, lines: &[MapLine], frame: &Frame) -> String {
        let address = frame.lookup_address();
        let line = lines.iter().find(|line| (line.start..line.end).contains(&address));
        match line {
            Some(line) if line.path == self.path => {
                let first = lines.iter().find(|line| line.path == self.path).unwrap();
                let linked = address - first.start * self.base;
                let covers = |(start, size, _): &&(u64, u64, String)| {
                    (*start..start + size).contains(&linked)
                };
                self.functions.iter().find(covers).map_or("?", |(.., name)| name).to_owned()
            }
            Some(line) if line.inode == 0 => "-".into(),
            _ => "?".into(),
        }
    }
}
