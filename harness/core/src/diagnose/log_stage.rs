//! What a command was doing, by the last lines that it printed: a table turns words of theirs into
//! stages. Where the stack says otherwise, the stack wins.
//!
//! Output is seen by chance, so no stage is part of a finding's identity. Deliberately absent: plans,
//! whose steps are known; the table's file (the command reads it); words of any package.

use super::culprit::{is_of_standard_library, is_runtime};
use super::finding::{Culprit, Finding, FindingStage, Frame};
use super::function_name::bare;
use super::signs::evidence;
use crate::observe::{Output, Stream};

/// Lines from the end of each stream that are looked at.
const LINES_MAX: usize = 64;
/// Of a longer line, its begin.
const LINE_CHARS_MAX: usize = 200;

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageWords {
    /// Plain text that a line holds, in any case; where it begins with a letter, a word begins there.
    pub pattern: String,
    /// What the program does then.
    pub stage: String,
    /// A part of the file name of the module that does it.
    pub module: Option<String>,
    /// Where the table says so: `FILE:LINE`, or `built in`.
    pub place: String,
}

/// What words of mechanisms stand for, as programs announce what they do.
const BUILT_IN: &[(&str, &str)] = &[
    ("initializing", "create"),
    ("initialising", "create"),
    ("starting up", "startup"),
    ("loading", "load"),
    ("generating", "generate"),
    ("decoding", "generate"),
    ("exporting", "export"),
    ("compiling", "export"),
    ("unloading", "unload"),
    ("swapping", "swap"),
    ("reloading", "swap"),
    ("cleaning up", "cleanup"),
    ("releasing", "cleanup"),
    ("shutting down", "shutdown"),
    ("stopping", "shutdown"),
    ("exiting", "exit"),
];
/// Words in names of functions that contradict another stage.
const IN_NAMES: &[(&str, &str)] = &[
    ("load", "load"),
    ("generate", "generate"),
    ("decode", "generate"),
    ("export", "export"),
    ("compile", "export"),
    ("unload", "unload"),
    ("swap", "swap"),
    ("reload", "swap"),
    ("cleanup", "cleanup"),
    ("shutdown", "shutdown"),
];
const EXIT: &str = "exit";
/// Stages that the way out of a process is part of.
const OF_THE_EXIT: [&str; 3] = ["cleanup", "shutdown", EXIT];

/// The table: what its user wrote before what is built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTable(Vec<StageWords>);

impl Default for StageTable {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl StageTable {
    /// These lines, and behind them those that are built in.
    #[must_use]
    pub fn new(mut lines: Vec<StageWords>) -> Self {
        lines.extend(BUILT_IN.iter().map(|(pattern, stage)| StageWords {
            pattern: (*pattern).to_owned(),
            stage: (*stage).to_owned(),
            module: None,
            place: "built in".to_owned(),
        }));
        Self(lines)
    }

    /// The last line of a stream that the table knows; the first entry that fits decides.
    fn told_by<'a>(&self, stream: &'a Stream) -> Option<(&StageWords, &'a str)> {
        let texts = [stream.tail.as_str(), stream.head.as_str()].into_iter();
        let lines = texts.flat_map(|text| text.rsplit(['\n', '\r'])).map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty()).take(LINES_MAX);
        lines.find_map(|line| {
            let cut = line.char_indices().nth(LINE_CHARS_MAX);
            let line = cut.and_then(|(end, _)| line.get(..end)).unwrap_or(line);
            Some((self.0.iter().find(|words| holds(line, &words.pattern))?, line))
        })
    }
}

/// Whether the line has the pattern, in any case. `loading` is no part of `unloading`.
fn holds(line: &str, pattern: &str) -> bool {
    let (line, pattern) = (line.to_lowercase(), pattern.to_lowercase());
    let begins_word = pattern.starts_with(char::is_alphanumeric);
    line.match_indices(&pattern).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !begins_word || !before.is_some_and(char::is_alphanumeric)
    })
}

