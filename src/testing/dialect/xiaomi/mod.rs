//! The Xiaomi Open API.

mod answer;
mod check;
mod token_request;

use std::borrow::Cow;

pub(super) use self::answer::{api_refusal, token_refusal, tokens};
pub(super) use self::token_request::{asked, presented};

/// The value of a parameter that must be there, and once.
fn once<'a>(query: &'a str, name: &str) -> Result<Cow<'a, str>, ()> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|pair| pair.0 == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(value),
        _ => Err(()),
    }
}
