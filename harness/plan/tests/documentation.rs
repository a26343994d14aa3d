//! docs/plan-text.md and scenarios/README.md say what the code does.

use hotfire_plan::model::{Operation, SlotUse, States, Target, Values};
use hotfire_plan::scenario::Scenario;
use hotfire_plan::{DEPTH_MAX, LANES_MAX, PLAN_BYTES_MAX, Plan, REPEAT_MAX, STEPS_MAX};

const PLAN_TEXT: &str = include_str!("../../../docs/plan-text.md");
const SCENARIOS: &str = include_str!("../../../scenarios/README.md");

/// The fenced blocks of this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    page.split(&open).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// An operation's row of the table in the page.
fn row(operation: Operation) -> String {
    let spec = operation.spec();
    let mut arguments: Vec<String> = match spec.slot {
        SlotUse::Required => vec!["SLOT".to_owned()],
        SlotUse::Optional => vec!["[SLOT]".to_owned()],
        SlotUse::None => vec![],
    };
    if operation == Operation::Create {
        arguments.push("= ENGINE".to_owned());
    }
    for positional in spec.positional {
        let name = positional.name.to_uppercase();
        arguments.push(if positional.required { name } else { format!("[{name}]") });
    }
    let mut named_arguments = Vec::new();
    for named in spec.named {
        let values = match named.values {
            Values::Text => "TEXT".to_owned(),
            Values::Duration => "TIME".to_owned(),
            Values::ExitCode => "0..255".to_owned(),
            Values::Engine => "ENGINE".to_owned(),
            Values::OneOf(words) => words.join("\\|"),
        };
        named_arguments.push(format!("{}={values}", named.name));
    }
    if operation == Operation::Swap {
        arguments.push(named_arguments.join(" or "));
    } else {
        arguments.extend(named_arguments.into_iter().map(|argument| format!("[{argument}]")));
    }
    if spec.more_positional || spec.engine_named {
        arguments.push("…".to_owned());
    }
    let arguments =
        if arguments.is_empty() { String::new() } else { format!("`{}`", arguments.join(" ")) };
    let from = match spec.from {
        States::LIVE => "live".to_owned(),
        states if states.is_empty() => "always".to_owned(),
        states => states.iter().map(|state| state.name()).collect::<Vec<_>>().join(", "),
    };
    let to = match spec.to {
        Target::Unchanged => "unchanged",
        Target::State(state) => state.name(),
        Target::Unknown => "open",
        Target::End => "the end",
    };
    let required = if spec.required { "yes" } else { "optional" };
    format!(
        "| `{}` | {arguments} | {from} | {to} | {} | {required} | {} |",
        spec.name, spec.phase, spec.summary
    )
}

#[test]
fn the_page_has_every_row_of_the_table() {
    let rows: Vec<String> = Operation::ALL.into_iter().map(row).collect();
    let table = rows.join("\n");
    assert!(PLAN_TEXT.contains(&table), "put this into docs/plan-text.md:\n{table}");
}

#[test]
fn the_page_has_the_limits() {
    let limits = format!(
        "Limits: {PLAN_BYTES_MAX} bytes, {STEPS_MAX} steps as written, {LANES_MAX} lanes, \
         1 to {REPEAT_MAX} turns of a repeat, brackets {DEPTH_MAX} deep."
    );
    assert!(PLAN_TEXT.contains(&limits), "{limits}");
}

#[test]
fn every_plan_of_the_page_is_read() {
    let lines: Vec<&str> =
        blocks(PLAN_TEXT, "hotfire-plan").into_iter().flat_map(str::lines).collect();
    let files = blocks(PLAN_TEXT, "hotfire-plan-file");
    assert!(lines.len() >= 6 && files.len() == 1);
    for text in lines {
        let plan = Plan::parse(text).map_err(|error| error.render(text));
        assert_eq!(plan.map(|plan| plan.to_string()), Ok(text.to_owned()), "is canonical");
    }
    for text in files {
        assert_eq!(Plan::parse(text).map_err(|error| error.render(text)).map(|_| ()), Ok(()));
    }
}

#[test]
fn the_worked_example_is_the_file_that_it_names() {
    let file = include_str!("../../../scenarios/swap-cleanup-order.toml");
    assert!(SCENARIOS.contains("`swap-cleanup-order.toml`: "));
    assert_eq!(blocks(SCENARIOS, "toml").first(), Some(&file));
}

#[test]
fn every_scenario_of_the_page_is_read() {
    let files = blocks(SCENARIOS, "toml");
    assert!(!files.is_empty());
    for text in files {
        let scenario = Scenario::parse(text).map_err(|error| error.render("README.md", text));
        assert_eq!(scenario.map(|_| ()), Ok(()));
    }
}
