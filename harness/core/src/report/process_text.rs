//! Processes that go on, as text: each thread with what it waits for, how much it computed, and its
//! stack.
//!
//! Deliberately absent: findings (`finding_text.rs`).

use super::colour::{RenderContext, Tone};
use super::finding_text::{frame_line, python_line};
use super::sanitize::sanitize;
use crate::diagnose::{LivingProcess, LivingThread};

/// Threads with the same stack that are named after the first of them.
const ALIKE_MAX: usize = 12;

/// All processes with all stacks, whole; threads that wait alike are told together.
#[must_use]
pub fn render_processes(processes: &[LivingProcess], context: &RenderContext) -> String {
    processes.iter().map(|process| render_process(process, context)).collect()
}

fn render_process(process: &LivingProcess, context: &RenderContext) -> String {
    let head = sanitize(&process_line(process), usize::MAX);
    let mut text = format!("{}\n", context.paint(Tone::Strong, &head));
    let mut told = vec![false; process.threads.len()];
    for (at, thread) in process.threads.iter().enumerate() {
        if told.get(at).copied().unwrap_or(true) {
            continue;
        }
        let mut alike = Vec::new();
        let others = process.threads.iter().zip(&mut told).skip(at);
        for (other, told) in others.filter(|(other, _)| are_alike(thread, other)) {
            *told = true;
            alike.push(other.thread.tid);
        }
        text.push_str(&render_thread(thread, alike.get(1..).unwrap_or_default()));
    }
    text
}

fn process_line(process: &LivingProcess) -> String {
    let count = process.threads.len();
    let threads = if count == 1 { "thread" } else { "threads" };
    let forked = if process.forked { "forked, without exec, from" } else { "child of" };
    let stopped = if process.stopped { ", stopped by a signal before this look" } else { "" };
    let (pid, command, parent) = (process.pid, &process.command, process.parent);
    format!("process {pid} `{command}`, {forked} {parent}, {count} {threads}{stopped}")
}

/// The same stack and wait. What computes stands for itself.
fn are_alike(first: &LivingThread, other: &LivingThread) -> bool {
    let places = |thread: &LivingThread| {
        thread.thread.frames.iter().map(|frame| frame.pc.clone()).collect::<Vec<_>>()
    };
    let same = first.thread.tid == other.thread.tid;
    let waits = first.thread.waits_on.is_some() && first.thread.waits_on == other.thread.waits_on;
    let is_idle = |thread: &LivingThread| thread.cpu_ms == Some(0);
    let is_empty = first.thread.frames.is_empty();
    same || (waits
        && !is_empty
        && is_idle(first)
        && is_idle(other)
        && first.thread.name == other.thread.name
        && places(first) == places(other))
}

fn render_thread(thread: &LivingThread, alike: &[i32]) -> String {
    let one = &thread.thread;
    let waits = one.waits_on.as_ref().map(|on| format!(", waits on {on}")).unwrap_or_default();
    // A wait for an interpreter's lock, or for a process, does not name the thread by itself.
    let owner = thread.owner.filter(|owner| !waits.contains(&format!("thread {owner}")));
    let owner = owner.map(|owner| format!(" (thread {owner})")).unwrap_or_default();
    let computed = match (thread.cpu_ms, thread.watched_ms) {
        (Some(cpu), Some(watched)) => format!(", {cpu} of {watched} ms on a processor"),
        _ => String::new(),
    };
    let head =
        format!("   = thread {} `{}`, {}{waits}{owner}{computed}", one.tid, one.name, one.state);
    let mut lines = vec![head];
    lines.extend(one.frames.iter().enumerate().map(|(at, frame)| frame_line(at, frame)));
    if one.frames.is_empty() {
        lines.push("     (no stack)".to_owned());
    }
    lines.extend(python_line(one));
    if !alike.is_empty() {
        let named: Vec<String> = alike.iter().take(ALIKE_MAX).map(i32::to_string).collect();
        let more = alike.len().saturating_sub(ALIKE_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let count = alike.len();
        lines.push(format!("     the same in {count} more: {}{more}", named.join(", ")));
    }
    lines.iter().map(|line| format!("{}\n", sanitize(line, usize::MAX))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn thread(tid: i32, waits_on: Option<&str>, cpu_ms: u64, pc: &str) -> serde_json::Value {
        json!({
            "tid": tid, "name": "worker", "crashed": false, "state": "sleeping",
            "waits_on": waits_on, "watched_ms": 250, "cpu_ms": cpu_ms,
            "frames": [{"pc": pc, "function": "take", "found_by": "registers", "inlined": false}],
        })
    }

    #[test]
    fn threads_that_wait_alike_are_told_once() {
        let mut holds = thread(15, Some("the interpreter's lock"), 0, "0x9");
        holds["owner"] = 12.into();
        let process: LivingProcess = from_value(json!({
            "pid": 11, "parent": 1, "command": "serve \u{1b}[2J", "forked": true, "stopped": false,
            "threads": [
                thread(11, Some("futex 0x1"), 0, "0x5"), thread(12, None, 249, "0x5"),
                thread(13, Some("futex 0x1"), 0, "0x5"), thread(14, Some("futex 0x1"), 0, "0x6"),
                holds,
            ],
        }))
        .unwrap();
        let text = render_processes(&[process], &RenderContext::default());
        let heads: Vec<&str> = text.lines().filter(|line| line.contains(" thread ")).collect();
        assert_eq!(heads.len(), 4, "{text}");
        assert!(
            text.contains("#0 take") && text.contains("\n     the same in 1 more: 13\n"),
            "{text}"
        );
        assert!(heads[1].ends_with("249 of 250 ms on a processor"), "{text}");
        assert!(heads[3].contains("the interpreter's lock (thread 12), 0 of"), "{text}");
        assert!(
            text.contains("forked, without exec, from 1, 5 threads") && !text.contains('\u{1b}')
        );
    }
}
