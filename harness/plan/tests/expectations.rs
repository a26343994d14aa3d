//! What the model predicts, as a table of plans.

use hotfire_plan::model::{self, Operation, StepExpectation};
use hotfire_plan::{Plan, Program};

/// `+` must succeed, `-` must fail, `?` either; one per step.
fn predicted(text: &str) -> String {
    let plan = match Plan::parse(text) {
        Ok(plan) => plan,
        Err(error) => return error.render(text),
    };
    model::expectations(&Program::from(&plan))
        .into_iter()
        .map(|expectation| match expectation {
            StepExpectation::MustSucceed => '+',
            StepExpectation::MustFail => '-',
            StepExpectation::Either => '?',
        })
        .collect()
}

#[test]
fn the_state_machine_runs_over_sequences() {
    for (text, expected) in [
        ("create a = r; load a m; generate a 4; unload a; drop a; exit", "++++++"),
        ("load a m", "-"),
        ("create a = r; create a = r", "+-"),
        ("create a = r; generate a 4; export a; unload a", "+---"),
        ("create a = r; load a m; load a m; generate a 4", "++-+"),
        ("create a = r; load a m; unload a; load a m; generate a 4", "+++++"),
        ("create a = r; cancel a; load a m; cancel a", "++++"),
        ("create a = r; await a", "+?"),
        ("create a = r; load a m; await a", "+++"),
        ("await a; drop a", "--"),
        ("create a = r; swap a engine=s; load a m; swap a engine=r; generate a 4", "+++++"),
        ("create a = r; swap a model=m; load a m; swap a model=n; generate a 4", "+-+++"),
        ("create a = r; load a m; cleanup a; cleanup a; generate a 4; drop a", "++++-+"),
        ("create a = r; cleanup a; load a m; swap a engine=s", "++--"),
        ("create a = r; shutdown a; shutdown a; cleanup a; drop a; drop a", "++--+-"),
        ("create a = r; drop a; create a = r; load a m", "++++"),
        ("create a = r; load b m; create b = r; load b m", "+-++"),
        ("gc; create a = r; gc a; load a m", "++++"),
        // An engine's own operation may do anything to its slot, and to no other.
        ("call a x", "-"),
        ("create a = r; create b = r; call a x; load a m; load b m", "++??+"),
        ("create a = r; call a x; drop a; load a m", "+?+-"),
        // SIGINT may end the process, or stop engines.
        ("create a = r; load a m; interrupt; generate a 4; load b m", "++??-"),
        // Nothing comes after the end.
        ("create a = r; exit; load a m; load b m", "++??"),
        ("create a = r; kill; load a m", "++?"),
    ] {
        assert_eq!(predicted(text), expected, "{text}");
    }
}

#[test]
fn nothing_is_predicted_inside_lanes() {
    for (text, expected) in [
        ("create a = r; [load a m | generate a 4]; generate a 4; drop a", "+???+"),
        ("create a = r; load a m; [generate a 4 | generate a 4]; generate a 4", "++??+"),
        ("create a = r; load a m; [generate a 4 | unload a]; generate a 4; create a = r", "++???-"),
        ("create a = r; [load b m | cancel a]; load a m; load b m", "+??+-"),
        ("create a = r; [load a m expect=ok | cancel a expect=error]", "++-"),
        (
            "create a = r; load a m; [cancel a | until-joined(unload a; load a m)]; load a m",
            "++????",
        ),
        ("create a = r; [load a m | exit]; load b m", "+???"),
        ("create a = r; [create b = r | cancel a]; drop b", "+???"),
    ] {
        assert_eq!(predicted(text), expected, "{text}");
    }
}

#[test]
fn a_repeat_is_predicted_where_every_turn_begins_alike() {
    for (text, expected) in [
        ("create a = r; 3x(load a m; generate a 4; unload a); load a m", "+++++"),
        ("create a = r; 3x(load a m); generate a 4", "+?+"),
        ("create a = r; load a m; 3x(cancel a; swap a model=n; unload a); load a m", "+++??+"),
        ("create a = r; 3x(call a x); load a m", "+??"),
        ("create a = r; 1x(load a m); generate a 4", "+++"),
        ("create a = r; load a m; 2x cleanup a; generate a 4", "+++-"),
        ("3x(create a = r; 2x(load a m; unload a); drop a); load a m", "++++-"),
        ("create a = r; 3x(load a m; exit)", "+??"),
        ("create a = r; 2x(2x(2x(load a m)))", "+?"),
        ("create a = r; 3x([load a m | cancel a]; drop a; create a = r); load a m", "+??+++"),
    ] {
        assert_eq!(predicted(text), expected, "{text}");
    }
}

#[test]
fn the_author_has_the_last_word() {
    for (text, expected) in [
        ("create a = r; load a bad expect=error; generate a 4; load a m", "+--+"),
        ("load a m expect=ok; generate a 4", "++"),
        ("load a m expect=any", "?"),
        ("create a = r; load a m expect=any; generate a 4; drop a", "+??+"),
        ("create a = r; load a m expect=any; generate a 4 expect=ok; unload a", "+?++"),
        ("create a = r; call a x expect=ok; load a m expect=ok; generate a 4", "++++"),
        ("create a = r; exit; load a m expect=error", "++-"),
        ("gc expect=error; interrupt expect=ok", "-+"),
    ] {
        assert_eq!(predicted(text), expected, "{text}");
    }
}

#[test]
fn deep_repeats_are_predicted_quickly() {
    // Sixteen levels that each change the state would take 2^16 passes if each level ran twice.
    let steps = "load a m;".repeat(900);
    let text = format!("create a = r; {}{steps}{}", "2x(".repeat(16), ")".repeat(16));
    assert_eq!(predicted(&text).len(), 901);
}

#[test]
fn every_example_of_the_table_is_a_plan_of_that_operation() {
    for operation in Operation::ALL {
        let program =
            Program::from(&Plan::parse(operation.spec().example).expect("is well-formed"));
        assert_eq!(program.step(1).map(|step| step.operation), Some(operation));
        assert_eq!(Operation::parse(operation.name()), Some(operation));
    }
}
