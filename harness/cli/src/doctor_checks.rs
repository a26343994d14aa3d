//! What `hotfire doctor` makes of what was seen: each fact judged, with the fix. Pure, so that it
//! is tested from facts of machines that are not this one.
//!
//! Deliberately absent: looking at the machine (`doctor.rs`, hotfire-sys).

use std::path::PathBuf;

use hotfire_llama::FOLDER_VARIABLE;
use hotfire_sys::SysError;
use hotfire_sys::machine::{Cgroups, Facts};
use serde::Serialize;

use crate::error::status;

/// The oldest kernel that has all that is used: major and minor version.
const KERNEL_MIN: (u32, u32) = (4, 14);
/// Fewer mappings than the kernel's default are too few for engines with many libraries.
const MAPPINGS_MIN: u64 = 65_530;
/// A worker, its pipes, its child and an engine's files.
const DESCRIPTORS_MIN: u64 = 256;
/// The process may not do this (EPERM, EACCES), or the thing is not there.
type Tried = Result<(), SysError>;

/// All that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) facts: Facts,
    /// A child was traced and its memory read.
    pub(crate) tracing: Tried,
    pub(crate) children: Tried,
    pub(crate) sealing: Tried,
    /// The folder for temporary files.
    pub(crate) temporary: (PathBuf, Tried),
    pub(crate) shared_memory: Tried,
    pub(crate) cgroups: Result<Cgroups, SysError>,
    pub(crate) shell: Option<PathBuf>,
    pub(crate) gdb: Option<PathBuf>,
    /// The interpreter with what it says of its version.
    pub(crate) python: Option<(PathBuf, String)>,
    /// The C library with the file of its debug information, or where that would lie.
    pub(crate) debug_file: Option<(PathBuf, Result<PathBuf, PathBuf>)>,
    /// Where llama.cpp's libraries lie, or why they are not found.
    pub(crate) llama: Result<PathBuf, String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// All is well.
    Ok,
    /// It works in part.
    Limited,
    /// It is not here.
    Missing,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// Whether runs need it: then `missing` decides the exit status.
    pub(crate) required: bool,
    /// What was seen, and what follows.
    pub(crate) text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

/// The check whose failure means that runs are blind; all other required ones are set-up.
const TRACING: &str = "tracing";

impl Check {
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Self {
        Self { name, state, required: false, text: text.into(), fix: None }
    }

    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, State::Ok, text)
    }

    fn limited(name: &'static str, text: impl Into<String>, fix: &str) -> Self {
        Self::new(name, State::Limited, text).with_fix(fix)
    }

    fn missing(name: &'static str, text: impl Into<String>, fix: &str) -> Self {
        Self::new(name, State::Missing, text).with_fix(fix)
    }

    fn with_fix(self, fix: &str) -> Self {
        Self { fix: (!fix.is_empty()).then(|| fix.to_owned()), ..self }
    }

    fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// The exit status: 97 where runs could not be observed, 96 where something else that they need
/// is missing, which comes first.
pub(crate) fn exit_status(checks: &[Check]) -> u8 {
    let lacks = |tracing: bool| {
        checks.iter().any(|check| {
            check.required && check.state == State::Missing && (check.name == TRACING) == tracing
        })
    };
    match (lacks(false), lacks(true)) {
        (true, _) => status::SET_UP,
        (false, true) => status::BLIND,
        (false, false) => 0,
    }
}

/// Judges all that was seen, what runs need first.
pub(crate) fn checks(seen: &Seen) -> Vec<Check> {
    let facts = &seen.facts;
    vec![
        kernel(&facts.release),
        tracing(seen),
        ptrace_scope(facts),
        seccomp(seen),
        user(facts),
        sealing(&seen.sealing),
        temporary(&seen.temporary),
        children(&seen.children),
        shared_memory(&seen.shared_memory),
        descriptors(&facts.descriptors),
        mappings(&facts.mappings_max),
        huge_pages(&facts.huge_pages),
        core_files(&facts.core_pattern),
        cgroups(&seen.cgroups),
        shell(seen.shell.as_ref()),
        gdb(seen.gdb.as_ref()),
        debug_files(seen.debug_file.as_ref()),
        python(seen.python.as_ref()),
        Check::ok("engine reference", "built in"),
        llama(&seen.llama),
    ]
}

fn unseen(name: &'static str, error: &SysError) -> Check {
    Check::new(name, State::Limited, format!("cannot be seen: {error}"))
}

fn kernel(release: &Result<String, SysError>) -> Check {
    let release = match release {
        Ok(release) => release,
        Err(error) => return unseen("kernel", error),
    };
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit()).map(str::parse::<u32>);
    let version = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => return Check::limited("kernel", format!("Linux {release}: no known version"), ""),
    };
    if version >= KERNEL_MIN {
        return Check::ok("kernel", format!("Linux {release}")).required();
    }
    let (major, minor) = KERNEL_MIN;
    let fix = format!("run on Linux {major}.{minor} or newer");
    Check::missing("kernel", format!("Linux {release} is too old"), &fix).required()
}

