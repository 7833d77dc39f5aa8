use bytes::Bytes;
use http::uri::PathAndQuery;

use super::query::Pair;
use crate::sign::SignError;

/// The path and the query to send: the caller's own pairs, then those of the credential.
#[inline]
pub(super) fn rewritten(
    path: &[u8],
    callers: &[Pair<'_>],
    owned: &[u8],
) -> Result<PathAndQuery, SignError> {
    let callers_len: usize = callers.iter().map(|pair| pair.text().len() + 1).sum();
    let mut text = Vec::with_capacity(path.len() + 1 + callers_len + owned.len());
    text.extend_from_slice(path);
    text.push(b'?');
    for pair in callers {
        text.extend_from_slice(pair.text());
        text.push(b'&');
    }
    text.extend_from_slice(owned);
    PathAndQuery::from_maybe_shared(Bytes::from(text)).map_err(|_| at_fault(path))
}

/// What keeps the two from being sent as one.
#[cold]
fn at_fault(path: &[u8]) -> SignError {
    if path == b"*" {
        // It asks about the server as a whole (RFC 9112 §3.2.4).
        return SignError::malformed("path", "`*` can carry no query, and so no credential");
    }
    let field = if PathAndQuery::try_from(path).is_ok() {
        "query"
    } else {
        "path"
    };
    SignError::malformed(field, "does not fit into a URI")
}

#[cfg(test)]
mod tests {
    use super::super::{Credential, Nonce, SigningRules};
    use crate::provider::RequestParts;
    use crate::sign::{Algorithm, MacKey};
    use crate::{AccessToken, MacKeyText};

    fn refused(path: &str, query: &str) -> String {
        let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("key")).unwrap();
        let credential = Credential::new(&AccessToken::new("CANARY"), key);
        let request = RequestParts::new("OPTIONS", "api.example", path).with_query(query);
        let nonce: Nonce = "1:2".parse().unwrap();
        let rules = SigningRules::new().accept_malformed_query(true);
        let error = rules.sign(&credential, &request, &nonce).unwrap_err();
        assert!(error.to_string().starts_with(error.field()));
        error.to_string()
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_the_name_of_the_part_at_fault() {
        let star = "path: `*` can carry no query, and so no credential";
        assert_eq!(refused("*", ""), star);
        assert_eq!(refused("*", "a=b"), star);
        assert_eq!(refused("/<a>", ""), "path: does not fit into a URI");
        assert_eq!(refused("/a", "b=<"), "query: does not fit into a URI");
        let long = "a".repeat(65_000);
        let error = refused(&format!("/{}", "p".repeat(1000)), &long);
        assert_eq!(error, "query: does not fit into a URI");
    }
}
