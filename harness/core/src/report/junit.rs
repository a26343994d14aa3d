//! JUnit XML: a suite per engine, a case per plan, a suite for the baseline. It validates against the
//! schema of Jenkins' xunit plugin and is written for the way GitLab reads (gitlab-org/gitlab,
//! `lib/gitlab/ci/parsers/test/junit.rb`): of a failure, error or skip it shows the element's text
//! and not its message, of a success nothing at all; equal names are dropped; a file of 30 MB or more
//! is not read.
//!
//! So what is known is *skipped*: that stays green in GitLab and Jenkins, is counted and shown there.
//! Deliberately absent: timestamps, host names and seeds, which would make equal runs differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Error, Result, Write};

use quick_xml::Writer;
use quick_xml::events::BytesText;
use sha2::{Digest as _, Sha256};

use super::ci::{CiPlan, CiReport, Standing, entry_sentence};
use super::junit_text::{head, tail};
use super::sanitize::sanitize;

/// Bytes of a report: GitLab reads less than 30 MB.
pub const JUNIT_BYTES_MAX: usize = 25_000_000;
/// The longest name of a case, in characters.
const NAME_CHARS_MAX: usize = 240;

type Xml = Writer<Limited>;

/// The report as JUnit XML of at most `bytes_max` bytes (but for a frame of some 400). What does not
/// fit is left out step by step, and a case of its own says so: the child's output, then the
/// findings' texts, then the plans that went as expected, then plans that did not.
#[must_use]
pub fn render_junit(ci: &CiReport<'_>, bytes_max: usize) -> String {
    let suites = suites(ci);
    let count: usize = suites.values().map(Vec::len).sum();
    let mut details = vec![Detail::Full, Detail::NoOutput, Detail::Sentences, Detail::Bad(count)];
    details.extend(
        std::iter::successors(Some(count / 2), |left| (*left > 0).then_some(left / 2))
            .map(Detail::Bad),
    );
    let fits = details.into_iter().find_map(|detail| write(ci, &suites, detail, bytes_max).ok());
    fits.or_else(|| write(ci, &suites, Detail::Bad(0), usize::MAX).ok()).unwrap_or_default()
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Full,
    NoOutput,
    Sentences,
    /// So many of the plans that did not go as expected.
    Bad(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Success,
    Failure,
    Error,
    Skipped,
}

/// A plan or an entry of the baseline.
struct Case<'a> {
    class: String,
    name: String,
    seconds: f64,
    outcome: Outcome,
    plan: Option<CiPlan<'a>>,
    sentence: String,
    kind: String,
}

type Suites<'a> = BTreeMap<String, Vec<Case<'a>>>;

fn suites<'a>(ci: &CiReport<'a>) -> Suites<'a> {
    let mut suites = Suites::new();
    let mut names = BTreeMap::new();
    for plan in ci.plans() {
        let (engine, class) = class(&plan.result.engine, &plan.result.scenario);
        let case = Case {
            name: unique(&mut names, &class, name(&plan.result.plan)),
            class,
            seconds: plan.result.seconds.unwrap_or(0.0),
            outcome: outcome(plan.standing),
            plan: Some(plan),
            sentence: plan.sentence(),
            kind: sanitize(&plan.kind(), NAME_CHARS_MAX),
        };
        suites.entry(engine).or_default().push(case);
    }
    for unrun in &ci.report.unrun {
        let (engine, class) = class(&unrun.engine, &unrun.scenario);
        let case = Case {
            name: unique(&mut names, &class, name(&unrun.plan)),
            class,
            seconds: 0.0,
            outcome: Outcome::Error,
            plan: None,
            sentence: format!("the run ended early: {} runs were not made", unrun.missing),
            kind: "UNRUN".to_owned(),
        };
        suites.entry(engine).or_default().push(case);
    }
    for entry in &ci.report.baseline {
        let class = "baseline".to_owned();
        let text = format!("{}: {}", entry.selects, entry.lists);
        let name = unique(&mut names, &class, name(&text));
        let sentence = entry_sentence(entry);
        let outcome = match &sentence {
            Some(_) if entry.fails => Outcome::Failure,
            Some(_) => Outcome::Skipped,
            None => Outcome::Success,
        };
        let sentence = sentence.unwrap_or_default();
        let kind = "FIXED/baseline".to_owned();
        let case = Case { class, name, seconds: 0.0, outcome, plan: None, sentence, kind };
        suites.entry("baseline".to_owned()).or_default().push(case);
    }
    suites
}

