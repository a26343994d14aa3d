//! A program that the kernel ends for want of memory, for real: in a control group with a limit. Its
//! twin is killed by somebody in the same group.
//!
//! Where no such group can be made, the test is reported as ignored, and why is told.
//! Deliberately absent: limits of whole machines.

use std::path::{Path, PathBuf};
use std::process::Command;

use hotfire_sys::machine::memory_group;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::classes::built;
use crate::workshop::{LIMIT, Started, Workshop, send_signal};

const NAME: &str = "oom-kill-in-a-control-group";
const LIMIT_BYTES: &str = "134217728";
/// Takes so many MiB, says its number, and waits.
const PROGRAM: (&str, &str) = (
    "eats.c",
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n\
     int main(int count, char **words) {\n\
     for (int mib = count > 1 ? atoi(words[1]) : 0; mib > 0; mib--) {\n\
     char *held = malloc(1 << 20);\nif (held == NULL) return 3;\nmemset(held, mib, 1 << 20);\n}\n\
     fprintf(stderr, \"%d holds it\\n\", (int)getpid());\npause();\nreturn 0;\n}\n",
);

pub(crate) fn trials() -> Vec<Trial> {
    let refused = Group::new().err();
    if let Some(why) = &refused {
        eprintln!("SKIP {NAME}: {why}");
    }
    let run = || {
        oom_kill();
        Ok(())
    };
    vec![Trial::test(NAME, run).with_ignored_flag(refused.is_some())]
}

/// A control group with little memory, below our own.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self, String> {
        let own = i32::try_from(std::process::id()).ok().and_then(memory_group);
        let own = own.ok_or("the memory controller's files are not to be seen")?;
        let folder = own.join(format!("hotfire-test-{}", std::process::id()));
        let told = |what: &Path| format!("{} cannot be written", what.display());
        std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", told(&folder)))?;
        let group = Self(folder);
        // Of version 2, then of version 1.
        let limits = ["memory.max", "memory.limit_in_bytes"].map(|name| group.0.join(name));
        let limit = limits.iter().find(|file| file.exists());
        let limit = limit.ok_or("a new control group has no memory controller")?;
        std::fs::write(limit, LIMIT_BYTES).map_err(|error| format!("{}: {error}", told(limit)))?;
        // Where there is swap, it is no way out; without any, these files are missing or refuse.
        let _ = std::fs::write(group.0.join("memory.swap.max"), "0");
        let _ = std::fs::write(group.0.join("memory.memsw.limit_in_bytes"), LIMIT_BYTES);
        Ok(group)
    }

    /// `hotfire exec` of the program, in this group.
    fn start(&self, workshop: &Workshop, mib: &str) -> Started {
        let program = built("eats", &[PROGRAM], &["cc", "-O0", "-Wall", "-Wextra", "-Werror"]);
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command.arg(workshop.program()).args(["exec", "--json", "out.json", "--"]);
        command.arg(program).arg(mib);
        workshop.furnish(&mut command);
        Started::new(&mut command)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One with a process in it stays; the test has failed then.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn told(workshop: &Workshop) -> Value {
    let report = workshop.json("out.json");
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings[0].clone()
}

fn oom_kill() {
    let (workshop, group) = (Workshop::new(), Group::new().unwrap());
    let done = group.start(&workshop, "512").finish(LIMIT);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let finding = told(&workshop);
    assert_eq!([&finding["code"], &finding["class"]], ["C108", "oom-kill"], "{finding:#}");
    assert_eq!(finding["likely_cause"]["rule"], "oom-kill");
    let of_group = |line: &Value| {
        line["source"] == "control group"
            && line["text"].as_str().unwrap().contains("1 process of its group")
    };
    assert!(finding["evidence"].as_array().unwrap().iter().any(of_group), "{finding:#}");
    // The same program in the same group, which has seen a kill for want of memory before.
    let mut started = group.start(&workshop, "4");
    started.wait_for(" holds it");
    let pid = started.stderr().split(' ').next().unwrap().trim().parse().unwrap();
    send_signal("KILL", pid);
    let done = started.finish(LIMIT);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let finding = told(&workshop);
    assert_eq!([&finding["code"], &finding["class"]], ["C108", "external-kill"], "{finding:#}");
}
