//! The command line as types. A verb or flag that does not work yet is not here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use hotfire_core::judge::Date;

use crate::store::DEFAULT;

/// Crash diagnostics and stress tests for the lifecycles of native engines.
///
/// Hotfire runs each lifecycle of an engine (load, swap, generate, shutdown, in any order) in a
/// child process of its own. When the child dies, hangs, freezes or leaves something behind, it
/// says what happened, where, in which step, and how to see it again.
#[derive(Debug, Clone, Parser)]
#[command(name = "hotfire", version, max_term_width = 98, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// Colours: on a terminal only, always, or never (NO_COLOR and CLICOLOR_FORCE count, too)
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
    /// More: all notes; the steps of plans that passed, with their answers
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Less: findings and the last line only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// The settings of this name in .config/hotfire.toml (docs/baseline.md); flags win over them
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    pub(crate) profile: String,
}

const EXIT_CODES: &str = "\
Verdicts: KNOWN: the baseline lists it, green · EXPIRED: listed, but past its date, red · FIXED:
listed, but gone: remove the entry · FLAKY: fails in some runs, red · CAUGHT: as expected.
Exit status: 0 as expected · 2 usage · 4 nothing ran · 70 our own error · 96 set-up · 97 could not
observe · 100 a lifecycle failed · 101 an engine could not be started · 110 a report could not be
written · 129/130/143 stopped by SIGHUP/SIGINT/SIGTERM. docs/exit-status.md tells more.";

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Verb {
    /// Run scenarios against their engines (default: all); the verb for CI
    Run(RunArgs),
    /// Run one plan or stored finding again, in fresh processes, and tell its rate
    Replay(ReplayArgs),
    /// Run any command as it is, under watch, and tell the truth about its death
    Exec(ExecArgs),
    /// Tell the truth about a death from its core file
    Core(CoreArgs),
    /// All stacks of a process that runs, and who waits for whom; it goes on
    Attach(AttachArgs),
    /// List scenarios and engines, or what the built-in engine can do wrong
    List(ListArgs),
    /// Show a stored finding in full, or list what is stored
    Show(ShowArgs),
    /// Enter a stored finding in the baseline, or keep its plan as a regression scenario
    Accept(AcceptArgs),
    /// Explain a finding's code or class, e.g. C101 or use-after-free
    Explain {
        /// The code or class; without one, all codes are listed
        code: Option<String>,
    },
    /// A shell's "Segmentation fault", then what Hotfire says of the same program
    Demo(DemoArgs),
    /// Say what can be seen on this machine, and how to mend what can't
    Doctor(DoctorArgs),
    /// Print a script that completes hotfire's verbs and flags in a shell
    Completions {
        /// The shell
        shell: CompletionShell,
    },
}

/// `hotfire run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// Scenario files, folders of them, or words that a scenario's name must contain; each must
    /// match
    pub(crate) filters: Vec<String>,
    /// Run this one plan instead of scenarios (text, or @FILE)
    #[arg(long, value_name = "TEXT", conflicts_with = "filters")]
    pub(crate) plan: Option<String>,
    /// Also live each plan's lifecycle N times in one process: state that is left over from one
    /// cycle shows in the next
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(crate) soak: Option<u32>,
    /// Runs of each plan [default: as the scenario says]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: Option<u32>,
    /// Fail (97) when a plan is skipped: its engine is not here, or lacks an operation
    #[arg(long)]
    pub(crate) deny_skips: bool,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
}

/// `hotfire replay`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayArgs {
    /// A plan's text, @FILE, or the id of a stored finding
    pub(crate) plan: String,
    /// How many runs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: u32,
    /// Run it once in this debugger, in this terminal, without Hotfire: e.g. 'gdb --args'
    #[arg(long, value_name = "COMMAND")]
    pub(crate) debugger: Option<String>,
    #[command(flatten)]
    pub(crate) shared: SharedArgs,
}

