//! Compiles the programs that crash, each into a folder of its own that goes with the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How the programs are compiled: language, optimisation, frame pointers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    compiler: &'static str,
    source: &'static str,
    flags: &'static [&'static str],
}

const GCC: [&str; 2] = ["gcc", "fixture.c"];
const GXX: [&str; 2] = ["g++", "fixture.cc"];
const RUSTC: [&str; 2] = ["rustc", "fixture.rs"];

const fn variant(
    name: &'static str,
    [compiler, source]: [&'static str; 2],
    flags: &'static [&'static str],
) -> Variant {
    Variant { name, compiler, source, flags }
}

pub(crate) const C: [Variant; 5] = [
    variant("c-O0", GCC, &["-O0", "-g", "-pthread"]),
    variant("c-O0-no-pointer", GCC, &["-O0", "-fomit-frame-pointer", "-pthread"]),
    variant("c-O2", GCC, &["-O2", "-g", "-fno-optimize-sibling-calls", "-pthread"]),
    variant(
        "c-O2-pointer",
        GCC,
        &["-O2", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-pthread"],
    ),
    variant("c-O2-no-table", GCC, &["-O2", "-static", "-Wl,--no-eh-frame-hdr", "-pthread"]),
];
pub(crate) const CXX: [Variant; 4] = [
    variant("cxx-O0", GXX, &["-O0", "-g"]),
    variant("cxx-O0-no-pointer", GXX, &["-O0", "-fomit-frame-pointer"]),
    variant("cxx-O2", GXX, &["-O2", "-g"]),
    variant("cxx-O2-pointer", GXX, &["-O2", "-fno-omit-frame-pointer"]),
];
pub(crate) const RUST: [Variant; 4] = [
    variant("rust-O0", RUSTC, &["--edition=2024", "-Copt-level=0", "-g"]),
    variant(
        "rust-O0-pointer",
        RUSTC,
        &["--edition=2024", "-Copt-level=0", "-Cforce-frame-pointers=yes"],
    ),
    variant("rust-O2", RUSTC, &["--edition=2024", "-Copt-level=2", "-g"]),
    variant(
        "rust-O2-pointer",
        RUSTC,
        &["--edition=2024", "-Copt-level=2", "-Cforce-frame-pointers=yes"],
    ),
];
/// Crashes in a library that lies beside it.
pub(crate) const BIG_LIBRARY: Variant = variant(
    "c-big-library",
    ["gcc", "../../../../../scripts/big-library.c"],
    &["-O2", "-ldl", "-Wl,-rpath,$ORIGIN"],
);

/// A compiled program, until it is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    folder: TempDir,
}

impl Program {
    pub(crate) fn compile(variant: Variant) -> Self {
        let folder = TempDir::new().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/unwind/programs")
            .join(variant.source);
        let done = Command::new(variant.compiler)
            .arg(source)
            .args(variant.flags)
            .arg("-o")
            .arg(folder.path().join("program"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("program")
    }
}
