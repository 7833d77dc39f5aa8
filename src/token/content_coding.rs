//! Taking the compression off a body (RFC 9110 §8.4), bounded.

use std::io::Read;

use arrayvec::ArrayVec;
use brotli_decompressor::Decompressor;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use zeroize::Zeroizing;

/// Nobody applies more; each costs a pass.
const MOST_CODINGS: usize = 4;

/// A body without its codings, as far as they could be taken off.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) text: Zeroizing<Vec<u8>>,
    pub(crate) fault: Option<CodingFault>,
}

/// Why a text is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodingFault {
    /// `Content-Encoding` names what is not read here.
    Unknown,
    /// The body is cut short, or not what `Content-Encoding` says.
    Damaged,
    /// The text is longer than the cap.
    TooLong,
}

/// Takes off what `Content-Encoding` names; `None` if nothing is to be taken off.
///
/// A body that begins as JSON does is taken as JSON whatever the header says: a proxy that decodes a
/// body on the way does not always change the header. No coding of an answer begins with these bytes.
///
/// No more than `cap` bytes are decoded, by each coding, so that a bomb costs no more than an
/// answer does.
pub(crate) fn decode(headers: &HeaderMap, body: &[u8], cap: usize) -> Option<Decoded> {
    let Some(codings) = codings(headers) else {
        return Some(Decoded {
            text: Zeroizing::default(),
            fault: Some(CodingFault::Unknown),
        });
    };
    if matches!(body.first(), None | Some(b'{' | b'&')) {
        return None;
    }
    // They are named in the order in which they were applied.
    let mut codings = codings.iter().rev();
    let mut decoded = codings.next()?.decode(body, cap);
    for coding in codings {
        if decoded.fault == Some(CodingFault::TooLong) {
            break;
        }
        let next = coding.decode(&decoded.text, cap);
        decoded = Decoded {
            fault: decoded.fault.or(next.fault),
            text: next.text,
        };
    }
    Some(decoded)
}

/// Whether what `Content-Encoding` names, if anything, is read here.
pub(crate) fn is_known(headers: &HeaderMap) -> bool {
    codings(headers).is_some()
}

/// What `Content-Encoding` names, without `identity`; `None` if one of it is not known.
fn codings(headers: &HeaderMap) -> Option<ArrayVec<Coding, MOST_CODINGS>> {
    let mut codings = ArrayVec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            if !name.is_empty() && !name.eq_ignore_ascii_case("identity") {
                codings.try_push(Coding::named(name)?).ok()?;
            }
        }
    }
    Some(codings)
}

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn named(name: &str) -> Option<Self> {
        let names = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        let (_, coding) = names
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(coding)
    }

    fn decode(self, body: &[u8], cap: usize) -> Decoded {
        match self {
            Self::Gzip => read(MultiGzDecoder::new(body), cap),
            Self::Deflate if has_zlib_header(body) => read(ZlibDecoder::new(body), cap),
            Self::Deflate => read(DeflateDecoder::new(body), cap),
            Self::Brotli => read(Decompressor::new(body, 4096), cap),
            Self::Zstd => zstd(body, cap),
        }
    }
}

/// `deflate` is the zlib format, but some send it without zlib's two bytes (RFC 9110 §8.4.1.2).
fn has_zlib_header(body: &[u8]) -> bool {
    body.first_chunk()
        .is_some_and(|head| head[0] & 0x0F == 8 && u16::from_be_bytes(*head) % 31 == 0)
}

fn read(mut decoder: impl Read, cap: usize) -> Decoded {
    // Growing would leave an unwiped copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(cap));
    let rest = (&mut decoder)
        .take(cap as u64)
        .read_to_end(&mut text)
        .and_then(|_| decoder.read(&mut [0]));
    let fault = match rest {
        Ok(0) => None,
        Ok(_) => Some(CodingFault::TooLong),
        Err(_) => Some(CodingFault::Damaged),
    };
    Decoded { text, fault }
}

