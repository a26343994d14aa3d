//! `hotfire demo`: what a shell says of a crash, then what Hotfire says of the same program and
//! plan, then its healthy twin. Everything that is shown was run just now.
//!
//! Deliberately absent: supervision of the plain run, beyond a deadline; a crash as users meet it
//! is the point. Should Hotfire be killed in that moment, the shell dies with it, and the program
//! ends by itself within milliseconds.

use std::io::Write;
use std::time::Instant;

use hotfire_core::campaign::{
    CampaignReport, PoolConfig, Settings, Subject, SubjectReport, Watching, run_campaign,
};
use hotfire_core::judge::{Baseline, wilson};
use hotfire_core::observe::LaunchMode;
use hotfire_core::report::{
    Invocation, NAME_COLUMNS, assemble, plan_result, render_result_line, sanitize,
};
use hotfire_plan::scenario::{Census, Expectation, ExpectedFinding, Limits};
use hotfire_plan::{EngineSpec, Plan, shell_quote};
use hotfire_sys::machine::find_program;
use hotfire_sys::{Scratch, Stop, monotonic_ns, own_executable, run_bounded};

use crate::args::DemoArgs;
use crate::error::CliError;
use crate::internal::LINKED_KINDS;
use crate::present::Presenter;
use crate::run::processors;
use crate::store::Store;
use crate::subjects;

const PLAN: &str = "create a = ENGINE; load a tiny; swap a engine=reference; exit";
/// An engine that releases its model before what points into it.
const DEFECTIVE: &str = "reference:defect=cleanup-order";
const HEALTHY: &str = "reference";
/// Runs of each, in fresh processes.
const RUNS: u32 = 20;
/// The longest plain run.
const SHELL_NS: u64 = 3_000_000_000;
/// The longest step under watch, and the longest way out: far above the milliseconds that they take.
const STEP_MS: u64 = 2_000;
const LINE_CHARS_MAX: usize = 400;
const NOT_RUN: &str = "(not run: stopped before)\n\n";

