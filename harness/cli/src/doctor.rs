//! `hotfire doctor`: looks at the machine and says what can be seen here, on standard output.
//!
//! Deliberately absent: what is good and what is not (`doctor_checks.rs`).

use std::io::Write;
use std::path::{Path, PathBuf};

use hotfire_core::report::sanitize;
use hotfire_core::symbolize::file_build_id;
use hotfire_host::EngineError;
use hotfire_sys::machine::{
    cgroups, children_are_listed, facts, find_program, memory_files_can_be_sealed, tracing_works,
    writable,
};
use hotfire_sys::{Stop, own_executable, procfs, run_bounded};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::doctor_checks::{Check, Seen, State, checks, exit_status};
use crate::error::CliError;

/// The answer for machines; fields are only ever added.
const SCHEMA: &str = "hotfire-doctor/1";
/// Where distributions put debug files (the GDB manual, Debugging Information in Separate Files).
const DEBUG_FOLDER: &str = "/usr/lib/debug/.build-id";
/// The longest that an interpreter may take to tell its version.
const VERSION_NS: u64 = 3_000_000_000;
const TEXT_CHARS_MAX: usize = 300;

/// The answer of `--json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    schema: &'static str,
    verb: &'static str,
    exit_code: u8,
    checks: &'a [Check],
}

/// Looks, judges, and prints a line for each check, with the fix where there is one.
pub(crate) fn doctor(args: &DoctorArgs, out: &mut dyn Write) -> Result<u8, CliError> {
    hotfire_sys::close_rest_on_exec()?;
    let checks = checks(&look()?);
    let status = exit_status(&checks);
    let text = if args.json {
        let answer = Answer { schema: SCHEMA, verb: "doctor", exit_code: status, checks: &checks };
        let failed =
            |error: serde_json::Error| CliError::Write { path: "-".into(), error: error.into() };
        serde_json::to_string_pretty(&answer).map_err(failed)? + "\n"
    } else {
        render(&checks, status)
    };
    // A reader that has gone has seen enough.
    let _ = out.write_all(text.as_bytes());
    Ok(status)
}

fn look() -> Result<Seen, CliError> {
    let path = std::env::var("PATH").unwrap_or_default();
    let temporary = std::env::temp_dir();
    let tried = writable(&temporary);
    let own = own_executable()?.to_string_lossy().into_owned();
    Ok(Seen {
        facts: facts(),
        tracing: tracing_works(&[&own, "__launch", "3"]),
        children: children_are_listed(),
        sealing: memory_files_can_be_sealed(),
        temporary: (temporary, tried),
        shared_memory: writable(Path::new("/dev/shm")),
        cgroups: cgroups(),
        shell: find_program("sh", &path),
        gdb: find_program("gdb", &path),
        python: find_program("python3", &path).and_then(|program| version_of(program, &path)),
        debug_file: debug_file(),
        llama: hotfire_llama::folder().map_err(|error| match error {
            EngineError::Missing { what, .. } => what,
            other => other.to_string(),
        }),
    })
}

/// A program that cannot tell its version is none.
fn version_of(program: PathBuf, path: &str) -> Option<(PathBuf, String)> {
    let arguments = [program.to_string_lossy().into_owned(), "--version".to_owned()];
    let environment = [format!("PATH={path}"), "LANG=C.UTF-8".to_owned()];
    let run = run_bounded(arguments.first()?, &arguments, &environment, VERSION_NS).ok()?;
    let line = run.output.lines().next()?.to_owned();
    (run.stop == Some(Stop::Exited(0))).then_some((program, line))
}

/// The C library that this program uses, and the file with its debug information.
fn debug_file() -> Option<(PathBuf, Result<PathBuf, PathBuf>)> {
    let maps = procfs::maps(i32::try_from(std::process::id()).ok()?).ok()?;
    let is_libc = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.starts_with("libc.so") || name.starts_with("libc-")
    };
    let libc = maps.iter().map(|map| map.path.as_str()).find(is_libc)?;
    let id = file_build_id(libc)?;
    let (folder, name) = id.split_at_checked(2)?;
    let file = Path::new(DEBUG_FOLDER).join(folder).join(format!("{name}.debug"));
    Some((PathBuf::from(libc), if file.is_file() { Ok(file) } else { Err(file) }))
}

fn render(checks: &[Check], status: u8) -> String {
    let mut text = String::new();
    for check in checks {
        let word = match check.state {
            State::Ok => "OK",
            State::Limited => "limited",
            State::Missing => "missing",
        };
        let seen = sanitize(&check.text, TEXT_CHARS_MAX);
        text.push_str(&format!("{word:8} {:17} {seen}\n", check.name));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("{:26} fix: {}\n", "", sanitize(fix, TEXT_CHARS_MAX)));
        }
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let sum = match status {
        0 => "all that hotfire needs is here".to_owned(),
        _ => {
            let lacking = checks.iter().filter(|it| it.required && it.state == State::Missing);
            let names: Vec<&str> = lacking.map(|check| check.name).collect();
            format!("hotfire cannot do without: {}", names.join(", "))
        }
    };
    text.push_str(&format!(
        "\n{} OK, {} limited, {} missing; {sum}\n",
        count(State::Ok),
        count(State::Limited),
        count(State::Missing)
    ));
    text
}
