//! What can be said of a plan before anything runs: engines and their settings, steps that no
//! runner obeys yet, and words that were probably meant otherwise.
//!
//! Deliberately absent: the grammar (hotfire-plan), and running any engine's code: settings are
//! only read.

use std::ops::Range;

use hotfire_plan::{EngineSpec, Item, Plan, Program, excerpt, nearest};

use crate::error::CliError;
use crate::internal::kinds;

/// Where a text was written, for errors that point into it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The file, or `plan` for a text from the command line.
    pub(crate) origin: &'a str,
    /// The whole text.
    pub(crate) text: &'a str,
    /// Where in it to begin to look, in bytes.
    pub(crate) from: usize,
}

impl Place<'_> {
    /// Where a word stands.
    fn find(&self, word: &str) -> Option<Range<usize>> {
        let start = self.from + self.text.get(self.from..)?.find(word)?;
        Some(start..start + word.len())
    }

    fn error(&self, span: &Range<usize>, message: &str, help: &str) -> CliError {
        CliError::Text(excerpt(self.origin, self.text, span, message, help))
    }
}

/// An error with a caret under the first of these words that stands in one of the places.
fn pointed(places: &[Place<'_>], words: &[&str], message: &str, help: &str) -> CliError {
    let in_places = |word: &&str| places.iter().find_map(|place| Some((place, place.find(word)?)));
    match (words.iter().find_map(in_places), places.first()) {
        (Some((place, span)), _) => place.error(&span, message, help),
        (None, Some(place)) => place.error(&(place.from..place.from), message, help),
        (None, None) => CliError::Text(format!("{message}\nhelp: {help}")),
    }
}

/// Checks a plan whose engines are filled in. `places` are the plan's own and those that its
/// engines may come from.
pub(crate) fn check(plan: &Plan, places: &[Place<'_>]) -> Result<(), CliError> {
    let program = Program::from(plan);
    if program.steps.is_empty() {
        let help = "write at least one step, e.g. `create a = reference`; docs/plan-text.md";
        return Err(pointed(places, &[], "the plan has no step", help));
    }
    if program.steps.iter().any(|step| step.fault.is_some()) {
        let help = "run the plan without `fail(…)`";
        return Err(CliError::NotAvailable { what: "fault injection", help });
    }
    if plan.items.iter().any(|item| matches!(item, Item::Order(_))) {
        let help = "run the plan without `@order(…)`";
        return Err(CliError::NotAvailable { what: "a recorded schedule", help });
    }
    let engines = program.steps.iter().filter_map(|step| step.engine.as_ref());
    engines.into_iter().try_for_each(|spec| check_engine(spec, places))?;
    check_expectations(&program, places)
}

/// Whether there is such an engine, and whether it knows the settings.
pub(crate) fn check_engine(spec: &EngineSpec, places: &[Place<'_>]) -> Result<(), CliError> {
    let registered = kinds();
    let Some(kind) = registered.iter().find(|kind| kind.name() == spec.kind) else {
        let names: Vec<&str> = registered.iter().map(|kind| kind.name()).collect();
        let message = format!("no engine is named `{}`; known: {}", spec.kind, names.join(", "));
        let help = match nearest(&spec.kind, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "an engine's name stands before its settings, e.g. \
                     reference:defect=cleanup-order"
                .to_owned(),
        };
        return Err(pointed(places, &[&spec.kind], &message, &help));
    };
    kind.check(&spec.args).map_err(|error| {
        let written = spec.to_string();
        let bare = format!("{}:", spec.kind);
        let message = format!("`{written}`: {error}");
        let help = "the engine would refuse these settings in every run; mend them";
        pointed(places, &[&written, &bare, &spec.kind], &message, help)
    })
}

/// `exepct=error` would reach the engine as an argument of its own.
fn check_expectations(program: &Program, places: &[Place<'_>]) -> Result<(), CliError> {
    for (number, step) in (1..).zip(&program.steps) {
        for (key, value) in step.engine_args() {
            let is_answer = ["ok", "error", "any"].contains(&value.as_str());
            if is_answer && nearest(&key, ["expect"]).is_some() {
                let message = format!("step {number} `{step}` would hand `{key}=` to the engine");
                let word = format!("{key}=");
                return Err(pointed(places, &[&word], &message, "did you mean `expect=`?"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        let plan = Plan::parse(text).unwrap();
        let place = Place { origin: "plan", text, from: 0 };
        check(&plan, &[place]).err().map(|error| error.to_string())
    }

    #[test]
    fn settings_are_read_before_anything_runs() {
        for (text, near) in [
            ("create a = reference:defect=clenup-order; exit", "`cleanup-order`?"),
            ("create a = reference:defcet=cleanup-order; exit", "`defect`?"),
            ("create a = reference:window=5; exit", "5us"),
            ("create a = llama:lokc=on; exit", "lock"),
            ("create a = reference; swap a engine=refernce; exit", "`reference`?"),
            ("create a = reference; load a tiny exepct=error; exit", "`expect=`?"),
            ("pause 5ms", "at least one step"),
        ] {
            let told = told(text).unwrap_or_else(|| panic!("{text} was taken"));
            assert!(told.contains(near), "{near} is not in: {told}");
            assert!(told.contains("plan:1:") && told.contains('^'), "{told}");
        }
    }

    #[test]
    fn what_an_engine_may_know_is_left_to_it() {
        for text in [
            "create a = reference; exit",
            "create a = reference:defect=cleanup-order,window=5us; load a tiny expect=error; exit",
            "create a = reference; load a tiny experts=4; exit",
            "create a = reference; load a tiny aspect=1; exit",
            "create a = llama:lock=off,threads=2; exit",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
