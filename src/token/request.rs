use std::error::Error;
use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderValue, USER_AGENT};
use http::{Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// Everything but the unreserved characters of RFC 3986 §2.3 is encoded: the one form that no
/// server can read in two ways (`+`, for one, is a space to some).
const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The `GET` for the endpoint at `url`, in origin form.
///
/// The bytes of the URI are wiped when its last clone is dropped. `None` if they are too many for
/// a URI.
pub(super) fn request(
    url: &Uri,
    host: &HeaderValue,
    parameters: &[(&str, &str)],
) -> Option<Request<()>> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    // Enough for the worst case: growing would leave an unwiped copy behind.
    let longest = parameters
        .iter()
        .map(|(name, value)| name.len() + 3 * value.len() + 2)
        .sum::<usize>();
    let mut target = Zeroizing::new(String::with_capacity(path.len() + longest));
    target.push_str(path);
    let mut separator = if url.query().is_some() { '&' } else { '?' };
    for (name, value) in parameters {
        target.push(separator);
        target.push_str(name);
        target.push('=');
        target.extend(utf8_percent_encode(value, STRICT));
        separator = '&';
    }
    let uri = Uri::from_maybe_shared(Bytes::from_owner(target)).ok()?;
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(HOST, host.clone());
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // Without it a server may compress as it likes (RFC 9110 §12.5.3).
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("tower-mac-auth/", env!("CARGO_PKG_VERSION"))),
    );
    Some(request)
}

/// The secrets of one request, to be kept out of what comes back.
pub(super) struct Sent<'a>(pub(super) [&'a str; 2]);

impl Sent<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, parameters: &[(&str, &str)]) -> String {
        let url = url.parse().unwrap();
        request(&url, &HeaderValue::from_static("h"), parameters)
            .unwrap()
            .uri()
            .to_string()
    }

    #[test]
    fn only_unreserved_characters_stay_bare() {
        let bare = "AZaz09-._~";
        assert_eq!(
            target("https://h/t", &[("a", bare)]),
            format!("/t?a={bare}")
        );
        assert_eq!(
            target("https://h/t", &[("a", "&+% /=?#é\n*'()!"), ("b", "")]),
            "/t?a=%26%2B%25%20%2F%3D%3F%23%C3%A9%0A%2A%27%28%29%21&b="
        );
    }

    #[test]
    fn a_query_of_the_url_is_kept() {
        assert_eq!(target("https://h/t?x=1", &[("a", "b")]), "/t?x=1&a=b");
        assert_eq!(target("https://h", &[("a", "b")]), "/?a=b");
    }

    #[test]
    fn a_value_too_long_for_a_url_gives_no_request() {
        let url = "https://h/t".parse().unwrap();
        let long = "a".repeat(70_000);
        assert!(request(&url, &HeaderValue::from_static("h"), &[("a", &long)]).is_none());
    }

    #[test]
    fn a_secret_is_found_whole_in_part_and_encoded() {
        let sent = Sent(["s3cr&t+secret/value", ""]);
        for text in [
            "it was s3cr&t+secret/value",
            "T+SECRET/ was cut",
            "url?client_secret=s3cr%26t%2Bsec",
        ] {
            assert!(sent.is_in(text), "{text}");
        }
        assert!(!sent.is_in("refresh token wrong"));
        assert!(!sent.is_in(""));
        assert!(Sent(["abc", ""]).is_in("xabcx"));
    }
}
