use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::provider::Fields;

/// The `sub` of an ID token (OpenID Connect Core §2), `None` if it cannot be read.
///
/// Its signature is not verified: it came over TLS from the token endpoint itself, which OpenID Connect
/// Core §3.1.3.7 takes in place of one. Nothing is decided by it but whether a new authorization is of
/// the same user.
pub(super) fn subject_of_id_token(id_token: &str) -> Option<String> {
    let mut parts = id_token.trim().split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        // Encrypted.
        return None;
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('='));
    let claims = Fields::read(&Zeroizing::new(payload.ok()?));
    let subject = claims.optional("sub").filter(|_| claims.is_whole());
    subject.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_token(payload: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_subject_is_read() {
        let text = r#"{"iss":"https://server.example.com","sub":"24400320","aud":"s6BhdRkqt3"}"#;
        assert_eq!(
            subject_of_id_token(&id_token(text)).as_deref(),
            Some("24400320")
        );
    }

    #[test]
    fn what_is_no_id_token_has_no_subject() {
        let sub = r#"{"sub":"x"}"#;
        for text in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "a.b".to_owned(),
            "e30.!!!.c2ln".to_owned(),
            format!("{}.e.e", id_token(sub)),
            id_token(r#"{"sub":7}"#),
            id_token(r#"{"sub":" "}"#),
            id_token(r#"{"sub":"x","sub":"y"}"#),
            id_token(r#"{"sub":"x""#),
            id_token("[]"),
            "e30._w.c2ln".to_owned(),
        ] {
            assert_eq!(subject_of_id_token(&text), None, "{text}");
        }
    }
}
