//! One client, many users.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_mac_auth::account::{Account, AccountErrorKind};
use tower_mac_auth::layer::{AuthErrorKind, Error, MacAuthLayer, PerRequest};
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::provider::{Bearer, OAuth2};
use tower_mac_auth::store::Generation;
use tower_mac_auth::token::TokenSet;

use crate::world::{Answer, HOST, HOUR, World, get, status};

/// A second user's account.
pub async fn open(world: &World, tokens: TokenSet) -> Account {
    let builder = Account::builder(world.provider.endpoint()).clock(world.clock.clone());
    builder.tokens(tokens).open("other").await.unwrap()
}

/// The layer of all users.
pub fn per_request(world: &World) -> MacAuthLayer<PerRequest> {
    let layer = MacAuthLayer::per_request(world.account.provider());
    layer.allow(HOST).unwrap()
}

pub fn get_as(account: &Account, path: &str) -> Request<Full<Bytes>> {
    let mut request = get(path);
    request.extensions_mut().insert(account.clone());
    request
}

fn kind(answer: Answer) -> AuthErrorKind {
    match answer {
        Err(Error::Auth(error)) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_lost_its_account_on_the_way_is_not_signed_as_another() {
    for rules in [SigningRules::new(), SigningRules::new().sign_form(true)] {
        let world = World::with(|it| it.signing_rules(rules), |it| it).await;
        let client = per_request(&world).layer(world.provider.api());
        // Follows one redirect, as many do: with a request that it makes anew.
        let hops = service_fn(move |request: Request<Full<Bytes>>| {
            let client = client.clone();
            async move {
                let first = client.clone().oneshot(request).await;
                let second = client.oneshot(get("/elsewhere")).await;
                Ok::<_, Infallible>((status(&first), second))
            }
        });
        let before = world.provider.api_requests();
        let (first, second) = hops.oneshot(get_as(&world.account, "/")).await.unwrap();
        assert_eq!(first, StatusCode::OK);
        assert_eq!(kind(second), AuthErrorKind::Account);
        assert_eq!(world.provider.api_requests(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_of_one_account_refuses_a_request_that_brings_another() {
    let world = World::new().await;
    let other = open(&world, world.provider.issue(HOUR)).await;
    let client = world.client();
    let refused = client.clone().oneshot(get_as(&other, "/")).await;
    assert_eq!(kind(refused), AuthErrorKind::Account);
    assert_eq!(world.provider.api_requests(), 0);
    let same = client.oneshot(get_as(&world.account, "/")).await;
    assert_eq!(status(&same), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_code_or_tokens_of_another_user_change_nothing_and_are_handed_back() {
    let world = World::new().await;
    let signs_as = async |user: &TokenSet| {
        assert_eq!(status(&world.get("/").await), StatusCode::OK);
        let accepted = world.provider.accepted();
        assert_eq!(
            Some(&accepted.last().unwrap().subject),
            user.subject.as_ref()
        );
    };
    let code = world.provider.authorization_code();
    let refused = world.account.authorize(code).await.unwrap_err();
    assert_eq!(refused.kind(), AccountErrorKind::OtherUser);
    let others = refused.into_tokens().unwrap();
    assert_ne!(others.subject, world.tokens.subject);
    let refused = world.account.install(others).await.unwrap_err();
    assert_eq!(refused.kind(), AccountErrorKind::OtherUser);
    let others = refused.into_tokens().unwrap();
    assert_eq!(world.account.generation(), Generation::FIRST);
    signs_as(&world.tokens).await;

    // Of another user only if that is meant; the tokens that came back are good.
    world.account.revoke().await.unwrap();
    world.account.install(others.clone()).await.unwrap();
    signs_as(&others).await;
    let current = world.account.generation();
    world.account.refresh_if_current(current).await.unwrap();
    signs_as(&others).await;
    assert!(world.provider.presented_twice().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_interleaved_requests_no_token_crosses_over() {
    let world = World::new().await;
    let other_tokens = world.provider.issue(HOUR);
    let other = open(&world, other_tokens.clone()).await;
    let client = per_request(&world).layer(world.provider.api());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        if number == 500 {
            world.provider.expire_access_tokens();
        }
        let is_other = number % 2 == 1;
        let request = if is_other {
            get_as(&other, "/other")
        } else {
            get_as(&world.account, "/user")
        };
        tasks.spawn(client.clone().oneshot(request));
        if number % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for answer in tasks.join_all().await {
        assert_eq!(status(&answer), StatusCode::OK);
    }
    let accepted = world.provider.accepted();
    assert_eq!(accepted.len(), 1_000);
    for accepted in accepted {
        let owner = if accepted.path == "/other" {
            &other_tokens
        } else {
            &world.tokens
        };
        assert_eq!(Some(accepted.subject), owner.subject);
    }
    assert_eq!(world.presented(), 2);
}

/// Two providers of one type, as Google and GitHub would be.
#[tokio::test]
async fn an_account_of_another_client_is_not_sent_to_the_hosts_of_the_layer() {
    let provider = |client: &str, url: &str| Bearer::new(OAuth2::new(url, client));
    let google = || provider("one", "https://google.example/token");
    let account = Account::builder(google()).tokens(
        TokenSet::new("SECRET")
            .with_refresh_token("R")
            .with_expires_in(HOUR),
    );
    let account = account.open("user").await.unwrap();
    for (of_layer, sent) in [
        (google(), true),
        (provider("other", "https://google.example/token"), false),
        (provider("one", "https://github.example/token"), false),
    ] {
        let api = service_fn(|_: Request<_>| async {
            Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default()))
        });
        let layer = MacAuthLayer::per_request(&of_layer).allow(HOST).unwrap();
        let mut request = get("/me");
        request.extensions_mut().insert(account.clone());
        let answer = layer.layer(api).oneshot(request).await;
        match answer {
            Ok(_) => assert!(sent),
            Err(Error::Auth(error)) => {
                assert!(!sent);
                assert_eq!(error.kind(), AuthErrorKind::Account);
                assert!(error.to_string().contains("another client"), "{error}");
            }
            Err(Error::Service(never)) => match never {},
        }
    }
}
