//! The same promises for a provider of the MAC drafts.

use std::time::Duration;

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::provider::HttpMac;
use tower_mac_auth::provider::http_mac::Draft;
use tower_mac_auth::sign::Algorithm;
use tower_mac_auth::testing::{Api, Dialect, Provider, RefusalStyle, TestClock};

use crate::world::{HOST, HOUR, at_once, get, post, status};

type Client = tower_mac_auth::layer::MacAuth<Api, Account<HttpMac>>;

/// A provider, its clock, and a client of it whose own clock is given.
async fn scene(draft: Draft, algorithm: Algorithm, own: &TestClock) -> (Provider, Client) {
    let provider = Provider::builder()
        .dialect(Dialect::HttpMac(draft, algorithm))
        .lifetime(HOUR)
        .clock(TestClock::new())
        .build();
    let client = HttpMac::new(provider.oauth2().allow(HOST).unwrap(), draft);
    let client = match draft {
        Draft::V00 => client.with_body_hash(1024),
        _ => client,
    };
    let account = Account::builder(provider.endpoint_of(client)).clock(own.clone());
    let code = provider.authorization_code();
    let account = account.authorize("user", code).await.unwrap();
    let client = MacAuthLayer::new(account).layer(provider.api());
    (provider, client)
}

const ALL: [(Draft, Algorithm); 6] = [
    (Draft::V00, Algorithm::HmacSha1),
    (Draft::V00, Algorithm::HmacSha256),
    (Draft::V00, Algorithm::HmacSha512),
    (Draft::V01, Algorithm::HmacSha1),
    (Draft::V01, Algorithm::HmacSha256),
    (Draft::V01, Algorithm::HmacSha512),
];

#[tokio::test(start_paused = true)]
async fn every_revision_and_algorithm_signs_and_is_refreshed_once() {
    for (draft, algorithm) in ALL {
        for style in [RefusalStyle::Unauthorized401, RefusalStyle::Bare401] {
            let (provider, client) = scene(draft, algorithm, &TestClock::new()).await;
            provider.set_refusal_style(style);
            let answer = client.clone().oneshot(post("/a?b=c%2F&a=1", "body")).await;
            assert_eq!(status(&answer), StatusCode::OK, "{:?}", provider.refused());
            assert_eq!(provider.accepted()[0].body, "body");
            provider.expire_access_tokens();
            for answer in at_once(&client, 50).await {
                assert_eq!(status(&answer), StatusCode::OK, "{:?}", provider.refused());
            }
            assert_eq!(provider.presentations().len(), 1, "{draft:?} {algorithm:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_costs_no_refresh() {
    for (draft, algorithm) in ALL {
        let own = TestClock::new();
        own.set_back(Duration::from_secs(3000));
        let (provider, client) = scene(draft, algorithm, &own).await;
        for _ in 0..2 {
            let answer = client.clone().oneshot(get("/")).await;
            assert_eq!(status(&answer), StatusCode::OK, "{:?}", provider.refused());
        }
        assert_eq!(provider.accepted().len(), 2);
        assert!(provider.presentations().is_empty(), "{draft:?}");
    }
}
