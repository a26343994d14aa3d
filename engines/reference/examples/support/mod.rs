//! Runs one step that is written as text on an engine. No scheduling.

use hotfire_host::{CreateContext, Engine, EngineError, Ledger, Outcome, Request};
use hotfire_plan::Args;
use hotfire_plan::model::Operation;
use std::sync::Arc;

/// Makes an engine from `KEY=VALUE` words.
pub(crate) fn create(words: &[&str]) -> Result<Arc<dyn Engine>, EngineError> {
    let (_, args) = arguments(words);
    let context = CreateContext { ledger: Ledger::off(), seed: 0 };
    let kind = hotfire_reference::kind();
    kind.prepare()?;
    kind.create(&args, &context)
}

/// Runs `load tiny`, `generate 16 prompt=x`, … on an engine.
pub(crate) fn perform(engine: &dyn Engine, text: &str) -> Result<Outcome, EngineError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (name, rest) = words.split_first().map_or(("", [].as_slice()), |(a, b)| (*a, b));
    let operation = match name {
        "load" => Operation::Load,
        "generate" => Operation::Generate,
        "cancel" => Operation::Cancel,
        "export" => Operation::Export,
        "unload" => Operation::Unload,
        "swap" => Operation::Swap,
        "cleanup" => Operation::Cleanup,
        "shutdown" => Operation::Shutdown,
        _ => return Err(EngineError::Unsupported(format!("step `{text}`"))),
    };
    let (positional, named) = arguments(rest);
    engine.step(&Request { operation, positional: &positional, named: &named })
}

/// Whether a result is none of those that would be right.
pub(crate) fn torn(outcome: &Outcome) -> bool {
    !outcome.valid.is_empty() && !outcome.valid.contains(&outcome.digest)
}

fn arguments(words: &[&str]) -> (Vec<String>, Args) {
    let mut positional = Vec::new();
    let mut named = Args::new();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => drop(named.insert(key.into(), value.into())),
            None => positional.push((*word).into()),
        }
    }
    (positional, named)
}