/// Flags of the verbs that run plans.
#[derive(Debug, Clone, Args)]
pub(crate) struct SharedArgs {
    /// Only scenarios of this engine; with settings, these replace the scenario's; in --plan and
    /// replay, what ENGINE stands for
    #[arg(long, value_name = "NAME[:key=value,…]")]
    pub(crate) engine: Option<String>,
    /// Parallel workers [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) jobs: Option<u32>,
    /// The seed, decimal or 0x hex, for engines that draw numbers; which thread runs when is not
    /// drawn from it [default: drawn, and printed]
    #[arg(long, value_parser = parse_seed)]
    pub(crate) seed: Option<u64>,
    /// The longest run, e.g. 30s [default: as the scenario says]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<u64>,
    /// The longest gap between two heartbeats of the event loop, e.g. 100ms
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) beat: Option<u64>,
    /// Take no notice of what engines report to the ledger: outside facts alone
    #[arg(long)]
    pub(crate) no_ledger: bool,
    /// When the processes' threads, descriptors, memory and shared names are counted: never; at
    /// the run's ends and after each turn of an outermost loop (growth shows from ten turns on;
    /// a run in which something stays is made again with `steps`); or after each step, too
    /// [default: ends, or as the scenario says]
    #[arg(long, value_enum)]
    pub(crate) census: Option<CensusArg>,
    /// Off: without ptrace, for leak checkers, programs that trace themselves, and races that its
    /// stops would hide; then a death shows no registers or threads [default: on]
    #[arg(long, value_enum)]
    pub(crate) trace: Option<Trace>,
    /// How children are made [default: fork for the built-in engine in run, else spawn]
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Write the report as JSON (docs/schema.json) to FILE, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as JUnit XML to FILE, for GitLab, Jenkins and others (docs/ci.md)
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Annotations and a step summary of GitHub Actions [default: auto, where GITHUB_ACTIONS is true]
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) github: Option<GitHub>,
    /// Keep findings in this folder, for show, replay and accept [default: .hotfire]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) gate: GateArgs,
    /// An entry of the baseline whose failure is gone makes the command fail
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) strict_fixed: Option<bool>,
}

/// Flags of the verbs that know of the baseline.
#[derive(Debug, Clone, Args)]
pub(crate) struct GateArgs {
    /// The file of known failures [default: .config/hotfire-baseline.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Take this day for today
    #[arg(long, value_name = "DATE", value_parser = parse_date, hide = true)]
    pub(crate) today: Option<Date>,
}

impl SharedArgs {
    /// The folder of findings.
    pub(crate) fn out(&self) -> &Path {
        self.out.as_deref().unwrap_or(Path::new(DEFAULT))
    }
}

impl ShowArgs {
    /// The folder of findings.
    pub(crate) fn out(&self) -> &Path {
        self.out.as_deref().unwrap_or(Path::new(DEFAULT))
    }
}

impl AcceptArgs {
    /// The folder of findings.
    pub(crate) fn out(&self) -> &Path {
        self.out.as_deref().unwrap_or(Path::new(DEFAULT))
    }
}

/// How children are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A fresh process per run
    Spawn,
    /// Forked from a process that has loaded the engine's libraries
    Fork,
}

/// When the processes' possessions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CensusArg {
    /// Never
    Off,
    /// At the run's ends, and after each turn of an outermost loop
    Ends,
    /// After each step of the main lane, too
    Steps,
}

/// Whether runs are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trace {
    /// With ptrace
    On,
    /// Without
    Off,
}

/// Whether the reports of GitHub Actions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GitHub {
    /// Made
    On,
    /// Not made
    Off,
    /// Made in a workflow's step
    Auto,
}

