use bytes::Bytes;
use http::{Response, StatusCode};

use super::ErrorCode;
use crate::RefreshToken;
use crate::provider::json::strip;
use crate::provider::{Ambiguous, AmbiguousKind, Fields, Outcome, RateLimited, Refused, TokenSet};
use crate::sign::Algorithm;

/// The fields of an answer that have a place of their own.
const KNOWN: &[&str] = &[
    "access_token",
    "mac_key",
    "mac_algorithm",
    "token_type",
    "refresh_token",
    "expires_in",
    "scope",
    "openId",
    "openid",
    "error",
    "error_description",
];

/// What an answer of the token endpoint says.
///
/// A missing `mac_algorithm` is [`Algorithm::HmacSha1`] and a missing `token_type` is `mac`: the
/// provider has no others, and refusing would throw away tokens that were paid for. A refusal counts
/// only with a status below 500. A 429 is [`Outcome::RateLimited`] whatever comes with it, unless that
/// is a token.
pub(super) fn read_answer(answer: &Response<Bytes>) -> Outcome {
    let (status, body) = (answer.status(), answer.body());
    let fields = Fields::read(body);
    // Kept before anything else is looked at: whatever is wrong with the rest, this may be the
    // only token that works from now on.
    let next = fields.optional("refresh_token").map(RefreshToken::new);
    let ambiguous = |fault: Ambiguous| Outcome::Ambiguous(fault.with_next(next.clone()));

    let has_tokens = fields.has("access_token") || fields.has("refresh_token");
    // A 429 is no verdict, whatever code its page may show. If it brings tokens, it is no 429.
    if status == StatusCode::TOO_MANY_REQUESTS && !has_tokens {
        return Outcome::RateLimited(RateLimited::new(None));
    }
    if !status.is_success() && !status.is_client_error() {
        return ambiguous(Ambiguous::new(AmbiguousKind::Status(status), ""));
    }
    if strip(body).is_empty() {
        return ambiguous(Ambiguous::new(AmbiguousKind::Empty, "the answer is empty"));
    }
    if !fields.is_whole() {
        let detail = "the answer is not one whole JSON object";
        return ambiguous(Ambiguous::new(AmbiguousKind::Unreadable, detail));
    }
    if fields.has("error") {
        return match refusal(&fields, has_tokens) {
            Ok(refusal) => Outcome::Refused(refusal),
            Err(fault) => ambiguous(fault),
        };
    }
    if !status.is_success() {
        return ambiguous(Ambiguous::new(AmbiguousKind::Status(status), ""));
    }
    match tokens(&fields, next.clone()) {
        Ok(tokens) => Outcome::Tokens(tokens),
        Err(fault) => ambiguous(fault),
    }
}

fn field(detail: &'static str) -> Ambiguous {
    Ambiguous::new(AmbiguousKind::Field, detail)
}

fn refusal(fields: &Fields, has_tokens: bool) -> Result<Refused, Ambiguous> {
    if has_tokens {
        return Err(field("error: given together with tokens"));
    }
    let code = match fields.number("error") {
        Ok(code) => code.and_then(|code| u32::try_from(code).ok()),
        Err(_) => None,
    };
    let code = ErrorCode::from_code(code.ok_or_else(|| field("error: not a code"))?);
    Ok(Refused::from(code).with_description(fields.optional("error_description")))
}

