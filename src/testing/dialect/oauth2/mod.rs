//! The token endpoint of RFC 6749.

mod answer;
mod authenticate;
mod authorize;
mod parameters;
mod token_request;

use serde_json::Value;

use crate::provider::oauth2::ClientAuthentication;
use crate::provider::xiaomi::ErrorCode;

pub(super) use self::answer::{error_response, token_refusal, tokens};
pub(super) use self::token_request::{asked, presented};

/// What a builder says of an RFC 6749 endpoint.
pub(in crate::testing) struct OAuth2Rules {
    pub(in crate::testing) client_authentication: ClientAuthentication,
    pub(in crate::testing) json_requests: bool,
    pub(in crate::testing) announce_lifetime: bool,
    pub(in crate::testing) id_tokens: bool,
    /// What successful answers have besides.
    pub(in crate::testing) extras: Vec<(String, Value)>,
    /// What `error` is in place of the usual; the last one said of a code holds.
    pub(in crate::testing) errors: Vec<(ErrorCode, String)>,
}

impl Default for OAuth2Rules {
    fn default() -> Self {
        Self {
            client_authentication: ClientAuthentication::Body,
            json_requests: false,
            announce_lifetime: true,
            id_tokens: false,
            extras: Vec::new(),
            errors: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
    use http::{Request, Response, StatusCode};

    use super::super::Dialect;
    use crate::provider::oauth2::ClientAuthentication;
    use crate::provider::xiaomi::ErrorCode;
    use crate::provider::{Bearer, GrantType, Meaning, OAuth2, Outcome, TokenSet};
    use crate::testing::by_hand::{refresh, refresh_token, rotated};
    use crate::testing::token_endpoint::Reply;
    use crate::testing::{Presented, Provider, ProviderBuilder, TestClock};
    use crate::token::TokenEndpoint;
    use crate::{AuthorizationCode, RefreshToken};

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn builder() -> ProviderBuilder {
        Provider::builder()
            .dialect(Dialect::Bearer)
            .client("id", "s e:c+r&t")
            .redirect_uri("https://me.example/cb")
    }

    fn endpoint(provider: &Provider) -> TokenEndpoint<Bearer> {
        provider.endpoint_of(Bearer::new(provider.oauth2()))
    }

    async fn exchange(endpoint: &TokenEndpoint<Bearer>, code: &AuthorizationCode) -> Outcome {
        let connected = endpoint.connect_for(GrantType::AuthorizationCode).await;
        connected.unwrap().exchange_code(code).await
    }

    fn tokens(outcome: Outcome) -> TokenSet {
        match outcome {
            Outcome::Tokens(tokens) => tokens,
            other => panic!("{other:?}"),
        }
    }

    fn refused(outcome: Outcome) -> (String, Meaning) {
        match outcome {
            Outcome::Refused(refused) => (refused.code().to_owned(), refused.meaning()),
            other => panic!("{other:?}"),
        }
    }

    async fn answer(provider: &Provider, request: Request<Bytes>) -> (Response<Bytes>, String) {
        let Reply::Answer(answer) = provider.token_request(&request).await else {
            panic!("no answer")
        };
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        (answer, text)
    }

    /// A `POST` of a form, as `with` changes it.
    fn form(
        body: &str,
        with: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Request<Bytes> {
        let builder = Request::post("/oauth2/token")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        with(builder)
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap()
    }

    #[tokio::test]
    async fn each_way_to_authenticate_is_taken_from_the_client_registered_for_it_alone() {
        use ClientAuthentication::{Basic, Body, None};
        for registered in [Basic, Body, None] {
            let provider = builder().client_authentication(registered).build();
            let mut token = refresh_token(&provider.issue(HOUR));
            for tried in [Basic, Body, None] {
                let client = OAuth2::new("https://localhost/oauth2/token", "id")
                    .with_client_authentication(tried);
                let client = match tried {
                    None => client,
                    _ => client.with_client_secret("s e:c+r&t"),
                };
                let outcome = refresh(&provider.endpoint_of(Bearer::new(client)), &token).await;
                if tried == registered {
                    token = refresh_token(&tokens(outcome));
                } else {
                    let (code, meaning) = refused(outcome);
                    assert_eq!(code, "invalid_client", "{tried:?} of {registered:?}");
                    assert_eq!(meaning, Meaning::Configuration);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_to_the_letter_is_refused_and_spends_nothing() {
        let provider = builder().build();
        let token = refresh_token(&provider.issue(HOUR));
        let shown: String =
            form_urlencoded::byte_serialize(token.expose_secret().as_bytes()).collect();
        let client = "client_id=id&client_secret=s+e%3Ac%2Br%26t";
        let good = format!("grant_type=refresh_token&refresh_token={shown}");
        let whole = format!("{good}&{client}");
        let basic = "Basic aWQ6cytlJTNBYyUyQnIlMjZ0";
        for (request, status, error) in [
            (
                Request::get(format!("/oauth2/token?{whole}"))
                    .body(Bytes::new())
                    .unwrap(),
                400,
                "invalid_request",
            ),
            (
                form(client, |request| {
                    request.uri(format!("/oauth2/token?{good}"))
                }),
                400,
                "invalid_request",
            ),
            (
                form(&whole, |request| request.header(CONTENT_TYPE, "text/plain")),
                400,
                "invalid_request",
            ),
            (
                form(&format!("{whole}&grant_type=refresh_token"), |it| it),
                400,
                "invalid_request",
            ),
            (
                form(&format!("{whole}&x=1&x=1"), |it| it),
                400,
                "invalid_request",
            ),
            (
                form(&whole, |request| request.header(AUTHORIZATION, basic)),
                400,
                "invalid_request",
            ),
            (
                form(&good, |request| request.header(AUTHORIZATION, basic)),
                401,
                "invalid_client",
            ),
            (form(&good, |it| it), 400, "invalid_request"),
            (
                form(&format!("{good}&client_id=other&client_secret=x"), |it| it),
                401,
                "invalid_client",
            ),
            (
                form(&format!("{good}&client_id=id&client_secret=x"), |it| it),
                401,
                "invalid_client",
            ),
            (
                form(&format!("grant_type=password&{client}"), |it| it),
                400,
                "unsupported_grant_type",
            ),
            (
                form(&format!("grant_type=refresh_token&{client}"), |it| it),
                400,
                "invalid_request",
            ),
            (
                form(
                    &format!("grant_type=refresh_token&refresh_token=x&{client}"),
                    |it| it,
                ),
                400,
                "invalid_grant",
            ),
        ] {
            let by_header = request.headers().contains_key(AUTHORIZATION);
            let shown = format!("{request:?}");
            let (answer, text) = answer(&provider, request).await;
            assert_eq!(answer.status(), status, "{shown}: {text}");
            assert!(
                text.contains(&format!("\"error\":\"{error}\"")),
                "{shown}: {text}"
            );
            // RFC 6749 §5.2.
            let challenge = answer.headers().get(WWW_AUTHENTICATE);
            assert_eq!(challenge.is_some(), by_header && status == 401, "{shown}");
        }
        let (answer, text) = answer(&provider, form(&whole, |it| it)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{text}");
    }

    #[tokio::test]
    async fn a_token_that_came_in_any_shape_was_presented() {
        let provider = builder().build();
        let json = Bytes::from_static(br#"{"refresh_token":"a"}"#);
        let in_json = Request::post("/oauth2/token").body(json).unwrap();
        let in_url = Request::get("/oauth2/token?refresh_token=b").body(Bytes::new());
        for request in [in_json, in_url.unwrap(), form("refresh_token=c", |it| it)] {
            let _ = answer(&provider, request).await;
        }
        let seen: Vec<_> = provider
            .presentations()
            .into_iter()
            .map(|it| it.token.expose_secret().to_owned())
            .collect();
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn json_is_taken_where_it_is_wanted() {
        let provider = builder().json_requests(true).build();
        let next = rotated(&endpoint(&provider), &provider.issue(HOUR)).await;
        let form = Bearer::new(provider.oauth2().send_json(false));
        let outcome = refresh(&provider.endpoint_of(form), &refresh_token(&next)).await;
        assert_eq!(refused(outcome).0, "invalid_request");
        let twice = r#"{"client_id":"id","client_id":"id"}"#;
        let request = Request::post("/oauth2/token")
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Bytes::from_static(twice.as_bytes()));
        let (_, text) = answer(&provider, request.unwrap()).await;
        assert!(text.contains("parameters: one is given twice"), "{text}");
    }

    #[tokio::test]
    async fn a_code_works_once_with_its_verifier_and_its_redirect_uri() {
        let provider = builder().build();
        let endpoint = endpoint(&provider);
        let asked = endpoint.authorize_url("state").unwrap();
        let verifier = asked.code_verifier.unwrap();
        let code = || provider.agree_to(&asked.url).unwrap();
        let whole = code().with_verifier(verifier.clone());
        let first = tokens(exchange(&endpoint, &whole).await);
        rotated(&endpoint, &first).await;
        let other = crate::CodeVerifier::random();
        for wrong in [
            whole,
            code(),
            code().with_verifier(other.clone()),
            // RFC 9700 §2.1.1.
            provider.authorization_code().with_verifier(other),
        ] {
            let (error, meaning) = refused(exchange(&endpoint, &wrong).await);
            assert_eq!(error, "invalid_grant");
            assert_eq!(meaning, Meaning::CodeRejected);
        }
        tokens(exchange(&endpoint, &provider.authorization_code()).await);
        let elsewhere = provider
            .oauth2()
            .with_redirect_uri("https://me.example/else");
        let elsewhere = provider.endpoint_of(Bearer::new(elsewhere));
        let code = code().with_verifier(verifier);
        assert_eq!(
            refused(exchange(&elsewhere, &code).await).0,
            "invalid_grant"
        );
        let asked = elsewhere.authorize_url("state").unwrap();
        assert_eq!(provider.agree_to(&asked.url), Err("redirect_uri: wrong"));
    }

    #[tokio::test]
    async fn in_the_grace_window_the_same_successor_comes_until_it_is_presented() {
        let clock = TestClock::new();
        let provider = builder()
            .clock(clock.clone())
            .grace_window(30 * SECOND)
            .reuse_kills_grant(true)
            .build();
        let endpoint = endpoint(&provider);
        let first = provider.issue(HOUR);
        let second = rotated(&endpoint, &first).await;
        clock.advance(29 * SECOND);
        let again = rotated(&endpoint, &first).await;
        assert_eq!(again.refresh_token, second.refresh_token);
        assert_ne!(again.access_token, second.access_token);
        assert!(provider.presented_twice().is_empty());
        // Also when the second answer is presented, and the first once more, still in time.
        let third = rotated(&endpoint, &again).await;
        assert_eq!(
            refused(refresh(&endpoint, &refresh_token(&first)).await).0,
            "invalid_grant"
        );
        let dead = refresh(&endpoint, &refresh_token(&third)).await;
        assert_eq!(refused(dead).0, "invalid_grant");
        let seen: Vec<_> = provider
            .presentations()
            .into_iter()
            .map(|it| (it.generation, it.times, it.allowed, it.outcome))
            .collect();
        let no = Presented::Refused(ErrorCode::RefreshTokenRejected);
        assert_eq!(
            seen,
            [
                (1, 1, true, Presented::Rotated),
                (1, 2, true, Presented::Replayed),
                (2, 1, true, Presented::Rotated),
                (1, 3, true, no),
                (3, 1, true, no),
            ]
        );
    }

    #[tokio::test]
    async fn beyond_the_grace_window_a_spent_token_is_the_clients_fault() {
        let clock = TestClock::new();
        let provider = builder()
            .clock(clock.clone())
            .grace_window(30 * SECOND)
            .build();
        let endpoint = endpoint(&provider);
        let first = provider.issue(HOUR);
        rotated(&endpoint, &first).await;
        clock.advance(30 * SECOND);
        let outcome = refresh(&endpoint, &refresh_token(&first)).await;
        assert_eq!(
            refused(outcome),
            ("invalid_grant".to_owned(), Meaning::GrantEnded)
        );
        let [twice] = &provider.presented_twice()[..] else {
            panic!("one")
        };
        assert_eq!((twice.times, twice.allowed), (2, false));
    }

    #[tokio::test]
    async fn a_refresh_token_that_is_not_rotated_stays_good_and_no_fault() {
        let provider = builder().rotate_refresh_tokens(false).build();
        let endpoint = endpoint(&provider);
        let first = provider.issue(HOUR);
        for generation in 2..5 {
            let next = rotated(&endpoint, &first).await;
            assert_eq!(
                next.refresh_token, first.refresh_token,
                "kept by the client"
            );
            let holder = provider
                .state()
                .grants
                .holder_of(next.access_token.expose_secret());
            assert_eq!(holder.unwrap().generation, generation);
        }
        assert_eq!(provider.presentations().len(), 3);
        assert!(provider.presented_twice().is_empty());
    }

    #[tokio::test]
    async fn answers_have_what_the_builder_says() {
        let provider = builder()
            .announce_lifetime(false)
            .id_tokens(true)
            .token_extra("instance_url", "https://eu.example")
            .token_extra("error", "")
            .build();
        let issued = provider.issue(HOUR);
        assert_eq!((&issued.mac_key, issued.algorithm), (&None, None));
        let next = rotated(&endpoint(&provider), &issued).await;
        assert_eq!(next.expires_in, None);
        assert_eq!(next.subject, issued.subject);
        assert_eq!(
            next.extras["instance_url"].expose_secret(),
            "https://eu.example"
        );

        let plain = builder().build();
        let next = rotated(&endpoint(&plain), &plain.issue(HOUR)).await;
        assert_eq!(next.expires_in, Some(Duration::from_secs(360_000)));
        assert_eq!(next.subject, None);
    }

    #[tokio::test]
    async fn it_refuses_as_those_do_that_differ() {
        let spent = RefreshToken::new("spent");
        for status in [
            StatusCode::OK,
            StatusCode::FORBIDDEN,
            StatusCode::UNAUTHORIZED,
        ] {
            let provider = builder()
                .token_refusal_status(status)
                .token_error(ErrorCode::RefreshTokenRejected, "bad_refresh_token")
                .build();
            let client = provider.oauth2();
            let client = client.with_error("bad_refresh_token", Meaning::GrantEnded);
            let endpoint = provider.endpoint_of(Bearer::new(client));
            let expected = ("bad_refresh_token".to_owned(), Meaning::GrantEnded);
            assert_eq!(refused(refresh(&endpoint, &spent).await), expected);
            let body = "client_id=id&client_secret=s+e%3Ac%2Br%26t\
                &grant_type=refresh_token&refresh_token=spent";
            let (answer, _) = answer(&provider, form(body, |it| it)).await;
            assert_eq!(answer.status(), status);
        }
    }

    #[tokio::test]
    async fn no_secret_is_in_what_a_refusal_says() {
        let provider = builder().build();
        for body in [
            "client_id=id&client_secret=canary&grant_type=refresh_token&refresh_token=canary",
            "client_id=canary&client_secret=canary",
            "grant_type=canary&client_id=id&client_secret=s+e%3Ac%2Br%26t",
        ] {
            let (_, text) = answer(&provider, form(body, |it| it)).await;
            assert!(
                text.contains("error_description") && !text.contains("canary"),
                "{text}"
            );
        }
    }
}
