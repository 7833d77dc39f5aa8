use std::fmt;

use arrayvec::ArrayVec;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

use crate::sign::{SignError, SignErrorKind};

/// No provider wants more headers of a signature.
const MOST_HEADERS: usize = 4;

/// What to change in a request so that it is signed: some headers, and perhaps its path and query.
#[derive(Clone, Default)]
#[must_use]
pub struct Signed {
    headers: ArrayVec<(HeaderName, HeaderValue), MOST_HEADERS>,
    path_and_query: Option<PathAndQuery>,
}

impl Signed {
    /// Nothing is to be changed.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this value of `Authorization`.
    #[inline]
    pub fn with_authorization(mut self, value: HeaderValue) -> Self {
        self.put(AUTHORIZATION, value);
        self
    }

    /// With this header, in place of whatever the caller has put there.
    ///
    /// # Errors
    ///
    /// If there are four already.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Result<Self, SignError> {
        if self.put(name, value) {
            return Ok(self);
        }
        let reason = "there is room for four that sign a request";
        Err(SignError::new(SignErrorKind::TooLong, "headers", reason))
    }

    /// With this path and query, which must be sent in place of the old ones, or the signature does
    /// not hold.
    #[inline]
    pub fn with_path_and_query(mut self, path_and_query: impl Into<Option<PathAndQuery>>) -> Self {
        self.path_and_query = path_and_query.into();
        self
    }

    /// All that is put in is marked sensitive.
    #[inline]
    fn put(&mut self, name: HeaderName, mut value: HeaderValue) -> bool {
        value.set_sensitive(true);
        self.headers.try_push((name, value)).is_ok()
    }

    /// The headers to be set.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The value of `Authorization`, if it is to be set.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        let found = self.headers.iter().find(|(name, _)| *name == AUTHORIZATION);
        found.map(|(_, value)| value)
    }

    /// The new path and query, if it is not the old one that is sent.
    pub fn path_and_query(&self) -> Option<&PathAndQuery> {
        self.path_and_query.as_ref()
    }

    /// All of it, to be put into a request: the headers to be set, and the new path and query, if it
    /// is not the old one that is sent.
    #[inline]
    pub fn into_parts(
        self,
    ) -> (
        impl ExactSizeIterator<Item = (HeaderName, HeaderValue)>,
        Option<PathAndQuery>,
    ) {
        (self.headers.into_iter(), self.path_and_query)
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
        let signed = Signed::new()
            .with_authorization(HeaderValue::from_static("MAC access_token=\"CANARY\""))
            .with_path_and_query(PathAndQuery::from_static("/me?token=CANARY"));
        assert!(
            signed
                .headers()
                .iter()
                .all(|(_, value)| value.is_sensitive())
        );
        let shown = format!("{signed:?} {:?}", signed.headers());
        assert!(
            shown.contains("/me") && !shown.contains("CANARY"),
            "{shown}"
        );
    }

    #[test]
    fn a_fifth_header_is_refused_by_name() {
        let name = |at: usize| HeaderName::try_from(format!("x-{at}")).unwrap();
        let value = HeaderValue::from_static("v");
        let four = (0..4).try_fold(Signed::new(), |signed, at| {
            signed.with_header(name(at), value.clone())
        });
        let error = four.unwrap().with_header(name(4), value).unwrap_err();
        assert!(error.to_string().starts_with("headers: "), "{error}");
    }
}
