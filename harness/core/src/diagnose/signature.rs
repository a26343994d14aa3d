//! A finding's identity: what stays the same when the same bug shows again.
//!
//! Deliberately absent: addresses, pids, times, arguments and paths, which change between runs.

use std::fmt::Write as _;

use hotfire_plan::model::{Operation, Phase};
use sha2::{Digest as _, Sha256};

use super::code::Code;
use super::finding::{Finding, FindingStep, Signature};
use super::function_name::bare;
use super::steps::Steps;

const VERSION: u32 = 1;

/// A finding with the facts that every one has; the rest is empty.
pub(crate) fn new_finding(code: Code, class: &str, phase: Phase, title: String) -> Finding {
    Finding {
        id: String::new(),
        code: code.text().to_owned(),
        status: code.status().to_owned(),
        class: class.to_owned(),
        phase: phase.name().to_owned(),
        title,
        signal: None,
        si_code: None,
        address: None,
        reproduced: None,
        culprit: None,
        stage: None,
        near: None,
        victim: None,
        step: None,
        steps_in_flight: Vec::new(),
        likely_cause: None,
        evidence: Vec::new(),
        file: None,
        exception: None,
        assertion: None,
        deadlock: Vec::new(),
        left_behind: Vec::new(),
        threads: Vec::new(),
        signature: Signature { version: VERSION, value: String::new(), basis: Vec::new() },
        minimal_plan: None,
        reproduce: None,
        output_tail: None,
    }
}

/// Sets the steps, and the identity that follows from all facts and from what the signature's basis
/// holds already: the last thing done to a finding.
pub(crate) fn seal(mut finding: Finding, in_flight: &[FindingStep], steps: &Steps<'_>) -> Finding {
    finding.steps_in_flight = in_flight.iter().map(|step| step.text.clone()).collect();
    let mut operations: Vec<Operation> = in_flight
        .iter()
        .chain(&finding.step)
        .filter_map(|step| steps.operation(step.index))
        // With and without an `exit` step, the way out is the same.
        .filter(|operation| *operation != Operation::Exit)
        .collect();
    operations.sort_unstable();
    operations.dedup();
    let operations: Vec<&str> = operations.into_iter().map(Operation::name).collect();
    let mut basis = vec![
        format!("class={}", finding.class),
        format!("code={}", finding.code),
        format!("phase={}", finding.phase),
        format!("operations={}", operations.join("+")),
    ];
    if let Some(culprit) = &finding.culprit {
        basis.push(format!("module={}", culprit.module));
        // Parameters and template arguments say little; what a compiler splits off changes.
        let function = culprit.function.as_deref().map(bare);
        basis.extend(function.map(|function| format!("function={function}")));
        // A place says something only of its own build.
        if let (Some(start), Some(build)) = (&culprit.function_start, &culprit.build_id) {
            basis.extend([format!("build={build}"), format!("function-start={start}")]);
        }
    }
    basis.append(&mut finding.signature.basis);
    let exception = finding.exception.as_ref().map(|exception| &exception.kind);
    basis.extend(exception.map(|kind| format!("exception={kind}")));
    let mostly = finding.left_behind.first().and_then(|left| left.mostly.as_deref());
    basis.extend(mostly.map(|mostly| format!("mostly={mostly}")));
    seal_by(finding, basis)
}

/// Sets the identity that follows from these lines alone.
pub(crate) fn seal_by(mut finding: Finding, basis: Vec<String>) -> Finding {
    finding.signature = Signature { version: VERSION, value: hash(&basis), basis };
    finding.id.clone_from(&finding.signature.value);
    finding
}

/// The first 16 hex digits of the SHA-256 of the lines.
fn hash(basis: &[String]) -> String {
    let digest = Sha256::digest(basis.join("\n").as_bytes());
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_sha256() {
        // printf 'abc' | sha256sum
        assert_eq!(hash(&["abc".to_owned()]), "ba7816bf8f01cfea");
    }
}
