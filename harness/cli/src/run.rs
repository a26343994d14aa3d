//! `hotfire run` and `hotfire replay`: the campaign from arguments to reports and exit status.

use std::time::Instant;

use hotfire_core::campaign::{CampaignReport, PoolConfig, Settings, Subject, run_campaign};
use hotfire_core::judge::Baseline;
use hotfire_core::report::{Invocation, Report, assemble};
use hotfire_sys::{Scratch, own_executable};

use crate::args::{ReplayArgs, RunArgs, SharedArgs};
use crate::baseline;
use crate::config::Profile;
use crate::error::{CliError, status};
use crate::present::Presenter;
use crate::proof;
use crate::soak::{self, Soaks};
use crate::store::Store;
use crate::{reports, subjects};

/// The exit status of `--deny-skips`: what is required could not be observed.
const SKIPS_DENIED: i32 = 97;

/// What both verbs need to know.
struct Task<'a> {
    verb: &'static str,
    shared: &'a SharedArgs,
    subjects: Vec<Subject>,
    baseline: Baseline,
    /// Every run in a fresh process, unless a mode is given.
    fresh: bool,
    /// Which of the subjects are soaks of which.
    soaks: Soaks,
    /// A skipped plan is a failure.
    deny_skips: bool,
}

/// `hotfire run`.
pub(crate) fn run(
    args: &RunArgs,
    profile: &Profile,
    presenter: &mut Presenter,
) -> Result<u8, CliError> {
    let mut baseline = baseline::load(&args.shared, profile)?;
    let (mut subjects, left_out) = subjects::of_run(args)?;
    if !baseline.entries.is_empty() {
        baseline.unproven = proof::unproven(&subjects, &args.shared, &args.filters);
    }
    for file in left_out {
        presenter.warn(&format!("{file} is left out: it does not parse, and no filter names it"));
    }
    if args.plan.is_none() && args.filters.is_empty() && args.shared.engine.is_none() {
        for place in baseline::stray(&subjects, &baseline) {
            presenter.warn(&format!("no scenario is named by the baseline's entry {place}"));
        }
    }
    if args.runs.is_none() {
        subjects = baseline::with_enough_runs(subjects, &baseline);
    }
    let (subjects, soaks) = soak::with_soaks(subjects, args);
    let (shared, deny_skips) = (&args.shared, args.deny_skips);
    let task = Task { verb: "run", shared, subjects, baseline, fresh: false, soaks, deny_skips };
    perform(&task, presenter)
}

/// `hotfire replay`.
pub(crate) fn replay(
    args: &ReplayArgs,
    profile: &Profile,
    presenter: &mut Presenter,
) -> Result<u8, CliError> {
    let mut baseline = baseline::load(&args.shared, profile)?;
    let (subject, shared) = subjects::of_replay(&args.plan, args.runs, &args.shared)?;
    if let Some(debugger) = &args.debugger {
        return debug(debugger, &subject, &shared);
    }
    if !baseline.entries.is_empty() {
        baseline.unproven = proof::unproven(std::slice::from_ref(&subject), &shared, &[]);
    }
    let task = Task {
        verb: "replay",
        shared: &shared,
        subjects: vec![subject],
        baseline,
        fresh: true,
        soaks: Soaks::default(),
        deny_skips: false,
    };
    perform(&task, presenter)
}

/// Becomes the debugger, with the host and the plan as its program.
fn debug(debugger: &str, subject: &Subject, shared: &SharedArgs) -> Result<u8, CliError> {
    let mut words = debugger.split_whitespace();
    let Some(name) = words.next() else {
        return Err(CliError::Text(
            "--debugger names no program\nhelp: write --debugger 'gdb --args'".to_owned(),
        ));
    };
    let program = own_executable()?;
    let mut command = std::process::Command::new(name);
    command.args(words).arg(program).args(["__host", "--plan", &subject.plan.to_string()]);
    for variable in subjects::environment(&std::env::temp_dir()) {
        if let Some((key, value)) = variable.split_once('=') {
            command.env(key, value);
        }
    }
    if let Some(seed) = shared.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    Err(CliError::Text(format!(
        "`{name}` cannot be started: {error}\nhelp: `hotfire doctor` says whether gdb is here"
    )))
}

fn perform(task: &Task<'_>, presenter: &mut Presenter) -> Result<u8, CliError> {
    let begun = Instant::now();
    hotfire_sys::close_rest_on_exec()?;
    let seed = task.shared.seed.unwrap_or_else(draw_seed);
    let program = own_executable()?.to_string_lossy().into_owned();
    let temporary = std::env::temp_dir();
    let removed = Scratch::remove_stale(&temporary);
    let scratch = Scratch::new(&temporary)?;
    let settings = subjects::settings(task.shared, seed, &program, scratch.path(), task.fresh);
    let baseline = task.baseline.clone();
    let settings = Settings { baseline, keep_first: presenter.is_verbose(), ..settings };
    presenter.set_github(reports::is_github(task.shared));
    presenter.begin(seed, &task.subjects, removed, settings.confirmations);
    let mut campaign = campaign(task, &settings, presenter)?;
    task.soaks.judge(&mut campaign);
    drop(scratch);
    let invocation = Invocation {
        verb: task.verb.to_owned(),
        command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        seed,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let mut report = assemble(&campaign, &invocation);
    report.unavailable.extend(task.soaks.unavailable());
    let denied = task.deny_skips && deny_skips(&mut report);
    // Findings are kept where that is possible; only those that are can be shown again.
    let kept = Store::at(task.shared.out()).keep(&report, &campaign);
    let is_kept = kept.is_ok();
    presenter.end(&campaign, &report, is_kept);
    if denied {
        presenter.error("plans were skipped, and --deny-skips is given");
    }
    if let Err(error) = kept {
        presenter.warn(&error.to_string());
    }
    reports::write(task.shared, (&campaign, &report, is_kept), presenter)?;
    Ok(u8::try_from(report.exit_code).unwrap_or(status::INTERNAL))
}

/// What was required could not be observed, unless something worse is told already. Whether there
/// was a skipped plan.
fn deny_skips(report: &mut Report) -> bool {
    let is_skipped = report.summary.skipped > 0;
    if is_skipped && [0, i32::from(status::NOTHING_RAN)].contains(&report.exit_code) {
        report.exit_code = SKIPS_DENIED;
    }
    is_skipped
}

fn campaign(
    task: &Task<'_>,
    settings: &Settings,
    presenter: &mut Presenter,
) -> Result<CampaignReport, CliError> {
    let workers = task.shared.jobs.map_or_else(processors, |jobs| jobs as usize);
    let pool = PoolConfig {
        program: settings.host_program.clone(),
        workers: workers.min(task.subjects.iter().map(|subject| subject.runs as usize).sum()),
        owns_process: true,
    };
    let report = run_campaign(pool, settings, &task.subjects, &mut |subject| {
        presenter.subject(subject);
    })?;
    Ok(report)
}

/// As many workers as there are processors.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A seed from the clock and the process: different from call to call, and printed.
fn draw_seed() -> u64 {
    let clock = hotfire_sys::monotonic_ns();
    clock.rotate_left(32) ^ (u64::from(std::process::id()) << 17) ^ clock
}
