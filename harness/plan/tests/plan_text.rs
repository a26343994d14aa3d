//! Plan text as a whole: every plan survives printing and reading, and no text breaks the parser.

mod strategies;

use hotfire_plan::{EngineSpec, Plan, PlanError, Program, model};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_undoes_printing(plan in strategies::plan()) {
        let text = plan.to_string();
        let read = Plan::parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&plan), "{}", text);
        prop_assert_eq!(read.unwrap().to_string(), text);
    }

    #[test]
    fn the_canonical_form_is_one_line(plan in strategies::plan()) {
        prop_assert!(!plan.to_string().contains('\n'));
    }

    #[test]
    fn a_file_holds_the_same_plan(plan in strategies::plan()) {
        let text = plan.to_file_text();
        prop_assert_eq!(Plan::parse(&text), Ok(plan), "{}", text);
    }

    #[test]
    fn every_step_has_an_expectation(plan in strategies::plan()) {
        let program = Program::from(&plan);
        prop_assert_eq!(model::expectations(&program).len(), program.steps.len());
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_soup_of_tokens_is_read_or_refused(tokens in tokens()) {
        check(&tokens.concat())?;
    }

    #[test]
    fn damaged_plans_are_read_or_refused(
        plan in strategies::plan(),
        damages in proptest::collection::vec((any::<prop::sample::Index>(), 0..3u8, token()), 1..4),
    ) {
        let mut characters: Vec<char> = plan.to_string().chars().collect();
        for (place, kind, token) in damages {
            let at = place.index(characters.len() + 1);
            match kind {
                0 => drop(characters.splice(at..at, token.chars())),
                1 => characters.truncate(at),
                _ => drop(characters.splice(at..(at + 1).min(characters.len()), [])),
            }
        }
        check(&characters.into_iter().collect::<String>())?;
    }

    #[test]
    fn any_engine_text_is_read_or_refused(text in "[a-z:=,+\" ]{0,16}") {
        match EngineSpec::parse(&text) {
            Ok(engine) => prop_assert_eq!(EngineSpec::parse(&engine.to_string()), Ok(engine)),
            Err(error) => check_error(&error, &text)?,
        }
    }
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "[",
        "]",
        "|",
        "(",
        ")",
        ";",
        "\n",
        " ",
        "#",
        "\"",
        "\\",
        "=",
        ",",
        ":",
        "@order(",
        "3x",
        "0x",
        "until-joined(",
        "pause ",
        "5ms",
        "env ",
        "K=V",
        "fail(",
        "malloc@3",
        "load ",
        "create ",
        "swap ",
        "a ",
        "tiny",
        "engine=",
        "exit",
        "hotfire-plan ",
        "1",
        "é",
        "\u{1b}",
    ])
}

fn tokens() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::collection::vec(token(), 0..40)
}

/// The text is read, and then survives printing; or it is refused at a place within it.
fn check(text: &str) -> Result<(), TestCaseError> {
    match Plan::parse(text) {
        Ok(plan) => {
            let canonical = plan.to_string();
            let read = Plan::parse(&canonical);
            prop_assert_eq!(read.as_ref(), Ok(&plan), "{}", canonical);
            prop_assert_eq!(Plan::parse(&plan.to_file_text()), Ok(plan));
        }
        Err(error) => check_error(&error, text)?,
    }
    Ok(())
}

fn check_error(error: &PlanError, text: &str) -> Result<(), TestCaseError> {
    prop_assert!(text.get(error.span.clone()).is_some(), "{:?} of {:?}", error.span, text);
    let rendered = error.render(text);
    let lines: Vec<&str> = rendered.lines().collect();
    prop_assert_eq!(lines.len(), 5, "{}", rendered);
    prop_assert!(lines.iter().any(|line| line.starts_with("help: ")), "{}", rendered);
    prop_assert!(!rendered.contains('\u{1b}'), "{}", rendered);
    Ok(())
}
