//! Ways to spell a text, undone: escapes, base64, hexadecimal.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Takes whatever can be read as base64, be it cut short or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The names that HTML has for characters of ASCII.
const NAMES: &[(&str, u8)] = &[
    ("amp", b'&'),
    ("AMP", b'&'),
    ("apos", b'\''),
    ("ast", b'*'),
    ("bsol", b'\\'),
    ("colon", b':'),
    ("comma", b','),
    ("commat", b'@'),
    ("dollar", b'$'),
    ("equals", b'='),
    ("excl", b'!'),
    ("grave", b'`'),
    ("gt", b'>'),
    ("GT", b'>'),
    ("Hat", b'^'),
    ("lbrace", b'{'),
    ("lbrack", b'['),
    ("lcub", b'{'),
    ("lowbar", b'_'),
    ("lpar", b'('),
    ("lsqb", b'['),
    ("lt", b'<'),
    ("LT", b'<'),
    ("NewLine", b'\n'),
    ("num", b'#'),
    ("percnt", b'%'),
    ("period", b'.'),
    ("plus", b'+'),
    ("quest", b'?'),
    ("quot", b'"'),
    ("QUOT", b'"'),
    ("rbrace", b'}'),
    ("rbrack", b']'),
    ("rcub", b'}'),
    ("rpar", b')'),
    ("rsqb", b']'),
    ("semi", b';'),
    ("sol", b'/'),
    ("Tab", b'\t'),
    ("verbar", b'|'),
    ("vert", b'|'),
];

/// What an escape stands for.
enum Unescaped {
    Byte(u8),
    /// A Unicode code point, or half of one in UTF-16.
    Point(u32),
    /// A character that nobody looks for: a backslash before what needs none, `&eacute;`.
    Nothing,
}

