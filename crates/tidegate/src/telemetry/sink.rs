//! A bounded buffer of log lines, emptied by a thread of its own.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Most bytes that wait to be written; beyond it lines are lost.
const MOST: usize = 8 << 20;
/// How long lines may gather before they are written: one write call carries many of them.
const GATHER: Duration = Duration::from_millis(5);

/// Takes lines without waiting.
pub(crate) struct Sink {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    writing: bool,
    /// The writer sleeps until it is woken; a line that comes while it does not costs no wake-up.
    idle: bool,
    /// Somebody waits for the buffer to be empty: write at once.
    hurry: bool,
}

impl Sink {
    /// Starts the thread that writes to `out` for as long as the process lives.
    pub(crate) fn start(out: impl Write + Send + 'static) -> std::io::Result<Arc<Self>> {
        let sink = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            lost: AtomicU64::new(0),
        });
        let writer = sink.clone();
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.write_all_to(out))?;
        Ok(sink)
    }

    /// Takes a line, newline included. Loses it when too much waits already.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.pending.len() + line.len() > MOST {
            drop(state);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.pending.extend_from_slice(line);
        if std::mem::take(&mut state.idle) {
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Lines lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, or for `most`.
    pub(crate) fn flush(&self, most: Duration) {
        let deadline = Instant::now() + most;
        let mut state = self.state.lock();
        while !state.pending.is_empty() || state.writing {
            state.hurry = true;
            state.idle = false;
            self.filled.notify_one();
            if self.emptied.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    fn write_all_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.state.lock();
            while state.pending.is_empty() {
                state.writing = false;
                state.hurry = false;
                self.emptied.notify_all();
                state.idle = true;
                self.filled.wait(&mut state);
            }
            if !state.hurry {
                self.filled.wait_for(&mut state, GATHER);
            }
            std::mem::swap(&mut state.pending, &mut batch);
            state.writing = true;
            drop(state);
            // A reader that went away takes its lines with it; the server goes on.
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                let lines = batch.iter().filter(|b| **b == b'\n').count();
                self.lost.fetch_add(lines as u64, Ordering::Relaxed);
            }
            batch.clear();
        }
    }
}
