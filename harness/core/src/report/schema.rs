//! The JSON schema of the contract, generated from the types that are serialised.
//!
//! Deliberately absent: validating; the command's tests do that against the committed file.

use super::json::Report;

/// The value of `schema` in every report.
pub const SCHEMA_VERSION: &str = "hotfire/1";

/// The JSON schema of a report, as docs/schema.json holds it.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    // A schema is plain data: it always prints.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
