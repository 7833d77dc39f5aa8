//! RFC 6749.

mod answer_rules;
mod check;
mod client;
mod client_authentication;
mod subject;
mod token_request;

pub use client::OAuth2;
pub use client_authentication::ClientAuthentication;