/// An empty last block, and the checksum that may follow it.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// The decoder's own reader holds back a window, which may be megabytes, until the frame has ended.
/// So a frame that is cut short is ended here, and no more is asked for than the cap.
fn zstd(mut body: &[u8], cap: usize) -> Decoded {
    let mut decoder = FrameDecoder::new();
    let ended = decoder
        .init(&mut body)
        .and_then(|()| decoder.decode_blocks(&mut body, BlockDecodingStrategy::UptoBytes(cap + 1)));
    let sum = decoder.get_checksum_from_data();
    if !matches!(ended, Ok(true)) {
        // Refused if it has not even begun.
        let _ = decoder.decode_blocks(&LAST_BLOCK[..], BlockDecodingStrategy::All);
    }
    let mut text = Zeroizing::new(vec![0; decoder.can_collect().min(cap)]);
    let read = decoder.read(&mut text).unwrap_or_default();
    text.truncate(read);
    let fault = if decoder.can_collect() > 0 {
        Some(CodingFault::TooLong)
    } else if ended.is_err() || sum.is_some() && sum != decoder.get_calculated_checksum() {
        Some(CodingFault::Damaged)
    } else {
        None
    };
    Decoded { text, fault }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    const TEXT: &[u8] =
        br#"&&&START&&&{"access_token":"A","expires_in":60,"refresh_token":"R2","mac_key":"K"}"#;
    /// [`TEXT`], by the reference implementation; as is the bomb.
    const BROTLI: &[u8] = b"\x1b\x51\x00\x10\x1c\x07\x76\xcc\xb2\xa5\x1b\x69\x97\xcf\x47\xa8\x74\x3b\x5b\x6b\x97\x04\x59\x93\x35\xa1\x4a\x66\x04\xcd\x7e\xdf\x22\x5f\x36\x32\x2b\xac\xcc\x29\x07\xcc\x51\x10\xb5\x45\x5d\xe8\x70\x00\x7a\x16\x38\x58\xf4\x47\x8a\x8c\x8e\x01\x70\x89\xf2\xd8\x2a\x7d\x09\x45\x94\xaf\x1c\x72\x26\x3b\x47\xb0\xcf\x6e\x51\xbd\xd7\x7c";
    const BROTLI_MEBIBYTE: &[u8] = b"\x5b\xff\xff\x8f\x5f\x02\x24\x1e\x0b\x04\x72\xef\x1f\x00";
    const CAP: usize = 1024;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    fn by(names: &[&str]) -> HeaderMap {
        let value = |name: &&str| HeaderValue::from_str(name).unwrap();
        let header = |name| (header::CONTENT_ENCODING, value(name));
        names.iter().map(header).collect()
    }

    /// [`TEXT`] in each coding.
    fn each_coding() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("gzip", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("deflate", deflate(TEXT)),
            ("br", BROTLI.to_vec()),
            ("zstd", zstd(TEXT)),
        ]
    }

    #[test]
    fn each_coding_is_taken_off() {
        let mut cases = each_coding();
        cases.extend([
            ("X-GZip", gzip(TEXT)),
            (" , identity,GZIP ", gzip(TEXT)),
            ("gzip", [gzip(b"&&&START&&&"), gzip(&TEXT[11..])].concat()),
            ("br, gzip", gzip(BROTLI)),
            ("deflate, zstd", zstd(&zlib(TEXT))),
        ]);
        for (name, body) in cases {
            let decoded = decode(&by(&[name]), &body, CAP).unwrap();
            assert_eq!((&decoded.text[..], decoded.fault), (TEXT, None), "{name}");
        }
        let decoded = decode(&by(&["br", "gzip"]), &gzip(BROTLI), CAP).unwrap();
        assert_eq!((&decoded.text[..], decoded.fault), (TEXT, None));
    }

    #[test]
    fn what_has_no_coding_is_left_alone() {
        for (names, body) in [
            (&[][..], &gzip(TEXT)[..]),
            (&["identity"], b"text"),
            (&["", "Identity , "], b"text"),
            (&["gzip"], b""),
            // Decoded on the way, and the header left as it was.
            (&["gzip"], TEXT),
            (&["br"], b"{}"),
        ] {
            assert!(decode(&by(names), body, CAP).is_none(), "{names:?}");
        }
    }

    #[test]
    fn a_coding_that_is_not_known_is_said_to_be() {
        for names in [
            &["compress"][..],
            &["gzip, zip"],
            &["utf-8", "gzip"],
            &["gzip;q=1"],
            &["gzip,gzip,gzip,gzip,gzip"],
        ] {
            let decoded = decode(&by(names), TEXT, CAP).unwrap();
            assert_eq!(decoded.fault, Some(CodingFault::Unknown), "{names:?}");
        }
    }

    #[test]
    fn a_cut_body_is_damaged_and_gives_what_was_whole() {
        for (name, body) in each_coding() {
            for end in 1..body.len() {
                let decoded = decode(&by(&[name]), &body[..end], CAP).unwrap();
                assert_eq!(decoded.fault, Some(CodingFault::Damaged), "{name} {end}");
                assert!(TEXT.starts_with(&decoded.text), "{name} {end}");
            }
        }
    }

    #[test]
    fn what_was_flushed_is_there_before_the_end() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(TEXT).unwrap();
        encoder.flush().unwrap();
        let gzip = encoder.get_ref().clone();
        // A frame of one raw block that is not the last.
        let len = u8::try_from(TEXT.len()).unwrap();
        let mut zstd = b"\x28\xb5\x2f\xfd\x00\x58".to_vec();
        zstd.extend((u32::from(len) << 3).to_le_bytes().iter().take(3));
        zstd.extend_from_slice(TEXT);
        for (name, body) in [("gzip", gzip), ("zstd", zstd)] {
            let decoded = decode(&by(&[name]), &body, CAP).unwrap();
            let damaged = Some(CodingFault::Damaged);
            assert_eq!(
                (&decoded.text[..], decoded.fault),
                (TEXT, damaged),
                "{name}"
            );
        }
    }

    #[test]
    fn a_wrong_checksum_is_damage() {
        for (name, body) in [("gzip", gzip(TEXT)), ("zstd", zstd(TEXT))] {
            let mut body = body;
            *body.last_mut().unwrap() ^= 1;
            let decoded = decode(&by(&[name]), &body, CAP).unwrap();
            assert_eq!(decoded.fault, Some(CodingFault::Damaged), "{name}");
        }
    }

    #[test]
    fn a_text_at_the_cap_is_whole_and_a_longer_one_is_not() {
        for (len, fault) in [(CAP, None), (CAP + 1, Some(CodingFault::TooLong))] {
            let text = vec![b' '; len];
            for (name, body) in [
                ("gzip", gzip(&text)),
                ("deflate", zlib(&text)),
                ("deflate", deflate(&text)),
                ("zstd", zstd(&text)),
                ("gzip, zstd", zstd(&gzip(&text))),
            ] {
                let decoded = decode(&by(&[name]), &body, CAP).unwrap();
                assert_eq!(decoded.fault, fault, "{name} {len}");
                assert_eq!(decoded.text.len(), CAP, "{name} {len}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_cheaply() {
        // 64 MiB behind a window of 64 MiB, block by block of one byte said 128 KiB times.
        let mut rle = b"\x28\xb5\x2f\xfd\x00\x80".to_vec();
        rle.extend(b"\x02\x00\x10 ".repeat(512));
        let spaces = vec![b' '; 1 << 24];
        for (name, body, most) in [
            ("gzip", gzip(&spaces), 100_000),
            ("gzip, gzip", gzip(&gzip(&spaces)), 100_000),
            ("deflate", zlib(&spaces), 100_000),
            ("zstd", zstd(&spaces), 1_000_000),
            ("zstd", rle, 1_000_000),
            // Its window is asked for, though hardly used.
            ("br", BROTLI_MEBIBYTE.to_vec(), 10_000_000),
        ] {
            let headers = by(&[name]);
            let mut decoded = None;
            let counted = allocation_counter::measure(|| decoded = decode(&headers, &body, CAP));
            assert_eq!(decoded.unwrap().fault, Some(CodingFault::TooLong), "{name}");
            assert!(counted.bytes_max < most, "{name}: {counted:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_make_it_panic(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            for (name, mut good) in each_coding() {
                decode(&by(&[name]), &body, CAP);
                let at = at.index(good.len());
                good[at] = byte;
                decode(&by(&[name]), &good, CAP);
                good.splice(at.., body.iter().copied());
                decode(&by(&[name]), &good, CAP);
            }
        }
    }
}
