use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};

use crate::provider::{Challenges, Head, Refusal};

/// What the head of a response says.
#[inline]
pub(super) fn read_head(status: StatusCode, headers: &HeaderMap) -> Head {
    // Looked for one by one: cheaper than a look-up among the few that a response has.
    if status != StatusCode::UNAUTHORIZED && headers.keys().all(|name| *name != WWW_AUTHENTICATE) {
        return Head::Verdict(None);
    }
    Head::Verdict(refusal(status, headers))
}

#[cold]
fn refusal(status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
    let mut refused = status == StatusCode::UNAUTHORIZED;
    for challenge in Challenges::of(headers).filter(|challenge| challenge.is("Bearer")) {
        match challenge.parameter("error").as_deref() {
            Some("invalid_token") => return Some(Refusal::TokenRejected),
            // `_scope` (RFC 6750 §3.1), `_user_authentication` (RFC 9470 §3), `_claims` (what some
            // say): a token of the same grant would fall short as well.
            Some(error) if error.starts_with("insufficient_") => refused = false,
            _ => {}
        }
    }
    refused.then_some(Refusal::TokenRejected)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(status: u16, challenges: &[&str]) -> Option<Refusal> {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            headers.append(WWW_AUTHENTICATE, challenge.parse().unwrap());
        }
        match read_head(StatusCode::from_u16(status).unwrap(), &headers) {
            Head::Verdict(refusal) => refusal,
            Head::Read { .. } => panic!("the body says nothing more"),
        }
    }

    const REJECTED: Option<Refusal> = Some(Refusal::TokenRejected);

    /// RFC 6750 §3.
    #[test]
    fn the_published_refusals_are_read() {
        assert_eq!(read(401, &[r#"Bearer realm="example""#]), REJECTED);
        let expired = "Bearer realm=\"example\", error=\"invalid_token\", \
            error_description=\"The access token expired\"";
        assert_eq!(read(401, &[expired]), REJECTED);
    }

    #[test]
    fn a_rejected_token_is_told_from_all_else() {
        let invalid = r#"Bearer error="invalid_token""#;
        let scope = r#"Bearer error="insufficient_scope", scope="a b""#;
        let quoted = r#"Bearer error_description="no, error=\"invalid_token\"", error="x""#;
        let long = format!("Digest nonce=\"{}\", {invalid}", "x, Bearer ".repeat(820));
        assert!(long.len() > 8 * 1024);
        for (status, challenges, expected) in [
            (200, &[][..], None),
            (400, &[], None),
            (403, &[], None),
            (500, &[], None),
            (401, &[], REJECTED),
            (200, &[invalid], REJECTED),
            (400, &[invalid], REJECTED),
            (403, &["bearer Error=invalid_token"], REJECTED),
            (
                403,
                &["Basic realm=\"a\", bearer error=invalid_token"],
                REJECTED,
            ),
            (403, &["Basic realm=\"a, b\"", invalid], REJECTED),
            (403, &[&long], REJECTED),
            (401, &[&long], REJECTED),
            (401, &[quoted], REJECTED),
            (403, &[quoted], None),
            (403, &[scope], None),
            (401, &[scope], None),
            (401, &[scope, invalid], REJECTED),
            (
                401,
                &[r#"Bearer error="insufficient_user_authentication""#],
                None,
            ),
            (403, &["Bearer"], None),
            (403, &[r#"MAC error="invalid_token""#], None),
            (400, &[r#"Bearer error="invalid_request""#], None),
            (
                401,
                &[r#"OAuth2 realm="gateway", error="invalid_token""#],
                REJECTED,
            ),
            (401, &["Basic realm=\"api\"", "Negotiate"], REJECTED),
        ] {
            assert_eq!(
                read(status, challenges),
                expected,
                "{status} {challenges:?}"
            );
        }
    }

    #[test]
    fn to_say_no_refusal_takes_no_memory() {
        let mut headers = HeaderMap::new();
        let scope = r#"Basic realm="a", Bearer error="insufficient_scope""#;
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(scope));
        let counted = allocation_counter::measure(|| {
            let said = read_head(StatusCode::FORBIDDEN, &headers);
            assert_eq!(said, Head::Verdict(None));
            let said = read_head(StatusCode::OK, &HeaderMap::new());
            assert_eq!(said, Head::Verdict(None));
        });
        assert_eq!(counted.count_total, 0);
    }

    proptest! {
        #[test]
        fn no_bytes_hide_a_rejection_in_a_header_of_its_own(
            value in proptest::collection::vec(32..=255_u8, 0..200),
            status in 200_u16..600,
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(WWW_AUTHENTICATE, value);
            }
            let invalid = HeaderValue::from_static("Bearer error=invalid_token");
            headers.append(WWW_AUTHENTICATE, invalid);
            let status = StatusCode::from_u16(status).unwrap();
            prop_assert_eq!(read_head(status, &headers), Head::Verdict(REJECTED));
        }
    }
}
