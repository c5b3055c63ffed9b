//! `quic-relay`: the program. Arguments in, one command run, one line and an exit code out. No RFC.

mod args;
mod client;
mod clock;
mod control;
mod credentials;
mod daemon;
mod delay;
mod error;
mod fast_path;
mod interfaces;
mod interop;
mod interrupt;
mod lab;
mod media;
mod output;
mod publish;
mod qlog;
mod report;
mod source;
mod status;
mod subscribe;
mod tally;
mod terminal;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Command, CommandLine};
use crate::error::Result;

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let level = match command_line.command {
        Command::Serve(_) | Command::InteropServer(_) => "info",
        _ => "warn",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).init();
    match run(command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("quic-relay: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command_line: CommandLine) -> Result<()> {
    if command_line.die_with_parent {
        // Failing means living a little longer than the lab, which kills its children anyway.
        let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM);
    }
    match command_line.command {
        Command::Lab(options) => lab::run(&options),
        Command::Publish(options) => publish::run(options),
        Command::Subscribe(options) => subscribe::run(options),
        Command::Serve(options) => daemon::run(options),
        Command::Token(options) => token::run(&options),
        Command::Status(options) => status::run(&options),
        Command::FastPath(options) => status::switch(&options),
        Command::Cleanup => fast_path::clean_up(),
        Command::InteropClient(options) => interop::run_client(&options),
        Command::InteropServer(options) => interop::run_server(&options),
    }
}
