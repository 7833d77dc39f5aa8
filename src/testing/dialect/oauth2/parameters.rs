use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::provider::xiaomi::ErrorCode;
use crate::testing::refused::Refused;

/// The parameters of a request, in order, those that came twice included.
#[derive(Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn of_form(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    /// Of an object of texts; `None` if it is anything else.
    pub(super) fn of_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// One that may be there, but not twice (RFC 6749 §3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(&**value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// One that must be there.
    pub(super) fn wanted(&self, name: &str, detail: &'static str) -> Result<&str, Refused> {
        self.get(name).ok_or((ErrorCode::InvalidRequest, detail))
    }

    /// Whether one came twice that must not (RFC 6749 §3.2; a resource may, RFC 8707 §2).
    pub(super) fn has_twice(&self) -> bool {
        self.0.iter().enumerate().any(|(at, (name, _))| {
            name != "resource" && self.0.iter().skip(at + 1).any(|(other, _)| other == name)
        })
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Parameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Parameters(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}
