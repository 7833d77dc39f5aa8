//! Accounts of two machines, with the layer, on one database.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::store::PostgresStore;
use tower_mac_auth::testing::Provider;

use super::server::{Server, Sql, fresh, shared, store_with, two};

fn layer(account: &Account) -> MacAuthLayer {
    MacAuthLayer::new(account.clone())
        .allow("api.example")
        .unwrap()
}

fn get() -> Request<Full<Bytes>> {
    Request::get("https://api.example/x")
        .body(Full::default())
        .unwrap()
}

async fn open(provider: &Provider, store: &PostgresStore) -> Account {
    let tokens = provider.issue(Duration::from_secs(3600));
    let builder = Account::builder(provider.endpoint())
        .store(store.clone())
        .min_rotation_interval(Duration::ZERO);
    builder.tokens(tokens).open("user").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn two_machines_on_one_database_present_each_refresh_token_once() {
    let stores = two(&shared()).await;
    let provider = Provider::new();
    let accounts = [
        open(&provider, &stores[0]).await,
        open(&provider, &stores[1]).await,
    ];
    for round in 1..=5 {
        provider.expire_access_tokens();
        let mut requests = tokio::task::JoinSet::new();
        for request in 0..40 {
            let client = layer(&accounts[request % 2]).layer(provider.api());
            requests.spawn(client.oneshot(get()));
        }
        for answer in requests.join_all().await {
            assert_eq!(answer.unwrap().status(), StatusCode::OK);
        }
        assert_eq!(provider.presentations().len(), round);
    }
    assert!(provider.presented_twice().is_empty());
    for account in accounts {
        account.shutdown().await;
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_rotation_costs_four_round_trips_and_a_look_one() {
    let server = Server::start(&["shared_preload_libraries=pg_stat_statements"]);
    let sql = Sql::connect(&server.url).await;
    sql.run("CREATE EXTENSION pg_stat_statements").await;
    let schema = fresh();
    let here = store_with(&server.url, |builder| builder.schema(&schema)).await;
    // It would look at once at what it hears of.
    let there = store_with(&server.url, |builder| builder.schema(&schema).listen(false)).await;
    let provider = Provider::new();
    let [winner, watcher] = [open(&provider, &here).await, open(&provider, &there).await];
    let calls = async |what: &str| -> i64 {
        let count = format!(
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements \
             WHERE query LIKE '%\"tower_mac_auth_records\"%' AND query {what}"
        );
        let count = sql.client.query_one(&count, &[]).await.unwrap().get(0);
        sql.run("SELECT pg_stat_statements_reset()").await;
        count
    };
    calls("LIKE '%'").await;
    provider.expire_access_tokens();
    let client = layer(&winner).layer(provider.api());
    assert_eq!(
        client.oneshot(get()).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(calls("LIKE '%'").await, 4);
    let client = layer(&watcher).layer(provider.api());
    assert_eq!(
        client.oneshot(get()).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(calls("LIKE '%'").await, 1);
    assert_eq!(provider.presentations().len(), 1);
}
