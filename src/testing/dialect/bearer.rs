//! The API that takes bearer tokens (RFC 6750).

use bytes::Bytes;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Response, StatusCode};

use super::oauth2::error_response;
use super::{Denial, Signer, authorization_of};
use crate::AccessToken;
use crate::provider::xiaomi::ErrorCode;
use crate::testing::answer::bare;
use crate::testing::config::Config;
use crate::testing::{Provider, RefusalStyle};

impl Provider {
    pub(super) fn check_bearer(&self, head: &Parts) -> Result<Signer, Denial> {
        const REJECTED: ErrorCode = ErrorCode::AccessTokenRejected;
        const INVALID: ErrorCode = ErrorCode::InvalidRequest;
        let query = head.uri.query().unwrap_or_default();
        // Whatever is in a URL is in logs (RFC 6750 §5.3).
        if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token") {
            return Err(Denial::new(INVALID, "access_token: in the URL"));
        }
        let value = authorization_of(&head.headers)
            .map_err(|reason| Denial::new(ErrorCode::Denied, reason))?;
        let not_bearer = || Denial::new(ErrorCode::Denied, "authorization: not Bearer");
        let (scheme, token) = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .ok_or_else(not_bearer)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(not_bearer());
        }
        let state = self.state();
        let holder = state.grants.holder_of(token);
        let holder = holder.ok_or_else(|| Denial::new(REJECTED, "access_token: not known"))?;
        if let Some(reason) = state.grants.lapse_of(token, self.config().clock.now()) {
            return Err(Denial::new(REJECTED, reason));
        }
        if state.lacks_scope {
            let reason = "access_token: its scope falls short";
            return Err(Denial::new(ErrorCode::InvalidScope, reason));
        }
        Ok(Signer {
            access_token: AccessToken::new(token),
            nonce: String::new(),
            holder,
        })
    }
}

/// RFC 6750 §3: the header says why.
pub(super) fn refusal(
    config: &Config,
    style: RefusalStyle,
    Denial { code, reason }: &Denial,
) -> Response<Bytes> {
    let (status, error) = match code {
        ErrorCode::AccessTokenRejected => (style.status(), Some("invalid_token")),
        ErrorCode::InvalidScope => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
        ErrorCode::InvalidRequest => (StatusCode::BAD_REQUEST, Some("invalid_request")),
        // Whoever shows no token is not told more (§3.1).
        _ => (style.status(), None),
    };
    let (error, mut response) = match error {
        Some(error) if style != RefusalStyle::Bare401 => {
            let response = error_response(config, status, &error.into(), reason);
            (Some(error), response)
        }
        _ => (None, bare(config, status)),
    };
    let challenge = match error {
        // Neither has a character that quotes would have to be escaped for.
        Some(error) => {
            format!("Bearer realm=\"api\", error=\"{error}\", error_description=\"{reason}\"")
        }
        None => "Bearer realm=\"api\"".to_owned(),
    };
    if let Ok(challenge) = HeaderValue::try_from(challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
    use http::{HeaderMap, Request};
    use http_body_util::Full;
    use tower::ServiceExt as _;

    use super::super::Dialect;
    use super::*;
    use crate::provider::{Bearer, Head, Provider as _, Refusal};

    const HOUR: Duration = Duration::from_secs(3600);

    fn provider() -> Provider {
        Provider::builder().dialect(Dialect::Bearer).build()
    }

    async fn call(provider: &Provider, target: &str, values: &[&str]) -> (StatusCode, HeaderMap) {
        let mut request = Request::get(target).body(Full::<Bytes>::default()).unwrap();
        for value in values {
            let value = value.parse().unwrap();
            request.headers_mut().append(AUTHORIZATION, value);
        }
        let response = provider.api().oneshot(request).await.unwrap();
        (response.status(), response.headers().clone())
    }

    fn challenge(headers: &HeaderMap) -> Option<&str> {
        headers.get(WWW_AUTHENTICATE)?.to_str().ok()
    }

    /// What the client makes of it.
    fn read(provider: &Provider, (status, headers): &(StatusCode, HeaderMap)) -> Head {
        Bearer::new(provider.oauth2()).read_head(*status, headers)
    }

    #[tokio::test]
    async fn a_token_that_lives_is_let_through_and_no_other() {
        let provider = provider();
        let tokens = provider.issue(HOUR);
        let token = tokens.access_token.expose_secret();
        let good = format!("bearer {token}");
        assert_eq!(call(&provider, "/me?a=1", &[&good]).await.0, 200);
        let accepted = &provider.accepted()[0];
        assert_eq!(
            (
                accepted.access_token == tokens.access_token,
                &*accepted.nonce
            ),
            (true, "")
        );
        assert!(!accepted.headers.contains_key(AUTHORIZATION));

        let bare = Some("Bearer realm=\"api\"");
        for (values, reason) in [
            (&[][..], "authorization: missing"),
            (&[&*good, &*good], "authorization: given twice"),
            (&["Bearer"], "authorization: not Bearer"),
            (&["Basic aTpz"], "authorization: not Bearer"),
        ] {
            let (status, headers) = call(&provider, "/me", values).await;
            assert_eq!(
                (status.as_u16(), challenge(&headers)),
                (401, bare),
                "{reason}"
            );
            assert_eq!(provider.refused().pop().unwrap().reason, reason);
        }
        let (status, headers) = call(&provider, "/me", &["Bearer guess"]).await;
        assert_eq!(status, 401);
        assert!(
            challenge(&headers)
                .unwrap()
                .contains("error=\"invalid_token\"")
        );
        let in_url = call(&provider, "/me?access_token=x", &[&good]).await;
        assert_eq!(in_url.0, 400);
        assert_eq!(read(&provider, &in_url), Head::Verdict(None));
    }

    #[tokio::test]
    async fn each_style_of_refusal_says_that_the_token_has_ended() {
        let provider = provider();
        let token = format!(
            "Bearer {}",
            provider.issue(HOUR).access_token.expose_secret()
        );
        provider.expire_access_tokens();
        for (style, status, says) in [
            (RefusalStyle::Unauthorized401, 401, true),
            (RefusalStyle::BadRequest400, 400, true),
            (RefusalStyle::Ok200WithCode, 200, true),
            (RefusalStyle::Bare401, 401, false),
        ] {
            provider.set_refusal_style(style);
            let answer = call(&provider, "/me", &[&token]).await;
            assert_eq!(answer.0, status);
            let challenge = challenge(&answer.1).unwrap();
            assert_eq!(challenge.contains("invalid_token"), says, "{challenge}");
            let rejected = Head::Verdict(Some(Refusal::TokenRejected));
            assert_eq!(read(&provider, &answer), rejected, "{style:?}");
        }
    }

    #[tokio::test]
    async fn a_scope_that_falls_short_is_no_matter_for_a_refresh() {
        let provider = provider();
        let token = format!(
            "Bearer {}",
            provider.issue(HOUR).access_token.expose_secret()
        );
        provider.set_insufficient_scope(true);
        let answer = call(&provider, "/me", &[&token]).await;
        assert_eq!(answer.0, 403);
        assert!(
            challenge(&answer.1)
                .unwrap()
                .contains("error=\"insufficient_scope\"")
        );
        assert_eq!(read(&provider, &answer), Head::Verdict(None));
        provider.set_insufficient_scope(false);
        assert_eq!(call(&provider, "/me", &[&token]).await.0, 200);
    }
}
