use std::error::Error;
use std::fmt;

/// Short enough for a log, whoever wrote it; nothing of what may have a password or a token in it.
fn shown(text: &str) -> Box<str> {
    if text.contains(['@', '?', '#']) {
        return "[not shown]".into();
    }
    text.chars().take(80).collect()
}

/// An entry of [`AllowedAuthorities`](super::AllowedAuthorities) that is no authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAuthoritiesError {
    entry: Box<str>,
}

impl AllowedAuthoritiesError {
    pub(super) fn new(entry: &str) -> Self {
        Self {
            entry: shown(entry),
        }
    }
}

impl fmt::Display for AllowedAuthoritiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "allowed authority: {:?} is neither host nor host:port",
            self.entry
        )
    }
}

impl Error for AllowedAuthoritiesError {}

/// A request that is not to be signed, because of where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityError {
    kind: AuthorityErrorKind,
    /// The part that is at fault, if it may be shown.
    shown: Box<str>,
}

/// The kinds of [`AuthorityError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthorityErrorKind {
    /// The URI names no host.
    NoHost,
    /// The URI has user information (`user:password@host`).
    UserInfo,
    /// The URI's scheme is neither `https` nor `http`, or there is none.
    Scheme,
    /// The URI's host is not allowed, or not with that port.
    NotAllowed,
    /// `http` to another machine.
    PlainHttp,
    /// The `Host` header is neither `host` nor `host:port`, or there are several.
    HostHeader,
    /// The `Host` header names another host or port than the URI: by HTTP/1 a server sees the one, by
    /// HTTP/2 the other (RFC 9113 §8.3.1), and the signature holds for one only.
    HostHeaderConflict,
}

impl AuthorityError {
    pub(super) fn new(kind: AuthorityErrorKind, text: &str) -> Self {
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
            Kind::HostHeader => f.write_str("host header: it is not one host or host:port"),
            Kind::HostHeaderConflict => {
                f.write_str("host header: it names another host or port than the uri")
            }
        }
    }
}

impl Error for AuthorityError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them, in turn, with what the guide shows: a new one does not compile until it is here.
    fn next(kind: AuthorityErrorKind) -> (&'static str, Option<AuthorityErrorKind>) {
        use AuthorityErrorKind as Kind;
        match kind {
            Kind::NoHost => ("", Some(Kind::UserInfo)),
            Kind::UserInfo => ("", Some(Kind::Scheme)),
            Kind::Scheme => ("ftp", Some(Kind::NotAllowed)),
            Kind::NotAllowed => ("elsewhere.example", Some(Kind::PlainHttp)),
            Kind::PlainHttp => ("api.example", Some(Kind::HostHeader)),
            Kind::HostHeader => ("", Some(Kind::HostHeaderConflict)),
            Kind::HostHeaderConflict => ("", None),
        }
    }

    #[test]
    fn the_guide_says_what_to_do_about_every_kind() {
        let guide = include_str!("../../guide/errors.md");
        let mut kinds = Some(AuthorityErrorKind::NoHost);
        let mut errors = vec![AuthorityError::new(AuthorityErrorKind::Scheme, "")];
        while let Some(kind) = kinds {
            let (shown, after) = next(kind);
            errors.push(AuthorityError::new(kind, shown));
            kinds = after;
        }
        for error in errors {
            assert!(guide.contains(&format!("| `{error}` |")), "{error}");
        }
        let entry = AllowedAuthoritiesError::new("https://api.example");
        assert!(guide.contains(&format!("`{entry}`")), "{entry}");
    }
}
