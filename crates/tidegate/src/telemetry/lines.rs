//! Events as lines: JSON for machines, text for people.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_core::UnixMs;
use tidegate_core::text::is_plain;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::sink::Sink;

/// The shape of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// One JSON object.
    Json,
    /// Text.
    Plain,
    /// Text, with the level in colour.
    Colour,
}

/// Formats events and hands them to the sink.
pub(super) struct Lines {
    style: Style,
    sink: Arc<Sink>,
}

impl Lines {
    pub(super) fn new(style: Style, sink: Arc<Sink>) -> Self {
        Self { style, sink }
    }
}

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
    /// The second that was printed last, and its text.
    static SECOND: Cell<(i64, [u8; 19])> = const { Cell::new((i64::MIN, [0; 19])) };
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        LINE.with(|line| {
            // A value whose `Debug` logs would come back here: that inner line is left out.
            let Ok(mut line) = line.try_borrow_mut() else {
                return;
            };
            line.clear();
            write_event(self.style, &mut line, micros, event);
            self.sink.push(line.as_bytes());
        });
    }
}

fn write_event(style: Style, line: &mut String, micros: i64, event: &Event<'_>) {
    let level = *event.metadata().level();
    let target = event.metadata().target();
    match style {
        Style::Json => {
            line.push_str("{\"timestamp\":\"");
            write_time(line, micros, 6);
            line.push_str("\",\"level\":\"");
            line.push_str(level.as_str());
            line.push_str("\",\"target\":\"");
            line.push_str(target);
            line.push('"');
            event.record(&mut JsonFields { line });
            line.push_str("}\n");
        }
        Style::Plain | Style::Colour => {
            write_time(line, micros, 3);
            line.push(' ');
            let (before, after) = match style {
                Style::Colour => (colour(level), "\u{1b}[0m"),
                _ => ("", ""),
            };
            let _ = write!(line, "{before}{:5}{after} {target}:", level.as_str());
            let mut message = String::new();
            event.record(&mut TextMessage(&mut message));
            if !message.is_empty() {
                line.push(' ');
                line.push_str(&message);
            }
            event.record(&mut TextFields { line });
            line.push('\n');
        }
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG => "\u{1b}[34m",
        Level::TRACE => "\u{1b}[35m",
    }
}

/// `2026-05-01T00:00:00.123456Z`, with this many digits of a second.
fn write_time(line: &mut String, micros: i64, digits: usize) {
    let second = micros.div_euclid(1_000_000);
    SECOND.with(|cached| {
        if cached.get().0 != second {
            let text = UnixMs::from_seconds(second).to_string();
            let mut bytes = [b'0'; 19];
            for (to, from) in bytes.iter_mut().zip(text.bytes()) {
                *to = from;
            }
            cached.set((second, bytes));
        }
        line.push_str(std::str::from_utf8(&cached.get().1).unwrap_or_default());
    });
    line.push('.');
    let mut rest = micros.rem_euclid(1_000_000);
    let mut scale = 100_000;
    for _ in 0..digits {
        let digit = u8::try_from(rest / scale).unwrap_or(0);
        line.push(char::from(b'0' + digit));
        rest %= scale;
        scale /= 10;
    }
    line.push('Z');
}

struct JsonFields<'a> {
    line: &'a mut String,
}

impl JsonFields<'_> {
    fn name(&mut self, field: &Field) {
        // Field names are identifiers in the source: nothing in them needs an escape.
        self.line.push_str(",\"");
        self.line.push_str(field.name());
        self.line.push_str("\":");
    }
}

impl Visit for JsonFields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.name(field);
        let _ = write!(self.line, "{value}");
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        let _ = write!(self.line, "{value}");
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field);
        if value.is_finite() {
            let _ = write!(self.line, "{value}");
        } else {
            self.line.push_str("null");
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.line.push_str(if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.line.push('"');
        escape_json(self.line, value);
        self.line.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.line.push('"');
        let _ = write!(JsonEscape(self.line), "{value:?}");
        self.line.push('"');
    }
}

/// Escapes everything that is written through it.
struct JsonEscape<'a>(&'a mut String);

impl fmt::Write for JsonEscape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape_json(self.0, text);
        Ok(())
    }
}

/// A log is read in terminals too, so all that JSON would let through and a terminal might obey
/// is escaped as well.
fn escape_json(line: &mut String, text: &str) {
    let harmless = |b: u8| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\';
    if text.bytes().all(harmless) {
        line.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            c if is_plain(c) => line.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
}

struct TextMessage<'a>(&'a mut String);

impl Visit for TextMessage<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(TextEscape(self.0), "{value:?}");
        }
    }
}

struct TextFields<'a> {
    line: &'a mut String,
}

impl Visit for TextFields<'_> {
    /// A value that could be taken for more than one field stands in quotes.
    fn record_str(&mut self, field: &Field, value: &str) {
        let bare = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'=';
        let _ = write!(self.line, " {}=", field.name());
        if !value.is_empty() && value.bytes().all(bare) {
            self.line.push_str(value);
        } else {
            let _ = write!(TextEscape(self.line), "{value:?}");
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

struct TextEscape<'a>(&'a mut String);

impl fmt::Write for TextEscape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if is_plain(c) {
                self.0.push(c);
            } else {
                write!(self.0, "\\u{{{:x}}}", u32::from(c))?;
            }
        }
        Ok(())
    }
}
