use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A [`TokenEndpoint`](crate::token::TokenEndpoint) cannot be made from what was given.
#[derive(Clone, Debug)]
pub struct EndpointError {
    kind: EndpointErrorKind,
    detail: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Which part of the configuration is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointErrorKind {
    /// The URL is not that of an endpoint.
    Url,
    /// The URL is plain `http` and its host is not this machine.
    PlainHttp,
    /// The client's id or secret is missing.
    Client,
    /// The redirect URI is empty.
    RedirectUri,
    /// What a provider of its own wants is missing or odd.
    Provider,
    /// There is no transport.
    Transport,
    /// TLS cannot be set up: no roots on this platform, say.
    Tls,
}

impl EndpointError {
    /// `detail` names the knob and the fault: `"client_id: empty"`. No values: they may be secret.
    pub const fn new(kind: EndpointErrorKind, detail: &'static str) -> Self {
        Self {
            kind,
            detail,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Which part of the configuration is wrong.
    pub fn kind(&self) -> EndpointErrorKind {
        self.kind
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)
    }
}

impl Error for EndpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them, in turn: a new one does not compile until it is here.
    fn next(kind: EndpointErrorKind) -> Option<EndpointErrorKind> {
        use EndpointErrorKind as Kind;
        Some(match kind {
            Kind::Url => Kind::PlainHttp,
            Kind::PlainHttp => Kind::Client,
            Kind::Client => Kind::RedirectUri,
            Kind::RedirectUri => Kind::Provider,
            Kind::Provider => Kind::Transport,
            Kind::Transport => Kind::Tls,
            Kind::Tls => return None,
        })
    }

    #[test]
    fn the_guide_says_what_to_do_about_every_kind() {
        let guide = include_str!("../guide/errors.md");
        for kind in std::iter::successors(Some(EndpointErrorKind::Url), |it| next(*it)) {
            assert!(guide.contains(&format!("\n| `{kind:?}` |")), "{kind:?}");
        }
    }
}
