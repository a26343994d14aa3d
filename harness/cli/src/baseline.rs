//! The baseline's file: failures that are known, in git, each with its issue and its last day.
//!
//! Deliberately absent: judging (`hotfire-core`) and adding entries (`accept.rs`).

use std::ops::Range;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hotfire_core::campaign::Subject;
use hotfire_core::judge::{Baseline, Date, KnownFailure, passes_needed};
use hotfire_plan::model::Phase;
use hotfire_plan::words::{CLASSES, EXPECTED_STATUSES};
use hotfire_plan::{FileError, FileProblem, plan_id};
use serde::Deserialize;
use toml::Spanned;

use crate::args::SharedArgs;
use crate::config::Profile;
use crate::error::CliError;
use crate::subjects::PLAN_NAME;

/// The page that has the format.
const PAGE: &str = "docs/baseline.md";
/// The most runs that a plan gets only to tell whether its known failure is gone.
const RUNS_MAX: u32 = 20;
/// Hex digits of an id.
const ID_DIGITS: usize = 16;
const SECONDS_PER_DAY: u64 = 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Spanned<FileEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileEntry {
    scenario: Spanned<String>,
    plan: Option<Spanned<String>>,
    signature: Option<Spanned<String>>,
    class: Option<Spanned<String>>,
    status: Option<Spanned<String>>,
    phase: Option<Spanned<String>>,
    issue: Spanned<String>,
    owner: Option<String>,
    reason: Option<String>,
    expires: Spanned<toml::Value>,
    max_rate: Option<Spanned<f64>>,
    min_rate: Option<Spanned<f64>>,
}

/// The baseline of an invocation. Without a file nothing is known; a file that a flag or a profile
/// names must be there.
pub(crate) fn load(shared: &SharedArgs, profile: &Profile) -> Result<Baseline, CliError> {
    let flag = shared.gate.baseline.as_deref();
    let path = flag.map_or_else(|| profile.baseline(), Path::to_owned);
    let entries = match read(&path)? {
        None if flag.is_some() || profile.names_baseline() => {
            return Err(named_but_missing(&path, flag.is_some()));
        }
        text => parse_file(&path, &text.unwrap_or_default())?,
    };
    Ok(Baseline {
        file: path.display().to_string(),
        entries,
        today: shared.gate.today.unwrap_or_else(today),
        strict_fixed: shared.strict_fixed.unwrap_or(false),
        unproven: Vec::new(),
    })
}

/// A file that is named must be there: a wrong name would let nothing be known.
fn named_but_missing(path: &Path, by_flag: bool) -> CliError {
    let path = path.display();
    let (named, drop) = match by_flag {
        true => ("--baseline", "leave the flag out"),
        false => ("`baseline` of the profile in .config/hotfire.toml", "take the key out"),
    };
    CliError::Text(format!(
        "cannot read {path}: no such file, and {named} names it\n\
         help: mend the name; `hotfire accept ID … --baseline {path}` makes it; \
         without known failures, {drop}"
    ))
}

/// The file's text; `None` where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::Read {
            path: path.to_owned(),
            error,
            help: "known failures stand there; docs/baseline.md has the format",
        }),
    }
}

/// The entries of a file's text.
pub(crate) fn parse_file(path: &Path, text: &str) -> Result<Vec<KnownFailure>, CliError> {
    parse(text).map_err(|error| CliError::Text(error.render(&path.display().to_string(), text)))
}

/// Today, as the system's clock has it (UTC).
pub(crate) fn today() -> Date {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Date::from_days(i64::try_from(seconds / SECONDS_PER_DAY).unwrap_or(0))
}

/// Runs each plan that the baseline names often enough to tell whether its failure is gone.
pub(crate) fn with_enough_runs(mut subjects: Vec<Subject>, baseline: &Baseline) -> Vec<Subject> {
    for subject in &mut subjects {
        let id = plan_id(&subject.plan);
        // Where passes tell nothing, more of them do not either.
        let named = baseline.naming(subject.name(&id)).map(|(_, entry)| entry);
        let told = named.filter(|entry| baseline.unproven(entry).is_none());
        let needed = told.filter_map(|entry| entry.min_rate.map(passes_needed)).max();
        let runs = needed.unwrap_or(0).min(RUNS_MAX);
        subject.runs = subject.runs.max(runs);
    }
    subjects
}

