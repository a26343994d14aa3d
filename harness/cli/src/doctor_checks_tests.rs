//! Facts of machines that are not this one, and what the doctor says of them: each check fires,
//! and its twin does not.

use numbers::{EACCES, EINVAL, ENOENT, EPERM};

use super::*;

/// Errors by the kernel's numbers.
mod numbers {
    use super::SysError;

    fn error(number: i32) -> SysError {
        SysError::from_io("call", &std::io::Error::from_raw_os_error(number))
    }

    pub(super) const EPERM: fn() -> SysError = || error(1);
    pub(super) const ENOENT: fn() -> SysError = || error(2);
    pub(super) const EACCES: fn() -> SysError = || error(13);
    pub(super) const EINVAL: fn() -> SysError = || error(22);
}

/// A machine that has it all.
fn whole() -> Seen {
    let rights = hotfire_sys::machine::Rights { user: 1000, capabilities: 0, seccomp: 0 };
    Seen {
        facts: Facts {
            release: Ok("6.1.0-28-amd64".into()),
            ptrace_scope: Ok(1),
            rights: Ok(rights),
            huge_pages: Ok("madvise".into()),
            mappings_max: Ok(65_530),
            core_pattern: Ok("core".into()),
            descriptors: Ok((1024, 4096)),
        },
        tracing: Ok(()),
        children: Ok(()),
        sealing: Ok(()),
        temporary: ("/tmp".into(), Ok(())),
        shared_memory: Ok(()),
        cgroups: Ok(Cgroups {
            version_1: false,
            version_2: true,
            creatable: Ok("/sys/fs/cgroup".into()),
        }),
        shell: Some("/bin/sh".into()),
        gdb: Some("/usr/bin/gdb".into()),
        python: Some(("/usr/bin/python3".into(), "Python 3.11.2".into())),
        debug_file: Some(("/lib/libc.so.6".into(), Ok("/usr/lib/debug/x.debug".into()))),
        llama: Ok("/x/.cache/engines/llama".into()),
    }
}

/// The check with this name on the whole machine after a change.
fn after(name: &str, change: impl FnOnce(&mut Seen)) -> Check {
    let mut seen = whole();
    change(&mut seen);
    checks(&seen).into_iter().find(|check| check.name == name).unwrap()
}

fn rights(seen: &mut Seen) -> &mut hotfire_sys::machine::Rights {
    seen.facts.rights.as_mut().unwrap()
}

#[test]
fn a_whole_machine_is_ok_in_every_line() {
    let checks = checks(&whole());
    assert_eq!(checks.len(), 20);
    for check in &checks {
        assert_eq!((check.state, &check.fix), (State::Ok, &None), "{check:?}");
    }
    assert_eq!(exit_status(&checks), 0);
    let required = checks.iter().filter(|check| check.required).count();
    assert_eq!(required, 5);
}

/// A change of the whole machine.
type Change = fn(&mut Seen);

#[test]
fn each_line_tells_what_is_wrong_and_how_to_mend_it() {
    use State::{Limited, Missing};
    let rows: [(&str, Change, State, &str); 18] = [
        ("kernel", |seen| seen.facts.release = Ok("4.13.16-x".into()), Missing, "4.14"),
        ("tracing", |seen| seen.tracing = Err(EPERM()), Missing, "--trace off"),
        ("ptrace scope", |seen| seen.facts.ptrace_scope = Ok(2), Limited, "ptrace_scope=1"),
        ("ptrace scope", |seen| seen.facts.ptrace_scope = Ok(3), Limited, "reboot"),
        (
            "seccomp",
            |seen| {
                rights(seen).seccomp = 2;
                seen.tracing = Err(EPERM());
            },
            Limited,
            "unconfined",
        ),
        ("sealed memory", |seen| seen.sealing = Err(EPERM()), Missing, "memfd_create"),
        ("temporary folder", |seen| seen.temporary.1 = Err(EACCES()), Missing, "TMPDIR"),
        ("process table", |seen| seen.children = Err(ENOENT()), Missing, "CONFIG_PROC_CHILDREN"),
        ("/dev/shm", |seen| seen.shared_memory = Err(EACCES()), Limited, "mount -t tmpfs"),
        ("open files", |seen| seen.facts.descriptors = Ok((255, 512)), Limited, "ulimit -n 512"),
        ("vm.max_map_count", |seen| seen.facts.mappings_max = Ok(65_529), Limited, "sysctl"),
        (
            "cgroups",
            |seen| seen.cgroups.as_mut().unwrap().creatable = Err(EACCES()),
            Limited,
            "systemd-run",
        ),
        ("shell", |seen| seen.shell = None, Missing, "install"),
        ("gdb", |seen| seen.gdb = None, Missing, "apt install gdb"),
        (
            "libc debug file",
            |seen| seen.debug_file.as_mut().unwrap().1 = Err("/usr/lib/debug/y".into()),
            Missing,
            "libc6-dbg",
        ),
        ("python", |seen| seen.python = None, Missing, "python3"),
        ("engine llama", |seen| seen.llama = Err("not here".into()), Missing, "fetch-engines.sh"),
        ("engine llama", |seen| seen.llama = Err("no".into()), Missing, "HOTFIRE_LLAMA_DIR=DIR"),
    ];
    for (name, change, state, fix) in rows {
        let check = after(name, change);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.fix.as_ref().is_some_and(|text| text.contains(fix)), "{check:?}");
    }
}

