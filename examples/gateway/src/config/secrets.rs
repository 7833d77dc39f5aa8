//! What is secret: from the environment, or from files that it names.

use std::collections::BTreeSet;
use std::fmt;

use tower_mac_auth::ClientSecret;
use tower_mac_auth::store::{Keyring, SealingKey};

use super::Problems;

/// The secrets, and the URL of the store if that is one.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    pub(crate) client_secret: Option<ClientSecret>,
    pub(crate) seal: Option<Keyring>,
    /// In the place of `--store`, for a URL with a password.
    pub(crate) store: Option<String>,
}

impl Secrets {
    /// Reads them.
    pub(crate) fn from_environment() -> Result<Self, Problems> {
        Self::read(|name| std::env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut secret = |name: &'static str| match one(&variable, name) {
            Ok(text) => text,
            Err(what) => {
                problems.add(name, what);
                None
            }
        };
        let client_secret = secret("MAC_CLIENT_SECRET").map(ClientSecret::new);
        let seal_key = secret("MAC_SEAL_KEY");
        let retired = secret("MAC_SEAL_KEYS_RETIRED");
        let store = secret("MAC_STORE");
        let seal = match (seal_key, retired) {
            (None, None) => None,
            (Some(key), retired) => problems.take(ring(&key, retired.as_deref())),
            (None, Some(_)) => {
                let what = "needs MAC_SEAL_KEY beside it, which is the key that seals";
                problems.add("MAC_SEAL_KEYS_RETIRED", what.to_owned());
                None
            }
        };
        if problems.is_empty() {
            Ok(Self {
                client_secret,
                seal,
                store,
            })
        } else {
            Err(problems)
        }
    }
}

/// One that only some commands ask for.
pub(crate) fn secret(name: &'static str) -> Result<Option<String>, Problems> {
    one(&|name: &str| std::env::var_os(name), name).map_err(|what| Problems::one(name, what))
}