/// Places of entries that name no scenario of a whole run: a wrong word, or a scenario that has
/// gone.
pub(crate) fn stray(subjects: &[Subject], baseline: &Baseline) -> Vec<String> {
    let is_stray = |entry: &&KnownFailure| {
        // Plans from the command line belong to no run of all scenarios.
        entry.scenario != PLAN_NAME
            && !subjects.iter().any(|subject| {
                let id = plan_id(&subject.plan);
                entry.names(subject.name(&id))
            })
    };
    let strays = baseline.entries.iter().filter(is_stray);
    strays.map(|entry| format!("{}:{} ({})", baseline.file, entry.line, entry.selector())).collect()
}

/// Whether a text looks like the address of an issue.
pub(crate) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !host.is_empty() && rest.chars().all(|sign| !sign.is_whitespace() && !sign.is_control())
    })
}

fn parse(text: &str) -> Result<Vec<KnownFailure>, FileError> {
    let file: File =
        toml::from_str(text).map_err(|error| FileError::of_toml(&error, text, PAGE))?;
    file.known.into_iter().map(|entry| check(text, entry)).collect()
}

fn check(text: &str, entry: Spanned<FileEntry>) -> Result<KnownFailure, FileError> {
    let span = entry.span();
    let entry = entry.into_inner();
    if entry.signature.is_none() && entry.class.is_none() {
        let help = "add `signature = \"…\"` (the finding's id) or `class = \"…\"`";
        return Err(bad_value("an entry that lists no finding", help, span));
    }
    let phases: Vec<&'static str> = Phase::ALL.into_iter().map(Phase::name).collect();
    Ok(KnownFailure {
        line: FileError::line(text, &span),
        scenario: pattern(entry.scenario)?,
        plan: entry.plan.map(id).transpose()?,
        signature: entry.signature.map(id).transpose()?,
        class: entry.class.map(|word| listed("class", word, CLASSES)).transpose()?,
        status: entry.status.map(|word| listed("status", word, EXPECTED_STATUSES)).transpose()?,
        phase: entry.phase.map(|word| listed("phase", word, &phases)).transpose()?,
        issue: url(entry.issue)?,
        owner: entry.owner,
        reason: entry.reason,
        expires: date(&entry.expires)?,
        max_rate: entry.max_rate.map_or(Ok(1.0), |value| rate(&value))?,
        min_rate: entry.min_rate.map(|value| rate(&value)).transpose()?,
    })
}

fn pattern(value: Spanned<String>) -> Result<String, FileError> {
    let is_name = |sign: char| {
        sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-' || sign == '*'
    };
    if !value.get_ref().is_empty() && value.get_ref().chars().all(is_name) {
        return Ok(value.into_inner());
    }
    let what = format!("`{}` names no scenario", value.get_ref());
    let help = "write a scenario's name; `*` stands for any text, e.g. \"swap-*\"";
    Err(bad_value(what, help, value.span()))
}

fn id(value: Spanned<String>) -> Result<String, FileError> {
    let text = value.get_ref();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == ID_DIGITS && text.bytes().all(is_hex) {
        return Ok(value.into_inner());
    }
    let what = format!("`{text}` is no id");
    Err(bad_value(what, "an id has 16 hex digits; `hotfire show ID` tells it", value.span()))
}