/// The one that counts: it was tried.
fn tracing(seen: &Seen) -> Check {
    let Err(error) = &seen.tracing else {
        return Check::ok(TRACING, "a child was traced and its memory was read").required();
    };
    let scope = seen.facts.ptrace_scope.as_ref().copied().unwrap_or(0);
    let filtered = seen.facts.rights.as_ref().is_ok_and(|rights| rights.seccomp == 2);
    let fix = if scope >= 2 {
        "sudo sysctl kernel.yama.ptrace_scope=1 (3 stays until a reboot); until then --trace off"
    } else if filtered {
        "in a container: docker run --cap-add=SYS_PTRACE --security-opt seccomp=unconfined; \
         until then --trace off"
    } else {
        "allow ptrace to this user (CAP_SYS_PTRACE); until then --trace off sees exit statuses alone"
    };
    Check::missing(TRACING, format!("a child could not be traced: {error}"), fix).required()
}

fn ptrace_scope(facts: &Facts) -> Check {
    const NAME: &str = "ptrace scope";
    let may_all = facts.rights.as_ref().is_ok_and(hotfire_sys::machine::Rights::may_trace_all);
    let scope = match &facts.ptrace_scope {
        Ok(scope) => *scope,
        Err(error) if error.errno as i32 == NOT_THERE => {
            return Check::ok(NAME, "no Yama here: processes of this user can be traced");
        }
        Err(error) => return unseen(NAME, error),
    };
    match scope {
        0 => Check::ok(NAME, "0: processes of this user can be traced"),
        1 => Check::ok(NAME, "1: own children can be traced, which is all that runs need"),
        2 if may_all => Check::ok(NAME, "2: with CAP_SYS_PTRACE alone, which is here"),
        2 => {
            let fix = "sudo sysctl kernel.yama.ptrace_scope=1";
            Check::limited(NAME, "2: with CAP_SYS_PTRACE alone, which is not here", fix)
        }
        other => {
            let fix = "set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and reboot";
            Check::limited(NAME, format!("{other}: nobody may trace"), fix)
        }
    }
}

/// ENOENT.
const NOT_THERE: i32 = 2;

fn seccomp(seen: &Seen) -> Check {
    const NAME: &str = "seccomp";
    match (&seen.facts.rights, &seen.tracing) {
        (Err(error), _) => unseen(NAME, error),
        (Ok(rights), _) if rights.seccomp == 0 => Check::ok(NAME, "off"),
        (Ok(rights), Ok(())) => {
            let mode = rights.seccomp;
            Check::ok(NAME, format!("mode {mode}: a filter is on, and lets ptrace through"))
        }
        (Ok(rights), Err(_)) => {
            let text = format!("mode {}: a filter is on, and may be what forbids", rights.seccomp);
            Check::limited(NAME, text, "in a container: --security-opt seccomp=unconfined")
        }
    }
}

fn user(facts: &Facts) -> Check {
    match &facts.rights {
        Err(error) => unseen("user", error),
        Ok(rights) => {
            let right = if rights.may_trace_all() { "with" } else { "without" };
            let root = if rights.user == 0 { "root" } else { "root is not needed" };
            Check::ok("user", format!("{}, {right} CAP_SYS_PTRACE ({root})", rights.user))
        }
    }
}

fn sealing(tried: &Tried) -> Check {
    match tried {
        Ok(()) => Check::ok("sealed memory", "a memfd was made and sealed").required(),
        Err(error) => {
            let text = format!("no run can be recorded: {error}");
            Check::missing("sealed memory", text, "a filter forbids memfd_create: let it through")
                .required()
        }
    }
}

fn temporary((folder, tried): &(PathBuf, Tried)) -> Check {
    let folder = folder.display();
    match tried {
        Ok(()) => Check::ok("temporary folder", folder.to_string()).required(),
        Err(error) => {
            let text = format!("{folder}: {error}");
            Check::missing("temporary folder", text, "export TMPDIR=a folder that you may write")
                .required()
        }
    }
}

fn children(tried: &Tried) -> Check {
    match tried {
        Ok(()) => {
            Check::ok("process table", "children are listed: orphans can be found").required()
        }
        Err(error) => Check::missing(
            "process table",
            format!("children are not listed: {error}"),
            "mount /proc; the kernel needs CONFIG_PROC_CHILDREN",
        )
        .required(),
    }
}

