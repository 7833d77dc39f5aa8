//! The API that checks requests by draft-ietf-oauth-v2-http-mac.

use bytes::Bytes;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Response, StatusCode};

use super::mac::{denied, host};
use super::oauth2::error_response;
use super::{Denial, Signer, authorization_of};
use crate::provider::RequestParts;
use crate::provider::http_mac::Draft;
use crate::provider::xiaomi::ErrorCode;
use crate::sign::Algorithm;
use crate::testing::answer::bare;
use crate::testing::config::Config;
use crate::testing::{Provider, RefusalStyle};
use crate::verify::{MacAuthorization, Verifier};

impl Provider {
    pub(super) fn check_http_mac(
        &self,
        draft: Draft,
        algorithm: Algorithm,
        head: &Parts,
        body: Option<&[u8]>,
    ) -> Result<Signer, Denial> {
        let value = authorization_of(&head.headers).map_err(denied)?;
        let authorization = MacAuthorization::try_from(value)?;
        let named: Authority = host(head)?
            .parse()
            .map_err(|_| denied("host: not a host"))?;
        // A socket without TLS shows no scheme.
        let is_https = head.uri.scheme() == Some(&Scheme::HTTPS);
        let usual = if is_https { 443 } else { 80 };
        let path = head.uri.path();
        let request = RequestParts::new(head.method.as_str(), named.host(), path)
            .with_port(named.port_u16().unwrap_or(usual))
            .with_query(head.uri.query())
            .with_body(body);
        self.check_mac(
            &Verifier::http_mac(draft),
            algorithm,
            &request,
            authorization,
        )
    }
}

/// A challenge whose text is for people (§4.1 of revision 01), in the words that servers use.
pub(super) fn refusal(
    config: &Config,
    style: RefusalStyle,
    Denial { code, reason }: &Denial,
) -> Response<Bytes> {
    let (error, challenge) = match code {
        ErrorCode::AccessTokenRejected => (
            "invalid MAC credentials",
            "MAC error=\"invalid MAC credentials\"",
        ),
        _ => (
            "invalid MAC, nonce or timestamp",
            "MAC error=\"invalid MAC, nonce or timestamp\"",
        ),
    };
    let status = StatusCode::UNAUTHORIZED;
    let (mut response, challenge) = if style == RefusalStyle::Bare401 {
        (bare(config, status), "MAC")
    } else {
        (
            error_response(config, status, &error.into(), reason),
            challenge,
        )
    };
    let challenge = HeaderValue::from_static(challenge);
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}
