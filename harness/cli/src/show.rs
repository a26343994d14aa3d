//! `hotfire show` and `hotfire explain`, on standard output.

use std::io::Write;

use crate::args::ShowArgs;
use crate::error::CliError;
use crate::present::Presenter;
use crate::store::Store;

pub(crate) fn show(
    args: &ShowArgs,
    _presenter: &Presenter,
    out: &mut dyn Write,
) -> Result<u8, CliError> {
    let finding = Store::at(&args.out).finding(&args.what)?;
    let _ = writeln!(out, "{}", serde_json::to_string_pretty(&finding).unwrap_or_default());
    Ok(0)
}

pub(crate) fn explain(code: Option<&str>, out: &mut dyn Write) -> Result<u8, CliError> {
    let _ = writeln!(out, "{code:?}");
    Ok(0)
}
