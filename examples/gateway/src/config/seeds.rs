//! The refresh tokens that accounts begin with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use tower_mac_auth::RefreshToken;
use tower_mac_auth::store::AccountName;

/// By account, a refresh token that was never presented.
#[derive(Debug, Default)]
pub(crate) struct Seeds(pub(crate) BTreeMap<String, RefreshToken>);

impl Seeds {
    /// Reads a file. The error says where in it something is wrong, and shows nothing of what it has.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{shown} cannot be read: {error}"))?;
        serde_json::from_str(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = if error.is_data() {
                "each account, named once, needs a refresh token that is a text and not empty"
            } else {
                "this is not JSON"
            };
            format!(
                "{shown}, line {line}, column {column}: {what}, as in {{\"alice\": \"her refresh token\"}}"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seeds, A::Error> {
                let mut seeds = BTreeMap::new();
                while let Some((name, token)) = map.next_entry::<String, String>()? {
                    AccountName::new(&name).map_err(A::Error::custom)?;
                    // Of two tokens one would be lost.
                    let twice = seeds.contains_key(&name);
                    if twice || token.is_empty() {
                        return Err(A::Error::custom("an account"));
                    }
                    seeds.insert(name, RefreshToken::new(token));
                }
                Ok(Seeds(seeds))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Seeds, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seeds.json");
        std::fs::write(&path, text).unwrap();
        Seeds::read(&path)
    }

    #[test]
    fn an_object_of_texts_is_read() {
        let seeds = read("{\"alice\": \"one\", \"bob\": \"two\"}").unwrap();
        assert_eq!(seeds.0.len(), 2);
        assert_eq!(seeds.0["bob"].expose_secret(), "two");
        assert!(!format!("{seeds:?}").contains("two"));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place_alone() {
        for (text, place) in [
            ("{\n  \"alice\": 4711\n}", "line 2, column 15"),
            ("{\n  \"alice\": \"canary\",\n}", "line 3, column 1"),
            ("[\"canary\"]", "line 1"),
            ("{\"alice\": \"canary\", \"alice\": \"canary\"}", "line 1"),
            ("{\"alice\": \"\"}", "line 1"),
            ("{\"\": \"canary\"}", "line 1"),
            ("{\"alice\": \"canary\"} more", "line 1, column 21"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(place), "{text}: {told}");
            assert!(!told.contains("canary") && !told.contains("4711"), "{told}");
        }
    }
}
