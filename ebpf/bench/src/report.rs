//! What came out, as a table and as JSON. No RFC.

use std::fmt::Write;

/// The candidates, in their order; the first is what the others are measured against.
pub const NAMES: [&str; 4] = ["floor", "clear", "pads", "no pads"];
/// How many copies it is that the aims are for, and the aims: multiples of the floor.
const AIMS: (u32, [f64; 4]) = (100, [1.0, 1.6, 3.5, 14.0]);

/// Nanoseconds for a copy: half of all packets took between the first and the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    low: f64,
    median: f64,
    high: f64,
}

impl Quartiles {
    /// Of these.
    pub fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |part| times.get(times.len() * part / 4).copied();
        let [low, median, high] = [1, 2, 3].map(|part| at(part).unwrap_or_default());
        Self { low, median, high }
    }
}

/// What came out for one number of copies.
#[derive(Clone, Debug)]
pub struct Row {
    /// So many.
    pub copies: u32,
    /// Of each candidate.
    pub packets: u64,
    /// By candidate.
    pub times: [Quartiles; NAMES.len()],
}

impl Row {
    /// As multiples of the floor.
    fn ratios(&self) -> [f64; NAMES.len()] {
        let [floor, ..] = self.times;
        self.times.map(|times| times.median / floor.median)
    }

    fn line(&self) -> String {
        let mut line = format!("{:>6} {:>7}", self.copies, self.packets);
        for (times, ratio) in self.times.iter().zip(self.ratios()) {
            let Quartiles { low, median, high } = times;
            let _ = write!(line, " | {median:>5.0} {low:>5.0}-{high:<5.0} {ratio:>5.2}");
        }
        line
    }
}

/// All that came out.
#[derive(Clone, Debug)]
pub struct Report {
    /// UDP payload.
    pub packet_bytes: usize,
    /// By number of copies.
    pub rows: Vec<Row>,
    /// Whether somebody had the kernel measure programs' run times meanwhile: then all figures are larger.
    pub is_measured: bool,
}

/// The table, and whether the aims are reached.
pub fn table(report: &Report) -> String {
    let rows = &report.rows;
    let mut text = format!(
        "{}-byte packets, nanoseconds per copy: median, quartiles, multiple of the floor\n",
        report.packet_bytes
    );
    let _ = write!(text, "{:>6} {:>7}", "copies", "packets");
    for name in NAMES {
        let _ = write!(text, " | {name:>23}");
    }
    for row in rows {
        let _ = write!(text, "\n{}", row.line());
    }
    let (copies, aims) = AIMS;
    for row in rows.iter().filter(|row| row.copies == copies) {
        let _ = write!(text, "\nat {copies} copies:");
        let reached = NAMES.iter().zip(row.ratios()).zip(aims).skip(1);
        for (at, ((name, ratio), aim)) in reached.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let not = if ratio <= aim { "" } else { " not reached" };
            let _ = write!(text, "{comma} {name} {ratio:.2} (aim {aim}{not})");
        }
    }
    if report.is_measured {
        text += "\nthe kernel measured run times meanwhile (bpf_stats_enabled), which is in all figures";
    }
    text.push('\n');
    text
}

/// The same for programs.
pub fn json(report: &Report) -> String {
    let Report {
        packet_bytes,
        rows,
        is_measured,
    } = report;
    let rows: Vec<String> = rows.iter().map(row_json).collect();
    format!(
        "{{\"packet_bytes\":{packet_bytes},\"bpf_stats_enabled\":{is_measured},\"rows\":[{}]}}\n",
        rows.join(",")
    )
}

fn row_json(row: &Row) -> String {
    let mut text = format!("{{\"copies\":{},\"packets\":{}", row.copies, row.packets);
    for ((name, times), ratio) in NAMES.iter().zip(&row.times).zip(row.ratios()) {
        let Quartiles { low, median, high } = times;
        let _ = write!(
            text,
            ",\"{}\":{{\"ns_per_copy\":{median:.1},\"lower_quartile\":{low:.1},\"upper_quartile\":{high:.1},\"ratio\":{ratio:.3}}}",
            name.replace(' ', "_")
        );
    }
    text + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let spread = |median: f64| (0..100).map(|at| median - 50.0 + f64::from(at)).collect();
        let row = Row {
            copies: 100,
            packets: 100,
            times: [500.0, 750.0, 2000.0, 5000.0].map(|median| Quartiles::of(spread(median))),
        };
        Report {
            packet_bytes: 1200,
            rows: vec![row],
            is_measured: false,
        }
    }

    #[test]
    fn quartiles_are_a_quarter_from_each_end() {
        let [floor, ..] = report().rows[0].times;
        assert_eq!((floor.low, floor.median, floor.high), (475.0, 500.0, 525.0));
    }

    #[test]
    fn the_table_says_which_aims_are_reached() {
        let text = table(&report());
        let last = "at 100 copies: clear 1.50 (aim 1.6), pads 4.00 (aim 3.5 not reached), no pads 10.00 (aim 14)\n";
        assert!(text.ends_with(last), "{text}");
    }

    #[test]
    fn json_has_the_same() {
        let text = json(&report());
        assert!(text.starts_with("{\"packet_bytes\":1200,\"bpf_stats_enabled\":false,\"rows\":"));
        assert!(text.contains("\"no_pads\":{\"ns_per_copy\":5000.0"));
        assert!(text.ends_with("\"ratio\":10.000}}]}\n"));
    }
}
