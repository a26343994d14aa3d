//! What a plan may not ask of this host; told before its first step is run.

use std::sync::Arc;

use hotfire_plan::model::Operation;
use hotfire_plan::{Item, Plan, Step};

use crate::engine::EngineKind;
use crate::error::HostError;

/// Says why the plan cannot be run here.
pub(crate) fn check(plan: &Plan, kinds: &[Arc<dyn EngineKind>]) -> Result<(), HostError> {
    every_step(&plan.items, false, kinds)
}

fn every_step(
    items: &[Item],
    in_lane: bool,
    kinds: &[Arc<dyn EngineKind>],
) -> Result<(), HostError> {
    items.iter().try_for_each(|item| match item {
        Item::Step(step) => one_step(step, in_lane, kinds),
        Item::Lanes(lanes) => lanes.iter().try_for_each(|lane| every_step(lane, true, kinds)),
        Item::Repeat { body, .. } | Item::UntilJoined(body) => every_step(body, in_lane, kinds),
        Item::Pause { .. } => Ok(()),
        Item::Order(_) => Err(HostError::NotAvailableYet("`@order(…)`")),
    })
}

fn one_step(step: &Step, in_lane: bool, kinds: &[Arc<dyn EngineKind>]) -> Result<(), HostError> {
    if step.fault.is_some() {
        return Err(HostError::NotAvailableYet("`fail(…)`"));
    }
    if let Some(spec) = &step.engine
        && !kinds.iter().any(|kind| kind.name() == spec.kind)
    {
        return Err(unknown(&spec.kind, kinds));
    }
    let how = step.named.get("how").map(String::as_str);
    let from_main = matches!(how, Some("return" | "daemon"));
    if step.operation == Operation::Exit && in_lane && from_main {
        return Err(HostError::Misplaced(
            "`exit how=return` and `exit how=daemon` return from main, so they stand in no lane",
        ));
    }
    Ok(())
}

/// The error for a kind that this host does not have.
pub(crate) fn unknown(kind: &str, kinds: &[Arc<dyn EngineKind>]) -> HostError {
    let known: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    HostError::UnknownEngine { kind: kind.to_owned(), known: known.join(", ") }
}
