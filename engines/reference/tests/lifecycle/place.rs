//! Where a run faults: the function around the faulting pc, from the example's own symbols.

use std::process::Command;

use crate::children::{example, run};

/// The function of the example in which a run with these steps faults.
fn faulting_function(steps: &[&str]) -> String {
    let steps: Vec<&str> = std::iter::once("trap").chain(steps.iter().copied()).collect();
    let ended = run(&steps);
    assert!(matches!(ended.signal, Some(libc::SIGSEGV | libc::SIGBUS)), "{}", ended.text);
    let line = ended.text.lines().find_map(|line| line.strip_prefix("fault at 0x")).unwrap();
    let offset = u64::from_str_radix(line, 16).unwrap();
    let symbols = Command::new("nm").arg("-nC").arg(example("lifecycle")).output().unwrap();
    let symbols = String::from_utf8_lossy(&symbols.stdout).into_owned();
    let functions = symbols.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let kind = words.next()?;
        "tTwW".contains(kind).then_some((address, words.next()?))
    });
    let before = functions.take_while(|(address, _)| *address <= offset);
    before.last().expect("no function before the fault").1.to_owned()
}

/// Asserts that the fault lies in this function of the engine.
pub(crate) fn faults_in_engine_code(steps: &[&str], function: &str) {
    let name = faulting_function(steps);
    assert!(name.contains("hotfire::reference::"), "fault in {name}");
    assert!(name.contains(function), "fault in {name}, not in {function}");
}
