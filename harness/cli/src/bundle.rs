//! A bundle: one file with all that was seen of a command, to be sent to whoever can mend it and
//! opened there with `hotfire show FILE`. The finding is not stored: it follows from the facts.
//!
//! Deliberately absent: memory contents and environment variables, which are nobody else's.

use std::path::Path;

use hotfire_core::diagnose::{Context, Finding, diagnose};
use hotfire_core::observe::Observation;
use hotfire_plan::{Plan, Program};
use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::store::write_json;

/// The format's name and version; what is written once can be read for ever.
pub(crate) const SCHEMA: &str = "hotfire-bundle/1";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bundle {
    /// [`SCHEMA`].
    pub(crate) schema: String,
    /// The version that wrote it.
    pub(crate) version: String,
    /// The first run of each finding, or of all where none has one.
    pub(crate) observations: Vec<Observation>,
}

impl Bundle {
    /// Writes a bundle of these facts.
    pub(crate) fn write(path: &Path, observations: Vec<Observation>) -> Result<(), CliError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        write_json(path, &Self { schema: SCHEMA.to_owned(), version, observations })
    }

    /// What is wrong in each of its runs.
    pub(crate) fn findings(&self) -> Vec<(&Observation, Finding)> {
        let of_run = |observation| {
            findings(observation).into_iter().map(move |finding| (observation, finding))
        };
        self.observations.iter().flat_map(of_run).collect()
    }
}

fn findings(observation: &Observation) -> Vec<Finding> {
    let program = Plan::parse(&observation.plan).map(|plan| Program::from(&plan)).ok();
    let program = program.unwrap_or_default();
    let context = Context { program: &program, ledger_used: true, host_module: None };
    diagnose(observation, &context)
}
