//! What the machine can refuse: a host that does not start, ptrace that is not allowed.

use std::path::PathBuf;
use std::process::Command;

use crate::Case;
use crate::workshop::{LIMIT, Started, Workshop};

pub(crate) const CASES: &[Case] = &[
    ("refused-host-without-its-libraries", host_without_its_libraries),
    ("refused-host-whose-program-is-gone", host_whose_program_is_gone),
    ("refused-ptrace", ptrace_is_refused),
];

/// ptrace fails with EPERM from here on, as in a container without the right to it.
const WITHOUT_PTRACE: &str = r#"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int count, char **arguments) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (count < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 125;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 125;
    execv(arguments[1], arguments + 1);
    return 126;
}
"#;

fn host_without_its_libraries() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("broken")).unwrap();
    workshop.write("broken/libc.so.6", "no library\n");
    let broken = workshop.path("broken");
    let plan = format!(
        "env LD_LIBRARY_PATH=\"{}\"; create a = reference; load a tiny; exit",
        broken.display()
    );
    let done = workshop.run(&["replay", &plan, "--runs", "2", "--json", "-"]);
    assert_eq!(done.status, 101, "{}", done.stderr);
    for text in ["BLIND", "E911", "the host ended before it reached its plan", "\nhelp: "] {
        assert!(done.stderr.contains(text), "{text:?} is not in:\n{}", done.stderr);
    }
    let report = done.json();
    assert_eq!(report["summary"]["blind"], 2);
    let evidence = report["findings"][0]["evidence"].to_string();
    assert!(evidence.contains("broken/libc.so.6: "), "{evidence}");
}

fn host_whose_program_is_gone() {
    let workshop = Workshop::new();
    let text = "name = \"mine\"\nsummary = \"s\"\nlifecycle = \"load\"\nengine = \"reference\"\n\
                runs = 400\nplans = ['create a = ENGINE; exit']\n";
    workshop.write("many.toml", text);
    workshop.write("one.toml", &text.replace("400", "1").replace("mine", "one"));
    let arguments = ["run", "one.toml", "many.toml", "--mode", "spawn", "-j1"];
    let mut started = workshop.start(&arguments);
    // From here on the worker runs.
    started.wait_for("PASS");
    std::fs::remove_file(workshop.program()).unwrap();
    let done = started.finish(LIMIT);
    assert_eq!(done.status, 101, "{}", done.stderr);
    for text in ["BLIND", "of 400 runs: ", "No such file or directory", "\nhelp: "] {
        assert!(done.stderr.contains(text), "{text:?} is not in:\n{}", done.stderr);
    }
}

/// A program that runs another one without ptrace.
pub(crate) fn without_ptrace(workshop: &Workshop) -> PathBuf {
    workshop.write("without_ptrace.c", WITHOUT_PTRACE);
    let compiled = Command::new("cc")
        .current_dir(workshop.path(""))
        .args(["-Wall", "-Werror", "-o", "without-ptrace", "without_ptrace.c"])
        .status();
    assert!(compiled.unwrap().success());
    workshop.path("without-ptrace")
}

fn ptrace_is_refused() {
    let workshop = Workshop::new();
    let program = without_ptrace(&workshop);
    let replay = |flag: [&str; 2]| {
        let plan = "create a = reference; load a tiny; exit";
        let mut command = Command::new(&program);
        command.arg(workshop.program()).args(["replay", plan, "--runs", "2"]).args(flag);
        workshop.furnish(&mut command);
        Started::new(&mut command).finish(LIMIT)
    };
    for mode in ["spawn", "fork"] {
        let done = replay(["--mode", mode]);
        assert_eq!(done.status, 97, "{mode}: {}", done.stderr);
        for text in ["BLIND", "ptrace(SEIZE): EPERM", "\nhelp: ", "SYS_PTRACE", "--trace off"] {
            assert!(done.stderr.contains(text), "{mode}: {text:?} is not in:\n{}", done.stderr);
        }
    }
    // The advice works.
    let done = replay(["--trace", "off"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
}
