//! A finding as a compiler would print it: at most 24 lines of 80 to 98 columns (commands, which
//! are there to be copied, may be longer), the cause within the first three. A view without a
//! command that shows the whole is the whole: there, nothing is cut.
//!
//! Deliberately absent: anything that is not in the finding or its view; what is cut is said.

use hotfire_plan::shell_quote;

use super::colour::{RenderContext, Tone};
use super::lines::counted;
use super::sanitize::sanitize;
use super::view::{FindingView, StepView, Whole};
use crate::diagnose::{Culprit, Finding, FindingThread, Frame, RACE_CLASS, is_interpreter};

/// Lines of a finding, in all.
const LINES_MAX: usize = 24;
const STEPS_MAX: usize = 6;
/// Columns of a step's result.
const RESULT_COLUMNS: usize = 34;
const FRAMES_MAX: usize = 3;
const COMMAND_FRAMES_MAX: usize = 8;
const THREADS_MAX: usize = 3;
/// Stacks of a hang, and frames of each, from the first that is not the C library's.
const HANG_STACKS_MAX: usize = 2;
const HANG_FRAMES_MAX: usize = 3;
const ALSO_MAX: usize = 3;
const FOUND_AS_USUAL: &str = "  [found by unwind-info]";
/// Evidence gets what the other parts leave, and never less.
const EVIDENCE_MIN: usize = 3;

