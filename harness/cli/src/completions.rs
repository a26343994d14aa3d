//! `hotfire completions`: a shell's script, made from the command line's own types.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::{Cli, CompletionShell};
use crate::error::CliError;

/// Prints the script.
pub(crate) fn completions(shell: CompletionShell, out: &mut dyn Write) -> Result<u8, CliError> {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "hotfire", &mut script);
    // A reader that has gone has seen enough.
    let _ = out.write_all(&script);
    Ok(0)
}
