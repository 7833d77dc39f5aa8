//! Clients, ready made for a provider: in process, and on its socket.

use super::token_endpoint::PATH;
use super::{Provider, Server};
use crate::provider::oauth2::ClientAuthentication;
use crate::provider::{self, AllowedAuthorities, OAuth2, Xiaomi};
#[cfg(feature = "transport")]
use crate::token::EndpointError;
use crate::token::TokenEndpoint;

impl Provider {
    /// The client that is registered, as it is configured for this provider: its id and secret, its
    /// redirect URI, the rules that requests are signed by.
    pub fn xiaomi(&self) -> Xiaomi {
        let config = self.config();
        let secret = config.client_secret.clone();
        Xiaomi::new(
            config.client_id.as_str(),
            secret,
            config.redirect_uri.as_str(),
        )
        .with_token_url(format!("https://localhost{PATH}"))
        .with_signing_rules(config.signing_rules.clone())
    }

    /// The same as a client of an RFC 6749 endpoint, for a [`Bearer`](crate::provider::Bearer) or a
    /// provider of your own: its URLs, id and secret, how it authenticates, its redirect URI. It may
    /// send its credentials nowhere until it is [told](OAuth2::allow) where.
    pub fn oauth2(&self) -> OAuth2 {
        self.oauth2_at("https://localhost")
    }

    /// The same, for a server whose URLs begin so.
    fn oauth2_at(&self, base: &str) -> OAuth2 {
        let config = self.config();
        let how = config.oauth2.client_authentication;
        let client = OAuth2::new(format!("{base}{PATH}"), config.client_id.as_str())
            .with_authorize_url(format!("{base}/oauth2/authorize"))
            .with_redirect_uri(config.redirect_uri.as_str())
            .with_client_authentication(how)
            .send_json(config.oauth2.json_requests);
        match how {
            ClientAuthentication::None => client,
            _ => client.with_client_secret(config.client_secret.clone()),
        }
    }

    /// The token endpoint inside the process, ready made for the [registered client](Self::xiaomi);
    /// without a limit of requests.
    pub fn endpoint(&self) -> TokenEndpoint {
        self.endpoint_of(self.xiaomi())
    }

    /// The same, for a client that is configured in another way.
    ///
    /// # Panics
    ///
    /// If that cannot be used.
    #[expect(clippy::expect_used, reason = "a test is written wrongly")]
    pub fn endpoint_of<P: provider::Provider>(&self, client: P) -> TokenEndpoint<P> {
        TokenEndpoint::builder(client)
            .requests_per_second(None)
            .transport(self.transport())
            .build()
            .expect("a client that can be used")
    }
}

impl Server {
    /// The client that is registered, as it is configured for this server: see
    /// [`Provider::xiaomi`]. It may send its credentials to the server, and nowhere else.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the address of a socket is a host and a port"
    )]
    pub fn xiaomi(&self) -> Xiaomi {
        let allowed = AllowedAuthorities::new([self.authority()]).expect("an address");
        self.provider()
            .xiaomi()
            .with_token_url(self.token_url())
            .allowed_authorities(allowed)
    }

    /// The same as a client of an RFC 6749 endpoint: see [`Provider::oauth2`].
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the address of a socket is a host and a port"
    )]
    pub fn oauth2(&self) -> OAuth2 {
        self.provider()
            .oauth2_at(&self.url(""))
            .allow(&self.authority())
            .expect("an address")
    }

    /// The token endpoint over the socket, by the built-in transport, ready made for the
    /// [registered client](Self::xiaomi); without a limit of requests.
    ///
    /// # Errors
    ///
    /// Those of [`TokenEndpointBuilder::build`](crate::token::TokenEndpointBuilder::build).
    #[cfg(feature = "transport")]
    #[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
    pub fn endpoint(&self) -> Result<TokenEndpoint, EndpointError> {
        self.endpoint_of(self.xiaomi())
    }

    /// The same, for a client that is configured in another way, or of another dialect.
    ///
    /// # Errors
    ///
    /// As above.
    #[cfg(feature = "transport")]
    #[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
    pub fn endpoint_of<P: provider::Provider>(
        &self,
        client: P,
    ) -> Result<TokenEndpoint<P>, EndpointError> {
        TokenEndpoint::builder(client)
            .requests_per_second(None)
            .build()
    }
}