/// The finding's text, with a newline at each line's end.
#[must_use]
pub fn render_finding(view: &FindingView<'_>, context: &RenderContext) -> String {
    let page =
        Page { context: *context, columns: context.columns(), is_whole: view.whole == Whole::Here };
    let head = page.head(view);
    let steps = page.steps(view);
    let threads = page.threads(view);
    let tried = [page.tried(view), page.also(view)].concat();
    let commands = page.commands(view);
    let used = head.len() + steps.len() + threads.len() + tried.len() + commands.len();
    let evidence_max = LINES_MAX.saturating_sub(used).max(EVIDENCE_MIN);
    let evidence = page.evidence(view, evidence_max);
    let mut text = String::new();
    for line in [head, steps, threads, evidence, tried, commands].concat() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The table of a plan's steps, for a run without a finding; nothing is cut.
#[must_use]
pub fn render_steps(steps: &[StepView], context: &RenderContext) -> String {
    let page = Page { context: *context, columns: context.columns(), is_whole: true };
    steps.iter().map(|step| format!("{}\n", page.step(step, None).trim_end())).collect()
}

struct Page {
    context: RenderContext,
    columns: usize,
    is_whole: bool,
}

impl Page {
    /// One line of clean text that fits behind `used` columns.
    fn fit(&self, text: &str, used: usize) -> String {
        let room = if self.is_whole { usize::MAX } else { self.columns.saturating_sub(used) };
        sanitize(text, room)
    }

    /// How many of a list are shown: the whole shows all.
    fn at_most(&self, most: usize) -> usize {
        if self.is_whole { usize::MAX } else { most }
    }

    fn head(&self, view: &FindingView<'_>) -> Vec<String> {
        let finding = view.finding;
        let label = format!("{} {}", finding.code, finding.status);
        let title = self.fit(&finding.title, label.chars().count() + 2);
        let label = self.context.paint(Tone::Bad, &label);
        let place = view.place.map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
        let engine = match view.engine {
            "" => String::new(),
            engine => format!(", engine {engine}"),
        };
        let place = format!("  --> {}{place}{engine}", view.scenario);
        let mut lines = vec![format!("{label}: {}", self.context.paint(Tone::Strong, &title))];
        let (cause, rule) = cause(finding);
        if cause.chars().count() + rule.chars().count() < self.columns {
            lines.push(format!("{cause} {rule}").trim_end().to_owned());
        } else {
            lines.extend([self.fit(&cause, 0), self.fit(&format!("     {rule}"), 0)]);
        }
        // Of a plan the step says whose it is.
        if view.finding.minimal_plan.is_none()
            && let Some(culprit) = &finding.culprit
        {
            lines.push(self.fit(&culprit_line(culprit), 0));
        }
        lines.push(self.fit(&place, 0));
        lines
    }

    fn steps(&self, view: &FindingView<'_>) -> Vec<String> {
        let matters = view.finding.step.as_ref().map(|step| step.index);
        let shown = if self.is_whole { &view.steps } else { window(&view.steps, matters) };
        let before = shown.first().map_or(0, |step| step.index.saturating_sub(1));
        let last = view.steps.last().map_or(0, |step| step.index);
        let behind = last.saturating_sub(shown.last().map_or(last, |step| step.index));
        let mut lines = Vec::new();
        if before > 0 {
            lines.push(format!("   | … {before} earlier"));
        }
        for step in shown {
            lines.push(self.step(step, Some(view.finding)));
            // Pauses are no steps; this one says where the time went.
            let pause = step.stopped_in.as_ref().map(|pause| self.row("  ", pause, "stopped here"));
            lines.extend(pause);
        }
        if behind > 0 {
            lines.push(format!("   | … {behind} more"));
        }
        lines
    }

    fn step(&self, step: &StepView, finding: Option<&Finding>) -> String {
        let finding =
            finding.filter(|it| it.step.as_ref().is_some_and(|it| it.index == step.index));
        let lane = if step.lane > 0 { format!("lane {} ", step.lane) } else { String::new() };
        let text = format!("{lane}{}", step.text);
        let line = self.row(&format!("{:>2}", step.index), &text, &step_result(step, finding));
        if finding.is_some() { self.context.paint(Tone::Strong, &line) } else { line }
    }

    /// One line of the table of steps.
    fn row(&self, number: &str, text: &str, result: &str) -> String {
        let text = self.fit(text, 6 + RESULT_COLUMNS);
        let space = self.columns.saturating_sub(6 + RESULT_COLUMNS);
        self.fit(&format!("{number} | {text:space$} {result}"), 0)
    }

    fn threads(&self, view: &FindingView<'_>) -> Vec<String> {
        let finding = view.finding;
        let crashed: Vec<&FindingThread> =
            finding.threads.iter().filter(|thread| thread.crashed).collect();
        if let Some(thread) = crashed.first() {
            let mut lines = vec![self.fit(&thread_line(thread, finding), 0)];
            // A command has no steps, and so more room.
            let frames_max = if view.steps.is_empty() { COMMAND_FRAMES_MAX } else { FRAMES_MAX };
            let shown = self.at_most(frames_max);
            let frames = first_lines(&thread.frames, shown);
            lines.extend(frames.iter().map(|line| self.frame(line)));
            let told: usize = frames.iter().map(|line| line.frames).sum();
            let more = thread.frames.len().saturating_sub(told);
            if more > 0 && view.steps.is_empty() {
                lines.push(format!("     … {}", counted(more, "more frame")));
            }
            lines.extend(python_line(thread).map(|line| self.fit(&line, 0)));
            if self.is_whole {
                let others = finding.threads.iter().filter(|other| other.tid != thread.tid);
                lines.extend(others.map(|other| self.fit(&thread_line(other, finding), 0)));
            }
            return lines;
        }
        let shown = self.at_most(THREADS_MAX);
        // Those that a hang is about come first, with what they were doing.
        let matter = if finding.victim.is_some() { finding.deadlock.len().max(1) } else { 0 };
        let frames_max = if view.steps.is_empty() { HANG_FRAMES_MAX } else { 1 };
        let mut lines: Vec<String> = Vec::new();
        for (at, thread) in finding.threads.iter().enumerate().take(shown) {
            lines.push(self.fit(&thread_line(thread, finding), 0));
            if at < matter.min(HANG_STACKS_MAX) || self.is_whole {
                let frames = telling_lines(thread, self.at_most(frames_max));
                lines.extend(frames.iter().map(|line| self.frame(line)));
            }
        }
        if let Some(more) = finding.threads.len().checked_sub(shown).filter(|more| *more > 0) {
            lines.push(format!("   = … {}", counted(more, "more thread")));
        }
        lines
    }

    /// How a frame was found is said where it is not the usual way.
    fn frame(&self, line: &FrameLine) -> String {
        let line = line.text.as_str();
        let line = if self.is_whole { line } else { line.trim_end_matches(FOUND_AS_USUAL) };
        self.fit(line, 0)
    }

    fn evidence(&self, view: &FindingView<'_>, lines_max: usize) -> Vec<String> {
        let finding = view.finding;
        let lines_max = self.at_most(lines_max);
        let all = finding.evidence.len();
        let shown = if all > lines_max { lines_max.saturating_sub(1) } else { all };
        let mut lines: Vec<String> = (1..)
            .zip(finding.evidence.iter().take(shown))
            .map(|(number, line)| {
                let source = sanitize(&line.source, 20);
                let text = self.fit(&line.text, 12 + source.chars().count());
                format!(
                    "   = {number}. {text} {}",
                    self.context.paint(Tone::Quiet, &format!("[{source}]"))
                )
            })
            .collect();
        if shown < all {
            let place = match view.whole {
                Whole::By(command) => format!("`{command}`"),
                Whole::Here | Whole::Nowhere => "the report of --json FILE".to_owned(),
            };
            lines.push(format!("   = … {} more in {place}", all - shown));
        }
        lines
    }

    fn tried(&self, view: &FindingView<'_>) -> Vec<String> {
        let Some(tried) = view.tried.or(view.finding.reproduced) else {
            // Nothing of the engine was seen where the code is of the environment; and a command
            // is never forked.
            let is_seen =
                !view.finding.code.starts_with('E') && view.finding.minimal_plan.is_some();
            let text = "   = shown in forked children only: a rate comes from fresh processes";
            return is_seen.then(|| text.to_owned()).into_iter().collect();
        };
        let interval = view.rate.map(|rate| {
            let percent = |end: f64| format!("{:.0}", end * 100.0);
            format!(", {} to {} % (Wilson, 95 %)", percent(rate.low), percent(rate.high))
        });
        let runs = if tried.of == 1 { "run in a fresh process" } else { "runs in fresh processes" };
        let text = format!("   = shown by {} of {} {runs}", tried.failed, tried.of);
        vec![self.fit(&format!("{text}{}", interval.unwrap_or_default()), 0)]
    }

    /// The plan's other findings.
    fn also(&self, view: &FindingView<'_>) -> Vec<String> {
        let shown = self.at_most(ALSO_MAX);
        let line = |other: &String| format!("   = also: {}", sanitize(other, usize::MAX));
        let mut lines: Vec<String> = view.also.iter().take(shown).map(line).collect();
        if let Some(more) = view.also.len().checked_sub(shown).filter(|more| *more > 0) {
            lines.push(format!("   = also: {}", counted(more, "more finding")));
        }
        lines
    }

    fn commands(&self, view: &FindingView<'_>) -> Vec<String> {
        let finding = view.finding;
        let replay = finding.reproduce.clone().or_else(|| {
            let plan = finding.minimal_plan.as_deref()?;
            Some(format!("hotfire replay {}", shell_quote(plan)))
        });
        let mut lines = vec![String::new()];
        // A command is copied: it is made clean, and never cut.
        lines.extend(
            replay.map(|command| format!("  see it again: {}", sanitize(&command, usize::MAX))),
        );
        if let Whole::By(command) = view.whole {
            lines.push(format!("  see it whole: {command}"));
        }
        // Of several deaths, the code is only the commonest one's.
        let is_race = finding.class == RACE_CLASS;
        let page = if is_race { &finding.class } else { &finding.code };
        lines.push(format!("  what it is:   hotfire explain {page}"));
        lines
    }
}

/// The cause, and the rule that says so.
fn cause(finding: &Finding) -> (String, String) {
    match &finding.likely_cause {
        Some(cause) => (
            format!("   = likely cause: {}", cause.text),
            format!("(rule {}, {} of {} signs)", cause.rule, cause.signs, cause.of),
        ),
        None if finding.class == "unknown" => {
            ("   = likely cause: unknown; no rule saw all of its signs".to_owned(), String::new())
        }
        None => (format!("   = what it is: {}", finding.class), String::new()),
    }
}

fn culprit_line(culprit: &Culprit) -> String {
    let module = &culprit.module;
    let function = match (&culprit.function, &culprit.function_start) {
        (Some(function), _) => format!("{function} in {module}"),
        (None, Some(start)) => format!("{module} (function at {start})"),
        (None, None) => module.clone(),
    };
    format!("   = culprit: {function}")
}

/// The steps around the one that matters: most of them before it.
fn window(steps: &[StepView], matters: Option<u32>) -> &[StepView] {
    let last_seen = steps.iter().rposition(|step| step.in_flight || step.outcome.is_some());
    let place = matters
        .and_then(|index| steps.iter().position(|step| step.index == index))
        .or(last_seen)
        .unwrap_or(0);
    let end = (place + 2).max(STEPS_MAX).min(steps.len());
    steps.get(end.saturating_sub(STEPS_MAX)..end).unwrap_or_default()
}

fn step_result(step: &StepView, finding: Option<&Finding>) -> String {
    let took = step.took_us.map(|us| format!(" {}", time(us))).unwrap_or_default();
    let times = match (step.not_ok, step.times) {
        (_, 0 | 1) => String::new(),
        (0, times) => format!(" ×{times}"),
        (not_ok, times) => format!(" {not_ok} of {times}"),
    };
    let ended = step.outcome.as_ref().map(|outcome| format!("{outcome}{times}{took}"));
    match (finding, ended) {
        (Some(finding), Some(ended)) if !step.in_flight => {
            format!("{ended}  <-- {}", finding.status)
        }
        (Some(finding), _) => format!("<-- {}", finding.status),
        (None, _) if step.in_flight => "in flight".to_owned(),
        (None, Some(ended)) if step.refused_as_predicted => format!("{ended}, as predicted"),
        (None, Some(ended)) => ended,
        (None, None) => "not run".to_owned(),
    }
}

/// A duration with three digits.
fn time(us: u64) -> String {
    // Exact below 2^53 microseconds, which are 285 years.
    let us = us as f64;
    match us {
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 1_000_000.0 => format!("{:.1} ms", us / 1_000.0),
        us => format!("{:.1} s", us / 1_000_000.0),
    }
}

pub(super) fn thread_line(thread: &FindingThread, finding: &Finding) -> String {
    let who = match &finding.victim {
        Some(victim) if thread.crashed => {
            format!(" of the {} (pid {})", victim.relation, victim.pid)
        }
        _ => String::new(),
    };
    let waits = thread.waits_on.as_ref().map(|on| format!(", waits on {on}")).unwrap_or_default();
    let name = &thread.name;
    format!("   = thread {} `{name}`{who}, {}{waits}", thread.tid, thread.state)
}

/// How functions of Python are found.
const OF_PYTHON: &str = "python";

/// A line of a stack.
struct FrameLine {
    text: String,
    /// How many frames it tells of.
    frames: usize,
    is_python: bool,
}

/// The frames, each with its number. Where the thread runs Python, frames of the interpreter that
/// follow one another are one line; not those that the thread stands in.
fn frame_lines(frames: &[Frame]) -> Vec<FrameLine> {
    let is_python = |frame: &Frame| frame.found_by == OF_PYTHON;
    let runs_python = frames.iter().any(is_python);
    let is_foldable =
        |frame: &Frame| runs_python && frame.module.as_deref().is_some_and(is_interpreter);
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some(rest) = frames.get(at..).filter(|rest| !rest.is_empty()) {
        let run = rest.iter().take_while(|frame| is_foldable(frame)).count();
        if at > 0 && run > 1 {
            let text = format!("     … {run} frames of the interpreter");
            lines.push(FrameLine { text, frames: run, is_python: false });
        } else {
            let shown = (at..).zip(rest).take(run.max(1));
            lines.extend(shown.map(|(at, frame)| {
                let text = frame_line(at, frame);
                FrameLine { text, frames: 1, is_python: is_python(frame) }
            }));
        }
        at += run.max(1);
    }
    lines
}

/// The first lines of a stack. Half of them are where the thread runs Python, however deep in
/// native code it stands.
fn first_lines(frames: &[Frame], most: usize) -> Vec<FrameLine> {
    let mut lines = frame_lines(frames);
    let first = lines.iter().position(|line| line.is_python);
    if let Some(first) = first.filter(|first| *first > most / 2 && lines.len() > most) {
        let left_out: usize = lines.iter().take(first).skip(most / 2).map(|line| line.frames).sum();
        let text = format!("     … {}", counted(left_out, "more frame"));
        let hole = FrameLine { text, frames: left_out, is_python: false };
        lines.splice(most / 2..first, [hole]);
    }
    lines.truncate(most);
    lines
}

/// What is not as it should be with the functions of Python.
pub(super) fn python_line(thread: &FindingThread) -> Option<String> {
    thread.python.as_ref().map(|words| format!("     (functions of Python: {words})"))
}

/// What a waiting thread was doing: the frames from the first that is neither the C library's nor
/// one of a standard library, which is compiled into whoever waits.
fn telling_lines(thread: &FindingThread, most: usize) -> Vec<FrameLine> {
    let is_below = |frame: &Frame| {
        let module = frame.module.as_deref().unwrap_or_default();
        let function = frame.function.as_deref().unwrap_or_default();
        let of_c_library = module.rsplit('/').next().unwrap_or_default().starts_with("libc.");
        of_c_library || frame.inlined || function.starts_with("std::")
    };
    let runs_python = thread.frames.iter().any(|frame| frame.found_by == OF_PYTHON);
    let below = thread.frames.iter().take_while(|frame| is_below(frame)).count();
    if most == usize::MAX || runs_python || below == thread.frames.len() {
        return first_lines(&thread.frames, most);
    }
    let mut lines = frame_lines(&thread.frames);
    lines.drain(..below);
    lines.truncate(most);
    lines
}

pub(super) fn frame_line(at: usize, frame: &Frame) -> String {
    let name = |path: &'_ str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let source = match (frame.file.as_deref().map(name), frame.line) {
        (Some(file), Some(line)) => format!(" at {file}:{line}"),
        (Some(file), None) => format!(" at {file}"),
        (None, _) => String::new(),
    };
    if frame.found_by == OF_PYTHON {
        let function = frame.function.as_deref().unwrap_or("(no name)");
        return format!("     #{at} {function}{source}  [found by {OF_PYTHON}]");
    }
    if frame.inlined {
        let function = frame.function.as_deref().unwrap_or("(no name)");
        return format!("     #{at} {function}{source}  [inlined]");
    }
    let place = match (frame.module.as_deref().map(name), &frame.offset) {
        (Some(module), Some(offset)) => format!("{module}+{offset}"),
        _ => frame.pc.clone(),
    };
    let found = format!("[found by {}]", frame.found_by);
    match (&frame.function, &frame.function_start) {
        (Some(function), _) => format!("     #{at} {function}{source}  {place}  {found}"),
        (None, Some(start)) => format!("     #{at} {place} (function at {start}){source}  {found}"),
        (None, None) => format!("     #{at} (no symbol){source}  {place}  {found}"),
    }
}
