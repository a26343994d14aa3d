//! `hotfire exec`: a command that nobody prepared, with its status, its streams and its terminal.

use std::time::Instant;

use crate::Case;
use crate::classes::built;
use crate::replay::assert_valid;
use crate::workshop::{LIMIT, Started, Workshop, look_again, send_signal};

pub(crate) const CASES: &[Case] = &[
    ("exec-keeps-a-healthy-command's-status", status_is_its_own),
    ("exec-says-what-cannot-be-started", not_started),
    ("exec-names-a-death-and-fails", death),
    ("exec-reports-the-death-of-a-grandchild", grandchild),
    ("exec-passes-streams-on-in-order", streams),
    ("exec-leaves-a-file-to-the-command", file_output),
    ("exec-writes-bundles-and-dumps", bundle),
    ("exec-reports-each-victim", victims),
    ("exec-compares-with-faulthandler", faulthandler),
    ("replay-in-a-debugger", debugger),
    ("exec-hands-on-a-closed-reader", closed_reader),
    ("exec-lets-a-daemon-live", daemon_lives),
    ("exec-ends-a-command-at-its-time-limit", time_limit),
    ("exec-passes-signals-on", signals),
    ("exec-keeps-descriptors-folder-and-environment", inheritance),
    ("exec-keeps-the-terminal-the-command's-own", terminal),
    ("exec-writes-its-report-where-it-is-asked-to", report_places),
    ("exec-tells-a-rate", rate),
    ("exec-tells-a-rate-of-each-finding", rates_of_each),
    ("exec-leaves-children-of-others-alone", inherited_children),
    ("exec-loses-nothing-of-a-slow-reader's", slow_reader),
    ("exec-works-where-the-end-of-children-is-ignored", ignored_children),
    ("exec-takes-a-timer-of-a-grandchild-for-no-crash", timer),
    ("exec-leaves-devices-to-the-command", device),
    ("exec-passes-on-what-a-daemon-prints-later", late_output),
    ("exec-passes-a-group's-signal-on-once", group_signal),
    ("exec-dies-of-the-interrupt-that-its-command-died-of", interrupt),
    ("exec-says-which-leftover-it-had-to-end", unstoppable),
    ("exec-tells-how-to-check-for-leaks", leak_checker),
    ("exec-prints-what-its-page-shows", page),
];

/// Runs a shell script under `hotfire exec`.
pub(crate) fn script<'a>(flags: &[&'a str], text: &'a str) -> Vec<&'a str> {
    [&["exec"], flags, &["--", "sh", "-c", text]].concat()
}

fn status_is_its_own() {
    let workshop = Workshop::new();
    for (text, status) in [
        ("true", 0),
        ("exit 3", 3),
        // An exec in the place of the shell, a handler of its own, a pipeline.
        ("exec sh -c 'exit 7'", 7),
        ("trap 'exit 9' TERM; kill -TERM $$; sleep 5", 9),
        ("yes | head -n 1 > /dev/null; exit 2", 2),
    ] {
        let done = workshop.run(&script(&[], text));
        assert_eq!((done.status, done.stderr.as_str()), (status, ""), "{text}");
    }
    assert_eq!(workshop.run(&["exec", "false"]).status, 1, "without a separator");
    assert!(!workshop.path(".hotfire").exists());
}

fn not_started() {
    let workshop = Workshop::new();
    let done = workshop.run(&["exec", "--", "no-such-command"]);
    assert_eq!(done.status, 127);
    assert!(done.stderr.contains("`no-such-command` cannot be started"), "{}", done.stderr);
    workshop.write("plain.txt", "not a program");
    assert_eq!(workshop.run(&["exec", "--", "./plain.txt"]).status, 126);
}

fn death() {
    let workshop = Workshop::new();
    let arguments = ["exec", "--json", "out.json", "--", "sh", "-c", "kill -SEGV $$"];
    let done = workshop.run(&arguments);
    assert_eq!(done.status, 100, "{}", done.stderr);
    assert!(done.stderr.starts_with("C101 SIGSEGV"), "{}", done.stderr);
    assert!(done.stderr.contains("--> sh -c 'kill -SEGV $$'"), "{}", done.stderr);
    let report = workshop.json("out.json");
    assert_valid(&report);
    assert_eq!((&report["verb"], &report["exit_code"]), (&"exec".into(), &100.into()));
    let finding = &report["findings"][0];
    assert_eq!(finding["phase"], "run");
    assert_eq!(finding["reproduce"], "hotfire exec -- sh -c 'kill -SEGV $$'");
    let done = workshop.run(&script(&["--error-exitcode", "42"], "kill -SEGV $$"));
    assert_eq!(done.status, 42);
}

