//! The event-loop thread: it beats, as a server's loop would answer, and runs `on=loop` steps,
//! which keep it from beating for as long as they take.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hotfire_plan::{Step, StepIndex};
use hotfire_recorder::{StepOutcome, Writer};

use crate::error::HostError;
use crate::os;
use crate::stand::{Stand, StepReport};

enum Message {
    Step { index: StepIndex, step: Box<Step>, reply: Sender<StepReport> },
    Stop,
}

/// A handle to the thread.
pub(crate) struct EventLoop {
    inbox: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    recorder: Option<Writer<'static>>,
}

impl EventLoop {
    /// Starts the thread; it beats when this returns.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub(crate) fn start(
        stand: Arc<Stand>,
        period: Duration,
        recorder: Option<Writer<'static>>,
    ) -> Result<Self, HostError> {
        let (inbox, messages) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("event-loop".to_owned())
            .spawn(move || {
                if let Some(recorder) = recorder {
                    recorder.loop_started(os::tid());
                }
                // Nobody listens only when the host has gone already.
                let _ = started.send(());
                turn(&stand, period, recorder, &messages);
                if let Some(recorder) = recorder {
                    recorder.loop_ended();
                }
            })
            .map_err(|source| HostError::System { call: "starting a thread", source })?;
        // An error says that the thread has ended, and so does its next step.
        let _ = is_started.recv();
        Ok(Self { inbox, thread: Mutex::new(Some(thread)), recorder })
    }

    /// Runs a step on the loop and waits for its end, however long that takes.
    pub(crate) fn run(&self, index: StepIndex, step: &Step) -> StepReport {
        let (reply, result) = mpsc::channel();
        let message = Message::Step { index, step: Box::new(step.clone()), reply };
        let sent = self.inbox.send(message).is_ok();
        sent.then(|| result.recv().ok()).flatten().unwrap_or_else(|| StepReport {
            outcome: StepOutcome::Failed,
            digest: 0,
            count: 0,
            torn: false,
            text: "the event loop has ended".to_owned(),
        })
    }

    /// Ends the thread; it owes no more beats. Without `join` a step that it runs goes on.
    pub(crate) fn stop(&self, join: bool) {
        // The thread has ended already when nobody takes the message.
        let _ = self.inbox.send(Message::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if join && let Some(thread) = thread {
            // Its panic was printed when it happened.
            let _ = thread.join();
        } else if let Some(recorder) = self.recorder {
            recorder.loop_ended();
        }
    }
}

fn turn(
    stand: &Stand,
    period: Duration,
    recorder: Option<Writer<'static>>,
    messages: &Receiver<Message>,
) {
    let mut next = Instant::now() + period;
    loop {
        match messages.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Message::Step { index, step, reply }) => {
                if let Some(recorder) = recorder {
                    recorder.loop_busy(index);
                }
                let report = stand.perform(&step);
                if let Some(recorder) = recorder {
                    // The gap is told while the step that made it is still named.
                    recorder.beat();
                    recorder.loop_busy(0);
                }
                // The lane waits for it; it is gone only when the process ends.
                let _ = reply.send(report);
            }
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(recorder) = recorder {
                    recorder.beat();
                }
            }
        }
        next = Instant::now() + period;
    }
}