/// Shows the crash twice, and the twin.
pub(crate) fn demo(
    args: &DemoArgs,
    presenter: &Presenter,
    out: &mut dyn Write,
) -> Result<u8, CliError> {
    let begun = Instant::now();
    hotfire_sys::close_rest_on_exec()?;
    let temporary = std::env::temp_dir();
    let scratch = Scratch::new(&temporary)?;
    let environment = subjects::environment(scratch.path());
    let program = own_executable()?.to_string_lossy().into_owned();
    let subjects = [subject("defective", DEFECTIVE)?, subject("healthy twin", HEALTHY)?];
    let [defective, _] = &subjects;

    say(
        out,
        "1. What its user sees: a program swaps an engine whose cleanup is in the wrong order.\n",
    );
    say(out, &in_a_shell(&program, &defective.plan, &environment)?);
    say(out, &format!("\n2. What Hotfire says of the same program and plan, {RUNS} times:\n\n"));
    let seed = monotonic_ns();
    let settings = settings(seed, &program, environment);
    let campaign = campaign(&settings, &subjects)?;
    drop(scratch);
    let invocation = Invocation {
        verb: "demo".to_owned(),
        command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        seed,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let report = assemble(&campaign, &invocation);
    let kept = Store::at(&args.out).keep_findings(&campaign);
    let [first, second] = [0, 1].map(|index| {
        let wanted = subjects.get(index);
        let found = campaign.subjects.iter().find(|it| Some(&it.subject) == wanted);
        found.map_or_else(|| NOT_RUN.to_owned(), |it| told(it, presenter, kept.is_ok()))
    });
    say(out, &first);
    say(out, "3. Its healthy twin: the same plan, the engine without the defect.\n\n");
    say(out, &second);
    if let Err(error) = kept {
        presenter.warn(&error.to_string());
    }
    say(out, &next(report.exit_code, begun.elapsed().as_secs_f64()));
    Ok(u8::try_from(report.exit_code).unwrap_or(crate::error::status::INTERNAL))
}

/// Each part is shown as soon as it is known.
fn say(out: &mut dyn Write, text: &str) {
    // A reader that has gone has seen enough.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn subject(name: &str, engine: &str) -> Result<Subject, CliError> {
    let expect = match engine {
        HEALTHY => Expectation::Pass,
        _ => Expectation::Finding(ExpectedFinding::default()),
    };
    let engine = EngineSpec::parse(engine).map_err(|error| CliError::Text(error.render(engine)))?;
    let plan = Plan::parse(PLAN).map_err(|error| CliError::Text(error.render(PLAN)))?;
    Ok(Subject {
        scenario: name.to_owned(),
        place: None,
        plan: plan.with_engine(&engine),
        engine,
        limits: Limits { step_ms: STEP_MS, exit_ms: STEP_MS, ..Limits::default() },
        census: Census::default(),
        expect,
        runs: RUNS,
    })
}

/// Runs the plan under a shell, without us, and shows what the shell shows.
fn in_a_shell(program: &str, plan: &Plan, environment: &[String]) -> Result<String, CliError> {
    let path = std::env::var("PATH").unwrap_or_default();
    let Some(shell) = find_program("sh", &path) else {
        return Ok("\n(no `sh` in PATH: nothing to show; a shell would say \"exit status 139\" \
                   of a program that dies of signal 11)\n"
            .to_owned());
    };
    let plan = shell_quote(&plan.to_string());
    // The second command keeps the shell from becoming the program, which could say nothing then.
    let script = format!("{} __host --plan {plan}; echo \"exit status $?\"", quoted(program));
    let own = std::process::id().to_string();
    let shell = shell.to_string_lossy().into_owned();
    // The guard ties the shell's life to ours, and forbids core files.
    let words = [program, "__guard", &own, &shell, "sh", "-c", &script].map(str::to_owned);
    let run = run_bounded(program, &words, environment, SHELL_NS)?;
    let mut text = format!("\n$ {}\n", sanitize(&script, LINE_CHARS_MAX));
    for line in run.output.lines() {
        text.push_str(&format!("{}\n", sanitize(line, LINE_CHARS_MAX)));
    }
    let crashed = run.output.lines().any(|line| line == "exit status 139");
    text.push_str(match (run.stop, crashed) {
        (Some(Stop::Exited(0)), true) => "\nNo step, no thread, no place, no cause.\n",
        (Some(_), _) => "\nThis time it did not crash: such defects come and go.\n",
        (None, _) => "\nThis time it hung, and was ended after 3 seconds.\n",
    });
    Ok(text)
}

/// Quotes where there is need to.
fn quoted(word: &str) -> String {
    let is_plain = word.chars().all(|sign| sign.is_ascii_alphanumeric() || "/._-+".contains(sign));
    if is_plain { word.to_owned() } else { shell_quote(word) }
}

fn settings(seed: u64, program: &str, environment: Vec<String>) -> Settings {
    Settings {
        keep_first: false,
        seed,
        mode: Some(LaunchMode::Spawn),
        watching: Watching { traced: true, ledger: true },
        baseline: Baseline::empty(),
        confirmations: 0,
        host_program: program.to_owned(),
        environment,
        linked_kinds: LINKED_KINDS.map(str::to_owned).to_vec(),
    }
}

fn campaign(settings: &Settings, subjects: &[Subject]) -> Result<CampaignReport, CliError> {
    let pool = PoolConfig {
        program: settings.host_program.clone(),
        workers: processors(),
        owns_process: true,
    };
    Ok(run_campaign(pool, settings, subjects, &mut |_| {})?)
}

/// A subject's line, its finding and its rate.
fn told(report: &SubjectReport, presenter: &Presenter, kept: bool) -> String {
    let seconds = report.wall_us as f64 / 1e6;
    let line = render_result_line(&plan_result(report), seconds, NAME_COLUMNS, presenter.context());
    let finding = presenter.finding_text(report, kept).unwrap_or_else(|| passed(report));
    format!("{line}{finding}\n")
}

/// What so many passes are worth.
fn passed(report: &SubjectReport) -> String {
    let runs = report.verdict.runs;
    let highest = wilson(0, runs).high * 100.0;
    format!(
        "   = no finding in {runs} of {runs} fresh processes: fails in {highest:.0} % at most (Wilson, 95 %)\n"
    )
}

fn next(exit_code: i32, seconds: f64) -> String {
    let begin = match exit_code {
        0 => format!("That took {seconds:.1} seconds. Next:\n"),
        97 | 101 => "This machine does not let Hotfire see enough. Next:\n".to_owned(),
        _ => "This did not go as a demo should. Next:\n".to_owned(),
    };
    let lines = [
        ("hotfire doctor", "what can be seen on this machine"),
        ("hotfire run", "every built-in scenario, in under ten seconds"),
        ("hotfire list --defects", "what else the built-in engine can do wrong"),
        ("hotfire run --plan 'create a = reference; load a tiny; exit' --runs 50", ""),
    ];
    let lines = lines.map(|(command, what)| match what {
        "" => format!("  {command}\n"),
        what => format!("  {command:24} {what}\n"),
    });
    format!("{begin}{}", lines.concat())
}
