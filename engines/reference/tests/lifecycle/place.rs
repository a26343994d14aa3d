//! Where a run faults: the function around the faulting pc, from the example's own symbols.

use std::process::Command;
use std::sync::LazyLock;

use crate::children::{Ended, example, run};

/// The example's functions with their offsets, in the order of these.
static FUNCTIONS: LazyLock<Vec<(u64, String)>> = LazyLock::new(|| {
    let symbols = Command::new("nm").arg("-nC").arg(example("lifecycle")).output().unwrap();
    let symbols = String::from_utf8_lossy(&symbols.stdout).into_owned();
    let functions = symbols.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let kind = words.next()?;
        "tTwW".contains(kind).then_some((address, words.next()?.to_owned()))
    });
    functions.collect()
});

/// A run that tells where it faults.
fn trapped(steps: &[&str]) -> Ended {
    let steps: Vec<&str> = std::iter::once("trap").chain(steps.iter().copied()).collect();
    run(&steps)
}

fn is_fault(ended: &Ended) -> bool {
    matches!(ended.signal, Some(libc::SIGSEGV | libc::SIGBUS))
}

fn assert_in_engine_code(ended: &Ended, function: &str) {
    let line = ended.text.lines().find_map(|line| line.strip_prefix("fault at 0x"));
    let line = line.unwrap_or_else(|| panic!("no fault is told: {}", ended.text));
    let offset = u64::from_str_radix(line, 16).unwrap();
    let before = FUNCTIONS.iter().take_while(|(address, _)| *address <= offset);
    let (_, name) = before.last().expect("no function before the fault");
    assert!(name.contains("hotfire::reference::"), "fault in {name}");
    assert!(name.contains(function), "fault in {name}, not in {function}");
}

/// Asserts that a run faults, in this function of the engine.
pub(crate) fn faults_in_engine_code(steps: &[&str], function: &str) {
    let ended = trapped(steps);
    assert!(is_fault(&ended), "{}", ended.text);
    assert_in_engine_code(&ended, function);
}

/// How many of `times` runs of a race fault; each that does, in this function of the engine.
pub(crate) fn faults_of_race(times: usize, steps: &[&str], function: &str) -> usize {
    let faults = (0..times).map(|_| trapped(steps)).filter(is_fault);
    faults.inspect(|ended| assert_in_engine_code(ended, function)).count()
}
