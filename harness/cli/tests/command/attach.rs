//! `hotfire attach`: processes of the tests' own, which go on as if nobody had looked.
//!
//! Deliberately absent: which waits are which class (`hangs.rs`, hotfire-core's golden tests).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotfire_sys::{procfs, target};
use serde_json::Value;

use crate::Case;
use crate::hangs::{PYTHON, hangs};
use crate::replay::assert_valid;
use crate::workshop::{Done, LIMIT, Started, Workshop, look_again, send_signal};

pub(crate) const CASES: &[Case] = &[
    ("attach-tells-a-deadlock-and-lets-it-be", deadlock),
    ("attach-leaves-a-busy-server-alone", busy_server),
    ("attach-tells-a-forked-child-that-waits-for-threads", forked_child),
    ("attach-leaves-what-was-stopped-stopped", stopped),
    ("attach-lets-go-when-it-is-ended", ended_itself),
    ("attach-refuses-what-nobody-can-look-at", nobody_can),
    ("attach-tells-who-traces-already", already_traced),
    ("attach-tells-what-to-do-where-it-may-not", may_not),
];

/// A process that is ended with the test.
struct Subject(Child);

impl Subject {
    fn new(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn hangs(way: &str) -> Self {
        Self::new(Command::new(hangs()).arg(way).stdout(Stdio::null()))
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn text(&self) -> String {
        self.pid().to_string()
    }

    /// Until all threads sleep, as many as these, in all processes.
    fn settle(&self, threads: usize) {
        let is_so = || {
            let pids = [vec![self.pid()], procfs::children(self.pid())].concat();
            let tids = pids.iter().flat_map(|pid| procfs::threads(*pid).unwrap_or_default());
            let states: Vec<char> =
                tids.filter_map(|tid| Some(procfs::stat(tid).ok()?.state)).collect();
            states.len() == threads && states.iter().all(|state| *state == 'S')
        };
        let deadline = Instant::now() + LIMIT;
        // Three times in a row: it may sleep on its way there, too.
        let mut times = 0;
        while times < 30 {
            assert!(Instant::now() < deadline, "it does not come to rest");
            times = if is_so() { times + 1 } else { 0 };
            look_again();
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        for child in procfs::children(self.pid()) {
            let _ = hotfire_sys::end_process(child);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nobody traces any thread of it, and none is stopped.
fn assert_goes_on(pid: i32) {
    for tid in procfs::threads(pid).unwrap() {
        let seen = target(tid).unwrap();
        assert_eq!(seen.tracer, 0, "thread {tid} is still traced");
        assert!(!matches!(seen.state, 'T' | 't'), "thread {tid} is stopped");
    }
}

fn deadlock() {
    let (workshop, subject) = (Workshop::new(), Subject::hangs("crossed-mutexes"));
    subject.settle(2);
    let arguments = ["attach", &subject.text(), "--json", "out.json", "--bundle", "a.hotfire"];
    let done = workshop.run(&arguments);
    assert_eq!((done.status, done.stdout.as_str()), (100, ""), "{}", done.stderr);
    assert_goes_on(subject.pid());
    let report = workshop.json("out.json");
    assert_valid(&report);
    assert_eq!((&report["verb"], &report["exit_code"]), (&"attach".into(), &100.into()));
    let finding = &report["findings"][0];
    assert_eq!((&finding["code"], &finding["class"]), (&"H305".into(), &"deadlock".into()));
    assert_eq!(finding["victim"]["relation"], "process");
    assert_eq!(finding["deadlock"].as_array().unwrap().len(), 2, "{finding:#}");
    assert!(done.stderr.contains("merge_rows") && done.stderr.contains("swap_rows"));
    assert!(done.stderr.contains("see it again: hotfire attach "), "{}", done.stderr);
    // A second look says the same.
    let again = workshop.run(&["attach", &subject.text(), "--json", "-"]);
    assert_eq!(again.json()["findings"][0]["signature"], finding["signature"]);
    let shown = workshop.run(&["show", "a.hotfire", "--threads"]);
    assert!(shown.stdout.contains("H305 HANG: ") && shown.stdout.contains("merge_rows"));
    assert_goes_on(subject.pid());
}

const SERVER: &str = "
import http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = str(sum(range(20000))).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
";

/// One request on a connection of its own.
fn request(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn busy_server() {
    let workshop = Workshop::new();
    let mut server =
        Subject::new(Command::new("python3").args(["-c", SERVER]).stdout(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let is_over = AtomicBool::new(false);
    let client = || {
        let (mut answered, mut slowest) = (0, Duration::ZERO);
        while !is_over.load(Ordering::Relaxed) || answered == 0 {
            let begun = Instant::now();
            let answer = request(port);
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.ends_with("199990000"),
                "{answer}"
            );
            slowest = slowest.max(begun.elapsed());
            answered += 1;
        }
        (answered, slowest)
    };
    let looks: Vec<Done> = std::thread::scope(|scope| {
        let clients = [scope.spawn(client), scope.spawn(client)];
        let looks = (0..3).map(|_| workshop.run(&["attach", &server.text(), "--json", "-"]));
        let looks = looks.collect();
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            // A panic of its own says what was not answered.
            let (answered, slowest) = client.join().unwrap();
            assert!(answered > 10 && slowest < Duration::from_secs(5), "{answered} {slowest:?}");
        }
        looks
    });
    let mut texts = Vec::new();
    for look in &looks {
        assert_eq!(look.status, 0, "{}", look.stderr);
        assert!(look.stderr.contains("note: no finding in 1 process"), "{}", look.stderr);
        let report = look.json();
        assert_valid(&report);
        assert_eq!(report["findings"], Value::Array(Vec::new()));
        texts.push(report["processes"][0]["threads"].to_string());
        let first = &report["processes"][0]["threads"][0];
        assert!(first["watched_ms"].as_u64().is_some_and(|time| time >= 150), "{first:#}");
    }
    // An interpreter that is making a thread at this moment cannot be read.
    assert!(texts.iter().any(|text| text.contains("BaseServer.serve_forever")), "{texts:#?}");
    assert_goes_on(server.pid());
    assert!(request(port).starts_with("HTTP/1.1 200"));
}

fn forked_child() {
    let workshop = Workshop::new();
    workshop.write("ways.py", PYTHON);
    let way = ["ways.py", "queue-across-fork", "-"];
    let command = &mut Command::new("python3");
    let parent =
        Subject::new(command.args(way).current_dir(workshop.path("")).stdout(Stdio::null()));
    parent.settle(3);
    let child = procfs::children(parent.pid())[0];
    // Asked about the parent; about the child alone; about the parent alone, which merely waits.
    let look = |pid: i32, more: &[&str]| {
        let pid = pid.to_string();
        workshop.run(&[&["attach", &pid, "--json", "-"], more].concat())
    };
    for (pid, relation) in [(parent.pid(), "descendant"), (child, "process")] {
        let done = look(pid, &[]);
        assert_eq!(done.status, 100, "{}", done.stderr);
        let finding = &done.json()["findings"][0];
        assert_eq!(finding["class"], "fork-orphaned-lock", "{finding:#}");
        assert_eq!(finding["victim"]["pid"], child);
        assert_eq!(finding["victim"]["relation"], relation);
        assert!(finding["threads"].to_string().contains("queue_across_fork"), "{finding:#}");
    }
    let done = look(parent.pid(), &["--alone"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert_eq!(done.json()["processes"].as_array().unwrap().len(), 1);
    assert_goes_on(parent.pid());
    assert_goes_on(child);
}

fn stopped() {
    let (workshop, subject) = (Workshop::new(), Subject::hangs("contention"));
    subject.settle(2);
    send_signal("STOP", subject.pid());
    let done = workshop.run(&["attach", &subject.text()]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(done.stdout.contains("stopped by a signal before this look"), "{}", done.stdout);
    assert!(done.stdout.contains("contends"), "{}", done.stdout);
    for tid in procfs::threads(subject.pid()).unwrap() {
        let seen = target(tid).unwrap();
        assert_eq!((seen.tracer, seen.state), (0, 'T'));
    }
    send_signal("CONT", subject.pid());
    subject.settle(2);
}

/// Killed, interrupted or asked to end in the midst of its looks.
fn ended_itself() {
    let (workshop, subject) = (Workshop::new(), Subject::hangs("contention"));
    subject.settle(2);
    for (name, status) in [("KILL", 137), ("INT", 130), ("TERM", 143)] {
        let started = workshop.start(&["attach", &subject.text()]);
        let deadline = Instant::now() + LIMIT;
        while target(subject.pid()).unwrap().tracer != started.pid() {
            assert!(Instant::now() < deadline, "it was not seized");
            look_again();
        }
        send_signal(name, started.pid());
        assert_eq!(started.finish(LIMIT).status, status, "{name}");
        assert_eq!(target(subject.pid()).unwrap().tracer, 0);
        subject.settle(2);
    }
}

fn assert_refused(done: &Done, status: i32, texts: &[&str]) {
    assert_eq!((done.status, done.stdout.as_str()), (status, ""), "{}", done.stderr);
    for text in texts {
        assert!(done.stderr.contains(text), "{text:?} is not in:\n{}", done.stderr);
    }
}

fn nobody_can() {
    let workshop = Workshop::new();
    let attach = |pid: i32| workshop.run(&["attach", &pid.to_string()]);
    assert_refused(&attach(i32::MAX), 2, &["there is no such process", "help: `pgrep -af NAME`"]);
    assert_refused(&workshop.run(&["attach", "0"]), 2, &["invalid value '0'"]);
    let own = i32::try_from(std::process::id()).unwrap();
    assert_refused(&attach(own), 2, &["one that started it", "another terminal"]);
    let mut ended = Subject::new(Command::new("true").stdout(Stdio::null()));
    let deadline = Instant::now() + LIMIT;
    while procfs::stat(ended.pid()).unwrap().state != 'Z' {
        assert!(Instant::now() < deadline);
        look_again();
    }
    let parent = format!("help: hotfire attach {own}");
    assert_refused(&attach(ended.pid()), 2, &["it has ended, and its parent", &parent]);
    ended.0.wait().unwrap();
    let subject = Subject::hangs("crossed-mutexes");
    subject.settle(2);
    let thread = procfs::threads(subject.pid()).unwrap().into_iter().max().unwrap();
    assert_refused(&attach(thread), 2, &[&format!("a thread of process {}", subject.pid())]);
    // A report that could not be written is told before anything is looked at.
    let arguments = ["attach", &subject.text(), "--json", "nowhere/out.json"];
    assert_refused(&workshop.run(&arguments), 110, &["there is no folder"]);
}

fn already_traced() {
    let workshop = Workshop::new();
    let subject = Subject::hangs("contention");
    subject.settle(2);
    // This very thread is the tracer until the end of the test.
    let tracee = hotfire_sys::Tracee::new(subject.pid());
    tracee.visit().unwrap();
    let own = std::process::id();
    let done = workshop.run(&["attach", &subject.text()]);
    let texts = [format!("process {own} `"), "only one can".to_owned(), "gdb: detach".to_owned()];
    assert_refused(&done, 97, &texts.each_ref().map(String::as_str));
}

fn may_not() {
    let workshop = Workshop::new();
    let subject = Subject::hangs("contention");
    subject.settle(2);
    let program = crate::refusals::without_ptrace(&workshop);
    let mut command = Command::new(program);
    command.arg(workshop.program()).args(["attach", &subject.text()]);
    workshop.furnish(&mut command);
    let done = Started::new(&mut command).finish(LIMIT);
    // Which of its reasons is told first hangs on the machine's settings.
    assert_refused(&done, 97, &["error: cannot look at process ", "help: "]);
    assert!(["SYS_PTRACE", "sudo"].iter().any(|way| done.stderr.contains(way)), "{}", done.stderr);
    assert_goes_on(subject.pid());
}
