//! Bad input: an error that names the field, nothing sent, no panic, no secret.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use tower::ServiceExt;
use tower_mac_auth::MacKeyText;
use tower_mac_auth::account::{Account, AccountErrorKind};
use tower_mac_auth::layer::{AuthErrorKind, Error, MacAuthLayer};
use tower_mac_auth::testing::Provider;

use crate::world::{HOUR, World};

async fn refused(world: &World, request: Request<Full<Bytes>>, kind: AuthErrorKind, named: &str) {
    let shown = format!("{:?} {:.80}", request.method(), request.uri().to_string());
    let Err(Error::Auth(error)) = world.client().oneshot(request).await else {
        panic!("sent: {shown}")
    };
    assert_eq!(error.kind(), kind, "{shown}: {error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains(named), "{shown}: {source}");
    let printed = format!("{error} {error:?} {source}");
    assert!(
        !printed.contains(world.tokens.access_token.expose_secret()),
        "{printed}"
    );
    assert!(!printed.contains("hunter2"), "{printed}");
    assert_eq!(world.provider.api_requests(), 0);
}

fn request(uri: &str) -> Request<Full<Bytes>> {
    let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(uri.as_bytes())).unwrap();
    Request::get(uri).body(Full::default()).unwrap()
}

#[tokio::test]
async fn where_a_request_goes_is_checked_before_it_is_signed() {
    let world = World::new().await;
    for (uri, named) in [
        ("/no/host", "host"),
        ("https://evil.example/", "evil.example"),
        ("https://api.example.evil.example/", "evil"),
        ("https://api.example:8443/", "8443"),
        ("http://api.example/", "http"),
        ("https://user:hunter2@api.example/", "user"),
        ("ftp://api.example/", "ftp"),
    ] {
        refused(&world, request(uri), AuthErrorKind::Authority, named).await;
    }
    for host in ["evil.example", "two words", "", "api.example, evil.example"] {
        let mut request = request("https://api.example/");
        request
            .headers_mut()
            .insert("host", HeaderValue::from_str(host).unwrap());
        refused(&world, request, AuthErrorKind::Authority, "host header").await;
    }
    let mut twice = request("https://api.example/");
    twice
        .headers_mut()
        .append("host", HeaderValue::from_static("api.example"));
    twice
        .headers_mut()
        .append("host", HeaderValue::from_static("evil.example"));
    refused(&world, twice, AuthErrorKind::Authority, "host header").await;
}

#[tokio::test]
async fn a_malformed_path_or_query_is_named() {
    let world = World::new().await;
    let long = format!("https://api.example/?{}", "a=b&".repeat(16_375));
    for (uri, named) in [
        ("https://api.example/?a=%zz", "query"),
        ("https://api.example/?a=%", "query"),
        ("https://api.example/?a=ä", "query"),
        ("https://api.example/ä", "path"),
        (&long, "query"),
    ] {
        refused(&world, request(uri), AuthErrorKind::Request, named).await;
    }
}

#[tokio::test]
async fn any_method_and_any_uri_that_http_takes_is_sent_or_refused_without_a_panic() {
    let world = World::new().await;
    for method in ["get", "PROPFIND", "M-SEARCH", "!#$%&'*+.^_`|~"] {
        let mut request = request("https://api.example/x");
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let _ = world.client().oneshot(request).await;
    }
    for byte in 0x21..=0xff_u8 {
        for uri in [&b"https://api.example/p"[..], b"https://api.example/?q="] {
            let uri = Bytes::from([uri, &[byte]].concat());
            if let Ok(uri) = Uri::from_maybe_shared(uri) {
                let request = Request::get(uri).body(Full::<Bytes>::default()).unwrap();
                let _ = world.client().oneshot(request).await;
            }
        }
    }
    let options = Request::options("*")
        .body(Full::<Bytes>::default())
        .unwrap();
    let _ = world.client().oneshot(options).await.unwrap_err();
}

#[tokio::test]
async fn an_account_that_cannot_sign_is_not_opened() {
    let provider = Provider::new();
    for key in [None, Some(String::new()), Some("k".repeat(10 * 1024))] {
        let mut tokens = provider.issue(HOUR);
        tokens.mac_key = key.map(MacKeyText::new);
        let builder = Account::builder(provider.endpoint()).tokens(tokens);
        let error = builder.open("user").await.unwrap_err();
        assert_eq!(error.kind(), AccountErrorKind::Credential);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("mac_key"), "{source}");
    }
    for name in ["", "a\0b", &"n".repeat(4096)] {
        let builder = Account::builder(provider.endpoint()).tokens(provider.issue(HOUR));
        let error = builder.open(name).await.unwrap_err();
        assert_eq!(error.kind(), AccountErrorKind::Name);
    }
}

#[tokio::test]
async fn an_odd_entry_of_the_allow_list_is_named() {
    let world = World::new().await;
    for entry in [
        "",
        "https://api.example",
        "api.example/path",
        "a b",
        "h:99999",
        "u@h",
    ] {
        let layer = MacAuthLayer::new(world.account.clone());
        assert!(
            layer
                .allow(entry)
                .unwrap_err()
                .to_string()
                .contains("allowed authority")
        );
    }
}