/// Adds to a command's finding of a death or a hang what it was doing.
pub fn add_stage(finding: &mut Finding, output: &Output, table: &StageTable) {
    if !finding.code.starts_with(['C', 'X', 'H']) {
        return;
    }
    let told = table.told_by(&output.stderr).map(|told| (told, "stderr"));
    let Some(((words, line), stream)) =
        told.or_else(|| table.told_by(&output.stdout).map(|told| (told, "stdout")))
    else {
        return;
    };
    let said = format!("`{line}` says stage `{}` ({})", words.stage, words.place);
    if let Some((stage, why)) = contradiction(finding, &words.stage) {
        let text = format!("{said}; the stack says `{stage}` ({why}), and it wins");
        finding.evidence.push(evidence(stream, text));
        let (name, place) = (stage.to_owned(), "stack".to_owned());
        finding.stage = Some(FindingStage { name, place, line: None });
        return;
    }
    finding.evidence.push(evidence(stream, said));
    add_culprit(finding, words, stream);
    let (name, place) = (words.stage.clone(), words.place.clone());
    finding.stage = Some(FindingStage { name, place, line: Some(line.to_owned()) });
}

/// What the stack says instead, and by what.
fn contradiction<'a>(finding: &'a Finding, stage: &str) -> Option<(&'static str, &'a str)> {
    if finding.phase == EXIT {
        let fits = OF_THE_EXIT.contains(&stage);
        return (!fits).then_some((EXIT, "the process was on its way out"));
    }
    let frames = finding.threads.first().map(|thread| thread.frames.as_slice())?;
    let (said, function) = frames.iter().find_map(stage_of_frame)?;
    (said != stage).then_some((said, function))
}

/// The stage that a function's name is a word of; a runtime's functions do the work of all stages.
fn stage_of_frame(frame: &Frame) -> Option<(&'static str, &str)> {
    let function = frame.function.as_deref()?;
    let is_nobodys = match frame.found_by.as_str() {
        "python" => frame.file.as_deref().is_some_and(is_of_pythons_library),
        _ => frame.module.as_deref().is_some_and(is_runtime),
    };
    if is_nobodys || is_of_standard_library(function) {
        return None;
    }
    let words = words_of(last_name(&bare(function)));
    let stage = IN_NAMES.iter().find(|(word, _)| words.iter().any(|own| own == word))?.1;
    Some((stage, function))
}

/// A file of Python's standard library, or code that is frozen into the interpreter.
fn is_of_pythons_library(file: &str) -> bool {
    let is_installed =
        ["/site-packages/", "/dist-packages/"].iter().any(|part| file.contains(part));
    file.starts_with("<frozen") || (file.contains("/lib/python3") && !is_installed)
}

/// The name behind all namespaces and classes.
fn last_name(function: &str) -> &str {
    function.rsplit(['.', ':']).next().unwrap_or(function)
}

/// The words of a name, as `load_model` and `loadModel` have them.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if !letter.is_alphanumeric() || letter.is_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

