//! `Via`: by which gateways a message has come (RFC 9110 §7.6.3).

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

/// Whether a message has come by a gateway of this name. Names are alike whatever their case is.
pub(super) fn has(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(VIA).into_iter().any(|value| {
        let stations = without_comments(value.as_bytes());
        // The protocol, and who received it.
        let mut stations = stations.split(|byte| *byte == b',');
        stations.any(|station| {
            let mut words = station.split(u8::is_ascii_whitespace);
            let by = words.by_ref().filter(|word| !word.is_empty()).nth(1);
            by.is_some_and(|by| by.eq_ignore_ascii_case(name.as_bytes()))
        })
    })
}

/// Adds a gateway that received a message by this version.
pub(super) fn add(headers: &mut HeaderMap, received: Version, name: &str) {
    let protocol = match received {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    if let Ok(value) = HeaderValue::try_from(format!("{protocol} {name}")) {
        // What does not fit any more is told to nobody.
        let _ = headers.try_append(VIA, value);
    }
}

/// The same with a space for each comment: they may have commas and names in them, and comments
/// (RFC 9110 §5.6.5). A parenthesis that is never closed begins none, and hides nothing.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let (mut depth, mut comment) = (0_usize, &[][..]);
    let mut rest = value.iter();
    let mut bare = Vec::with_capacity(value.len());
    while let Some(byte) = rest.next() {
        match byte {
            b'(' => {
                if depth == 0 {
                    comment = rest.as_slice();
                }
                depth += 1;
            }
            b')' => {
                depth = depth.saturating_sub(1);
                bare.push(b' ');
            }
            b'\\' if depth > 0 => drop(rest.next()),
            _ if depth == 0 => bare.push(*byte),
            _ => {}
        }
    }
    if depth > 0 {
        let plain = |byte: &u8| if b"()".contains(byte) { b' ' } else { *byte };
        bare.push(b' ');
        bare.extend(comment.iter().map(plain));
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_found_in_any_spelling_and_in_no_comment() {
        for (via, came) in [
            ("1.1 here", true),
            ("HTTP/1.1 HERE", true),
            ("2 other,1.1  here (é)", true),
            ("2 there (a, b), 1.1 here (x)", true),
            ("2 there (a (b) \\) c)(d),\t1.1\there", true),
            ("1.1 there (1.1 here, 1.1 here)", false),
            ("1.1 there (a (b), 1.1 here)", false),
            ("1.1 there (never closed, 1.1 here", true),
            ("1.1 there (a (b), 1.1 here", true),
            ("1.1 there (a, (b, 1.1 here)", true),
            ("1.1 there (a \\), 1.1 here", true),
            ("1.1 there (a), 1.1 here(b", true),
            ("1.1 there (1.1 here), 1.1 there (b", false),
            ("1.1 nowhere, 2 here:80", false),
            ("here", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(VIA, HeaderValue::from_static("1.0 first"));
            headers.append(VIA, HeaderValue::from_bytes(via.as_bytes()).unwrap());
            assert_eq!(has(&headers, "here"), came, "{via}");
        }
    }
}
