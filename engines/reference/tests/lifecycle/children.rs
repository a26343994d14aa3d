//! Runs the `lifecycle` example in child processes and says how they ended.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Set in every child to this process's id, and inherited by what the child leaves behind.
pub(crate) const MARK: &str = "LIFECYCLE_TEST_PID";

/// A built example of this crate.
pub(crate) fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
    path
}

/// A lifecycle that has run.
pub(crate) struct Ended {
    pub(crate) signal: Option<i32>,
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
    /// What went to standard error.
    pub(crate) complaint: String,
}

/// Runs one lifecycle; no longer than 20 seconds (then `code` is 137).
pub(crate) fn run(steps: &[&str]) -> Ended {
    let output: Output = Command::new("timeout")
        .args(["--foreground", "-s", "KILL", "20"])
        .arg(example("lifecycle"))
        .args(steps)
        .env(MARK, std::process::id().to_string())
        .output()
        .unwrap();
    // `timeout` passes a signal on as 128 + its number.
    let code = output.status.code();
    let signal = output.status.signal().or(code.filter(|code| *code > 128).map(|code| code - 128));
    Ended {
        signal,
        code,
        text: String::from_utf8(output.stdout).unwrap(),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// How many of `times` runs die of SIGSEGV.
pub(crate) fn crashes(times: usize, steps: &[&str]) -> usize {
    deaths(times, libc::SIGSEGV, steps)
}

/// How many of `times` runs die of `signal`.
pub(crate) fn deaths(times: usize, signal: i32, steps: &[&str]) -> usize {
    (0..times).filter(|_| run(steps).signal == Some(signal)).count()
}

/// Runs one lifecycle that must end well.
pub(crate) fn silent(steps: &[&str]) -> String {
    let ended = run(steps);
    assert_eq!(ended.code, Some(0), "{steps:?} ended with {:?}:\n{}", ended.signal, ended.text);
    assert!(!ended.text.contains("TORN"), "{}", ended.text);
    ended.text
}
