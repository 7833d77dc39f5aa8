//! The client that is registered at the provider.

use tower_mac_auth::ClientSecret;
use tower_mac_auth::provider::http_mac::Draft;
use tower_mac_auth::provider::oauth2::ClientAuthentication;
use tower_mac_auth::provider::{AllowedAuthorities, Bearer, HttpMac, OAuth2, Provider, Xiaomi};
use tower_mac_auth::token::TokenEndpoint;

use super::Problems;
use super::flags::{ClientAuth, DraftName, Flags, ProviderName};

/// A client, with its token endpoint checked.
#[derive(Debug)]
pub(crate) enum Client {
    Xiaomi(TokenEndpoint<Xiaomi>),
    Bearer(TokenEndpoint<Bearer>),
    HttpMac(TokenEndpoint<HttpMac>),
}

impl Client {
    pub(super) fn new(
        flags: &Flags,
        secret: Option<&ClientSecret>,
        allowed: AllowedAuthorities,
    ) -> Result<Self, Problems> {
        let Some(name) = flags.provider else {
            return Err(missing("--provider", "xiaomi"));
        };
        let Some(id) = flags.client_id.clone().filter(|id| !id.is_empty()) else {
            return Err(missing("--client-id", "179887661252608"));
        };
        match name {
            ProviderName::Xiaomi => {
                let xiaomi = xiaomi(flags, id, secret, allowed)?;
                Ok(Self::Xiaomi(endpoint(flags, xiaomi)?))
            }
            ProviderName::Oauth2 | ProviderName::Bearer => {
                let bearer = Bearer::new(oauth2(flags, id, secret, allowed)?);
                Ok(Self::Bearer(endpoint(flags, bearer)?))
            }
            ProviderName::HttpMac => {
                let draft = match flags.draft.unwrap_or_default() {
                    DraftName::V00 => Draft::V00,
                    DraftName::V01 => Draft::V01,
                };
                let http_mac = HttpMac::new(oauth2(flags, id, secret, allowed)?, draft);
                Ok(Self::HttpMac(endpoint(flags, http_mac)?))
            }
        }
    }

    pub(crate) fn has_login(&self) -> bool {
        match self {
            Self::Xiaomi(endpoint) => has_login(endpoint),
            Self::Bearer(endpoint) => has_login(endpoint),
            Self::HttpMac(endpoint) => has_login(endpoint),
        }
    }
}

/// Whether it is known where users agree.
pub(crate) fn has_login<P: Provider>(endpoint: &TokenEndpoint<P>) -> bool {
    endpoint.authorize_url("").is_some()
}

fn missing(flag: &'static str, right: &str) -> Problems {
    Problems::one(flag, format!("is missing: give it as in {flag} {right}"))
}

fn no_secret() -> Problems {
    let what =
        "is missing: give it in the environment, or its file's name in MAC_CLIENT_SECRET_FILE";
    Problems::one("MAC_CLIENT_SECRET", what)
}

fn endpoint<P: Provider>(flags: &Flags, provider: P) -> Result<TokenEndpoint<P>, Problems> {
    let endpoint = TokenEndpoint::builder(provider).allow_plain_http(flags.allow_http);
    endpoint.build().map_err(|error| {
        let what = format!(
            "{error}; a right one is --token-url https://accounts.example/oauth2/token, and http:// to \
             another machine needs --allow-http"
        );
        Problems::one("--token-url", what)
    })
}

fn xiaomi(
    flags: &Flags,
    id: String,
    secret: Option<&ClientSecret>,
    allowed: AllowedAuthorities,
) -> Result<Xiaomi, Problems> {
    let secret = secret.ok_or_else(no_secret)?;
    let Some(redirect_uri) = &flags.redirect_uri else {
        let right = "https://ops.example/callback, the one that is registered";
        return Err(missing("--redirect-uri", right));
    };
    if flags.client_auth.is_some() {
        let what = "xiaomi has one way only: leave it out";
        return Err(Problems::one("--client-auth", what));
    }
    let mut xiaomi = Xiaomi::new(id, secret.clone(), redirect_uri).allowed_authorities(allowed);
    if let Some(url) = &flags.token_url {
        xiaomi = xiaomi.with_token_url(url);
    }
    if let Some(url) = &flags.authorize_url {
        xiaomi = xiaomi.with_authorize_url(url);
    }
    if let Some(scope) = &flags.scope {
        xiaomi = xiaomi.with_scope(scope);
    }
    Ok(xiaomi)
}

fn oauth2(
    flags: &Flags,
    id: String,
    secret: Option<&ClientSecret>,
    allowed: AllowedAuthorities,
) -> Result<OAuth2, Problems> {
    let Some(token_url) = &flags.token_url else {
        return Err(missing(
            "--token-url",
            "https://accounts.example/oauth2/token",
        ));
    };
    let mut oauth2 = OAuth2::new(token_url, id).allowed_authorities(allowed);
    let auth = match (flags.client_auth, secret) {
        (None, Some(_)) | (Some(ClientAuth::Body), _) => ClientAuthentication::Body,
        (Some(ClientAuth::Basic), _) => ClientAuthentication::Basic,
        (None, None) | (Some(ClientAuth::None), _) => ClientAuthentication::None,
    };
    oauth2 = oauth2.with_client_authentication(auth);
    match (auth, secret) {
        (ClientAuthentication::None, _) => {}
        (_, Some(secret)) => oauth2 = oauth2.with_client_secret(secret.clone()),
        (_, None) => return Err(no_secret()),
    }
    if let Some(url) = &flags.authorize_url {
        oauth2 = oauth2.with_authorize_url(url);
    }
    if let Some(uri) = &flags.redirect_uri {
        oauth2 = oauth2.with_redirect_uri(uri);
    }
    if let Some(scope) = &flags.scope {
        oauth2 = oauth2.with_scope(scope);
    }
    Ok(oauth2)
}
