//! One client, many users.

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::Account;

use crate::world::{HOUR, World, get, status};

#[tokio::test(start_paused = true)]
async fn of_a_thousand_interleaved_requests_no_token_crosses_over() {
    let world = World::new().await;
    let other_tokens = world.provider.issue(HOUR);
    let other = Account::builder(world.provider.endpoint())
        .clock(world.clock.clone())
        .tokens(other_tokens.clone())
        .open("other")
        .await
        .unwrap();
    let client = world.layer().layer(world.provider.api());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        if number == 500 {
            world.provider.expire_access_tokens();
        }
        let is_other = number % 2 == 1;
        let mut request = get(if is_other { "/other" } else { "/user" });
        if is_other {
            request.extensions_mut().insert(other.clone());
        }
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
        assert_eq!(Some(accepted.open_id), owner.open_id);
    }
    assert_eq!(world.presented(), 2);
}
