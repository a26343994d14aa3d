//! House rules that a machine can check, as tests over the whole tree.
//!
//! A rule is data: a function from a file's path and text to its violations, with samples that
//! break it and samples that keep it. Each rule makes two tests: `samples-NAME` proves that the
//! rule sees what it forbids, `tree-NAME` holds every file of the repository against it.
//!
//! Deliberately absent: what rustfmt and clippy check (form, function length, SAFETY comments).

mod files;
mod gallery;
mod imports;
mod rule;
mod texts;
mod tree;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use rule::Rule;
use tree::{File, read_tree, root};

const RULES: [Rule; 9] = [
    files::HEADER,
    files::LENGTH,
    files::ONLY_MODULES,
    texts::FORBIDDEN,
    texts::UNSAFE_PLACES,
    texts::PURE,
    imports::CRATES,
    imports::STAGES_RULE,
    imports::LINTS,
];

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for rule in &RULES {
        trials.push(Trial::test(format!("samples-{}", rule.name), || hold_samples(rule)));
        trials.push(Trial::test(format!("tree-{}", rule.name), || hold_tree(rule)));
    }
    trials.push(Trial::test("samples-gallery", gallery::hold_samples));
    trials.push(Trial::test("samples-gallery-tree", gallery::hold_sample_tree));
    trials.push(gallery_trial(&root().join("../shared/gallery")));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Reported as ignored where the gallery is not at hand.
fn gallery_trial(folder: &Path) -> Trial {
    let missing = !folder.is_dir();
    let folder = folder.to_owned();
    Trial::test("tree-gallery", move || report(gallery::violations(&root(), &folder)?.into_iter()))
        .with_ignored_flag(missing)
}

fn hold_samples(rule: &Rule) -> Result<(), Failed> {
    for (path, text) in rule.breaks {
        if (rule.check)(path, text).is_empty() {
            return Err(
                format!("{} does not see this violation in {path}:\n{text}", rule.name).into()
            );
        }
    }
    for (path, text) in rule.keeps {
        if let Some(violation) = (rule.check)(path, text).first() {
            return Err(format!("{} is wrong here: {}", rule.name, violation.at(path)).into());
        }
    }
    match rule.breaks {
        [] => Err("a rule without a sample that breaks it proves nothing".into()),
        _ => Ok(()),
    }
}

fn hold_tree(rule: &Rule) -> Result<(), Failed> {
    let files = read_tree(&root())?;
    let absent = rule
        .must_see
        .iter()
        .filter(|path| !files.iter().any(|file| file.path == **path))
        .map(|path| format!("{path}: not found, but {} rests on it", rule.name));
    let broken = files.iter().flat_map(|File { path, text }| {
        (rule.check)(path, text).into_iter().map(move |violation| violation.at(path))
    });
    report(absent.chain(broken))
}

/// Fails with all lines, if there are any.
fn report(lines: impl Iterator<Item = String>) -> Result<(), Failed> {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { Ok(()) } else { Err(lines.join("\n").into()) }
}
