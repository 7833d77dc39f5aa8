//! The gateway itself.

use std::process::ExitCode;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Flags {}

pub(crate) async fn run(flags: Flags) -> ExitCode {
    let Flags {} = flags;
    ExitCode::SUCCESS
}
