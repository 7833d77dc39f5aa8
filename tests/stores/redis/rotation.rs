//! Accounts and layers that rotate on it.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::store::RecordStore;
use tower_mac_auth::store::redis::RedisStore;
use tower_mac_auth::testing::Provider;
use tracing_subscriber::fmt::MakeWriter;

use super::server::Server;
use super::{issued, user};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server: scripts/test"]
async fn requests_of_three_processes_find_a_dead_token_and_one_rotates() {
    let server = Server::safe().await;
    let provider = Provider::new();
    let tokens = provider.issue(HOUR);
    let mut accounts = Vec::new();
    for _ in 0..3 {
        let account = Account::builder(provider.endpoint())
            .store(server.store().await)
            .tokens(tokens.clone())
            .min_rotation_interval(Duration::ZERO)
            .open("user")
            .await
            .unwrap();
        accounts.push(account);
    }
    for round in 1..=3 {
        provider.expire_access_tokens();
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..60 {
            let layer = MacAuthLayer::new(accounts[number % 3].clone());
            let client = layer.allow("api.example").unwrap().layer(provider.api());
            let request = Request::get("https://api.example/x");
            calls.spawn(client.oneshot(request.body(Full::<Bytes>::default()).unwrap()));
        }
        let answers = calls.join_all().await;
        for answer in answers {
            assert_eq!(answer.unwrap().status(), 200);
        }
        assert_eq!(provider.presentations().len(), round);
        assert!(provider.presented_twice().is_empty());
    }
    for account in accounts {
        account.shutdown().await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn a_rotation_is_four_round_trips() {
    let server = Server::safe().await;
    let provider = Provider::new();
    let account = Account::builder(provider.endpoint())
        .store(server.store().await)
        .tokens(provider.issue(HOUR))
        .min_rotation_interval(Duration::ZERO)
        .open("user")
        .await
        .unwrap();
    // The first has all that happens once.
    account
        .refresh_if_current(account.generation())
        .await
        .unwrap();
    server.tell::<()>(&["CONFIG", "RESETSTAT"]).await;
    account
        .refresh_if_current(account.generation())
        .await
        .unwrap();
    let info: String = server.tell(&["INFO", "commandstats"]).await;
    let calls = info.lines().filter_map(|line| {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((command, rest.split(',').next()?.parse::<u32>().ok()?))
    });
    // What scripts call counts too; it is no round trip.
    let inside = [
        "time", "type", "hget", "hgetall", "zadd", "del", "hset", "rename", "publish",
    ];
    let ours = ["config|resetstat", "info", "hello", "client|setinfo"];
    let mut calls: HashMap<_, _> = calls.collect();
    calls.retain(|command, _| !inside.contains(command) && !ours.contains(command));
    assert_eq!(calls, HashMap::from([("evalsha", 4)]), "{info}");
    account.shutdown().await;
}

/// Collects everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn no_log_and_no_channel_has_a_secret() {
    let mut server = Server::safe().await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    server
        .tell::<()>(&[
            "ACL", "SETUSER", "app", "on", ">CANARY", "~*", "&*", "+@all",
        ])
        .await;
    let url = server.url().replace("//", "//app:CANARY@");
    let store = RedisStore::connect(&url).await.unwrap();
    let mut listening = redis::Client::open(server.url())
        .unwrap()
        .get_async_pubsub()
        .await
        .unwrap();
    listening.psubscribe("*").await.unwrap();
    let name = user();
    let _ = store.commit(&name, issued(1)).await.unwrap();
    let message = futures_util::StreamExt::next(&mut listening.on_message())
        .await
        .unwrap();
    assert_eq!(message.get_channel_name(), "{tower-mac-auth}:changes");
    // Which version, and whose: nothing else.
    let told = String::from_utf8(message.get_payload_bytes().to_vec()).unwrap();
    let (version, account) = told.split_once(' ').unwrap();
    assert!(
        version.parse::<u64>().is_ok() && account == "user",
        "{told}"
    );

    let mut watch = store.watch().unwrap();
    server.stop();
    let error = store.commit(&name, issued(2)).await.unwrap_err();
    tracing::error!(
        error = &error as &dyn Error,
        ?error,
        ?store,
        "as a user would log it"
    );
    server.restart().await;
    // Its users are gone with it: the store is refused, and says so to the log, if to anybody.
    let error = store.load(&name).await.unwrap_err();
    tracing::error!(
        error = &error as &dyn Error,
        ?error,
        "as a user would log it"
    );
    watch.next().await;
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("subscription is lost") && logged.contains("as a user"),
        "{logged}"
    );
    assert!(!logged.contains("CANARY"), "{logged}");
}
