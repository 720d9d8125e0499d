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
        let mut grid = Grid::new(&self.title, ["", "measured", "bar", "ratio", ""]);
        for row in &self.rows {
            grid.row([
                row.what.clone(),
                row.measured.clone(),
                row.bar.clone(),
                row.ratio.clone(),
                row.verdict.to_owned(),
            ]);
        }
        grid.fmt(f)
    }
}

/// Any rows under any heads.
pub(crate) struct Grid<const N: usize> {
    title: String,
    rows: Vec<[String; N]>,
}

impl<const N: usize> Grid<N> {
    pub(crate) fn new(title: &str, head: [&str; N]) -> Self {
        Self {
            title: title.to_owned(),
            rows: vec![head.map(str::to_owned)],
        }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }
}

impl<const N: usize> fmt::Display for Grid<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.rows.iter().fold([0usize; N], |mut widths, row| {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
            widths
        });
        writeln!(f, "\n## {}\n", self.title)?;
        for (at, row) in self.rows.iter().enumerate() {
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
