//! Names and lines of a program's own source, as `hotfire exec` tells them.

use std::process::Command;

use crate::Case;
use crate::replay::assert_valid;
use crate::workshop::Workshop;

pub(crate) const CASES: &[Case] = &[
    ("source-of-a-frame-and-of-what-is-inlined-there", whole),
    ("source-is-found-in-a-debug-file", separate),
    ("source-stays-in-a-bundle", bundle),
    ("source-of-each-death-of-a-command", of_each_death),
    ("source-of-the-build-that-ran", of_the_build_that_ran),
    ("nameless-functions-are-known-by-their-build", nameless),
];

const PROGRAM: &str = "\
static inline __attribute__((always_inline)) void poke(volatile int *p) {
    *p = 1;
}
__attribute__((noinline)) static void step(volatile int *p, int n) {
    if (n)
        poke(p);
}
int main(int n, char **words) {
    (void)words;
    step((int *)(long)(n - 1), n);
    return n;
}
";

fn run(workshop: &Workshop, program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(workshop.path(".")).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A workshop with a program that writes to a null pointer in an inlined function.
fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.write("crash.c", PROGRAM);
    run(&workshop, "cc", &["-g", "-O1", "-Wl,--build-id", "-o", "crash", "crash.c"]);
    workshop
}

fn frames(workshop: &Workshop) -> Vec<serde_json::Value> {
    let report = workshop.json("out.json");
    assert_valid(&report);
    assert_eq!(report["unavailable"], serde_json::json!([]));
    report["findings"][0]["threads"][0]["frames"].as_array().unwrap().clone()
}

fn assert_lines(workshop: &Workshop) {
    let done = workshop.run(&["exec", "--json", "out.json", "--", "./crash"]);
    for line in [
        "#0 poke at crash.c:2  [inlined]",
        "#1 step at crash.c:6  crash+0x",
        "#2 main at crash.c:10  crash+0x",
    ] {
        assert!(done.stderr.contains(line), "{line} not in {}", done.stderr);
    }
    let frames = frames(workshop);
    let told: Vec<_> = frames
        .iter()
        .take(3)
        .map(|frame| {
            (
                frame["function"].as_str().unwrap(),
                frame["line"].as_u64().unwrap(),
                frame["inlined"].as_bool(),
            )
        })
        .collect();
    assert_eq!(told, [("poke", 2, Some(true)), ("step", 6, None), ("main", 10, None)]);
    assert!(frames[0]["file"].as_str().unwrap().ends_with("/crash.c"));
    assert_eq!((&frames[0]["pc"], &frames[0]["offset"]), (&frames[1]["pc"], &frames[1]["offset"]));
}

fn whole() {
    assert_lines(&workshop());
}

fn separate() {
    let workshop = workshop();
    run(&workshop, "objcopy", &["--only-keep-debug", "crash", "crash.debug"]);
    run(&workshop, "strip", &["crash"]);
    run(&workshop, "objcopy", &["--add-gnu-debuglink=crash.debug", "crash"]);
    assert_lines(&workshop);
}

fn bundle() {
    let workshop = workshop();
    workshop.run(&["exec", "--bundle", "crash.hotfire", "--", "./crash"]);
    std::fs::remove_file(workshop.path("crash")).unwrap();
    let shown = workshop.run(&["show", "crash.hotfire"]);
    assert!(shown.stdout.contains("#0 poke at crash.c:2  [inlined]"), "{}", shown.stdout);
}

/// The innermost functions of all findings with their lines.
fn innermost(workshop: &Workshop) -> Vec<(String, Option<u64>)> {
    let report = workshop.json("out.json");
    let frame = |finding: &serde_json::Value| {
        let frame = &finding["threads"][0]["frames"][0];
        (frame["function"].as_str().unwrap().to_owned(), frame["line"].as_u64())
    };
    report["findings"].as_array().unwrap().iter().map(frame).collect()
}

/// Two programs that crash in functions of their own, in lines of their own.
fn two_builds(flags: &[&str]) -> Workshop {
    let workshop = Workshop::new();
    let source = |function: &str| {
        format!(
            "__attribute__((noinline)) void {function}(volatile int *p) {{ *p = 1; }}\n\
                 int main(void) {{ {function}(0); return 0; }}\n"
        )
    };
    workshop.write("one.c", &source("one"));
    workshop.write("two.c", &format!("\n\n{}", source("two")));
    for name in ["one", "two"] {
        let file = format!("{name}.c");
        run(&workshop, "cc", &[&["-g", "-O1", "-o", name, &file], flags].concat());
    }
    workshop
}

fn of_each_death() {
    let workshop = two_builds(&["-Wl,--build-id"]);
    workshop.run(&["exec", "--json", "out.json", "--", "sh", "-c", "./one; ./two; true"]);
    let expected = [("one".to_owned(), Some(1)), ("two".to_owned(), Some(3))];
    assert_eq!(innermost(&workshop), expected);
}

/// Nothing but the file itself tells builds without a build-id apart; the first one's is gone.
fn of_the_build_that_ran() {
    let workshop = two_builds(&["-Wl,--build-id=none"]);
    let script = "cp one prog; ./prog; rm prog; cp two prog; ./prog; true";
    workshop.run(&["exec", "--json", "out.json", "--", "sh", "-c", script]);
    let expected = [("one".to_owned(), None), ("two".to_owned(), Some(3))];
    assert_eq!(innermost(&workshop), expected);
}

fn nameless() {
    let workshop = workshop();
    run(&workshop, "strip", &["crash"]);
    let done = workshop.run(&["exec", "--json", "out.json", "--", "./crash"]);
    let frames = frames(&workshop);
    let start = frames[0]["function_start"].as_str().unwrap();
    let line = format!("#0 crash+{} (function at {start})", frames[0]["offset"].as_str().unwrap());
    assert!(done.stderr.contains(&line), "{line} not in {}", done.stderr);
    let finding = &workshop.json("out.json")["findings"][0];
    assert_eq!(finding["culprit"]["function_start"], start);
    let build = finding["culprit"]["build_id"].as_str().unwrap();
    let basis = finding["signature"]["basis"].as_array().unwrap();
    for part in [format!("build={build}"), format!("function-start={start}")] {
        assert!(basis.contains(&part.clone().into()), "{part} not in {basis:?}");
    }
    // Another build of the same name is another finding.
    let first = finding["id"].clone();
    workshop.write("crash.c", &PROGRAM.replace("return n;", "return n + 1;"));
    run(&workshop, "cc", &["-O1", "-s", "-Wl,--build-id", "-o", "crash", "crash.c"]);
    workshop.run(&["exec", "--json", "out.json", "--", "./crash"]);
    assert_ne!(workshop.json("out.json")["findings"][0]["id"], first);
}
