//! Keeping what was sent out of what comes back.

use std::error::Error;
use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::spelling::{decode_runs, unescape};
use crate::provider::{Outcome, Presented, Provider};
use crate::{ClientSecret, CodeVerifier};

/// So many characters in a row that are also in a secret give it away, even if the rest of it was
/// cut off.
const TELLING: usize = 8;
/// Nobody escapes a text more often.
const MOST_ESCAPED: usize = 4;

/// The secrets of one request, to be kept out of what comes back.
pub(super) struct Sent<'a>(Vec<&'a str>);

impl<'a> Sent<'a> {
    /// Of a request that presents this.
    pub(super) fn new<P: Provider>(provider: &'a P, presented: &'a Presented<'a>) -> Self {
        let secret = provider.client_secret().map(ClientSecret::expose_secret);
        let verifier = match *presented {
            Presented::AuthorizationCode(code) => code.verifier(),
            Presented::RefreshToken { .. } => None,
        };
        let verifier = verifier.map(CodeVerifier::expose_secret);
        let mut all = provider.other_secrets();
        all.extend(secret);
        all.extend(verifier);
        all.push(presented.expose_secret());
        Self(all)
    }

    /// Whether `text` repeats a telling part of a secret, however that is spelled. If in doubt, it
    /// does.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let traces = Traces::of(&self.0);
        let mut text = Zeroizing::new(text.as_bytes().to_vec());
        for _ in 0..=MOST_ESCAPED {
            let is_coded = |run: &Zeroizing<Vec<u8>>| {
                // A whole query may be in base64, or base64 in base64.
                let inner = unescape(run);
                traces.are_in(run)
                    || traces.are_in(&inner)
                    || decode_runs(&inner).iter().any(|run| traces.are_in(run))
            };
            if traces.are_in(&text) || decode_runs(&text).iter().any(is_coded) {
                return true;
            }
            let unescaped = unescape(&text);
            if *unescaped == *text {
                return false;
            }
            text = unescaped;
        }
        true
    }

    /// Whether an error, or one under it, shows a telling part of a secret: the errors of a
    /// transport may quote the URL.
    pub(super) fn is_in_error(&self, error: &(dyn Error + 'static)) -> bool {
        let mut text = Zeroizing::new(String::new());
        let mut next = Some(error);
        while let Some(error) = next {
            // Writing to a string fails only if the error's own code does.
            if write!(text, "{error} {error:?} ").is_err() {
                return true;
            }
            next = error.source();
        }
        self.is_in(&text)
    }
}

type Parts = Zeroizing<Vec<[u8; TELLING]>>;

/// By what secrets are known again.
struct Traces {
    /// Their telling parts, [folded](fold), in order.
    parts: Parts,
    /// The same of their letters and digits alone: whatever else is between these, or in place of what
    /// was there.
    bare_parts: Parts,
    /// Those that are too short to have parts, whole.
    short: Vec<Zeroizing<Vec<u8>>>,
}

impl Traces {
    fn of(secrets: &[&str]) -> Self {
        let len = |secret: &&str| secret.len() * (MOST_ESCAPED + 1);
        // Growing would leave an unwiped copy behind.
        let most = secrets.iter().map(len).sum();
        let mut traces = Self {
            parts: Zeroizing::new(Vec::with_capacity(most)),
            bare_parts: Zeroizing::new(Vec::with_capacity(most)),
            short: Vec::new(),
        };
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            let mut secret = Zeroizing::new(secret.as_bytes().to_vec());
            // What looks like an escape in a secret is undone in the text, too.
            for _ in 0..=MOST_ESCAPED {
                traces.add(&secret);
                let unescaped = unescape(&secret);
                if *unescaped == *secret {
                    break;
                }
                secret = unescaped;
            }
        }
        traces.parts.sort_unstable();
        traces.bare_parts.sort_unstable();
        traces
    }

    fn add(&mut self, secret: &[u8]) {
        let folded = fold(secret);
        self.parts.extend(parts(&folded));
        self.bare_parts.extend(parts(&bare(&folded)));
        if (1..TELLING).contains(&folded.len()) {
            self.short.push(folded);
        }
    }

    fn are_in(&self, text: &[u8]) -> bool {
        let folded = fold(text);
        let is_known =
            |known: &Parts, text: &[u8]| parts(text).any(|part| known.binary_search(&part).is_ok());
        let is_there = |short: &Zeroizing<Vec<u8>>| {
            let mut places = folded.windows(short.len());
            places.any(|place| place == &***short)
        };
        is_known(&self.parts, &folded)
            || is_known(&self.bare_parts, &bare(&folded))
            || self.short.iter().any(is_there)
    }
}

