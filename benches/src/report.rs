//! Tables on standard output: what was measured, what it is held against, and the ratio.

use std::fmt;
use std::io::Write as _;

/// Which side of the bar is the good one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Better {
    /// Below it.
    Lower,
    /// Above it.
    Higher,
}

/// One row.
struct Row {
    what: String,
    measured: String,
    bar: String,
    ratio: String,
    verdict: &'static str,
}

/// One table.
pub(crate) struct Table {
    title: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            rows: Vec::new(),
        }
    }

    /// A value held against a budget, both in `unit`.
    pub(crate) fn held(&mut self, what: &str, measured: f64, unit: &str, bar: f64, better: Better) {
        let kept = match better {
            Better::Lower => measured <= bar,
            Better::Higher => measured >= bar,
        };
        let sign = match better {
            Better::Lower => "<=",
            Better::Higher => ">=",
        };
        self.rows.push(Row {
            what: what.to_owned(),
            measured: with_unit(measured, unit),
            bar: format!("{sign} {}", with_unit(bar, unit)),
            ratio: format!("{:.2}", measured / bar),
            verdict: if kept { "kept" } else { "MISSED" },
        });
    }

    /// A value that nothing is held against.
    pub(crate) fn plain(&mut self, what: &str, measured: f64, unit: &str) {
        self.words(what, &with_unit(measured, unit));
    }

    /// A row of words.
    pub(crate) fn words(&mut self, what: &str, words: &str) {
        self.rows.push(Row {
            what: what.to_owned(),
            measured: words.to_owned(),
            bar: String::new(),
            ratio: String::new(),
            verdict: "",
        });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "measured", "bar", "ratio", ""];
        let cells: Vec<[&str; 5]> = std::iter::once(head)
            .chain(self.rows.iter().map(|row| {
                [
                    row.what.as_str(),
                    row.measured.as_str(),
                    row.bar.as_str(),
                    row.ratio.as_str(),
                    row.verdict,
                ]
            }))
            .collect();
        let widths = cells.iter().fold([0usize; 5], |mut widths, row| {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
            widths
        });
        writeln!(f, "\n## {}\n", self.title)?;
        for (at, row) in cells.iter().enumerate() {
            write!(f, "|")?;
            for (cell, width) in row.iter().zip(widths) {
                write!(f, " {cell:width$} |")?;
            }
            writeln!(f)?;
            if at == 0 {
                write!(f, "|")?;
                for width in widths {
                    write!(f, "{:-<1$}|", "", width + 2)?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    let number = match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    if unit.is_empty() {
        number
    } else {
        format!("{number} {unit}")
    }
}

/// Prints one line on standard output; a closed pipe ends nothing.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints progress on standard error.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