fn report_places() {
    let workshop = Workshop::new();
    let done = workshop.run(&["exec", "--json", "-", "--", "sh", "-c", "kill -SEGV $$"]);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.status, &report["exit_code"]), (100, &100.into()));
    assert!(!workshop.path("-").exists());
    // A folder that is missing is told before the command runs.
    for flag in ["--json", "--bundle"] {
        let done = workshop.run(&["exec", flag, "no/such/file", "--", "touch", "ran"]);
        assert_eq!((done.status, done.stdout.as_str()), (110, ""), "{}", done.stderr);
        assert!(!workshop.path("ran").exists());
    }
}

fn grandchild() {
    let workshop = Workshop::new();
    let text = "sh -c 'kill -ABRT $$'; echo goes on";
    let done = workshop.run(&script(&["--json", "out.json"], text));
    assert_eq!((done.status, done.stdout.as_str()), (100, "goes on\n"), "{}", done.stderr);
    let victim = &workshop.json("out.json")["findings"][0]["victim"];
    assert_eq!(victim["relation"], "descendant");
    assert_eq!(victim["command"], "sh -c kill -ABRT $$");
}

fn streams() {
    let workshop = Workshop::new();
    let done = workshop.run(&script(&[], "echo out; echo error >&2"));
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "error\n"));
    // One pipe for both: what came first stays first.
    let text = "hotfire=$1; \"$hotfire\" exec -- sh -c 'for n in 1 2 3 4; do echo o$n; echo e$n >&2; done' 2>&1";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", text, "sh"]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.stdout, "o1\ne1\no2\ne2\no3\ne3\no4\ne4\n");
    let flood = "head -c 20000000 /dev/zero; echo done >&2";
    let done = workshop.run(&script(&[], flood));
    assert_eq!((done.stdout.len(), done.stderr.as_str()), (20_000_000, "done\n"));
}

/// The command can seek in its output, and the last lines are told from the file.
fn file_output() {
    let workshop = Workshop::new();
    let text = "\"$1\" exec --json out.json -- sh -c 'echo first; echo why >&2; kill -ABRT $$' \
                > both.txt 2>&1; echo $?";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", text, "sh"]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.stdout, "100\n");
    let both = std::fs::read_to_string(workshop.path("both.txt")).unwrap();
    assert!(both.starts_with("first\nwhy\nC102 SIGABRT"), "{both}");
    let report = workshop.json("out.json");
    assert_eq!(report["findings"][0]["output_tail"]["stderr"], "first\nwhy");
}

