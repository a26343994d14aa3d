//! What the user sees while and after plans run. Progress and run reports go to standard error,
//! answers to standard output.
//!
//! Deliberately absent: how a line or a finding looks (hotfire-core's `report`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};

use clap::ColorChoice;
use hotfire_core::campaign::{CampaignReport, Subject, SubjectReport};
use hotfire_core::judge::{Verdict, wilson};
use hotfire_core::report::{
    FindingView, RenderContext, Report, complete, explain as page_of, plan_result, render_finding,
    render_result_line, render_summary, sanitize, step_views,
};
use hotfire_plan::Program;

use crate::args::Cli;
use crate::error::CliError;

/// Findings printed in full at the end of a run.
const FINDINGS_MAX: usize = 8;
/// Notes printed without `-v`.
const NOTES_MAX: usize = 4;

/// The longest line of an error.
const ERROR_CHARS_MAX: usize = 2000;

/// Writes to the user.
#[derive(Debug)]
pub(crate) struct Presenter {
    context: RenderContext,
    verbose: bool,
    quiet: bool,
    progress: Option<Progress>,
}

/// The line that a terminal shows while plans run.
#[derive(Debug)]
struct Progress {
    done: usize,
    all: usize,
    failed: usize,
}

impl Presenter {
    pub(crate) fn new(cli: &Cli) -> Self {
        let context = RenderContext { color: wants_color(cli.color), width: 98 };
        Self { context, verbose: cli.verbose, quiet: cli.quiet, progress: None }
    }

    /// How text is to be rendered.
    pub(crate) fn context(&self) -> &RenderContext {
        &self.context
    }

    /// The seed comes first, so that even a run that never ends can be repeated.
    pub(crate) fn begin(&mut self, seed: u64, subjects: &[Subject], removed: usize) {
        if removed > 0 {
            let what =
                if removed == 1 { "folder that a killed run" } else { "folders that killed runs" };
            self.warn(&format!("removed {removed} {what} had left behind"));
        }
        if self.quiet {
            return;
        }
        let runs: u64 = subjects.iter().map(|subject| u64::from(subject.runs)).sum();
        let plans = if subjects.len() == 1 { "plan" } else { "plans" };
        let noun = if runs == 1 { "run" } else { "runs" };
        self.line(&format!("hotfire: seed {seed:#x}, {} {plans}, {runs} {noun}", subjects.len()));
        if std::io::stderr().is_terminal() {
            self.progress = Some(Progress { done: 0, all: subjects.len(), failed: 0 });
        }
    }

    /// A plan is judged.
    pub(crate) fn subject(&mut self, report: &SubjectReport) {
        let expected = report.verdict.verdict == Verdict::AsExpected;
        self.clear_progress();
        let skipped = report.verdict.verdict == Verdict::Skipped;
        let green = expected || matches!(report.verdict.verdict, Verdict::Known | Verdict::Fixed);
        if (!self.quiet || !expected) && !skipped {
            let micros: u64 = report.attempts.iter().map(|attempt| attempt.wall_us).sum();
            let seconds = micros as f64 / 1e6;
            let line = render_result_line(&plan_result(report), seconds, &self.context);
            self.text(&line);
        }
        if let Some(progress) = &mut self.progress {
            progress.done += 1;
            progress.failed += usize::from(!green && !skipped);
        }
        self.show_progress();
    }

    /// All plans are judged, or somebody stopped us.
    pub(crate) fn end(&mut self, campaign: &CampaignReport, report: &Report) {
        self.clear_progress();
        self.progress = None;
        let unexpected = |subject: &&SubjectReport| {
            matches!(
                subject.verdict.verdict,
                Verdict::New | Verdict::Flaky | Verdict::Expired | Verdict::Blind
            )
        };
        let failed: Vec<&SubjectReport> = campaign.subjects.iter().filter(unexpected).collect();
        for subject in failed.iter().take(FINDINGS_MAX) {
            self.finding(subject);
        }
        if failed.len() > FINDINGS_MAX {
            let more = failed.len() - FINDINGS_MAX;
            self.line(&format!(
                "{more} more in the JSON report (--json FILE) and `hotfire show`\n"
            ));
        }
        if failed.is_empty() && !self.quiet {
            self.one_caught(campaign);
        }
        self.skipped(report);
        self.notes(report);
        let summary = render_summary(report, &self.context);
        self.text(&summary);
        if let Some(failure) = &campaign.failure {
            let unrun = campaign.unrun;
            self.error(&format!(
                "the workers could not be kept alive: {failure}; {unrun} plans were not run\n\
                 help: `dmesg` may tell who ended them; fewer workers (-j1) need less memory"
            ));
        }
        if let Some(signal) = campaign.interrupted {
            let name = hotfire_sys::signal::name(signal);
            let unrun = campaign.unrun;
            self.line(&format!(
                "stopped by {name}: {unrun} plans were not run, all children ended"
            ));
        }
    }

