//! What a run of the lab has shown: one object for programs, one table for people.
//!
//! No RFC. `ok` means that every subscriber holds the input bit for bit.

use std::fmt;

use serde::Serialize;

use crate::report::{Delay, Media, Received};
use crate::terminal::bytes;

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was sent.
    pub(crate) input: Media,
    /// What each subscriber got; `None` when it failed.
    pub(crate) subscribers: Vec<Option<Received>>,
    /// What the relay did.
    pub(crate) relay: Relay,
}

/// The relay's part of the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Relay {
    /// CPU time of the relay process while media flowed, per forwarded packet.
    pub(crate) cpu_us_per_forwarded_packet: f64,
    /// Packets with media that went to subscribers.
    pub(crate) forwarded_packets: u64,
    /// Whether the kernel forwarded any of them.
    pub(crate) fast_path: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    ok: bool,
    input: &'a Media,
    subscribers: Vec<JsonSubscriber>,
    relay: Relay,
}

#[derive(Serialize)]
struct JsonSubscriber {
    #[serde(flatten)]
    media: Media,
    delay_us: Delay,
}

impl Outcome {
    /// Whether every subscriber holds the input.
    pub(crate) fn is_ok(&self) -> bool {
        self.intact() == self.subscribers.len()
    }

    /// How many subscribers hold the input.
    pub(crate) fn intact(&self) -> usize {
        self.subscribers
            .iter()
            .filter(|subscriber| self.is_equal(subscriber.as_ref()))
            .count()
    }

    /// The result as one JSON object. A subscriber that failed has no frames.
    pub(crate) fn json(&self) -> String {
        let received = |subscriber: &Option<Received>| subscriber.clone().unwrap_or_default();
        let subscribers = self.subscribers.iter().map(received);
        let json = Json {
            ok: self.is_ok(),
            input: &self.input,
            subscribers: subscribers
                .map(
                    |Received {
                         media, delay_us, ..
                     }| JsonSubscriber { media, delay_us },
                )
                .collect(),
            relay: self.relay,
        };
        serde_json::to_string(&json).expect("plain fields always become JSON")
    }

    fn is_equal(&self, subscriber: Option<&Received>) -> bool {
        subscriber.is_some_and(|s| s.media == self.input)
    }

    fn row(&self, number: usize, subscriber: &Option<Received>) -> [String; COLUMNS.len()] {
        let number = (number + 1).to_string();
        let Some(received) = subscriber else {
            let mut row = [const { String::new() }; COLUMNS.len()];
            (row[0], row[3]) = (number, "failed".into());
            return row;
        };
        let Received {
            media,
            delay_us,
            packets,
            lost,
        } = received;
        let equal = if self.is_equal(subscriber.as_ref()) {
            "equal"
        } else {
            "DIFFERS"
        };
        let share = *lost as f64 * 100.0 / (packets + lost).max(1) as f64;
        [
            number,
            media.frames.to_string(),
            media.bytes.to_string(),
            equal.into(),
            milliseconds(delay_us.p50),
            milliseconds(delay_us.p99),
            packets.to_string(),
            format!("{share:.1} %"),
        ]
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self
            .subscribers
            .iter()
            .enumerate()
            .map(|(i, s)| self.row(i, s))
            .collect();
        let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].len());
            cells
                .chain([COLUMNS[column].len()])
                .max()
                .unwrap_or_default()
        });
        let Media {
            frames,
            bytes: size,
            sha256,
        } = &self.input;
        writeln!(
            f,
            "input: {frames} frames, {size} bytes ({}), sha256 {sha256}",
            bytes(*size)
        )?;
        for row in std::iter::once(&COLUMNS.map(str::to_owned)).chain(&rows) {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:>width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  "))?;
        }
        let Relay {
            cpu_us_per_forwarded_packet: cpu,
            forwarded_packets,
            fast_path,
        } = self.relay;
        let path = if fast_path {
            "in the kernel"
        } else {
            "in userspace"
        };
        writeln!(f, "{LOSS_NOTE}")?;
        writeln!(
            f,
            "relay: {forwarded_packets} packets forwarded {path}, {cpu:.2} us CPU each"
        )?;
        let (intact, all) = (self.intact(), self.subscribers.len());
        let verdict = if self.is_ok() { "ok" } else { "NOT OK" };
        write!(
            f,
            "{verdict}: {intact} of {all} subscribers hold the input bit for bit"
        )
    }
}

fn milliseconds(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}

/// RFC 9000 §21.4: a sender skips numbers to catch a peer that acknowledges what it never got.
const LOSS_NOTE: &str =
    "loss: packet numbers that never came; about 1 in 300 is left out on purpose";

const COLUMNS: [&str; 8] = [
    "subscriber",
    "frames",
    "bytes",
    "sha256",
    "delay p50",
    "delay p99",
    "packets",
    "loss",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let input = Media {
            frames: 250,
            bytes: 355_049,
            sha256: "ab".into(),
        };
        let received = Received {
            media: input.clone(),
            delay_us: Delay {
                p50: 900,
                p99: 12_345,
            },
            packets: 98,
            lost: 2,
        };
        let relay = Relay {
            cpu_us_per_forwarded_packet: 3.5,
            forwarded_packets: 300,
            fast_path: false,
        };
        Outcome {
            input,
            subscribers: vec![Some(received)],
            relay,
        }
    }

    #[test]
    fn json_has_exactly_the_documented_keys() {
        assert_eq!(
            outcome().json(),
            concat!(
                r#"{"ok":true,"input":{"frames":250,"bytes":355049,"sha256":"ab"},"#,
                r#""subscribers":[{"frames":250,"bytes":355049,"sha256":"ab","#,
                r#""delay_us":{"p50":900,"p99":12345}}],"#,
                r#""relay":{"cpu_us_per_forwarded_packet":3.5,"forwarded_packets":300,"#,
                r#""fast_path":false}}"#
            )
        );
    }

    #[test]
    fn table_has_a_row_per_subscriber_and_a_verdict() {
        let text = outcome().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].split_whitespace().next(), Some("subscriber"));
        let cells: Vec<&str> = lines[2]
            .split("  ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        assert_eq!(
            cells,
            [
                "1", "250", "355049", "equal", "0.90 ms", "12.35 ms", "98", "2.0 %"
            ]
        );
        assert_eq!(
            lines[5],
            "ok: 1 of 1 subscribers hold the input bit for bit"
        );
    }

    #[test]
    fn one_wrong_or_failed_subscriber_spoils_the_run() {
        let mut wrong = outcome();
        wrong.subscribers.push(wrong.subscribers[0].clone());
        wrong.subscribers[1].as_mut().unwrap().media.sha256 = "cd".into();
        wrong.subscribers.push(None);
        assert!(!wrong.is_ok() && wrong.json().contains(r#""ok":false"#));
        let text = wrong.to_string();
        assert!(text.contains("DIFFERS") && text.contains("failed"));
        assert!(text.ends_with("NOT OK: 1 of 3 subscribers hold the input bit for bit"));
    }
}
