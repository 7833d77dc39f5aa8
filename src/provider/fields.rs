use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::json::strip;
use super::{Ambiguous, AmbiguousKind};
use crate::Extra;

/// No provider issues tokens for longer; a longer life is a sign of a misread answer.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// The fields of a JSON object that a token endpoint answered, as far as they could be read: for
/// [`Provider::token_answer`](super::Provider::token_answer).
///
/// What providers are known to send is read: a byte-order mark, a prefix `&&&START&&&`, white space
/// around names, a number as a string. `null` is as good as nothing. A field that is given twice must
/// have the same value both times. Texts are wiped when dropped, and nothing is printed.
pub struct Fields {
    fields: BTreeMap<Box<str>, Value>,
    whole: bool,
}

#[derive(PartialEq)]
enum Value {
    Text(Zeroizing<String>),
    /// Anything but a text, as it was written.
    Other(Zeroizing<String>),
    Twice,
}

impl Fields {
    /// Reads an answer. Bytes that are no object have no fields.
    pub fn read(body: &[u8]) -> Self {
        let mut fields = Self {
            fields: BTreeMap::new(),
            whole: false,
        };
        let mut json = serde_json::Deserializer::from_slice(strip(body));
        let read = (&mut json)
            .deserialize_map(Reader(&mut fields))
            .and_then(|()| json.end());
        fields.whole = read.is_ok();
        fields
    }

    /// Whether the answer was one whole JSON object. If not, it was damaged or cut short: what came
    /// before that can be read, and is not to be relied on.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether there is such a field, and not `null`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether there is nothing in it: it is left out, or `null`, a blank text, `false`, zero, `[]` or
    /// `{}`. That is how some say of an `error` that there was none.
    pub(super) fn is_blank(&self, name: &str) -> bool {
        match self.get(name) {
            None => true,
            Some(Value::Text(text)) => text.trim().is_empty(),
            Some(Value::Other(json)) => ["false", "0", "[]", "{}"].contains(&json.as_str()),
            Some(Value::Twice) => false,
        }
    }

    /// A text as it was sent; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it is no text, or given twice with different values.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Ambiguous> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Other(_)) => Err(field(format!("{name}: not a string"))),
            Some(Value::Twice) => Err(twice(name)),
        }
    }

    /// A text that must be there, and not be blank.
    ///
    /// # Errors
    ///
    /// If it is not there, empty, no text, or given twice with different values.
    pub fn required(&self, name: &str) -> Result<&str, Ambiguous> {
        match self.text(name)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            Some(_) => Err(field(format!("{name}: empty"))),
            None => Err(field(format!("{name}: missing"))),
        }
    }

    /// A text that is left out, or blank, or cannot be read: all the same.
    pub fn optional(&self, name: &str) -> Option<&str> {
        let text = self.text(name).ok()??;
        (!text.trim().is_empty()).then_some(text)
    }

    /// A whole number, or one in a text.
    ///
    /// # Errors
    ///
    /// If it is neither, negative, past 2⁶⁴, or given twice with different values.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Ambiguous> {
        self.counted(name, "")
    }

    /// `unit` is what an error says was to be counted.
    fn counted(&self, name: &str, unit: &str) -> Result<Option<u64>, Ambiguous> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Twice) => return Err(twice(name)),
            Some(Value::Text(text)) => digits(text),
            Some(Value::Other(json)) => digits(json).or_else(|| whole(json.parse().ok()?)),
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(field(format!("{name}: not a whole, positive number{unit}"))),
        }
    }

    /// A life, in seconds.
    ///
    /// # Errors
    ///
    /// If it is no whole number, zero, more than 100 years, or given twice with different values.
    pub fn seconds(&self, name: &str) -> Result<Option<Duration>, Ambiguous> {
        let Some(seconds) = self.counted(name, " of seconds")? else {
            return Ok(None);
        };
        let life = Duration::from_secs(seconds);
        if life.is_zero() {
            return Err(field(format!("{name}: zero")));
        }
        if life > LONGEST_LIFE {
            return Err(field(format!("{name}: more than 100 years")));
        }
        Ok(Some(life))
    }

    /// The fields of an object in it; `None` if there is no such object.
    pub fn object(&self, name: &str) -> Option<Self> {
        match self.get(name)? {
            Value::Other(json) if json.starts_with('{') => Some(Self::read(json.as_bytes())),
            _ => None,
        }
    }

    /// Everything but these fields, to be kept for the user: texts as they are, the rest as it was
    /// written in JSON.
    pub fn extras(&self, but: &[&str]) -> BTreeMap<String, Extra> {
        let others = self
            .fields
            .iter()
            .filter(|(name, _)| !but.contains(&&***name));
        let kept = others.filter_map(|(name, value)| match value {
            Value::Text(value) | Value::Other(value) => {
                Some((name.to_string(), Extra::new(value.as_str())))
            }
            Value::Twice => None,
        });
        kept.collect()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    fn put(&mut self, name: &str, value: Value) {
        match self.fields.entry(name.into()) {
            Entry::Vacant(new) => {
                new.insert(value);
            }
            Entry::Occupied(known) if *known.get() == value => {}
            Entry::Occupied(mut known) => *known.get_mut() = Value::Twice,
        }
    }
}

