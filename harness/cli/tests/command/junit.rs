//! `--junit`: parsed by Python's expat, validated by xmllint against a schema that is narrower than
//! Jenkins' own, and with a child that prints what no parser likes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use hotfire_core::diagnose::OutputTail;
use hotfire_core::report::{CiReport, JUNIT_BYTES_MAX, Report, render_junit};
use libtest_mimic::Trial;

use crate::workshop::{LIMIT, Started, Workshop};
use crate::{Case, trial};

const CASES: &[Case] = &[
    ("junit-tells-failures-passes-and-skips", tells_failures_passes_and_skips),
    ("junit-of-any-bytes-is-read-by-expat", of_any_bytes_is_read_by_expat),
    ("junit-of-a-child-that-prints-100-mb", of_a_child_that_prints_100_mb),
    ("junit-on-standard-output", on_standard_output),
    ("junit-that-cannot-be-written", that_cannot_be_written),
    ("junit-and-json-in-one-place", and_json_in_one_place),
];
pub(crate) const CRASH: &str =
    "create a = reference:defect=cleanup-order; load a tiny; swap a engine=reference; exit";

pub(crate) fn trials() -> Vec<Trial> {
    let has_xmllint = Command::new("xmllint").arg("--version").output().is_ok();
    if !has_xmllint {
        eprintln!("SKIP junit-schema: no xmllint; help: apt-get install libxml2-utils");
    }
    let mut trials: Vec<Trial> = CASES.iter().copied().map(trial).collect();
    let schema = trial(("junit-validates-against-the-schema", validates_against_the_schema));
    trials.push(schema.with_ignored_flag(!has_xmllint));
    trials
}

/// A scenario that crashes unexpectedly, one that passes, one that is caught.
pub(crate) fn write_scenarios(workshop: &Workshop) {
    let write = |name: &str, plan: &str, rest: &str| {
        let (_, engine) = plan.split_once(" = ").unwrap();
        let engine = engine.split([':', ';']).next().unwrap();
        let text = format!(
            "name = \"{name}\"\nlifecycle = \"swap\"\nengine = \"{engine}\"\nplans = [\n  '{plan}',\n]\n{rest}"
        );
        workshop.write(&format!("scenarios/{name}.toml"), &text);
    };
    std::fs::create_dir(workshop.path("scenarios")).unwrap();
    write("crashes", CRASH, "");
    write("passes", "create a = reference; load a tiny; unload a; exit", "");
    write("caught", CRASH, "[expect]\nstatus = [\"SIGSEGV\"]\n");
    write("away", "create a = llama; load a tiny; exit", "");
}

/// The cases as `class|name|what is in it`, by a parser that is not ours.
const READ: &str = "
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.stdin).getroot()
for case in root.iter('testcase'):
    print(case.get('classname'), case.get('name'), ' '.join(child.tag for child in case), sep='|')
for attribute in ('tests', 'failures', 'errors'):
    total = sum(int(suite.get(attribute)) for suite in root)
    assert total == int(root.get(attribute)), attribute
";

fn read(xml: &[u8]) -> String {
    python(READ, xml)
}

/// What a script says to an input; it fails where the script does.
fn python(script: &str, input: &[u8]) -> String {
    let mut python = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(input).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{:.9000}", String::from_utf8_lossy(input));
    String::from_utf8(output.stdout).unwrap()
}

fn tells_failures_passes_and_skips() {
    let workshop = Workshop::new();
    write_scenarios(&workshop);
    let mut command = workshop.command(&["run", "--junit", "junit.xml", "--json", "out.json"]);
    command.env("HOTFIRE_LLAMA_DIR", workshop.path("tmp"));
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!((done.status, done.stdout.as_str()), (100, ""), "{}", done.stderr);
    let xml = std::fs::read_to_string(workshop.path("junit.xml")).unwrap();
    let cases = read(xml.as_bytes());
    let mut kinds: Vec<String> = cases
        .lines()
        .map(|case| {
            let fields: Vec<&str> = case.split('|').collect();
            format!("{} {}", fields[0], fields[2])
        })
        .collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "llama.away skipped",
            "reference.caught ",
            "reference.crashes failure",
            "reference.passes "
        ]
    );
    // What the text report tells of it, the steps' results included; the class is the finding's,
    // which is not this test's matter.
    let report = workshop.json("out.json");
    let results = report["results"].as_array().unwrap();
    let crash = results.iter().find(|plan| plan["scenario"] == "crashes").unwrap();
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["id"] == crash["finding"]).unwrap();
    let kind = format!("SIGSEGV/{}\"", finding["class"].as_str().unwrap());
    for text in [
        kind.as_str(),
        "C101 SIGSEGV: ",
        "= likely cause: ",
        "(scenarios/crashes.toml:5)",
        "&lt;-- SIGSEGV",
        "see it again: hotfire replay &apos;create a = ",
    ] {
        assert!(xml.contains(text), "{text:?} is not in:\n{xml}");
    }
}

