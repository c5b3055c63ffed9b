//! What a run of the bench found, as it is written to `results.json`. No RFC.
//!
//! Plain data: the orchestrator fills it, the report reads it. A section that nothing was measured for
//! stays empty.

use serde::{Deserialize, Serialize};

/// A message's sequence number and its delay in nanoseconds.
pub type Delay = (u64, u64);

/// Everything that one run measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// Where it ran.
    pub machine: Machine,
    /// How long all of it took.
    pub seconds: f64,
    /// What was not measured, and why not.
    pub left_out: Vec<String>,
    /// One-way delay, one entry for each path, number of subscribers, mode and round.
    pub delay: Vec<DelayRun>,
    /// What a forwarded packet costs at a fixed rate.
    pub cost: Vec<CostRun>,
    /// How much goes through.
    pub saturation: Vec<SaturationRun>,
    /// Memory against idle subscribers.
    pub growth: Vec<GrowthPoint>,
    /// What a forwarded packet costs beside idle connections.
    pub crowd: Vec<CrowdRun>,
    /// System calls by name over a stream.
    pub system_calls: Vec<SystemCalls>,
    /// Delay of the packets behind one that was lost on the way to the relay.
    pub upstream_loss: Vec<UpstreamLoss>,
    /// From a late joiner's first step to its first message.
    pub startup: Vec<Startup>,
    /// What a forwarded packet costs where there are many subscribers; fewer messages the more there are.
    pub scale: Vec<CostRun>,
    /// One-way delay of a film's frames.
    pub film: Vec<FilmRun>,
    /// Where the time goes at the most that goes through.
    pub stacks: Vec<Stacks>,
}

/// The machine that a run was made on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Processors that the run could use.
    pub cpus: usize,
    /// Version of the kernel.
    pub kernel: String,
    /// Name of the processor.
    pub model: String,
    /// Millions of its cycles a second; 0 if it does not say.
    pub mhz: f64,
}

/// One round of the delay test on one path.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DelayRun {
    /// Name of the path.
    pub path: String,
    /// Subscribers that every message went to.
    pub subscribers: u64,
    /// `datagram` or `stream`.
    pub mode: String,
    /// Paths take turns; this is the turn's number.
    pub round: u64,
    /// Until the kernel had it, for the first subscriber.
    pub first: Vec<Delay>,
    /// Until the kernel had it, for the last of all subscribers.
    pub last: Vec<Delay>,
    /// Until the program had it, for the first subscriber.
    pub application: Vec<Delay>,
    /// Messages that did not come, over all subscribers.
    pub lost: u64,
}

/// One round of the cost test on one path; times in microseconds of processor time for each forwarded packet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CostRun {
    /// Name of the path.
    pub path: String,
    /// Subscribers that every packet went to.
    pub subscribers: u64,
    /// `datagram` or `stream`.
    pub mode: String,
    /// Paths take turns; this is the turn's number.
    pub round: u64,
    /// Packets that came out of the relay.
    pub forwarded: u64,
    /// The relay's process, in user mode and in system calls.
    pub process_us: f64,
    /// The relay's interrupt side, without `bpf_us`.
    pub interrupt_us: f64,
    /// BPF programs that run in interrupts.
    pub bpf_us: f64,
    /// All that the relay costs: the sum of the three.
    pub per_packet_us: f64,
    /// System calls of the relay's process, in all.
    pub system_calls: Option<u64>,
    /// Which share of the packets the relay's kernel programs sent, from 0 to 1; only our relay says it.
    #[serde(default)]
    pub share_from_kernel: Option<f64>,
    /// Messages that the source did not send, since it was too late for them.
    #[serde(default)]
    pub skipped: u64,
    /// Messages that did not come, over all subscribers.
    #[serde(default)]
    pub lost: u64,
    /// What the receivers cost.
    pub receivers_us: f64,
    /// What the source costs.
    pub source_us: f64,
}

/// What a forwarded packet costs beside connections that receive nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CrowdRun {
    /// How many those are.
    pub idle: u64,
    /// What it costs.
    pub cost: CostRun,
}

/// One step of a round of the saturation test on one path; each step offers more, the last as much as the
/// source can.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SaturationRun {
    /// Name of the path.
    pub path: String,
    /// Subscribers that every packet went to.
    pub subscribers: u64,
    /// Paths take turns; this is the turn's number.
    pub round: u64,
    /// Packets that should have come out of the relay each second.
    pub offered_per_second: f64,
    /// Packets that came out of the relay each second.
    pub packets_per_second: f64,
    /// The same in bits.
    pub gbit_per_second: f64,
    /// Processor time of the relay for each forwarded packet, in microseconds.
    pub per_packet_us: f64,
    /// Which share of the packets the relay's kernel programs sent, from 0 to 1; only our relay says it.
    #[serde(default)]
    pub share_from_kernel: Option<f64>,
    /// Share of the offered packets that did not come, from 0 to 1.
    pub share_lost: f64,
    /// What the receivers cost for each forwarded packet, in microseconds.
    pub receivers_us: f64,
    /// What the source costs for each forwarded packet, in microseconds.
    pub source_us: f64,
}

/// The relay's memory with so many idle subscribers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct GrowthPoint {
    /// Name of the path.
    pub path: String,
    /// Subscribers that receive nothing.
    pub idle: u64,
    /// Resident memory of the relay's process in KiB.
    pub rss_kib: u64,
}

/// System calls of a relay's process over a stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SystemCalls {
    /// Name of the path.
    pub path: String,
    /// Subscribers that every packet went to.
    pub subscribers: u64,
    /// Packets that came out of the relay meanwhile.
    pub forwarded: u64,
    /// How long it was counted.
    pub seconds: f64,
    /// Of every name.
    pub total: u64,
    /// Of each name.
    pub names: std::collections::BTreeMap<String, u64>,
}

/// Delay of the packets behind a hole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UpstreamLoss {
    /// Name of the path.
    pub path: String,
    /// One-way delays in nanoseconds of the messages that follow a lost packet.
    pub behind_ns: Vec<u64>,
}

/// How fast a late joiner gets its first message.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Startup {
    /// Name of the path.
    pub path: String,
    /// Paths take turns; this is the turn's number.
    #[serde(default)]
    pub round: u64,
    /// From the joiner's first step, the first packet of its handshake, to its first message, in milliseconds.
    pub ms: Vec<f64>,
}

/// One round of a film, whose frames are bursts of messages, on one path.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FilmRun {
    /// Name of the path.
    pub path: String,
    /// Subscribers that every message went to.
    pub subscribers: u64,
    /// Paths take turns; this is the turn's number.
    pub round: u64,
    /// Frames that were sent.
    pub frames: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// Of each frame's last message: until the kernel had it, for the first subscriber.
    pub first: Vec<Delay>,
    /// The same for the last of all subscribers; a frame that somebody did not get whole is missing.
    pub last: Vec<Delay>,
    /// Messages that did not come, over all subscribers.
    pub lost: u64,
}

/// Where the time of a relay and of its interrupts goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stacks {
    /// Name of the path.
    pub path: String,
    /// Subscribers that every packet went to.
    pub subscribers: u64,
    /// Messages a second that were offered.
    pub rate: f64,
    /// How often it was looked; none if there is no program that looks.
    pub samples: u64,
    /// What runs most, by the share of the samples that it itself was running in, from 0 to 1.
    pub top: Vec<(String, f64)>,
    /// Why there is nothing.
    pub missing: Option<String>,
}