/// The suite of an engine, and the class of a scenario in it.
fn class(engine: &str, scenario: &str) -> (String, String) {
    let engine = sanitize(engine.split(':').next().unwrap_or_default(), NAME_CHARS_MAX);
    let class = format!("{engine}.{}", sanitize(scenario, NAME_CHARS_MAX));
    (engine, class)
}

fn outcome(standing: Standing) -> Outcome {
    match standing {
        Standing::Failed => Outcome::Failure,
        Standing::Blind => Outcome::Error,
        Standing::Known | Standing::Skipped => Outcome::Skipped,
        Standing::Good | Standing::Fixed => Outcome::Success,
    }
}

/// A plan's text as a name. What is cut is replaced by a hash, so that the name stays the same from
/// run to run and differs from others that begin alike.
fn name(text: &str) -> String {
    let clean = sanitize(text, usize::MAX);
    if clean.chars().count() <= NAME_CHARS_MAX {
        return clean;
    }
    let digest = Sha256::digest(text.as_bytes());
    let mut cut = sanitize(text, NAME_CHARS_MAX);
    cut.push_str(" #");
    for byte in digest.iter().take(4) {
        // Writing to a String cannot fail.
        let _ = write!(cut, "{byte:02x}");
    }
    cut
}

fn unique(names: &mut BTreeMap<(String, String), usize>, class: &str, name: String) -> String {
    let count = names.entry((class.to_owned(), name.clone())).or_insert(0);
    *count += 1;
    if *count == 1 {
        return name;
    }
    let numbered = format!("{name} ({count})");
    // A plan may end with such a number itself.
    unique(names, class, numbered)
}

