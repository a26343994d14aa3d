//! Errors of plan text, as people read them: the message, the caret, the fix.

use hotfire_plan::{EngineSpec, Plan};

fn refusal(text: &str) -> String {
    Plan::parse(text).map_or_else(|error| error.render(text), |plan| format!("read as {plan}"))
}

#[test]
fn a_typo_names_the_operation_meant() {
    assert_eq!(
        refusal("create a = reference; lod a tiny; exit"),
        "plan:1:23: unknown operation `lod`\n  |\n\
         1 | create a = reference; lod a tiny; exit\n  |                       ^^^\n\
         help: did you mean `load`?"
    );
}

#[test]
fn an_unknown_argument_names_the_one_meant() {
    assert_eq!(
        refusal("# first\nload a tiny\nexit hwo=quick"),
        "plan:3:6: `exit` has no argument `hwo=`\n  |\n\
         3 | exit hwo=quick\n  |      ^^^\n\
         help: did you mean `how=`?"
    );
}

#[test]
fn an_open_string_is_marked_at_its_start() {
    assert_eq!(
        refusal("load a \"ti ny; exit"),
        "plan:1:8: this `\"` is never closed\n  |\n\
         1 | load a \"ti ny; exit\n  |        ^\n\
         help: end it with `\"` on the same line; a new line is `\\n`"
    );
}

#[test]
fn an_unknown_version_is_marked() {
    assert_eq!(
        refusal("hotfire-plan 2\nexit"),
        "plan:1:14: plan text of unknown version `2`\n  |\n\
         1 | hotfire-plan 2\n  |              ^\n\
         help: this build reads `hotfire-plan 1`; a newer hotfire may read this plan"
    );
}

#[test]
fn a_bad_value_says_what_it_can_be() {
    assert_eq!(
        refusal("load a tiny expect=fail"),
        "plan:1:20: `expect=` cannot be `fail`\n  |\n\
         1 | load a tiny expect=fail\n  |                    ^^^^\n\
         help: it can be ok, error, any"
    );
}

