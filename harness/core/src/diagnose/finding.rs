//! A finding: what is wrong with one run, with its evidence. This is the `findings` object of the
//! JSON contract `hotfire/1` (docs/schema.json); fields are only ever added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wrong. Absent facts are left out, never defaulted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Content id of the signature: 16 hex digits.
    pub id: String,
    /// C1xx crash, X2xx at exit, H3xx hang and freeze, L4xx left behind, P5xx contract,
    /// E9xx environment; `hotfire explain CODE`.
    pub code: String,
    /// SIGSEGV, SIGABRT, SIGBUS, …, EXIT-CRASH, HANG, FROZEN, ORPHANS, PANIC, FAIL, BLIND.
    pub status: String,
    /// The class by mechanism; `unknown` where no rule decides.
    pub class: String,
    /// startup, create, load, generate, export, unload, swap, cleanup, shutdown, exit or run.
    pub phase: String,
    /// One sentence for the first line.
    pub title: String,
    /// The signal's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// si_code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub si_code: Option<i32>,
    /// The fault address, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the fault address lies in, where it is a thread's stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<FindingNear>,
    /// In how many of how many runs of this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduced: Option<Reproduced>,
    /// Whose code it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<Culprit>,
    /// What a command was doing, by the last lines that it printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<FindingStage>,
    /// Who died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim: Option<FindingVictim>,
    /// The step that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<FindingStep>,
    /// The texts of all steps in flight, by lane.
    #[serde(default)]
    pub steps_in_flight: Vec<String>,
    /// The cause, by a named rule; left out where no rule fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likely_cause: Option<LikelyCause>,
    /// What was seen, in the order of its weight.
    pub evidence: Vec<Evidence>,
    /// The file behind the fault address, for file-truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The C++ exception that was in flight, for uncaught-exception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<FindingException>,
    /// The assertion that failed, as it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<String>,
    /// Who waits for whom in a circle, for deadlock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deadlock: Vec<DeadlockEdge>,
    /// What was left behind.
    #[serde(default)]
    pub left_behind: Vec<LeftBehind>,
    /// The victim's threads, the crashed one first.
    #[serde(default)]
    pub threads: Vec<FindingThread>,
    /// The finding's identity.
    pub signature: Signature,
    /// The plan that shows it, canonical text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimal_plan: Option<String>,
    /// The command that shows it again, shell-safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<String>,
    /// The last lines that the child printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tail: Option<OutputTail>,
}

impl Finding {
    /// Whether it tells of what a run leaves behind or lets grow (L4xx): the process need not have
    /// died of it.
    #[must_use]
    pub fn is_left_behind(&self) -> bool {
        self.code.starts_with("L4")
    }
}

/// One wait of a circle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadlockEdge {
    /// The thread that waits.
    pub tid: i32,
    /// The lock's address, hex; else what it waits for, in words.
    pub waits_for: String,
    /// The thread that holds it, or that must end; of a process its leader.
    pub owner: i32,
}

/// A C++ exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingException {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says of itself, where its type keeps a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
}

/// k of n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reproduced {
    /// Runs that showed it.
    pub failed: u32,
    /// Runs in all.
    pub of: u32,
}

/// Whose code it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Culprit {
    /// The module's file name; below Python's packages with its path there: `package/core.so`.
    pub module: String,
    /// The function, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The source file of that function, as at its compilation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line there, from 1: of the function itself, also where another one is inlined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The module's build-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Where a function without a name begins in the module, hex: it is known by that and the
    /// build-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_start: Option<String>,
}

/// What a command was doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingStage {
    /// The stage: a phase's name, or what a table of the user's calls it.
    pub name: String,
    /// Who says so: `FILE:LINE` of that table, `built in`, or `stack` where that contradicted the
    /// lines.
    pub place: String,
    /// The line that was printed, cut at 200 characters; left out where the stack says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

/// Who died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingVictim {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
    /// The thread's name.
    pub thread: String,
    /// `child` or `descendant`; of processes that were asked about `process` or `descendant`.
    pub relation: String,
    /// The command line.
    pub command: String,
}

/// Whose memory an address lies in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingNear {
    /// `stack`, or `guard below the stack`.
    pub what: String,
    /// The thread whose stack that is.
    pub tid: i32,
    /// The thread's name.
    pub thread: String,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingStep {
    /// Its number in the plan, from 1.
    pub index: u32,
    /// Its lane; 0 is the main lane.
    pub lane: u16,
    /// How often it had been begun before in this lane, from 0.
    pub iteration: u64,
    /// Its text.
    pub text: String,
}

/// The cause that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LikelyCause {
    /// The rule.
    pub rule: String,
    /// One sentence.
    pub text: String,
    /// How many of its signs were seen.
    pub signs: u32,
    /// How many signs the rule has.
    pub of: u32,
}

/// One thing seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What.
    pub text: String,
    /// Where from: siginfo, registers, maps, recorder, ledger, process table, output, …
    pub source: String,
}

/// Something left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftBehind {
    /// thread, fd, process, port, shm, semaphore, file or memory.
    pub kind: String,
    /// How many.
    pub count: u32,
    /// What they are.
    pub detail: String,
    /// What most of them are, as it stays the same from run to run: a thread's name, `file .gguf`,
    /// `socket`, …; left out where their kind says all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mostly: Option<String>,
    /// The step in which they were born; left out where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// How they grew from turn to turn, where a loop shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
}

/// A trend over the turns of a loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Growth {
    /// Per turn: a number of things, or bytes of memory.
    pub per_turn: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// The turns that were looked at, without those left out for one-time initialisation.
    pub turns: u32,
    /// `theil-sen-95`.
    pub method: String,
}

/// A thread with its frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingThread {
    /// The thread.
    pub tid: i32,
    /// Its name.
    pub name: String,
    /// Whether it got the signal.
    pub crashed: bool,
    /// What it did: running, waiting, stopped, …
    pub state: String,
    /// What it waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_on: Option<String>,
    /// Its frames, innermost first.
    pub frames: Vec<Frame>,
    /// Of a thread that runs Python: why its functions are missing here, or not at their places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Program counter, hex; of a function of Python that of the frame that runs it, or empty where
    /// no frame is known to.
    pub pc: String,
    /// The module's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The module's build-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Offset in the module, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
    /// The function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Where the function begins in the module, hex, by its unwind information: what one without a
    /// name is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_start: Option<String>,
    /// The source file, as its compilation named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The function is inlined into the next frame's, and has none of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
    /// registers, unwind-info, return-address, frame-pointer or scan; python: a function that the
    /// interpreter runs in the frame behind it.
    pub found_by: String,
}

/// The finding's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    /// The version of the recipe.
    pub version: u32,
    /// The hash: 16 hex digits.
    pub value: String,
    /// What went into it, in order.
    pub basis: Vec<String>,
}

/// The last lines that the child printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputTail {
    /// Of standard output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Of standard error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}
