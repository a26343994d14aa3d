//! The texts that people read, and the schema that machines read.

use hotfire_core::diagnose::{Code, Finding, Reproduced};
use hotfire_core::judge::wilson;
use hotfire_core::observe::{DescendantEnd, StallReason};
use hotfire_core::report::{
    FindingView, PlanResult, RenderContext, Report, Summary, Whole, render_finding,
    render_result_line, render_summary, schema, step_views,
};

use crate::build::{
    CHILD, Case, crash, descendant, ended, healthy, held_lock, ledger_event, lock, thread,
};

const PLAN: &str =
    "create a = reference:defect=cleanup-order; load a tiny; swap a engine=reference; exit";

fn render(case: &Case, finding: &Finding, context: &RenderContext) -> String {
    let rate = wilson(9, 10);
    let view = FindingView {
        finding,
        scenario: "swap-cleanup-order",
        place: Some(("scenarios/swap.toml", 12)),
        engine: "reference:defect=cleanup-order",
        steps: step_views(&case.observation, &case.program),
        tried: Some(Reproduced { failed: 9, of: 10 }),
        rate: Some(&rate),
        also: &[],
        whole: Whole::By("hotfire show 7c1e-8f02"),
    };
    render_finding(&view, context)
}

fn use_after_free() -> Case {
    let fault = crash(11, 1, Some(0x7f20_0000_0800));
    healthy(PLAN).in_step(3).crashed(fault).saying("swapping").with_ledger(vec![
        ledger_event(10, true, ("tensor", 9, 1), (0x7f20_0000_0000, 0x1000)),
        ledger_event(999_000_000, false, ("tensor", 9, 1), (0, 0)),
    ])
}

/// At most 24 lines, none wider than the page but the commands; the cause within three.
fn assert_look(text: &str, columns: usize) {
    assert!(text.lines().count() <= 24, "{} lines:\n{text}", text.lines().count());
    for line in text.lines().filter(|line| !line.contains("see it again")) {
        assert!(line.chars().count() <= columns, "{line}");
    }
    assert!(
        text.lines()
            .take(3)
            .any(|line| line.contains("= likely cause") || line.contains("= what it is")),
        "{text}"
    );
}

#[test]
fn a_crash_looks_like_a_compilers_error() {
    let case = use_after_free();
    let text = render(&case, &case.finding(), &RenderContext::default());
    assert_look(&text, 98);
    insta::assert_snapshot!(text);
}

#[test]
fn colours_change_nothing_but_colours() {
    let case = use_after_free();
    let plain = render(&case, &case.finding(), &RenderContext::default());
    let colour = RenderContext { color: true, ..RenderContext::default() };
    let coloured = render(&case, &case.finding(), &colour);
    assert!(coloured.contains("\u{1b}[31;1m"));
    assert!(!plain.contains('\u{1b}'));
    let stripped: Vec<String> =
        coloured.lines().map(|line| hotfire_core::report::sanitize(line, 10_000)).collect();
    assert_eq!(stripped.join("\n") + "\n", plain);
}

#[test]
fn the_largest_findings_keep_within_the_page() {
    let long =
        format!("create a = reference; {}; exit", vec!["load a tiny; unload a"; 40].join("; "));
    let mut case = healthy(&long).in_step(41);
    for tid in 0..30 {
        case = case.with_descendant(descendant(300 + tid, DescendantEnd::Signaled(9)));
    }
    let threads = (0..40).map(|tid| thread(CHILD + tid, lock(0x1000))).collect();
    let case = case.stalled(StallReason::EndlessWait, threads);
    for width in [20, 80, 98, 400] {
        let context = RenderContext { color: false, width };
        let text = render(&case, &case.finding(), &context);
        assert_look(&text, width.clamp(80, 98));
        assert!(text.contains("more in `hotfire show"), "what was cut is said:\n{text}");
    }
}

#[test]
fn a_hang_of_two_lanes_shows_both() {
    let plan = "create a = reference; load a tiny; [generate a 16 | swap a engine=reference]; exit";
    let threads = vec![
        thread(CHILD, lock(0x10)),
        thread(101, held_lock(0x1000, 102)),
        thread(102, held_lock(0x2000, 101)),
    ];
    let case = healthy(plan)
        .with_lane(1, 101, 3)
        .with_lane(2, 102, 4)
        .stalled(StallReason::EndlessWait, threads);
    let text = render(&case, &case.finding(), &RenderContext::default());
    assert_look(&text, 98);
    insta::assert_snapshot!(text);
}

#[test]
fn a_contract_violation_shows_its_step() {
    let mut case = healthy("create a = reference; 3x(load a tiny; unload a); exit");
    let lane = &mut case.recorded().lanes[0];
    lane.steps = vec![ended(1, "ok"), ended(2, "ok"), ended(3, "ok"), ended(2, "failed")];
    let text = render(&case, &case.findings()[0], &RenderContext::default());
    assert_look(&text, 98);
    insta::assert_snapshot!(text);
}