fn tokens(fields: &Fields, next: Option<RefreshToken>) -> Result<TokenSet, Ambiguous> {
    let access_token = fields.required("access_token")?;
    let mac_key = fields.required("mac_key")?;
    // What it is worth was seen before; here it must not be odd.
    fields.text("refresh_token")?;
    if let Some(name) = fields.text("token_type")?
        && !name.trim().eq_ignore_ascii_case("mac")
    {
        return Err(field("token_type: not mac"));
    }
    let algorithm = match fields.text("mac_algorithm")? {
        Some(name) => name
            .parse()
            .map_err(|_| field("mac_algorithm: not known"))?,
        None => Algorithm::HmacSha1,
    };
    let expires_in = fields.seconds("expires_in")?;
    let subject = fields.optional("openId").or(fields.optional("openid"));
    Ok(TokenSet {
        refresh_token: next,
        expires_in: Some(expires_in.ok_or_else(|| field("expires_in: missing"))?),
        scope: fields.optional("scope").map(str::to_owned),
        subject: subject.map(str::to_owned),
        extras: fields.extras(KNOWN),
        ..TokenSet::new(access_token).with_mac_key(mac_key, algorithm)
    })
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::provider::Meaning;
    use crate::{AccessToken, MacKeyText};

    const WHOLE: &str = r#"&&&START&&&{"access_token":"AT-canary-1","expires_in":360000,"refresh_token":"RT-canary-1","scope":"1 3","token_type ":"mac","mac_key ":"MK-canary-1","mac_algorithm":" HmacSha1","openId":"2.0:abc"}"#;

    fn answered(status: StatusCode, body: &[u8]) -> Outcome {
        let mut answer = Response::new(Bytes::copy_from_slice(body));
        *answer.status_mut() = status;
        read_answer(&answer)
    }

    fn read(body: impl AsRef<[u8]>) -> Outcome {
        answered(StatusCode::OK, body.as_ref())
    }

    fn read_tokens(body: impl AsRef<[u8]>) -> TokenSet {
        match read(body.as_ref()) {
            Outcome::Tokens(tokens) => tokens,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(body.as_ref())),
        }
    }

    fn read_ambiguous(status: u16, body: impl AsRef<[u8]>) -> Ambiguous {
        match answered(StatusCode::from_u16(status).unwrap(), body.as_ref()) {
            Outcome::Ambiguous(ambiguous) => ambiguous,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(body.as_ref())),
        }
    }

    /// An answer with one field replaced, or taken out.
    fn with(name: &str, value: &str) -> String {
        let fields = [
            ("access_token", r#""AT-canary-1""#),
            ("expires_in", "360000"),
            ("refresh_token", r#""RT-canary-1""#),
            ("token_type", r#""mac""#),
            ("mac_key", r#""MK-canary-1""#),
            ("mac_algorithm", r#""HmacSha1""#),
        ];
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (*n, if *n == name { value } else { v }))
            .filter(|(_, v)| !v.is_empty())
            .map(|(n, v)| format!("{n:?}:{v}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }

    #[test]
    fn the_documented_answer_is_read() {
        let tokens = read_tokens(WHOLE);
        assert_eq!(tokens.access_token, AccessToken::new("AT-canary-1"));
        assert_eq!(tokens.mac_key, Some(MacKeyText::new("MK-canary-1")));
        assert_eq!(tokens.algorithm, Some(Algorithm::HmacSha1));
        assert_eq!(tokens.refresh_token, Some(RefreshToken::new("RT-canary-1")));
        assert_eq!(tokens.expires_in, Some(Duration::from_secs(360_000)));
        assert_eq!(tokens.scope.as_deref(), Some("1 3"));
        assert_eq!(tokens.subject.as_deref(), Some("2.0:abc"));
    }

    #[test]
    fn what_providers_are_known_to_send_is_read() {
        let bare = WHOLE.strip_prefix("&&&START&&&").unwrap();
        for dressed in [
            bare.to_owned(),
            format!("&&&START&&& \r\n\t{bare}\n"),
            format!("\u{feff}{WHOLE}"),
            format!("\n \u{feff} {WHOLE}"),
            format!("&&&START&&&\u{feff}{bare}"),
            bare.replace("openId", "openid"),
            bare.replace("\"scope\"", "\"\\tscope \""),
            bare.replace("360000", "\"360000\""),
            bare.replace("360000", "\" 360000 \""),
            bare.replace("360000", "3.6e5"),
            bare.replace("\"mac\"", "\" MAC\\n\""),
            bare.replace(" HmacSha1", "hmacSHA1 "),
            bare.replace('{', r#"{"access_token":"AT-canary-1","#),
            bare.replace('{', r#"{"error":null,"#),
        ] {
            assert_eq!(read_tokens(&dressed), read_tokens(WHOLE), "{dressed}");
        }
    }

    #[test]
    fn what_else_is_sent_is_kept_and_spoils_nothing() {
        let more = WHOLE.replace('{', r#"{"more":{"a":[1,null,{}]},"and":1.5e999,"who":"x","#);
        let tokens = read_tokens(more);
        let extras = tokens.extras.iter();
        let extras: Vec<_> = extras
            .map(|(name, value)| (&**name, value.expose_secret()))
            .collect();
        let wanted = [
            ("and", "1.5e999"),
            ("more", r#"{"a":[1,null,{}]}"#),
            ("who", "x"),
        ];
        assert_eq!(extras, wanted);
    }

    #[test]
    fn a_missing_algorithm_or_token_type_is_the_only_one_there_is() {
        for name in ["mac_algorithm", "token_type"] {
            for value in ["", "null"] {
                let tokens = read_tokens(with(name, value));
                assert_eq!(tokens.algorithm, Some(Algorithm::HmacSha1));
            }
        }
    }

    #[test]
    fn without_a_refresh_token_there_are_tokens_all_the_same() {
        for value in ["", "null", "\"\"", "\" \""] {
            assert_eq!(
                read_tokens(with("refresh_token", value)).refresh_token,
                None
            );
        }
    }

    #[test]
    fn scope_and_subject_of_odd_types_are_left_out() {
        let odd = WHOLE
            .replace("\"1 3\"", "[1,3]")
            .replace("\"2.0:abc\"", "7");
        let tokens = read_tokens(odd);
        assert_eq!((tokens.scope, tokens.subject), (None, None));
    }

    #[test]
    fn each_bad_field_is_named_and_the_next_refresh_token_kept() {
        let whole = "not a whole, positive number of seconds";
        for (name, value, complaint) in [
            ("access_token", "", "missing"),
            ("access_token", "null", "missing"),
            ("access_token", r#""""#, "empty"),
            ("access_token", r#"" ""#, "empty"),
            ("access_token", "7", "not a string"),
            ("access_token", r#"["AT-canary-1"]"#, "not a string"),
            ("mac_key", "", "missing"),
            ("mac_key", r#""""#, "empty"),
            ("mac_key", r#"{"a":"MK-canary-1"}"#, "not a string"),
            ("mac_key", "true", "not a string"),
            ("mac_algorithm", r#""HmacMd5""#, "not known"),
            ("mac_algorithm", r#""""#, "not known"),
            ("mac_algorithm", "1", "not a string"),
            ("token_type", r#""bearer""#, "not mac"),
            ("token_type", "[]", "not a string"),
            ("expires_in", "", "missing"),
            ("expires_in", "0", "zero"),
            ("expires_in", r#""0""#, "zero"),
            ("expires_in", "-1", whole),
            ("expires_in", r#""-1""#, whole),
            ("expires_in", r#""+1""#, whole),
            ("expires_in", "1.5", whole),
            ("expires_in", r#""1.5""#, whole),
            ("expires_in", r#""NaN""#, whole),
            ("expires_in", r#""""#, whole),
            ("expires_in", r#""soon""#, whole),
            ("expires_in", "{}", whole),
            ("expires_in", "true", whole),
            ("expires_in", "1e300", whole),
            ("expires_in", r#""99999999999999999999""#, whole),
            ("expires_in", "3200000000", "more than 100 years"),
            ("expires_in", "18446744073709551615", "more than 100 years"),
        ] {
            let ambiguous = read_ambiguous(200, with(name, value));
            assert_eq!(ambiguous.kind(), AmbiguousKind::Field, "{name} {value}");
            assert_eq!(
                ambiguous.to_string(),
                format!("the token endpoint may have acted on the request: {name}: {complaint}"),
            );
            assert_eq!(
                ambiguous.into_next_refresh_token(),
                Some(RefreshToken::new("RT-canary-1")),
                "{name} {value}"
            );
        }
        let ambiguous = read_ambiguous(200, with("refresh_token", "7"));
        assert!(
            ambiguous
                .to_string()
                .ends_with("refresh_token: not a string")
        );
    }

    #[test]
    fn a_field_given_twice_differently_is_refused() {
        for name in ["access_token", "mac_key", "expires_in", "refresh_token"] {
            let twice = with("", "").replace('{', &format!(r#"{{" {name}":"other","#));
            let text = read_ambiguous(200, twice).to_string();
            let wanted = format!("{name}: given twice, with different values");
            assert!(text.ends_with(&wanted), "{text}");
        }
    }

    #[test]
    fn every_form_of_refusal_is_read() {
        for status in [200, 400, 401, 403] {
            for body in [
                r#"&&&START&&&{"error":96009,"error_description":"gone"}"#,
                r#"{"error":"96009","error_description":"gone"}"#,
                r#"{" error ":" 96009 ","error_description":" gone\n","more":1}"#,
            ] {
                let status = StatusCode::from_u16(status).unwrap();
                let Outcome::Refused(refusal) = answered(status, body.as_bytes()) else {
                    panic!("{status} {body}");
                };
                assert_eq!(refusal.code(), "96009");
                assert_eq!(refusal.meaning(), Meaning::GrantEnded);
                assert_eq!(refusal.description(), Some("gone"));
            }
        }
    }

    #[test]
    fn a_refusal_with_an_unknown_code_is_still_a_refusal() {
        let Outcome::Refused(refusal) = read(r#"{"error":12,"error_description":7}"#) else {
            panic!("a refusal");
        };
        assert_eq!(refusal.code(), "12");
        assert_eq!(refusal.meaning(), Meaning::Unknown);
        assert_eq!(refusal.description(), None);
        assert_eq!(
            refusal.to_string(),
            "the token endpoint refused: 12 unknown code"
        );
    }

    #[test]
    fn an_error_that_is_no_code_decides_nothing() {
        for error in [
            r#""invalid_grant""#,
            "-1",
            "4294967296",
            "[]",
            "1.5",
            "true",
            r#""""#,
        ] {
            let text = read_ambiguous(400, format!(r#"{{"error":{error}}}"#)).to_string();
            assert!(text.ends_with("error: not a code"), "{text}");
        }
    }

    #[test]
    fn a_refusal_that_brings_tokens_decides_nothing() {
        let both = WHOLE.replace('{', r#"{"error":96009,"#);
        let ambiguous = read_ambiguous(200, both);
        assert!(ambiguous.next_refresh_token().is_some());
    }

    #[test]
    fn a_description_is_short_and_of_one_line() {
        let long = format!(
            r#"{{"error":96002,"error_description":"a\u001b[31m\u0000\r\n\u202e{}"}}"#,
            "é".repeat(1000)
        );
        let Outcome::Refused(refusal) = read(long) else {
            panic!("a refusal");
        };
        let description = refusal.description().unwrap();
        assert!(description.starts_with("a [31m    é"), "{description:?}");
        assert_eq!(description.chars().count(), 200);
    }

    #[test]
    fn a_rate_limit_is_no_verdict_whatever_its_page_says() {
        let long = "x".repeat(65_537);
        for body in [
            "",
            "<h1>Too many requests</h1>",
            "{",
            r#"{"error":"rate_limited"}"#,
            r#"{"error":96009}"#,
            &long,
        ] {
            let outcome = answered(StatusCode::TOO_MANY_REQUESTS, body.as_bytes());
            assert!(matches!(outcome, Outcome::RateLimited(_)), "{outcome:?}");
        }
        // Whoever sends tokens has acted.
        let ambiguous = read_ambiguous(429, WHOLE);
        assert!(ambiguous.next_refresh_token().is_some());
    }

    #[test]
    fn the_status_decides_where_the_body_cannot() {
        let refusal = r#"{"error":96009}"#;
        for status in [301, 302, 304, 500, 502, 503, 999] {
            for body in [WHOLE, refusal, "", "<html>"] {
                let ambiguous = read_ambiguous(status, body);
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(ambiguous.kind(), AmbiguousKind::Status(status));
                assert_eq!(ambiguous.next_refresh_token().is_some(), body == WHOLE);
                assert!(ambiguous.to_string().contains(status.as_str()));
            }
        }
        // Tokens do not come with a refusal's status.
        let ambiguous = read_ambiguous(400, WHOLE);
        assert_eq!(
            ambiguous.kind(),
            AmbiguousKind::Status(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn what_is_not_one_json_object_decides_nothing() {
        for (body, kind) in [
            ("", AmbiguousKind::Empty),
            (" \n", AmbiguousKind::Empty),
            ("&&&START&&&", AmbiguousKind::Empty),
            ("\u{feff}", AmbiguousKind::Empty),
            (
                "<!doctype html><title>96009</title>",
                AmbiguousKind::Unreadable,
            ),
            ("null", AmbiguousKind::Unreadable),
            ("[]", AmbiguousKind::Unreadable),
            ("96009", AmbiguousKind::Unreadable),
            ("\"text\"", AmbiguousKind::Unreadable),
            ("{\"error\":96009", AmbiguousKind::Unreadable),
            ("{\"error\":96009}}", AmbiguousKind::Unreadable),
            ("{\"error\":96009}{}", AmbiguousKind::Unreadable),
            ("{\"expires_in\":NaN}", AmbiguousKind::Unreadable),
            ("{\"expires_in\":1e999}", AmbiguousKind::Field),
            ("{}", AmbiguousKind::Field),
        ] {
            assert_eq!(read_ambiguous(200, body).kind(), kind, "{body}");
            assert_eq!(read_ambiguous(200, body).next_refresh_token(), None);
        }
        assert_eq!(
            read_ambiguous(200, b"{\"access_token\":\"\xff\xfe\"}").kind(),
            AmbiguousKind::Unreadable
        );
    }

    #[test]
    fn deep_nesting_is_survived() {
        for name in ["more", "scope", "expires_in", "access_token"] {
            let body = format!("{{\"{name}\":{}", "[".repeat(60_000));
            assert_eq!(read_ambiguous(200, body).kind(), AmbiguousKind::Unreadable);
        }
    }

    #[test]
    fn a_cut_answer_never_gives_tokens_but_keeps_what_was_whole() {
        for end in 0..WHOLE.len() {
            let ambiguous = read_ambiguous(200, &WHOLE[..end]);
            let kept = ambiguous.next_refresh_token().is_some();
            assert_eq!(kept, WHOLE[..end].contains("RT-canary-1\""), "{end}");
            assert!(!format!("{ambiguous} {ambiguous:?}").contains("canary"));
        }
    }

    #[test]
    fn no_value_of_an_answer_shows_in_what_is_said_about_it() {
        let parts = ["access_token", "mac_key", "refresh_token", "expires_in"];
        let mut bodies = vec![WHOLE.replace("mac_key", "x"), WHOLE.replace('}', ",")];
        for part in parts {
            bodies.push(with(part, r#"{"a":"canary"}"#));
            bodies.push(with(part, r#""canary"#));
            bodies.push(with(part, "canary"));
        }
        bodies.push(with("token_type", r#""canary""#));
        bodies.push(WHOLE.to_owned());
        for body in bodies {
            let outcome = read(&body);
            assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
            if let Outcome::Ambiguous(ambiguous) = outcome {
                assert!(!ambiguous.to_string().contains("canary"), "{ambiguous}");
                assert!(ambiguous.source().is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_outcome(
            status in 100_u16..1000,
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let status = StatusCode::from_u16(status).unwrap();
            let outcome = answered(status, &body);
            prop_assert!(matches!(outcome, Outcome::Ambiguous(_) | Outcome::RateLimited(_)));
        }

        #[test]
        fn a_damaged_answer_has_an_outcome(
            at in 0..WHOLE.len(),
            byte in any::<u8>(),
            cut in 0..WHOLE.len(),
        ) {
            let mut body = WHOLE.as_bytes().to_vec();
            body[at] = byte;
            let outcome = answered(StatusCode::OK, &body);
            prop_assert!(!matches!(outcome, Outcome::Unsent(_) | Outcome::Refused(_)));
            body.truncate(cut);
            let outcome = answered(StatusCode::OK, &body);
            prop_assert!(!matches!(outcome, Outcome::Unsent(_) | Outcome::Refused(_)));
        }
    }
}
