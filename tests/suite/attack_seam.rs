//! Whose tokens an account holds, if two users agree at once or an answer does not say whose it is.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use tower_mac_auth::account::{Account, AccountErrorKind, Accounts, RefreshErrorKind};
use tower_mac_auth::provider::{Bearer, GrantType, OAuth2};
use tower_mac_auth::store::MemoryStore;
use tower_mac_auth::testing::{Fault, Provider, TestClock};
use tower_mac_auth::token::{Outcome, TokenEndpoint};

use crate::says::Says;
use crate::world::{HOUR, World, status};

const A_BIT: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn of_two_users_who_agree_at_once_the_second_does_not_take_the_account_of_the_first() {
    let provider = Provider::new();
    let accounts = Accounts::builder(provider.endpoint()).build();
    provider.fault_next(Fault::Delay(Duration::from_secs(5)));
    let (slow, code) = (accounts.clone(), provider.authorization_code());
    let slow = tokio::spawn(async move { slow.authorize("user", code).await });
    while provider.token_requests() == 0 {
        tokio::time::sleep(A_BIT).await;
    }
    let first = provider.issue(HOUR);
    let account = accounts.install("user", first.clone()).await.unwrap();
    let standing = account.generation();
    let refused = slow.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), AccountErrorKind::OtherUser);
    assert_ne!(refused.into_tokens().unwrap().subject, first.subject);
    assert_eq!(account.subject(), first.subject);
    assert_eq!(account.generation(), standing);
}

#[tokio::test(start_paused = true)]
async fn of_two_users_who_agree_at_once_in_two_processes_the_first_has_the_account() {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let store = MemoryStore::with_clock(clock.clone());
    let process = || {
        let accounts = Accounts::builder(provider.endpoint()).clock(clock.clone());
        accounts.store(store.clone()).build()
    };
    let (here, there) = (process(), process());
    provider.fault_next(Fault::Delay(Duration::from_secs(5)));
    let code = provider.authorization_code();
    let slow = tokio::spawn(async move { here.authorize("user", code).await });
    while provider.token_requests() == 0 {
        tokio::time::sleep(A_BIT).await;
    }
    let first = provider.issue(HOUR);
    let account = there.install("user", first.clone()).await.unwrap();
    let standing = account.generation();
    let refused = slow.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), AccountErrorKind::OtherUser);
    assert_ne!(refused.into_tokens().unwrap().subject, first.subject);
    let account = Account::builder(provider.endpoint()).clock(clock.clone());
    let account = account.store(store.clone()).open("user").await.unwrap();
    assert_eq!(account.subject(), first.subject);
    assert_eq!(account.generation(), standing);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_say_whose_it_is_does_not_replace_a_known_user() {
    let world = World::new().await;
    let standing = world.account.generation();
    // Of such an answer only the refresh token can be used.
    world.provider.fault_next(Fault::WrongAlgorithm);
    let others = world.provider.authorization_code();
    let refused = world.account.authorize(others).await;
    assert_eq!(refused.unwrap_err().kind(), AccountErrorKind::CodeInDoubt);
    assert_eq!(world.account.generation(), standing);
    assert_eq!(status(&world.get("/").await), StatusCode::OK);
    let accepted = world.provider.accepted();
    let subject = &accepted.last().unwrap().subject;
    assert_eq!(Some(subject), world.tokens.subject.as_ref());
}

fn client() -> OAuth2 {
    OAuth2::new("https://as.example/token", "id").with_subject_field("user")
}

fn endpoint(client: OAuth2, answers: &[(u16, &str)]) -> TokenEndpoint<Bearer> {
    TokenEndpoint::builder(Bearer::new(client))
        .transport(Says::new(answers))
        .build()
        .unwrap()
}

const ALICE: (u16, &str) = (
    200,
    r#"{"access_token":"A-1","refresh_token":"R-1","user":"alice"}"#,
);
const BOB: (u16, &str) = (
    200,
    r#"{"access_token":"A-2","refresh_token":"R-2","user":"bob"}"#,
);
const NOBODY: (u16, &str) = (200, r#"{"access_token":"A-3","refresh_token":"R-3"}"#);

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_answered_with_another_user_is_in_doubt() {
    let endpoint = endpoint(client(), &[ALICE, BOB]);
    let account = Account::builder(endpoint)
        .authorize("user", "code")
        .await
        .unwrap();
    let standing = account.generation();
    let error = account.refresh_if_current(standing).await.unwrap_err();
    assert_eq!(error.kind(), RefreshErrorKind::InDoubt);
    assert_eq!(account.subject().as_deref(), Some("alice"));
    assert_eq!(account.generation(), standing);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_user_leaves_the_one_that_stands() {
    let endpoint = endpoint(client(), &[ALICE, NOBODY, NOBODY, BOB]);
    let account = Account::builder(endpoint)
        .authorize("user", "code")
        .await
        .unwrap();
    account
        .refresh_if_current(account.generation())
        .await
        .unwrap();
    assert_eq!(account.subject().as_deref(), Some("alice"));
    account.authorize("another code").await.unwrap();
    assert_eq!(account.subject().as_deref(), Some("alice"));
    let refused = account.authorize("the code of another").await.unwrap_err();
    assert_eq!(refused.kind(), AccountErrorKind::OtherUser);
}

#[tokio::test]
async fn a_secret_that_a_parameter_or_a_header_has_is_not_quoted() {
    let secrets = ["CANARY-assertion-1234567890", "CANARY-header-1234567890"];
    for secret in secrets {
        let client = client()
            .with_parameter(GrantType::RefreshToken, "client_assertion", secrets[0])
            .with_header(
                HeaderName::from_static("x-api-key"),
                HeaderValue::from_static(secrets[1]),
            );
        let body = format!(r#"{{"error":"invalid_client","error_description":"bad: {secret}"}}"#);
        let endpoint = endpoint(client, &[(400, &body)]);
        let connected = endpoint.connect().await.unwrap();
        let outcome = connected.refresh(&"R".into()).await;
        assert!(matches!(outcome, Outcome::Refused(_)));
        assert!(!format!("{outcome:?}").contains("CANARY"), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn extras_do_not_grow_with_each_rotation() {
    let answers: Vec<_> = (0..5)
        .map(|at| {
            let extra = "x".repeat(50_000);
            format!(r#"{{"access_token":"A-{at}","refresh_token":"R-{at}","e{at}":"{extra}"}}"#)
        })
        .collect();
    let answers: Vec<_> = answers.iter().map(|body| (200, &**body)).collect();
    let builder = Account::builder(endpoint(client(), &answers));
    let builder = builder.min_rotation_interval(Duration::ZERO);
    let account = builder.authorize("user", "code").await.unwrap();
    for _ in 1..5 {
        account
            .refresh_if_current(account.generation())
            .await
            .unwrap();
        let extras = account.extras();
        let size: usize = extras.values().map(|it| it.expose_secret().len()).sum();
        assert!((50_000..=64 * 1024).contains(&size), "{size}");
    }
}
