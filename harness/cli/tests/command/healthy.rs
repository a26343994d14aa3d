//! Healthy programs under `hotfire exec`: no finding, and their own status and output. A program that
//! is not on this machine is reported as ignored, by name.

use libtest_mimic::Trial;

use crate::trial;
use crate::workshop::Workshop;

/// What must be here, and the test.
const PROGRAMS: &[(&str, &str, fn())] = &[
    ("python3", "exec-leaves-python-alone", python),
    ("python3", "exec-leaves-an-exec-from-a-thread-alone", exec_from_thread),
    ("python3", "exec-leaves-a-failing-test-suite-alone", failing_suite),
    ("node", "exec-leaves-node-alone", node),
    ("gdb", "exec-leaves-a-debugger-without-a-program-alone", gdb),
    ("java", "exec-leaves-a-jvm-that-lives-on-faults-alone", jvm),
    ("cargo", "exec-leaves-a-build-alone", build),
    ("bash", "exec-leaves-a-pipeline-alone", pipeline),
];

pub(crate) fn trials() -> Vec<Trial> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let is_here = |program: &str| folders.iter().any(|folder| folder.join(program).is_file());
    let one = |(program, name, test): &(&str, &'static str, fn())| {
        let missing = !is_here(program);
        if missing {
            eprintln!("SKIP {name}: no {program}");
        }
        trial((name, *test)).with_ignored_flag(missing)
    };
    PROGRAMS.iter().map(one).collect()
}

/// Runs a command; it must end so, and Hotfire must say nothing of it.
fn silent(workshop: &Workshop, command: &[&str], status: i32, stdout: &str) {
    let done = workshop.run(&[&["exec", "--json", "out.json", "--"], command].concat());
    assert_eq!((done.status, done.stdout.as_str()), (status, stdout), "{}", done.stderr);
    let report = workshop.json("out.json");
    assert_eq!(report["findings"], serde_json::json!([]));
    assert!(!done.stderr.contains("hotfire"), "{}", done.stderr);
}

fn python() {
    let program = "import multiprocessing, threading\n\
                   def square(x): return x * x\n\
                   if __name__ == '__main__':\n    \
                       threading.Thread(target=print, args=('thread',), daemon=True).start()\n    \
                       with multiprocessing.Pool(3) as pool: print(pool.map(square, range(5)))\n";
    let workshop = Workshop::new();
    workshop.write("pool.py", program);
    silent(&workshop, &["python3", "-u", "pool.py"], 0, "thread\n[0, 1, 4, 9, 16]\n");
    let handler = "import os, signal, sys\n\
                   signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n\
                   os.kill(os.getpid(), signal.SIGTERM)\n\
                   signal.pause()\n";
    silent(&workshop, &["python3", "-c", handler], 3, "");
}

fn exec_from_thread() {
    let program = "import os, threading\n\
                   threading.Thread(target=os.execvp, args=('echo', ['echo', 'from a thread'])).start()\n\
                   threading.Event().wait(20)\n";
    silent(&Workshop::new(), &["python3", "-c", program], 0, "from a thread\n");
}

fn failing_suite() {
    let workshop = Workshop::new();
    let suite = "import unittest\n\
                 class Test(unittest.TestCase):\n    \
                     def test(self): self.assertEqual(1, 2)\n\
                 unittest.main()\n";
    workshop.write("suite.py", suite);
    silent(&workshop, &["python3", "suite.py"], 1, "");
}

fn node() {
    let program = "const { Worker, isMainThread } = require('worker_threads');\
                   new Worker('require(\"worker_threads\").parentPort.postMessage(7)', { eval: true })\
                   .on('message', (m) => console.log(m));";
    silent(&Workshop::new(), &["node", "-e", program], 0, "7\n");
}

fn gdb() {
    silent(&Workshop::new(), &["gdb", "-nx", "--batch", "-ex", "print 1+1"], 0, "$1 = 2\n");
}

/// A JVM finds null pointers by faults of its own, and ends threads by signals.
fn jvm() {
    let workshop = Workshop::new();
    let program = "public class Faults {\n\
                   static int hash(Object object) { return object.hashCode(); }\n\
                   public static void main(String[] arguments) {\n\
                   int caught = 0;\n\
                   for (int i = 0; i < 30000; i++) {\n\
                   try { hash(i % 3 == 0 ? null : \"x\"); }\n\
                   catch (NullPointerException fault) { caught++; }\n\
                   }\n\
                   System.out.println(caught);\n\
                   }\n}\n";
    workshop.write("Faults.java", program);
    silent(&workshop, &["java", "Faults.java"], 0, "10000\n");
}

fn build() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("src")).unwrap();
    let package =
        "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n";
    workshop.write("Cargo.toml", package);
    workshop.write("src/main.rs", "fn main() { println!(\"built\"); }\n");
    silent(&workshop, &["cargo", "run", "--quiet", "--offline"], 0, "built\n");
}

fn pipeline() {
    let text = "seq 1 100000 | sort -r | head -n 2; exit 4";
    silent(&Workshop::new(), &["bash", "-c", text], 4, "99999\n99998\n");
}
