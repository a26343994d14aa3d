//! JUnit and what GitHub shows, from a stored report with every verdict; and with any text in it.

use hotfire_core::diagnose::OutputTail;
use hotfire_core::report::{
    CiReport, JUNIT_BYTES_MAX, Report, SUMMARY_BYTES_MAX, render_annotations, render_junit,
    render_step_summary,
};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

fn stored() -> Report {
    serde_json::from_str(include_str!("stored/report.json")).unwrap()
}

fn ci(report: &Report) -> CiReport<'_> {
    CiReport { report, text_of: &|_| None }
}

fn junit(report: &Report) -> String {
    render_junit(&ci(report), JUNIT_BYTES_MAX)
}

/// The element names of well-formed XML, and the texts and attributes in it.
fn read(xml: &str) -> (Vec<String>, Vec<String>) {
    let mut reader = Reader::from_str(xml);
    let (mut names, mut texts) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}:\n{xml}")) {
            Event::Start(tag) | Event::Empty(tag) => {
                names.push(String::from_utf8(tag.name().as_ref().to_vec()).unwrap());
                for attribute in tag.attributes() {
                    texts.push(String::from_utf8(attribute.unwrap().value.to_vec()).unwrap());
                }
            }
            Event::Text(text) => texts.push(String::from_utf8(text.to_vec()).unwrap()),
            Event::GeneralRef(name) => {
                assert!(
                    ["lt", "gt", "amp", "quot", "apos"].iter().any(|one| *name == *one.as_bytes())
                );
            }
            Event::Eof => return (names, texts),
            _ => {}
        }
    }
}

/// XML 1.0, section 2.2.
fn is_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'
        | '\u{10000}'..='\u{10ffff}')
}

#[test]
fn every_verdict_as_junit() {
    insta::assert_snapshot!(junit(&stored()));
}

#[test]
fn every_verdict_as_annotations() {
    insta::assert_snapshot!(render_annotations(&ci(&stored()), "sub/"));
}

#[test]
fn every_verdict_as_a_step_summary() {
    insta::assert_snapshot!(render_step_summary(&ci(&stored()), SUMMARY_BYTES_MAX));
}

#[test]
fn the_campaigns_text_is_taken_where_there_is_one() {
    let report = stored();
    let ci = CiReport { report: &report, text_of: &|at| Some(format!("the text of plan {at}\n")) };
    assert!(render_junit(&ci, JUNIT_BYTES_MAX).contains("the text of plan 3</failure>"));
    assert!(
        render_step_summary(&ci, SUMMARY_BYTES_MAX).contains("<pre>\nthe text of plan 3\n</pre>")
    );
}

#[test]
fn names_are_unique_and_free_of_the_seed() {
    let mut report = stored();
    let long = format!("create a = reference; {}exit", "load a tiny; unload a; ".repeat(40));
    for (at, engine) in [("exit", 0), ("exit", 1), ("exit how=quick", 0)] {
        let mut plan = report.results[7].clone();
        plan.plan = long.replace("exit", at);
        plan.line = Some(engine);
        report.results.push(plan);
    }
    let names = |report: &Report| -> Vec<String> {
        let xml = junit(report);
        let cases = xml.lines().filter_map(|line| line.trim().strip_prefix("<testcase name=\""));
        cases.map(|case| case.split(" time=").next().unwrap().to_owned()).collect()
    };
    let first = names(&report);
    let mut unique = first.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), first.len(), "{first:#?}");
    assert!(first.iter().all(|name| name.len() < 400), "{first:#?}");
    report.seed = Some("0x8".to_owned());
    assert_eq!(names(&report), first);
}

