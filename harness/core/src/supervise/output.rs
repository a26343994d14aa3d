//! Head and tail of a stream: a flood neither fills the disk nor stalls the child.
//!
//! A command's output goes on to where its user sent it: what the reader there does not take yet
//! stays in the pipe, so that the command waits for it as it would without us.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use hotfire_sys::{Polled, ReadEnd, poll_ready, write_if_ready};

use crate::observe::Stream;

/// Bytes kept of the head, and of the tail.
const KEPT_BYTES: usize = 64 * 1024;
/// Bytes read in one go before other events get their turn.
const TURN_BYTES: usize = 1024 * 1024;

/// No pipe holds more (`/proc/sys/fs/pipe-max-size`): what comes after it is not the command's.
const REST_BYTES_MAX: u64 = 1024 * 1024;
/// So many bytes can be written without waiting to whatever says it can be written to
/// (`PIPE_BUF`, pipe(7)).
const WRITE_BYTES: usize = 4096;

/// Collects one stream of a run.
#[derive(Debug)]
pub(super) struct Collector {
    pipe: Option<ReadEnd>,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    bytes: u64,
    passed_on: Option<Onward>,
    written: Option<Written>,
    /// Bytes taken after the command's end.
    rest_bytes: u64,
}

/// A file that the command itself writes to: its begin and end are read once it has.
#[derive(Debug)]
struct Written {
    file: File,
    /// What stood there before ends here.
    start: u64,
}

/// Where a stream goes on to.
#[derive(Debug)]
struct Onward {
    to: OwnedFd,
    /// What has been read and not been written yet.
    pending: VecDeque<u8>,
}

impl Collector {
    pub(super) fn new(pipe: ReadEnd) -> Self {
        Self { pipe: Some(pipe), ..Self::nothing() }
    }

    /// Of a stream that goes elsewhere: nothing is seen of it.
    pub(super) fn nothing() -> Self {
        Self {
            pipe: None,
            head: Vec::new(),
            tail: VecDeque::new(),
            bytes: 0,
            passed_on: None,
            written: None,
            rest_bytes: 0,
        }
    }

    /// Of a stream that goes to this file, from this place on.
    pub(super) fn of_file(file: File, start: u64) -> Self {
        Self { written: Some(Written { file, start }), ..Self::nothing() }
    }

    /// Of a stream that goes on to `to`.
    pub(super) fn passing_on(pipe: ReadEnd, to: OwnedFd) -> Self {
        let passed_on = Some(Onward { to, pending: VecDeque::new() });
        Self { passed_on, ..Self::new(pipe) }
    }

