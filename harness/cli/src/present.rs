//! What the user sees while and after plans run. Progress and run reports go to standard error,
//! answers to standard output.
//!
//! Deliberately absent: how a line or a finding looks (hotfire-core's `report`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::Path;

use clap::ColorChoice;
use hotfire_core::campaign::{CampaignReport, Subject, SubjectReport};
use hotfire_core::diagnose::Finding;
use hotfire_core::judge::{Verdict, wilson};
use hotfire_core::report::{
    EntryState, FindingView, RenderContext, Report, Whole, complete, counted, defuse_commands,
    explain as page_of, plan_result, render_finding, render_result_line, render_steps,
    render_summary, sanitize, step_views,
};
use hotfire_plan::Program;

use crate::args::{Cli, Verb};
use crate::error::CliError;
use crate::scenarios::origins;
use crate::store::{self, Store};

/// Findings printed in full at the end of a run.
const FINDINGS_MAX: usize = 8;
/// Plans that are named when somebody stopped us.
const UNDER_WAY_MAX: usize = 4;
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
    /// A runner reads what is printed and obeys commands in it.
    github: bool,
    progress: Option<Progress>,
    /// Where findings are kept.
    store: Store,
    /// The number of each plan, by scenario and text, where its scenario has several.
    numbers: BTreeMap<(String, String), usize>,
    /// The columns of the longest name.
    names: usize,
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
        let out = match &cli.verb {
            Verb::Run(args) => args.shared.out(),
            Verb::Replay(args) => args.shared.out(),
            Verb::Demo(args) => &args.out,
            _ => Path::new(store::DEFAULT),
        };
        let store = Store::at(out);
        Self {
            context,
            verbose: cli.verbose,
            quiet: cli.quiet,
            github: false,
            progress: None,
            store,
            numbers: BTreeMap::new(),
            names: 0,
        }
    }

    /// How text is to be rendered.
    pub(crate) fn context(&self) -> &RenderContext {
        &self.context
    }

    /// From now on a runner of GitHub reads what is printed, or none does.
    pub(crate) fn set_github(&mut self, github: bool) {
        self.github = github;
    }

    /// The seed comes first, so that even a run that never ends can be repeated.
    /// `more`: how often what fails is repeated.
    pub(crate) fn begin(&mut self, seed: u64, subjects: &[Subject], removed: usize, more: u32) {
        self.number(subjects);
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
        let files = subjects.iter().filter_map(|subject| subject.place.as_ref());
        let from = origins(files.map(|(file, _)| file.as_str()));
        let from = if from.is_empty() { from } else { format!(" of {from}") };
        let count = subjects.len();
        let more = match more {
            0 => String::new(),
            more => format!(", up to {more} more of a plan that fails"),
        };
        self.line(&format!("hotfire: seed {seed:#x}, {count} {plans}{from}, {runs} {noun}{more}"));
        if std::io::stderr().is_terminal() {
            self.progress = Some(Progress { done: 0, all: subjects.len(), failed: 0 });
        }
    }

    /// Plans of one scenario begin alike and are cut alike: a number tells them apart.
    fn number(&mut self, subjects: &[Subject]) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for subject in subjects {
            let count = counts.entry(&subject.scenario).or_default();
            *count += 1;
            self.numbers.insert(plan_key(subject), *count);
        }
        self.numbers.retain(|(scenario, _), _| {
            counts.get(scenario.as_str()).is_some_and(|count| *count > 1)
        });
        let names = subjects.iter().map(|subject| self.name(&plan_key(subject)).chars().count());
        self.names = names.max().unwrap_or(0);
    }

    /// `SCENARIO`, or `SCENARIO/NUMBER` where it has several plans.
    fn name(&self, key: &(String, String)) -> String {
        match self.numbers.get(key) {
            Some(number) => format!("{}/{number}", key.0),
            None => key.0.clone(),
        }
    }

    /// A plan is judged.
    pub(crate) fn subject(&mut self, report: &SubjectReport) {
        let expected = report.verdict.verdict == Verdict::AsExpected;
        self.clear_progress();
        let skipped = report.verdict.verdict == Verdict::Skipped;
        let green = expected || matches!(report.verdict.verdict, Verdict::Known | Verdict::Fixed);
        if (!self.quiet || !expected) && !skipped {
            let seconds = report.wall_us as f64 / 1e6;
            let mut result = plan_result(report);
            result.scenario = self.name(&plan_key(&report.subject));
            let line = render_result_line(&result, seconds, self.names, &self.context);
            self.text(&line);
            if self.verbose {
                self.steps_of_a_pass(report);
            }
        }
        if let Some(progress) = &mut self.progress {
            progress.done += 1;
            progress.failed += usize::from(!green && !skipped);
        }
        self.show_progress();
    }

    /// What each step of a plan without a finding answered in its first run.
    fn steps_of_a_pass(&self, report: &SubjectReport) {
        let first = report.first_run().filter(|_| report.verdict.status == "PASS");
        if let Some(observation) = first {
            let program = Program::from(&report.subject.plan);
            self.text(&render_steps(&step_views(observation, &program), &self.context));
        }
    }

    /// Whether more is to be shown of plans that pass.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// All plans are judged, or somebody stopped us.
    /// `kept`: the findings can be shown again.
    pub(crate) fn end(&mut self, campaign: &CampaignReport, report: &Report, kept: bool) {
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
            self.finding(subject, kept);
        }
        if failed.len() > FINDINGS_MAX {
            let more = counted(failed.len() - FINDINGS_MAX, "more plan");
            let help = if kept {
                format!("`hotfire show{}` lists all findings", self.store.flag())
            } else {
                "--json FILE tells of all".to_owned()
            };
            self.line(&format!("{more} NOT as expected: {help}\n"));
        }
        let went_well = campaign.failure.is_none() && campaign.interrupted.is_none();
        if failed.is_empty() && went_well && !self.quiet {
            self.one_caught(campaign, kept);
        }
        self.skipped(report);
        self.baseline(report);
        self.notes(report);
        let summary = render_summary(report, &self.context);
        self.text(&summary);
        if let Some(failure) = &campaign.failure {
            let unrun = not_run(campaign);
            self.error(&format!(
                "the workers could not be kept alive: {failure}; {unrun}\n\
                 help: `dmesg` may tell who ended them; fewer workers (-j1) need less memory"
            ));
        }
        if let Some(signal) = campaign.interrupted {
            let name = hotfire_sys::signal::name(signal);
            let unrun = not_run(campaign);
            self.line(&format!("stopped by {name}: {unrun}, all children ended"));
            self.under_way(campaign);
        }
    }

    /// What ran when somebody stopped us: it may be what they waited for in vain.
    fn under_way(&self, campaign: &CampaignReport) {
        let mut running = campaign.unrun.iter().filter(|unrun| unrun.in_flight > 0);
        for unrun in running.by_ref().take(UNDER_WAY_MAX) {
            let scenario = sanitize(&unrun.subject.scenario, self.context.width);
            let plan = sanitize(&unrun.subject.plan.to_string(), usize::MAX);
            self.line(&format!("  under way: {scenario}: {plan}"));
        }
        let more = running.count();
        if more > 0 {
            self.line(&format!("  under way: {}", counted(more, "more plan")));
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

    /// Entries of the baseline whose failure is gone, and those that nobody can tell of.
    fn baseline(&self, report: &Report) {
        for entry in &report.baseline {
            let word = match entry.state {
                EntryState::Fixed if entry.fails => "FIXED (strict-fixed: this fails)",
                EntryState::Fixed => "FIXED",
                EntryState::Undecided if !self.quiet => "note:",
                _ => continue,
            };
            self.line(&format!(
                "{word} {} {}: {}",
                sanitize(&entry.selects, 100),
                sanitize(&entry.lists, 100),
                sanitize(&entry.reason, 200)
            ));
            let (issue, place) = (&entry.known.issue, &entry.known.place);
            self.line(&format!("     {}, {}", sanitize(issue, 200), sanitize(place, 400)));
        }
    }

    /// What a catch looks like: one of those that were expected.
    fn one_caught(&self, campaign: &CampaignReport, kept: bool) {
        let mut judged = campaign.subjects.iter();
        if !judged.all(|one| [Verdict::AsExpected, Verdict::Skipped].contains(&one.verdict.verdict))
        {
            return;
        }
        // A crash rather than a hang or a leak.
        let is_crash = |one: &Finding| one.code.starts_with(['C', 'X']);
        let caught =
            || campaign.subjects.iter().filter_map(|one| Some((one, one.main_finding()?.1)));
        let crash = caught().find(|(_, finding)| is_crash(finding));
        let Some((subject, _)) = crash.or_else(|| caught().next()) else { return };
        self.line("\nevery plan went as expected; this is one of those that were to be caught:\n");
        self.finding(subject, kept);
    }

    fn finding(&self, subject: &SubjectReport, kept: bool) {
        if let Some(text) = self.finding_text(subject, kept) {
            self.text(&text);
            self.line("");
        }
    }

    /// The finding that a verdict is about, as a compiler would print it; none where all passed.
    /// `kept`: it can be shown whole from the store.
    pub(crate) fn finding_text(&self, subject: &SubjectReport, kept: bool) -> Option<String> {
        self.finding_in(subject, kept, &self.context)
    }

    /// The same for files: without colours.
    pub(crate) fn plain_finding(&self, subject: &SubjectReport, kept: bool) -> Option<String> {
        self.finding_in(subject, kept, &RenderContext::default())
    }

    fn finding_in(
        &self,
        subject: &SubjectReport,
        kept: bool,
        context: &RenderContext,
    ) -> Option<String> {
        let (observation, finding) = subject.main_finding()?;
        let engine = subject.subject.engine.to_string();
        let program = Program::from(&subject.subject.plan);
        let tried = subject.reproduced(&finding.id);
        let rate = tried.map(|tried| wilson(tried.failed, tried.of));
        let also = self.also(subject, &finding.id, kept);
        let whole = self.store.show_command(finding, subject);
        let view = FindingView {
            finding: &complete(finding, subject),
            scenario: &subject.subject.scenario,
            place: subject.subject.place.as_ref().map(|(file, line)| (file.as_str(), *line)),
            engine: &engine,
            steps: step_views(observation, &program),
            tried,
            rate: rate.as_ref(),
            also: &also,
            whole: if kept { Whole::By(&whole) } else { Whole::Nowhere },
        };
        let mut text = render_finding(&view, context);
        // Such a finding tells of the machine, so that its next step is not another run.
        if finding.code.starts_with('E')
            && let Some(step) = page_of(&finding.code).and_then(next_step)
        {
            text.push_str(&wrap(&format!("help: {step}"), context.width));
        }
        Some(text)
    }

    /// The other findings of the plan, a line each. A run that could not be seen is none of the
    /// plan's: it is counted below.
    fn also(&self, subject: &SubjectReport, id: &str, kept: bool) -> Vec<String> {
        let others = subject
            .first_findings()
            .filter(|(_, finding)| finding.id != id && !finding.code.starts_with('E'));
        let line = |finding: &Finding| {
            let step = finding.step.as_ref().map(|step| format!(" in step {}", step.index));
            let step = step.unwrap_or_default();
            let show = match kept {
                true => format!(" ({})", self.store.show_command(finding, subject)),
                false => String::new(),
            };
            format!("{} {}{step}{show}", finding.code, finding.status)
        };
        others.map(|(_, finding)| line(finding)).collect()
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
        let failed = |error: serde_json::Error| CliError::Answer { error: error.into() };
        let text = serde_json::to_string_pretty(report).map_err(failed)?;
        self.answer(&(text + "\n"))
    }

    /// A report on standard output.
    pub(crate) fn answer(&self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| CliError::Answer { error })
    }

    /// Commands for the runner of GitHub, which reads both streams.
    pub(crate) fn commands(&self, text: &str) {
        self.raw(text);
    }

    /// A finding's page.
    pub(crate) fn page(&self, text: &str) {
        self.text(text);
    }

    pub(crate) fn note(&self, text: &str) {
        self.line(&format!("note: {}", sanitize(text, ERROR_CHARS_MAX)));
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
        if self.github { self.raw(&defuse_commands(text)) } else { self.raw(text) }
    }

    fn raw(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        // A reader that has gone must not end the run.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn plan_key(subject: &Subject) -> (String, String) {
    (subject.scenario.clone(), subject.plan.to_string())
}

/// How many plans had no run at all, and which had not all.
fn not_run(campaign: &CampaignReport) -> String {
    let never = campaign.unrun.iter().filter(|unrun| unrun.made == 0).count();
    let partly = campaign.unrun.len() - never;
    let were = |count: usize| if count == 1 { "was" } else { "were" };
    let mut text = format!("{} {} not run", counted(never, "plan"), were(never));
    if partly > 0 {
        text.push_str(&format!(", {partly} not to the end"));
    }
    text
}

/// What a code's page says under its last heading, as one line.
fn next_step(page: &str) -> Option<String> {
    let (_, step) = page.split_once("What to do next\n")?;
    Some(step.split_whitespace().collect::<Vec<&str>>().join(" "))
}

/// Lines of at most `columns`, broken at blanks.
pub(crate) fn wrap(text: &str, columns: usize) -> String {
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
