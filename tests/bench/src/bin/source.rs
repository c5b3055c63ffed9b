//! `bench-source`: one publisher of the raw protocol, of MOQT, or of plain UDP, that says in each message when it was sent. No RFC.
//!
//! Where it did not get the processor in time it sends no burst afterwards: messages that are overdue are skipped and
//! counted. A burst would measure the queues, not the path.

#[path = "../source/outlet.rs"]
mod outlet;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bench::clock::monotonic;
use bench::film::Film;
use bench::message::Message;
use bench::orders::Orders;
use clap::{Parser, ValueEnum};
use outlet::Outlet;
use serde_json::json;

/// Sends messages to a relay, or to an address.
#[derive(Debug, Parser)]
struct Options {
    /// Where to.
    to: SocketAddr,
    /// What carries a message.
    #[arg(long, value_enum, default_value = "datagram")]
    mode: Mode,
    /// Its bytes.
    #[arg(long, default_value_t = 1200)]
    size: usize,
    /// As bursts, like the frames of this IVF file at twenty times its bit rate.
    #[arg(long, value_name = "FILE", conflicts_with = "rate")]
    film: Option<PathBuf>,
    /// Messages a second; `max`: as many as the relay takes.
    #[arg(long, default_value = "1000", value_parser = rate)]
    rate: Rate,
    /// Without QUIC.
    #[arg(long)]
    udp: bool,
    /// By MOQT.
    #[arg(long, conflicts_with = "udp")]
    moqt: bool,
}

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A DATAGRAM frame.
    Datagram,
    /// A stream of its own.
    Stream,
}

/// Time between two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate(Option<Duration>);

fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "max" => Ok(Rate(None)),
        _ => match text.parse::<f64>() {
            Ok(rate @ 0.01..=1e7) => Ok(Rate(Some(Duration::from_secs_f64(1.0 / rate)))),
            _ => Err("a number of messages a second, or max".into()),
        },
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    // Alarms to the microsecond: the default lets them come 50 us late.
    nix::sys::prctl::set_timerslack(1)?;
    let mut source = Source::begin(options)?;
    println!("{}", json!({ "event": "ready" }));
    while !source.orders.has_ended() {
        for order in source.orders.read() {
            let words = order.split(' ').collect::<Vec<_>>();
            let (seconds, rate) = match words[..] {
                ["go", seconds] => (seconds, source.options.rate),
                ["go", seconds, word] => (seconds, rate(word)?),
                _ => return Err("the only order is go SECONDS [RATE]".into()),
            };
            source.go(Duration::try_from_secs_f64(seconds.parse()?)?, rate)?;
        }
        source.outlet.rest(&source.orders)?;
    }
    source.outlet.leave()
}

struct Source {
    options: Options,
    film: Option<Film>,
    orders: Orders,
    outlet: Outlet,
    sequence: u64,
}

impl Source {
    fn begin(options: Options) -> Result<Self, Box<dyn Error>> {
        let orders = Orders::new()?;
        let film = options.film.as_ref().map(|path| {
            let film = Film::parse(&std::fs::read(path)?, TIMES, options.size);
            film.ok_or_else(|| format!("{} is not an IVF file", path.display()).into())
        });
        let film = film.transpose().map_err(|error: Box<dyn Error>| error)?;
        let datagram = (options.mode == Mode::Datagram).then_some(options.size);
        let outlet = match options.udp {
            true => Outlet::udp(options.to)?,
            false => Outlet::quic(options.to, options.moqt, datagram, &orders)?,
        };
        Ok(Self {
            options,
            film,
            orders,
            outlet,
            sequence: 0,
        })
    }

