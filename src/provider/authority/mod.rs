mod error;

use std::net::{Ipv4Addr, Ipv6Addr};

use http::uri::Scheme;
use http::{HeaderValue, Uri};

pub use self::error::{AllowedAuthoritiesError, AuthorityError, AuthorityErrorKind};

/// The hosts a credential may be sent to.
///
/// A request to any other is refused before it is signed. An entry is a host, which allows the
/// scheme's default port, or `host:port`, which allows that port; case does not matter, an IPv6
/// address stands in brackets.
///
/// Only `https` is allowed, except to this machine itself, unless
/// [`allow_plain_http`](Self::allow_plain_http) says otherwise.
///
/// ```
/// use tower_mac_auth::provider::AllowedAuthorities;
///
/// # fn main() -> Result<(), tower_mac_auth::provider::AllowedAuthoritiesError> {
/// let allowed = AllowedAuthorities::new(["open.account.xiaomi.com", "127.0.0.1:8080"])?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedAuthorities {
    entries: Vec<Entry>,
    plain_http: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// As most requests will name it: in lower case.
    authority: Box<str>,
    /// The part of it that is the host.
    host_len: usize,
    port: Option<u16>,
    /// It is this machine itself.
    loopback: bool,
}

impl AllowedAuthorities {
    /// Allows these.
    ///
    /// # Errors
    ///
    /// The first entry that is neither `host` nor `host:port`.
    pub fn new<I>(entries: I) -> Result<Self, AllowedAuthoritiesError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        entries
            .into_iter()
            .try_fold(Self::default(), |all, entry| all.allow(entry.as_ref()))
    }

    /// One host, in lower case and without a port, which a vendor's documents name.
    pub(crate) fn of_host(host: &'static str) -> Self {
        let entry = Entry {
            authority: host.into(),
            host_len: host.len(),
            port: None,
            loopback: false,
        };
        Self {
            entries: vec![entry],
            plain_http: false,
        }
    }

    /// Allows this one too.
    ///
    /// # Errors
    ///
    /// If it is neither `host` nor `host:port`.
    pub fn allow(mut self, entry: &str) -> Result<Self, AllowedAuthoritiesError> {
        let entry = Entry::parse(entry).ok_or_else(|| AllowedAuthoritiesError::new(entry))?;
        self.entries.push(entry);
        Ok(self)
    }

    /// Whether there is no entry.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether to sign requests that go over `http` to another machine. Anyone on the way can
    /// read the access token then.
    #[must_use]
    pub const fn allow_plain_http(mut self, allow: bool) -> Self {
        self.plain_http = allow;
        self
    }

    /// Where the request goes, if it may. What names the host on the wire is the URI or a `Host`
    /// header, by the version that the client speaks in the end, which nobody knows here. So if both
    /// are there they must agree.
    ///
    /// # Errors
    ///
    /// See [`AuthorityErrorKind`].
    #[inline]
    pub(crate) fn check<'h>(
        &self,
        uri: &Uri,
        host_headers: impl IntoIterator<Item = &'h HeaderValue>,
    ) -> Result<Destination<'_>, AuthorityError> {
        let mut host_headers = host_headers.into_iter();
        let host_header = host_headers.next();
        // What nearly every request is: an entry to the letter, so that nothing is to be parsed.
        if let (None, Some(authority)) = (host_header, uri.authority()) {
            let exact = |entry: &&Entry| *entry.authority == *authority.as_str();
            if let Some(entry) = self.entries.iter().find(exact) {
                match uri.scheme_str() {
                    Some("https") => return Ok(entry.destination(443)),
                    Some("http") if self.is_plain_allowed(entry) => {
                        return Ok(entry.destination(80));
                    }
                    _ => {}
                }
            }
        }
        if host_headers.next().is_some() {
            // Nobody knows which one the server will believe.
            return Err(AuthorityError::new(AuthorityErrorKind::HostHeader, ""));
        }
        self.check_parts(uri, host_header)
    }

    fn check_parts(
        &self,
        uri: &Uri,
        host_header: Option<&HeaderValue>,
    ) -> Result<Destination<'_>, AuthorityError> {
        use AuthorityErrorKind as Kind;

        let authority = uri
            .authority()
            .ok_or_else(|| AuthorityError::new(Kind::NoHost, ""))?
            .as_str();
        if authority.contains('@') {
            return Err(AuthorityError::new(Kind::UserInfo, ""));
        }
        let (host, port) =
            split(authority).ok_or_else(|| AuthorityError::new(Kind::NotAllowed, authority))?;
        let (plain, default_port) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => (false, 443),
            Some(scheme) if *scheme == Scheme::HTTP => (true, 80),
            scheme => {
                let scheme = scheme.map_or("", Scheme::as_str);
                return Err(AuthorityError::new(Kind::Scheme, scheme));
            }
        };
        let port = port.unwrap_or(default_port);
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.is(host) && entry.port.unwrap_or(default_port) == port)
            .ok_or_else(|| AuthorityError::new(Kind::NotAllowed, authority))?;
        if plain && !self.is_plain_allowed(entry) {
            return Err(AuthorityError::new(Kind::PlainHttp, host));
        }
        if let Some(value) = host_header {
            let (named, named_port) = value
                .to_str()
                .ok()
                .and_then(split)
                // What it holds is not shown: it could be anything.
                .ok_or_else(|| AuthorityError::new(Kind::HostHeader, ""))?;
            // Without a port it names the default one, RFC 9110 §7.2.
            if !entry.is(named) || named_port.unwrap_or(default_port) != port {
                return Err(AuthorityError::new(Kind::HostHeaderConflict, ""));
            }
        }
        Ok(entry.destination(default_port))
    }

    /// Whether a request may go there over `http`.
    const fn is_plain_allowed(&self, entry: &Entry) -> bool {
        self.plain_http || entry.loopback
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination<'a> {
    /// In lower case, without the port.
    pub(crate) host: &'a str,
    /// That of the scheme, if the URI names none.
    pub(crate) port: u16,
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = split(text)?;
        if port.is_none() && text.ends_with(':') {
            return None;
        }
        Some(Self {
            authority: text.to_ascii_lowercase().into(),
            host_len: host.len(),
            port,
            loopback: is_loopback(host),
        })
    }

    fn host(&self) -> &str {
        &self.authority[..self.host_len]
    }

    #[inline]
    fn destination(&self, default_port: u16) -> Destination<'_> {
        Destination {
            host: self.host(),
            port: self.port.unwrap_or(default_port),
        }
    }

    fn is(&self, host: &str) -> bool {
        self.host().eq_ignore_ascii_case(host)
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`. An empty port is none (RFC 3986 §3.2.3).
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        let (host, rest) = authority.split_at(end);
        host[1..end - 1].parse::<Ipv6Addr>().ok()?;
        (
            host,
            if rest.is_empty() {
                ""
            } else {
                rest.strip_prefix(':')?
            },
        )
    } else {
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(plain) {
            return None;
        }
        (host, port)
    };
    if port.is_empty() {
        return Some((host, None));
    }
    // `parse` alone would take a sign.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(port.parse().ok()?)))
}

/// This machine itself: `localhost`, 127.0.0.0/8 (RFC 1122 §3.2.1.3) and `[::1]`.
fn is_loopback(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => address
            .trim_end_matches(']')
            .parse::<Ipv6Addr>()
            .is_ok_and(|address| address.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host
                    .parse::<Ipv4Addr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthorityErrorKind as Kind;

    fn allowed() -> AllowedAuthorities {
        AllowedAuthorities::new([
            "Open.Account.Xiaomi.com",
            "api.example:8443",
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[2001:db8::1]",
        ])
        .unwrap()
    }

    fn check(uri: &str, host: Option<&str>) -> Result<String, AuthorityError> {
        let host = host.map(|host| HeaderValue::from_str(host).unwrap());
        allowed()
            .check(&uri.parse().unwrap(), host.as_ref())
            .map(|destination| destination.host.to_owned())
    }

    fn refused(uri: &str, host: Option<&str>) -> Kind {
        check(uri, host).expect_err(uri).kind()
    }

    #[test]
    fn an_allowed_host_is_signed_in_lower_case_without_its_port() {
        for (uri, host) in [
            (
                "https://open.account.xiaomi.com/user/profile?a=b",
                "open.account.xiaomi.com",
            ),
            ("https://OPEN.account.Xiaomi.COM", "open.account.xiaomi.com"),
            (
                "https://open.account.xiaomi.com:443/",
                "open.account.xiaomi.com",
            ),
            ("https://api.example:8443/", "api.example"),
            ("https://[2001:DB8::1]/", "[2001:db8::1]"),
            ("http://127.0.0.1:8080/", "127.0.0.1"),
            ("http://[::1]:8080/", "[::1]"),
            ("http://localhost:8080/", "localhost"),
        ] {
            assert_eq!(check(uri, None).as_deref(), Ok(host), "{uri}");
        }
    }

    #[test]
    fn any_other_host_or_port_is_refused_by_name() {
        for uri in [
            "https://evil.example/",
            "https://open.account.xiaomi.com.evil.example/",
            "https://xiaomi.com/",
            "https://open.account.xiaomi.com./",
            "https://open.account.xiaomi.com:8443/",
            "https://api.example/",
            "https://[2001:db8::2]/",
        ] {
            assert_eq!(refused(uri, None), Kind::NotAllowed, "{uri}");
        }
        let error = check("https://evil.example/", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "uri: host \"evil.example\" is not among the allowed ones"
        );
    }

    #[test]
    fn a_vendors_host_is_what_its_name_is_read_as() {
        let read = AllowedAuthorities::new(["open.account.xiaomi.com"]).unwrap();
        assert_eq!(AllowedAuthorities::of_host("open.account.xiaomi.com"), read);
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let uri = "https://open.account.xiaomi.com/".parse().unwrap();
        let error = AllowedAuthorities::default().check(&uri, None).unwrap_err();
        assert_eq!(error.kind(), Kind::NotAllowed);
    }

    #[test]
    fn a_uri_without_host_or_scheme_is_refused() {
        assert_eq!(refused("/user/profile", None), Kind::NoHost);
        assert_eq!(refused("/user/profile", Some("api.example")), Kind::NoHost);
        assert_eq!(refused("*", None), Kind::NoHost);
        assert_eq!(refused("api.example:8443", None), Kind::Scheme);
        assert_eq!(refused("ftp://api.example:8443/", None), Kind::Scheme);
    }

    #[test]
    fn user_information_is_refused_and_not_shown() {
        let error = check("https://user:PASSWORD@open.account.xiaomi.com/", None).unwrap_err();
        assert_eq!(error.kind(), Kind::UserInfo);
        assert!(!format!("{error} {error:?}").contains("PASSWORD"));
    }

    #[test]
    fn plain_http_is_for_this_machine_alone_unless_told_otherwise() {
        let uri = "http://api.example:8443/".parse().unwrap();
        assert_eq!(
            allowed().check(&uri, None).unwrap_err().kind(),
            Kind::PlainHttp
        );
        let told = allowed().allow_plain_http(true);
        assert_eq!(told.check(&uri, None).unwrap().host, "api.example");

        for host in ["127.0.0.1", "127.255.0.3", "LocalHost", "[::1]", "[0:0::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "128.0.0.1",
            "127.0.0.1.example",
            "localhost.example",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_host_header_must_agree_with_the_uri() {
        let uri = "https://api.example:8443/";
        for (uri, host) in [
            (uri, "api.example:8443"),
            (uri, "API.example:8443"),
            (
                "https://open.account.xiaomi.com/",
                "open.account.xiaomi.com",
            ),
            (
                "https://open.account.xiaomi.com/",
                "OPEN.account.xiaomi.com:443",
            ),
            (
                "https://open.account.xiaomi.com:443/",
                "open.account.xiaomi.com",
            ),
        ] {
            assert!(check(uri, Some(host)).is_ok(), "{uri} {host}");
        }
        for host in [
            "open.account.xiaomi.com",
            "evil.example",
            "localhost:8080",
            "api.example:443",
            "api.example",
        ] {
            assert_eq!(refused(uri, Some(host)), Kind::HostHeaderConflict, "{host}");
        }
    }

    #[test]
    fn the_port_is_that_of_the_uri_or_of_its_scheme() {
        let allowed = allowed().allow_plain_http(true);
        for (uri, port) in [
            ("https://open.account.xiaomi.com/", 443),
            ("http://open.account.xiaomi.com/", 80),
            ("https://OPEN.account.xiaomi.com:443/", 443),
            ("https://api.example:8443/", 8443),
        ] {
            let destination = allowed.check(&uri.parse().unwrap(), None).unwrap();
            assert_eq!(destination.port, port, "{uri}");
        }
    }

    #[test]
    fn an_odd_host_header_is_refused_by_name() {
        let uri = "https://open.account.xiaomi.com/";
        for host in [
            "",
            " ",
            "a b",
            "user@open.account.xiaomi.com",
            "open.account.xiaomi.com/",
            "open.account.xiaomi.com, evil.example",
            "open.account.xiaomi.com:+443",
            "open.account.xiaomi.com:65536",
            "[::1",
            "[]",
            "[::1]x",
            ":443",
        ] {
            assert_eq!(refused(uri, Some(host)), Kind::HostHeader, "{host:?}");
        }
        let latin1 = HeaderValue::from_bytes(b"\xe4.example").unwrap();
        let error = allowed()
            .check(&uri.parse().unwrap(), Some(&latin1))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "host header: it is not one host or host:port"
        );
    }

    #[test]
    fn an_allowed_host_header_does_not_redeem_another_uri() {
        assert_eq!(
            refused("https://evil.example/", Some("open.account.xiaomi.com")),
            Kind::NotAllowed
        );
    }

    #[test]
    fn a_bad_entry_is_refused_by_name() {
        for entry in [
            "",
            "https://api.example",
            "api.example/",
            "api.example:",
            "api.example:x",
            "api.example:99999",
            "user@api.example",
            "*.example",
            "::1",
            "[::1",
            "bücher.example",
        ] {
            let error = AllowedAuthorities::new([entry]).unwrap_err();
            assert!(
                error.to_string().starts_with("allowed authority: "),
                "{entry}"
            );
        }
        let error = AllowedAuthorities::default()
            .allow("user:PASSWORD@api.example")
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("PASSWORD"));
    }

    #[test]
    fn the_check_costs_no_allocation() {
        let allowed = allowed();
        let uri: Uri = "https://OPEN.account.xiaomi.com/user/profile"
            .parse()
            .unwrap();
        let host = HeaderValue::from_static("open.account.xiaomi.com");
        let counted = allocation_counter::measure(|| {
            assert!(allowed.check(&uri, None).is_ok());
            assert!(allowed.check(&uri, Some(&host)).is_ok());
        });
        assert_eq!(counted.count_total, 0);
    }
}
