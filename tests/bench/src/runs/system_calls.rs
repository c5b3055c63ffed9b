//! Which system calls a relay makes, and how many: counted from outside, by perf(1). No RFC.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{MANY, Session};
use crate::interruption::pause;
use crate::network::Place;
use crate::plan::Mode;
use crate::process::{Failure, Process};
use crate::results::SystemCalls;

/// Over a stream of a datagram each millisecond.
pub(super) fn run(session: &mut Session<'_>, seconds: f64) -> Result<SystemCalls, Failure> {
    let mut source = session.source(Mode::Datagram, "1000")?;
    let relay = session.relay.as_ref().ok_or("this path has no relay")?;
    let mut command = Place::Relay.command("perf");
    command
        .args(["stat", "-x", ",", "-e", "syscalls:sys_enter_*", "-p"])
        .arg(relay.process.id().to_string());
    let mut perf = Process::start("perf", &mut command, session.folder())?;
    // It says nothing when it begins.
    pause(BEGINNING)?;
    let stretch = session.stretch(&mut source, seconds)?;
    perf.signal(Signal::SIGINT);
    if !perf.wait(ENDING) {
        return Err("perf does not end".into());
    }
    let names = counts(&perf.said());
    if names.is_empty() {
        let said = perf.said();
        let said = said.lines().next().unwrap_or("nothing");
        return Err(format!("perf counted nothing and said: {said}").into());
    }
    Ok(SystemCalls {
        path: session.path.name().into(),
        subscribers: MANY as u64,
        forwarded: stretch.received.packets,
        seconds: stretch.seconds,
        total: names.values().sum(),
        names,
    })
}

/// Of `perf stat -x,`: those that were made.
fn counts(said: &str) -> BTreeMap<String, u64> {
    let count = |line: &str| {
        let mut fields = line.split(',');
        let count = fields.next()?.parse().ok().filter(|&count| count > 0)?;
        let name = fields.nth(1)?.strip_prefix("syscalls:sys_enter_")?;
        Some((name.to_owned(), count))
    };
    said.lines().filter_map(count).collect()
}

/// For perf to attach its hundreds of counters.
const BEGINNING: Duration = Duration::from_millis(1500);
/// For perf to print them.
const ENDING: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_perf_are_read() {
        let said = "12,,syscalls:sys_enter_epoll_wait,9,100.00,,\n\
                    0,,syscalls:sys_enter_read,9,100.00,,\n\
                    <not counted>,,syscalls:sys_enter_futex,0,100.00,,\n";
        assert_eq!(counts(said), BTreeMap::from([("epoll_wait".into(), 12)]));
    }
}
