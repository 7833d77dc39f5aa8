//! The file with the flags' names.

use std::path::Path;

use super::{Flags, Problems};

impl Flags {
    /// Adds what the file that `--config` names says, where the flags say nothing.
    pub(crate) fn with_file(self) -> Result<Self, Problems> {
        let Some(path) = &self.config else {
            return Ok(self);
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            let path = path.display();
            Problems::one("--config", format!("{path} cannot be read: {error}"))
        })?;
        let file = parse(path, &text)?;
        Ok(self.over(file))
    }
}

/// The error names the place and the key, and quotes no value: somebody may have put a secret there.
fn parse(path: &Path, text: &str) -> Result<Flags, Problems> {
    toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        let path = path.display();
        let message = error.message();
        let what = if let Some(known) = known(message) {
            format!("there is no such setting; there are {known}")
        } else if message.starts_with("duplicate") {
            "it was given before: give it once".to_owned()
        } else {
            "not TOML, or not a value that its key takes".to_owned()
        };
        let key = key_at(text, line);
        Problems::one(
            "--config",
            format!("{path}, line {line}, column {column}: {key}{what}"),
        )
    })
}

/// Line and column, from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count());
    (line, column + 1)
}

/// The settings that there are, if the error is about one that there is not.
fn known(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("unknown field ")?;
    // From the end: before it is whatever somebody wrote.
    Some(rest.rsplit_once(", expected one of ")?.1)
}

/// The key on this line, with a colon, if there is one that looks like the name of a setting: what stands
/// there may also be a secret, base64 with its `=` for one.
fn key_at(text: &str, line: usize) -> String {
    const LONGEST: usize = 24;
    let line = text.lines().nth(line - 1).unwrap_or_default();
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    let is_key = |byte: u8| byte.is_ascii_lowercase() || b"-_".contains(&byte);
    if !(1..=LONGEST).contains(&key.len()) || !key.bytes().all(is_key) {
        return String::new();
    }
    format!("{key}: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let problems = parse(Path::new("gateway.toml"), text).unwrap_err();
        problems.to_string()
    }

    #[test]
    fn the_file_has_the_flags_names() {
        let flags = parse(
            Path::new("gateway.toml"),
            "listen = \"[::]:80\"\nprovider = \"http-mac\"\nadmin-host = [\"ops\"]\nallow-http = true\nmax-body = 7\ndraft = \"00\"\n",
        )
        .unwrap();
        assert_eq!(flags.listen.as_deref(), Some("[::]:80"));
        assert_eq!(flags.admin_host, ["ops"]);
        assert!(flags.allow_http);
        assert_eq!(flags.max_body, Some(7));
    }

    #[test]
    fn an_unknown_key_is_named_and_its_value_is_not_shown() {
        let told = wrong("listen = \"a\"\nclient-secret = \"canary\"\n");
        assert!(told.contains("client-secret"), "{told}");
        assert!(told.contains("line 2, column 1"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }

    #[test]
    fn a_wrong_value_is_not_shown() {
        for text in ["allow-http = \"canary\"", "store = canary", "listen = 4711"] {
            let told = wrong(text);
            assert!(told.contains("line 1"), "{told}");
            assert!(!told.contains("canary") && !told.contains("4711"), "{told}");
        }
        assert!(wrong("allow-http = \"canary\"").contains("allow-http"));
    }

    #[test]
    fn a_key_given_twice_is_named() {
        let told = wrong("via = \"a\"\nlisten = \"a\"\nvia = \"b\"\n");
        assert!(told.contains("line 3") && told.contains("via"), "{told}");
        assert!(told.contains("given before"), "{told}");
    }

    #[test]
    fn what_may_be_a_secret_in_the_place_of_a_key_is_not_shown() {
        for text in [
            "\"CANARY key\" = 1",
            "'CANARY' = 1",
            "\"canary\" = 1",
            "CANARY = 1",
            "CANARY=",
            "Q0FOQVJZ0CANARY=",
            "canary1.listen = 1",
            "\"CANARY\" = 1\n\"CANARY\" = 2",
            "[CANARY]\na = 1",
            "\"a`, expected CANARY\" = 1",
        ] {
            let told = wrong(text);
            assert!(!told.to_lowercase().contains("canary"), "{text}: {told}");
            assert!(told.contains("line "), "{text}: {told}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let file = Flags {
            listen: Some("file".to_owned()),
            via: Some("file".to_owned()),
            account_header: Some("x-account".to_owned()),
            ..Flags::default()
        };
        let flags = Flags {
            listen: Some("flag".to_owned()),
            account: Some("one".to_owned()),
            ..Flags::default()
        };
        let both = flags.over(file);
        assert_eq!(both.listen.as_deref(), Some("flag"));
        assert_eq!(both.via.as_deref(), Some("file"));
        assert_eq!(both.account.as_deref(), Some("one"));
        assert_eq!(both.account_header, None);
    }
}