/// `hotfire exec`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXEC_STATUS)]
pub(crate) struct ExecArgs {
    /// The longest run, e.g. 30s; what still runs then is ended [default: none]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<u64>,
    /// How often to run it; the rate of a failure that comes and goes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: u32,
    /// What becomes of processes that outlive the command
    #[arg(long, value_enum, default_value_t = LeftoversArg::Allow)]
    pub(crate) leftovers: LeftoversArg,
    /// How long they may take to end by themselves, e.g. 1s [default: 300ms, and 5s where they are
    /// to be ended]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) grace: Option<u64>,
    /// Off: without ptrace, for leak checkers and programs that trace themselves; then a death
    /// shows no registers or threads
    #[arg(long, value_enum, default_value_t = Trace::On)]
    pub(crate) trace: Trace,
    /// What lines that it prints say of what it was doing (docs/exec.md) [default:
    /// .config/culprits.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) culprits: Option<PathBuf>,
    /// The exit status where there is a finding
    #[arg(long, value_name = "STATUS", default_value_t = 100)]
    pub(crate) error_exitcode: u8,
    /// Write the report as JSON (docs/schema.json) to FILE, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write all that was seen to FILE, for whoever can mend it: `hotfire show FILE` opens it. It
    /// holds no memory contents and no environment variables
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write the finding whole, with all stacks and registers, to crash_dump_PID.log in the current
    /// folder
    #[arg(long)]
    pub(crate) crash_dump: bool,
    /// The command: a name, looked for in PATH, or a path; then its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

const EXEC_STATUS: &str = "\
The command keeps its terminal, its folder, its environment and its open descriptors; Ctrl-C
and Ctrl-Z reach it as they would without hotfire, and what is sent to hotfire is passed on.
Exit status: with a finding 100, or --error-exitcode; without one the command's own, or 128
and the signal that ended it; 126 or 127 where it cannot be started; 97 where it may not be
traced.
What the command holds more and more of (descriptors, threads, processes) is counted while it runs,
and told with its slope; less than some seven seconds, or 64 descriptors, tell nothing.";

/// `hotfire core`.
#[derive(Debug, Clone, Args)]
#[command(after_help = CORE_STATUS)]
pub(crate) struct CoreArgs {
    /// The core file
    pub(crate) file: PathBuf,
    /// The program that died, where it is not (any more) at the place that the core names
    #[arg(value_name = "EXE")]
    pub(crate) program: Option<PathBuf>,
    /// Also print the stacks of all threads, and the registers
    #[arg(long)]
    pub(crate) full: bool,
    /// Write the report as JSON (docs/schema.json) to FILE, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write all that was seen to FILE, for whoever can mend it: `hotfire show FILE` opens it. It
    /// holds no memory contents and no environment variables
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
}

const CORE_STATUS: &str = "\
Libraries and the program are read where the core names them, if they are still the same builds;
what is not there, or is another build, is told. /proc/sys/kernel/core_pattern tells where cores go;
where systemd keeps them: coredumpctl dump PID -o FILE.
Exit status: with a finding 100; 0 where somebody asked the process to end; 2 where FILE is no core
that can be read, or EXE no program; 4 where no signal had ended the process.";

/// `hotfire attach`.
#[derive(Debug, Clone, Args)]
#[command(after_help = ATTACH_STATUS)]
pub(crate) struct AttachArgs {
    /// The process; those that it made are looked at, too
    #[arg(value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: i32,
    /// Not the processes that it made
    #[arg(long)]
    pub(crate) alone: bool,
    /// Also print all stacks where there is a finding
    #[arg(long)]
    pub(crate) threads: bool,
    /// Write the report as JSON (docs/schema.json) to FILE, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write all that was seen to FILE, for whoever can mend it: `hotfire show FILE` opens it. It
    /// holds no memory contents and no environment variables
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
}

const ATTACH_STATUS: &str = "\
All threads are stopped for some milliseconds, up to three times within half a second, and go on.
System calls that wait (epoll_wait, poll, nanosleep, …) may return EINTR to the program, as after
SIGSTOP and SIGCONT. What was stopped before (SIGSTOP) stays so.
Exit status: 100 where threads cannot go on (a deadlock, a lock from before a fork, an interpreter's
lock kept by native code); else 0: a busy loop, a lost wake-up or a blocked read looks like health
from here, and `hotfire exec --timeout` tells them apart; 2 where PID cannot be looked at by anybody;
4 where it ended meanwhile; 97 where it may not be traced.";

/// What becomes of processes that outlive a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LeftoversArg {
    /// They go on, and are listed
    Allow,
    /// They are a finding, and are ended
    Fail,
    /// They are ended, and listed
    Kill,
}