#[test]
fn a_report_that_is_too_large_says_what_is_left_out() {
    let mut report = stored();
    let one = report.results[0].clone();
    let output = OutputTail { stdout: "printed ".repeat(1000), stderr: String::new() };
    report.findings[0].output_tail = Some(output);
    report.results.extend((0..300).map(|at| {
        let scenario = format!("many-{at}");
        hotfire_core::report::PlanResult { scenario, ..one.clone() }
    }));
    let whole = junit(&report);
    for (part, left_out) in [
        (2, "what the children printed is left out"),
        (8, "findings' texts are left out"),
        (40, "findings' texts and "),
        (100, "cases are left out"),
        (100_000, "cases are left out"),
    ] {
        let limit = whole.len() / part;
        let xml = render_junit(&ci(&report), limit);
        assert!(xml.len() <= limit.max(1000), "{} of {limit}", xml.len());
        assert!(xml.contains("this report is cut"), "{xml}");
        assert!(xml.replace("&apos;", "'").contains(left_out), "1/{part}: {}", &xml[..900]);
        read(&xml);
    }
    assert!(!whole.contains("this report is cut"));
}

#[test]
fn a_summary_keeps_below_the_limit() {
    let mut report = stored();
    let one = report.results[0].clone();
    report.results.extend(std::iter::repeat_n(one, 2000));
    let whole = render_step_summary(&ci(&report), usize::MAX);
    assert!(whole.len() > 1024 * 1024);
    for limit in [SUMMARY_BYTES_MAX, 200_000, 5_000, 1_000] {
        let text = render_step_summary(&ci(&report), limit);
        assert!(text.len() <= limit && text.len() > limit / 3, "{} of {limit}", text.len());
        assert!(text.contains("are left out"), "{text}");
        assert!(whole.starts_with(text.split("\n\n").next().unwrap()));
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    }
    assert_eq!(render_step_summary(&ci(&report), 100), "");
}

#[test]
fn titles_are_shown_whole() {
    let mut report = stored();
    let title = format!("uncaught exception: {}the last word", "a long message of it, ".repeat(60));
    report.findings[0].title.clone_from(&title);
    let xml = junit(&report);
    let messages = xml.split("message=\"").skip(1).filter(|rest| rest.starts_with("uncaught"));
    assert!(messages.filter(|rest| rest.starts_with(&format!("{title}\""))).count() >= 1, "{xml}");
    // Also where the issue stands before it, and in the element's text.
    assert!(xml.contains(&format!("hotfire-known.toml:7): {title}\"")), "{xml}");
    assert!(xml.contains(&format!("\">{title}")), "{xml}");
    assert!(render_annotations(&ci(&report), "").contains(&format!("::{title}%0Alikely cause: ")));
    let row = format!("| swap-new | {title} | create a = ");
    assert!(render_step_summary(&ci(&report), SUMMARY_BYTES_MAX).contains(&row));
    // What no format takes is cut at its end, and GitHub has nothing left to cut.
    report.findings[0].title = "x".repeat(100_000);
    report.findings[0].reproduce = Some("y".repeat(100_000));
    for line in render_annotations(&ci(&report), "").lines() {
        let (_, message) = line[2..].split_once("::").unwrap();
        assert!(message.replace("%0A", "\n").chars().count() < 4096, "{line}");
    }
}

#[test]
fn what_is_fixed_is_told_with_its_entry_and_issue() {
    let xml = junit(&stored());
    let told = "<system-out>FIXED: not seen in 20 fresh runs, 5 are enough: remove the entry at \
                .config/hotfire-known.toml:9: https://example.org/issues/9</system-out>";
    assert!(xml.contains(told), "{xml}");
}

#[test]
fn annotations_are_at_most_ten_of_a_kind() {
    let mut report = stored();
    let (new, known) = (report.results[0].clone(), report.results[2].clone());
    report.results = (0..15)
        .rev()
        .flat_map(|line| {
            let at = |plan: &hotfire_core::report::PlanResult| hotfire_core::report::PlanResult {
                line: Some(line),
                ..plan.clone()
            };
            [at(&new), at(&known)]
        })
        .collect();
    report.baseline.clear();
    let text = render_annotations(&ci(&report), "");
    for kind in ["::error ", "::warning "] {
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(kind)).collect();
        assert_eq!(lines.len(), 10, "{text}");
        assert!(lines[9].contains("::6 more of this kind"), "{}", lines[9]);
        assert!(lines[0].contains(",line=1,") || !lines[0].contains(",line="), "{}", lines[0]);
    }
}

