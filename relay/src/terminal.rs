//! Progress on a terminal: one line on standard error that is rewritten a few times a second; and tables.
//!
//! No RFC. In a pipe, a file or a log nothing is written at all, so output can be compared and piped.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use quic_lite::Time;

/// A status line. Dropping it ends the line, so that what follows starts on its own.
#[derive(Debug)]
pub(crate) struct Progress {
    on: bool,
    next: Time,
    width: usize,
}

impl Progress {
    /// A status line, silent unless standard error is a terminal.
    pub(crate) fn new() -> Self {
        Self {
            on: io::stderr().is_terminal(),
            next: Time::ZERO,
            width: 0,
        }
    }

    /// Shows what `text` says, at most ten times a second.
    pub(crate) fn show(&mut self, now: Time, text: impl FnOnce() -> String) {
        if !self.on || now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let text = text();
        let width = self.width.max(text.chars().count());
        self.width = text.chars().count();
        // Failing to show progress is no reason to stop the work.
        let _ = write!(io::stderr(), "\r{text:<width$}").and_then(|()| io::stderr().flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.width > 0 {
            let _ = writeln!(io::stderr());
        }
    }
}

/// `1234567` as `1.2 MB`.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// A table: numbers stand at the right of their columns, words, whose columns are named in `words`, at the left.
pub(crate) fn columns<const N: usize>(
    head: &[&str; N],
    rows: &[[String; N]],
    words: &[&str],
) -> String {
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let widths: [usize; N] =
        std::array::from_fn(|column| all().map(|row| row[column].len()).max().unwrap_or_default());
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).zip(&head);
        let cells = cells.map(
            |((cell, width), name)| match words.contains(&name.as_str()) {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            },
        );
        let cells: Vec<_> = cells.collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    all().map(line).collect()
}

/// Often enough to look alive, rare enough to cost nothing.
const INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_short() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(355_049), "355.0 kB");
        assert_eq!(bytes(12_340_000), "12.3 MB");
    }

    #[test]
    fn words_stand_left_and_numbers_right() {
        let rows = [["a".into(), "10".into()], ["long".into(), "9".into()]];
        assert_eq!(
            columns(&["name", "count"], &rows, &["name"]),
            "name  count\na        10\nlong      9\n"
        );
    }

    #[test]
    fn nothing_is_shown_in_a_pipe() {
        let mut progress = Progress {
            on: false,
            next: Time::ZERO,
            width: 0,
        };
        progress.show(Time::ZERO, || panic!("asked for a text nobody sees"));
    }
}
