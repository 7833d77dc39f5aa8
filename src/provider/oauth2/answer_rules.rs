use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::subject::subject_of_id_token;
use crate::RefreshToken;
use crate::provider::{
    Ambiguous, AmbiguousKind, Fields, Meaning, Outcome, Presented, RateLimited, Refused, TokenSet,
};

/// The fields of an answer that have a place of their own.
const KNOWN: &[&str] = &[
    "access_token",
    "token_type",
    "refresh_token",
    "expires_in",
    "error",
    "error_description",
];
/// What providers call the life of a refresh token, which no RFC names.
const REFRESH_LIVES: [&str; 3] = [
    "refresh_token_expires_in",
    "refresh_expires_in",
    "x_refresh_token_expires_in",
];

/// How the answers of a token endpoint are read.
#[derive(Clone, Debug)]
pub(super) struct AnswerRules {
    errors: Vec<(String, Meaning)>,
    statuses: Vec<(StatusCode, Meaning)>,
    pub(super) keep_refresh_token: bool,
    pub(super) default_life: Option<Duration>,
    pub(super) subject_field: Option<String>,
    pub(super) token_type: Option<Cow<'static, str>>,
}

impl AnswerRules {
    pub(super) fn new() -> Self {
        Self {
            errors: Vec::new(),
            statuses: Vec::new(),
            keep_refresh_token: true,
            default_life: None,
            subject_field: None,
            token_type: None,
        }
    }

    /// The last one said of an error holds.
    pub(super) fn add_error(&mut self, error: String, meaning: Meaning) {
        self.errors.insert(0, (error, meaning));
    }

    /// The last one said of a status holds.
    pub(super) fn add_status(&mut self, status: StatusCode, meaning: Meaning) {
        self.statuses.insert(0, (status, meaning));
    }

    /// What an answer says became of what was presented.
    pub(super) fn read(&self, presented: Presented<'_>, answer: &Response<Bytes>) -> Outcome {
        let fields = Fields::read(answer.body());
        // Kept before anything else is looked at: whatever is wrong with the rest, this may be the
        // only token that works from now on.
        let next = fields.optional("refresh_token").map(RefreshToken::new);
        let read = match self.refusal(presented, answer.status(), &fields) {
            Ok(Some(outcome)) => return outcome,
            Ok(None) if !answer.status().is_success() => {
                Err(Ambiguous::new(AmbiguousKind::Status(answer.status()), ""))
            }
            Ok(None) if answer.body().trim_ascii().is_empty() => {
                Err(Ambiguous::new(AmbiguousKind::Empty, "the answer is empty"))
            }
            Ok(None) if !fields.is_whole() => {
                let detail = "the answer is not one whole JSON object";
                Err(Ambiguous::new(AmbiguousKind::Unreadable, detail))
            }
            Ok(None) => self.tokens(presented, &fields, next.clone()),
            Err(fault) => Err(fault),
        };
        match read {
            Ok(tokens) => Outcome::Tokens(tokens),
            Err(fault) => Outcome::Ambiguous(fault.with_next(next)),
        }
    }

    /// The refusal that an answer is; `None` if it is none that can be read.
    fn refusal(
        &self,
        presented: Presented<'_>,
        status: StatusCode,
        fields: &Fields,
    ) -> Result<Option<Outcome>, Ambiguous> {
        let has_tokens = ["access_token", "refresh_token"]
            .into_iter()
            .any(|name| !fields.is_blank(name));
        // A 429 is no verdict, whatever its page may show. If it brings tokens, it is no 429.
        // Unless the user knows better.
        let is_known = |status| self.statuses.iter().any(|(known, _)| *known == status);
        if status == StatusCode::TOO_MANY_REQUESTS && !has_tokens && !is_known(status) {
            return Ok(Some(Outcome::RateLimited(RateLimited::new(None))));
        }
        let by_status = || {
            let known = self.statuses.iter().find(|(known, _)| *known == status);
            known.filter(|_| !has_tokens).map(|(_, meaning)| *meaning)
        };
        let refused = |code: &str, meaning| {
            let refused = Refused::new(code, fit(meaning, presented));
            let refused = refused.with_description(fields.optional("error_description"));
            Ok(Some(Outcome::Refused(refused)))
        };
        // A server that fails, or a proxy before it, has looked at no token.
        let decides = status.is_success() || status.is_client_error();
        if fields.is_whole() && !fields.is_blank("error") {
            let code = error_code(fields)?;
            if has_tokens {
                return Err(field("error: given together with tokens"));
            }
            let told = self.errors.iter().find(|(known, _)| *known == code);
            let known = match told {
                Some((_, meaning)) => Some(*meaning),
                None if decides => published(&code),
                None => None,
            };
            if let Some(meaning) = known.or_else(by_status) {
                return refused(&code, meaning);
            }
            if decides {
                return refused(&code, Meaning::Unknown);
            }
        }
        match by_status() {
            Some(meaning) => refused(status.as_str(), meaning),
            None => Ok(None),
        }
    }