fn listed(
    what: &'static str,
    value: Spanned<String>,
    known: &[&'static str],
) -> Result<String, FileError> {
    if known.contains(&value.get_ref().as_str()) {
        return Ok(value.into_inner());
    }
    Err(FileError::unknown_word(what, value.get_ref(), known, value.span(), PAGE))
}

fn url(value: Spanned<String>) -> Result<String, FileError> {
    if is_url(value.get_ref()) {
        return Ok(value.into_inner());
    }
    let what = format!("`{}` is no URL", value.get_ref());
    let help = "name the issue that tracks it, e.g. https://github.com/OWNER/NAME/issues/1";
    Err(bad_value(what, help, value.span()))
}

/// TOML has dates; the same in quotes will do.
fn date(value: &Spanned<toml::Value>) -> Result<Date, FileError> {
    let text = match value.get_ref() {
        toml::Value::Datetime(date) => date.to_string(),
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Date::parse(&text).ok_or_else(|| {
        let help = "write a day of the calendar, e.g. expires = 2027-01-31";
        bad_value(format!("`{text}` is no date"), help, value.span())
    })
}

fn rate(value: &Spanned<f64>) -> Result<f64, FileError> {
    let rate = *value.get_ref();
    if rate > 0.0 && rate <= 1.0 {
        return Ok(rate);
    }
    let help = "write a number above 0 and at most 1, e.g. 0.25";
    Err(bad_value(format!("{rate} is no rate"), help, value.span()))
}

fn bad_value(what: impl Into<String>, help: &'static str, span: Range<usize>) -> FileError {
    FileError::new(FileProblem::BadValue { what: what.into(), help }, span, PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# ours\n\n[[known]]\nscenario = \"swap-*\"\n\
                        signature = \"7c1e0b1a7c1e0b1a\"\nissue = \"https://example.org/7\"\n\
                        expires = 2027-01-31\nmax-rate = 0.5\nmin-rate = 1\n";

    #[test]
    fn an_entry_is_read() {
        let entry = parse(GOOD).unwrap().remove(0);
        assert_eq!((entry.scenario.as_str(), entry.line), ("swap-*", 3));
        assert_eq!(entry.expires.to_string(), "2027-01-31");
        assert_eq!((entry.max_rate, entry.min_rate), (0.5, Some(1.0)));
        let quoted = GOOD.replace("2027-01-31", "\"2027-01-31\"");
        assert_eq!(parse(&quoted).unwrap()[0].expires, entry.expires);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn mistakes_have_their_place() {
        for (from, to, told) in [
            ("scenario", "scenaro", "f:4:1: unknown key `scenaro`"),
            (
                "\"https://example.org/7\"",
                "7",
                "f:6:9: invalid type: integer `7`, expected a string",
            ),
            ("0.5", "\"0.5\"", "f:8:12: invalid type: string \"0.5\", expected f64"),
            ("issue = \"https://example.org/7\"\n", "", "f:3:1: the key `issue` is missing"),
            ("expires = 2027-01-31\n", "", "f:3:1: the key `expires` is missing"),
            ("https://example.org/7", "#7", "f:6:9: `#7` is no URL"),
            ("2027-01-31", "\"soon\"", "f:7:11: `soon` is no date"),
            ("2027-01-31", "2027-01-31T10:00:00Z", "f:7:11: `2027-01-31T10:00:00Z` is no date"),
            ("2027-01-31", "2027", "f:7:11: `2027` is no date"),
            ("0.5", "1.5", "f:8:12: 1.5 is no rate"),
            ("= 1\n", "= 0\n", "f:9:12: 0 is no rate"),
            ("7c1e0b1a7c1e0b1a", "7c1e", "f:5:13: `7c1e` is no id"),
            ("signature = \"7c1e0b1a7c1e0b1a\"", "class = \"leak\"", "f:5:9: unknown class `leak`"),
            ("signature = \"7c1e0b1a7c1e0b1a\"\n", "", "f:3:1: an entry that lists no finding"),
            ("swap-*", "Swap", "f:4:12: `Swap` names no scenario"),
        ] {
            let text = GOOD.replace(from, to);
            let rendered = parse(&text).unwrap_err().render("f", &text);
            assert!(rendered.starts_with(told), "{told}\n{rendered}");
            assert!(rendered.contains("\nhelp: "), "{rendered}");
        }
    }

    #[test]
    fn urls_have_a_scheme_and_a_host() {
        for text in ["https://example.org/7", "http://tracker", "https://a.b/c?d=1#e"] {
            assert!(is_url(text), "{text}");
        }
        for text in ["", "#7", "example.org/7", "https://", "https:///7", "ftp://a", "https://a b"]
        {
            assert!(!is_url(text), "{text}");
        }
    }
}
