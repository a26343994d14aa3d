//! Compiles the C++ engine and its bridge.
//!
//! The optimisation level is fixed: a defect's rate must not hang on cargo's profile. Sanitizer
//! flags come in through `CXXFLAGS`, which the `cc` crate honours.

const SOURCES: &[&str] = &[
    "cpp/arena.cc",
    "cpp/bridge.cc",
    "cpp/device.cc",
    "cpp/engine.cc",
    "cpp/exit_hook.cc",
    "cpp/gate.cc",
    "cpp/ledger.cc",
    "cpp/model.cc",
    "cpp/network.cc",
    "cpp/pool.cc",
    "cpp/session.cc",
    "cpp/worker_process.cc",
];

fn main() {
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
