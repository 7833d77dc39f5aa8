//! What this crate signs by the MAC drafts, and what another library signs, compared both ways.
//!
//! `scripts/test` installs the other library. Without it, the test is ignored.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tower_mac_auth::provider::http_mac::{Draft, ISSUED_AT};
use tower_mac_auth::provider::{
    Fresh, Grant, HttpMac, OAuth2, Provider as _, RequestParts, TokenSet,
};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::verify::{MacAuthorization, Verifier, check_window};
use tower_mac_auth::{MacKeyText, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_336_363_200);
const AGE: u64 = 264_095;

/// A request, and what signs it.
struct Case {
    draft: Draft,
    algorithm: Algorithm,
    token: String,
    key: String,
    method: &'static str,
    url: &'static str,
    body: Option<String>,
    ext: String,
}

/// Where oauthlib and the drafts agree: it leaves a host in capitals as it is, drops a path's
/// parameters, and the question mark of an empty query.
const URLS: &[&str] = &[
    "http://example.com/",
    "https://example.com/",
    "http://example.com/resource/1?b=1&a=2",
    "http://example.com:8080/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b&c2&a3=2+q",
    "https://a-b.example.com:8443/a//b/../%e7%94?x=/?:@!$'()*,~",
    "https://127.0.0.1/?q",
];

/// Any text of these characters.
fn text(rng: &mut fastrand::Rng, characters: &str, longest: usize) -> String {
    let characters: Vec<char> = characters.chars().collect();
    let length = rng.usize(1..=longest);
    let mut one = || *rng.choice(&characters).unwrap();
    (0..length).map(|_| one()).collect()
}

fn cases() -> Vec<Case> {
    const TOKEN: &str = "ABCxyz0189-._~+/=:, %'";
    let mut rng = fastrand::Rng::with_seed(7);
    let mut cases = Vec::new();
    for url in URLS {
        for draft in [Draft::V00, Draft::V01] {
            for algorithm in [Algorithm::HmacSha1, Algorithm::HmacSha256] {
                for method in ["GET", "POST", "delete", "PROPFIND"] {
                    let body = text(&mut rng, "aä€\n\0\"", 300);
                    cases.push(Case {
                        draft,
                        algorithm,
                        token: text(&mut rng, TOKEN, 80),
                        key: text(&mut rng, "abXY09-_=+ä€", 150),
                        method,
                        url,
                        body: (draft == Draft::V00 && rng.bool()).then_some(body),
                        ext: if rng.bool() {
                            text(&mut rng, TOKEN, 60)
                        } else {
                            String::new()
                        },
                    });
                }
            }
        }
    }
    cases
}

impl Case {
    /// As the layer takes it apart.
    fn with_request<T>(&self, take: impl FnOnce(&RequestParts<'_>) -> T) -> T {
        let url: http::Uri = self.url.parse().unwrap();
        let usual = if url.scheme_str() == Some("http") {
            80
        } else {
            443
        };
        let request = RequestParts::new(self.method, url.host().unwrap(), url.path())
            .with_query(url.query())
            .with_port(url.port_u16().unwrap_or(usual))
            .with_body(self.body.as_deref().map(str::as_bytes));
        take(&request)
    }

    fn sign(&self) -> String {
        let provider = HttpMac::new(OAuth2::new("https://as.example/token", "id"), self.draft);
        let provider = match &self.body {
            Some(_) => provider.with_body_hash(1024),
            None => provider,
        };
        let provider = provider.with_ext(&self.ext).unwrap();
        let mut tokens = TokenSet::new(&*self.token).with_mac_key(&*self.key, self.algorithm);
        let issued_at = (NOW.as_secs() - AGE).to_string();
        tokens.extras.insert(ISSUED_AT.to_owned(), issued_at.into());
        let credential = provider.credential(&Grant::from(tokens)).unwrap();
        let signed =
            self.with_request(|request| provider.sign(&credential, request, Fresh::at(NOW)));
        let signed = signed.unwrap();
        signed.authorization().unwrap().to_str().unwrap().to_owned()
    }

    /// What the other library is to sign: the same, with what is new in `authorization`.
    fn line(&self, authorization: &MacAuthorization) -> Value {
        json!({
            "draft": u8::from(self.draft != Draft::V00),
            "token": self.token,
            "key": self.key,
            "algorithm": self.algorithm.as_str(),
            "method": self.method,
            "url": self.url,
            "nonce": authorization.nonce(),
            "ts": authorization.ts(),
            "body": self.body,
            "ext": self.ext,
        })
    }

    fn check(&self, authorization: MacAuthorization) {
        let key = MacKey::new(self.algorithm, &MacKeyText::new(&*self.key)).unwrap();
        assert_eq!(authorization.access_token().expose_secret(), self.token);
        self.with_request(|request| {
            Verifier::http_mac(self.draft)
                .check(&key, request, &authorization)
                .unwrap();
        });
        let issued_at = Timestamp::from_secs(NOW.as_secs() - AGE);
        let authorization = authorization.with_issued_at(issued_at);
        check_window(&authorization, NOW, std::time::Duration::ZERO).unwrap();
    }
}

/// The headers that oauthlib makes, one for each line.
fn oauthlib(python: &str, lines: &[Value]) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let input = scratch.path().join("lines");
    let mut file = File::create(&input).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sign.py");
    let output = Command::new(python)
        .arg(script)
        .stdin(File::open(input).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    output.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs Python with oauthlib: scripts/test"]
fn oauthlib_signs_and_is_verified_alike() {
    let python = std::env::var("TOWER_MAC_AUTH_TEST_PYTHON").unwrap();
    let cases = cases();
    let ours: Vec<String> = cases.iter().map(Case::sign).collect();
    let lines = cases.iter().zip(&ours);
    let lines: Vec<Value> = lines
        .map(|(case, header)| case.line(&header.parse().unwrap()))
        .collect();
    let theirs = oauthlib(&python, &lines);
    assert_eq!(theirs.len(), 96);
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
        assert_eq!(ours, theirs);
        case.check(theirs.parse().unwrap());
    }
}
