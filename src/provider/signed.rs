use std::{fmt, slice, vec};

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, MaxSizeReached};
use http::uri::PathAndQuery;

use crate::sign::{SignError, SignErrorKind};

/// No provider wants more headers of a signature.
const MOST_HEADERS: usize = 4;

/// What to change in a request so that it is signed: some headers, and perhaps its path and query.
#[derive(Clone, Default)]
#[must_use]
pub struct Signed {
    pub(crate) headers: Headers,
    pub(crate) path_and_query: Option<PathAndQuery>,
}

type Header = (HeaderName, HeaderValue);

/// The headers to be set, each of them marked sensitive.
///
/// Nearly always there is one. With room for four in place, all of it would be large to move, and it
/// is moved often.
#[derive(Clone, Default)]
pub(crate) enum Headers {
    #[default]
    None,
    One(Header),
    More(Vec<Header>),
}

impl Headers {
    fn as_slice(&self) -> &[Header] {
        match self {
            Self::None => &[],
            Self::One(header) => slice::from_ref(header),
            Self::More(headers) => headers,
        }
    }

    #[inline]
    fn and(self, (name, mut value): Header) -> Self {
        value.set_sensitive(true);
        match self {
            Self::None => Self::One((name, value)),
            headers => headers.and_more((name, value)),
        }
    }

    #[cold]
    fn and_more(self, header: Header) -> Self {
        let mut headers = match self {
            Self::None => Vec::new(),
            Self::One(first) => vec![first],
            Self::More(headers) => headers,
        };
        headers.push(header);
        Self::More(headers)
    }

    /// Sets them, all or none, in place of whatever the caller, or a client before us, had put there.
    #[inline]
    pub(crate) fn insert_into(self, headers: &mut HeaderMap) -> Result<(), MaxSizeReached> {
        match self {
            Self::None => {}
            Self::One((name, value)) => {
                headers.try_insert(name, value)?;
            }
            Self::More(more) => {
                headers.try_reserve(more.len())?;
                for (name, value) in more {
                    headers.try_insert(name, value)?;
                }
            }
        }
        Ok(())
    }
}

/// The headers of a signature.
struct IntoHeaders {
    one: Option<Header>,
    more: vec::IntoIter<Header>,
}

impl Iterator for IntoHeaders {
    type Item = Header;

    #[inline]
    fn next(&mut self) -> Option<Header> {
        self.one.take().or_else(|| self.more.next())
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = usize::from(self.one.is_some()) + self.more.len();
        (len, Some(len))
    }
}

impl ExactSizeIterator for IntoHeaders {}

impl Signed {
    /// Nothing is to be changed.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this value of `Authorization`.
    #[inline]
    pub fn with_authorization(self, value: HeaderValue) -> Self {
        let headers = self.headers.and((AUTHORIZATION, value));
        Self { headers, ..self }
    }

    /// With this header, in place of whatever the caller has put there.
    ///
    /// # Errors
    ///
    /// If there are four already.
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Result<Self, SignError> {
        if self.headers().len() >= MOST_HEADERS {
            let reason = "there is room for four that sign a request";
            return Err(SignError::new(SignErrorKind::TooLong, "headers", reason));
        }
        let headers = self.headers.and((name, value));
        Ok(Self { headers, ..self })
    }

    /// With this path and query, which must be sent in place of the old ones, or the signature does
    /// not hold.
    #[inline]
    pub fn with_path_and_query(self, path_and_query: impl Into<Option<PathAndQuery>>) -> Self {
        let path_and_query = path_and_query.into();
        Self {
            path_and_query,
            ..self
        }
    }

    /// The headers to be set.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.headers.as_slice()
    }

    /// The value of `Authorization`, if it is to be set.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        let found = self
            .headers()
            .iter()
            .find(|(name, _)| *name == AUTHORIZATION);
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
        let (one, more) = match self.headers {
            Headers::None => (None, Vec::new()),
            Headers::One(header) => (Some(header), Vec::new()),
            Headers::More(headers) => (None, headers),
        };
        let more = more.into_iter();
        (IntoHeaders { one, more }, self.path_and_query)
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
    fn any_number_of_headers_comes_out_in_order() {
        let mut signed = Signed::new();
        for count in 0..=4 {
            let (headers, target) = signed.clone().into_parts();
            assert_eq!((headers.len(), target), (count, None));
            let names: Vec<_> = headers.map(|(name, _)| name.to_string()).collect();
            let expected: Vec<_> = (0..count).map(|at| format!("x-{at}")).collect();
            assert_eq!(names, expected);

            let mut map = HeaderMap::new();
            map.append("x-0", HeaderValue::from_static("theirs"));
            map.append("x-0", HeaderValue::from_static("theirs, too"));
            let kept = usize::from(count == 0) * 2;
            signed.clone().headers.insert_into(&mut map).unwrap();
            assert_eq!(map.len(), count + kept);

            if count < 4 {
                let name = HeaderName::try_from(format!("x-{count}")).unwrap();
                let value = HeaderValue::from_static("v");
                signed = signed.with_header(name, value).unwrap();
            }
        }
        // One that signs is never left out.
        let signed = signed.with_authorization(HeaderValue::from_static("v"));
        assert!(signed.authorization().is_some());
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
