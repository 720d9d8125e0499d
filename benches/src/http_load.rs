//! A closed loop of HTTP requests over connections that are kept: each connection sends its next
//! request when it has its answer. One thread, the same for every server compared.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::api::answer_len;
use crate::poll::{Got, Interest, Poller, read};
use crate::process::own_cpu_seconds;
use crate::stats::{Samples, float};

/// How a load ended.
pub(crate) struct Outcome {
    pub(crate) calls: usize,
    pub(crate) seconds: f64,
    pub(crate) latency: Samples,
    /// How busy this thread was, 0 to 1. Near 1, the figure is this tool's and not the server's.
    pub(crate) busy: f64,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        float(self.calls) / self.seconds
    }
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    sent_at: Instant,
}

/// Runs `connections` for so long. `next` writes a request; `is_right` looks at every answer, and
/// the first wrong one ends the run.
pub(crate) fn closed_loop(
    addr: SocketAddr,
    connections: usize,
    time: Duration,
    next: &mut dyn FnMut(&mut Vec<u8>),
    is_right: &dyn Fn(&[u8]) -> bool,
) -> anyhow::Result<Outcome> {
    let poller = Poller::new()?;
    let mut open = Vec::with_capacity(connections);
    for token in 0..connections {
        let stream = crate::api::connect(addr)?;
        stream.set_nonblocking(true)?;
        poller.add(&stream, u64::try_from(token)?, Interest::Read)?;
        open.push(Connection {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
            sent_at: Instant::now(),
        });
    }
    let (start, cpu) = (Instant::now(), own_cpu_seconds());
    for connection in &mut open {
        connection.send(next)?;
    }
    let mut latency = Samples::default();
    let mut room = vec![0; 16 << 10];
    let mut ready = Vec::new();
    // A single caller waits without sleep: the time to wake it is not the server's.
    let patience = Duration::from_millis(if connections == 1 { 0 } else { 100 });
    while start.elapsed() < time {
        ready.clear();
        poller.wait(&mut ready, patience)?;
        for event in &ready {
            let at = usize::try_from(event.token)?;
            let Some(connection) = open.get_mut(at) else {
                continue;
            };
            if connection.receive(&mut room)? {
                latency.push(connection.sent_at.elapsed());
                if !is_right(&connection.answer) {
                    let answer = String::from_utf8_lossy(&connection.answer);
                    bail!("a call under load failed: {answer}");
                }
                connection.send(next)?;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Outcome {
        calls: latency.len(),
        seconds,
        busy: (own_cpu_seconds() - cpu) / seconds,
        latency,
    })
}

impl Connection {
    fn send(&mut self, next: &mut dyn FnMut(&mut Vec<u8>)) -> anyhow::Result<()> {
        self.request.clear();
        self.answer.clear();
        next(&mut self.request);
        self.sent_at = Instant::now();
        // One small request on an idle socket: it is taken whole.
        self.stream.write_all(&self.request)?;
        Ok(())
    }

    /// Whether the answer is complete.
    fn receive(&mut self, room: &mut [u8]) -> anyhow::Result<bool> {
        match read(&self.stream, room) {
            Got::Bytes(len) => {
                let bytes = room.get(..len).unwrap_or_default();
                self.answer.extend_from_slice(bytes);
                Ok(answer_len(&self.answer).is_some_and(|len| self.answer.len() >= len))
            }
            Got::Nothing => Ok(false),
            Got::End | Got::Reset => bail!("the server closed a connection under load"),
        }
    }
}
