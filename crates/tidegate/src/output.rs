//! What commands print: JSON, tables and sentences, on standard output.
//!
//! Names, reasons and vendor words come from outside, so they pass through `printable` before a
//! terminal sees them. JSON is escaped by its own rules.

use std::io::{self, ErrorKind, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use tidegate_core::text::{is_plain, printable};

use crate::exit::Failure;

/// Longest text from outside that one cell or sentence shows.
const LONGEST: usize = 300;

/// Escapes what came from outside.
pub(crate) fn shown(text: &str) -> String {
    printable(text, LONGEST)
}

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Prints a value as JSON, indented.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::failed)?;
    write(&format!("{}\n", terminal_safe(&text)))
}

/// Prints a table with a heading row, or `nothing` if it has no rows.
pub(crate) fn table(
    heading: &[&str],
    rows: Vec<Vec<String>>,
    nothing: &str,
) -> Result<(), Failure> {
    if rows.is_empty() {
        return line(nothing);
    }
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(heading.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| shown(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|l| l.trim_end().to_owned()).collect();
    line(&lines.join("\n"))
}

/// Columns of wrapped text.
const COLUMNS: usize = 100;

/// `text` after a label of `width` columns, wrapped between words, with later lines set in. Escapes
/// what came from outside; longer than a table's cell may be, since it has lines of its own.
pub(crate) fn wrapped(label: &str, width: usize, text: &str) -> String {
    let text = printable(text, 2000);
    let mut out = format!("{label:width$}");
    let mut column = width;
    let mut in_command = false;
    // A command in backticks stays whole, to be copied.
    let breaks = |c: char| {
        in_command ^= c == '`';
        c == ' ' && !in_command
    };
    for (count, word) in text.split(breaks).enumerate() {
        let length = word.chars().count();
        if count > 0 && column + 1 + length > COLUMNS {
            out.push('\n');
            out.push_str(&" ".repeat(width));
            column = width;
        } else if count > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// Prints names and values, one pair a line.
pub(crate) fn pairs(rows: &[(&str, String)]) -> Result<(), Failure> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = rows
        .iter()
        .map(|(name, value)| {
            format!("{name:width$}  {}", shown(value))
                .trim_end()
                .to_owned()
        })
        .collect();
    line(&lines.join("\n"))
}

/// Prints as it is. A reader that went away is no error: the command has done its work.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::failed(format!("cannot write the output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints a note for people; scripts read standard output only.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// JSON strings may hold characters that a terminal obeys; as `\u` escapes they mean the same.
fn terminal_safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_plain(c) || c == '\n' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_between_words_and_escaped() {
        let text = wrapped(
            "  next",
            8,
            &format!("{}\u{1b}[31m end", "word ".repeat(40)),
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  next  word word"));
        assert!(lines[1..].iter().all(|line| line.starts_with("        w")));
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(text.ends_with("\\u{1b}[31m end"), "{text}");
        let command = format!("{}; `tidegate status cam-7` tells", "x".repeat(80));
        assert!(wrapped("", 0, &command).contains("\n`tidegate status cam-7` tells"));
        let long = wrapped("a", 4, &"x".repeat(150));
        assert_eq!(long.lines().count(), 1);
    }

    #[test]
    fn json_survives_terminal_escapes() {
        let value = serde_json::json!({"a": "x\u{202e}\u{7f}é\n"});
        let text = terminal_safe(&serde_json::to_string_pretty(&value).expect("json"));
        assert!(text.contains("x\\u202e\\u007fé\\n"), "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).expect("still json");
        assert_eq!(back, value);
    }
}
