use http::{HeaderMap, StatusCode};

use crate::provider::{Challenges, Head, Refusal};

/// What the words in an `error` say: the first that is found counts.
///
/// `credential` comes before the rest because a server that says "Invalid MAC credentials" knows no such
/// key.
const WORDS: &[(&str, Option<Refusal>)] = &[
    ("insufficient", None),
    ("credential", Some(Refusal::TokenRejected)),
    ("nonce", Some(Refusal::SignatureRejected)),
    ("timestamp", Some(Refusal::SignatureRejected)),
    ("clock", Some(Refusal::SignatureRejected)),
    ("stale", Some(Refusal::SignatureRejected)),
    ("replay", Some(Refusal::SignatureRejected)),
    ("signature", Some(Refusal::SignatureRejected)),
    ("hash", Some(Refusal::SignatureRejected)),
    ("bad mac", Some(Refusal::SignatureRejected)),
    ("invalid mac", Some(Refusal::SignatureRejected)),
    ("incorrect mac", Some(Refusal::SignatureRejected)),
    ("mac mismatch", Some(Refusal::SignatureRejected)),
];

/// The words that a user knows of, before those that are known anyway.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(Vec<(String, Option<Refusal>)>);

impl Words {
    /// The last one said of a word holds.
    pub(super) fn add(&mut self, word: &str, refusal: Option<Refusal>) {
        self.0.insert(0, (word.to_lowercase(), refusal));
    }

    fn meaning(&self, error: &str) -> Option<Refusal> {
        let error = error.to_lowercase();
        let own = self.0.iter().map(|(word, refusal)| (&**word, *refusal));
        let mut all = own.chain(WORDS.iter().copied());
        let found = all.find(|(word, _)| error.contains(word));
        found.map_or(Some(Refusal::TokenRejected), |(_, refusal)| refusal)
    }

    /// What the head of a response says.
    #[inline]
    pub(super) fn read_head(&self, status: StatusCode, headers: &HeaderMap) -> Head {
        if status == StatusCode::UNAUTHORIZED {
            self.read_unauthorized(headers)
        } else {
            Head::Verdict(None)
        }
    }

    #[cold]
    fn read_unauthorized(&self, headers: &HeaderMap) -> Head {
        let mut challenges = Challenges::of(headers).filter(|challenge| challenge.is("MAC"));
        let error = challenges.find_map(|challenge| challenge.parameter("error"));
        Head::Verdict(match error {
            Some(error) => self.meaning(&error),
            None => Some(Refusal::TokenRejected),
        })
    }
}

#[cfg(test)]
mod tests {
    use http::header::WWW_AUTHENTICATE;
    use proptest::prelude::*;

    use super::*;

    const TOKEN: Option<Refusal> = Some(Refusal::TokenRejected);
    const SIGNATURE: Option<Refusal> = Some(Refusal::SignatureRejected);

    fn read(words: &Words, status: u16, challenges: &[&str]) -> Option<Refusal> {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            headers.append(WWW_AUTHENTICATE, challenge.parse().unwrap());
        }
        match words.read_head(StatusCode::from_u16(status).unwrap(), &headers) {
            Head::Verdict(refusal) => refusal,
            Head::Read { .. } => panic!("the body says nothing more"),
        }
    }

    #[test]
    fn what_servers_say_is_understood() {
        for (error, refusal) in [
            // The drafts' own.
            ("The MAC credentials expired", TOKEN),
            // What servers in the wild say.
            ("MAC credentials expired", TOKEN),
            ("Invalid MAC credentials", TOKEN),
            ("Invalid credentials", TOKEN),
            ("Unknown credentials", TOKEN),
            ("invalid_token", TOKEN),
            ("Duplicate nonce", SIGNATURE),
            ("Invalid nonce", SIGNATURE),
            ("Stale timestamp", SIGNATURE),
            ("INVALID SIGNATURE", SIGNATURE),
            ("Bad mac", SIGNATURE),
            ("Bad payload hash", SIGNATURE),
            ("insufficient_scope", None),
            ("", TOKEN),
            ("something else", TOKEN),
        ] {
            let challenge = format!("Basic realm=\"a, nonce\", mac error=\"{error}\"");
            let said = read(&Words::default(), 401, &[&challenge]);
            assert_eq!(said, refusal, "{error}");
        }
    }

    #[test]
    fn only_a_401_refuses_and_only_the_mac_challenge_says_what() {
        let nonce = "MAC error=\"Invalid nonce\"";
        for (status, challenges, refusal) in [
            (401, &[][..], TOKEN),
            (401, &["MAC"], TOKEN),
            (401, &["MAC realm=\"nonce\""], TOKEN),
            (401, &["Bearer error=\"nonce\""], TOKEN),
            (401, &["Bearer error=\"x\"", nonce], SIGNATURE),
            (401, &["MAC", nonce], SIGNATURE),
            (400, &[nonce], None),
            (403, &[nonce], None),
            (200, &[nonce], None),
        ] {
            let said = read(&Words::default(), status, challenges);
            assert_eq!(said, refusal, "{status} {challenges:?}");
        }
    }

    #[test]
    fn the_last_word_of_a_user_counts_before_all_others() {
        let mut words = Words::default();
        words.add("Nonce", TOKEN);
        words.add("locked", None);
        words.add("ABGELAUFEN", SIGNATURE);
        let said = |words: &Words, error| read(words, 401, &[&format!("MAC error=\"{error}\"")]);
        assert_eq!(said(&words, "Invalid nonce"), TOKEN);
        assert_eq!(said(&words, "credentials are locked"), None);
        assert_eq!(said(&words, "Zeit abgelaufen"), SIGNATURE);
        assert_eq!(said(&words, "Stale timestamp"), SIGNATURE);
        words.add("nonce", None);
        assert_eq!(said(&words, "Invalid nonce"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(value in proptest::collection::vec(32..=255_u8, 0..100)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(&[b"MAC error=", &*value].concat()) {
                headers.append(WWW_AUTHENTICATE, value);
            }
            let head = Words::default().read_head(StatusCode::UNAUTHORIZED, &headers);
            prop_assert!(matches!(head, Head::Verdict(_)));
        }
    }
}
