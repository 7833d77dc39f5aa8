use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::{HeaderValue, ValueIter, WWW_AUTHENTICATE};

/// The challenges of a response, one after the other (RFC 9110 §11.6.1): for
/// [`Provider::read_head`](super::Provider::read_head).
///
/// `WWW-Authenticate` may be there several times, and have several challenges each time. What servers
/// write is read: parameters without a comma between them, or with one before the first, values that
/// should be in quotes and are not. What is no challenge is passed over. It takes time in proportion
/// to the length, and no memory.
///
/// ```
/// use http::HeaderMap;
/// use tower_mac_auth::provider::Challenges;
///
/// let mut headers = HeaderMap::new();
/// let value = r#"Negotiate abc==, Bearer realm="a, b", error="invalid_token""#;
/// headers.insert("www-authenticate", value.parse()?);
/// let bearer = Challenges::of(&headers).find(|challenge| challenge.is("bearer")).unwrap();
/// assert_eq!(bearer.parameter("error").as_deref(), Some("invalid_token"));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub struct Challenges<'a> {
    values: ValueIter<'a, HeaderValue>,
    parts: Parts<'a>,
}

impl<'a> Challenges<'a> {
    /// Those in these headers.
    #[inline]
    pub fn of(headers: &'a HeaderMap) -> Self {
        Self {
            values: headers.get_all(WWW_AUTHENTICATE).into_iter(),
            parts: Parts::default(),
        }
    }
}

impl<'a> Iterator for Challenges<'a> {
    type Item = Challenge<'a>;

    #[inline]
    fn next(&mut self) -> Option<Challenge<'a>> {
        loop {
            while let Some(part) = self.parts.next() {
                if let Part::Scheme(scheme) = part {
                    let parts = self.parts.clone();
                    return Some(Challenge { scheme, parts });
                }
            }
            self.parts = Parts {
                rest: self.values.next()?.as_bytes(),
                after_scheme: false,
            };
        }
    }
}

impl fmt::Debug for Challenges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

/// A scheme, and what it asks for.
#[derive(Clone)]
pub struct Challenge<'a> {
    scheme: &'a str,
    /// From behind the scheme on; the next scheme ends it.
    parts: Parts<'a>,
}

impl<'a> Challenge<'a> {
    /// The scheme, as it was written.
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// Whether it is of this scheme, in whatever case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of its parameter of this name, in whatever case, without quotes and escapes. The
    /// first one, if there are several.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        for part in self.parts.clone() {
            match part {
                Part::Parameter(known, value) if known.eq_ignore_ascii_case(name) => {
                    return Some(value.text());
                }
                Part::Parameter(..) | Part::Token68 => {}
                Part::Scheme(_) => return None,
            }
        }
        None
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// A header's value, part by part.
#[derive(Clone, Default)]
struct Parts<'a> {
    rest: &'a [u8],
    /// Nothing but white space is between here and the scheme before: the one place for a token68.
    after_scheme: bool,
}

enum Part<'a> {
    Scheme(&'a str),
    Token68,
    Parameter(&'a str, Value<'a>),
}

enum Value<'a> {
    Plain(&'a [u8]),
    /// What is between the quotes.
    Quoted(&'a [u8]),
}

impl<'a> Value<'a> {
    fn text(self) -> Cow<'a, str> {
        match self {
            Self::Quoted(text) if text.contains(&b'\\') => {
                let mut bytes = text.iter();
                let unescaped = std::iter::from_fn(|| match bytes.next()? {
                    b'\\' => bytes.next().copied(),
                    byte => Some(*byte),
                });
                let unescaped: Vec<u8> = unescaped.collect();
                Cow::Owned(String::from_utf8_lossy(&unescaped).into_owned())
            }
            Self::Quoted(text) | Self::Plain(text) => String::from_utf8_lossy(text),
        }
    }
}

