//! What the user sees while and after plans run. Progress and run reports go to standard error,
//! answers to standard output.

use std::io::Write;

use hotfire_core::campaign::{CampaignReport, Subject, SubjectReport};
use hotfire_core::report::Report;

use crate::args::Cli;
use crate::error::CliError;

/// Writes to the user.
#[derive(Debug)]
pub(crate) struct Presenter {
    verbose: bool,
    quiet: bool,
}

impl Presenter {
    pub(crate) fn new(cli: &Cli) -> Self {
        Self { verbose: cli.verbose, quiet: cli.quiet }
    }
    fn line(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    pub(crate) fn begin(&mut self, seed: u64, subjects: &[Subject], removed: usize) {
        self.line(&format!("seed {seed:#x}, {} plans, removed {removed}", subjects.len()));
    }
    pub(crate) fn subject(&mut self, report: &SubjectReport) {
        let _ = (self.verbose, self.quiet);
        let v = &report.verdict;
        self.line(&format!(
            "{:10} {:?} {} {} {}/{} {:?} {:?}",
            v.status,
            v.verdict.name(),
            report.subject.scenario,
            report.subject.plan,
            v.failed,
            v.runs,
            v.reason,
            report.fresh
        ));
        if let Some((attempt, finding)) = report.main_finding() {
            self.line(&format!(
                "     {} {} {} {} cause {:?} wall {}",
                finding.code,
                finding.class,
                finding.phase,
                finding.title,
                finding.likely_cause,
                attempt.observation.wall_us
            ));
            for e in &finding.evidence {
                self.line(&format!("       - {} [{}]", e.text, e.source));
            }
        }
    }
    pub(crate) fn end(&mut self, _campaign: &CampaignReport, report: &Report) {
        self.line(&format!("{:?} exit {}", report.summary, report.exit_code));
        for u in &report.unavailable {
            self.line(&format!("note: {}: {}", u.what, u.reason));
        }
    }
    pub(crate) fn answer_json(&mut self, report: &Report) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(report).unwrap_or_default();
        writeln!(std::io::stdout(), "{text}")
            .map_err(|error| CliError::Write { path: "-".into(), error })
    }
    pub(crate) fn warn(&mut self, text: &str) {
        self.line(&format!("warning: {text}"));
    }
    pub(crate) fn error(&mut self, text: &str) {
        self.line(&format!("error: {text}"));
    }
}
