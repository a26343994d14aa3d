//! Compiles the C++ engine and its bridge.
//!
//! The optimisation level is fixed: a defect's rate must not hang on cargo's profile. Sanitizer
//! flags come in through `CXXFLAGS`, which the `cc` crate honours.

use std::path::PathBuf;
use std::process::Command;

const SOURCES: &[&str] = &[
    "cpp/arena.cc",
    "cpp/bridge.cc",
    "cpp/device.cc",
    "cpp/engine.cc",
    "cpp/exit_hook.cc",
    "cpp/exports.cc",
    "cpp/gate.cc",
    "cpp/ledger.cc",
    "cpp/model.cc",
    "cpp/network.cc",
    "cpp/periodic.cc",
    "cpp/pool.cc",
    "cpp/prefetcher.cc",
    "cpp/session.cc",
    "cpp/turnstile.cc",
    "cpp/worker_process.cc",
];

fn main() {
    link_standard_library_statically();
    cxx_build::bridge("src/bridge.rs")
        .files(SOURCES)
        .std("c++17")
        .opt_level(2)
        .debug(false)
        .flag("-g1")
        .warnings(true)
        .extra_warnings(true)
        .compile("hotfire_reference");
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-changed=src/bridge.rs");
    println!("cargo::rustc-link-lib=pthread");
}

/// Prefers libstdc++.a where the compiler has one: binding the shared one costs every start of the
/// program, and every forked child copies its pages. The shared one is used where there is none,
/// and under a sanitizer, which must see its calls.
fn link_standard_library_statically() {
    println!("cargo::rerun-if-env-changed=CXXFLAGS");
    if std::env::var("CXXFLAGS").is_ok_and(|flags| flags.contains("-fsanitize")) {
        return;
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let asked = Command::new(compiler).arg("-print-file-name=libstdc++.a").output();
    let archive = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let Some(archive) = archive.ok().map(PathBuf::from).filter(|path| path.is_absolute()) else {
        return;
    };
    // A folder of its own: beside the archive stands the shared library, which would win.
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("static");
    let link = folder.join("libstdc++.a");
    let made = std::fs::create_dir_all(&folder).is_ok()
        && (link.exists() || std::os::unix::fs::symlink(&archive, &link).is_ok());
    if made {
        println!("cargo::rustc-link-search=native={}", folder.display());
    }
}
