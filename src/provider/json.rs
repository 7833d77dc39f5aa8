//! The JSON in an answer, and what providers put before it.

use serde::de::IgnoredAny;

/// Some of the provider's answers begin with it.
const PREFIX: &[u8] = b"&&&START&&&";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Without the prefix, and without byte-order marks and white space on either side of it.
pub(crate) fn strip(body: &[u8]) -> &[u8] {
    let body = strip_blank(body);
    strip_blank(body.strip_prefix(PREFIX).unwrap_or(body)).trim_ascii_end()
}

fn strip_blank(body: &[u8]) -> &[u8] {
    let mut rest = body;
    loop {
        let shorter = rest
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(rest)
            .trim_ascii_start();
        if shorter.len() == rest.len() {
            return rest;
        }
        rest = shorter;
    }
}

/// Whether `body` begins as a JSON object does, but is not yet the whole of it.
pub(crate) fn is_unfinished_object(body: &[u8]) -> bool {
    let json = strip(body);
    if json.first() != Some(&b'{') {
        // Nothing yet, or a part of what may come first.
        return PREFIX.starts_with(json) || BYTE_ORDER_MARK.starts_with(json);
    }
    // The parser allocates for what is nested. Most objects are whole, which takes none to see.
    is_open(json) && serde_json::from_slice::<IgnoredAny>(json).is_err_and(|error| error.is_eof())
}

/// Whether the first bracket is still open at the end.
fn is_open(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = r#"&&&START&&& {"a":{"b":[1,"}\"]\\"]},"code":96008}"#;

    #[test]
    fn an_object_is_unfinished_up_to_its_last_brace() {
        for before in ["", "\u{feff}", "\n \u{feff} "] {
            let whole = format!("{before}{OBJECT}");
            for end in 0..whole.len() {
                assert!(is_unfinished_object(&whole.as_bytes()[..end]), "{end}");
            }
            for after in ["", "\n", "{", "x", "{\"code\":1}"] {
                let body = format!("{whole}{after}");
                assert!(!is_unfinished_object(body.as_bytes()), "{body}");
            }
        }
    }

    #[test]
    fn what_is_no_object_is_never_unfinished() {
        for body in [
            "[",
            "\"",
            "<html>",
            "data: {",
            "96008",
            "&&&STOP",
            "{not json",
            "{\"a\"}{",
            "{{",
            "{]",
            "\u{feff}x",
            "&&&START&&&x",
        ] {
            assert!(!is_unfinished_object(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn a_whole_object_costs_no_allocation() {
        let counted = allocation_counter::measure(|| {
            assert!(!is_unfinished_object(OBJECT.as_bytes()));
        });
        assert_eq!(counted.count_total, 0);
    }
}