impl fmt::Debug for Fields {
    /// Names are the server's, and may be a value that it has misplaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields")
            .field("whole", &self.whole)
            .finish_non_exhaustive()
    }
}

fn field(detail: impl Into<Cow<'static, str>>) -> Ambiguous {
    Ambiguous::new(AmbiguousKind::Field, detail)
}

fn twice(name: &str) -> Ambiguous {
    field(format!("{name}: given twice, with different values"))
}

/// Nothing but digits, with white space around them or not.
fn digits(text: &str) -> Option<u64> {
    let digits = text.trim();
    // `parse` would take a `+`.
    if digits.starts_with('+') {
        return None;
    }
    digits.parse().ok()
}

/// A number that was written as one with a fraction or an exponent: `3.6e5`.
fn whole(number: f64) -> Option<u64> {
    let seconds = Duration::try_from_secs_f64(number).ok()?;
    (seconds.subsec_nanos() == 0).then_some(seconds.as_secs())
}

struct Reader<'a>(&'a mut Fields);

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            // As it is written: a number that does not fit anywhere spoils nothing.
            let json = map.next_value::<&RawValue>()?.get();
            if json == "null" {
                continue;
            }
            let value = if json.starts_with('"') {
                match serde_json::from_str(json) {
                    Ok(text) => Value::Text(Zeroizing::new(text)),
                    Err(_) => Value::Other(Zeroizing::new(json.to_owned())),
                }
            } else {
                Value::Other(Zeroizing::new(json.to_owned()))
            };
            self.0.put(name.trim(), value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why<T: fmt::Debug>(result: Result<T, Ambiguous>) -> String {
        let text = result.unwrap_err().to_string();
        let before = "the token endpoint may have acted on the request: ";
        text.strip_prefix(before).unwrap_or(&text).to_owned()
    }

    #[test]
    fn what_providers_send_is_read() {
        let fields = Fields::read(
            "\u{feff}&&&START&&& {\" a \":\"x\",\"n\":\" 7 \",\"e\":3.6e5,\"z\":null,\"o\":{\"b\":\"y\"},\"big\":1e999}"
                .as_bytes(),
        );
        assert!(fields.is_whole());
        assert_eq!(fields.required("a").unwrap(), "x");
        assert_eq!(fields.number("n").unwrap(), Some(7));
        assert_eq!(
            fields.seconds("e").unwrap(),
            Some(Duration::from_secs(360_000))
        );
        assert!(!fields.has("z"));
        assert_eq!(fields.object("o").unwrap().required("b").unwrap(), "y");
        let extras = fields.extras(&["a", "n", "e"]);
        assert_eq!(extras["o"].expose_secret(), r#"{"b":"y"}"#);
        assert_eq!(extras["big"].expose_secret(), "1e999");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fields = Fields::read(
            br#"{"t":1,"e":" ","s":"-1","big":18446744073709551616,"zero":0,"long":9999999999,"d":"x","d":"y","same":1,"same":1}"#,
        );
        assert_eq!(why(fields.text("t")), "t: not a string");
        assert_eq!(why(fields.required("e")), "e: empty");
        assert_eq!(why(fields.required("no")), "no: missing");
        let odd = "not a whole, positive number";
        assert_eq!(why(fields.seconds("s")), format!("s: {odd} of seconds"));
        assert_eq!(why(fields.number("big")), format!("big: {odd}"));
        assert_eq!(why(fields.seconds("zero")), "zero: zero");
        assert_eq!(why(fields.seconds("long")), "long: more than 100 years");
        assert_eq!(
            why(fields.text("d")),
            "d: given twice, with different values"
        );
        assert_eq!(fields.number("same").unwrap(), Some(1));
    }

    #[test]
    fn what_is_cut_short_shows_what_came_before() {
        let fields = Fields::read(br#"{"refresh_token":"R","access"#);
        assert!(!fields.is_whole());
        assert_eq!(fields.optional("refresh_token"), Some("R"));
        assert!(!Fields::read(b"[1]").is_whole());
    }
}
