//! Defects that only show in what a step answers.

use crate::children::{run, silent};

#[test]
fn accepts_illegal_answers_garbage() {
    let create = "create defect=accepts-illegal";
    let text = run(&[create, "generate 4", "load tiny", "generate 4", "drop"]).text;
    let answers: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("generate 4: ok ")).collect();
    let [garbage, right] = answers[..] else { panic!("{text}") };
    // It is computed, by weights that no model has.
    assert_ne!(garbage, right);
    let again = [create, "load tiny", "unload", "generate 4", "drop"];
    let text = run(&again).text;
    let digest = garbage.split(' ').next().unwrap();
    assert!(text.contains(&format!("generate 4: TORN {digest}\n")), "{text}");
    let silenced = silent(&[&["create"], &again[1..]].concat());
    assert!(silenced.contains("generate 4: illegal now: no model is loaded"), "{silenced}");
    let text = silent(&["create", "generate 4", "load tiny", "generate 4", "drop"]);
    assert_eq!(text.matches("generate 4: ok").count(), 1, "{text}");
    assert!(text.contains("generate 4: illegal now: no model is loaded"), "{text}");
}

/// What both models give is worked out before the contest, so that this does not take its time.
#[test]
fn torn_swap_mixes_two_models() {
    let one_by_one = ["generate 300", "swap model=other", "generate 300", "swap model=tiny"];
    let swaps = ["export ms=4; swap model=other; export ms=4; swap model=tiny"; 8].join("; ");
    let contest = format!("[9x generate 300 | {swaps}]");
    let torn = |create, times| {
        let steps = [[create, "load tiny"].as_slice(), &one_by_one, &[&contest, "drop"]].concat();
        let runs = (0..times).map(|_| run(&steps));
        runs.inspect(|ended| assert_eq!(ended.code, Some(0), "{}", ended.text))
            .filter(|ended| ended.text.contains("TORN"))
            .count()
    };
    let count = torn("create defect=torn-swap", 10);
    assert!(count >= 5, "{count} of 10");
    assert_eq!(torn("create", 5), 0);
    silent(&[["create defect=torn-swap", "load tiny"].as_slice(), &one_by_one].concat());
}
