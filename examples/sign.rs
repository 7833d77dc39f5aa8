//! See why a MAC does not verify: signs what it is told, and shows what it signed.
//!
//! Reads JSON lines on standard input. For each it writes a JSON line
//! `{"canonical", "mac", "authorization"}`, or `{"error"}` and goes on.
//!
//! | field | |
//! |---|---|
//! | `scheme` | `xiaomi`, which is the default, `http-mac-00` or `http-mac-01` |
//! | `method`, `url`, `mac_key`, `access_token` | always. The URL is signed as it stands |
//! | `algorithm` | `hmac-sha-1`, which is the default, `hmac-sha-256`, … |
//! | `nonce` | without one a fresh one is made |
//! | `form_body` | of Xiaomi: the pairs of a form |
//! | `issued_at` | of `http-mac-00`, in Unix seconds: a fresh nonce begins with the age |
//! | `body` | of `http-mac-00`: is signed by its hash |
//! | `ts` | of `http-mac-01`, in Unix seconds: now, without one |
//! | `ext` | of both drafts |
//!
//! ```text
//! echo '{"method":"GET","url":"https://open.account.xiaomi.com/user/profile?clientId=1",
//!        "mac_key":"k","access_token":"t"}' | tr -d '\n' | cargo run --example sign
//! ```
//!
//! The canonical string holds the access token when the URL does; no error shows a secret.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value};
use tower_mac_auth::provider::http_mac::{self, Attributes, Draft, body_hash};
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
use tower_mac_auth::provider::{Fresh, RequestParts, Signed};
use tower_mac_auth::sign::{Algorithm, MacKey, SignError};
use tower_mac_auth::{AccessToken, Clock, MacKeyText, SystemClock};

/// A longer line is skipped, not held in memory.
const MAX_LINE: u64 = 1024 * 1024;

fn main() -> ExitCode {
    match run(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        // The reader of our output has gone: nothing is left to do.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be left to read this either.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

pub(crate) fn run(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.take(MAX_LINE + 1).read_until(b'\n', &mut line)? == 0 {
            return output.flush();
        }
        let answer = if line.len() as u64 > MAX_LINE && line.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
            Err("line: is longer than 1 MiB".to_owned())
        } else if line.trim_ascii().is_empty() {
            continue;
        } else {
            sign(line.trim_ascii())
        };
        let answer = match answer {
            Ok(signed) => serde_json::to_string(&signed),
            Err(error) => serde_json::to_string(&serde_json::json!({ "error": error })),
        };
        writeln!(output, "{}", answer?)?;
        // A person may be at the other end.
        output.flush()?;
    }
}

#[derive(Serialize)]
struct Answer {
    canonical: String,
    mac: String,
    authorization: String,
}

fn sign(line: &[u8]) -> Result<Answer, String> {
    let fields: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
        // Its own words may quote the line, and the line holds a key.
        let reason = match error.classify() {
            serde_json::error::Category::Data => "is not a JSON object",
            serde_json::error::Category::Eof => "ends too early",
            _ => "is not JSON",
        };
        format!("line: {reason} at column {}", error.column())
    })?;
    let required = |name| text(&fields, name)?.ok_or_else(|| format!("{name}: is missing"));
    let method = required("method")?;
    let url = required("url")?;
    let mac_key = MacKeyText::new(required("mac_key")?);
    let access_token = AccessToken::new(required("access_token")?);

    let url: http::Uri = url.parse().map_err(|error| format!("url: {error}"))?;
    let host = url.host().ok_or("url: has no host")?;
    let port = match (url.port_u16(), url.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("http")) => 80,
        (None, _) => 443,
    };
    let request = RequestParts::new(method, host, url.path())
        .with_port(port)
        .with_query(url.query());
    let algorithm = match text(&fields, "algorithm")? {
        Some(algorithm) => algorithm.parse().map_err(in_words)?,
        None => Algorithm::HmacSha1,
    };
    let key = MacKey::new(algorithm, &mac_key).map_err(in_words)?;
    match text(&fields, "scheme")? {
        None | Some("xiaomi") => sign_xiaomi(&fields, request, &access_token, &key),
        Some("http-mac-00") => sign_http_mac(&fields, request, &access_token, &key, Draft::V00),
        Some("http-mac-01") => sign_http_mac(&fields, request, &access_token, &key, Draft::V01),
        Some(_) => Err("scheme: is not one of xiaomi, http-mac-00 and http-mac-01".to_owned()),
    }
}

