//! Which seeds a test runs with. No RFC.
//!
//! `SEED=17 cargo test NAME` repeats one run, `SEEDS=500 cargo test NAME` looks for new failures.

use std::env;

/// Runs `test` with the seeds 1 to `count`, or with those that the environment asks for. A failure
/// names its seed: every [`crate::Pair`] prints it when it is dropped by a panic.
pub fn for_each_seed(count: u64, test: impl Fn(u64)) {
    match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => test(seed),
        (None, more) => (1..=more.unwrap_or(count)).for_each(test),
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value}: not a number")),
    )
}
