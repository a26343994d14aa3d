//! What people and machines read: text, the JSON contract, the pages of `hotfire explain`.
//!
//! Everything is returned as text; whoever calls writes it. Deliberately absent: judgement.

mod assemble;
mod colour;
mod explain;
mod explain_crash;
mod explain_other;
mod finding_text;
mod json;
mod lines;
mod sanitize;
mod schema;
mod view;

pub use assemble::{Invocation, assemble, complete, plan_result};
pub use colour::RenderContext;
pub use explain::explain;
pub use finding_text::render_finding;
pub use json::*;
pub use lines::{counted, render_result_line, render_summary};
pub use sanitize::sanitize;
pub use schema::{SCHEMA_VERSION, schema};
pub use view::{FindingView, StepView, Whole, step_views};
