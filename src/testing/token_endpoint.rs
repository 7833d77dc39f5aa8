//! The token endpoint: what a request is answered with, and how that goes wrong.

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::answer::{self, HTML, JSON};
use super::dialect::Asked;
use super::grants::Granted;
use super::refused::Refused;
use super::{Fault, Presentation, Presented, Provider};
use crate::RefreshToken;

/// The path of the token endpoint.
pub(super) const PATH: &str = "/oauth2/token";

/// What becomes of a request.
pub(super) enum Reply {
    Answer(Response<Bytes>),
    /// This head, and a body that never ends.
    Endless(Response<()>),
    Reset,
}

impl Provider {
    /// # Cancel safety
    ///
    /// What has come is put down at once, and the endpoint acts in one go: dropping it loses the
    /// answer, as on a wire.
    pub(super) async fn token_request(&self, request: &Request<Bytes>) -> Reply {
        let fault = self.next_fault();
        if let Some(Fault::RateLimited { retry_after }) = fault {
            return Reply::Answer(answer::rate_limited(self.config(), retry_after));
        }
        let noted = self.note(request);
        let act = || self.act(request, noted);
        let (fault, acted) = match fault {
            None => return Reply::Answer(self.answer(request, &act(), true)),
            Some(Fault::Delay(by)) => {
                tokio::time::sleep(by).await;
                return Reply::Answer(self.answer(request, &act(), true));
            }
            Some(Fault::ConsumedThenReset) => (Fault::Reset, Some(act())),
            Some(Fault::Consumed(fault)) => (*fault, Some(act())),
            Some(fault @ (Fault::Compressed | Fault::CutShort | Fault::WrongAlgorithm)) => {
                (fault, Some(act()))
            }
            Some(fault) => (fault, None),
        };
        let config = self.config();
        let ok = StatusCode::OK;
        let whole = |usable| {
            let acted = acted.as_ref();
            acted.map(|acted| self.answer(request, acted, usable))
        };
        Reply::Answer(match fault {
            Fault::Delay(by) => {
                tokio::time::sleep(by).await;
                match whole(true) {
                    Some(answer) => answer,
                    None => self.answer(request, &act(), true),
                }
            }
            Fault::ServerError(status) => {
                answer::response(config, status, HTML, "<h1>Out of order</h1>")
            }
            Fault::RateLimited { retry_after } => answer::rate_limited(config, retry_after),
            Fault::Garbage => answer::response(config, ok, JSON, &b"\x16\x03\x01\x00\xFF{]"[..]),
            Fault::Empty200 => answer::response(config, ok, HTML, Bytes::new()),
            Fault::Html => {
                let page = "<!DOCTYPE html><title>Welcome</title><p>Please log in.";
                answer::response(config, ok, HTML, page)
            }
            Fault::Compressed => answer::gzip(whole(true).unwrap_or_default()),
            Fault::CutShort => cut(whole(true)),
            Fault::WrongAlgorithm => whole(false).unwrap_or_default(),
            Fault::RefuseWith(code) => {
                let refused = (code, "refused as the test wants");
                config.dialect.token_refusal(config, request, refused)
            }
            Fault::Endless => {
                return Reply::Endless(
                    answer::response(config, ok, HTML, Bytes::new()).map(|_| ()),
                );
            }
            Fault::Hang => std::future::pending().await,
            // A refused connection brings no request, and what is consumed was unwrapped.
            Fault::Reset
            | Fault::ConsumedThenReset
            | Fault::ConnectionRefused
            | Fault::Consumed(_) => return Reply::Reset,
        })
    }

    /// Does what is asked, and puts down what came of it.
    fn act(&self, request: &Request<Bytes>, noted: Option<u64>) -> Result<Granted, Refused> {
        let result = self.grant(request);
        let outcome = match &result {
            Ok(granted) => granted.outcome,
            Err((code, _)) => Presented::Refused(*code),
        };
        self.state().records.set_outcome(noted, outcome);
        result
    }

    fn grant(&self, request: &Request<Bytes>) -> Result<Granted, Refused> {
        let config = self.config();
        let asked = config.dialect.asked(config, request)?;
        let now = config.clock.now();
        let grants = &mut self.state().grants;
        match asked {
            Asked::RefreshToken(token) => grants.rotate(&token, now, config.lifetime, config.rules),
            Asked::Code { code, verifier } => {
                grants.exchange(&code, verifier.as_deref(), now, config.lifetime)
            }
        }
    }

    /// With tokens that can be used, or with some that nobody can sign with.
    fn answer(
        &self,
        request: &Request<Bytes>,
        acted: &Result<Granted, Refused>,
        usable: bool,
    ) -> Response<Bytes> {
        let config = self.config();
        match acted {
            Ok(granted) => config.dialect.tokens(config, &granted.tokens, usable),
            Err(refused) => config.dialect.token_refusal(config, request, *refused),
        }
    }

