//! The promises of the layer and the account, kept against a strict provider.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

mod accounts;
mod adversity;
mod attack;
mod attack_seam;
mod attempts;
mod bad_input;
mod bearer;
mod clock_jumps;
mod conformance;
mod debug;
mod errors;
mod exhaustive;
mod faulty;
#[cfg(unix)]
mod file_access;
#[cfg(unix)]
mod file_store;
mod grpc;
mod hearing;
mod hostile_inner;
mod hostile_token;
mod hostile_wire;
mod http_mac;
mod http_mac_dialect;
#[cfg(unix)]
mod instructions;
#[cfg(unix)]
mod journal;
mod layer;
mod model;
#[cfg(unix)]
mod moving;
mod numbers;
mod outcomes;
mod peers;
mod rate_limit;
mod reqwest;
mod resend;
mod rotation;
mod runtimes;
mod says;
mod secrets;
mod sign_request;
mod sockets;
mod stacks;
mod store_faults;
mod types;
mod unsigned;
mod upgrades;
mod users;
mod verify_layer;
mod waiting;
mod world;
