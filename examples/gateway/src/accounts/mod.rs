//! Looks after the accounts in a store.

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {}

pub(crate) async fn run(command: Command) -> ExitCode {
    match command {}
}