    /// Puts a presented refresh token down; where, if there is one.
    fn note(&self, request: &Request<Bytes>) -> Option<u64> {
        let config = self.config();
        let token = config.dialect.presented(request)?;
        let at = config.clock.now();
        let mut state = self.state();
        let owner = state.grants.owner_of(&token);
        let (subject, generation) = match owner {
            Some((subject, generation)) => (Some(subject), generation),
            None => (None, 0),
        };
        Some(state.records.note(
            config.rules,
            Presentation {
                token: RefreshToken::new(token),
                // Both are found where it is put down.
                times: 0,
                allowed: false,
                subject,
                generation,
                at,
                outcome: Presented::NotActedOn,
            },
        ))
    }
}

/// The first half of an answer, as if it were whole.
fn cut(answer: Option<Response<Bytes>>) -> Response<Bytes> {
    let half = |mut body: Bytes| {
        body.truncate(body.len() / 2);
        body
    };
    answer.unwrap_or_default().map(half)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::TestClock;
    use super::super::by_hand::{refresh, refresh_token, refused_with, rotated};
    use super::*;
    use crate::AccessToken;
    use crate::provider::xiaomi::ErrorCode;
    use crate::provider::{Provider as _, Xiaomi};
    use crate::token::Outcome;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn get(provider: &Provider, target: &str) -> Response<Bytes> {
        let request = Request::get(target).body(Bytes::new()).unwrap();
        match provider.token_request(&request).await {
            Reply::Answer(answer) => answer,
            Reply::Endless(_) | Reply::Reset => panic!("no answer"),
        }
    }

    /// What a client makes of an answer.
    fn read(provider: &Provider, answer: &Response<Bytes>) -> Outcome {
        let token = RefreshToken::new("R");
        let presented = crate::provider::Presented::RefreshToken {
            token: &token,
            grant: None,
        };
        provider.xiaomi().token_answer(presented, answer)
    }

    async fn exchange(provider: &Provider, code: &crate::AuthorizationCode) -> Outcome {
        let connected = provider.endpoint().connect().await.unwrap();
        connected.exchange_code(code).await
    }

    #[tokio::test]
    async fn a_refresh_token_works_once() {
        let provider = Provider::new();
        let endpoint = provider.endpoint();
        let first = provider.issue(HOUR);
        let second = rotated(&endpoint, &first).await;
        assert_ne!(first.access_token, second.access_token);
        assert_ne!(first.mac_key, second.mac_key);
        assert_eq!(first.subject, second.subject);

        let again = refresh(&endpoint, &refresh_token(&first)).await;
        assert_eq!(refused_with(&again), Some(96009));

        let seen: Vec<_> = provider
            .presentations()
            .into_iter()
            .map(|it| (it.generation, it.times, it.outcome))
            .collect();
        let refused = Presented::Refused(ErrorCode::RefreshTokenRejected);
        assert_eq!(seen, [(1, 1, Presented::Rotated), (1, 2, refused)]);
        assert_eq!(provider.presented_twice().len(), 1);
        assert_eq!(provider.token_requests(), 2);
        // The grant goes on.
        rotated(&endpoint, &second).await;
    }

    #[tokio::test]
    async fn reuse_kills_the_grant_if_wanted_and_no_other() {
        let provider = Provider::builder().reuse_kills_grant(true).build();
        let endpoint = provider.endpoint();
        let (first, other) = (provider.issue(HOUR), provider.issue(HOUR));
        let second = rotated(&endpoint, &first).await;
        let _ = refresh(&endpoint, &refresh_token(&first)).await;
        let dead = refresh(&endpoint, &refresh_token(&second)).await;
        assert_eq!(refused_with(&dead), Some(96009));
        rotated(&endpoint, &other).await;
    }

    #[tokio::test]
    async fn grants_do_not_mix() {
        let provider = Provider::new();
        let endpoint = provider.endpoint();
        let (one, two) = (provider.issue(HOUR), provider.issue(HOUR));
        assert_ne!(one.subject, two.subject);
        let next = rotated(&endpoint, &one).await;
        assert_eq!(next.subject, one.subject);
        assert!(provider.revoke_grant(&one.access_token));
        let dead = refresh(&endpoint, &refresh_token(&next)).await;
        assert_eq!(refused_with(&dead), Some(96009));
        assert_eq!(rotated(&endpoint, &two).await.subject, two.subject);
    }

    #[tokio::test]
    async fn an_authorization_code_works_once_and_for_minutes() {
        let clock = TestClock::new();
        let provider = Provider::builder().clock(clock.clone()).build();
        let (code, late) = (provider.authorization_code(), provider.authorization_code());
        let Outcome::Tokens(tokens) = exchange(&provider, &code).await else {
            panic!("no tokens")
        };
        rotated(&provider.endpoint(), &tokens).await;
        let again = exchange(&provider, &code).await;
        assert_eq!(refused_with(&again), Some(96013));
        clock.advance(Duration::from_secs(301));
        let late = exchange(&provider, &late).await;
        assert_eq!(refused_with(&late), Some(96013));
    }

    #[tokio::test]
    async fn a_user_who_agrees_again_has_a_second_grant() {
        let provider = Provider::new();
        let endpoint = provider.endpoint();
        let first = provider.issue(HOUR);
        let next = rotated(&endpoint, &first).await;
        for access_token in [&first.access_token, &next.access_token] {
            let code = provider.authorization_code_of(access_token).unwrap();
            let Outcome::Tokens(second) = exchange(&provider, &code).await else {
                panic!("no tokens")
            };
            assert_eq!(second.subject, first.subject);
            rotated(&endpoint, &second).await;
        }
        rotated(&endpoint, &next).await;
        let never = provider.authorization_code_of(&AccessToken::new("never issued"));
        assert!(never.is_none());
    }

    #[tokio::test]
    async fn a_client_configured_wrongly_learns_what_is_wrong() {
        let provider = Provider::builder()
            .client("client", "secret")
            .redirect_uri("https://here")
            .build();
        let token = refresh_token(&provider.issue(HOUR));
        for (id, secret, redirect_uri, code) in [
            ("another", "secret", "https://here", 96001),
            ("client", "guess", "https://here", 96003),
            ("client", "secret", "https://there", 96010),
        ] {
            let endpoint = provider.endpoint_of(Xiaomi::new(id, secret, redirect_uri));
            let outcome = refresh(&endpoint, &token).await;
            assert_eq!(refused_with(&outcome), Some(code));
        }
        let good = "client_id=client&client_secret=secret&redirect_uri=https://here";
        for (query, code) in [
            (format!("{good}&grant_type=password"), 96006),
            (format!("{good}&grant_type=refresh_token"), 96002),
            (format!("{good}&grant_type=authorization_code"), 96002),
            (format!("{good}&client_id=client&grant_type=x"), 96002),
            (good.to_owned(), 96002),
            (
                format!("{good}&token_type=bearer&grant_type=refresh_token"),
                96002,
            ),
            (String::new(), 96002),
        ] {
            let answer = get(&provider, &format!("/oauth2/token?{query}")).await;
            let outcome = read(&provider, &answer);
            assert_eq!(refused_with(&outcome), Some(code), "{query}");
        }
        // None of it has spent the token.
        assert!(matches!(
            refresh(&provider.endpoint(), &token).await,
            Outcome::Tokens(_)
        ));
    }

    #[tokio::test]
    async fn a_secret_that_was_not_encoded_is_another_secret() {
        let provider = Provider::builder().client("client", "a+b").build();
        let target = "/oauth2/token?client_id=client&client_secret=a+b&redirect_uri=x";
        let answer = get(&provider, target).await;
        let outcome = read(&provider, &answer);
        assert_eq!(refused_with(&outcome), Some(96003));
    }

    #[tokio::test]
    async fn it_writes_as_the_provider_does_unless_told_to_be_tidy() {
        let target = |provider: &Provider| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", provider.client_id())
                .append_pair("client_secret", provider.client_secret().expose_secret())
                .append_pair("redirect_uri", provider.redirect_uri())
                .append_pair("grant_type", "authorization_code")
                .append_pair("code", provider.authorization_code().expose_secret())
                .finish();
            format!("/oauth2/token?{query}")
        };
        let odd = Provider::new();
        let answer = get(&odd, &target(&odd)).await;
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.starts_with("&&&START&&&{"), "{text}");
        for piece in [
            r#""mac_key ":""#,
            r#""token_type ":"mac""#,
            r#":" HmacSha1""#,
        ] {
            assert!(text.contains(piece), "{text}");
        }
        assert!(answer.headers().contains_key("date"));

        let tidy = Provider::builder()
            .plain_answers(true)
            .string_codes(true)
            .token_refusal_status(StatusCode::BAD_REQUEST)
            .build();
        let answer = get(&tidy, &target(&tidy)).await;
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.starts_with(r#"{"access_token":""#), "{text}");
        assert!(text.contains(r#""mac_algorithm":"HmacSha1""#), "{text}");
        let answer = get(&tidy, "/oauth2/token").await;
        assert_eq!(answer.status(), 400);
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.contains(r#""error":"96002""#), "{text}");
    }

    #[tokio::test]
    async fn what_was_presented_prints_no_token() {
        let provider = Provider::new();
        let tokens = provider.issue(HOUR);
        rotated(&provider.endpoint(), &tokens).await;
        let text = format!("{provider:?} {:?}", provider.presentations());
        assert!(
            !text.contains(refresh_token(&tokens).expose_secret()),
            "{text}"
        );
    }
}