    fn tokens(
        &self,
        presented: Presented<'_>,
        fields: &Fields,
        next: Option<RefreshToken>,
    ) -> Result<TokenSet, Ambiguous> {
        let access_token = fields.required("access_token")?;
        // RFC 6749, Appendix A.12.
        if !access_token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let detail = "access_token: has a character that is not printable ASCII";
            return Err(field(detail));
        }
        // What it is worth was seen before; here it must not be odd.
        fields.text("refresh_token")?;
        if let Some(wanted) = self.token_type.as_deref()
            && let Some(given) = fields.text("token_type")?.map(str::trim)
            && !given.is_empty()
            && !given.eq_ignore_ascii_case(wanted)
        {
            return Err(field(format!("token_type: not {wanted}")));
        }
        let expires_in = fields.seconds("expires_in")?.or(self.default_life);
        let refresh_token = next.or_else(|| match presented {
            Presented::RefreshToken { token, .. } if self.keep_refresh_token => Some(token.clone()),
            _ => None,
        });
        // Keycloak says 0 of one that does not end; nothing hangs on what else may be odd.
        let refresh_expires_in = REFRESH_LIVES
            .into_iter()
            .find_map(|name| fields.seconds(name).ok().flatten());
        let scope = fields.optional("scope").map(str::to_owned);
        let mut extras = fields.extras(KNOWN);
        if scope.is_some() {
            extras.remove("scope");
        }
        Ok(TokenSet {
            refresh_token,
            expires_in,
            refresh_expires_in,
            scope,
            subject: self.subject(fields),
            extras,
            ..TokenSet::new(access_token)
        })
    }

    fn subject(&self, fields: &Fields) -> Option<String> {
        // One or the other: a user who has two names would be taken for two.
        match self.subject_field.as_deref() {
            None => subject_of_id_token(fields.optional("id_token")?),
            Some(name) => {
                let number = || Some(fields.number(name).ok()??.to_string());
                fields.optional(name).map(str::to_owned).or_else(number)
            }
        }
    }
}

/// The error's text, or its number.
fn error_code(fields: &Fields) -> Result<Cow<'_, str>, Ambiguous> {
    if let Ok(Some(number)) = fields.number("error") {
        return Ok(Cow::Owned(number.to_string()));
    }
    let text = fields.text("error")?.unwrap_or_default();
    Ok(Cow::Borrowed(text.trim()))
}

/// What RFC 6749 §5.2 says, and RFC 8707 §2 of its parameter. It does not say of the others that what
/// was presented is still good.
fn published(error: &str) -> Option<Meaning> {
    match error {
        "invalid_grant" => Some(Meaning::GrantEnded),
        "invalid_request"
        | "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "invalid_target" => Some(Meaning::Configuration),
        _ => None,
    }
}

/// The same end, of what was presented.
fn fit(meaning: Meaning, presented: Presented<'_>) -> Meaning {
    match (meaning, presented) {
        (Meaning::GrantEnded | Meaning::CodeRejected, Presented::RefreshToken { .. }) => {
            Meaning::GrantEnded
        }
        (Meaning::GrantEnded | Meaning::CodeRejected, Presented::AuthorizationCode(_)) => {
            Meaning::CodeRejected
        }
        (other, _) => other,
    }
}

