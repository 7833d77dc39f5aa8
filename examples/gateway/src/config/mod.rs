//! What the gateway is told: by flags, by a file of the same names, and, if it is secret, by the
//! environment.

mod addresses;
mod client;
mod file;
mod flags;
mod problems;
mod secrets;
mod seeds;
mod settings;
mod store;
mod tenant;
mod upstream;

pub(crate) use self::client::{Client, has_login};
pub(crate) use self::flags::{Flags, LogFormat};
pub(crate) use self::problems::Problems;
pub(crate) use self::secrets::{Secrets, secret};
pub(crate) use self::seeds::Seeds;
pub(crate) use self::settings::Settings;
pub(crate) use self::store::store_location;
pub(crate) use self::upstream::Upstream;
