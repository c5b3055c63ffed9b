//! Which system calls a relay makes, and how many: counted from outside, by perf(1). No RFC.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Session;
use crate::interruption::pause;
use crate::network::Place;
use crate::plan::Mode;
use crate::process::{Failure, Process};
use crate::results::SystemCalls;

/// Over a stream of a datagram each millisecond.
pub(super) fn run(session: &mut Session<'_>, seconds: f64) -> Result<SystemCalls, Failure> {
    let mut source = session.source(Mode::Datagram, "1000")?;
    let relay = session.relay.as_ref().ok_or("this path has no relay")?;
    let mut command = Place::Relay.command("sh");
    command.args(["-c", COUNT, "sh"]);
    command.arg(relay.process.id().to_string()).args(NAMES);
    let mut perf = Process::start("perf", &mut command, session.folder())?;
    // It says nothing when it begins.
    pause(BEGINNING)?;
    let stretch = session.stretch(&mut source, seconds)?;
    perf.signal(Signal::SIGINT);
    if !perf.wait(ENDING) {
        return Err("perf does not end".into());
    }
    let said = perf.said();
    let mut names = counts(&said);
    let Some(total) = names.remove(ALL) else {
        let said = said.lines().next().unwrap_or("nothing");
        return Err(format!("perf counted nothing and said: {said}").into());
    };
    Ok(SystemCalls {
        path: session.path(),
        subscribers: session.job.subscribers as u64,
        forwarded: stretch.received.packets,
        seconds: stretch.seconds,
        total,
        names,
    })
}

/// Of `perf stat -x,`: those that were made.
fn counts(said: &str) -> BTreeMap<String, u64> {
    let count = |line: &str| {
        let mut fields = line.split(',');
        let count = fields.next()?.parse().ok().filter(|&count| count > 0)?;
        let name = fields.nth(1)?;
        let name = name.strip_prefix("syscalls:sys_enter_").unwrap_or(name);
        Some((name.to_owned(), count))
    };
    said.lines().filter_map(count).collect()
}

/// A process's number and names of system calls; those that this kernel has are counted. `ip netns exec` gives us a file
/// system table of our own, so that nothing stays mounted.
const COUNT: &str = r#"
process=$1; shift
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
events=raw_syscalls:sys_enter
for name; do
    test -d /sys/kernel/tracing/events/syscalls/sys_enter_$name && events=$events,syscalls:sys_enter_$name
done
exec perf stat -x , -e $events -p $process
"#;
/// What all of them are together.
const ALL: &str = "raw_syscalls:sys_enter";
/// Those that relays make. All that there are would take perf many seconds to let go.
const NAMES: [&str; 20] = [
    "bpf",
    "clock_nanosleep",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "futex",
    "getsockopt",
    "ioctl",
    "nanosleep",
    "ppoll",
    "read",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "timerfd_settime",
    "write",
];
/// For perf to attach its counters.
const BEGINNING: Duration = Duration::from_millis(1500);
/// For perf to print them.
const ENDING: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_perf_are_read() {
        let said = "17,,raw_syscalls:sys_enter,9,100.00,,\n\
                    12,,syscalls:sys_enter_epoll_wait,9,100.00,,\n\
                    0,,syscalls:sys_enter_read,9,100.00,,\n\
                    <not counted>,,syscalls:sys_enter_futex,0,100.00,,\n";
        assert_eq!(
            counts(said),
            BTreeMap::from([("epoll_wait".into(), 12), (ALL.into(), 17)])
        );
    }
}