fn write(
    ci: &CiReport<'_>,
    suites: &Suites<'_>,
    detail: Detail,
    bytes_max: usize,
) -> Result<String> {
    let bytes = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec();
    let mut xml = Writer::new_with_indent(Limited { bytes, bytes_max }, b' ', 2);
    let mut left = if let Detail::Bad(count) = detail { count } else { usize::MAX };
    let shown: Vec<(&String, Vec<&Case<'_>>)> = suites
        .iter()
        .map(|(name, cases)| {
            let bad = |case: &&Case<'_>| {
                !matches!(detail, Detail::Bad(_)) || case.outcome != Outcome::Success
            };
            let cases: Vec<&Case<'_>> = cases.iter().filter(bad).take(left).collect();
            left -= cases.len().min(left);
            (name, cases)
        })
        .collect();
    let all = || shown.iter().flat_map(|(_, cases)| cases.iter().copied());
    let cut = cut_sentence(detail, suites.values().map(Vec::len).sum::<usize>() - all().count());
    let element = xml.create_element("testsuites").with_attributes([
        ("name", "hotfire"),
        ("tests", (all().count() + usize::from(cut.is_some())).to_string().as_str()),
        ("failures", count(all(), Outcome::Failure).as_str()),
        ("errors", count(all(), Outcome::Error).as_str()),
        ("time", seconds(ci.report.summary.seconds).as_str()),
    ]);
    element.write_inner_content(|xml| {
        if let Some(cut) = &cut {
            write_cut(xml, cut)?;
        }
        shown.iter().try_for_each(|(name, cases)| write_suite(xml, ci, (name, cases), detail))
    })?;
    let mut bytes = xml.into_inner().bytes;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn cut_sentence(detail: Detail, left_out: usize) -> Option<String> {
    let what = match detail {
        Detail::Full => return None,
        Detail::NoOutput => "what the children printed is left out".to_owned(),
        Detail::Sentences => "the findings' texts are left out".to_owned(),
        Detail::Bad(_) => format!("the findings' texts and {left_out} cases are left out"),
    };
    Some(format!("the report would be too large for CI servers: {what}; see --json"))
}

fn write_cut(xml: &mut Xml, sentence: &str) -> Result<()> {
    let suite = [("name", "hotfire"), ("tests", "1"), ("failures", "0"), ("errors", "0")];
    let element = xml.create_element("testsuite").with_attributes(suite);
    element.with_attribute(("skipped", "1")).write_inner_content(|xml| {
        let case = [("name", "this report is cut"), ("classname", "hotfire")];
        let element = xml.create_element("testcase").with_attributes(case);
        element.write_inner_content(|xml| {
            let element = xml.create_element("skipped").with_attribute(("message", sentence));
            element.write_text_content(BytesText::new(sentence)).map(|_| ())
        })?;
        Ok(())
    })?;
    Ok(())
}

fn write_suite(
    xml: &mut Xml,
    ci: &CiReport<'_>,
    (name, cases): (&str, &[&Case<'_>]),
    detail: Detail,
) -> Result<()> {
    let all = || cases.iter().copied();
    let time: f64 = all().map(|case| case.seconds).sum();
    let element = xml.create_element("testsuite").with_attributes([
        ("name", name),
        ("tests", cases.len().to_string().as_str()),
        ("failures", count(all(), Outcome::Failure).as_str()),
        ("errors", count(all(), Outcome::Error).as_str()),
        ("skipped", count(all(), Outcome::Skipped).as_str()),
        ("time", seconds(time).as_str()),
    ]);
    let write = |xml: &mut Xml| cases.iter().try_for_each(|case| write_case(xml, ci, case, detail));
    element.write_inner_content(write)?;
    Ok(())
}

fn write_case(xml: &mut Xml, ci: &CiReport<'_>, case: &Case<'_>, detail: Detail) -> Result<()> {
    let element = xml.create_element("testcase").with_attributes([
        ("name", case.name.as_str()),
        ("classname", case.class.as_str()),
        ("time", seconds(case.seconds).as_str()),
    ]);
    let tag = match case.outcome {
        Outcome::Success => {
            let told = case.plan.is_some_and(|plan| plan.standing == Standing::Fixed);
            if !told {
                element.write_empty()?;
                return Ok(());
            }
            "system-out"
        }
        Outcome::Failure => "failure",
        Outcome::Error => "error",
        Outcome::Skipped => "skipped",
    };
    element.write_inner_content(|xml| {
        let mut inner = xml.create_element(tag);
        if tag != "system-out" {
            inner = inner.with_attribute(("message", case.sentence.as_str()));
            inner = inner.with_attribute(("type", case.kind.as_str()));
        }
        inner.write_text_content(BytesText::new(&body(ci, case, detail)))?;
        if detail == Detail::Full && matches!(case.outcome, Outcome::Failure | Outcome::Error) {
            write_output(xml, case)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The sentence, which GitLab shows here alone, and the finding in full.
fn body(ci: &CiReport<'_>, case: &Case<'_>, detail: Detail) -> String {
    let text = match (&case.plan, detail) {
        (Some(plan), Detail::Full | Detail::NoOutput) => ci.text(plan),
        _ => String::new(),
    };
    let reason = case.plan.and_then(|plan| plan.result.reason.as_deref());
    let reason = reason.filter(|reason| !case.sentence.contains(reason)).unwrap_or_default();
    // The text's first line tells it, too.
    let sentence = case.sentence.as_str();
    let sentence = if text.contains(sentence) { "" } else { sentence };
    let parts = [sentence, reason, text.as_str()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    head(&parts.join("\n"))
}

fn write_output(xml: &mut Xml, case: &Case<'_>) -> Result<()> {
    let finding = case.plan.and_then(|plan| plan.finding);
    let Some(output) = finding.and_then(|finding| finding.output_tail.as_ref()) else {
        return Ok(());
    };
    for (tag, text) in [("system-out", &output.stdout), ("system-err", &output.stderr)] {
        let text = tail(text);
        if !text.is_empty() {
            xml.create_element(tag).write_text_content(BytesText::new(&text))?;
        }
    }
    Ok(())
}

fn count<'a>(cases: impl Iterator<Item = &'a Case<'a>>, outcome: Outcome) -> String {
    cases.filter(|case| case.outcome == outcome).count().to_string()
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.3}")
}

/// Memory that ends: a report that is too large is given up where it becomes so.
#[derive(Debug)]
struct Limited {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.bytes_max {
            return Err(Error::other("the report is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