fn shared_memory(tried: &Tried) -> Check {
    match tried {
        Ok(()) => Check::ok("/dev/shm", "writable"),
        Err(error) => Check::limited(
            "/dev/shm",
            format!("engines that share memory will fail: {error}"),
            "sudo mount -t tmpfs tmpfs /dev/shm",
        ),
    }
}

fn descriptors(limits: &Result<(u64, u64), SysError>) -> Check {
    const NAME: &str = "open files";
    match limits {
        Err(error) => unseen(NAME, error),
        Ok((now, _)) if *now >= DESCRIPTORS_MIN => Check::ok(NAME, format!("{now} at most")),
        Ok((now, most)) => {
            let text = format!("{now} at most: too few for several workers");
            Check::limited(NAME, text, &format!("ulimit -n {}", (*most).min(1024)))
        }
    }
}

fn mappings(most: &Result<u64, SysError>) -> Check {
    const NAME: &str = "vm.max_map_count";
    match most {
        Err(error) => unseen(NAME, error),
        Ok(most) if *most >= MAPPINGS_MIN => Check::ok(NAME, most.to_string()),
        Ok(most) => {
            let fix = format!("sudo sysctl vm.max_map_count={MAPPINGS_MIN}");
            Check::limited(NAME, format!("{most}: engines with many mappings may fail"), &fix)
        }
    }
}

fn huge_pages(chosen: &Result<String, SysError>) -> Check {
    match chosen {
        Ok(word) if word == "always" => Check::ok(
            "huge pages",
            "always: memory grows in steps of 2 MiB, small growth is seen late",
        ),
        Ok(word) => Check::ok("huge pages", word.clone()),
        Err(error) if error.errno as i32 == NOT_THERE => {
            Check::ok("huge pages", "the kernel has none")
        }
        Err(error) => unseen("huge pages", error),
    }
}

fn core_files(pattern: &Result<String, SysError>) -> Check {
    match pattern {
        Ok(pattern) => Check::ok("core files", format!("`{pattern}`; runs of ours write none")),
        Err(error) => unseen("core files", error),
    }
}

fn cgroups(cgroups: &Result<Cgroups, SysError>) -> Check {
    const NAME: &str = "cgroups";
    let cgroups = match cgroups {
        Ok(cgroups) => cgroups,
        Err(error) => return unseen(NAME, error),
    };
    let layout = match (cgroups.version_1, cgroups.version_2) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => return Check::new(NAME, State::Missing, "none; no run needs one"),
    };
    match &cgroups.creatable {
        Ok(place) => {
            Check::ok(NAME, format!("{layout}; a group can be made below {}", place.display()))
        }
        Err(error) => {
            let text = format!("{layout}; no group can be made ({error}), and no run needs one");
            Check::limited(NAME, text, "systemd-run --user --scope -p Delegate=yes COMMAND")
        }
    }
}

fn shell(path: Option<&PathBuf>) -> Check {
    match path {
        Some(path) => Check::ok("shell", path.display().to_string()),
        None => Check::missing("shell", "no `sh` in PATH: the demo shows less", "install a shell"),
    }
}

fn gdb(path: Option<&PathBuf>) -> Check {
    match path {
        Some(path) => Check::ok("gdb", path.display().to_string()),
        None => Check::missing(
            "gdb",
            "not in PATH; hotfire needs none, it is for your own second look",
            "sudo apt install gdb",
        ),
    }
}

fn debug_files(libc: Option<&(PathBuf, Result<PathBuf, PathBuf>)>) -> Check {
    const NAME: &str = "libc debug file";
    match libc {
        None => Check::limited(NAME, "no C library with a build-id was found", ""),
        Some((_, Ok(file))) => Check::ok(NAME, file.display().to_string()),
        Some((libc, Err(place))) => {
            let (libc, place) = (libc.display(), place.display());
            let text = format!("not at {place}: {libc} shows exported names alone");
            Check::missing(NAME, text, "sudo apt install libc6-dbg")
        }
    }
}

fn python(found: Option<&(PathBuf, String)>) -> Check {
    match found {
        Some((path, version)) => Check::ok("python", format!("{version}, {}", path.display())),
        None => Check::missing(
            "python",
            "no python3 in PATH; the built-in engine needs none",
            "sudo apt install python3",
        ),
    }
}

fn llama(found: &Result<PathBuf, String>) -> Check {
    match found {
        Ok(folder) => Check::ok("engine llama", folder.display().to_string()),
        Err(why) => {
            let text = format!("{why}: its scenarios are skipped");
            let fix = format!(
                "scripts/fetch-engines.sh llama (in hotfire's checkout); or name the folder of a \
                 build with {FOLDER_VARIABLE}=DIR"
            );
            Check::missing("engine llama", text, &fix)
        }
    }
}

#[cfg(test)]
#[path = "doctor_checks_tests.rs"]
mod tests;