fn bundle() {
    let workshop = Workshop::new();
    let flags = ["--bundle", "crash.hotfire", "--json", "out.json", "--crash-dump"];
    let done = workshop.run(&script(&flags, "kill -SEGV $$"));
    assert_eq!(done.status, 100);
    let shown = workshop.run(&["show", "crash.hotfire", "--full"]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    for words in ["C101 SIGSEGV", "--> sh -c 'kill -SEGV $$'", "all threads:", "  rip 0x"] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    // The finding follows from the facts, wherever they are looked at.
    let opened = workshop.run(&["show", "crash.hotfire", "--json"]);
    let opened: serde_json::Value = serde_json::from_str(&opened.stdout).unwrap();
    let live = &workshop.json("out.json")["findings"][0];
    assert_eq!(opened[0]["id"], live["id"]);
    assert_eq!(opened[0]["threads"], live["threads"]);
    let pid = live["victim"]["pid"].as_i64().unwrap();
    let dump = std::fs::read_to_string(workshop.path(&format!("crash_dump_{pid}.log"))).unwrap();
    assert!(dump.contains("C101 SIGSEGV") && dump.contains("  rip 0x"), "{dump}");
}

fn victims() {
    let workshop = Workshop::new();
    let text = "sh -c 'kill -ABRT $$'; sh -c 'kill -FPE $$'; kill -SEGV $$";
    let done = workshop.run(&script(&["--json", "out.json"], text));
    assert_eq!(done.status, 100);
    let report = workshop.json("out.json");
    let findings = report["findings"].as_array().unwrap();
    let told: Vec<(&str, &str)> = findings
        .iter()
        .map(|finding| {
            let relation = &finding["victim"]["relation"];
            (finding["status"].as_str().unwrap(), relation.as_str().unwrap())
        })
        .collect();
    let expected = [("SIGSEGV", "child"), ("SIGABRT", "descendant"), ("SIGFPE", "descendant")];
    assert_eq!(told, expected, "the command's own death comes first");
}

fn faulthandler() {
    let workshop = Workshop::new();
    let program = "import ctypes; ctypes.string_at(0)";
    let arguments =
        ["exec", "--json", "out.json", "--", "python3", "-X", "faulthandler", "-c", program];
    assert_eq!(workshop.run(&arguments).status, 100);
    let finding = &workshop.json("out.json")["findings"][0];
    assert_eq!(finding["class"], "null-dereference");
    let evidence = finding["evidence"].as_array().unwrap();
    let text = "it says Segmentation fault, as seen from outside";
    assert!(evidence.iter().any(|line| line["text"] == text), "{evidence:#?}");
}

/// The debugger gets the host and the plan as its program.
fn debugger() {
    let workshop = Workshop::new();
    let plan = "create a = reference; load a tiny; exit";
    let done = workshop.run(&["replay", plan, "--debugger", "echo --args"]);
    let program = workshop.program().display();
    assert_eq!(done.stdout, format!("--args {program} __host --plan {plan}\n"), "{}", done.stderr);
    let done = workshop.run(&["replay", plan, "--debugger", "no-such-debugger"]);
    assert_eq!(done.status, 2);
    assert!(done.stderr.contains("`no-such-debugger` cannot be started"), "{}", done.stderr);
}

/// LeakSanitizer works untraced only.
fn leak_checker() {
    let workshop = Workshop::new();
    let source = [("sound.c", "int main(void) { return 0; }")];
    let program = built("sound", &source, &["cc", "-fsanitize=leak"]);
    let program = program.to_str().unwrap();
    let traced = workshop.run(&["exec", "--", program]);
    assert!(traced.status != 0 && traced.stderr.contains("--trace off"), "{}", traced.stderr);
    let untraced = workshop.run(&["exec", "--trace", "off", "--", program]);
    assert!(untraced.status == 0 && !untraced.stderr.contains("Leak"), "{}", untraced.stderr);
}

/// `hotfire exec -- yes | head -n 1`.
fn closed_reader() {
    let workshop = Workshop::new();
    let text = "{ \"$1\" exec -- yes; echo $? >&2; } | head -n 1";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", text, "sh"]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    // 128 and SIGPIPE, as without hotfire.
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("y\n", "141\n"));
}

/// It is there, and what it will be, before the command ends.
pub(crate) const DAEMON: &str = "setsid sh -c 'echo $$ > daemon.pid; exec sleep 120' < /dev/null > /dev/null 2>&1 & \
     until grep -q sleep /proc/$(cat daemon.pid 2> /dev/null)/comm 2> /dev/null; do sleep 0.01; done";

pub(crate) fn daemon_pid(workshop: &Workshop) -> i32 {
    std::fs::read_to_string(workshop.path("daemon.pid")).unwrap().trim().parse().unwrap()
}

pub(crate) fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().chars().next());
    state.flatten().is_some_and(|state| !"ZX".contains(state))
}

fn tracer(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    line.unwrap_or_default().trim().to_owned()
}

fn daemon_lives() {
    let workshop = Workshop::new();
    for trace in ["on", "off"] {
        let done = workshop.run(&script(&["--grace", "50ms", "--trace", trace], DAEMON));
        assert_eq!(done.status, 0, "{}", done.stderr);
        let pid = daemon_pid(&workshop);
        let note = format!("note: process {pid} `sleep 120`");
        assert!(done.stderr.contains(&note), "{}", done.stderr);
        assert!(done.stderr.contains("outlived the command and goes on"), "{}", done.stderr);
        assert!(lives(pid) && tracer(pid) == "0", "{trace}");
        send_signal("KILL", pid);
        std::fs::remove_file(workshop.path("daemon.pid")).unwrap();
    }
}

fn time_limit() {
    let workshop = Workshop::new();
    let text = "sleep 120 & echo $! > new; mv new daemon.pid; wait";
    // A busy machine may need longer than the shortest for the command's first words.
    for limit in ["300ms", "3s", "30s"] {
        let done = workshop.run(&script(&["--timeout", limit], text));
        assert_eq!(done.status, 100, "{}", done.stderr);
        let title = "HANG: the command was still running at its time limit";
        assert!(done.stderr.contains(title), "{}", done.stderr);
        if workshop.path("daemon.pid").exists() {
            break;
        }
    }
    assert!(!lives(daemon_pid(&workshop)), "what it made is ended, too");
}

