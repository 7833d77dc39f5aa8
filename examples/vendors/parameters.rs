//! The parameters of a request, by name.

use bytes::Bytes;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_mac_auth::sign::{SignError, SignErrorKind};
use zeroize::Zeroizing;

/// All but what RFC 3986 §2.3 calls unreserved: no server reads that in two ways.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Clone, Default)]
pub(crate) struct Parameters(Vec<(String, Zeroizing<String>)>);

impl Parameters {
    /// Those of a query or a form, decoded, but for these.
    pub(crate) fn read(encoded: &[u8], but: &[&str]) -> Self {
        let all = form_urlencoded::parse(encoded).into_owned();
        let others = all.filter(|(name, _)| !but.contains(&&**name));
        Self(
            others
                .map(|(name, value)| (name, Zeroizing::new(value)))
                .collect(),
        )
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0
            .push((name.to_owned(), Zeroizing::new(value.to_owned())));
        self
    }

    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// `name1value1name2value2…`, by name, to be signed.
    pub(crate) fn joined(&self) -> Zeroizing<String> {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        let parts = sorted
            .iter()
            .flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        Zeroizing::new(parts.collect())
    }

    /// `path?name1=value1&…`, wiped when its last clone is dropped.
    pub(crate) fn target(&self, path: &str) -> Result<Uri, SignError> {
        let text = self.encoded(&format!("{path}?"));
        Uri::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| {
            SignError::new(SignErrorKind::Malformed, "query", "does not fit into a URI")
        })
    }

    /// The body of a form.
    pub(crate) fn form(&self) -> Bytes {
        Bytes::from_owner(self.encoded(""))
    }

    fn encoded(&self, before: &str) -> Zeroizing<String> {
        let longest =
            |(name, value): &(String, Zeroizing<String>)| 3 * (name.len() + value.len()) + 2;
        // Growing would leave an unwiped copy behind.
        let most = before.len() + self.0.iter().map(longest).sum::<usize>();
        let mut text = Zeroizing::new(String::with_capacity(most));
        text.push_str(before);
        for (at, (name, value)) in self.0.iter().enumerate() {
            text.push_str(if at > 0 { "&" } else { "" });
            text.extend(utf8_percent_encode(name, ENCODED));
            text.push('=');
            text.extend(utf8_percent_encode(value, ENCODED));
        }
        text
    }
}
