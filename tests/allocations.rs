//! How many allocations a signature makes.

#![expect(clippy::expect_used, reason = "a test may stop")]

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::uri::Uri;
use tower_mac_auth::sign::{
    Algorithm, Credential, MacKey, Nonce, RequestParts, Scheme, XiaomiOpenApi,
};
use tower_mac_auth::{AccessToken, Clock, MacKeyText, SystemClock};

const TOKEN: &str = "eJxjYGAQydknLLCFsVyIR-DxSqdTnQFGfX4yDAwMjAzxQJIheJfnRTDtvAhMM8SE_2FgWDw7Rg3MYzdUMFIwVjABMplzE5MBClYRuw";

/// Signs the request and puts the header, and the URI if it is a new one, in place.
fn allocations(scheme: &XiaomiOpenApi, uri: &str) -> u64 {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("key")).expect("a good key");
    let credential =
        Credential::new(&AccessToken::new(TOKEN), key).with_client_id("179887661252608");
    let mut uri: Uri = uri.parse().expect("a good URI");
    let mut headers = HeaderMap::with_capacity(8);
    // The first use of a thread's generator sets it up.
    fastrand::u64(..);
    let counted = allocation_counter::measure(|| {
        let nonce = Nonce::fresh(SystemClock.now());
        let request = RequestParts {
            method: "GET",
            host: uri.authority().map_or("", |authority| authority.as_str()),
            path: uri.path(),
            query: uri.query(),
            form: None,
        };
        let signed = scheme
            .sign(&credential, &request, &nonce)
            .expect("a good request");
        headers.insert(AUTHORIZATION, signed.authorization);
        if signed.path_and_query.is_some() {
            let mut parts = std::mem::take(&mut uri).into_parts();
            parts.path_and_query = signed.path_and_query;
            uri = Uri::from_parts(parts).expect("a good URI");
        }
    });
    counted.count_total
}

#[test]
fn a_ready_request_takes_one_allocation() {
    let scheme = XiaomiOpenApi::new().query_credentials(false);
    let host = "https://open.account.xiaomi.com";
    for target in [
        "/user/profile".to_owned(),
        format!("/user/profile?clientId=179887661252608&token={TOKEN}"),
        format!("/user/profile?token={TOKEN}&z=%20&y&x=&%61=1&clientId=179887661252608"),
    ] {
        assert_eq!(
            allocations(&scheme, &format!("{host}{target}")),
            1,
            "{target}"
        );
    }
}

#[test]
fn credentials_in_the_query_take_one_more() {
    let scheme = XiaomiOpenApi::new();
    for target in ["", "/user/profile", "/user/profile?b=2&a=1&token=old"] {
        let uri = format!("https://open.account.xiaomi.com{target}");
        assert_eq!(allocations(&scheme, &uri), 2, "{target}");
    }
}