/// `hotfire list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    /// Words that a scenario's name must contain
    pub(crate) filters: Vec<String>,
    /// List and explain the defects of the built-in engine instead
    #[arg(long, conflicts_with = "filters")]
    pub(crate) defects: bool,
}

/// `hotfire show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    /// A finding's id (its first digits are enough), or a file written by --json or --bundle;
    /// without either, what is kept is listed
    pub(crate) what: Option<String>,
    /// The stacks of all threads
    #[arg(long)]
    pub(crate) threads: bool,
    /// The registers of the crash; not in a report written by --json
    #[arg(long)]
    pub(crate) registers: bool,
    /// All of it: --threads and --registers
    #[arg(long)]
    pub(crate) full: bool,
    /// Print findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Where findings are kept [default: .hotfire]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// `hotfire accept`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AcceptArgs {
    /// A finding's id (its first digits are enough), or all-new: every one that was new or flaky
    /// in the last run
    pub(crate) what: String,
    /// Baseline: known until a date. Plan: a scenario below scenarios/regressions that must pass
    #[arg(long = "as", value_enum, default_value_t = AcceptAs::Baseline)]
    pub(crate) as_what: AcceptAs,
    /// Where it is tracked
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(crate) issue: String,
    /// The last day on which it is accepted, YYYY-MM-DD; the baseline needs it
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub(crate) expires: Option<Date>,
    /// Who answers for it
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// The highest share of runs that may show it, above 0 and at most 1 [default: 1]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) max_rate: Option<f64>,
    /// Why it is accepted
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Where findings are kept [default: .hotfire]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) gate: GateArgs,
}

/// What becomes of an accepted finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AcceptAs {
    /// An entry in the baseline
    Baseline,
    /// A scenario that expects a pass
    Plan,
}

/// `hotfire demo`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Keep the finding in this folder, for show and replay
    #[arg(long, value_name = "DIR", default_value = crate::store::DEFAULT)]
    pub(crate) out: PathBuf,
}

const DOCTOR_CODES: &str = "\
Exit status: 0 all that hotfire needs is here · 96 something that runs need is missing · 97 runs
could not be observed (ptrace).";

/// `hotfire doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = DOCTOR_CODES)]
pub(crate) struct DoctorArgs {
    /// Print the checks as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shells that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionShell {
    /// Bash: source <(hotfire completions bash)
    Bash,
    /// Zsh: put it as _hotfire into a folder of $fpath
    Zsh,
    /// Fish: put it into ~/.config/fish/completions/hotfire.fish
    Fish,
}

fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a seed is a number of 64 bits, e.g. 42 or 0x2a".to_owned())
}

/// Milliseconds of a duration with its unit.
fn parse_duration(text: &str) -> Result<u64, String> {
    match hotfire_plan::parse_duration_us(text) {
        Some(micros) if micros >= 1000 => Ok(micros / 1000),
        _ => Err("a duration is a whole number with its unit (us, ms or s), and at least 1ms, \
                  e.g. 500ms or 30s"
            .to_owned()),
    }
}

fn parse_date(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| "a date is a day of the calendar, e.g. 2027-01-31".to_owned())
}

fn parse_url(text: &str) -> Result<String, String> {
    if crate::baseline::is_url(text) {
        return Ok(text.to_owned());
    }
    Err("an issue is a URL, e.g. https://github.com/OWNER/NAME/issues/1".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err("a rate is a number above 0 and at most 1, e.g. 0.25".to_owned()),
    }
}