fn signals() {
    let workshop = Workshop::new();
    let ready = "echo ready >&2; while :; do sleep 0.05; done";
    for (signal, text, status) in [
        ("TERM", format!("trap 'exit 5' TERM; {ready}"), 5),
        ("USR1", format!("trap 'exit 6' USR1; {ready}"), 6),
        // Without a handler it dies of it; its user wanted that.
        ("TERM", ready.to_owned(), 143),
        ("INT", ready.to_owned(), 130),
    ] {
        let mut started = workshop.start(&script(&[], &text));
        started.wait_for("ready");
        send_signal(signal, started.pid());
        let done = started.finish(LIMIT);
        assert_eq!(done.status, status, "{signal}: {}", done.stderr);
    }
}

fn inheritance() {
    let workshop = Workshop::new();
    let text = "exec 7< \"$2\"; trap '' INT; KEY=value \"$1\" exec -- \
                sh -c 'cat <&7; pwd; echo $KEY; kill -INT $$; echo ignored'";
    workshop.write("seven", "from seven\n");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", text, "sh"]).arg(workshop.program()).arg(workshop.path("seven"));
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    let folder = workshop.path("").display().to_string();
    let folder = folder.trim_end_matches('/');
    assert_eq!(done.stdout, format!("from seven\n{folder}\nvalue\nignored\n"), "{}", done.stderr);
    assert_eq!(done.status, 0);
}

/// A shell with job control on a terminal of its own: Ctrl-Z stops the command and hotfire, `fg`
/// goes on, Ctrl-C ends, and what the command sees is a terminal of the right size.
const TERMINAL: &str = r#"
import os, pty, sys, time, select, fcntl, termios, struct
hotfire = sys.argv[1]
shell, master = pty.fork()
if shell == 0:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
seen = b""
def wait_for(text, limit=50):
    global seen
    end = time.time() + limit
    while text not in seen:
        left = end - time.time()
        if left <= 0 or not select.select([master], [], [], left)[0]:
            print("missing", text, "in", seen); os.kill(shell, 9); sys.exit(1)
        seen += os.read(master, 65536)
    before, seen = seen.split(text, 1)
    return before
def say(text):
    os.write(master, text.encode())
def wait_for_sleep():
    end = time.time() + 50
    while time.time() < end:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try: stat = open("/proc/" + pid + "/stat").read()
            except OSError: continue
            if "(sleep)" in stat and int(stat.rsplit(")")[-1].split()[2]) == os.tcgetpgrp(master): return
        select.select([], [], [], 0.01)
    print("no sleep in the foreground"); os.kill(shell, 9); sys.exit(1)
say("PS1='ready'; stty -echo\n"); wait_for(b"ready"); wait_for(b"ready")
say(hotfire + " exec -- sh -c 'stty size; test -t 0 && test -t 1 && echo \"a\" tty'; echo status $?\n")
wait_for(b"33 77"); wait_for(b"a tty"); wait_for(b"status 0"); wait_for(b"ready")
say(hotfire + " exec -- sh -c 'echo \"be\"gun; read line; echo got $line'\n")
wait_for(b"begun"); say("\x1a"); wait_for(b"Stopped"); wait_for(b"ready")
say("fg\n"); wait_for(b"hotfire"); say("a word\n"); wait_for(b"got a word"); wait_for(b"ready")
say(hotfire + " exec -- sh -c 'echo \"on\"ce; sleep 120; true'; echo \"we\"nt on\n"); wait_for(b"once"); wait_for_sleep()
say("\x03"); before = wait_for(b"ready")
if b"went on" in before: print("the shell went on"); os.kill(shell, 9); sys.exit(1)
say("echo status $?\n"); wait_for(b"status 130"); wait_for(b"ready")
say(hotfire + " exec -- sh -c 'trap \"exit 5\" INT; echo \"tw\"ice; sleep 120'; echo status $?\n"); wait_for(b"twice"); wait_for_sleep()
say("\x03"); wait_for(b"status 5"); wait_for(b"ready")
say("exit\n"); os.waitpid(shell, 0); print("all seen")
"#;

fn terminal() {
    let workshop = Workshop::new();
    let mut command = std::process::Command::new("python3");
    command.args(["-c", TERMINAL]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.stdout, "all seen\n", "{}", done.stderr);
}