#[test]
fn what_the_child_names_cannot_reach_the_terminal() {
    let mut fault = crash(11, 1, Some(0x18));
    fault.victim.thread = "evil\u{1b}]0;owned\u{7}\u{1b}[2J\nC101 PASS".to_owned();
    let case = healthy(PLAN).in_step(3).crashed(fault).saying("\u{1b}[31mred\u{202e}");
    let text = render(&case, &case.finding(), &RenderContext::default());
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("C101 PASS")));
    assert_look(&text, 98);
}

fn result(status: &str, verdict: &str, runs: u32, failed: u32) -> PlanResult {
    PlanResult {
        scenario: "swap".to_owned(),
        engine: "reference".to_owned(),
        plan: "create a = reference; load a tiny; swap a engine=reference; exit".to_owned(),
        file: None,
        line: None,
        status: status.to_owned(),
        expected: None,
        verdict: verdict.to_owned(),
        runs,
        failed,
        seconds: None,
        rate: None,
        finding: None,
        reproduced: None,
        known: None,
        reason: None,
    }
}

#[test]
fn every_status_line_in_one_snapshot() {
    let context = RenderContext::default();
    let with = |mut result: PlanResult, reason: &str| {
        result.reason = Some(reason.to_owned());
        result
    };
    let mut results = vec![
        result("PASS", "as-expected", 1, 0),
        result("PASS", "as-expected", 10, 0),
        result("SIGSEGV", "as-expected", 10, 9),
        result("EXIT-CRASH", "as-expected", 1, 1),
        result("SIGSEGV", "new", 1, 1),
        with(result("SIGSEGV", "flaky", 10, 3), "failed in 3 of 10 runs"),
        with(result("SIGSEGV", "known", 10, 3), "https://example.org/7, 12 days left"),
        with(result("EXIT-CRASH", "expired", 1, 1), "https://example.org/7, expired 1 day ago"),
        result("PASS", "fixed", 12, 0),
        with(result("PASS", "new", 5, 0), "expected SIGSEGV, saw none in 5 runs"),
        with(result("SKIP", "skipped", 0, 0), "no libllama.so; help: scripts/fetch-engines.sh"),
        with(result("BLIND", "blind", 0, 0), "1 of 1 runs: the supervisor died"),
    ];
    for status in ["HANG", "FROZEN", "ORPHANS", "LEAK", "PANIC", "FAIL"] {
        results.push(result(status, "new", 1, 1));
    }
    let text: String =
        results.iter().map(|result| render_result_line(result, 0.0123, 0, &context)).collect();
    for line in text.lines() {
        assert!(line.chars().count() <= 98, "{line}");
    }
    insta::assert_snapshot!(text);
}

fn report(results: Vec<PlanResult>) -> Report {
    let runs = results.iter().map(|plan| plan.runs).sum();
    let failed = results.iter().map(|plan| plan.failed).sum();
    Report {
        processes: Vec::new(),
        schema: "hotfire/1".to_owned(),
        verb: "run".to_owned(),
        seed: None,
        exit_code: 0,
        command: Vec::new(),
        summary: Summary { runs, failed, findings: 1, seconds: 38.1, ..Summary::default() },
        results,
        findings: Vec::new(),
        baseline: Vec::new(),
        unavailable: Vec::new(),
        interrupted: None,
        unrun: Vec::new(),
    }
}

#[test]
fn the_summary_is_one_line() {
    let good = vec![result("PASS", "as-expected", 1, 0)];
    let mut mixed = vec![result("SIGSEGV", "as-expected", 10, 10); 2];
    mixed.push(result("PASS", "new", 5, 0));
    mixed.push(result("SIGSEGV", "known", 5, 5));
    mixed.push(result("HANG", "expired", 5, 5));
    mixed.push(result("PASS", "fixed", 5, 0));
    mixed.push(result("SKIP", "skipped", 0, 0));
    mixed.push(result("BLIND", "blind", 0, 0));
    let context = RenderContext::default();
    let text: String =
        [good, mixed].map(|results| render_summary(&report(results), &context)).concat();
    insta::assert_snapshot!(text);
}

const DESIGN_STATUSES: &str = "PASS SLOW SIGSEGV SIGABRT SIGBUS EXIT-CRASH HANG FROZEN ORPHANS \
    LEAK PANIC FAIL FLAKY KNOWN FIXED SKIP BLIND";

#[test]
fn statuses_are_words_of_the_design() {
    for code in Code::ALL {
        let status = code.status();
        let known = DESIGN_STATUSES.split(' ').any(|word| word == status);
        assert!(known || status.starts_with("SIG"), "{status}");
    }
}

/// `docs/schema.json` is the schema that the types give. To write it anew:
/// `UPDATE_SCHEMA=1 cargo test -p hotfire-core --test golden schema`.
#[test]
fn the_committed_schema_is_the_types_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, schema()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == schema(), "docs/schema.json is old: run this test with UPDATE_SCHEMA=1");
}
