//! What the API answers when it does not accept a request.

use std::fmt;
use std::sync::LazyLock;

use http::StatusCode;
use memchr::memmem::Finder;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::ErrorCode;
use crate::provider::json::strip;
use crate::provider::{Head, Refusal};

/// What the head of a response says, and what the rest can.
#[inline]
pub(super) fn read_head(status: StatusCode) -> Head {
    Head::Read {
        otherwise: bare(status),
    }
}

/// What the body says.
#[inline]
pub(super) fn read_body(status: StatusCode, body: &[u8]) -> Option<Refusal> {
    let bare = bare(status);
    // A 401 is read in any case: an unknown code says that it is not about the token.
    if bare.is_none() && (body.starts_with(OK) || BEGINNING.find(body).is_none()) {
        return None;
    }
    read(bare, body)
}

/// How an answer begins that is no refusal, as the API writes it: no more of it is looked at.
const OK: &[u8] = br#"{"result":"ok","code":0,"#;

/// What the JSON says; `bare` if it says nothing.
#[cold]
fn read(bare: Option<Refusal>, body: &[u8]) -> Option<Refusal> {
    if bare.is_none() && !names_a_code(body) {
        return None;
    }
    let Some(code) = Codes::read(body).and_then(Codes::code) else {
        return bare;
    };
    ErrorCode::from_code(u32::try_from(code).ok()?).refusal()
}

#[inline]
fn bare(status: StatusCode) -> Option<Refusal> {
    (status == StatusCode::UNAUTHORIZED).then_some(Refusal::TokenRejected)
}

/// How 96008 and 96012 begin, the codes that are about the credential.
/// Whether it is anywhere in a body is the cheap question, which most answers end with.
static BEGINNING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"960"));

/// Whether the digits of one of them are anywhere in `body`: the second question, before the JSON
/// is parsed.
fn names_a_code(body: &[u8]) -> bool {
    BEGINNING
        .find_iter(body)
        .any(|at| matches!(body.get(at..at + 5), Some(b"96008" | b"96012")))
}

/// The codes at the top level of an answer, where they are numbers.
#[derive(Default)]
struct Codes {
    code: Option<i64>,
    error: Option<i64>,
}

impl Codes {
    /// `None` if it is not a JSON object.
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(strip(body)).ok()
    }

    fn code(self) -> Option<i64> {
        self.code.or(self.error)
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Codes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Codes, A::Error> {
                let mut codes = Codes::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        Key::Code => codes.code = map.next_value::<Code>()?.0,
                        Key::Error => codes.error = map.next_value::<Code>()?.0,
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(codes)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

enum Key {
    Code,
    Error,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(match name.trim() {
                    "code" => Key::Code,
                    "error" => Key::Error,
                    _ => Key::Other,
                })
            }
        }

        deserializer.deserialize_identifier(Name)
    }
}

/// A number, or a string that holds one; anything else is no code.
struct Code(Option<i64>);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Code;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_i64<E>(self, code: i64) -> Result<Code, E> {
                Ok(Code(Some(code)))
            }

            fn visit_u64<E>(self, code: u64) -> Result<Code, E> {
                // One that does not fit is a code all the same, only none we know.
                Ok(Code(Some(i64::try_from(code).unwrap_or(i64::MAX))))
            }

            fn visit_str<E>(self, code: &str) -> Result<Code, E> {
                Ok(Code(code.trim().parse().ok()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Code, E> {
                Ok(Code(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Code, E> {
                Ok(Code(None))
            }

            fn visit_unit<E>(self) -> Result<Code, E> {
                Ok(Code(None))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Code, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Code(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Code, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Code(None))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Refusal::{SignatureRejected, TokenRejected};

    fn read(status: u16, body: impl AsRef<[u8]>) -> Option<Refusal> {
        let status = StatusCode::from_u16(status).unwrap();
        read_body(status, body.as_ref())
    }

    #[test]
    fn the_status_does_not_matter() {
        for status in [200, 400, 401, 403, 500] {
            let body = r#"{"result":"error","description":"…","code":96008}"#;
            assert_eq!(read(status, body), Some(TokenRejected), "{status}");
            let body = r#"{"result":"error","description":"…","code":96012}"#;
            assert_eq!(read(status, body), Some(SignatureRejected), "{status}");
        }
    }

    #[test]
    fn every_spelling_of_a_refusal_is_read() {
        for body in [
            r#"{"code":96008}"#,
            r#"{"code":"96008"}"#,
            r#"{"code":" 96008 "}"#,
            r#"{"code ":96008}"#,
            r#"{" code":"96008"}"#,
            r#"{"error":96008,"error_description":"…"}"#,
            r#"{"error":"96008"}"#,
            r#" {"data":{"code":0,"a":[1,{"code":1}]},"code":96008} "#,
            "&&&START&&&{\"code\":96008}",
            "&&&START&&& \r\n{\"code\":96008}\n",
            "\u{feff}{\"code\":96008}",
            "\u{feff}\n&&&START&&&{\"code\":96008}",
            "\n \u{feff} &&&START&&&\u{feff}\n{\"code\":96008}",
            "&&&START&&&\u{feff}{\"code\":96008}",
        ] {
            assert_eq!(read(200, body), Some(TokenRejected), "{body}");
        }
    }

    #[test]
    fn only_the_code_at_the_top_refuses() {
        for body in [
            r#"{"result":"ok","code":0,"data":{"code":96008}}"#,
            r#"{"code":0,"description":"96008"}"#,
            r#"{"96008":1}"#,
            r#"{"error":{"code":96008}}"#,
            r#"{"code":[96008]}"#,
            r#"{"code":196008}"#,
            r#"{"code":960081}"#,
            r#"[{"code":96008}]"#,
            r#""96008""#,
            "96008",
            r#"{"code":96008"#,
            r#"{"code":96008}{"code":0}"#,
            "<html>96008</html>",
            "",
        ] {
            assert_eq!(read(200, body), None, "{body}");
        }
    }

    #[test]
    fn another_code_is_no_refusal_of_the_credential_even_as_a_401() {
        for body in [
            r#"{"code":96013}"#,
            r#"{"code":"96001"}"#,
            r#"{"error":96009}"#,
            r#"{"code":0}"#,
            r#"{"code":-1}"#,
            r#"{"code":18446744073709551615}"#,
        ] {
            assert_eq!(read(401, body), None, "{body}");
            assert_eq!(read(200, body), None, "{body}");
        }
    }

    #[test]
    fn a_401_that_names_no_code_rejects_the_token() {
        for body in [
            "",
            "Unauthorized",
            "<html></html>",
            "{",
            "{}",
            r#"{"message":"no"}"#,
            r#"{"error":"invalid_token"}"#,
            r#"{"code":null}"#,
            r#"{"code":true,"error":1.5}"#,
            "[]",
        ] {
            assert_eq!(read(401, body), Some(TokenRejected), "{body}");
        }
    }

    #[test]
    fn a_success_costs_no_allocation() {
        let long = format!(
            r#"{{"result":"ok","code":0,"data":"{}"}}"#,
            "9 96 960 ".repeat(200)
        );
        // The search is made ready on first use.
        read(200, "{}");
        let counted = allocation_counter::measure(|| {
            assert_eq!(read(200, &long), None);
        });
        assert_eq!(counted.count_total, 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(status in 200_u16..600, body: Vec<u8>) {
            read(status, &body);
            read(status, [b"{\"code\":96008".as_slice(), &body].concat());
        }
    }
}
