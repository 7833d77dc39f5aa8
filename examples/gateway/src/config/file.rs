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
        let what = if message.starts_with("unknown field") || message.starts_with("duplicate key") {
            message.to_owned()
        } else {
            let key = key_at(text, line);
            format!("{key} not TOML, or not a value that its key takes")
        };
        Problems::one(
            "--config",
            format!("{path}, line {line}, column {column}: {what}"),
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

/// The key on this line, with a colon, if there is one.
fn key_at(text: &str, line: usize) -> String {
    let line = text.lines().nth(line - 1).unwrap_or_default();
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if key.is_empty() || !key.bytes().all(is_key) {
        return String::new();
    }
    format!("{key}:")
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