fn validates_against_the_schema() {
    let workshop = Workshop::new();
    write_scenarios(&workshop);
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/junit.xsd");
    let validate = |file: &Path| {
        let mut xmllint = Command::new("xmllint");
        xmllint.args(["--noout", "--nonet", "--schema"]).args([&schema, file]).output().unwrap()
    };
    assert_eq!(workshop.run(&["run", "--junit", "junit.xml"]).status, 100);
    let output = validate(&workshop.path("junit.xml"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Every verdict, as the golden test of the core keeps them.
    let snapshot = include_str!(
        "../../../core/tests/golden/snapshots/golden__ci__every_verdict_as_junit.snap"
    );
    let (_, xml) = snapshot.split_once("<?xml").unwrap();
    workshop.write("golden.xml", &format!("<?xml{xml}"));
    let output = validate(&workshop.path("golden.xml"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The schema would tell.
    workshop.write(
        "wrong.xml",
        &format!("<?xml{}", xml.replace("<testcase ", "<testcase file=\"a\" ")),
    );
    assert!(!validate(&workshop.path("wrong.xml")).status.success());
    workshop.write("twice.xml", &format!("<?xml{}", xml.replace(" (2)", "")));
    assert!(!validate(&workshop.path("twice.xml")).status.success());
}

/// Every line holds one document as JSON text.
const READ_ALL: &str = "
import json, sys, xml.parsers.expat as expat
count = 0
for line in sys.stdin:
    expat.ParserCreate().Parse(json.loads(line).encode(), True)
    count += 1
print(count)
";
const DOCUMENTS: usize = 300;

/// The core's property test has the same for a parser in Rust.
fn of_any_bytes_is_read_by_expat() {
    let stored = include_str!("../../../core/tests/golden/stored/report.json");
    let stored: Report = serde_json::from_str(stored).unwrap();
    let mut seed = 7u64;
    let mut documents = String::new();
    for _ in 0..DOCUMENTS {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            // Knuth's MMIX; the high bits are the random ones.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        })
        .take(400)
        .collect();
        let text = String::from_utf8_lossy(&bytes).into_owned() + "]]>\u{fffe}\u{0}\u{1b}[1m&#1;";
        let mut report = stored.clone();
        for plan in &mut report.results {
            plan.scenario.clone_from(&text);
            plan.plan.clone_from(&text);
            plan.reason = Some(text.clone());
        }
        report.findings[0].title.clone_from(&text);
        let output = OutputTail { stdout: text.clone(), stderr: text };
        report.findings[0].output_tail = Some(output);
        let ci = CiReport { report: &report, text_of: &|_| None };
        let xml = render_junit(&ci, JUNIT_BYTES_MAX);
        documents.push_str(&(serde_json::to_string(&xml).unwrap() + "\n"));
    }
    assert_eq!(python(READ_ALL, documents.as_bytes()), format!("{DOCUMENTS}\n"));
}

/// Runs a command and prints the largest memory of it and of its own children, in KiB; but for the
/// helper that reads debug information, which sees no output.
const MEASURE: &str = "
import pathlib, subprocess, sys, time
def peak(pid):
    folder = pathlib.Path(f'/proc/{pid}')
    try:
        if b'__symbolize' in (folder / 'cmdline').read_bytes():
            return 0
        lines = (folder / 'status').read_text().splitlines()
        children = (folder / f'task/{pid}/children').read_text().split()
    except OSError:
        return 0
    own = [int(line.split()[1]) for line in lines if line.startswith('VmHWM:')]
    return max(own + [peak(child) for child in children], default=0)
process = subprocess.Popen(sys.argv[1:])
most = 0
while process.poll() is None:
    most = max(most, peak(process.pid))
    time.sleep(0.005)
print(most)
sys.exit(process.returncode)
";
/// Less than half of what the child prints.
const MEMORY_KIB_MAX: u64 = 48 * 1024;

fn of_a_child_that_prints_100_mb() {
    let workshop = Workshop::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hostile_output.c");
    let library = workshop.path("hostile.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]);
    assert!(compiler.status().unwrap().success());
    let plan = format!(
        "env LD_PRELOAD=\"{}\"; create a = reference; load a tiny; exit",
        library.display()
    );
    let mut command = Command::new("python3");
    workshop.furnish(&mut command);
    command.args(["-c", MEASURE]).arg(workshop.program());
    command.args(["replay", &plan, "--runs", "1", "--junit", "junit.xml", "--json", "out.json"]);
    command.args(["--github", "on"]).env("GITHUB_STEP_SUMMARY", workshop.path("summary.md"));
    let done = Started::new(&mut command).finish(LIMIT);
    assert_eq!(done.status, 100, "{}", done.stderr);
    let memory_kib: u64 = done.stdout.trim().parse().unwrap();
    assert!((1..MEMORY_KIB_MAX).contains(&memory_kib), "{memory_kib} KiB");
    let report = workshop.json("out.json");
    assert_eq!(report["findings"][0]["status"], "EXIT-CRASH", "{}", done.stderr);
    let xml = std::fs::read(workshop.path("junit.xml")).unwrap();
    assert!(xml.len() < 100_000, "{} bytes", xml.len());
    let cases = read(&xml);
    assert!(cases.contains("|failure system-out system-err\n"), "{cases}");
    let text = String::from_utf8(xml).unwrap();
    assert!(text.contains("]]&gt;") && !text.contains("[[ATTACHMENT|/etc"), "{text}");
    // None of it is a command to the runner: one annotation, which is ours.
    let is_command = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
    let commands: Vec<&str> = done.stderr.lines().filter(is_command).collect();
    assert_eq!(commands.len(), 1, "{commands:#?}");
    assert!(commands[0].starts_with("::error title=EXIT-CRASH"), "{commands:?}");
    let summary = std::fs::read_to_string(workshop.path("summary.md")).unwrap();
    assert!(summary.len() < 100_000 && summary.matches("</pre>").count() == 1, "{summary}");
    assert_eq!(workshop.survivors(std::time::Duration::ZERO), []);
}

fn on_standard_output() {
    let workshop = Workshop::new();
    let done = workshop.run(&["replay", CRASH, "--runs", "1", "--junit", "-"]);
    assert_eq!(done.status, 100, "{}", done.stderr);
    assert!(read(done.stdout.as_bytes()).starts_with("reference.plan|"), "{}", done.stdout);
}

fn that_cannot_be_written() {
    let workshop = Workshop::new();
    let replay =
        |arguments: &[&str]| workshop.run(&[&["replay", CRASH, "--runs", "1"], arguments].concat());
    let done = replay(&["--junit", "/dev/full", "--json", "out.json"]);
    assert_eq!(done.status, 110, "{}", done.stderr);
    assert!(
        done.stderr.contains("error: cannot write /dev/full: No space left"),
        "{}",
        done.stderr
    );
    // The other report is there all the same.
    assert_eq!(workshop.json("out.json")["exit_code"], 100);
    let done = replay(&["--junit", "missing/junit.xml"]);
    assert_eq!(done.status, 110, "{}", done.stderr);
    assert!(done.stderr.contains("there is no folder `missing`\nhelp: mkdir"), "{}", done.stderr);
    assert!(!done.stderr.contains("seed"), "{}", done.stderr);
}

fn and_json_in_one_place() {
    let workshop = Workshop::new();
    std::os::unix::fs::symlink("out", workshop.path("link")).unwrap();
    workshop.write("out", "");
    for (json, junit) in [("-", "-"), ("new", "./new"), ("out", "link"), ("tmp/../new", "new")] {
        let done = workshop.run(&["replay", CRASH, "--json", json, "--junit", junit]);
        assert_eq!((done.status, done.stdout.as_str()), (2, ""), "{json} {junit}");
        assert!(done.stderr.contains("error: two reports would be written to "), "{}", done.stderr);
        assert!(done.stderr.contains("\nhelp: "), "{}", done.stderr);
    }
}