fn sign_xiaomi(
    fields: &Map<String, Value>,
    request: RequestParts<'_>,
    access_token: &AccessToken,
    key: &MacKey,
) -> Result<Answer, String> {
    let nonce = match text(fields, "nonce")? {
        Some(nonce) => Nonce::verbatim(nonce).map_err(in_words)?,
        None => Nonce::fresh(SystemClock.now()),
    };
    let request = request.with_body(text(fields, "form_body")?.map(str::as_bytes));
    let credential = Credential::new(access_token, key.clone());
    // As the vendor's SDKs would sign it: nothing is put in, hardly anything is refused.
    let rules = SigningRules::new()
        .query_credentials(false)
        .sign_form(true)
        .accept_malformed_query(true);
    let canonical = rules.canonical(&credential, &request, &nonce);
    let signed = rules.sign(&credential, &request, &nonce);
    answer(key, canonical, signed)
}

fn sign_http_mac(
    fields: &Map<String, Value>,
    request: RequestParts<'_>,
    access_token: &AccessToken,
    key: &MacKey,
    draft: Draft,
) -> Result<Answer, String> {
    let fresh = Fresh::at(SystemClock.now());
    let random = format!("{:016x}", fresh.random());
    let now = fresh.time().as_secs();
    let nonce = text(fields, "nonce")?.map(str::to_owned);
    let (ts, nonce) = if draft == Draft::V00 {
        let aged = || {
            let issued_at = seconds(fields, "issued_at")?;
            let issued_at = issued_at.ok_or("issued_at: is missing, or a nonce")?;
            let age = now.saturating_sub(issued_at).max(1);
            Ok::<_, String>(format!("{age}:{random}"))
        };
        (None, nonce.map_or_else(aged, Ok)?)
    } else {
        let ts = seconds(fields, "ts")?.unwrap_or(now);
        (Some(ts.to_string()), nonce.unwrap_or(random))
    };
    let bodyhash = text(fields, "body")?.map(|body| body_hash(key.algorithm(), body.as_bytes()));
    let attributes = match &ts {
        None => Attributes::v00(&nonce),
        Some(ts) => Attributes::v01(ts, &nonce),
    };
    let attributes = attributes
        .and_then(|attributes| attributes.with_bodyhash(bodyhash.as_deref().unwrap_or_default()))
        .map_err(in_words)?;
    let ext = text(fields, "ext")?.unwrap_or_default();
    let attributes = attributes.with_ext(ext).map_err(in_words)?;
    let credential = http_mac::Credential::new(access_token, key.clone()).map_err(in_words)?;
    let canonical = attributes.canonical(&request);
    answer(key, canonical, credential.sign(&request, &attributes))
}

fn answer(
    key: &MacKey,
    canonical: Result<String, SignError>,
    signed: Result<Signed, SignError>,
) -> Result<Answer, String> {
    let canonical = canonical.map_err(in_words)?;
    let signed = signed.map_err(in_words)?;
    let authorization = signed.authorization().ok_or("authorization: is missing")?;
    let authorization = authorization
        .to_str()
        .map_err(|error| format!("authorization: {error}"))?;
    Ok(Answer {
        mac: key.mac(canonical.as_bytes()),
        authorization: authorization.to_owned(),
        canonical,
    })
}

fn in_words(error: impl std::error::Error) -> String {
    error.to_string()
}

/// A whole number, or one in a text.
fn seconds(fields: &Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64(),
    };
    number
        .map(Some)
        .ok_or_else(|| format!("{name}: is not a whole number"))
}

/// The text of a field; `null` is as good as none.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name}: is not text")),
    }
}