#[test]
fn every_refusal_says_why_and_what_to_do() {
    let deep = format!("{}load a tiny{}", "2x(".repeat(17), ")".repeat(17));
    let lanes = format!("[{}]", ["cancel a"; 9].join("|"));
    let many = "cancel a;".repeat(1001);
    let long = format!("load a \"{}\"", "x".repeat(33_000));
    // Short as written, too long to be read back when printed.
    let grows = "gc;".repeat(900) + "load a " + &"y".repeat(29_900);
    for (text, message, help) in [
        ("hotfire-plan", "unknown version ``", "this build reads"),
        ("exit; hotfire-plan 1", "version line after something else", "first line"),
        ("create a", "`create` needs `=` and an engine", "`create a = reference`"),
        ("create = reference", "`create` needs a slot", "`create a = reference`"),
        ("create a = :x=1", "expected an engine's name, found `:`", "reference:defect"),
        ("create a = r:x", "expected `=`", "an engine is like"),
        ("create a = r:x=", "expected a value, found the end", "empty value"),
        ("create a = r:x=1,", "expected a setting", "an engine is like"),
        ("load a", "`load` needs a model's name", "`load a tiny`"),
        ("load", "`load` needs a slot", "`load a tiny`"),
        ("load a tiny big", "`load` takes no argument `big`", "`load a tiny`"),
        ("load a tiny x=1 x=2", "`x=` is given twice", "keep one `x=`"),
        ("unload a force=1", "`unload` has no argument `force=`", "`unload` has expect=, on="),
        ("swap a", "needs either `engine=` or `model=`", "`swap a engine=python`"),
        ("swap a engine=r model=m", "needs either `engine=` or `model=`", "swap"),
        ("swap a engine=r engine=s", "`engine=` is given twice", "keep one"),
        ("call a", "needs the name of an operation", "call a warm-up"),
        ("exit how=fast", "`how=` cannot be `fast`", "return, exit, quick, abort, daemon"),
        ("exit code=256", "`code=` cannot be `256`", "0 to 255"),
        ("exit a", "`exit` takes no argument `a`", "exit how=quick"),
        ("await a timeout=5", "`timeout=` cannot be `5`", "unit"),
        ("load a tiny on=thread", "`on=` cannot be `thread`", "loop"),
        ("load a ti*ny", "found `*`", "quotes"),
        ("load a x=y=z", "found `=`", "quotes"),
        ("load a tiny#1", "found `#`", "quotes"),
        ("load a \"x\"y", "expected a blank or `;`", "blanks"),
        ("load a \"\\x\"", "found `\\x`", "backslash"),
        ("load a \"\u{1b}\"", "control character `\\u{1b}`", "backslash"),
        ("env A=1; exit; env B=2", "`env` after a step", "before the first step"),
        ("env A=1; env A=2", "`A` is given twice", "keep one `A`"),
        ("env A", "expected `=`", "env NAME=value"),
        ("env 1=2", "a variable's name", "env NAME=value"),
        ("0x exit", "expected a number of turns", "3x step"),
        ("100001x exit", "expected a number of turns", "3x step"),
        ("3 exit", "expected a step or a repeat", "3x step"),
        ("3x", "expected `(` or a step", "3x step"),
        ("3x[exit|exit]", "expected `(` or a step", "3x(step"),
        ("3x()", "an empty repeat", "put a step"),
        ("3x(exit", "this `(` is never closed", "missing `)`"),
        ("3x(exit]", "expected `)`, found `]`", "close the `(`"),
        ("exit)", "expected a step, found `)`", "remove it"),
        ("[load a tiny | ]", "an empty lane", "put a step"),
        ("[load a tiny", "this `[` is never closed", "lanes end with `]`"),
        ("[cancel a | [cancel a | cancel b]]", "lanes inside a lane", "one block"),
        ("until-joined(cancel a)", "`until-joined` outside of lanes", "[load a tiny"),
        ("[cancel a | until-joined cancel a]", "expected `(`", "until-joined(generate"),
        ("pause 5", "expected a time", "pause 5ms"),
        ("@order(1,x)", "expected numbers of lanes", "@order(1,2,1)"),
        ("@order(9)", "expected numbers of lanes", "@order(1,2,1)"),
        ("3x(@order(1))", "`@order` inside brackets", "before the lanes"),
        ("fail(malloc) load a tiny", "expected a function", "fail(malloc@3)"),
        ("fail(malloc@0) load a tiny", "expected a function", "fail(malloc@3)"),
        ("fail(malloc@1)", "expected a step, found the end", "load a tiny"),
        (deep.as_str(), "nested too deep: the limit is 16", "smaller"),
        (lanes.as_str(), "too many lanes: the limit is 8", "smaller"),
        (many.as_str(), "too many steps: the limit is 1000", "smaller"),
        (long.as_str(), "too long, in bytes: the limit is 32768", "smaller"),
        (grows.as_str(), "too long, in bytes: the limit is 32768", "smaller"),
    ] {
        let rendered = refusal(text);
        let lines: Vec<&str> = rendered.lines().collect();
        assert!(lines[0].contains(message), "{text:.60}: {rendered:.300}");
        assert!(lines[lines.len() - 1].contains(help), "{text:.60}: {rendered:.300}");
    }
}

#[test]
fn limits_are_reached_without_an_error() {
    let deep = format!("{}load a tiny{}", "2x(".repeat(16), ")".repeat(16));
    let lanes = format!("[{}]", ["cancel a"; 8].join("|"));
    let many = "cancel a;".repeat(1000);
    for text in [deep.as_str(), lanes.as_str(), many.as_str(), "100000x cancel a"] {
        assert!(!refusal(text).contains("limit"), "{text:.60}");
        assert!(Plan::parse(text).is_ok());
    }
}

#[test]
fn an_engine_text_is_refused_with_its_place() {
    let text = "reference:defect=a b";
    let error = EngineSpec::parse(text).expect_err("a blank is no part of an engine text");
    assert_eq!(error.span, 18..19);
}

#[test]
fn settings_given_twice_are_joined() {
    let engine =
        EngineSpec::parse("reference:defect=a,window=5us,defect=b").expect("is well-formed");
    assert_eq!(engine.to_string(), "reference:defect=a+b,window=5us");
}
