//! Head and tail of a stream: a flood neither fills the disk nor stalls the child.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use hotfire_sys::ReadEnd;

use crate::observe::Stream;

/// Bytes kept of the head, and of the tail.
const KEPT_BYTES: usize = 64 * 1024;
/// Bytes read in one go before other events get their turn.
const TURN_BYTES: usize = 1024 * 1024;

/// Collects one stream of a run.
#[derive(Debug)]
pub(super) struct Collector {
    pipe: Option<ReadEnd>,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    bytes: u64,
}

impl Collector {
    pub(super) fn new(pipe: ReadEnd) -> Self {
        Self { pipe: Some(pipe), head: Vec::new(), tail: VecDeque::new(), bytes: 0 }
    }

    /// The descriptor to poll; `None` once every writer has closed.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes in what is there now. Never waits, never for an end of file.
    pub(super) fn take(&mut self) {
        let mut buffer = [0u8; 32 * 1024];
        let mut taken = 0;
        while let Some(pipe) = &self.pipe
            && taken < TURN_BYTES
        {
            match pipe.read(&mut buffer) {
                Ok(Some(0)) | Err(_) => self.pipe = None,
                Ok(Some(bytes)) => {
                    taken += bytes;
                    self.keep(buffer.get(..bytes).unwrap_or_default());
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

    /// What was collected.
    pub(super) fn finish(mut self) -> Stream {
        self.take();
        let tail: Vec<u8> = self.tail.into_iter().collect();
        Stream {
            head: String::from_utf8_lossy(&self.head).into_owned(),
            tail: String::from_utf8_lossy(&tail).into_owned(),
            bytes: self.bytes,
        }
    }
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
}
