//! Why a process cannot be looked at, and what to do: told before anything is touched, or after the
//! kernel has refused.
//!
//! Deliberately absent: what `hotfire doctor` says of runs, whose children may be traced more often.

use hotfire_sys::machine::{Facts, Rights};
use hotfire_sys::{Target, procfs, target};

use crate::error::{CliError, status};

/// A filter of system calls is in force (proc_pid_status(5), `Seccomp`).
const FILTERED: u32 = 2;

/// Refuses what nobody can look at.
pub(crate) fn check(pid: i32) -> Result<(), CliError> {
    let refuse = |why: String, help: &str| {
        Err(CliError::Attach { pid, why, help: help.to_owned(), status: status::USAGE })
    };
    let Ok(seen) = target(pid) else {
        let help = "`pgrep -af NAME` or `ps -ef` lists processes with their numbers";
        return refuse("there is no such process here".to_owned(), help);
    };
    if seen.process != pid {
        let why = format!("it is a thread of process {}", seen.process);
        return refuse(why, &format!("hotfire attach {}", seen.process));
    }
    if seen.is_kernel_thread {
        return refuse("it is a thread of the kernel".to_owned(), "name a program's process");
    }
    if is_own_or_above(pid) {
        let why = "it is this command, or one that started it".to_owned();
        return refuse(why, "attach to it from another terminal");
    }
    let threads = procfs::threads(pid).map_or(0, |threads| threads.len());
    if matches!(seen.state, 'Z' | 'X') && threads <= 1 {
        let parent = procfs::stat(pid).map_or(0, |stat| stat.parent);
        let why = format!("it has ended, and its parent {parent} has not taken its status");
        return refuse(why, &format!("hotfire attach {parent}"));
    }
    if seen.tracer != 0 {
        return Err(already_traced(pid, seen.tracer));
    }
    Ok(())
}

fn is_own_or_above(pid: i32) -> bool {
    let mut at = i32::try_from(std::process::id()).unwrap_or(0);
    while at > 0 {
        if at == pid {
            return true;
        }
        at = procfs::stat(at).map_or(0, |stat| stat.parent);
    }
    false
}

fn already_traced(pid: i32, tracer: i32) -> CliError {
    // The kernel names a thread.
    let tracer = target(tracer).map_or(tracer, |seen| seen.process);
    let name = procfs::command_line(tracer);
    CliError::Attach {
        pid,
        why: format!("process {tracer} `{name}` traces it already, and only one can"),
        help: format!("let that one go (gdb: detach; strace: kill -INT {tracer}), or ask it"),
        status: status::BLIND,
    }
}

/// The kernel, or who guards it, allowed no tracing of this process.
pub(crate) fn refused(pid: i32, seen: &Target, facts: &Facts) -> CliError {
    let own = facts.rights.as_ref().ok();
    let may_all = own.is_some_and(Rights::may_trace_all);
    let scope = facts.ptrace_scope.as_ref().copied().unwrap_or(0);
    let again = format!("sudo hotfire attach {pid}");
    let (why, help) = if seen.tracer != 0 {
        return already_traced(pid, seen.tracer);
    } else if own.is_some_and(|own| own.user != seen.user) && !may_all {
        (format!("it belongs to user {}, and you may trace your own only", seen.user), again)
    } else if scope == 3 {
        let why = "kernel.yama.ptrace_scope is 3: nobody may attach to anything";
        (why.to_owned(), "set it to 1 or less in /etc/sysctl.d and reboot".to_owned())
    } else if scope >= 1 && !may_all {
        let why = format!("kernel.yama.ptrace_scope is {scope}: only a parent may trace, or root");
        (why, format!("{again}; or sudo sysctl kernel.yama.ptrace_scope=0"))
    } else if own.is_some_and(|own| own.seccomp == FILTERED) {
        let why = "a filter of system calls is in force here, as in containers";
        let help = "docker run --cap-add=SYS_PTRACE --security-opt seccomp=unconfined; or attach \
                    from outside of the container, by the number that the process has there";
        (why.to_owned(), help.to_owned())
    } else {
        let why = "the kernel allows no tracing of it (it may have forbidden that itself)";
        (why.to_owned(), format!("{again}; `hotfire doctor` tells what refuses tracing here"))
    };
    CliError::Attach { pid, why, help, status: status::BLIND }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(seen: &Target, user: u32, scope: u32, seccomp: u32, capabilities: u64) -> String {
        let facts = Facts {
            ptrace_scope: Ok(scope),
            rights: Ok(Rights { user, capabilities, seccomp }),
            ..hotfire_sys::machine::facts()
        };
        let error = refused(7, seen, &facts);
        assert_eq!(error.status(), status::BLIND);
        error.to_string()
    }

    #[test]
    fn each_reason_has_its_way_out() {
        let target =
            |user, tracer| Target { process: 7, state: 'S', tracer, user, is_kernel_thread: false };
        let mine = target(1000, 0);
        assert!(told(&target(0, 0), 1000, 0, 0, 0).contains("user 0, and you"), "another user's");
        assert!(told(&mine, 1000, 1, 0, 0).contains("sysctl kernel.yama.ptrace_scope=0"));
        assert!(told(&mine, 1000, 3, 0, 0).contains("reboot"));
        assert!(told(&mine, 1000, 0, 2, 0).contains("--cap-add=SYS_PTRACE"));
        assert!(told(&target(0, 0), 1000, 1, 2, u64::MAX).contains("docker run"), "it may all");
        assert!(told(&mine, 1000, 0, 0, 0).contains("hotfire doctor"));
        assert!(told(&target(1000, 31), 1000, 1, 0, 0).contains("process 31 `"));
    }

    #[test]
    fn this_process_and_those_above_are_not_looked_at() {
        let own = i32::try_from(std::process::id()).unwrap();
        for pid in [own, procfs::stat(own).unwrap().parent] {
            let error = check(pid).unwrap_err();
            assert_eq!(error.status(), status::USAGE);
            assert!(error.to_string().contains("started it"), "{error}");
        }
        assert!(check(i32::MAX).unwrap_err().to_string().contains("pgrep"));
    }
}
