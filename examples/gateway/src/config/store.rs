//! Where tokens are kept.

use super::Problems;
use crate::store::StoreLocation;

/// The store that a flag names, or this variable of the environment, where a password belongs. No error
/// shows it.
pub(crate) fn store_location(
    flag: &'static str,
    variable: &'static str,
    given: Option<&str>,
    secret: Option<&str>,
) -> Result<StoreLocation, Problems> {
    let (named, text) = match (given, secret) {
        (Some(_), Some(_)) => {
            let what = format!("is given besides {variable}: give one of them");
            return Err(Problems::one(flag, what));
        }
        (Some(text), None) => (flag, text),
        (None, Some(text)) => (variable, text),
        (None, None) => {
            let what = format!(
                "is missing: give it as in {flag} file:/var/lib/mac-gateway, or in {variable} if there is a \
                 password in it"
            );
            return Err(Problems::one(flag, what));
        }
    };
    text.parse()
        .map_err(|what: &str| Problems::one(named, what))
}
