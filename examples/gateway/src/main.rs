//! `mac-gateway`: signs what comes in, and rotates the tokens it signs with.

mod accounts;
mod admin;
mod browsers;
mod config;
mod proxy;
mod serve;
mod standing;
mod store;
mod trouble;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Signs what comes in with the tokens of its accounts, and passes it on to an API.
///
/// Without any argument it shows itself: with a provider of its own, on this machine.
#[derive(Debug, Parser)]
#[command(name = "mac-gateway", version)]
struct Program {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: config::Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks after the accounts in a store, while no gateway need run.
    #[command(subcommand)]
    Accounts(accounts::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    match program.command {
        Some(Command::Accounts(command)) => accounts::run(command).await,
        None => serve::run(program.serve).await,
    }
}
