//! Queues by lane, and the batches that are taken from them: what shares a transaction.
//!
//! Lanes say which operations get into a batch when not all fit; inside a batch operations run in
//! the order in which they arrived, so a resume that came before a forbid is applied before it.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::stats::Queued;

const URGENT_QUEUE: usize = 8192;
const REST_QUEUE: usize = 1024;
const URGENT_BATCH: usize = 256;
const REST_BATCH: usize = 64;
/// How long an operation that may wait does wait for others.
const PATIENCE: Duration = Duration::from_millis(20);
/// The longest that a batch is held open for callers that the previous one has just answered.
const LINGER: Duration = Duration::from_millis(1);

/// Which queue an operation waits in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    /// Forbids.
    Takedown,
    /// Resumes, scheduled ends, confirmations.
    Release,
    /// What somebody waits for.
    Rest,
    /// What may wait for company, to share its fsync.
    Patient,
}

/// What waits in a queue.
pub(crate) trait Waiting: Send {
    /// Place in order of arrival.
    fn ticket(&self) -> u64;

    /// How much of a batch it takes up; a single decision takes 1.
    fn weight(&self) -> usize;
}

/// The sending ends.
pub(crate) struct Queues<J> {
    takedown: mpsc::Sender<J>,
    release: mpsc::Sender<J>,
    rest: mpsc::Sender<J>,
    patient: mpsc::Sender<J>,
}

impl<J> Queues<J> {
    /// The queue of a lane.
    pub(crate) fn lane(&self, lane: Lane) -> &mpsc::Sender<J> {
        match lane {
            Lane::Takedown => &self.takedown,
            Lane::Release => &self.release,
            Lane::Rest => &self.rest,
            Lane::Patient => &self.patient,
        }
    }

    /// How many operations wait.
    pub(crate) fn lengths(&self) -> Queued {
        let length = |queue: &mpsc::Sender<J>| queue.max_capacity() - queue.capacity();
        Queued {
            takedown: length(&self.takedown),
            release: length(&self.release),
            rest: length(&self.rest),
            patient: length(&self.patient),
        }
    }
}

/// The receiving ends.
pub(crate) struct Intake<J> {
    takedown: mpsc::Receiver<J>,
    release: mpsc::Receiver<J>,
    rest: mpsc::Receiver<J>,
    patient: mpsc::Receiver<J>,
}

/// Both ends of all lanes.
pub(crate) fn queues<J>() -> (Queues<J>, Intake<J>) {
    let takedown = mpsc::channel(URGENT_QUEUE);
    let release = mpsc::channel(URGENT_QUEUE);
    let rest = mpsc::channel(REST_QUEUE);
    let patient = mpsc::channel(REST_QUEUE);
    let queues = Queues {
        takedown: takedown.0,
        release: release.0,
        rest: rest.0,
        patient: patient.0,
    };
    let intake = Intake {
        takedown: takedown.1,
        release: release.1,
        rest: rest.1,
        patient: patient.1,
    };
    (queues, intake)
}

/// Operations of one transaction, by lane.
pub(crate) struct Batch<J> {
    takedown: Vec<J>,
    release: Vec<J>,
    rest: Vec<J>,
    patient: Vec<J>,
}

impl<J> Default for Batch<J> {
    fn default() -> Self {
        Self {
            takedown: Vec::new(),
            release: Vec::new(),
            rest: Vec::new(),
            patient: Vec::new(),
        }
    }
}

impl<J: Waiting> Batch<J> {
    /// How many takedowns and releases are in it.
    pub(crate) fn urgent(&self) -> usize {
        self.takedown.len() + self.release.len()
    }

    /// How much they take up.
    fn urgent_weight(&self) -> usize {
        let jobs = self.takedown.iter().chain(&self.release);
        jobs.map(Waiting::weight).sum()
    }

    /// All operations, in order of arrival.
    pub(crate) fn in_order(self) -> Vec<J> {
        let mut jobs = self.takedown;
        jobs.extend(self.release);
        jobs.extend(self.rest);
        jobs.extend(self.patient);
        jobs.sort_by_key(|job| job.ticket());
        jobs
    }
}

impl<J: Waiting> Intake<J> {
    /// Waits for the first operation of a batch. `None` once every sender is gone and every queue
    /// is empty.
    pub(crate) async fn first(&mut self) -> Option<Batch<J>> {
        let mut batch = Batch::default();
        tokio::select! {
            biased;
            Some(job) = self.takedown.recv() => batch.takedown.push(job),
            Some(job) = self.release.recv() => batch.release.push(job),
            Some(job) = self.rest.recv() => batch.rest.push(job),
            Some(job) = self.patient.recv() => batch.patient.push(job),
            else => return None,
        }
        if !batch.patient.is_empty() {
            let company = async {
                tokio::select! {
                    biased;
                    Some(job) = self.takedown.recv() => batch.takedown.push(job),
                    Some(job) = self.release.recv() => batch.release.push(job),
                    Some(job) = self.rest.recv() => batch.rest.push(job),
                    else => {}
                }
            };
            let _ = tokio::time::timeout(PATIENCE, company).await;
        }
        Some(batch)
    }

    /// Adds what waits, up to the bounds of a batch.
    pub(crate) fn fill(&mut self, batch: &mut Batch<J>) {
        while batch.urgent() < URGENT_BATCH {
            match self.takedown.try_recv() {
                Ok(job) => batch.takedown.push(job),
                Err(_) => break,
            }
        }
        let mut weight = batch.urgent_weight();
        while weight < URGENT_BATCH {
            match self.release.try_recv() {
                Ok(job) => {
                    weight += job.weight();
                    batch.release.push(job);
                }
                Err(_) => break,
            }
        }
        for (queue, jobs) in [
            (&mut self.rest, &mut batch.rest),
            (&mut self.patient, &mut batch.patient),
        ] {
            while jobs.len() < REST_BATCH {
                match queue.try_recv() {
                    Ok(job) => jobs.push(job),
                    Err(_) => break,
                }
            }
        }
    }

    /// Callers answered by the previous batch come back within microseconds. Taking them along
    /// halves the fsyncs under load; a lone caller is never held. `expected` is how many urgent
    /// operations the previous batch had, `last_commit` how long it took.
    pub(crate) async fn linger(
        &mut self,
        batch: &mut Batch<J>,
        expected: usize,
        last_commit: Duration,
    ) {
        if expected < 2 || batch.urgent() == 0 {
            return;
        }
        let until = Instant::now() + (last_commit / 2).min(LINGER);
        while batch.urgent() < expected.min(URGENT_BATCH) && Instant::now() < until {
            tokio::task::yield_now().await;
            self.fill(batch);
        }
    }
}