impl<'a> Parts<'a> {
    /// Takes the run of bytes for which `is` holds.
    fn run(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !is(*byte));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Takes this byte, if it comes next.
    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes the rest of a string, up to its closing quote or the end.
    fn quoted(&mut self) -> &'a [u8] {
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        });
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        text
    }

    /// Takes a token68, if the whole of what comes up to a comma is one.
    fn token68(&mut self) -> bool {
        let mut ahead = self.clone();
        let taken = ahead.run(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        ahead.run(|byte| byte == b'=');
        ahead.run(is_blank);
        let fits = !taken.is_empty() && matches!(ahead.rest.first(), None | Some(b','));
        if fits {
            *self = ahead;
        }
        fits
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            self.run(is_blank);
            if std::mem::take(&mut self.after_scheme) && self.token68() {
                return Some(Part::Token68);
            }
            let name = self.run(is_token);
            if name.is_empty() {
                // A comma, or what belongs nowhere.
                let (first, rest) = self.rest.split_first()?;
                self.rest = rest;
                if *first == b'"' {
                    self.quoted();
                }
                continue;
            }
            let name = std::str::from_utf8(name).unwrap_or_default();
            let mut ahead = self.clone();
            ahead.run(is_blank);
            if !ahead.eat(b'=') {
                self.after_scheme = true;
                return Some(Part::Scheme(name));
            }
            ahead.run(is_blank);
            let value = if ahead.eat(b'"') {
                Value::Quoted(ahead.quoted())
            } else {
                Value::Plain(ahead.run(|byte| !is_blank(byte) && byte != b','))
            };
            *self = ahead;
            return Some(Part::Parameter(name, value));
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A character of a token (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        headers
    }

    /// The schemes, and of each the parameter `a`.
    fn read(values: &[&str]) -> Vec<(String, Option<String>)> {
        let headers = headers(values);
        let read = Challenges::of(&headers).map(|challenge| {
            let a = challenge.parameter("a").map(Cow::into_owned);
            (challenge.scheme().to_owned(), a)
        });
        read.collect()
    }

    fn expected(challenges: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        let owned =
            |(scheme, a): &(&str, Option<&str>)| ((*scheme).to_owned(), a.map(ToOwned::to_owned));
        challenges.iter().map(owned).collect()
    }

    #[test]
    fn every_form_of_a_challenge_is_read() {
        for (value, challenges) in [
            ("", &[][..]),
            (" , ,, ", &[]),
            ("Bearer", &[("Bearer", None)]),
            ("Bearer a=x", &[("Bearer", Some("x"))]),
            ("Bearer A=\"x\"", &[("Bearer", Some("x"))]),
            ("Bearer\ta \t= \"x\"", &[("Bearer", Some("x"))]),
            ("Bearer a=\"\"", &[("Bearer", Some(""))]),
            ("Bearer b=1, a=x, a=y", &[("Bearer", Some("x"))]),
            (
                r#"Bearer a="x, y=\"z\\""#,
                &[("Bearer", Some(r#"x, y="z\"#))],
            ),
            (r#"Bearer b="c, Basic a=no", a=x"#, &[("Bearer", Some("x"))]),
            ("Negotiate abc==", &[("Negotiate", None)]),
            ("Negotiate a=", &[("Negotiate", None)]),
            (
                "Negotiate abc== , Bearer a=x",
                &[("Negotiate", None), ("Bearer", Some("x"))],
            ),
            ("A, B, C a=x", &[("A", None), ("B", None), ("C", Some("x"))]),
            (
                "Basic a=1, Bearer b=2, a=3",
                &[("Basic", Some("1")), ("Bearer", Some("3"))],
            ),
            // RFC 9110 §11.6.1.
            (
                r#"Basic realm="simple", Newauth realm="apps", type=1, a="Login to \"apps\"""#,
                &[("Basic", None), ("Newauth", Some("Login to \"apps\""))],
            ),
        ] {
            assert_eq!(read(&[value]), expected(challenges), "{value}");
        }
    }

    #[test]
    fn what_servers_write_against_the_grammar_is_read() {
        for (value, challenges) in [
            ("Bearer, b=1, a=x", &[("Bearer", Some("x"))][..]),
            ("Bearer b=\"1\" a=\"x\"", &[("Bearer", Some("x"))]),
            ("Bearer b=\"1\"a=\"x\"", &[("Bearer", Some("x"))]),
            ("Bearer b=https://h/p?q=1, a=x", &[("Bearer", Some("x"))]),
            ("Bearer a=\"x", &[("Bearer", Some("x"))]),
            ("Bearer a=\"x\\", &[("Bearer", Some("x"))]),
            ("Bearer a=", &[("Bearer", None)]),
            ("Bearer b=1, a=", &[("Bearer", Some(""))]),
            ("Bearer: a=x", &[("Bearer", Some("x"))]),
            ("Bearer \"b, c\" a=x", &[("Bearer", Some("x"))]),
            ("= a=x; Bearer a=y", &[("Bearer", Some("y"))]),
            ("a=x", &[]),
            (
                "Basic Bearer a=x",
                &[("Basic", None), ("Bearer", Some("x"))],
            ),
        ] {
            assert_eq!(read(&[value]), expected(challenges), "{value}");
        }
    }

    #[test]
    fn headers_follow_one_another() {
        let values = ["Basic realm=\"x", "", "Bearer", "a=no", "MAC a=1"];
        let challenges = [("Basic", None), ("Bearer", None), ("MAC", Some("1"))];
        assert_eq!(read(&values), expected(&challenges));
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn the_last_challenge_in_8_kib_is_found_without_memory() {
        let long = format!(
            "Digest nonce=\"{}\", Bearer a=\"x\"",
            "\\\", Bearer a=y ".repeat(8 * 1024 / 15)
        );
        assert!(long.len() > 8 * 1024);
        let headers = headers(&[&long, &"Basic ,".repeat(1024)]);
        let counted = allocation_counter::measure(|| {
            let mut found = Challenges::of(&headers).filter(|challenge| challenge.is("bearer"));
            let bearer = found.next();
            assert_eq!(bearer.unwrap().parameter("a").as_deref(), Some("x"));
            assert!(found.next().is_none());
        });
        assert_eq!(counted.count_total, 0);
    }

    #[test]
    fn bytes_beyond_ascii_are_no_obstacle() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"\xffBearer b=\"\xff\", a=\"\xc3\xa9\"").unwrap();
        headers.insert(WWW_AUTHENTICATE, value);
        let bearer = Challenges::of(&headers).next().unwrap();
        assert_eq!(bearer.parameter("a").as_deref(), Some("é"));
        assert_eq!(bearer.parameter("b").as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn debug_shows_no_more_than_a_scheme() {
        let headers = headers(&["Digest nonce=canary, Bearer canary"]);
        let mut challenges = Challenges::of(&headers);
        let digest = challenges.next().unwrap();
        let shown = format!("{challenges:?} {digest:?}");
        assert!(
            shown.contains("Digest") && !shown.contains("canary"),
            "{shown}"
        );
    }

    /// What a challenge is made of, and what spoils one.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"Bearer ".to_vec()),
            Just(b"Basic".to_vec()),
            Just(b"error=".to_vec()),
            Just(b"\"invalid_token\"".to_vec()),
            Just(b"\"".to_vec()),
            Just(b"\\".to_vec()),
            Just(b", ".to_vec()),
            Just(b"=".to_vec()),
            proptest::collection::vec(32..=255_u8, 0..4),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_comes_before_the_last_header_is_read_whole(
            values in proptest::collection::vec(pieces(), 0..4),
        ) {
            let mut headers = HeaderMap::new();
            for value in &values {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(WWW_AUTHENTICATE, value);
                }
            }
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Last a=x"));
            let mut last = None;
            for challenge in Challenges::of(&headers) {
                prop_assert!(!challenge.scheme().is_empty());
                challenge.parameter("error");
                last = challenge.parameter("a").map(|a| (challenge.scheme(), a));
            }
            prop_assert_eq!(last, Some(("Last", "x".into())));
        }

        #[test]
        fn what_is_written_by_the_grammar_is_read_back(
            challenges in proptest::collection::vec(
                ("[A-Za-z][A-Za-z0-9-]{0,8}", proptest::option::of("[ -~]{0,12}")),
                0..6,
            ),
            split in proptest::collection::vec(any::<bool>(), 6),
        ) {
            let mut values = vec![String::new()];
            for ((scheme, a), split) in challenges.iter().zip(split) {
                let value = match a {
                    Some(a) => {
                        let a = a.replace('\\', "\\\\").replace('"', "\\\"");
                        format!("{scheme} b=1, a=\"{a}\"")
                    }
                    None => scheme.clone(),
                };
                match values.last_mut() {
                    Some(last) if !split => {
                        last.push_str(if last.is_empty() { "" } else { ", " });
                        last.push_str(&value);
                    }
                    _ => values.push(value),
                }
            }
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            prop_assert_eq!(read(&values), challenges);
        }
    }
}
