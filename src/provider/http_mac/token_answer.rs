use bytes::Bytes;
use http::Response;

use super::{Draft, ISSUED_AT};
use crate::provider::{Ambiguous, AmbiguousKind, Fields, Outcome, TokenSet, date};
use crate::{Extra, RefreshToken};

/// The tokens of an answer, with what a MAC needs: the key, its algorithm, and when it was issued.
pub(super) fn with_key(draft: Draft, outcome: Outcome, answer: &Response<Bytes>) -> Outcome {
    let Outcome::Tokens(mut tokens) = outcome else {
        return outcome;
    };
    if draft == Draft::V00 {
        // Empty without a `Date`, or the moment of the key before would stand for this one's.
        let at = date(answer.headers()).map(|at| at.as_secs().to_string());
        let at = Extra::new(at.unwrap_or_default());
        tokens.extras.insert(ISSUED_AT.to_owned(), at);
    }
    let fields = Fields::read(answer.body());
    match put_key(tokens, &fields) {
        Ok(tokens) => Outcome::Tokens(tokens),
        Err(fault) => {
            // It may be the only token that works from now on.
            let next = fields.optional("refresh_token").map(RefreshToken::new);
            Outcome::Ambiguous(fault.with_next(next))
        }
    }
}

fn put_key(mut tokens: TokenSet, fields: &Fields) -> Result<TokenSet, Ambiguous> {
    const NAME: &str = "mac_algorithm";
    let mac_key = fields.required("mac_key")?;
    let algorithm = fields.required(NAME)?.parse().map_err(|_| {
        let detail = "mac_algorithm: not known";
        Ambiguous::new(AmbiguousKind::Field, detail)
    })?;
    tokens.extras.remove("mac_key");
    tokens.extras.remove(NAME);
    Ok(tokens.with_mac_key(mac_key, algorithm))
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::provider::{OAuth2, Presented};
    use crate::sign::Algorithm;
    use crate::{AccessToken, MacKeyText};

    /// As in §5.1 of the draft.
    const PUBLISHED: &str = r#"{"access_token":"SlAV32hkKG","token_type":"mac","expires_in":3600,"refresh_token":"8xLOxBtZp8","mac_key":"adijq39jdlaska9asud","mac_algorithm":"hmac-sha-256"}"#;

    fn read(draft: Draft, body: &str, date: Option<&str>) -> Outcome {
        let mut answer = Response::new(Bytes::from(body.to_owned()));
        if let Some(date) = date {
            let headers = answer.headers_mut();
            headers.insert(header::DATE, date.parse().unwrap());
        }
        let oauth2 = OAuth2::new("https://as.example/token", "id").with_token_type("mac");
        let presented = RefreshToken::new("old");
        let outcome = oauth2.token_answer(Presented::from(&presented), &answer);
        with_key(draft, outcome, &answer)
    }

    fn tokens(draft: Draft, body: &str, date: Option<&str>) -> TokenSet {
        match read(draft, body, date) {
            Outcome::Tokens(tokens) => tokens,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_published_answer_is_read() {
        let tokens = tokens(Draft::V01, PUBLISHED, None);
        assert_eq!(tokens.access_token, AccessToken::new("SlAV32hkKG"));
        assert_eq!(tokens.mac_key, Some(MacKeyText::new("adijq39jdlaska9asud")));
        assert_eq!(tokens.algorithm, Some(Algorithm::HmacSha256));
        assert_eq!(tokens.refresh_token, Some(RefreshToken::new("8xLOxBtZp8")));
        assert!(tokens.extras.is_empty(), "{:?}", tokens.extras);
    }

    #[test]
    fn of_revision_00_the_moment_of_the_answer_is_kept() {
        let issued_at = |date| {
            let mut tokens = tokens(Draft::V00, PUBLISHED, date);
            let kept = tokens.extras.remove(ISSUED_AT).unwrap();
            assert!(tokens.extras.is_empty());
            kept.expose_secret().to_owned()
        };
        assert_eq!(
            issued_at(Some("Mon, 07 May 2012 04:00:00 GMT")),
            "1336363200"
        );
        // So that the moment of an older key is not taken over.
        for date in [None, Some("yesterday"), Some("")] {
            assert_eq!(issued_at(date), "");
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named_and_the_next_refresh_token_kept() {
        for (from, to, error) in [
            (
                r#","mac_key":"adijq39jdlaska9asud""#,
                "",
                "mac_key: missing",
            ),
            (r#""adijq39jdlaska9asud""#, r#""""#, "mac_key: empty"),
            (r#""adijq39jdlaska9asud""#, "7", "mac_key: not a string"),
            (
                r#","mac_algorithm":"hmac-sha-256""#,
                "",
                "mac_algorithm: missing",
            ),
            ("hmac-sha-256", "canary", "mac_algorithm: not known"),
            (r#""mac""#, r#""bearer""#, "token_type: not mac"),
        ] {
            let body = PUBLISHED.replace(from, to);
            assert_ne!(body, PUBLISHED);
            let Outcome::Ambiguous(ambiguous) = read(Draft::V00, &body, None) else {
                panic!("{error}");
            };
            assert!(ambiguous.to_string().ends_with(error), "{ambiguous}");
            let next = ambiguous.next_refresh_token();
            assert_eq!(next, Some(&RefreshToken::new("8xLOxBtZp8")));
        }
    }

    #[test]
    fn the_old_refresh_token_is_no_next_one() {
        let body = PUBLISHED
            .replace(r#""refresh_token":"8xLOxBtZp8","#, "")
            .replace("mac_key", "mac_kez");
        let Outcome::Ambiguous(ambiguous) = read(Draft::V01, &body, None) else {
            panic!("there is no key");
        };
        assert!(ambiguous.next_refresh_token().is_none());
    }

    #[test]
    fn what_is_no_tokens_is_left_as_it_is() {
        let refused = read(Draft::V00, r#"{"error":"invalid_grant"}"#, None);
        assert!(matches!(refused, Outcome::Refused(_)));
    }
}