fn parts(text: &[u8]) -> impl Iterator<Item = [u8; TELLING]> {
    let parts = text.windows(TELLING);
    parts.filter_map(|part| part.try_into().ok())
}

/// Without what changes on the way: case, a `+` for a space, a space for a control character.
fn fold(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let folded = text.iter().map(|byte| match byte {
        b'+' | 0..=0x1F | 0x7F => b' ',
        byte => byte.to_ascii_lowercase(),
    });
    Zeroizing::new(folded.collect())
}

/// The letters and digits alone.
fn bare(folded: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bare = Zeroizing::new(Vec::with_capacity(folded.len()));
    bare.extend(folded.iter().filter(|byte| byte.is_ascii_alphanumeric()));
    bare
}

/// Takes out what repeats the request, since outcomes go to logs: servers quote what they
/// refuse, and the errors of a transport may quote the URL.
pub(super) fn redact(outcome: &mut Outcome, sent: &Sent<'_>) {
    let source = match outcome {
        Outcome::Tokens(_) | Outcome::RateLimited(_) => return,
        Outcome::Refused(refusal) => {
            if refusal.description().is_some_and(|text| sent.is_in(text)) {
                refusal.redact_description();
            }
            if sent.is_in(refusal.code()) {
                refusal.redact_code();
            }
            return;
        }
        Outcome::Unsent(unsent) => unsent.source_mut(),
        Outcome::Ambiguous(ambiguous) => ambiguous.source_mut(),
    };
    if source
        .as_deref()
        .is_some_and(|source| sent.is_in_error(source))
    {
        *source = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuthorizationCode;
    use crate::provider::Xiaomi;
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
    use proptest::prelude::*;

    /// A way to spell a text.
    type Spell = fn(&str) -> String;

    fn each(text: &str, write: impl Fn(&mut String, char)) -> String {
        let mut out = String::new();
        for character in text.chars() {
            write(&mut out, character);
        }
        out
    }

    fn utf16(text: &str, before: &str) -> String {
        text.encode_utf16().fold(String::new(), |mut out, unit| {
            let _ = write!(out, "{before}{unit:04x}");
            out
        })
    }

    fn bytes(text: &str, before: &str) -> String {
        text.bytes().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{before}{byte:02X}");
            out
        })
    }

    const SPELLINGS: &[(&str, Spell)] = &[
        ("as it is", str::to_owned),
        ("upper case", |text| text.to_ascii_uppercase()),
        ("percent, what must be", |text| {
            percent_encoding::utf8_percent_encode(text, crate::provider::STRICT).to_string()
        }),
        ("percent, all of it", |text| bytes(text, "%")),
        ("percent of JavaScript", |text| utf16(text, "%u")),
        ("a form", |text| {
            form_urlencoded::byte_serialize(text.as_bytes()).collect()
        }),
        ("+ for a space", |text| text.replace(' ', "+")),
        ("a space for a +", |text| text.replace('+', " ")),
        ("HTML, what must be", |text| {
            each(text, |out, character| match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                '/' => out.push_str("&#x2F;"),
                '=' => out.push_str("&equals;"),
                '+' => out.push_str("&plus;"),
                character => out.push(character),
            })
        }),
        ("HTML, decimal", |text| {
            each(text, |out, character| {
                let _ = write!(out, "&#{};", u32::from(character));
            })
        }),
        ("HTML, hexadecimal", |text| {
            each(text, |out, character| {
                let _ = write!(out, "&#x{:X};", u32::from(character));
            })
        }),
        ("JSON", |text| {
            let json = serde_json::to_string(text).unwrap_or_default();
            json.replace('/', "\\/").replace('&', "\\u0026")
        }),
        ("JSON, all of it", |text| utf16(text, "\\u")),
        ("a Rust string", |text| format!("{text:?}")),
        ("a Rust string, all of it", |text| {
            text.escape_unicode().to_string()
        }),
        ("hexadecimal of a C string", |text| bytes(text, "\\x")),
        ("hexadecimal", |text| bytes(text, "")),
        ("base64", |text| BASE64_STANDARD.encode(text)),
        ("base64 without its end", |text| {
            BASE64_STANDARD_NO_PAD.encode(text)
        }),
        ("base64 for URLs", |text| BASE64_URL_SAFE.encode(text)),
        ("Basic", |text| {
            BASE64_STANDARD.encode(format!("a client:{text}"))
        }),
    ];

    #[test]
    fn a_secret_is_found_whole_in_part_and_encoded() {
        let sent = Sent(vec!["s3cr&t+secret/value", "", ""]);
        for text in [
            "it was s3cr&t+secret/value",
            "T+SECRET/ was cut",
            "url?client_secret=s3cr%26t%2Bsec",
            "s3cr&amp;t+secret/value",
            r"s3cr\u0026t+secret\/value",
            "s3cr&t secret/value",
            "Basic YTpzM2NyJnQrc2VjcmV0L3ZhbHVl",
            "s3cr%2526t%252Bsecret",
        ] {
            assert!(sent.is_in(text), "{text}");
        }
        for text in [
            "",
            "refresh token wrong",
            "R&D: 100% of the &quot;secrets&quot; are \"wrong\" \\ expired",
            "Trace ID: 3f2504e0-4f89-11d3-9a0c-0305e82c3301, AADSTS70008",
        ] {
            assert!(!sent.is_in(text), "{text}");
        }
        assert!(Sent(vec!["abc", "", ""]).is_in("xabcx"));
        assert!(Sent(vec!["пароль!", "", ""]).is_in("%D0%BF%D0%B0%D1%80%D0%BE%D0%BB%D1%8C"));
    }

    #[test]
    fn every_secret_of_a_request_is_looked_for() {
        let secret = ClientSecret::new("client-secret");
        let code = AuthorizationCode::new("the-code").with_verifier("the-verifier");
        let xiaomi = Xiaomi::new("1", secret.clone(), "https://client.example/");
        let presented = (&code).into();
        let sent = Sent::new(&xiaomi, &presented);
        for text in [
            "client-secret",
            "the-code",
            "the-verifier",
            "aWQ6Y2xpZW50LXNlY3JldA==",
        ] {
            assert!(sent.is_in(&format!("wrong: {text}")), "{text}");
        }
        assert!(!sent.is_in("Basic authentication is needed"));
    }

    #[test]
    fn a_text_that_is_escaped_without_end_is_in_doubt() {
        let sent = Sent(vec!["s3cr&t+secret/value", "", ""]);
        assert!(!sent.is_in("&amp;amp;amp;lt;"));
        assert!(sent.is_in("&amp;amp;amp;amp;amp;lt;"));
    }

    proptest! {
        #[test]
        fn a_secret_is_found_however_it_is_spelled(
            secret in "[ -~]{8,60}",
            once in 0..SPELLINGS.len(),
            again in 0..SPELLINGS.len(),
            before in "(|token |refresh_token=|x)",
            after in "(|\\.| was refused|&more)",
        ) {
            let (first, second) = (SPELLINGS[once], SPELLINGS[again]);
            // An upper case code is another code.
            let again = second.0 != "upper case";
            let spelled = (first.1)(&secret);
            let spelled = if again { (second.1)(&spelled) } else { spelled };
            let text = format!("{before}{spelled}{after}");
            prop_assert!(
                Sent(vec!["", &secret, ""]).is_in(&text),
                "{}, then {}: {text}", first.0, second.0,
            );
        }

        #[test]
        fn a_secret_is_found_whatever_is_put_between_its_letters(
            secret in "[0-9A-Za-z_~.-]{4}[0-9A-Za-z]{8,60}",
            every in 1..8_usize,
            between in "(-| |\r\n|=\r\n|&shy;|%20|\\\\/)",
        ) {
            let chunks: Vec<_> = secret.as_bytes().chunks(every).collect();
            let chunks: Vec<_> = chunks.into_iter().map(String::from_utf8_lossy).collect();
            let text = chunks.join(&between);
            prop_assert!(Sent(vec!["", &secret, ""]).is_in(&text), "{text}");
        }

        #[test]
        fn what_is_not_there_is_not_found(secret in "[0-9A-Z_~.+/-]{24,80}", number in 0..1_000_000) {
            let text = format!(
                "AADSTS70008: the refresh token is wrong, spent or expired &amp; request {number} \
                 was refused (see https://docs.example/errors?code=96009&lang=en)"
            );
            prop_assert!(!Sent(vec!["", &secret, ""]).is_in(&text));
        }

        #[test]
        fn any_text_can_be_looked_through(secret: String, text: String) {
            let _ = Sent(vec![&secret, "secret", ""]).is_in(&text);
        }
    }
}