    /// The descriptor to poll; `None` once every writer has closed, or while what was read has to
    /// be written first.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        let waits = self.onward().is_some();
        self.pipe.as_ref().map(AsFd::as_fd).filter(|_| !waits)
    }

    /// The descriptor that must become writable before more is read.
    pub(super) fn onward(&self) -> Option<BorrowedFd<'_>> {
        let onward = self.passed_on.as_ref()?;
        (!onward.pending.is_empty()).then(|| onward.to.as_fd())
    }

    /// The descriptor of which only its closing is of interest now.
    pub(super) fn reader(&self) -> Option<BorrowedFd<'_>> {
        let onward = self.passed_on.as_ref()?;
        onward.pending.is_empty().then(|| onward.to.as_fd())
    }

    /// Whether somebody can still write to a stream that goes on to its reader.
    pub(super) fn has_writer(&self) -> bool {
        let (Some(pipe), Some(_)) = (&self.pipe, &self.passed_on) else { return false };
        !is_closed(pipe.as_fd())
    }

    /// Whether nobody reads any more what goes on to its reader.
    pub(super) fn has_lost_reader(&self) -> bool {
        self.passed_on.as_ref().is_some_and(|onward| is_closed(onward.to.as_fd()))
    }

    /// Whether something of it may still have to be passed on.
    pub(super) fn is_open(&self) -> bool {
        self.passed_on.is_some() && (self.pipe.is_some() || self.onward().is_some())
    }

    /// Takes what reads the stream and passes it on, and what waits for that, into one of its own;
    /// what was kept stays here.
    pub(super) fn hand_over(&mut self) -> Self {
        let (pipe, passed_on) = (self.pipe.take(), self.passed_on.take());
        Self { pipe, passed_on, ..Self::nothing() }
    }

    /// The numbers of its descriptors.
    pub(super) fn descriptor_numbers(&self) -> impl Iterator<Item = i32> {
        let onward = self.passed_on.as_ref().map(|onward| onward.to.as_fd().as_raw_fd());
        self.pipe.as_ref().map(|pipe| pipe.as_fd().as_raw_fd()).into_iter().chain(onward)
    }

    /// Nobody reads any more.
    pub(super) fn lose_reader(&mut self) {
        (self.pipe, self.passed_on) = (None, None);
    }

    /// Writes on what waits for it, if that can be done without waiting. Where nobody reads any
    /// more the pipe is closed: the command hears of it at its next write, as it would without us.
    pub(super) fn pass_on(&mut self) {
        let Some(onward) = &mut self.passed_on else { return };
        while !onward.pending.is_empty() {
            let mut chunk: Vec<u8> = onward.pending.iter().copied().take(WRITE_BYTES).collect();
            // Others may write there, too: whole lines stay whole.
            if let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') {
                chunk.truncate(newline + 1);
            }
            match write_if_ready(&onward.to, &chunk) {
                Ok(0) => return,
                Ok(written) => drop(onward.pending.drain(..written)),
                Err(_) => return self.lose_reader(),
            }
        }
    }

    /// Takes in all that can be taken now, and writes it on; whether nothing is left of it. A stream
    /// that goes nowhere needs no hurry.
    pub(super) fn pass_rest_on(&mut self) -> bool {
        if self.passed_on.is_none() {
            return true;
        }
        loop {
            let before = self.bytes;
            self.take();
            self.pass_on();
            self.rest_bytes = self.rest_bytes.saturating_add(self.bytes - before);
            if self.onward().is_some() {
                return false;
            }
            if self.bytes == before || self.rest_bytes > REST_BYTES_MAX {
                return true;
            }
        }
    }

    /// Takes in what is there now. Never waits, never for an end of file.
    pub(super) fn take(&mut self) {
        let mut buffer = [0u8; 32 * 1024];
        let mut taken = 0;
        while let Some(pipe) = &self.pipe
            && taken < TURN_BYTES
            && self.onward().is_none()
        {
            match pipe.read(&mut buffer) {
                Ok(Some(0)) | Err(_) => self.pipe = None,
                Ok(Some(bytes)) => {
                    taken += bytes;
                    let bytes = buffer.get(..bytes).unwrap_or_default();
                    self.keep(bytes);
                    if let Some(onward) = &mut self.passed_on {
                        onward.pending.extend(bytes);
                        self.pass_on();
                    }
                }
                Ok(None) => break,
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = KEPT_BYTES - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(KEPT_BYTES);
        self.tail.drain(..excess);
    }

    fn keep_file(&mut self, written: &Written) -> std::io::Result<()> {
        let end = written.file.metadata()?.len();
        let mut buffer = vec![0; KEPT_BYTES];
        let head = written.file.read_at(&mut buffer, written.start)?;
        self.keep(buffer.get(..head).unwrap_or_default());
        let behind_head = written.start.saturating_add(head as u64);
        let tail_start = end.saturating_sub(KEPT_BYTES as u64).max(behind_head);
        let tail = written.file.read_at(&mut buffer, tail_start)?;
        self.keep(buffer.get(..tail).unwrap_or_default());
        self.bytes = end.saturating_sub(written.start);
        Ok(())
    }

    /// What was collected.
    pub(super) fn finish(mut self) -> Stream {
        self.take();
        if let Some(written) = self.written.take() {
            // What cannot be read any more is not shown.
            let _ = self.keep_file(&written);
        }
        let tail: Vec<u8> = self.tail.into_iter().collect();
        Stream {
            head: String::from_utf8_lossy(&self.head).into_owned(),
            tail: String::from_utf8_lossy(&tail).into_owned(),
            bytes: self.bytes,
        }
    }
}

/// Whether the other side of a pipe is closed.
fn is_closed(end: BorrowedFd<'_>) -> bool {
    let watched = [end];
    let polled = Polled { watched: &watched, ..Polled::default() };
    poll_ready(&polled, 0).is_ok_and(|ready| ready.iter().any(|ready| ready.hung_up))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn keeps_head_and_tail_and_counts_all() {
        let (read, write) = hotfire_sys::output_pipe().unwrap();
        let mut collector = Collector::new(read);
        let mut write = std::fs::File::from(write);
        let chunk = [b'x'; 4096];
        write.write_all(b"first ").unwrap();
        for _ in 0..100 {
            write.write_all(&chunk).unwrap();
            collector.take();
        }
        write.write_all(b" last").unwrap();
        // The write end stays open: finishing must not wait for its end.
        let stream = collector.finish();
        assert_eq!(stream.bytes, 6 + 409_600 + 5);
        assert!(stream.head.starts_with("first x") && stream.head.len() == KEPT_BYTES);
        assert!(stream.tail.ends_with("x last") && stream.tail.len() == KEPT_BYTES);
        drop(write);
    }

    #[test]
    fn of_a_file_head_and_tail_are_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before ").unwrap();
        let collector = Collector::of_file(file.try_clone().unwrap(), 7);
        file.write_all(b"first ").unwrap();
        file.write_all(&vec![b'x'; 200_000]).unwrap();
        file.write_all(b" last").unwrap();
        let stream = collector.finish();
        assert_eq!(stream.bytes, 6 + 200_000 + 5);
        assert!(stream.head.starts_with("first x") && stream.head.len() == KEPT_BYTES);
        assert!(stream.tail.ends_with("x last") && stream.tail.len() == KEPT_BYTES);
    }

    #[test]
    fn what_is_passed_on_waits_for_its_reader_and_nothing_is_lost() {
        let (read, write) = hotfire_sys::output_pipe().unwrap();
        let (reader, onward) = hotfire_sys::output_pipe().unwrap();
        let mut collector = Collector::passing_on(read, onward);
        let mut write = std::fs::File::from(write);
        let mut expected = Vec::new();
        let mut got = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        for round in 0..64u8 {
            let chunk = vec![round; 32 * 1024];
            write.write_all(&chunk).unwrap();
            expected.extend_from_slice(&chunk);
            collector.take();
            collector.pass_on();
            // The reader takes nothing at first: a pipe holds 64 KiB, and one chunk waits here.
            while round >= 2
                && let Ok(Some(bytes)) = reader.read(&mut buffer)
            {
                got.extend_from_slice(&buffer[..bytes]);
                collector.pass_on();
                collector.take();
            }
        }
        assert_eq!(got, expected);
        drop(reader);
        write.write_all(b"more").unwrap();
        collector.take();
        assert!(write.write_all(b"more").is_err(), "the writer hears that nobody reads");
    }
}