/// A culprit that the table names, where no stack names one.
fn add_culprit(finding: &mut Finding, words: &StageWords, stream: &str) {
    let Some(module) = &words.module else { return };
    let text = match &finding.culprit {
        None => format!("{} names {module} for this stage; no stack names another", words.place),
        Some(own) if own.module.contains(module.as_str()) => return,
        Some(own) => {
            let (place, own) = (&words.place, &own.module);
            format!("{place} names {module} for this stage, the stack {own}: it wins")
        }
    };
    finding.evidence.push(evidence(stream, text));
    if finding.culprit.is_none() {
        finding.culprit = Some(Culprit {
            module: module.clone(),
            function: None,
            file: None,
            line: None,
            build_id: None,
            function_start: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn finding(changes: &Value) -> Finding {
        let mut whole = json!({
            "id": "", "code": "C101", "status": "SIGSEGV", "class": "unknown", "phase": "run",
            "title": "", "evidence": [],
            "signature": {"version": 1, "value": "", "basis": []},
            "threads": [],
        });
        for (key, value) in changes.as_object().unwrap() {
            whole[key] = value.clone();
        }
        from_value(whole).unwrap()
    }

    fn stack(frames: &[(&str, &str, &str)]) -> Value {
        let frame = |(module, function, found_by): &(&str, &str, &str)| json!({"pc": "0x1", "module": module, "function": function, "found_by": found_by});
        let frames: Vec<Value> = frames.iter().map(frame).collect();
        let thread = json!({"tid": 1, "name": "", "crashed": true, "state": "", "frames": frames});
        json!({"threads": [thread]})
    }

    fn printed(stdout: &str, stderr: &str) -> Output {
        let stream = |text: &str| Stream {
            head: text.to_owned(),
            bytes: text.len() as u64,
            ..Stream::default()
        };
        Output { stdout: stream(stdout), stderr: stream(stderr) }
    }

    /// The stage and who says it.
    fn told(changes: &Value, stdout: &str, stderr: &str) -> Option<(String, String)> {
        let mut one = finding(changes);
        add_stage(&mut one, &printed(stdout, stderr), &StageTable::default());
        assert_eq!(one.stage.is_some(), !one.evidence.is_empty(), "evidence for each");
        one.stage.map(|stage| (stage.name, stage.place))
    }

    fn by(name: &str, place: &str) -> Option<(String, String)> {
        Some((name.to_owned(), place.to_owned()))
    }

    #[test]
    fn the_last_line_that_says_something_decides() {
        let nothing = json!({});
        assert_eq!(told(&nothing, "", "loading a\nloaded\n"), by("load", "built in"));
        assert_eq!(told(&nothing, "", "loading a\nShutting down.\n"), by("shutdown", "built in"));
        assert_eq!(told(&nothing, "", "unloading a\n"), by("unload", "built in"));
        assert_eq!(told(&nothing, "", "[i]loading\n"), by("load", "built in"));
        assert_eq!(
            told(&nothing, "", "loading 1 %\rloading 2 %\rexporting"),
            by("export", "built in")
        );
        assert_eq!(told(&nothing, "", "downloading a\n"), None, "another word");
        assert_eq!(told(&nothing, "exporting\n", "swapping\n"), by("swap", "built in"));
        assert_eq!(told(&nothing, "exporting\n", "hello\n"), by("export", "built in"));
        let far = format!("loading\n{}", "hello\n".repeat(LINES_MAX));
        assert_eq!(told(&nothing, "", &far), None);
        let long = format!("{} loading\n", "é".repeat(LINE_CHARS_MAX));
        assert_eq!(told(&nothing, "", &long), None);
    }

    #[test]
    fn a_stack_that_contradicts_wins() {
        let line = "Loading model\n";
        let said = |frames: &[(&str, &str, &str)]| told(&stack(frames), "", line);
        let engine = "/opt/libengine.so";
        let generates = (engine, "Engine::generateText(int)", "unwind-info");
        assert_eq!(
            said(&[(engine, "memcpy_fast", "registers"), generates]),
            by("generate", "stack")
        );
        assert_eq!(said(&[(engine, "load_part", "registers"), generates]), by("load", "built in"));
        let of_runtime = ("/lib/libc.so.6", "export", "registers");
        assert_eq!(said(&[of_runtime]), by("load", "built in"), "a runtime's name says nothing");
        let of_library = (engine, "void std::swap<int>(int&, int&)", "registers");
        assert_eq!(said(&[of_library]), by("load", "built in"));
        let python = ("/usr/bin/python3.11", "export_all", "python");
        assert_eq!(said(&[python]), by("export", "stack"));
        let leaves = json!({"phase": "exit", "code": "X201"});
        assert_eq!(told(&leaves, "", line), by("exit", "stack"));
        assert_eq!(told(&leaves, "", "stopping\n"), by("shutdown", "built in"));
    }

    #[test]
    fn pythons_own_library_does_the_work_of_all_stages() {
        let of = |file: &str| {
            let mut finding = stack(&[("/usr/bin/python3.11", "export_all", "python")]);
            finding["threads"][0]["frames"][0]["file"] = json!(file);
            told(&finding, "", "loading\n")
        };
        assert_eq!(of("/srv/app/main.py"), by("export", "stack"));
        assert_eq!(of("/usr/lib/python3/dist-packages/x/y.py"), by("export", "stack"));
        assert_eq!(of("/usr/lib/python3.11/json/decoder.py"), by("load", "built in"));
        assert_eq!(of("<frozen importlib._bootstrap>"), by("load", "built in"));
    }

    #[test]
    fn a_leak_has_no_stage() {
        assert_eq!(told(&json!({"code": "L411"}), "", "loading\n"), None);
        assert_eq!(told(&json!({"code": "H303"}), "", "loading\n"), by("load", "built in"));
    }
}
