//! Scenario files: what is read, and each error as people read it.

use hotfire_plan::scenario::{Census, Expectation, ExpectedFinding, Limits, Scenario};

const FULL: &str = r#"
name = "swap-cleanup-order"
summary = "the native engine outlives its tensors"
reproduces = "reports/0"
lifecycle = "swap"
engine = "reference:defect=cleanup-order"
runs = 3
census = "steps"
plans = [
  'create a = ENGINE; load a tiny; swap a engine=reference; exit',
  "create a = ENGINE; load a \"ti ny\"",
  '''
create a = ENGINE
load a tiny
''',
]
[limits]
step = "2s"
run = "5s"
exit = "1500us"
grace = "0ms"
beat = "100ms"
processes = 8
[expect]
status = ["SIGSEGV", "EXIT-CRASH"]
phase = ["swap"]
class = ["use-after-free"]
step = [3]
"#;

const SMALL: &str = "name = 'a'\nlifecycle = 'load'\nplans = ['exit']\n";

fn refusal(text: &str) -> String {
    Scenario::parse(text).map_or_else(|error| error.render("a.toml", text), |_| "read".to_owned())
}

#[test]
fn a_full_file_is_read() {
    let scenario = Scenario::parse(FULL).expect("is well-formed");
    assert_eq!(scenario.name, "swap-cleanup-order");
    assert_eq!(scenario.reproduces, "reports/0");
    assert_eq!(scenario.engine.to_string(), "reference:defect=cleanup-order");
    assert_eq!((scenario.runs, scenario.census), (3, Census::Steps));
    let plans: Vec<(u32, String)> =
        scenario.plans.iter().map(|plan| (plan.line, plan.plan.to_string())).collect();
    assert_eq!(
        plans,
        [
            (10, "create a = ENGINE; load a tiny; swap a engine=reference; exit".to_owned()),
            (11, "create a = ENGINE; load a \"ti ny\"".to_owned()),
            (12, "create a = ENGINE; load a tiny".to_owned()),
        ]
    );
    assert_eq!(
        scenario.limits,
        Limits {
            step_ms: 2_000,
            run_ms: 5_000,
            exit_ms: 2,
            grace_ms: 0,
            beat_ms: 100,
            processes: 8
        }
    );
    assert_eq!(
        scenario.expect,
        Expectation::Finding(ExpectedFinding {
            status: vec!["SIGSEGV".to_owned(), "EXIT-CRASH".to_owned()],
            phase: vec!["swap".to_owned()],
            class: vec!["use-after-free".to_owned()],
            step: vec![3],
        })
    );
}

#[test]
fn a_small_file_has_defaults() {
    let scenario = Scenario::parse(SMALL).expect("is well-formed");
    assert_eq!(scenario.engine.to_string(), "reference");
    assert_eq!((scenario.runs, scenario.census), (1, Census::Ends));
    assert_eq!(scenario.limits, Limits::default());
    assert_eq!(scenario.expect, Expectation::Pass);
    let passing = format!("{SMALL}[expect]\nstatus = ['PASS']\n");
    assert_eq!(Scenario::parse(&passing).expect("is well-formed").expect, Expectation::Pass);
}

#[test]
fn an_unknown_key_names_the_one_meant() {
    assert_eq!(
        refusal("name = 'a'\nlifecycle = 'load'\nplan = ['exit']\n"),
        "a.toml:3:1: unknown key `plan`\n  |\n3 | plan = ['exit']\n  | ^^^^\n\
         help: did you mean `plans`?"
    );
}

#[test]
fn a_plan_is_marked_within_the_file() {
    let expected = "a.toml:4:23: unknown operation `lod`\n  |\n\
         4 |   'create a = ENGINE; lod a tiny',\n  |                       ^^^\n\
         help: did you mean `load`?";
    let head = "name = 'a'\nlifecycle = 'load'\nplans = [\n";
    assert_eq!(refusal(&format!("{head}  'create a = ENGINE; lod a tiny',\n]\n")), expected);
    let in_lines = format!("{head}'''\ncreate a = ENGINE\nlod a tiny''']\n");
    assert!(refusal(&in_lines).starts_with("a.toml:6:1: unknown operation `lod`\n"));
}

