//! Keeping what was sent out of what comes back.

use std::error::Error;
use std::fmt::Write as _;

use http::HeaderValue;
use percent_encoding::utf8_percent_encode;
use zeroize::Zeroizing;

use crate::provider::{Outcome, Presented, STRICT};
use crate::{ClientSecret, CodeVerifier};

/// The secrets of one request, to be kept out of what comes back.
pub(super) struct Sent<'a>([&'a str; 4]);

impl<'a> Sent<'a> {
    /// Of a request that presents this, with this `Authorization`.
    pub(super) fn new(
        client_secret: Option<&'a ClientSecret>,
        presented: Presented<'a>,
        authorization: Option<&'a HeaderValue>,
    ) -> Self {
        let secret = client_secret.map(ClientSecret::expose_secret);
        let verifier = match presented {
            Presented::AuthorizationCode(code) => code.verifier(),
            Presented::RefreshToken { .. } => None,
        };
        let verifier = verifier.map(CodeVerifier::expose_secret);
        // The client's secret once more, in base64.
        let authorization = authorization.and_then(|value| value.to_str().ok());
        let basic = authorization.and_then(|value| value.strip_prefix("Basic "));
        let presented = Some(presented.expose_secret());
        Self([secret, presented, verifier, basic].map(Option::unwrap_or_default))
    }

    /// So many characters in a row that are also in a secret give it away, even if the rest of it
    /// was cut off.
    const TELLING: usize = 8;

    /// Whether `text` repeats a telling part of a secret, as it is or percent-encoded.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.0.iter().any(|secret| {
            let mut encoded = Zeroizing::new(String::with_capacity(3 * secret.len()));
            encoded.extend(utf8_percent_encode(secret, STRICT));
            [secret.as_bytes(), encoded.as_bytes()]
                .into_iter()
                .filter(|secret| !secret.is_empty())
                .any(|secret| {
                    let width = secret.len().min(Self::TELLING);
                    secret.windows(width).any(|part| {
                        text.windows(width)
                            .any(|place| place.eq_ignore_ascii_case(part))
                    })
                })
        })
    }

    /// Whether an error, or one under it, shows a telling part of a secret: the errors of a
    /// transport may quote the URL.
    pub(super) fn is_in_error(&self, error: &(dyn Error + 'static)) -> bool {
        let mut text = Zeroizing::new(String::new());
        let mut next = Some(error);
        while let Some(error) = next {
            // Writing to a string fails only if the error's own code does.
            if write!(text, "{error} {error:?} ").is_err() {
                return true;
            }
            next = error.source();
        }
        self.is_in(&text)
    }
}

/// Takes out what repeats the request, since outcomes go to logs: servers quote what they
/// refuse, and the errors of a transport may quote the URL.
pub(super) fn redact(outcome: &mut Outcome, sent: &Sent<'_>) {
    let source = match outcome {
        Outcome::Tokens(_) | Outcome::RateLimited(_) => return,
        Outcome::Refused(refusal) => {
            if refusal.description().is_some_and(|text| sent.is_in(text)) {
                refusal.redact_description();
            }
            if sent.is_in(refusal.code()) {
                refusal.redact_code();
            }
            return;
        }
        Outcome::Unsent(unsent) => unsent.source_mut(),
        Outcome::Ambiguous(ambiguous) => ambiguous.source_mut(),
    };
    if source
        .as_deref()
        .is_some_and(|source| sent.is_in_error(source))
    {
        *source = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuthorizationCode;

    #[test]
    fn a_secret_is_found_whole_in_part_and_encoded() {
        let sent = Sent(["s3cr&t+secret/value", "", "", ""]);
        for text in [
            "it was s3cr&t+secret/value",
            "T+SECRET/ was cut",
            "url?client_secret=s3cr%26t%2Bsec",
        ] {
            assert!(sent.is_in(text), "{text}");
        }
        assert!(!sent.is_in("refresh token wrong"));
        assert!(!sent.is_in(""));
        assert!(Sent(["abc", "", "", ""]).is_in("xabcx"));
    }

    #[test]
    fn every_secret_of_a_request_is_looked_for() {
        let secret = ClientSecret::new("client-secret");
        let code = AuthorizationCode::new("the-code").with_verifier("the-verifier");
        let basic = HeaderValue::from_static("Basic aWQ6Y2xpZW50LXNlY3JldA==");
        let sent = Sent::new(Some(&secret), (&code).into(), Some(&basic));
        for text in [
            "client-secret",
            "the-code",
            "the-verifier",
            "aWQ6Y2xpZW50LXNlY3JldA==",
        ] {
            assert!(sent.is_in(&format!("wrong: {text}")), "{text}");
        }
        assert!(!sent.is_in("Basic authentication is needed"));
    }
}
