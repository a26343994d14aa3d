//! What people and machines read: text, the JSON contract, JUnit, what GitHub shows, the pages of `hotfire explain`.
//!
//! Everything is returned as text; whoever calls writes it. Deliberately absent: judgement.

mod assemble;
mod ci;
mod colour;
mod explain;
mod explain_class;
mod explain_crash;
mod explain_other;
mod finding_text;
mod github;
mod github_summary;
mod json;
mod junit;
mod junit_text;
mod lines;
mod process_text;
mod sanitize;
mod schema;
mod stack_text;
mod view;

pub use assemble::{Invocation, assemble, assemble_command, complete, plan_result};
pub use ci::CiReport;
pub use colour::RenderContext;
pub use explain::explain;
pub use explain_class::explain_class;
pub use finding_text::{render_finding, render_steps};
pub use github::{defuse_commands, render_annotations};
pub use github_summary::{SUMMARY_BYTES_MAX, render_step_summary};
pub use json::*;
pub use junit::{JUNIT_BYTES_MAX, render_junit};
pub use lines::{NAME_COLUMNS, counted, render_result_line, render_summary};
pub use process_text::render_processes;
pub use sanitize::sanitize;
pub use schema::{SCHEMA_VERSION, schema};
pub use stack_text::{render_registers, render_stacks};
pub use view::{FindingView, StepView, Whole, step_views};