#[test]
fn a_plan_with_escapes_is_marked_by_itself() {
    assert_eq!(
        refusal("name = 'a'\nlifecycle = 'load'\nplans = [\"load a \\\"m\\\"; lod a tiny\"]\n"),
        "a.toml:3: the value without its escapes:1:13: unknown operation `lod`\n  |\n\
         1 | load a \"m\"; lod a tiny\n  |             ^^^\n\
         help: did you mean `load`?"
    );
}

#[test]
fn every_refusal_says_where_why_and_what_to_do() {
    for (text, place, message, help) in [
        ("lifecycle = 'a'\nplans = ['']", "1:1", "key `name` is missing", "name = \"swap"),
        ("name = 'a'\nplans = ['']", "1:1", "key `lifecycle` is missing", "lifecycle ="),
        ("name = 'a'\nlifecycle = 'a'", "1:1", "key `plans` is missing", "plans = ["),
        ("name = 'a'\nlifecycle = 'a'\nplans = []", "3:9", "no plan", "at least one"),
        ("name = 'A b'\nlifecycle = 'a'\nplans = ['']", "1:8", "no name", "lower-case"),
        (
            "name = 3",
            "1:8",
            "invalid type",
            "write `name = \"swap-cleanup-order\"`; scenarios/README",
        ),
        ("name = 'a", "1:10", "invalid literal string", "README"),
    ] {
        let rendered = refusal(text);
        assert!(rendered.starts_with(&format!("a.toml:{place}: ")), "{text}: {rendered}");
        assert!(rendered.contains(message) && rendered.contains(help), "{text}: {rendered}");
    }
    for (addition, message, help) in [
        ("runs = 0", "0 is not from 1 to 100000", "range"),
        ("runs = -1", "invalid value", "write `runs = 1`; scenarios/README"),
        ("runs = \"3\"", "invalid type: string", "write `runs = 3`; scenarios/README"),
        ("[limits]\nstep = 5", "expected a string", "write `step = \"10s\"`"),
        ("[expect]\nstatus = 'HANG'", "expected a sequence", "write `status = ['HANG']`"),
        ("[expect]\nstep = ['2']", "expected u32", "write `2`"),
        ("limits = 3", "invalid type", "scenarios/README"),
        ("engine = 'reference:x'", "a.toml:4:22: expected `=`", "an engine is like"),
        ("engine = 'ENGINE'", "cannot stand for itself", "name an engine kind"),
        ("[limits]\nstp = '1s'", "unknown key `stp`", "did you mean `step`?"),
        ("[limits]\nfrobnicate = 1", "unknown key `frobnicate`", "keys are step, run"),
        ("[limits]\nstep = '1'", "`1` is no time", "us, ms or s"),
        ("[limits]\nstep = '0s'", "a limit of no time", "longer"),
        ("census = \"step\"", "`step`", "did you mean `steps`?"),
        ("[limits]\nprocesses = 0", "0 is not from 1 to 4096", "range"),
        ("[expect]", "an expectation of nothing", "expect PASS"),
        ("[expect]\nstatus = ['SIGSEV']", "unknown status `SIGSEV`", "did you mean `SIGSEGV`?"),
        ("[expect]\nstatus = ['FLAKY']", "unknown status `FLAKY`", "it can be PASS"),
        ("[expect]\nstatus = ['PASS', 'HANG']", "PASS beside something else", "alone"),
        ("[expect]\nphase = ['swop']", "unknown phase `swop`", "did you mean `swap`?"),
        ("[expect]\nclass = ['dead-lock']", "unknown class", "did you mean `deadlock`?"),
        ("[expect]\nstep = [2]", "no plan has a step 2", "from 1"),
        ("[expect]\nstep = [0]", "no plan has a step 0", "from 1"),
    ] {
        let rendered = refusal(&format!("{SMALL}{addition}"));
        assert!(rendered.contains(message) && rendered.contains(help), "{addition}: {rendered}");
    }
}

#[test]
fn every_scenario_of_the_repository_is_read_and_has_the_name_of_its_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is part of the repository") {
        let path = entry.expect("the folder can be listed").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let scenario = Scenario::parse(&text).map_err(|error| error.render(&file, &text));
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        assert_eq!(scenario.map(|scenario| Some(scenario.name)), Ok(stem));
        count += 1;
    }
    assert!(count > 0, "no scenario in {folder}");
}
