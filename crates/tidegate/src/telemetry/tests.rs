use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing_subscriber::layer::SubscriberExt;

use super::lines::{Lines, Style};
use super::sink::Sink;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `events` writes in this style.
fn logged(style: Style, events: impl FnOnce()) -> String {
    let out = Shared::default();
    let sink = Sink::start(out.clone()).expect("a thread");
    let subscriber = tracing_subscriber::registry().with(Lines::new(style, sink.clone()));
    tracing::subscriber::with_default(subscriber, events);
    sink.flush(Duration::from_secs(10));
    let bytes = out.0.lock().clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn json_lines_carry_every_field_and_parse() {
    let text = logged(Style::Json, || {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
        tracing::info!(
            request_id = "115", code = 0_u64, delta = -3_i64, late = true, share = 0.5,
            %address, "took {} ms", 3
        );
        tracing::error!(target: "elsewhere", "no");
    });
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect();
    let first = &lines[0];
    assert_eq!(first["level"], "INFO");
    assert_eq!(first["target"], module_path!());
    assert_eq!(first["message"], "took 3 ms");
    assert_eq!(first["request_id"], "115");
    assert_eq!(first["code"], 0);
    assert_eq!(first["delta"], -3);
    assert_eq!(first["late"], true);
    assert_eq!(first["share"], 0.5);
    assert_eq!(first["address"], "127.0.0.1:80");
    let time = first["timestamp"].as_str().expect("a text");
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert_eq!(time.len(), "2026-05-01T00:00:00.123456Z".len());
    assert_eq!(lines[1]["target"], "elsewhere");
    assert_eq!(lines.len(), 2);
}

#[test]
fn nothing_that_a_peer_sends_reaches_a_terminal_as_it_is() {
    let hostile = "a\n\u{1b}[31m\u{9b}\u{202e}\u{7f}\"\\é";
    let text = logged(Style::Json, || {
        tracing::warn!(name = hostile, "m {hostile}")
    });
    assert_eq!(text.lines().count(), 1);
    assert!(
        !text
            .trim_end()
            .chars()
            .any(|c| !tidegate_core::text::is_plain(c))
    );
    let value: serde_json::Value = serde_json::from_str(&text).expect("json");
    assert_eq!(value["name"], hostile);

    let text = logged(Style::Plain, || {
        tracing::warn!(name = hostile, plain = "cam-7", "m {hostile}");
    });
    assert_eq!(text.lines().count(), 1);
    assert!(
        !text
            .trim_end()
            .chars()
            .any(|c| !tidegate_core::text::is_plain(c))
    );
    assert!(
        text.contains("plain=cam-7") && text.contains(" WARN "),
        "{text}"
    );
}

#[test]
fn a_text_value_with_spaces_cannot_pass_for_another_field() {
    let text = logged(Style::Plain, || {
        tracing::info!(words = %"nobody; peer=10.0.0.1", reason = "a b", id = %7, "m");
    });
    assert!(
        text.ends_with("m words=\"nobody; peer=10.0.0.1\" reason=\"a b\" id=7\n"),
        "{text}"
    );
}

#[test]
fn a_value_that_logs_while_it_is_printed_does_not_break_the_line() {
    struct Chatty;
    impl fmt::Display for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("inner");
            f.write_str("outer")
        }
    }
    let text = logged(Style::Json, || tracing::info!(value = %Chatty, "m"));
    assert!(
        text.lines().count() == 1 && text.contains("\"value\":\"outer\""),
        "{text}"
    );
}

/// Blocks inside `write` until told to go on.
struct Stuck {
    entered: mpsc::Sender<()>,
    release: mpsc::Receiver<()>,
    out: Shared,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.release.recv();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_reader_costs_lines_that_are_counted_and_never_the_caller() {
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let out = Shared::default();
    let stuck = Stuck {
        entered,
        release: released,
        out: out.clone(),
    };
    let sink = Sink::start(stuck).expect("a thread");
    sink.push(b"first\n");
    has_entered.recv().expect("the writer is stuck");
    let line = [b'x'; 1 << 20];
    for _ in 0..20 {
        sink.push(&line);
    }
    assert_eq!(sink.lost(), 12);
    sink.flush(Duration::from_millis(10));
    drop(release);
    sink.flush(Duration::from_secs(10));
    assert_eq!(out.0.lock().len(), "first\n".len() + 8 * line.len());
}
