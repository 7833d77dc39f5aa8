//! See why a MAC does not verify: signs what it is told, and shows what it signed.
//!
//! Reads JSON lines `{"nonce"?, "method", "url", "form_body"?, "mac_key", "access_token"}` on
//! standard input. For each it writes a JSON line `{"canonical", "mac", "authorization"}`, or
//! `{"error"}` and goes on. The URL is signed as it stands; without a nonce a fresh one is made.
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
use tower_mac_auth::provider::RequestParts;
use tower_mac_auth::provider::xiaomi::{Credential, Nonce, SigningRules};
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
    let form_body = text(&fields, "form_body")?;
    let in_words = |error: SignError| error.to_string();
    let nonce = match text(&fields, "nonce")? {
        Some(nonce) => Nonce::verbatim(nonce).map_err(in_words)?,
        None => Nonce::fresh(SystemClock.now()),
    };

    let url: http::Uri = url.parse().map_err(|error| format!("url: {error}"))?;
    let host = url.authority().ok_or("url: has no host")?.as_str();
    // Without what may come before an `@`; the signer drops the port.
    let host = host.rsplit_once('@').map_or(host, |(_user, host)| host);
    let request = RequestParts::new(method, host, url.path())
        .with_query(url.query())
        .with_body(form_body.map(str::as_bytes));
    let key = MacKey::new(Algorithm::HmacSha1, &mac_key).map_err(in_words)?;
    let credential = Credential::new(&access_token, key.clone());
    // As the vendor's SDKs would sign it: nothing is put in, hardly anything is refused.
    let rules = SigningRules::new()
        .query_credentials(false)
        .sign_form(true)
        .accept_malformed_query(true);
    let canonical = rules
        .canonical(&credential, &request, &nonce)
        .map_err(in_words)?;
    let signed = rules
        .sign(&credential, &request, &nonce)
        .map_err(in_words)?;
    let authorization = signed.authorization().ok_or("authorization: is missing")?;
    let authorization = authorization.to_str();
    Ok(Answer {
        mac: key.mac(canonical.as_bytes()),
        authorization: authorization
            .map_err(|error| format!("authorization: {error}"))?
            .to_owned(),
        canonical,
    })
}

/// The text of a field; `null` is as good as none.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name}: is not text")),
    }
}
