use std::fmt;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

/// What to change in a request so that it is signed: some headers, and perhaps its path and query.
///
/// `Authorization` has a place of its own, because nearly every signature is that header alone: others
/// take an allocation.
#[derive(Clone, Default)]
#[must_use]
pub struct Signed {
    authorization: Option<HeaderValue>,
    others: Vec<(HeaderName, HeaderValue)>,
    path_and_query: Option<PathAndQuery>,
}

impl Signed {
    /// Nothing is to be changed.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this value of `Authorization`. It is marked sensitive.
    #[inline]
    pub fn with_authorization(mut self, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.authorization = Some(value);
        self
    }

    /// With this header, in place of whatever the caller has put there. It is marked sensitive.
    pub fn with_header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        if name == AUTHORIZATION {
            return self.with_authorization(value);
        }
        value.set_sensitive(true);
        self.others.push((name, value));
        self
    }

    /// With this path and query, which must be sent in place of the old ones, or the signature does
    /// not hold.
    #[inline]
    pub fn with_path_and_query(mut self, path_and_query: impl Into<Option<PathAndQuery>>) -> Self {
        self.path_and_query = path_and_query.into();
        self
    }

    /// The value of `Authorization`, if it is to be set.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The other headers to be set.
    pub fn other_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.others
    }

    /// The new path and query, if it is not the old one that is sent.
    pub fn path_and_query(&self) -> Option<&PathAndQuery> {
        self.path_and_query.as_ref()
    }

    /// All of it, to be put into a request: the value of `Authorization`, the other headers, and the
    /// new path and query.
    #[inline]
    pub fn into_parts(
        self,
    ) -> (
        Option<HeaderValue>,
        Vec<(HeaderName, HeaderValue)>,
        Option<PathAndQuery>,
    ) {
        (self.authorization, self.others, self.path_and_query)
    }
}

impl fmt::Debug for Signed {
    /// The headers and the query may have the access token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path_and_query.as_ref().map(PathAndQuery::path);
        f.debug_struct("Signed")
            .field("path", &path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_signs_is_sensitive_and_not_printed() {
        let canary = || HeaderValue::from_static("MAC access_token=\"CANARY\"");
        let signed = Signed::new()
            .with_header(AUTHORIZATION, canary())
            .with_header(HeaderName::from_static("x-token"), canary())
            .with_path_and_query(PathAndQuery::from_static("/me?token=CANARY"));
        assert!(signed.authorization().unwrap().is_sensitive());
        assert!(signed.other_headers()[0].1.is_sensitive());
        let shown = format!("{signed:?} {:?}", signed.other_headers());
        assert!(
            shown.contains("/me") && !shown.contains("CANARY"),
            "{shown}"
        );
    }
}
