//! The head of a request, kept should it have to be sent again.

use arrayvec::ArrayVec;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// All of a request but its body.
///
/// The headers are in lists: a map takes two allocations, and they are not looked up.
pub(super) struct RequestHead {
    method: Method,
    uri: Uri,
    version: Version,
    extensions: Extensions,
    headers: ArrayVec<Header, 4>,
    more_headers: Vec<Header>,
}

type Header = (HeaderName, HeaderValue);

impl RequestHead {
    /// All but the headers, which are [kept](Self::keep_headers) once it is where it stays: there is much
    /// room for them to be moved.
    #[inline]
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            extensions: request.extensions().clone(),
            headers: ArrayVec::new(),
            more_headers: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn keep_headers(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            let header = (name.clone(), value.clone());
            if let Err(full) = self.headers.try_push(header) {
                self.keep_one_more(full.element(), headers.len());
            }
        }
    }

    #[cold]
    fn keep_one_more(&mut self, header: Header, count: usize) {
        let more = count.saturating_sub(self.headers.len() + self.more_headers.len());
        self.more_headers.reserve_exact(more);
        self.more_headers.push(header);
    }

    pub(super) fn into_request<T>(self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.extensions_mut() = self.extensions;
        // One more is added to sign it. A name that comes often needs room once, so it may be less.
        let count = self.headers.len() + self.more_headers.len();
        let mut headers = HeaderMap::try_with_capacity(count + 1).unwrap_or_default();
        for (name, value) in self.headers.into_iter().chain(self.more_headers) {
            headers.append(name, value);
        }
        *request.headers_mut() = headers;
        request
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE};

    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was_however_many_headers_it_has() {
        for count in 0..=20 {
            let mut request = Request::put("https://api.example/a?b=c").version(Version::HTTP_2);
            for at in 0..count {
                // Some names come twice, and their values stay in order.
                let name = if at % 3 == 0 { ACCEPT } else { COOKIE };
                let mut value = HeaderValue::try_from(at.to_string()).unwrap();
                value.set_sensitive(at % 2 == 0);
                request = request.header(name, value);
            }
            let request = request.extension(count).body(()).unwrap();
            let mut head = RequestHead::of(&request);
            head.keep_headers(request.headers());
            let copy = head.into_request(());
            assert_eq!(copy.method(), request.method());
            assert_eq!(copy.uri(), request.uri());
            assert_eq!(copy.version(), request.version());
            assert_eq!(copy.extensions().get(), Some(&count));
            assert_eq!(copy.headers(), request.headers());
            let sensitive = |request: &Request<()>| -> Vec<bool> {
                let values = request.headers().values();
                values.map(HeaderValue::is_sensitive).collect()
            };
            assert_eq!(sensitive(&copy), sensitive(&request));
        }
    }
}
