//! What came, to whom, and how late. No RFC.

use bench::message::Message;
use serde_json::{Value, json};

/// Messages and their delays since [`Tally::forget`].
#[derive(Debug)]
pub struct Tally {
    /// Which each subscriber has got, a bit for each number above `base`.
    got: Vec<Vec<u64>>,
    base: Option<u64>,
    highest: u64,
    packets: u64,
    messages: u64,
    first: Vec<(u64, u64)>,
    application: Vec<(u64, u64)>,
    /// Of each message: the longest delay, and to how many subscribers it came.
    last: Vec<(u64, usize)>,
}

impl Tally {
    /// Of so many subscribers.
    pub fn new(subscribers: usize) -> Self {
        Self {
            got: vec![Vec::new(); subscribers],
            base: None,
            highest: 0,
            packets: 0,
            messages: 0,
            first: Vec::new(),
            application: Vec::new(),
            last: Vec::new(),
        }
    }

    /// As if nothing had come.
    pub fn forget(&mut self) {
        *self = Self::new(self.got.len());
    }

    /// A packet with something of a message.
    pub fn packet(&mut self) {
        self.packets += 1;
    }

    /// A message has come to a subscriber: the kernel had it `at`, we `now`.
    pub fn message(&mut self, subscriber: usize, message: Message, at: u64, now: u64) {
        let base = *self.base.get_or_insert(message.sequence);
        // One that overtook the first of all.
        let Some(index) = message.sequence.checked_sub(base) else {
            return;
        };
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(got) = self.got.get_mut(subscriber) else {
            return;
        };
        if place > MOST || !set(got, place) {
            return;
        }
        self.messages += 1;
        self.highest = self.highest.max(index);
        let delay = at.saturating_sub(message.sent);
        if subscriber == 0 {
            self.first.push((message.sequence, delay));
            self.application
                .push((message.sequence, now.saturating_sub(message.sent)));
        }
        if self.last.len() <= place {
            self.last.resize(place + 1, (0, 0));
        }
        let last = &mut self.last[place];
        *last = (last.0.max(delay), last.1 + 1);
    }

    /// As an event.
    pub fn report(&self) -> Value {
        let base = self.base.unwrap_or(0);
        let all = self.got.len();
        let complete = (base..).zip(&self.last).filter(|(_, last)| last.1 == all);
        let last: Vec<_> = complete
            .map(|(sequence, last)| (sequence, last.0))
            .collect();
        let expected = self.base.map_or(0, |_| (self.highest + 1) * all as u64);
        json!({
            "event": "received", "packets": self.packets, "messages": self.messages, "expected": expected,
            "first": self.first, "last": last, "application": self.application,
        })
    }
}

/// Sets a bit; whether it was not set before.
fn set(bits: &mut Vec<u64>, place: usize) -> bool {
    let (word, bit) = (place / 64, 1 << (place % 64));
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    let is_new = bits[word] & bit == 0;
    bits[word] |= bit;
    is_new
}

/// No run has more messages.
const MOST: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_all_subscribers_counts_and_repeats_do_not() {
        let mut tally = Tally::new(2);
        let message = |sequence| Message {
            sequence,
            sent: 100,
        };
        tally.message(0, message(5), 107, 109);
        tally.message(0, message(5), 207, 209);
        tally.message(1, message(5), 117, 119);
        tally.message(0, message(7), 101, 102);
        let report = tally.report();
        assert_eq!(
            (&report["messages"], &report["expected"]),
            (&json!(3), &json!(6))
        );
        assert_eq!(report["first"], json!([[5, 7], [7, 1]]));
        assert_eq!(report["last"], json!([[5, 17]]));
        assert_eq!(report["application"][0], json!([5, 9]));
        tally.forget();
        assert_eq!(tally.report()["messages"], 0);
    }
}
