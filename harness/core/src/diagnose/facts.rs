//! One run's facts, in the form that the rules ask for them.
//!
//! Deliberately absent: any conclusion; a question that cannot be answered gives `None`.

use hotfire_plan::Program;

use super::instruction::{Decoded, decode};
use crate::observe::{
    AddressMap, Crash, LedgerRecord, Mapping, Observation, Recorded, Registers, SignalInfo,
};

/// What the diagnosis knows beside the observation.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The plan that was run.
    pub program: &'a Program,
    /// Whether the ledger may be used; without it every rule that needs it stays silent.
    pub ledger_used: bool,
    /// The file name of the host's executable: there, engines are told apart by namespace.
    pub host_module: Option<&'a str>,
}

/// Bytes from the end of a stream in which a well-known line is looked for. The lines that
/// libraries print before they abort are the last ones.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// One run's facts.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The run.
    pub observation: &'a Observation,
    /// The crash, for rules about crashes.
    pub crash: Option<&'a Crash>,
    /// The ledger, where it may be used.
    pub ledger: Option<&'a LedgerRecord>,
    /// Whether what is seen by chance is asked as well: what a process printed, or how long a file
    /// was, which its core file does not keep; what was mapped before, which somebody must have
    /// looked at in time. It may show a class, and is never part of an identity.
    pub with_chance: bool,
}

impl<'a> Facts<'a> {
    /// The facts of this run.
    #[must_use]
    pub fn new(observation: &'a Observation, context: &Context<'_>) -> Self {
        let recorded: Option<&Recorded> = observation.recorder.known();
        let ledger = recorded.and_then(|recorded| recorded.ledger.as_ref());
        Self {
            observation,
            crash: observation.crash.as_ref(),
            ledger: ledger.filter(|_| context.ledger_used),
            with_chance: true,
        }
    }

    /// The same without what is seen by chance: what the same death shows each time.
    pub(crate) fn without_chance(self) -> Self {
        Self { with_chance: false, ..self }
    }

    /// What was last seen mapped at the fault's address.
    pub(crate) fn former(&self) -> Option<&'a Mapping> {
        self.crash?.former.as_ref().filter(|_| self.with_chance)
    }

    /// Whether anything was read of what the process printed on standard error.
    pub(crate) fn was_output_read(&self) -> bool {
        self.with_chance && self.observation.output.stderr.bytes > 0
    }

    pub(crate) fn siginfo(&self) -> Option<&'a SignalInfo> {
        self.crash?.siginfo.known()
    }

    /// The signal that decides: of the first fault, where a handler re-raised another one.
    pub(crate) fn signal(&self) -> Option<i32> {
        Some(self.siginfo().map_or(self.crash?.signal, |info| info.signal))
    }

    pub(crate) fn code(&self) -> Option<i32> {
        Some(self.siginfo()?.code)
    }

    pub(crate) fn address(&self) -> Option<u64> {
        self.siginfo()?.address
    }

    pub(crate) fn sender(&self) -> Option<i32> {
        self.siginfo()?.sender
    }

    pub(crate) fn registers(&self) -> Option<&'a Registers> {
        self.crash?.registers.known()
    }

    pub(crate) fn map(&self) -> Option<&'a AddressMap> {
        self.crash?.address_map.known()
    }

    /// The faulting instruction with the values of its operands.
    pub(crate) fn decoded(&self) -> Option<Decoded> {
        decode(&self.crash?.instruction, self.registers()?)
    }

    /// The message with which the C library aborted.
    pub(crate) fn abort_message(&self) -> Option<&'a str> {
        self.crash?.last_words.message.known().map(String::as_str)
    }

    /// The mapping that holds the fault address.
    pub(crate) fn inside(&self) -> Option<&'a Mapping> {
        self.map()?.inside.as_ref()
    }

    /// Whether this process belongs to the run.
    pub(crate) fn is_of_run(&self, pid: i32) -> bool {
        let victim = self.crash.is_some_and(|crash| crash.victim.pid == pid);
        victim
            || self
                .observation
                .descendants
                .iter()
                .any(|descendant| descendant.pid == pid || descendant.parent == pid)
    }

    /// What is kept of the end of standard error; empty where nobody could read it.
    pub(crate) fn printed(&self) -> [&'a str; 2] {
        if !self.with_chance {
            return ["", ""];
        }
        let stream = &self.observation.output.stderr;
        let end = |text: &'a str| {
            let start = text.len().saturating_sub(TEXT_BYTES_MAX);
            text.get(text.ceil_char_boundary(start)..).unwrap_or(text)
        };
        // The head ends where the tail begins; it is asked when the tail is short.
        let head = if stream.tail.len() < TEXT_BYTES_MAX { stream.head.as_str() } else { "" };
        [end(head), end(&stream.tail)]
    }

    /// The last line of standard error for which `is_it` holds.
    pub(crate) fn error_line(&self, is_it: impl Fn(&str) -> bool) -> Option<&'a str> {
        let [head, tail] = self.printed();
        [tail, head].into_iter().find_map(|text| text.lines().rev().find(|line| is_it(line)))
    }
}