fn field(detail: impl Into<Cow<'static, str>>) -> Ambiguous {
    Ambiguous::new(AmbiguousKind::Field, detail)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;
    use crate::provider::OAuth2;
    use crate::{AccessToken, AuthorizationCode};

    /// RFC 6749 §5.1.
    const PUBLISHED: &str = r#"{
        "access_token":"2YotnFZFEjr1zCsicMWpAA",
        "token_type":"example",
        "expires_in":3600,
        "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
        "example_parameter":"example_value"
    }"#;

    fn client() -> OAuth2 {
        OAuth2::new("https://as.example/token", "id")
    }

    fn answer(status: u16, body: impl AsRef<[u8]>) -> Response<Bytes> {
        let body = Bytes::copy_from_slice(body.as_ref());
        Response::builder().status(status).body(body).unwrap()
    }

    fn refreshed(client: &OAuth2, status: u16, body: impl AsRef<[u8]>) -> Outcome {
        client.token_answer((&RefreshToken::new("old")).into(), &answer(status, body))
    }

    fn exchanged(client: &OAuth2, status: u16, body: impl AsRef<[u8]>) -> Outcome {
        client.token_answer((&AuthorizationCode::new("c")).into(), &answer(status, body))
    }

    fn tokens(outcome: Outcome) -> TokenSet {
        match outcome {
            Outcome::Tokens(tokens) => tokens,
            other => panic!("{other:?}"),
        }
    }

    fn refused(outcome: Outcome) -> Refused {
        match outcome {
            Outcome::Refused(refused) => refused,
            other => panic!("{other:?}"),
        }
    }

    fn meaning(outcome: Outcome) -> Meaning {
        refused(outcome).meaning()
    }

    fn ambiguous(outcome: Outcome) -> Ambiguous {
        match outcome {
            Outcome::Ambiguous(ambiguous) => ambiguous,
            other => panic!("{other:?}"),
        }
    }

    fn why(ambiguous: &Ambiguous) -> String {
        let before = "the token endpoint may have acted on the request: ";
        let text = ambiguous.to_string();
        text.strip_prefix(before).unwrap().to_owned()
    }

    /// What most providers answer, with one field in place of another, or without it.
    fn with(name: &str, json: &str) -> String {
        let usual = [
            ("access_token", r#""A-canary""#),
            ("token_type", r#""bearer""#),
            ("expires_in", "3600"),
            ("refresh_token", r#""R-canary""#),
        ];
        let known = usual.iter().any(|(known, _)| *known == name);
        let usual = usual
            .iter()
            .map(|(known, value)| (*known, if *known == name { json } else { *value }));
        let added = (!known).then_some((name, json));
        let all: Vec<_> = usual
            .chain(added)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name:?}:{value}"))
            .collect();
        format!("{{{}}}", all.join(","))
    }

    #[test]
    fn the_published_answer_is_read() {
        let tokens = tokens(exchanged(&client(), 200, PUBLISHED));
        assert_eq!(
            tokens.access_token,
            AccessToken::new("2YotnFZFEjr1zCsicMWpAA")
        );
        assert_eq!(
            tokens.refresh_token,
            Some(RefreshToken::new("tGzv3JOkF0XG5Qx2TlKWIA"))
        );
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(3600)));
        assert_eq!((&tokens.mac_key, tokens.algorithm), (&None, None));
        let extras: Vec<_> = tokens
            .extras
            .iter()
            .map(|(name, value)| (&**name, value.expose_secret()))
            .collect();
        assert_eq!(extras, [("example_parameter", "example_value")]);
        // The answer of RFC 6749 §5.1 is of a type that nobody can sign with.
        let bearer = client().with_token_type("bearer");
        let ambiguous = ambiguous(exchanged(&bearer, 200, PUBLISHED));
        assert_eq!(why(&ambiguous), "token_type: not bearer");
        let next = RefreshToken::new("tGzv3JOkF0XG5Qx2TlKWIA");
        assert_eq!(ambiguous.next_refresh_token(), Some(&next));
    }

    /// RFC 6749 §5.2.
    #[test]
    fn the_published_error_is_read() {
        let refused = refused(refreshed(&client(), 400, r#"{"error":"invalid_request"}"#));
        assert_eq!(refused.meaning(), Meaning::Configuration);
        assert_eq!(
            (refused.code(), refused.description()),
            ("invalid_request", None)
        );
    }

    #[test]
    fn every_published_error_means_what_it_says() {
        use Meaning::{CodeRejected, Configuration, GrantEnded, Unknown};
        for (error, refresh, code) in [
            ("invalid_grant", GrantEnded, CodeRejected),
            ("invalid_client", Configuration, Configuration),
            ("unauthorized_client", Configuration, Configuration),
            ("unsupported_grant_type", Configuration, Configuration),
            ("invalid_scope", Configuration, Configuration),
            ("invalid_request", Configuration, Configuration),
            ("invalid_target", Configuration, Configuration),
            ("slow_down", Unknown, Unknown),
            ("temporarily_unavailable", Unknown, Unknown),
            ("server_error", Unknown, Unknown),
            ("bad_refresh_token", Unknown, Unknown),
        ] {
            let body = format!(r#"{{"error":" {error}","error_description":"gone"}}"#);
            for status in [200, 400, 401, 403] {
                let refused = refused(refreshed(&client(), status, &body));
                assert_eq!((refused.code(), refused.meaning()), (error, refresh));
                assert_eq!(refused.description(), Some("gone"));
                assert_eq!(
                    meaning(exchanged(&client(), status, &body)),
                    code,
                    "{error}"
                );
            }
            // Whoever fails has not looked.
            for status in [302, 500, 502, 503] {
                let ambiguous = ambiguous(refreshed(&client(), status, &body));
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(ambiguous.kind(), AmbiguousKind::Status(status), "{error}");
            }
        }
    }

    #[test]
    fn a_user_says_what_the_errors_of_a_provider_mean() {
        use Meaning::{CodeRejected, Configuration, GrantEnded, TryLater};
        let client = client()
            .with_error("bad_refresh_token", GrantEnded)
            .with_error("invalid_request", Configuration)
            .with_error("invalid_request", GrantEnded)
            .with_error("unauthorized_client", CodeRejected)
            .with_error("slow_down", TryLater)
            .with_error("96009", GrantEnded);
        for (status, body, expected) in [
            (200, r#"{"error":"bad_refresh_token"}"#, GrantEnded),
            (400, r#"{"error":"invalid_request"}"#, GrantEnded),
            (403, r#"{"error":"unauthorized_client"}"#, GrantEnded),
            (400, r#"{"error":"slow_down"}"#, TryLater),
            (503, r#"{"error":"slow_down"}"#, TryLater),
            (200, r#"{"error":96009}"#, GrantEnded),
            (200, r#"{"error":"96009"}"#, GrantEnded),
            (400, r#"{"error":"invalid_grant"}"#, GrantEnded),
            (400, r#"{"error":"other"}"#, Meaning::Unknown),
        ] {
            let outcome = refreshed(&client, status, body);
            assert_eq!(meaning(outcome), expected, "{status} {body}");
        }
        // The same words of a code are about the code.
        let body = r#"{"error":"invalid_request"}"#;
        assert_eq!(meaning(exchanged(&client, 400, body)), CodeRejected);
    }

    #[test]
    fn a_user_says_what_a_status_means_that_says_nothing() {
        let client = client()
            .with_status(StatusCode::SERVICE_UNAVAILABLE, Meaning::TryLater)
            .with_status(StatusCode::TOO_MANY_REQUESTS, Meaning::GrantEnded)
            .with_status(StatusCode::FORBIDDEN, Meaning::GrantEnded);
        assert_eq!(meaning(refreshed(&client, 429, "")), Meaning::GrantEnded);
        for body in [
            "",
            "<html>",
            r#"{"error":"temporarily_unavailable"}"#,
            "{\"error\":",
        ] {
            assert_eq!(
                meaning(refreshed(&client, 503, body)),
                Meaning::TryLater,
                "{body}"
            );
        }
        let refused = refused(refreshed(&client, 403, "no"));
        assert_eq!(
            (refused.code(), refused.meaning()),
            ("403", Meaning::GrantEnded)
        );
        // A known error says more than a status, and tokens say most.
        let known = refreshed(&client, 403, r#"{"error":"invalid_client"}"#);
        assert_eq!(meaning(known), Meaning::Configuration);
        let both = ambiguous(refreshed(&client, 503, with("x", "1")));
        assert_eq!(
            both.next_refresh_token(),
            Some(&RefreshToken::new("R-canary"))
        );
        let other = ambiguous(refreshed(&client, 502, "<html>"));
        assert_eq!(other.kind(), AmbiguousKind::Status(StatusCode::BAD_GATEWAY));
    }

    #[test]
    fn a_429_is_no_verdict_whatever_its_page_says() {
        for body in [
            "",
            "<html>",
            "{",
            r#"{"error":"invalid_grant"}"#,
            r#"{"access_token":""}"#,
        ] {
            let outcome = refreshed(&client(), 429, body);
            assert!(matches!(outcome, Outcome::RateLimited(_)), "{outcome:?}");
        }
        let ambiguous = ambiguous(refreshed(&client(), 429, with("x", "1")));
        assert!(ambiguous.next_refresh_token().is_some());
    }

    #[test]
    fn an_empty_error_is_none() {
        for error in [r#""""#, r#"" ""#, "null", "false", "0", "{}", "[]"] {
            tokens(refreshed(&client(), 200, with("error", error)));
        }
        for error in ["true", "[1]", r#"{"code":190}"#, "-1", "1.5"] {
            let body = format!(r#"{{"error":{error}}}"#);
            let ambiguous = ambiguous(refreshed(&client(), 400, &body));
            assert_eq!(why(&ambiguous), "error: not a string", "{error}");
        }
    }

    #[test]
    fn an_error_beside_tokens_decides_nothing_and_loses_nothing() {
        let ambiguous = ambiguous(refreshed(
            &client(),
            200,
            with("error", r#""invalid_grant""#),
        ));
        assert_eq!(why(&ambiguous), "error: given together with tokens");
        assert_eq!(
            ambiguous.next_refresh_token(),
            Some(&RefreshToken::new("R-canary"))
        );
        // Tokens that are empty are none.
        let body = r#"{"error":"invalid_grant","access_token":"","refresh_token":""}"#;
        assert_eq!(
            meaning(refreshed(&client(), 400, body)),
            Meaning::GrantEnded
        );
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        for (body, kind) in [
            ("", AmbiguousKind::Empty),
            (" \r\n", AmbiguousKind::Empty),
            (
                "<!doctype html><title>invalid_grant</title>",
                AmbiguousKind::Unreadable,
            ),
            ("[]", AmbiguousKind::Unreadable),
            (r#"[{"error":"invalid_grant"}]"#, AmbiguousKind::Unreadable),
            ("null", AmbiguousKind::Unreadable),
            ("7", AmbiguousKind::Unreadable),
            (r#"{"error":"invalid_grant""#, AmbiguousKind::Unreadable),
            (
                r#"{"access_token":"A","refresh_token":"R","#,
                AmbiguousKind::Unreadable,
            ),
            (
                "access_token=A&token_type=bearer",
                AmbiguousKind::Unreadable,
            ),
            ("{}", AmbiguousKind::Field),
        ] {
            let of_200 = ambiguous(refreshed(&client(), 200, body));
            assert_eq!(of_200.kind(), kind, "{body}");
            let kept = of_200.next_refresh_token().is_some();
            assert_eq!(kept, body.contains("\"R\""), "{body}");
            let of_400 = ambiguous(refreshed(&client(), 400, body));
            assert_eq!(
                of_400.kind(),
                AmbiguousKind::Status(StatusCode::BAD_REQUEST),
                "{body}"
            );
        }
    }

    #[test]
    fn each_bad_field_is_named_and_the_next_refresh_token_kept() {
        let whole = "not a whole, positive number of seconds";
        for (name, json, complaint) in [
            ("access_token", "", "missing"),
            ("access_token", "null", "missing"),
            ("access_token", r#""""#, "empty"),
            ("access_token", "7", "not a string"),
            ("access_token", r#"["A-canary"]"#, "not a string"),
            (
                "access_token",
                r#""A-canary\n""#,
                "has a character that is not printable ASCII",
            ),
            (
                "access_token",
                r#""A-canary\u00e9""#,
                "has a character that is not printable ASCII",
            ),
            ("token_type", r#""mac""#, "not bearer"),
            ("token_type", "7", "not a string"),
            ("expires_in", "-1", whole),
            ("expires_in", r#""soon""#, whole),
            ("expires_in", r#""-3600""#, whole),
            ("expires_in", "1.5", whole),
            ("expires_in", "true", whole),
            ("expires_in", "1000000000000000000", "more than 100 years"),
            ("expires_in", "1e18", "more than 100 years"),
            ("expires_in", "0", "zero"),
        ] {
            let client = client().with_token_type("bearer");
            let ambiguous = ambiguous(refreshed(&client, 200, with(name, json)));
            assert_eq!(ambiguous.kind(), AmbiguousKind::Field, "{name} {json}");
            assert_eq!(why(&ambiguous), format!("{name}: {complaint}"), "{json}");
            assert_eq!(
                ambiguous.next_refresh_token(),
                Some(&RefreshToken::new("R-canary")),
                "{name} {json}"
            );
            assert!(
                !format!("{ambiguous:?}").contains("canary"),
                "{ambiguous:?}"
            );
        }
        let odd = ambiguous(refreshed(&client(), 200, with("refresh_token", "7")));
        assert_eq!(why(&odd), "refresh_token: not a string");
    }

    #[test]
    fn the_token_type_is_compared_without_case_and_may_be_missing() {
        let bearer = client().with_token_type("bearer");
        for json in ["", "null", r#""""#, r#""Bearer""#, r#"" BEARER ""#] {
            tokens(refreshed(&bearer, 200, with("token_type", json)));
        }
    }

    #[test]
    fn a_life_that_is_not_said_is_the_one_the_user_sets() {
        let hour = Duration::from_secs(3600);
        for (json, expected) in [
            ("", None),
            ("null", None),
            ("3600", Some(hour)),
            (r#""3600""#, Some(hour)),
            ("3.6e3", Some(hour)),
        ] {
            let read = tokens(refreshed(&client(), 200, with("expires_in", json)));
            assert_eq!(read.expires_in, expected, "{json}");
            let with_default = client().with_default_life(Duration::from_secs(60));
            let read = tokens(refreshed(&with_default, 200, with("expires_in", json)));
            let or_default = expected.unwrap_or(Duration::from_secs(60));
            assert_eq!(read.expires_in, Some(or_default), "{json}");
        }
    }

    #[test]
    fn the_old_refresh_token_is_kept_unless_there_is_a_new_one_or_the_user_says_no() {
        let old = Some(RefreshToken::new("old"));
        for json in ["", "null", r#""""#, r#"" ""#, r#""old""#] {
            let body = with("refresh_token", json);
            assert_eq!(
                tokens(refreshed(&client(), 200, &body)).refresh_token,
                old,
                "{json}"
            );
            let ended = client().keep_refresh_token(false);
            let said = if json.contains("old") {
                old.clone()
            } else {
                None
            };
            assert_eq!(
                tokens(refreshed(&ended, 200, &body)).refresh_token,
                said,
                "{json}"
            );
            // There is no old one of a code.
            assert_eq!(
                tokens(exchanged(&client(), 200, &body)).refresh_token,
                said,
                "{json}"
            );
        }
        let new = tokens(refreshed(&client(), 200, with("", "")));
        assert_eq!(new.refresh_token, Some(RefreshToken::new("R-canary")));
    }

    #[test]
    fn the_life_of_a_refresh_token_is_read_where_it_can_be() {
        let month = Some(Duration::from_secs(2_592_000));
        for (name, json, expected) in [
            ("refresh_token_expires_in", "2592000", month),
            ("refresh_expires_in", r#""2592000""#, month),
            ("x_refresh_token_expires_in", "2592000", month),
            ("refresh_expires_in", "0", None),
            ("refresh_expires_in", "-1", None),
            ("refresh_token_expires_in", r#""never""#, None),
        ] {
            let read = tokens(refreshed(&client(), 200, with(name, json)));
            assert_eq!(read.refresh_expires_in, expected, "{name} {json}");
        }
    }

    #[test]
    fn what_else_was_sent_is_kept() {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"user-1"}"#);
        let id_token = format!("e30.{payload}.c2ln");
        let body = with("id_token", &format!("{id_token:?}")).replace(
            '{',
            r#"{"instance_url":"https://eu.example","user_id":42,"scope":"a b","#,
        );
        let read = tokens(refreshed(
            &client().with_subject_field("user_id"),
            200,
            &body,
        ));
        assert_eq!(read.subject.as_deref(), Some("42"));
        let usual = tokens(refreshed(&client(), 200, &body));
        assert_eq!(usual.subject.as_deref(), Some("user-1"));
        assert_eq!(read.scope.as_deref(), Some("a b"));
        assert_eq!(read.extras["id_token"].expose_secret(), id_token);
        assert_eq!(
            read.extras["instance_url"].expose_secret(),
            "https://eu.example"
        );
        let names: Vec<_> = read.extras.keys().map(String::as_str).collect();
        assert_eq!(names, ["id_token", "instance_url", "user_id"]);

        // Without one that can be read, the field that the user names.
        let body = body.replace(&payload, "e30");
        let with_field = client().with_subject_field("user_id");
        assert_eq!(
            tokens(refreshed(&with_field, 200, &body))
                .subject
                .as_deref(),
            Some("42")
        );
        assert_eq!(tokens(refreshed(&client(), 200, &body)).subject, None);
        let text = with("user_id", r#""u 1""#);
        assert_eq!(
            tokens(refreshed(&with_field, 200, text)).subject.as_deref(),
            Some("u 1")
        );
    }

    #[test]
    fn a_scope_that_is_a_list_is_kept_as_it_was_written() {
        let read = tokens(refreshed(&client(), 200, with("scope", r#"["a","b"]"#)));
        assert_eq!(read.scope, None);
        assert_eq!(read.extras["scope"].expose_secret(), r#"["a","b"]"#);
    }

    #[test]
    fn no_value_of_an_answer_shows_in_what_is_said_about_it() {
        for name in [
            "access_token",
            "token_type",
            "refresh_token",
            "expires_in",
            "error",
            "scope",
        ] {
            for json in [r#"{"a":"canary"}"#, r#""canary"#, "canary", r#"["canary"]"#] {
                let client = client().with_token_type("bearer");
                for status in [200, 400, 429, 503] {
                    let outcome = refreshed(&client, status, with(name, json));
                    assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
                }
            }
        }
    }

    /// Fields of an answer, and what servers put into them.
    fn fields() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            Just("access_token"),
            Just("refresh_token"),
            Just("token_type"),
            Just("expires_in"),
            Just("error"),
            Just("error_description"),
            Just("id_token"),
            Just("scope"),
            Just("refresh_expires_in"),
            Just("user_id"),
            Just("other"),
        ];
        let value = prop_oneof![
            Just(r#""""#.to_owned()),
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just(r#""Bearer""#.to_owned()),
            Just(r#""invalid_grant""#.to_owned()),
            Just(r#""slow_down""#.to_owned()),
            Just(r#""e30.eyJzdWIiOiJ4In0.e""#.to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| number.to_string()),
            ".{0,8}".prop_map(|text| format!("{text:?}")),
            Just("[{\"a\":[1]}]".to_owned()),
        ];
        proptest::collection::vec((name, value), 0..8).prop_map(|fields| {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{name:?}:{value}"))
                .collect();
            format!("{{{}}}", fields.join(","))
        })
    }

    proptest! {
        #[test]
        fn any_answer_has_an_outcome_and_loses_no_refresh_token(
            whole in fields(),
            status in prop_oneof![Just(200_u16), Just(400), Just(429), Just(503), 100_u16..1000],
            damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cut in proptest::option::of(any::<prop::sample::Index>()),
            is_code: bool,
        ) {
            let mut body = whole.into_bytes();
            if let Some((at, byte)) = damage {
                let at = at.index(body.len());
                body[at] = byte;
            }
            if let Some(cut) = cut {
                body.truncate(cut.index(body.len()));
            }
            let client = client()
                .with_token_type("bearer")
                .with_subject_field("user_id")
                .with_error("slow_down", Meaning::TryLater)
                .with_status(StatusCode::SERVICE_UNAVAILABLE, Meaning::TryLater);
            let outcome = if is_code {
                exchanged(&client, status, &body)
            } else {
                refreshed(&client, status, &body)
            };
            let readable = Fields::read(&body);
            let readable = readable.optional("refresh_token").map(RefreshToken::new);
            match outcome {
                Outcome::Tokens(tokens) => {
                    prop_assert!((200..300).contains(&status));
                    let old = (!is_code).then(|| RefreshToken::new("old"));
                    prop_assert_eq!(tokens.refresh_token, readable.or(old));
                }
                Outcome::Ambiguous(ambiguous) => {
                    prop_assert_eq!(ambiguous.next_refresh_token(), readable.as_ref());
                }
                Outcome::Refused(_) | Outcome::RateLimited(_) => prop_assert_eq!(readable, None),
                Outcome::Unsent(_) => prop_assert!(false, "it was sent"),
            }
        }
    }
}
