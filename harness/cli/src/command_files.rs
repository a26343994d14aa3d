//! Where the report and the bundle of a command's runs, or of a core file, go.
//!
//! Deliberately absent: what they say (hotfire-core's `report`, `bundle`).

use std::path::Path;
use std::time::Instant;

use hotfire_core::campaign::CommandReport;
use hotfire_core::report::{Invocation, assemble_command};

use crate::bundle::Bundle;
use crate::error::CliError;
use crate::present::Presenter;
use crate::reports::{check_folder, is_output};
use crate::store::write_json;

/// The files that were asked for, and when the command began.
pub(crate) struct CommandFiles<'a> {
    verb: &'static str,
    begun: Instant,
    json: Option<&'a Path>,
    bundle: Option<&'a Path>,
}

impl<'a> CommandFiles<'a> {
    /// Refuses files that cannot be written, before anything runs.
    pub(crate) fn new(
        verb: &'static str,
        json: Option<&'a Path>,
        bundle: Option<&'a Path>,
    ) -> Result<Self, CliError> {
        json.into_iter().chain(bundle).try_for_each(check_folder)?;
        Ok(Self { verb, begun: Instant::now(), json, bundle })
    }

    /// Writes them. `reproduce` is the command line that shows the findings again. One that cannot be
    /// written does not keep the other from being written.
    pub(crate) fn write(
        &self,
        report: &CommandReport,
        status: u8,
        reproduce: &str,
        presenter: &Presenter,
    ) -> Result<(), CliError> {
        let json = self.json.map_or(Ok(()), |file| {
            let invocation = Invocation {
                verb: self.verb.to_owned(),
                command: std::env::args_os()
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect(),
                seed: 0,
                seconds: self.begun.elapsed().as_secs_f64(),
            };
            let mut whole = assemble_command(report, status.into(), &invocation);
            for finding in &mut whole.findings {
                finding.reproduce = Some(reproduce.to_owned());
            }
            if is_output(file) { presenter.answer_json(&whole) } else { write_json(file, &whole) }
        });
        let bundle = self
            .bundle
            .map_or(Ok(()), |file| Bundle::write(file, report.kept().cloned().collect()));
        json.and(bundle)
    }
}