/// Undoes the escapes of URLs (`%26`, `%u0026`), of HTML (`&amp;`, `&#38;`, `&#x26;`) and of strings in
/// JSON and in code (`\u0026`, `\x26`, `\/`). What is none stays.
pub(super) fn unescape(text: &[u8]) -> Zeroizing<Vec<u8>> {
    // No escape is shorter than what it stands for, so this does not grow.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut rest, mut high) = (text, None);
    while let Some((first, after)) = rest.split_first() {
        let found = match first {
            b'%' => percent(after),
            b'&' => reference(after),
            b'\\' => backslash(after),
            _ => None,
        };
        let (unescaped, len) = found.unwrap_or((Unescaped::Byte(*first), 0));
        rest = after.get(len..).unwrap_or_default();
        let before: Option<u32> = high.take();
        match unescaped {
            Unescaped::Byte(byte) => out.push(byte),
            Unescaped::Point(point @ 0xD800..=0xDBFF) => high = Some(point),
            Unescaped::Point(point) => {
                let point = match (before, point) {
                    (Some(high), 0xDC00..=0xDFFF) => {
                        0x1_0000 + ((high - 0xD800) << 10) + (point - 0xDC00)
                    }
                    _ => point,
                };
                if let Some(character) = char::from_u32(point) {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            Unescaped::Nothing => {}
        }
    }
    out
}

/// After a `%`: what it stands for, and how many bytes that took.
fn percent(after: &[u8]) -> Option<(Unescaped, usize)> {
    if let Some(b'u' | b'U') = after.first() {
        return Some((Unescaped::Point(hex(after.get(1..5)?)?), 5));
    }
    let byte = u8::try_from(hex(after.get(..2)?)?).ok()?;
    Some((Unescaped::Byte(byte), 2))
}

/// After an `&`: a character reference of HTML. A number needs no semicolon, as in browsers.
fn reference(after: &[u8]) -> Option<(Unescaped, usize)> {
    let length = |from: usize, is: fn(&u8) -> bool| {
        after
            .iter()
            .skip(from)
            .take(32)
            .take_while(|byte| is(byte))
            .count()
    };
    let (from, digits, radix) = match after {
        [b'#', b'x' | b'X', ..] => (2, length(2, u8::is_ascii_hexdigit), 16),
        [b'#', ..] => (1, length(1, u8::is_ascii_digit), 10),
        _ => {
            let name = after.get(..length(0, u8::is_ascii_alphanumeric))?;
            if name.is_empty() || after.get(name.len()) != Some(&b';') {
                return None;
            }
            let known = NAMES.iter().find(|(known, _)| known.as_bytes() == name);
            let unescaped = known.map_or(Unescaped::Nothing, |(_, byte)| Unescaped::Byte(*byte));
            return Some((unescaped, name.len() + 1));
        }
    };
    let end = from + digits;
    let number = number(after.get(from..end)?, radix)?;
    let semicolon = usize::from(after.get(end) == Some(&b';'));
    Some((Unescaped::Point(number), end + semicolon))
}

/// After a backslash.
fn backslash(after: &[u8]) -> Option<(Unescaped, usize)> {
    let point = |digits: &[u8], len| Some((Unescaped::Point(hex(digits)?), len));
    match after {
        [b'u', b'{', rest @ ..] => {
            let len = rest.iter().take(8).position(|byte| *byte == b'}')?;
            point(rest.get(..len)?, len + 3)
        }
        [b'u', rest @ ..] => point(rest.get(..4)?, 5),
        [b'U', rest @ ..] => point(rest.get(..8)?, 9),
        [b'x', rest @ ..] => point(rest.get(..2)?, 3),
        [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            let byte = (a - b'0') * 64 + (b - b'0') * 8 + (c - b'0');
            Some((Unescaped::Byte(byte), 3))
        }
        [b'n' | b'r' | b't' | b'b' | b'f' | b'v' | b'0', ..] => Some((Unescaped::Byte(b' '), 1)),
        [b'\\', ..] => Some((Unescaped::Byte(b'\\'), 1)),
        _ => Some((Unescaped::Nothing, 0)),
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    number(digits, 16)
}

/// Digits and nothing else: `from_str_radix` alone would take a sign.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    let good = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    good.then(|| u32::from_str_radix(text, radix).unwrap_or(u32::MAX))
}

/// What the text could stand for where it is base64 or hexadecimal. Where it begins is not known, so
/// every place it could begin at is tried.
pub(super) fn decode_runs(text: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut decoded = Vec::new();
    for run in text.split(|byte| !byte.is_ascii_alphanumeric() && !b"+/-_ ".contains(byte)) {
        // Of either alphabet (RFC 4648 §4, §5), or read as a form, to which `+` is a space.
        let standard = run.iter().map(|byte| match byte {
            b'-' | b' ' => b'+',
            b'_' => b'/',
            byte => *byte,
        });
        let standard = Zeroizing::new(standard.collect::<Vec<_>>());
        for from in 0..standard.len().min(4) {
            let from = standard.get(from..).unwrap_or_default();
            // One character alone is less than a byte.
            let len = from.len() - usize::from(from.len() % 4 == 1);
            let mut bytes = Zeroizing::new(vec![0; len.div_ceil(4) * 3]);
            let read = LENIENT.decode_slice(from.get(..len).unwrap_or_default(), &mut bytes);
            if let Ok(read) = read {
                bytes.truncate(read);
                decoded.push(bytes);
            }
        }
    }
    for run in text.split(|byte| !byte.is_ascii_hexdigit()) {
        for from in 0..run.len().min(2) {
            let pairs = run.get(from..).unwrap_or_default().chunks_exact(2);
            let bytes = pairs.filter_map(|pair| u8::try_from(hex(pair)?).ok());
            decoded.push(Zeroizing::new(bytes.collect()));
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_is_undone() {
        for (escaped, text) in [
            ("a%26b%2Bc%c3%A9", "a&b+cé"),
            ("%u0026%U20AC", "&€"),
            (
                "&amp;&lt;&gt;&quot;&apos;&#38;&#x26;&#X26;&#038;&#39a",
                "&<>\"'&&&&'a",
            ),
            ("&plus;&equals;&lowbar;&bsol;", "+=_\\"),
            ("a&eacute;b&nbsp;c", "abc"),
            (r#"\u0026\u002b\x41\/\"\\u"#, r#"&+A/"\u"#),
            (r"\u{26}\u{1F600}\U0001F600\ud83d\ude00", "&😀😀😀"),
            (r"a\nb\046", "a b&"),
        ] {
            assert_eq!(*unescape(escaped.as_bytes()), text.as_bytes(), "{escaped}");
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in [
            "100% of it",
            "%",
            "%2",
            "%+1%u12",
            "a & b&",
            "a=1&copy=2",
            "&#;&#x;",
            "&",
            "é€😀",
        ] {
            assert_eq!(*unescape(text.as_bytes()), text.as_bytes(), "{text}");
        }
        // Half a character stands for nothing.
        assert_eq!(*unescape(br"\ud83dx\ude00&#x110000;"), b"x");
    }

    #[test]
    fn a_run_is_decoded_wherever_it_begins_and_wherever_it_is_cut() {
        let whole = b"s3cr&t+s?cret/v>lue";
        for engine in [
            base64::prelude::BASE64_STANDARD,
            base64::prelude::BASE64_URL_SAFE_NO_PAD,
        ] {
            let encoded = engine.encode(whole);
            for before in ["", "a", "ab", "abc", "Basic "] {
                for cut in 0..4 {
                    let text = format!("{before}{}", &encoded[..encoded.len() - cut]);
                    let decoded = decode_runs(text.as_bytes());
                    let part = &whole[3..whole.len() - 3];
                    let found = |run: &Zeroizing<Vec<u8>>| {
                        run.windows(part.len()).any(|place| place == part)
                    };
                    assert!(decoded.iter().any(found), "{text}");
                }
            }
        }
        let hex: String = whole.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            decode_runs(format!("0{hex}").as_bytes())
                .iter()
                .any(|run| **run == whole)
        );
    }
}
