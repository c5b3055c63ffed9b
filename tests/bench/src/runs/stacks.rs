//! Where the time of a relay goes at nearly the most that goes through: perf(1) looks at its threads, and at those of the
//! kernel that take in its packets, many times a second. No RFC.
//!
//! The stacks are written in the folded form that flame graphs are drawn from: `outer;inner count`, a line each. Functions of
//! the kernel have all their callers; those of a program compiled without frame pointers have few.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Session;
use crate::interruption::pause;
use crate::network::{prefer, threads};
use crate::plan::Mode;
use crate::process::{Failure, Process};
use crate::results::Stacks;

/// At most of `rate`, which this path was found to take. Without perf it says so.
pub(super) fn run(
    session: &mut Session<'_>,
    rate: Option<f64>,
    seconds: f64,
) -> Result<Stacks, Failure> {
    let rate = (rate.unwrap_or(DEFAULT_RATE) * 0.9).floor();
    let mut found = Stacks {
        path: session.path(),
        subscribers: session.job.subscribers as u64,
        rate,
        ..Stacks::default()
    };
    match look(session, rate, seconds) {
        Ok(stacks) => {
            let folder = session.stage.output.join("stacks");
            fs::create_dir_all(&folder)?;
            let lines = stacks
                .iter()
                .map(|(stack, count)| format!("{stack} {count}\n"));
            let file = folder.join(format!("{}.folded", found.path));
            fs::write(file, lines.collect::<String>())?;
            found.samples = stacks.values().sum();
            found.top = top(&stacks);
        }
        Err(reason) => found.missing = Some(reason.to_string()),
    }
    Ok(found)
}

/// Each stack with how often it was seen.
fn look(
    session: &mut Session<'_>,
    rate: f64,
    seconds: f64,
) -> Result<BTreeMap<String, u64>, Failure> {
    let mut source = session.source(Mode::Datagram, &rate.to_string())?;
    let _booked = session.stage.network.book_interrupts();
    prefer(&source.id().to_string());
    let file = session.folder().join("perf.data");
    let mut command = Command::new("perf");
    command.args(["record", "-e", "cpu-clock", "-F", "1999", "-g", "-o"]);
    command.arg(&file).args(["-t", &ids(session)?.join(",")]);
    let mut perf = Process::start("perf", &mut command, session.folder())?;
    // It says nothing when it begins.
    pause(BEGINNING)?;
    session.stretch(&mut source, seconds)?;
    perf.signal(Signal::SIGINT);
    if !perf.wait(ENDING) {
        return Err("perf does not end".into());
    }
    let script = Command::new("perf")
        .args(["script", "--no-inline", "-F", "comm,tid,ip,sym", "-i"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()?;
    let stacks = fold(&String::from_utf8_lossy(&script.stdout));
    if stacks.is_empty() {
        let said = perf.said();
        let said = said.lines().next().unwrap_or("nothing");
        return Err(format!("perf saw nothing and said: {said}").into());
    }
    Ok(stacks)
}

/// The threads of the relay, and those that take in what comes to it.
fn ids(session: &Session<'_>) -> Result<Vec<String>, Failure> {
    let relay = session.relay.as_ref().ok_or("this path has no relay")?;
    let tasks = fs::read_dir(format!("/proc/{}/task", relay.process.id()))?;
    let tasks = tasks.filter_map(|task| task.ok()?.file_name().into_string().ok());
    let taking = threads().into_iter();
    let taking = taking.filter(|thread| thread.device.starts_with("to-"));
    Ok(tasks.chain(taking.map(|thread| thread.id)).collect())
}

/// Of `perf script`: paragraphs of a thread's name and its stack, the innermost function first.
fn fold(script: &str) -> BTreeMap<String, u64> {
    let mut stacks = BTreeMap::new();
    for sample in script.split("\n\n") {
        let mut lines = sample.lines().filter(|line| !line.trim().is_empty());
        let Some(thread) = lines.next().and_then(|line| line.split_whitespace().next()) else {
            continue;
        };
        let mut stack = lines.map(function).collect::<Vec<_>>();
        stack.push(name(thread).to_owned());
        stack.reverse();
        if stack.len() > 1 {
            *stacks.entry(stack.join(";")).or_default() += 1;
        }
    }
    stacks
}

/// A thread's name; those of the kernel's that take in packets end in a number.
fn name(thread: &str) -> &str {
    match thread.rsplit_once('-') {
        Some((name, _)) if name.starts_with("napi/") => name,
        _ => thread,
    }
}

/// `  ffffffff8162f809 kmem_cache_free`: the name, without what separates stacks.
fn function(line: &str) -> String {
    let name = line
        .trim()
        .split_once(' ')
        .map_or("[unknown]", |(_, name)| name);
    name.trim().replace(';', ":")
}

/// The innermost functions that were seen most.
fn top(stacks: &BTreeMap<String, u64>) -> Vec<(String, f64)> {
    let mut own = BTreeMap::<&str, u64>::new();
    for (stack, count) in stacks {
        let innermost = stack.rsplit(';').next().unwrap_or(stack);
        *own.entry(innermost).or_default() += count;
    }
    let all = own.values().sum::<u64>().max(1) as f64;
    let mut top = own.into_iter().collect::<Vec<_>>();
    top.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let share = |(name, count): (&str, u64)| (name.to_owned(), count as f64 / all);
    top.into_iter().take(TOP).map(share).collect()
}

/// So many functions of each path.
const TOP: usize = 12;
/// Messages a second where nothing is known of what goes through.
const DEFAULT_RATE: f64 = 1000.0;
/// For perf to begin.
const BEGINNING: Duration = Duration::from_millis(700);
/// For perf to write down what it saw.
const ENDING: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "napi/to-pub-8193   77 \n\
        \tffffffff8162f809 kmem_cache_free\n\
        \tffffffff816bb031 napi_poll\n\n\
        napi/to-pub-8193   77 \n\
        \tffffffff8162f8ff kmem_cache_free\n\
        \tffffffff816bb039 napi_poll\n\n\
        quic-relay  2966 \n\
        \t           14645 <a as b>::seal\n\
        \t               0 [unknown]\n\n\
        quic-relay  2966 \n\n";

    #[test]
    fn stacks_are_folded_from_the_outside_in() {
        let stacks = fold(SCRIPT);
        assert_eq!(
            stacks,
            BTreeMap::from([
                ("napi/to-pub;napi_poll;kmem_cache_free".into(), 2),
                ("quic-relay;[unknown];<a as b>::seal".into(), 1),
            ])
        );
    }

    #[test]
    fn what_runs_itself_counts_and_not_who_called_it() {
        let top = top(&fold(SCRIPT));
        let names = top.iter().map(|(name, _)| name.as_str());
        assert!(names.eq(["kmem_cache_free", "<a as b>::seal"]));
        assert_eq!(top[0].1, 2.0 / 3.0);
    }
}
