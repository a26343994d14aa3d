//! What outlived the child.
//!
//! Deliberately absent: what stays within the process (`growth.rs`).

use hotfire_plan::model::Phase;

use super::code::Code;
use super::crash::is_planned_death;
use super::facts::Context;
use super::finding::{Finding, FindingStep, LeftBehind};
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::{Steps, step_that_matters};
use crate::observe::{Descendant, DescendantEnd, Ending, Observation};

/// Orphans listed one by one; a count tells of the rest.
const ORPHANS_LISTED_MAX: usize = 16;

/// The finding of processes that outlived the child and their grace period.
pub(crate) fn orphans_finding(observation: &Observation, context: &Context<'_>) -> Option<Finding> {
    let orphans: Vec<(&Descendant, u64)> = observation
        .descendants
        .iter()
        .filter_map(|descendant| match descendant.end {
            DescendantEnd::LeftBehind { outlived_us } => Some((descendant, outlived_us)),
            _ => None,
        })
        .collect();
    let (first, _) = orphans.first()?;
    let steps = Steps::new(observation, context.program);
    let born = born_step(first, &steps);
    let regular = match observation.ending {
        Ending::Exited(_) => true,
        Ending::Signaled(signal) => is_planned_death(signal, &steps),
        _ => false,
    };
    let at_death = step_that_matters(&steps.in_flight(), None);
    let phase = match at_death {
        Some(step) if !regular => steps.phase(step.index),
        _ if regular => Phase::Exit,
        _ => steps.phase_between_steps(),
    };
    let noun = if orphans.len() == 1 { "process" } else { "processes" };
    let from = born.as_ref().map(|step| format!(", born in step {} `{}`", step.index, step.text));
    let title = format!("{} {noun} outlived the child{}", orphans.len(), from.unwrap_or_default());
    let mut finding = new_finding(Code::Orphans, "orphan-process", phase, title);
    finding.evidence =
        orphans.iter().take(ORPHANS_LISTED_MAX).map(|(orphan, us)| line(orphan, *us)).collect();
    finding.left_behind = left_behind(&orphans);
    finding.step = born;
    Some(seal(finding, &[], &steps))
}

fn born_step(orphan: &Descendant, steps: &Steps<'_>) -> Option<FindingStep> {
    (orphan.born_in_step > 0).then(|| steps.finding_step(0, orphan.born_in_step, 0))
}

fn line(orphan: &Descendant, outlived_us: u64) -> super::finding::Evidence {
    let detached = if orphan.detached { ", which had detached itself," } else { "" };
    let text = format!(
        "pid {} `{}`{detached} was alive {} ms after the child's end",
        orphan.pid,
        orphan.command,
        outlived_us / 1000
    );
    evidence("process table", text)
}

fn left_behind(orphans: &[(&Descendant, u64)]) -> Vec<LeftBehind> {
    let mut left: Vec<LeftBehind> = Vec::new();
    for (orphan, _) in orphans {
        let step = (orphan.born_in_step > 0).then_some(orphan.born_in_step);
        let same =
            left.iter_mut().find(|known| known.detail == orphan.command && known.step == step);
        match same {
            Some(known) => known.count += 1,
            None => left.push(LeftBehind {
                kind: "process".to_owned(),
                count: 1,
                detail: orphan.command.clone(),
                mostly: None,
                step,
                growth: None,
            }),
        }
    }
    left
}