/// What an engine may print, and a scenario be called.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        any::<String>(),
        prop::sample::select(vec![
            "]]>",
            "<![CDATA[",
            "\u{1b}[31m",
            "\u{1b}]0;",
            "\u{0}",
            "\u{fffe}",
            "\u{ffff}",
            "&#0;",
            "&amp;",
            "</failure>",
            "<!--",
            "\r\n",
            "\n::error::x",
            "##[error]x",
            "[[ATTACHMENT|x]]",
            "\u{85}",
            "\u{2028}",
            "|",
            "`",
            "</pre>",
            "</details>",
            "%0A",
            "\u{10ffff}",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn with_text(text: &str) -> Report {
    let mut report = stored();
    for plan in &mut report.results {
        plan.scenario = text.to_owned();
        plan.plan = text.to_owned();
        plan.engine = text.to_owned();
        plan.status = text.to_owned();
        plan.file = Some(text.to_owned());
        plan.reason = Some(text.to_owned());
    }
    for entry in &mut report.baseline {
        entry.known.issue = text.to_owned();
        entry.known.place = format!("{text}:7");
        entry.reason = text.to_owned();
    }
    for finding in &mut report.findings {
        finding.title = text.to_owned();
        finding.class = text.to_owned();
        finding.evidence[0].text = text.to_owned();
        finding.reproduce = Some(text.to_owned());
        finding.output_tail = Some(OutputTail { stdout: text.to_owned(), stderr: text.to_owned() });
    }
    report
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_well_formed_junit(text in hostile()) {
        let xml = junit(&with_text(&text));
        prop_assert!(xml.chars().all(is_xml), "{xml:?}");
        let (names, _) = read(&xml);
        let cases = names.iter().filter(|name| *name == "testcase").count();
        prop_assert_eq!(cases, stored().results.len() + stored().baseline.len() + 1);
        // GitLab looks for it there alone.
        let outputs = xml.split("<system-out>").skip(1).map(|rest| rest.split("</").next().unwrap());
        prop_assert!(!outputs.collect::<String>().contains("[[ATTACHMENT"));
    }

    #[test]
    fn any_text_stays_within_its_annotation(text in hostile()) {
        let lines = render_annotations(&ci(&with_text(&text)), "");
        let plain = render_annotations(&ci(&stored()), "");
        prop_assert_eq!(lines.lines().count(), plain.lines().count(), "{}", lines);
        for line in lines.split_terminator('\n') {
            let (head, message) = line[2..].split_once("::").unwrap();
            prop_assert!(["error ", "warning ", "notice "].iter().any(|kind| head.starts_with(kind)));
            prop_assert!(head.split(',').all(|part| part.contains('=')), "{}", head);
            prop_assert!(!line.contains('\r'));
            prop_assert!(message.chars().count() < 4096);
        }
    }

    #[test]
    fn any_text_is_no_markup_of_the_summary(text in hostile()) {
        let page = render_step_summary(&ci(&with_text(&text)), SUMMARY_BYTES_MAX);
        let tags = page.replace("<details><summary>", "").replace("</summary>", "");
        let tags = tags.replace("<pre>", "").replace("</pre>", "").replace("</details>", "");
        prop_assert!(!tags.contains(['<', '>', '`']), "{}", tags);
        prop_assert_eq!(page.matches("<pre>").count(), page.matches("</pre>").count());
        // A row has as many cells as its head.
        for row in page.lines().filter(|line| line.starts_with("| ")) {
            prop_assert!([2, 5].contains(&row.matches('|').count()), "{}", row);
        }
    }
}