#[test]
fn near_misses_stay_ok() {
    let rows: [(&str, Change, &str); 9] = [
        ("kernel", |seen| seen.facts.release = Ok("4.14.0".into()), "4.14"),
        ("ptrace scope", |seen| seen.facts.ptrace_scope = Ok(0), "0:"),
        ("ptrace scope", |seen| seen.facts.ptrace_scope = Err(ENOENT()), "no Yama"),
        (
            "ptrace scope",
            |seen| {
                seen.facts.ptrace_scope = Ok(2);
                rights(seen).capabilities = 1 << 19;
            },
            "CAP_SYS_PTRACE",
        ),
        ("seccomp", |seen| rights(seen).seccomp = 2, "lets ptrace through"),
        ("open files", |seen| seen.facts.descriptors = Ok((256, 256)), "256"),
        ("huge pages", |seen| seen.facts.huge_pages = Ok("always".into()), "2 MiB"),
        ("huge pages", |seen| seen.facts.huge_pages = Err(ENOENT()), "none"),
        ("user", |seen| rights(seen).user = 0, "0, without CAP_SYS_PTRACE (root)"),
    ];
    for (name, change, text) in rows {
        let check = after(name, change);
        assert_eq!((check.state, check.text.contains(text)), (State::Ok, true), "{check:?}");
    }
}

#[test]
fn the_fix_for_tracing_follows_what_forbids_it() {
    let fix = |change: Change| {
        let refused = after("tracing", |seen| {
            seen.tracing = Err(EPERM());
            change(seen);
        });
        refused.fix.unwrap()
    };
    assert!(fix(|seen| seen.facts.ptrace_scope = Ok(2)).contains("sysctl"));
    assert!(fix(|seen| rights(seen).seccomp = 2).contains("docker"));
    let neither = fix(|_| {});
    assert!(!neither.contains("sysctl") && !neither.contains("docker"), "{neither}");
}

#[test]
fn what_cannot_be_seen_is_said_and_is_not_ok() {
    let rows: [(&str, Change); 6] = [
        ("kernel", |seen| seen.facts.release = Err(EINVAL())),
        ("ptrace scope", |seen| seen.facts.ptrace_scope = Err(EACCES())),
        ("user", |seen| seen.facts.rights = Err(EINVAL())),
        ("open files", |seen| seen.facts.descriptors = Err(EINVAL())),
        ("cgroups", |seen| seen.cgroups = Err(EACCES())),
        ("core files", |seen| seen.facts.core_pattern = Err(EACCES())),
    ];
    for (name, change) in rows {
        let check = after(name, change);
        assert_eq!(check.state, State::Limited, "{check:?}");
        assert!(check.text.contains("cannot be seen: call: E"), "{check:?}");
    }
}

#[test]
fn layouts_of_cgroups_have_their_names() {
    for (versions, name) in [((true, true), "hybrid"), ((true, false), "v1"), ((false, true), "v2")]
    {
        let check = after("cgroups", |seen| {
            let cgroups = seen.cgroups.as_mut().unwrap();
            (cgroups.version_1, cgroups.version_2) = versions;
        });
        assert!(check.text.starts_with(name), "{check:?}");
    }
    let none = after("cgroups", |seen| {
        seen.cgroups.as_mut().unwrap().version_2 = false;
    });
    assert_eq!((none.state, none.required), (State::Missing, false));
}

#[test]
fn only_what_runs_need_decides_the_exit_status() {
    let status = |change: Change| {
        let mut seen = whole();
        change(&mut seen);
        exit_status(&checks(&seen))
    };
    assert_eq!(status(|seen| seen.gdb = None), 0);
    assert_eq!(status(|seen| seen.shared_memory = Err(EACCES())), 0);
    assert_eq!(status(|seen| seen.tracing = Err(EPERM())), 97);
    assert_eq!(status(|seen| seen.sealing = Err(EPERM())), 96);
    let both: Change = |seen| {
        seen.tracing = Err(EPERM());
        seen.sealing = Err(EPERM());
    };
    assert_eq!(status(both), 96);
}
