//! Runs that tell nothing of the engine: nothing was started, or nobody saw it end.
//!
//! Deliberately absent: what to do about it; the pages of `hotfire explain` say that.

use hotfire_plan::model::Phase;

use super::code::Code;
use super::facts::Context;
use super::finding::Finding;
use super::signature::{new_finding, seal};
use super::signs::evidence;
use super::steps::Steps;
use crate::observe::{Ending, HostStage, Observation};

/// The finding of a run that could not be made or seen.
pub(crate) fn environment_finding(
    observation: &Observation,
    context: &Context<'_>,
) -> Option<Finding> {
    let steps = Steps::new(observation, context.program);
    let recorded = observation.recorder.known();
    let (code, phase, title, source, why) = match &observation.ending {
        Ending::NotStarted(why) => (
            Code::NotStarted,
            Phase::Startup,
            "the child could not be started",
            "supervisor",
            why.clone(),
        ),
        Ending::ObserverLost(why) => {
            let title = "the run could not be watched to its end";
            (Code::ObserverLost, Phase::Run, title, "front", why.clone())
        }
        _ => {
            let recorded = recorded?;
            let why = recorded.refusal.clone().unwrap_or_else(|| "it gave no reason".to_owned());
            match (recorded.stage, &observation.ending) {
                (HostStage::Refused, _) => (
                    Code::Refused,
                    Phase::Startup,
                    "the host could not run the plan",
                    "recorder",
                    why,
                ),
                (HostStage::Unborn | HostStage::Attached, Ending::Exited(status)) => (
                    Code::NeverAttached,
                    Phase::Startup,
                    "the host ended before it reached its plan",
                    "wait status",
                    format!("exit status {status}"),
                ),
                _ => return None,
            }
        }
    };
    let mut finding = new_finding(code, "unknown", phase, title.to_owned());
    finding.evidence = vec![evidence(source, why)];
    Some(seal(finding, &[], &steps))
}
