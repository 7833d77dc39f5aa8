//! Whose tokens an account holds, if two users agree at once or an answer does not say whose it is.

use std::time::Duration;

use http::StatusCode;
use tower_mac_auth::account::{Account, AccountErrorKind, Accounts};
use tower_mac_auth::store::MemoryStore;
use tower_mac_auth::testing::{Fault, Provider, TestClock};

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
