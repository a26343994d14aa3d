//! The child's side: a slot that is driven through the engine's traits, step by step, each step
//! said on stdout before it begins.
//!
//! Deliberately absent: any handling of signals; a crash ends the child as it would anywhere.

use std::process::ExitCode;
use std::sync::{Arc, Barrier};

use hotfire_host::{
    CreateContext, Engine, EngineError, EngineKind, EngineState, Ledger, Outcome, Request,
};
use hotfire_llama::Llama;
use hotfire_plan::Args;
use hotfire_plan::model::Operation;

use crate::cases::CASES;

/// The longest life of a child, seconds: then SIGALRM ends it.
const DEADLINE_SECONDS: u32 = 60;

/// Runs the case with this name.
pub(crate) fn main(name: &str) -> ExitCode {
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain struct and a number; both change this process alone.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        libc::alarm(DEADLINE_SECONDS);
    }
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        eprintln!("no case is called {name}");
        return ExitCode::from(2);
    };
    (case.body)();
    println!("done");
    ExitCode::SUCCESS
}

/// An engine and short words for its steps.
#[derive(Clone)]
pub(crate) struct Slot(Arc<dyn Engine>);

/// An engine with these settings.
pub(crate) fn create(settings: &[(&str, &str)]) -> Result<Slot, EngineError> {
    println!("create");
    let args: Args =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let context = CreateContext { ledger: Ledger::off(), seed: 0 };
    Llama.create(&args, &context).map(Slot)
}

impl Slot {
    /// An engine with default settings.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// An engine with these settings, made as the host does it.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        Llama.prepare().expect("prepare");
        create(settings).expect("create")
    }

    /// Any step; `words` as in plan text, without the slot.
    pub(crate) fn try_step(&self, words: &str) -> Result<Outcome, EngineError> {
        println!("{words}");
        let mut operation = Operation::Load;
        let (mut positional, mut named) = (Vec::new(), Args::new());
        for (place, word) in words.split(' ').enumerate() {
            match word.split_once('=') {
                _ if place == 0 => operation = operation_named(word),
                Some((key, value)) => {
                    named.insert(key.to_owned(), value.to_owned());
                }
                None => positional.push(word.to_owned()),
            }
        }
        self.0.step(&Request { operation, positional: &positional, named: &named })
    }

    /// A step that must work, with a result among those that it calls right.
    pub(crate) fn step(&self, words: &str) -> Outcome {
        let outcome = self.try_step(words).unwrap_or_else(|error| panic!("{words}: {error}"));
        assert!(
            outcome.valid.is_empty() || outcome.valid.contains(&outcome.digest),
            "{words}: torn result {outcome:?}"
        );
        outcome
    }

    /// A step that must be called illegal.
    pub(crate) fn illegal(&self, words: &str) {
        let result = self.try_step(words);
        assert!(matches!(result, Err(EngineError::Illegal(_))), "{words}: {result:?}");
    }

    /// A step at which the engine must fail.
    pub(crate) fn fails(&self, words: &str) {
        let result = self.try_step(words);
        assert!(matches!(result, Err(EngineError::Failed(_))), "{words}: {result:?}");
    }

    /// What the engine says of itself.
    pub(crate) fn state(&self) -> EngineState {
        self.0.state()
    }
}

/// Runs the lanes at once, from a barrier on.
pub(crate) fn lanes(lanes: &[&(dyn Fn() + Sync)]) {
    let barrier = Barrier::new(lanes.len());
    std::thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(|| {
                barrier.wait();
                lane();
            });
        }
    });
}

/// Entries of a folder of `/proc/self`: threads, descriptors.
pub(crate) fn count_of(folder: &str) -> usize {
    std::fs::read_dir(format!("/proc/self/{folder}")).expect("proc").count()
}

/// How many mappings this process has.
pub(crate) fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("maps").lines().count()
}

fn operation_named(word: &str) -> Operation {
    match word {
        "load" => Operation::Load,
        "generate" => Operation::Generate,
        "cancel" => Operation::Cancel,
        "export" => Operation::Export,
        "unload" => Operation::Unload,
        "swap" => Operation::Swap,
        "cleanup" => Operation::Cleanup,
        "shutdown" => Operation::Shutdown,
        "call" => Operation::Call,
        other => panic!("no operation {other}"),
    }
}
