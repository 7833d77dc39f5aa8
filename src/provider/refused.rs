use std::error::Error;
use std::fmt;

use super::Meaning;

/// The provider refused, with a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    code: Box<str>,
    name: Option<&'static str>,
    meaning: Meaning,
    description: Option<String>,
}

/// The longest code that is kept, in bytes.
const LONGEST_CODE: usize = 64;
/// The longest description of a refusal that is kept, in characters.
const LONGEST_DESCRIPTION: usize = 200;

impl Refused {
    /// With the provider's code, and what it means. A code that is longer than 64 bytes, or has other
    /// characters than letters, digits, spaces and `-_.:`, is not shown.
    pub fn new(code: &str, meaning: Meaning) -> Self {
        let shown = |byte: u8| byte.is_ascii_alphanumeric() || b" -_.:".contains(&byte);
        let fits = code.len() <= LONGEST_CODE && code.bytes().all(shown);
        let code = if fits { code } else { "[not shown]" };
        Self {
            code: code.into(),
            name: None,
            meaning,
            description: None,
        }
    }

    /// With a short name for a code that says nothing to people.
    #[must_use]
    pub fn with_name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// With what the server wrote about it: cut to 200 characters, without control characters.
    #[must_use]
    pub fn with_description(mut self, description: Option<&str>) -> Self {
        self.description = description.map(describe);
        self
    }

    /// The provider's own code: `96009`, `invalid_grant`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The code, and its name if it has one.
    pub(crate) fn label(&self) -> String {
        match self.name {
            Some(name) => format!("{} {name}", self.code),
            None => self.code.to_string(),
        }
    }

    /// What it asks of the client.
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// What the server wrote about it: at most 200 characters, without control characters.
    ///
    /// From a [`TokenEndpoint`](crate::token::TokenEndpoint) it is `[redacted]` if it repeats a part
    /// of a secret that was sent.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Shows no text of the server's but its code.
    pub(crate) fn redact_description(&mut self) {
        self.description = Some("[redacted]".to_owned());
    }

    /// Shows no text of the server's.
    pub(crate) fn redact_code(&mut self) {
        self.code = "[redacted]".into();
    }
}

/// A server's text, fit for a log: short, one line, nothing that steers a terminal.
fn describe(text: &str) -> String {
    let plain = |c: char| {
        // The bidirectional controls reorder what stands around them.
        let steers =
            c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if steers { ' ' } else { c }
    };
    text.trim()
        .chars()
        .take(LONGEST_DESCRIPTION)
        .map(plain)
        .collect()
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token endpoint refused: {}", self.label())?;
        match &self.description {
            Some(description) => write!(f, " ({description})"),
            None => Ok(()),
        }
    }
}

impl Error for Refused {}
