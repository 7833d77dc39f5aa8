use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::uri::Scheme;
use http::{HeaderValue, Uri};

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
/// use tower_mac_auth::layer::AllowedAuthorities;
///
/// # fn main() -> Result<(), tower_mac_auth::layer::InvalidAuthority> {
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
    /// In lower case.
    host: Box<str>,
    port: Option<u16>,
}

impl AllowedAuthorities {
    /// Allows these.
    ///
    /// # Errors
    ///
    /// The first entry that is neither `host` nor `host:port`.
    pub fn new<I>(entries: I) -> Result<Self, InvalidAuthority>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        entries
            .into_iter()
            .try_fold(Self::default(), |all, entry| all.and(entry.as_ref()))
    }

    /// Allows this one too.
    ///
    /// # Errors
    ///
    /// If it is neither `host` nor `host:port`.
    pub fn and(mut self, entry: &str) -> Result<Self, InvalidAuthority> {
        let entry = Entry::parse(entry).ok_or_else(|| InvalidAuthority {
            entry: shown(entry),
        })?;
        self.entries.push(entry);
        Ok(self)
    }

    /// Whether to sign requests that go over `http` to another machine. Anyone on the way can
    /// read the access token then.
    #[must_use]
    pub const fn allow_plain_http(mut self, allow: bool) -> Self {
        self.plain_http = allow;
        self
    }

    /// The host to sign, in lower case and without a port: the one the server will see, which
    /// is the `Host` header if there is one, else the URI's.
    ///
    /// # Errors
    ///
    /// See [`AuthorityErrorKind`].
    pub(crate) fn check(
        &self,
        uri: &Uri,
        host_header: Option<&HeaderValue>,
    ) -> Result<&str, AuthorityError> {
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
        if plain && !self.plain_http && !is_loopback(host) {
            return Err(AuthorityError::new(Kind::PlainHttp, host));
        }
        match host_header {
            None => Ok(&entry.host),
            Some(value) => self.check_header(value, default_port),
        }
    }

    fn check_header(&self, value: &HeaderValue, default_port: u16) -> Result<&str, AuthorityError> {
        use AuthorityErrorKind as Kind;

        let (host, port) = value
            .to_str()
            .ok()
            .and_then(split)
            // What it holds is not shown: it could be anything.
            .ok_or_else(|| AuthorityError::new(Kind::HostHeader, ""))?;
        // Where the request goes is settled by the URI. Left without a port, the header only
        // names the host.
        self.entries
            .iter()
            .find(|entry| {
                entry.is(host) && port.is_none_or(|port| entry.port.unwrap_or(default_port) == port)
            })
            .map(|entry| &*entry.host)
            .ok_or_else(|| AuthorityError::new(Kind::HostHeaderNotAllowed, host))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = split(text)?;
        if port.is_none() && text.ends_with(':') {
            return None;
        }
        Some(Self {
            host: host.to_ascii_lowercase().into(),
            port,
        })
    }

    fn is(&self, host: &str) -> bool {
        self.host.eq_ignore_ascii_case(host)
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

/// Short enough for a log, whoever wrote it; without what may be a password.
fn shown(text: &str) -> Box<str> {
    let text = text.rsplit('@').next().unwrap_or_default();
    text.chars().take(80).collect()
}

/// An entry of [`AllowedAuthorities`] that is neither `host` nor `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAuthority {
    entry: Box<str>,
}

impl fmt::Display for InvalidAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "allowed authority: {:?} is neither host nor host:port",
            self.entry
        )
    }
}

impl Error for InvalidAuthority {}

/// A request that is not to be signed, because of where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityError {
    kind: AuthorityErrorKind,
    /// The part that is at fault, if it may be shown.
    shown: Box<str>,
}

/// The kinds of [`AuthorityError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorityErrorKind {
    /// The URI names no host.
    NoHost,
    /// The URI has user information (`user:password@host`).
    UserInfo,
    /// The URI's scheme is neither `https` nor `http`, or there is none.
    Scheme,
    /// The URI's host and port are not among the [`AllowedAuthorities`].
    NotAllowed,
    /// `http` to another machine.
    PlainHttp,
    /// The `Host` header is neither `host` nor `host:port`.
    HostHeader,
    /// The `Host` header names a host that is not among the [`AllowedAuthorities`].
    HostHeaderNotAllowed,
}

impl AuthorityError {
    fn new(kind: AuthorityErrorKind, text: &str) -> Self {
        Self {
            kind,
            shown: shown(text),
        }
    }

    /// What is wrong.
    pub const fn kind(&self) -> AuthorityErrorKind {
        self.kind
    }
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use AuthorityErrorKind as Kind;

        let shown = &self.shown;
        match self.kind {
            Kind::NoHost => f.write_str("uri: it names no host"),
            Kind::UserInfo => f.write_str("uri: user information before the host is not allowed"),
            Kind::Scheme if shown.is_empty() => f.write_str("uri: it has no scheme"),
            Kind::Scheme => write!(f, "uri: scheme {shown:?} is neither https nor http"),
            Kind::NotAllowed => write!(f, "uri: host {shown:?} is not among the allowed ones"),
            Kind::PlainHttp => write!(f, "uri: plain http to {shown:?} is not allowed"),
            Kind::HostHeader => f.write_str("host header: it is neither host nor host:port"),
            Kind::HostHeaderNotAllowed => {
                write!(
                    f,
                    "host header: host {shown:?} is not among the allowed ones"
                )
            }
        }
    }
}

impl Error for AuthorityError {}
