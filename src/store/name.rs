use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;

/// Names an account in a store: one grant of one user to one client.
///
/// 1 to 512 bytes of text without control characters. Slashes, dots and
/// non-ASCII text are fine: a store that makes file names or keys of it encodes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(CompactString);

impl AccountName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 512;

    /// Checks and takes the name.
    ///
    /// # Errors
    ///
    /// If the name is empty, longer than [`AccountName::MAX_LEN`], or has control characters.
    pub fn new(name: &str) -> Result<Self, AccountNameError> {
        if name.is_empty() {
            Err(AccountNameError("is empty"))
        } else if name.len() > Self::MAX_LEN {
            Err(AccountNameError("is longer than 512 bytes"))
        } else if name.chars().any(char::is_control) {
            Err(AccountNameError("has a control character"))
        } else {
            Ok(Self(CompactString::new(name)))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<&str> for AccountName {
    type Error = AccountNameError;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl TryFrom<String> for AccountName {
    type Error = AccountNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl AsRef<str> for AccountName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A map by names finds one by its text.
impl Borrow<str> for AccountName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text cannot name an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountNameError(&'static str);

impl fmt::Display for AccountNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account name: {}", self.0)
    }
}

impl std::error::Error for AccountNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_account_name_is_taken_and_a_bad_one_named() {
        for name in ["user-42", "a/b", "../..", "小米", " "] {
            assert_eq!(AccountName::new(name).unwrap().as_str(), name);
        }
        for (name, why) in [
            ("", "empty"),
            ("a\nb", "control"),
            (&"x".repeat(4096), "512 bytes"),
        ] {
            let error = name.parse::<AccountName>().unwrap_err().to_string();
            assert!(
                error.starts_with("account name: ") && error.contains(why),
                "{error}"
            );
        }
    }
}