    /// Sends for so long, and says what it sent.
    fn go(&mut self, duration: Duration, rate: Rate) -> Result<(), Box<dyn Error>> {
        let (begin, first) = (monotonic(), self.sequence);
        let end = begin + nanos(duration);
        let mut last_of_frames = None;
        let (refused, skipped) = match (self.film.clone(), rate.0) {
            (Some(film), _) => {
                last_of_frames = Some(self.show(&film, end)?);
                (0, 0)
            }
            (None, Some(step)) => self.pace(nanos(step), end)?,
            (None, None) => self.fill(end)?,
        };
        let seconds = (monotonic() - begin) as f64 / 1e9;
        let messages = self.sequence - first;
        println!(
            "{}",
            json!({ "event": "sent", "messages": messages, "refused": refused, "skipped": skipped, "seconds": seconds,
                "last_of_frames": last_of_frames })
        );
        Ok(())
    }

    /// A message each `step` ns; how many were not taken, and how many were not sent since it was too late.
    fn pace(&mut self, step: u64, end: u64) -> Result<(u64, u64), Box<dyn Error>> {
        let (mut due, mut refused, mut skipped) = (monotonic(), 0, 0);
        loop {
            let now = monotonic();
            if now >= end {
                return Ok((refused, skipped));
            }
            if now < due {
                self.outlet.wait(&self.orders, due.min(end))?;
                continue;
            }
            let overdue = overdue(due, now, step);
            skipped += overdue;
            due += (overdue + 1) * step;
            refused += u64::from(!self.send()?);
        }
    }

    /// Frame after frame, each at its time; the number of each frame's last message.
    fn show(&mut self, film: &Film, end: u64) -> Result<Vec<u64>, Box<dyn Error>> {
        let (begin, mut last_of_frames) = (monotonic(), Vec::new());
        for number in 0.. {
            let (at, messages) = film.frame(number);
            let due = begin + at;
            while monotonic() < due.min(end) {
                self.outlet.wait(&self.orders, due.min(end))?;
            }
            if !self.burst(messages, end)? {
                break;
            }
            last_of_frames.push(self.sequence - 1);
        }
        Ok(last_of_frames)
    }

    /// So many messages at once; whether there was time for them. Each says when it left, not when it was queued.
    fn burst(&mut self, messages: usize, end: u64) -> Result<bool, Box<dyn Error>> {
        for _ in 0..messages {
            while !self.outlet.is_empty() && monotonic() < end {
                self.outlet.wait(&self.orders, monotonic() + 1_000_000)?;
            }
            if monotonic() >= end {
                return Ok(false);
            }
            self.send()?;
        }
        Ok(true)
    }

    /// As many messages as are taken.
    fn fill(&mut self, end: u64) -> Result<(u64, u64), Box<dyn Error>> {
        while monotonic() < end {
            while monotonic() < end && self.outlet.has_room(self.options.mode) && self.send()? {}
            self.outlet.wait(&self.orders, monotonic() + 1_000_000)?;
        }
        Ok((0, 0))
    }

    /// One message; whether it was taken.
    fn send(&mut self) -> Result<bool, Box<dyn Error>> {
        let message = Message {
            sequence: self.sequence,
            sent: monotonic(),
        };
        let bytes = message.encode(self.options.size);
        let is_taken = self.outlet.send(self.sequence, &bytes, self.options.mode)?;
        self.sequence += u64::from(is_taken);
        Ok(is_taken)
    }
}

/// So much higher than the film's is the bit rate of its bursts.
const TIMES: usize = 20;

/// Of messages that are due each `step` from `due` on: how many are followed by another that is due as well.
fn overdue(due: u64, now: u64, step: u64) -> u64 {
    now.saturating_sub(due) / step.max(1)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_stall_one_message_is_sent_and_not_all_of_them() {
        assert_eq!(overdue(1000, 1000, 10), 0);
        assert_eq!(overdue(1000, 1009, 10), 0);
        assert_eq!(overdue(1000, 1010, 10), 1);
        assert_eq!(overdue(1000, 1305, 10), 30);
        assert_eq!(overdue(1000, 990, 10), 0);
    }
}
