//! The batches of a stream that its players are being sent, oldest first.
//!
//! A batch never crosses a key frame, so joining and skipping happen between batches, and its
//! bytes are made once for each container. The queue holds what the GOP cache would: a player
//! that joins is put at the last key frame and shares the bytes of all others.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::container::Container;
use crate::frame::{Frame, Headers};
use crate::gop::FRAME_COST;

/// Position of a batch in its stream.
pub(crate) type Seq = u64;

/// Index of a container in [`Queue`].
pub(crate) type Form = u8;

/// Consecutive frames.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The headers that hold where it starts.
    pub(crate) before: Arc<Headers>,
    /// The version of the headers that holds where it ends.
    pub(crate) after: u64,
    pub(crate) timestamp: u32,
    /// Payload bytes of all batches before it, for telling how far behind a player is.
    pub(crate) position: u64,
    frames: Vec<Frame>,
    forms: SmallVec<[Bytes; 2]>,
}

impl Batch {
    /// Its bytes in a container.
    pub(crate) fn form(&self, form: Form) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.forms.get(usize::from(form)).unwrap_or(&NONE)
    }
}

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) gop_bytes: usize,
    pub(crate) gop_ms: u32,
    pub(crate) behind_bytes: usize,
}

/// The batches kept.
#[derive(Debug)]
pub(crate) struct Queue {
    batches: VecDeque<Batch>,
    first: Seq,
    last_key: Option<Seq>,
    gop_cached: bool,
    position: u64,
    headers: Arc<Headers>,
    containers: SmallVec<[Container; 4]>,
    bounds: Bounds,
}

impl Queue {
    pub(crate) fn new(headers: Arc<Headers>, bounds: Bounds) -> Self {
        Self {
            batches: VecDeque::new(),
            first: 0,
            last_key: None,
            gop_cached: false,
            position: 0,
            headers,
            containers: SmallVec::new(),
            bounds,
        }
    }

    /// The position after the last batch.
    pub(crate) fn end(&self) -> Seq {
        self.first + self.batches.len() as u64
    }

    /// The batch at a position, if it is still kept.
    pub(crate) fn get(&self, seq: Seq) -> Option<&Batch> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.batches.get(at)
    }

    /// The newest batch that starts with a key frame.
    pub(crate) fn last_key(&self) -> Option<Seq> {
        self.last_key.filter(|seq| *seq >= self.first)
    }

    /// Where a player that joins starts: `None` to wait for a key frame.
    pub(crate) fn join_at(&self) -> Option<Seq> {
        if !self.headers.seen_key {
            return Some(self.end());
        }
        self.last_key().filter(|_| self.gop_cached)
    }

    /// The headers at the end.
    pub(crate) fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Whether decoding needs a key frame, as far as is known.
    pub(crate) fn has_keys(&self) -> bool {
        self.headers.seen_key
    }

    /// How many payload bytes lie between a position and the end.
    pub(crate) fn behind(&self, seq: Seq) -> u64 {
        let from = self.get(seq).map_or(self.position, |b| b.position);
        self.position - from
    }

    /// The form of a container. From then on every batch is made in it, as the ones kept are.
    pub(crate) fn form_of(&mut self, container: Container) -> Form {
        let at = self.containers.iter().position(|c| *c == container);
        let at = at.unwrap_or_else(|| {
            for batch in &mut self.batches {
                batch.forms.push(container.batch(&batch.frames));
            }
            self.containers.push(container);
            self.containers.len() - 1
        });
        // A session hands out few message streams, so there are few containers.
        Form::try_from(at).unwrap_or(Form::MAX)
    }

    /// Appends frames as one batch, or as several where a key frame starts.
    pub(crate) fn push(&mut self, frames: Vec<Frame>) {
        let mut run = Vec::with_capacity(frames.len());
        for frame in frames {
            if frame.is_key() && !run.is_empty() {
                self.push_batch(std::mem::take(&mut run));
            }
            run.push(frame);
        }
        if !run.is_empty() {
            self.push_batch(run);
        }
    }

    fn push_batch(&mut self, frames: Vec<Frame>) {
        let before = Arc::clone(&self.headers);
        for frame in &frames {
            if self.headers.is_changed_by(frame) {
                Arc::make_mut(&mut self.headers).note(frame);
            }
        }
        if frames.first().is_some_and(Frame::is_key) {
            self.last_key = Some(self.end());
            self.gop_cached = true;
        }
        let size: usize = frames.iter().map(|f| f.payload.len() + FRAME_COST).sum();
        self.batches.push_back(Batch {
            before,
            after: self.headers.version,
            timestamp: frames.first().map_or(0, |f| f.timestamp),
            position: self.position,
            forms: self.containers.iter().map(|c| c.batch(&frames)).collect(),
            frames,
        });
        self.position += size as u64;
        self.check_gop();
    }

    /// Gives up the GOP as a place to join once it is larger or longer than its bounds.
    fn check_gop(&mut self) {
        let Some(start) = self.last_key().and_then(|seq| self.get(seq)) else {
            return;
        };
        let bytes = self.position - start.position;
        let newest = self.batches.back().map_or(0, |b| b.timestamp);
        let age = newest.wrapping_sub(start.timestamp);
        let too_long = age < u32::MAX / 2 && age > self.bounds.gop_ms;
        if bytes > self.bounds.gop_bytes as u64 || too_long {
            self.gop_cached = false;
        }
    }

    /// Lets go of what nobody needs: `needed` is the oldest position of any player. What is
    /// further behind than the bounds allow goes even if a player is still there.
    pub(crate) fn trim(&mut self, needed: Seq) {
        let join = self.join_at().unwrap_or_else(|| self.end());
        let keep = needed.min(join);
        while let Some(front) = self.batches.front() {
            let behind = self.position - front.position;
            let too_far = behind > self.bounds.behind_bytes.max(self.bounds.gop_bytes) as u64;
            if self.first >= keep && !too_far {
                break;
            }
            self.batches.pop_front();
            self.first += 1;
        }
    }

    /// Drops everything: the stream is cut.
    pub(crate) fn clear(&mut self) {
        self.first = self.end();
        self.batches = VecDeque::new();
        self.last_key = None;
    }
}

#[cfg(test)]
mod tests;
