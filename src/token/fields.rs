use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// The fields of an answer that matter, as far as they could be read.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) access_token: Value,
    pub(super) mac_key: Value,
    pub(super) mac_algorithm: Value,
    pub(super) token_type: Value,
    pub(super) refresh_token: Value,
    pub(super) expires_in: Value,
    pub(super) scope: Value,
    /// Spelt `openId`.
    pub(super) open_id: Value,
    /// Spelt `openid`.
    pub(super) openid: Value,
    pub(super) error: Value,
    pub(super) error_description: Value,
}

/// What a field holds. `null` is [`Value::Missing`].
#[derive(Default, PartialEq)]
pub(super) enum Value {
    #[default]
    Missing,
    Text(Zeroizing<String>),
    /// A number that is whole and not negative.
    Integer(u64),
    /// Of a type that no field has.
    Other,
    /// Given twice, with different values.
    Twice,
}

impl Value {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_given(&self) -> bool {
        *self != Self::Missing
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn put(&mut self, value: Self) {
        if !self.is_given() {
            *self = value;
        } else if value.is_given() && *self != value {
            *self = Self::Twice;
        }
    }
}

impl Fields {
    /// Reads a JSON object. The flag says whether `json` is one, whole, and nothing else; if not,
    /// the fields before the fault are there all the same, since a refresh token may be among
    /// them. What serde has to say about the fault is dropped: it quotes its input.
    pub(super) fn read(json: &[u8]) -> (Self, bool) {
        let mut fields = Self::default();
        let mut json = serde_json::Deserializer::from_slice(json);
        let whole = (&mut json)
            .deserialize_map(FieldsVisitor(&mut fields))
            .and_then(|()| json.end())
            .is_ok();
        (fields, whole)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Value> {
        Some(match name {
            "access_token" => &mut self.access_token,
            "mac_key" => &mut self.mac_key,
            "mac_algorithm" => &mut self.mac_algorithm,
            "token_type" => &mut self.token_type,
            "refresh_token" => &mut self.refresh_token,
            "scope" => &mut self.scope,
            "openId" => &mut self.open_id,
            "openid" => &mut self.openid,
            "error_description" => &mut self.error_description,
            _ => return None,
        })
    }

    /// The fields that may be numbers. They hold no secret, and are read as a JSON value because
    /// that alone knows a number when another crate has turned on `arbitrary_precision`.
    fn number_slot(&mut self, name: &str) -> Option<&mut Value> {
        match name {
            "expires_in" => Some(&mut self.expires_in),
            "error" => Some(&mut self.error),
            _ => None,
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Missing,
            serde_json::Value::String(text) => Self::Text(Zeroizing::new(text)),
            serde_json::Value::Number(number) => number
                .as_u64()
                .or_else(|| whole(number.as_f64()?))
                .map_or(Self::Other, Self::Integer),
            _ => Self::Other,
        }
    }
}

/// `3.6e5` and `360000.0` are whole numbers too.
fn whole(number: f64) -> Option<u64> {
    let seconds = Duration::try_from_secs_f64(number).ok()?;
    (seconds.subsec_nanos() == 0).then_some(seconds.as_secs())
}

struct FieldsVisitor<'a>(&'a mut Fields);

impl<'de> Visitor<'de> for FieldsVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match self.0.slot(name.trim()) {
                Some(slot) => slot.put(map.next_value()?),
                None => match self.0.number_slot(name.trim()) {
                    Some(slot) => slot.put(map.next_value::<serde_json::Value>()?.into()),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                },
            }
        }
        Ok(())
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Missing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