    /// What could not run, by name, with the reason.
    fn skipped(&self, report: &Report) {
        let mut names_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for plan in report.results.iter().filter(|plan| plan.status == "SKIP") {
            let reason = plan.reason.as_deref().unwrap_or("no reason is known");
            names_of.entry(reason).or_default().insert(&plan.scenario);
        }
        for (reason, names) in names_of {
            let names: Vec<&str> = names.into_iter().collect();
            self.line(&format!("SKIP {}", names.join(", ")));
            self.line(&format!("     {}", sanitize(reason, 400)));
        }
    }

    /// What a catch looks like: one of those that were expected.
    fn one_caught(&self, campaign: &CampaignReport) {
        let crashes = |subject: &&SubjectReport| {
            let code = subject.main_finding().map(|(_, finding)| finding.code.as_str());
            code.is_some_and(|code| code.starts_with(['C', 'X']))
        };
        let Some(subject) = campaign.subjects.iter().find(crashes) else { return };
        self.line(
            "\nevery plan went as expected; this is one of the crashes that were to be caught:\n",
        );
        self.finding(subject);
    }

    fn finding(&self, subject: &SubjectReport) {
        let Some((observation, finding)) = subject.main_finding() else {
            return;
        };
        let engine = subject.subject.engine.to_string();
        let program = Program::from(&subject.subject.plan);
        let tried = subject.reproduced(&finding.id);
        let rate = tried.map(|tried| wilson(tried.failed, tried.of));
        let view = FindingView {
            finding: &complete(finding, subject),
            scenario: &subject.subject.scenario,
            place: subject.subject.place.as_ref().map(|(file, line)| (file.as_str(), *line)),
            engine: &engine,
            steps: step_views(observation, &program),
            tried,
            rate: rate.as_ref(),
        };
        self.text(&render_finding(&view, &self.context));
        // Such a finding tells of the machine, so that its next step is not another run.
        if finding.code.starts_with('E')
            && let Some(step) = page_of(&finding.code).and_then(next_step)
        {
            self.text(&wrap(&format!("help: {step}"), self.context.width));
        }
        self.line("");
    }

    fn notes(&self, report: &Report) {
        let shown = if self.verbose { usize::MAX } else { NOTES_MAX };
        for note in report.unavailable.iter().take(shown) {
            self.line(&format!("note: {} not seen: {}", note.what, note.reason));
        }
        if report.unavailable.len() > shown {
            self.line(&format!("note: {} more (-v)", report.unavailable.len() - shown));
        }
    }

    /// `--json -`: the report is the answer.
    pub(crate) fn answer_json(&self, report: &Report) -> Result<(), CliError> {
        let failed = |error| CliError::Write { path: "-".into(), error };
        let text = serde_json::to_string_pretty(report).map_err(|error| failed(error.into()))?;
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .map_err(failed)
    }

    pub(crate) fn warn(&self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// An error may repeat a name or a text from a file: no line of it reaches a terminal as it is.
    pub(crate) fn error(&self, text: &str) {
        let lines: Vec<String> = text.lines().map(|line| sanitize(line, ERROR_CHARS_MAX)).collect();
        self.line(&format!("error: {}", lines.join("\n")));
    }

    fn show_progress(&self) {
        if let Some(Progress { done, all, failed }) = &self.progress {
            let failed = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
            self.text(&format!("\r\u{1b}[K{done} of {all} plans{failed} "));
        }
    }

    fn clear_progress(&self) {
        if self.progress.is_some() {
            self.text("\r\u{1b}[K");
        }
    }

    fn line(&self, text: &str) {
        self.text(&format!("{text}\n"));
    }

    fn text(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        // A reader that has gone must not end the run.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// What a code's page says under its last heading, as one line.
fn next_step(page: &str) -> Option<String> {
    let (_, step) = page.split_once("What to do next\n")?;
    Some(step.split_whitespace().collect::<Vec<&str>>().join(" "))
}

/// Lines of at most `columns`, broken at blanks.
fn wrap(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > columns {
            lines.push('\n');
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
    }
    lines.push('\n');
    lines
}

/// `--color`, then NO_COLOR (no-color.org), CLICOLOR_FORCE, then whether there is a terminal.
fn wants_color(choice: ColorChoice) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let zero = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("NO_COLOR") => false,
        ColorChoice::Auto if set("CLICOLOR_FORCE") && !zero => true,
        ColorChoice::Auto => std::io::stderr().is_terminal(),
    }
}