/// The keys, each `ID:KEY`, or the key alone, whose id is 1.
fn ring(current: &str, retired: Option<&str>) -> Result<Keyring, Problems> {
    let parse = |text: &str| {
        let (id, key) = text.split_once(':').unwrap_or(("1", text));
        let key = SealingKey::from_base64(key).map_err(|error| error.to_string())?;
        Ok::<_, String>((id.trim().to_owned(), key))
    };
    let wrong = |what| {
        let what = format!("{what}; make one with: openssl rand -base64 32");
        Problems::one("MAC_SEAL_KEY", what)
    };
    let (id, key) = parse(current).map_err(wrong)?;
    let mut ring = Keyring::new(id, key).map_err(|error| wrong(error.to_string()))?;
    let wrong = |what| Problems::one("MAC_SEAL_KEYS_RETIRED", what);
    let mut ids = BTreeSet::new();
    for text in retired
        .unwrap_or_default()
        .split([',', '\n'])
        .filter(|it| !it.trim().is_empty())
    {
        let how = |what| wrong(format!("{what}; give each key as it stood in MAC_SEAL_KEY"));
        let (id, key) = parse(text).map_err(how)?;
        // What stands in its place may be a key.
        let named = match SealingKey::from_base64(&id) {
            Ok(_) => "a key id".to_owned(),
            Err(_) => format!("key id {id:?}"),
        };
        if id == ring.current_id() {
            return Err(wrong(format!(
                "{named} is that of MAC_SEAL_KEY, too: leave it out here if it is the same key, else give \
                 the new one an id of its own, as in MAC_SEAL_KEY=2:KEY"
            )));
        }
        if !ids.insert(id.clone()) {
            return Err(wrong(format!(
                "{named} stands twice: leave one out, or give each key the id that it has sealed with"
            )));
        }
        let with = ring.with_retired(id, key);
        ring = with.map_err(|error| how(error.to_string()))?;
    }
    Ok(ring)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// One secret: of the variable itself, or of the file that the variable with `_FILE` names.
fn one(
    variable: &impl Fn(&str) -> Option<std::ffi::OsString>,
    name: &'static str,
) -> Result<Option<String>, String> {
    let in_file = format!("{name}_FILE");
    let text = match (variable(name), variable(&in_file)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(format!("is given besides {in_file}: give one of them")),
        (Some(text), None) => text.into_string().map_err(|_| "is not UTF-8".to_owned())?,
        (None, Some(path)) => {
            let mut text = std::fs::read_to_string(&path).map_err(|error| {
                let path = path.to_string_lossy();
                format!("{in_file} names {path}, which cannot be read: {error}")
            })?;
            // Editors and `echo` put one there.
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            text
        }
    };
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Secrets, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).into())
        };
        Secrets::read(variable).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_file_loses_one_newline_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let path = path.to_str().unwrap();
        for (text, secret) in [
            ("canary", "canary"),
            ("canary\n", "canary"),
            ("canary\r\n", "canary"),
            (" canary\n\n", " canary\n"),
        ] {
            std::fs::write(path, text).unwrap();
            let secrets = read(&[("MAC_CLIENT_SECRET_FILE", path)]).unwrap();
            let read = secrets.client_secret.unwrap();
            assert_eq!(read.expose_secret(), secret);
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        for (variables, named) in [
            (
                &[("MAC_CLIENT_SECRET", "")][..],
                "MAC_CLIENT_SECRET: is empty",
            ),
            (
                &[
                    ("MAC_CLIENT_SECRET", "canary"),
                    ("MAC_CLIENT_SECRET_FILE", "/x"),
                ],
                "MAC_CLIENT_SECRET: is given besides MAC_CLIENT_SECRET_FILE",
            ),
            (&[("MAC_SEAL_KEY", "canary")], "openssl rand -base64 32"),
            (
                &[("MAC_SEAL_KEYS_RETIRED", "1:canary")],
                "MAC_SEAL_KEYS_RETIRED: needs MAC_SEAL_KEY",
            ),
            (
                &[("MAC_SEAL_KEY", KEY), ("MAC_SEAL_KEYS_RETIRED", KEY)],
                "MAC_SEAL_KEYS_RETIRED: key id \"1\" is that of MAC_SEAL_KEY, too: leave it out here",
            ),
            (
                &[
                    ("MAC_SEAL_KEY", &format!("3:{KEY}")),
                    ("MAC_SEAL_KEYS_RETIRED", &format!("{KEY},2:{KEY},2:{KEY}")),
                ],
                "MAC_SEAL_KEYS_RETIRED: key id \"2\" stands twice: leave one out",
            ),
            (
                &[
                    ("MAC_SEAL_KEY", KEY),
                    ("MAC_SEAL_KEYS_RETIRED", &format!("{KEY}:{KEY},{KEY}:{KEY}")),
                ],
                "MAC_SEAL_KEYS_RETIRED: a key id stands twice",
            ),
            (
                &[
                    ("MAC_SEAL_KEY", KEY),
                    ("MAC_SEAL_KEYS_RETIRED", &format!(":{KEY}")),
                ],
                "MAC_SEAL_KEYS_RETIRED: keyring: the key id is empty",
            ),
            (
                &[("MAC_SEAL_KEY", KEY), ("MAC_SEAL_KEYS_RETIRED", "2:canary")],
                "is not 32 bytes in base64",
            ),
            (&[("MAC_STORE_FILE", "/does/not/exist")], "/does/not/exist"),
        ] {
            let told = read(variables).unwrap_err();
            assert!(told.contains(named), "{told}");
            assert!(!told.contains("canary") && !told.contains(KEY), "{told}");
            // A new key opens nothing that an old one has sealed.
            let new = told.contains("make one") && told.contains("MAC_SEAL_KEYS_RETIRED");
            assert!(!new, "{told}");
        }
    }

    const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";

    #[test]
    fn a_key_may_have_an_id_and_others_that_open_what_they_sealed() {
        let current = format!("2:{KEY}");
        let retired = format!("{KEY},\n2025-11:{KEY}\n");
        let variables = [
            ("MAC_SEAL_KEY", current.as_str()),
            ("MAC_SEAL_KEYS_RETIRED", retired.as_str()),
        ];
        let ring = read(&variables).unwrap().seal.unwrap();
        assert_eq!(ring.current_id(), "2");
        let ring = read(&[("MAC_SEAL_KEY", KEY)]).unwrap().seal.unwrap();
        assert_eq!(ring.current_id(), "1");
    }

    #[test]
    fn debug_shows_none() {
        let secrets = read(&[("MAC_CLIENT_SECRET", "canary"), ("MAC_STORE", "canary")]).unwrap();
        assert!(!format!("{secrets:?}").contains("canary"));
    }
}
