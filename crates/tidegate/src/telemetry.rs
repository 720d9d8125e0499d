//! Logging: one line an event, to standard error, never waiting for whoever reads it.
//!
//! [`Lines`] formats events; [`Sink`] takes the finished lines into a bounded buffer that a thread
//! of its own empties. When the reader is too slow lines are lost and counted, because a takedown
//! must not wait for a log pipe. Spans are not used here: events carry their fields themselves.

mod lines;
mod sink;

#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::{Log, LogFormat};
use lines::{Lines, Style};
use sink::Sink;

/// How long the end of the program waits for the last lines to be taken.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How often lost lines are looked for.
const LOSS_REPORT_EVERY: Duration = Duration::from_secs(10);

/// Keeps logging alive; writes out what is buffered when dropped.
pub(crate) struct Telemetry {
    sink: Arc<Sink>,
}

impl Telemetry {
    /// Sends events to standard error from here on, and panics too.
    pub(crate) fn start(log: &Log) -> anyhow::Result<Self> {
        let sink = Sink::start(std::io::stderr())?;
        let terminal = std::io::stderr().is_terminal();
        let style = match (log.format, terminal) {
            (LogFormat::Json, _) | (LogFormat::Auto, false) => Style::Json,
            (LogFormat::Text | LogFormat::Auto, true) => Style::Colour,
            (LogFormat::Text, false) => Style::Plain,
        };
        let targets: Targets = log.level.parse()?;
        let subscriber = tracing_subscriber::registry()
            .with(targets)
            .with(Lines::new(style, sink.clone()));
        tracing::subscriber::set_global_default(subscriber)?;
        log_panics();
        Ok(Self { sink })
    }

    /// Warns, now and then, when lines were lost. Runs until dropped.
    pub(crate) async fn report_loss<T>(&self) -> T {
        let mut reported = 0;
        loop {
            tokio::time::sleep(LOSS_REPORT_EVERY).await;
            let lost = self.sink.lost();
            if lost > reported {
                tracing::warn!(
                    lines = lost - reported,
                    "log lines were lost: the reader is slow"
                );
                reported = lost;
            }
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.sink.flush(LAST_LINES);
    }
}

/// A panic becomes one line of the log, with where it happened.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let words = panic.payload_as_str().unwrap_or("a panic without words");
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            place = place.as_deref().unwrap_or("unknown"),
            thread = std::thread::current().name().unwrap_or("unnamed"),
            "panic: {words}"
        );
    }));
}
