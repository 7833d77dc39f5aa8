//! The Xiaomi Open API.

mod answer;
mod check;
mod token_request;

use std::borrow::Cow;

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;

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

/// Only a `POST` has pairs that are signed.
pub(super) fn is_form(head: &Parts) -> bool {
    let essence = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let form = "application/x-www-form-urlencoded";
    head.method == Method::POST && essence.trim().eq_ignore_ascii_case(form)
}
