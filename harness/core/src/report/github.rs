//! Workflow commands of GitHub Actions, which become annotations at the scenario's line, sorted; and
//! the text that must not become one. GitHub shows ten of a kind per step and drops the rest in
//! silence; it cuts a message at 4096 characters (actions/runner, `ExecutionContext.cs`).
//!
//! The runner reads commands from both streams (`ScriptHandler.cs`), so they go where reports go.
//! Deliberately absent: notices for plans that pass.

use super::ci::{CiPlan, CiReport, Standing, entry_sentence};
use super::sanitize::sanitize;

/// Annotations of a kind; the tenth says how many more there are.
const KIND_MAX: usize = 9;
const TITLE_CHARS_MAX: usize = 160;
/// Characters of a message: what is behind 4096 is cut by GitHub.
const MESSAGE_CHARS_MAX: usize = 4000;

/// One annotation. The order of the fields is that of the lines.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Annotation {
    kind: Kind,
    file: Option<String>,
    line: u32,
    title: String,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Error,
    Warning,
    Notice,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// The annotations, one per line: errors for what is red, warnings for what is known, notices for
/// what the baseline need not list any more. `folder` is the current folder as seen from the
/// repository, empty or with a slash at its end.
#[must_use]
pub fn render_annotations(ci: &CiReport<'_>, folder: &str) -> String {
    let plans = ci.plans();
    let mut all: Vec<Annotation> = plans
        .iter()
        .filter_map(|plan| of_plan(plan, folder))
        .chain(of_baseline(ci, folder))
        .collect();
    all.sort();
    let mut text = String::new();
    for kind in [Kind::Error, Kind::Warning, Kind::Notice] {
        let of_kind: Vec<&Annotation> = all.iter().filter(|one| one.kind == kind).collect();
        for annotation in of_kind.iter().take(KIND_MAX) {
            text.push_str(&command(annotation));
        }
        if of_kind.len() > KIND_MAX {
            let more = of_kind.len() - KIND_MAX;
            let word = kind.word();
            text.push_str(&format!(
                "::{word} title=Hotfire::{more} more of this kind, see the step's summary\n"
            ));
        }
    }
    text
}

fn of_plan(plan: &CiPlan<'_>, folder: &str) -> Option<Annotation> {
    let kind = match plan.standing {
        Standing::Failed | Standing::Blind => Kind::Error,
        Standing::Known => Kind::Warning,
        Standing::Fixed | Standing::Skipped | Standing::Good => return None,
    };
    let finding = plan.finding;
    let lines = [
        Some(plan.sentence()),
        finding
            .and_then(|finding| finding.likely_cause.as_ref())
            .map(|cause| format!("likely cause: {}", cause.text)),
        Some(format!("plan: {}", plan.result.plan)),
        finding
            .and_then(|finding| finding.reproduce.as_ref())
            .map(|command| format!("see it again: {command}")),
    ];
    let title = format!("{}: {}", plan.status(), plan.result.scenario);
    Some(Annotation {
        kind,
        file: plan.result.file.as_deref().map(|file| place(folder, file)),
        line: plan.result.line.unwrap_or(0),
        title: sanitize(&title, TITLE_CHARS_MAX),
        message: joined(lines.into_iter().flatten()),
    })
}

/// Whole lines, as many as fit; the one that does not is cut, and says so.
fn joined(lines: impl Iterator<Item = String>) -> String {
    let mut left = MESSAGE_CHARS_MAX;
    let mut kept = Vec::new();
    for line in lines {
        let line = sanitize(&line, left);
        left = left.saturating_sub(line.chars().count() + 1);
        kept.push(line);
        if left == 0 {
            break;
        }
    }
    kept.join("\n")
}

fn of_baseline(ci: &CiReport<'_>, folder: &str) -> impl Iterator<Item = Annotation> {
    ci.report.baseline.iter().filter_map(move |entry| {
        let message = entry_sentence(entry)?;
        let kind = if entry.fails { Kind::Error } else { Kind::Notice };
        let (file, line) = entry.known.place.rsplit_once(':')?;
        let file = Some(place(folder, file));
        let title = sanitize(&format!("Baseline: {}", entry.selects), TITLE_CHARS_MAX);
        Some(Annotation { kind, file, line: line.parse().unwrap_or(0), title, message })
    })
}

/// A file as the repository names it. A path from the root is taken as it is.
fn place(folder: &str, file: &str) -> String {
    let file = file.strip_prefix("./").unwrap_or(file);
    if file.starts_with('/') { file.to_owned() } else { format!("{folder}{file}") }
}

fn command(annotation: &Annotation) -> String {
    let mut properties = Vec::new();
    if let Some(file) = &annotation.file {
        properties.push(format!("file={}", property(file)));
        if annotation.line > 0 {
            properties.push(format!("line={}", annotation.line));
        }
    }
    properties.push(format!("title={}", property(&annotation.title)));
    let word = annotation.kind.word();
    format!("::{word} {}::{}\n", properties.join(","), data(&annotation.message))
}

/// A message, escaped as `@actions/core` does.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text for people in which the runner finds no command, whatever an engine put into it: the runner
/// takes a line that begins with `::` behind blanks and colours, and `##[` anywhere
/// (`ActionCommand.cs`).
#[must_use]
pub fn defuse_commands(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for line in text.split_inclusive(['\n', '\r']) {
        if sanitize(line, usize::MAX).trim_start().starts_with("::") {
            safe.push_str("| ");
        }
        safe.push_str(&line.replace("##[", "# #["));
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_the_toolkit() {
        assert_eq!(data("50 %\r\na:b,c"), "50 %25%0D%0Aa:b,c");
        assert_eq!(property("50 %\na:b,c"), "50 %25%0Aa%3Ab%2Cc");
    }

    #[test]
    fn nothing_in_text_for_people_is_a_command() {
        assert_eq!(defuse_commands("a ::error::b\n"), "a ::error::b\n");
        assert_eq!(defuse_commands("a\n \u{1b}[31m ::error::b"), "a\n|  \u{1b}[31m ::error::b");
        assert_eq!(defuse_commands("::add-mask::e\n"), "| ::add-mask::e\n");
        assert_eq!(defuse_commands("x ##[error]y"), "x # #[error]y");
    }

    #[test]
    fn a_place_is_seen_from_the_repository() {
        assert_eq!(place("", "./scenarios/a.toml"), "scenarios/a.toml");
        assert_eq!(place("sub/", "scenarios/a.toml"), "sub/scenarios/a.toml");
        assert_eq!(place("sub/", "/home/a.toml"), "/home/a.toml");
    }
}