fn rate() {
    let workshop = Workshop::new();
    // Every second run dies.
    let text = "if test -e flag; then rm flag; kill -SEGV $$; else touch flag; fi";
    let done = workshop.run(&script(&["--runs", "10"], text));
    assert_eq!(done.status, 100);
    let line = "shown by 5 of 10 runs in fresh processes, 24 to 76 % (Wilson, 95 %)";
    assert!(done.stderr.contains(line), "{}", done.stderr);
}

fn rates_of_each() {
    let workshop = Workshop::new();
    let text = "if test -e a; then rm a; kill -SEGV $$; else touch a; kill -ABRT $$; fi";
    let done = workshop.run(&script(&["--runs", "4", "--json", "out.json"], text));
    assert_eq!(done.status, 100);
    let report = workshop.json("out.json");
    let rates: Vec<&serde_json::Value> =
        report["findings"].as_array().unwrap().iter().map(|one| &one["reproduced"]).collect();
    let half = serde_json::json!({"failed": 2, "of": 4});
    assert_eq!(rates, [&half, &half]);
    assert!(done.stderr.contains("shown by 2 of 4 runs"), "{}", done.stderr);
    assert!(done.stderr.contains(", in 2 of 4 runs"), "{}", done.stderr);
}

/// A shell's child becomes ours when the shell becomes us.
fn inherited_children() {
    let workshop = Workshop::new();
    let text =
        "sleep 120 > /dev/null 2>&1 & echo $! > other.pid; exec \"$1\" exec --grace 50ms -- true";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", text, "bash"]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!((done.status, done.stderr.as_str()), (0, ""));
    let pid = std::fs::read_to_string(workshop.path("other.pid")).unwrap().trim().parse().unwrap();
    assert!(lives(pid));
    send_signal("KILL", pid);
}

fn slow_reader() {
    let workshop = Workshop::new();
    // More than its reader's pipe holds, and all of it written before the reader begins.
    let text = "\"$1\" exec -- sh -c 'head -c 100000 /dev/zero; touch written' \
                | { until test -e written; do sleep 0.01; done; wc -c; }";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", text, "sh"]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.stdout.trim(), "100000", "{}", done.stderr);
}

/// As some init scripts start programs; they inherit it.
fn ignored_children() {
    let workshop = Workshop::new();
    let program = "import os, signal, sys\n\
                   signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
                   os.execv(sys.argv[1], [sys.argv[1], 'exec', '--', 'grep', 'SigIgn', '/proc/self/status'])\n";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", program]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let mask = u64::from_str_radix(done.stdout.split_whitespace().last().unwrap(), 16).unwrap();
    assert!(mask & (1 << 16) != 0, "SIGCHLD (17) is still ignored: {}", done.stdout);
}

fn timer() {
    let workshop = Workshop::new();
    let text = "python3 -c 'import signal; signal.alarm(1); signal.pause()'; exit 3";
    let done = workshop.run(&script(&[], text));
    assert_eq!(done.status, 3, "{}", done.stderr);
}

fn device() {
    let workshop = Workshop::new();
    let text = "\"$1\" exec -- /bin/echo hi > /dev/full; echo $?";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", text, "sh"]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.stdout, "1\n", "{}", done.stderr);
}

/// As in a pipeline without us: the reader's end of file comes when the last writer has ended, and a
/// writer hears when the reader has.
fn late_output() {
    let workshop = Workshop::new();
    let through = |text: &str| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", text, "sh"]).arg(workshop.program());
        workshop.furnish(&mut command);
        Started::new(&mut command).finish(LIMIT)
    };
    for trace in ["on", "off"] {
        let done = through(&format!(
            "{{ \"$1\" exec --grace 1ms --trace {trace} -- \
             sh -c '(until test -e gone; do sleep 0.01; done; echo late) & echo early'; \
             echo $?; touch gone; }} | cat; rm gone"
        ));
        assert_eq!(done.stdout, "early\n0\nlate\n", "{}", done.stderr);
    }
    let done = through(
        "{ \"$1\" exec --grace 1ms -- sh -c 'yes 2> /dev/null & echo $! > daemon.pid' 2> notes; \
         touch gone; } | { until test -e gone; do sleep 0.01; done; head -n 1; }",
    );
    assert_eq!(done.stdout, "y\n", "{}", done.stderr);
    assert_eq!(workshop.survivors(LIMIT), [], "nothing of ours stays for nobody");
    let (pid, deadline) = (daemon_pid(&workshop), Instant::now() + LIMIT);
    while lives(pid) {
        assert!(Instant::now() < deadline, "it hears that nobody reads");
        look_again();
    }
}

