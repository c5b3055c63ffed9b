//! The options of `serve`, completed from its configuration file. No RFC.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use quic_relay::options::ServeOptions;

use crate::error::{Failure, Kind, Result};

/// `quic-relay serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) options: ServeOptions,
    /// Read these options from a TOML file (`bind = "[::]:4443"`); the command line wins.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl Serve {
    /// The options of the command line, completed from the configuration file.
    pub(crate) fn resolve(self) -> Result<ServeOptions> {
        let Some(path) = self.config else {
            return Ok(self.options);
        };
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::new(
                Kind::File,
                format!("cannot read {}: {error}", path.display()),
            )
        })?;
        let wrong = |what| Failure::new(Kind::Usage, format!("{}{what}", path.display()));
        let file = ServeOptions::from_toml(&text).map_err(|error| {
            wrong(format!(", {error}")).advise("the keys are the long options of `serve`")
        })?;
        let options = self.options.over(file);
        let checked = options.check();
        checked.map_err(|what| wrong(format!(": {what}")))?;
        Ok(options)
    }
}
