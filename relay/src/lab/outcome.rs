//! What a run of the lab has shown: one object for programs, one table for people.
//!
//! No RFC. `ok` means that every subscriber holds the input bit for bit.

use std::fmt;

use serde::Serialize;

use crate::report::{Delay, Media, Received};
use crate::terminal::{bytes, columns};

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was sent.
    pub(crate) input: Media,
    /// What each subscriber got.
    pub(crate) subscribers: Vec<Subscriber>,
    /// What the relay did.
    pub(crate) relay: Relay,
    /// What the relay says of its path through the kernel.
    pub(crate) fast_path: String,
}

/// A subscriber, seen from both ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscriber {
    /// What it got; `None` when it failed.
    pub(crate) received: Option<Received>,
    /// Packets with media that the kernel sent to it.
    pub(crate) packets_from_kernel: u64,
    /// Packets with media that the relay's userspace sent to it.
    pub(crate) packets_from_userspace: u64,
}

/// The relay's part of the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Relay {
    /// CPU time of the relay process and of its kernel programs while media flowed, per forwarded packet.
    pub(crate) cpu_us_per_forwarded_packet: f64,
    /// System calls of the relay's event loop while media flowed, per forwarded packet.
    pub(crate) syscalls_per_forwarded_packet: f64,
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
    packets_from_kernel: u64,
    packets_from_userspace: u64,
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
            .filter(|subscriber| self.is_equal(subscriber))
            .count()
    }

    /// The result as one JSON object. A subscriber that failed has no frames.
    pub(crate) fn json(&self) -> String {
        let subscribers = self.subscribers.iter().map(|subscriber| {
            let received = subscriber.received.clone().unwrap_or_default();
            JsonSubscriber {
                media: received.media,
                delay_us: received.delay_us,
                packets_from_kernel: subscriber.packets_from_kernel,
                packets_from_userspace: subscriber.packets_from_userspace,
            }
        });
        let json = Json {
            ok: self.is_ok(),
            input: &self.input,
            subscribers: subscribers.collect(),
            relay: self.relay,
        };
        serde_json::to_string(&json).expect("plain fields always become JSON")
    }

    fn is_equal(&self, subscriber: &Subscriber) -> bool {
        let received = subscriber.received.as_ref();
        received.is_some_and(|received| received.media == self.input)
    }

    fn row(&self, number: usize, subscriber: &Subscriber) -> [String; COLUMNS.len()] {
        let number = (number + 1).to_string();
        let Some(received) = &subscriber.received else {
            let mut row = [const { String::new() }; COLUMNS.len()];
            (row[0], row[3]) = (number, "failed".into());
            return row;
        };
        let Received {
            media,
            delay_us,
            packets,
            lost,
            ..
        } = received;
        let equal = if self.is_equal(subscriber) {
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
            subscriber.packets_from_kernel.to_string(),
            subscriber.packets_from_userspace.to_string(),
        ]
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Media {
            frames,
            bytes: size,
            sha256,
        } = &self.input;
        let size_text = bytes(*size);
        writeln!(
            f,
            "input: {frames} frames, {size} bytes ({size_text}), sha256 {sha256}"
        )?;
        let rows = self.subscribers.iter().enumerate();
        let rows: Vec<_> = rows.map(|(i, s)| self.row(i, s)).collect();
        write!(f, "{}", columns(&COLUMNS, &rows, &[]))?;
        writeln!(f, "{LOSS_NOTE}")?;
        writeln!(f, "{}", self.fast_path)?;
        let from_kernel = self.subscribers.iter().map(|s| s.packets_from_kernel).sum();
        writeln!(f, "{}", self.relay.line(from_kernel))?;
        let (intact, all) = (self.intact(), self.subscribers.len());
        let verdict = if self.is_ok() { "ok" } else { "NOT OK" };
        write!(
            f,
            "{verdict}: {intact} of {all} subscribers hold the input bit for bit"
        )
    }
}

impl Relay {
    fn line(&self, from_kernel: u64) -> String {
        let packets = self.forwarded_packets;
        let share = from_kernel as f64 * 100.0 / packets.max(1) as f64;
        let place = match self.fast_path {
            true => format!("{share:.1} % of them in the kernel"),
            false => "all in userspace".into(),
        };
        format!(
            "relay: {packets} packets forwarded, {place}; {:.2} us CPU and {:.2} system calls each",
            self.cpu_us_per_forwarded_packet, self.syscalls_per_forwarded_packet
        )
    }
}

fn milliseconds(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}

/// RFC 9000 §21.4: a sender skips numbers to catch a peer that acknowledges what it never got.
const LOSS_NOTE: &str =
    "loss: packet numbers that never came; about 1 in 300 is left out on purpose";

const COLUMNS: [&str; 10] = [
    "subscriber",
    "frames",
    "bytes",
    "sha256",
    "delay p50",
    "delay p99",
    "packets",
    "loss",
    "from kernel",
    "from userspace",
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
            port: 40_000,
        };
        let subscriber = Subscriber {
            received: Some(received),
            packets_from_kernel: 90,
            packets_from_userspace: 8,
        };
        let relay = Relay {
            cpu_us_per_forwarded_packet: 3.5,
            syscalls_per_forwarded_packet: 0.25,
            forwarded_packets: 98,
            fast_path: true,
        };
        Outcome {
            input,
            subscribers: vec![subscriber],
            relay,
            fast_path: "fast path: on, TCX on to-pub".into(),
        }
    }

    #[test]
    fn json_has_exactly_the_documented_keys() {
        assert_eq!(
            outcome().json(),
            concat!(
                r#"{"ok":true,"input":{"frames":250,"bytes":355049,"sha256":"ab"},"#,
                r#""subscribers":[{"frames":250,"bytes":355049,"sha256":"ab","#,
                r#""delay_us":{"p50":900,"p99":12345},"#,
                r#""packets_from_kernel":90,"packets_from_userspace":8}],"#,
                r#""relay":{"cpu_us_per_forwarded_packet":3.5,"#,
                r#""syscalls_per_forwarded_packet":0.25,"forwarded_packets":98,"#,
                r#""fast_path":true}}"#
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
                "1", "250", "355049", "equal", "0.90 ms", "12.35 ms", "98", "2.0 %", "90", "8"
            ]
        );
        assert_eq!(lines[4], "fast path: on, TCX on to-pub");
        assert_eq!(
            lines[5],
            "relay: 98 packets forwarded, 91.8 % of them in the kernel; \
             3.50 us CPU and 0.25 system calls each"
        );
        assert_eq!(
            lines[6],
            "ok: 1 of 1 subscribers hold the input bit for bit"
        );
    }

    #[test]
    fn one_wrong_or_failed_subscriber_spoils_the_run() {
        let mut wrong = outcome();
        wrong.subscribers.push(wrong.subscribers[0].clone());
        let received = wrong.subscribers[1].received.as_mut().unwrap();
        received.media.sha256 = "cd".into();
        wrong.subscribers.push(Subscriber::default());
        assert!(!wrong.is_ok() && wrong.json().contains(r#""ok":false"#));
        let text = wrong.to_string();
        assert!(text.contains("DIFFERS") && text.contains("failed"));
        assert!(text.ends_with("NOT OK: 1 of 3 subscribers hold the input bit for bit"));
    }
}
