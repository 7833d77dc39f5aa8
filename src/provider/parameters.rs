use bytes::Bytes;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serializer as _;
use zeroize::Zeroizing;

use crate::sign::SignError;

/// Everything but the unreserved characters of RFC 3986 §2.3 is encoded: the one form that no
/// server can read in two ways (`+`, for one, is a space to some).
pub(crate) const STRICT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The parameters of a request to a token endpoint, or of a page that users are sent to. What they
/// become is wiped when its last clone is dropped.
#[derive(Default)]
pub(super) struct Parameters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parameters<'a> {
    pub(super) fn push(&mut self, name: &'a str, value: &'a str) {
        self.0.push((name, value));
    }

    pub(super) fn push_some(&mut self, name: &'a str, value: Option<&'a str>) {
        self.0.extend(value.map(|value| (name, value)));
    }

    /// The path and query of `url`, which is checked already, with these parameters after its own.
    ///
    /// # Errors
    ///
    /// If they are too long for a URI.
    pub(super) fn target(&self, url: &str) -> Result<Uri, SignError> {
        let url: Uri = url
            .parse()
            .map_err(|_| SignError::malformed("url", "is not a URL"))?;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let target = self.after(path, url.query().is_some());
        Uri::from_maybe_shared(Bytes::from_owner(target))
            .map_err(|_| SignError::too_long("url", "would be too long"))
    }

    /// `url` with these parameters after its own: there are no secrets among them.
    pub(super) fn url(&self, url: &str) -> String {
        self.after(url, url.contains('?')).to_string()
    }

    /// The body of a form.
    pub(super) fn form(&self) -> Bytes {
        Bytes::from_owner(self.encoded(""))
    }

    /// The body of an object, each value a text.
    ///
    /// # Errors
    ///
    /// None: texts can be written to memory.
    pub(super) fn json(&self) -> Result<Bytes, SignError> {
        // Enough for the worst case, as below: an escape has six bytes.
        let most = |(name, value): &(&str, &str)| 6 * (name.len() + value.len()) + 6;
        let longest = self.0.iter().map(most).sum::<usize>();
        let mut text = Zeroizing::new(Vec::with_capacity(longest + 2));
        let mut json = serde_json::Serializer::new(&mut *text);
        json.collect_map(self.0.iter().copied())
            .map_err(|_| SignError::malformed("parameters", "cannot be written as JSON"))?;
        Ok(Bytes::from_owner(text))
    }

    /// Whether there is one of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    fn after(&self, url: &str, has_query: bool) -> Zeroizing<String> {
        let mut before = Zeroizing::new(String::with_capacity(url.len() + 1));
        before.push_str(url);
        before.push(if has_query { '&' } else { '?' });
        self.encoded(&before)
    }

    fn encoded(&self, before: &str) -> Zeroizing<String> {
        // Enough for the worst case: growing would leave an unwiped copy behind.
        let most = |(name, value): &(&str, &str)| 3 * (name.len() + value.len()) + 2;
        let longest = self.0.iter().map(most).sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(before.len() + longest));
        text.push_str(before);
        for (at, (name, value)) in self.0.iter().enumerate() {
            if at > 0 {
                text.push('&');
            }
            text.extend(utf8_percent_encode(name, STRICT));
            text.push('=');
            text.extend(utf8_percent_encode(value, STRICT));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, parameters: &[(&str, &str)]) -> String {
        let mut all = Parameters::default();
        for (name, value) in parameters {
            all.push(name, value);
        }
        all.target(url).unwrap().to_string()
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
        let long = "a".repeat(70_000);
        let mut all = Parameters::default();
        all.push("a", &long);
        let error = all.target("https://h/t").unwrap_err();
        assert_eq!(error.to_string(), "url: would be too long");
    }
}
