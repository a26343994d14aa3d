//! The llama scenario files are readable, and named as their files are.
//!
//! Deliberately absent: running them; `lifecycles` does the same steps without the harness.

use std::path::Path;

use hotfire_plan::scenario::Scenario;

#[test]
fn the_scenario_files_are_readable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("scenarios") {
        let path = entry.expect("entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("name").to_owned();
        if !stem.starts_with("llama-") || path.extension() != Some("toml".as_ref()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let scenario =
            Scenario::parse(&text).unwrap_or_else(|error| panic!("{}", error.render(&stem, &text)));
        assert_eq!(scenario.name, stem);
        assert_eq!(scenario.engine.kind, "llama");
        assert!(!scenario.plans.is_empty(), "{stem}");
        names.push(stem);
    }
    for lifecycle in ["load", "swap", "fail-init", "concurrent-generate", "shutdown"] {
        assert!(names.contains(&format!("llama-{lifecycle}")), "{names:?}");
    }
}