/// The group is the command's and ours.
fn group_signal() {
    let workshop = Workshop::new();
    let program = "import os, signal, sys\n\
                   count = 0\n\
                   def more(*_):\n    \
                       global count; count += 1; os.write(2, b'got %d\\n' % count)\n\
                   signal.signal(signal.SIGUSR1, more)\n\
                   signal.signal(signal.SIGTERM, lambda *_: sys.exit(count))\n\
                   print('ready', file=sys.stderr, flush=True)\n\
                   while True: signal.pause()\n";
    let mut started = workshop.start(&["exec", "--", "python3", "-c", program]);
    started.wait_for("ready");
    send_signal("USR1", -started.pid());
    started.wait_for("got 1");
    // One that is for us alone is passed on.
    send_signal("USR1", started.pid());
    started.wait_for("got 2");
    send_signal("TERM", started.pid());
    let done = started.finish(LIMIT);
    assert_eq!(done.status, 2, "{}", done.stderr);
}

fn interrupt() {
    let workshop = Workshop::new();
    let program = "import signal, subprocess, sys\n\
                   signal.signal(signal.SIGINT, signal.SIG_DFL)\n\
                   script = 'echo ready; exec sleep 60'\n\
                   words = [sys.argv[1], 'exec', '--', 'sh', '-c', script]\n\
                   child = subprocess.Popen(words, stdout=subprocess.PIPE)\n\
                   child.stdout.readline()\n\
                   child.send_signal(signal.SIGINT)\n\
                   print(child.wait())\n";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", program]).arg(workshop.program());
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.stdout, "-2\n", "by the signal, not by a status: {}", done.stderr);
}

/// A process in the midst of its vfork cannot be stopped, and so not be let go. Its child waits for
/// somebody to write to the pipe that it opens.
fn unstoppable() {
    let workshop = Workshop::new();
    let program = "import os\n\
                   open('near', 'w')\n\
                   opens = [(os.POSIX_SPAWN_OPEN, 0, 'pipe', os.O_RDONLY, 0)]\n\
                   os.posix_spawn('/bin/true', ['true'], {}, file_actions=opens)\n";
    let text = "mkfifo pipe; python3 -c \"$1\" > /dev/null 2>&1 & \
                until test -e near && test -n \"$(cat /proc/$!/task/$!/children)\"; do sleep 0.01; done; \
                echo $! > daemon.pid";
    let done = workshop.run(&["exec", "--grace", "1ms", "--", "sh", "-c", text, "sh", program]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let pid = daemon_pid(&workshop);
    let note = format!("process {pid} could not be let go and was ended");
    assert!(done.stderr.contains(&note), "{}", done.stderr);
    assert!(!lives(pid));
    // Its child goes on, and can.
    drop(std::fs::File::options().read(true).write(true).open(workshop.path("pipe")).unwrap());
}

/// What docs/exec.md shows is what is printed: the lines that bear it, without what differs between
/// machines (addresses, versions, names where there are no symbols).
fn page() {
    let page = include_str!("../../../../docs/exec.md");
    let (_, shown) = page.split_once("```text\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let workshop = Workshop::new();
    let program = "import ctypes; ctypes.string_at(0)";
    let done = workshop.run(&["exec", "--", "python3", "-c", program]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let (expected, printed) = (bearing(shown), bearing(&done.stderr));
    assert_eq!(expected, printed);
    assert!(expected.len() >= 9, "{expected:#?}");
    for text in [shown, &done.stderr] {
        let culprit = text.lines().find(|line| line.contains("= culprit: "));
        assert!(culprit.is_some_and(|line| line.contains("_ctypes")), "{text}");
    }
}

/// The lines of a finding that are the same wherever python3 comes from.
fn bearing(text: &str) -> Vec<String> {
    let same = |line: &&str| {
        let line = line.trim_start();
        let of_machine = ["#", "…", "= 4."].iter().any(|start| line.starts_with(start));
        !line.is_empty() && !of_machine
    };
    let plain = |line: &str| {
        let line = line.replace("/usr/bin/python3", "python3");
        let cut = ["in thread ", "= thread ", "= culprit: ", "= 3. a read of "];
        match cut.iter().find_map(|words| line.find(words).map(|at| at + words.len())) {
            Some(end) => line[..end].to_owned(),
            None => line,
        }
    };
    text.lines().filter(same).map(plain).collect()
}
