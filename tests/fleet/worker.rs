//! What runs in a worker process: accounts over the shared store, requests through the layer and
//! hyper's client.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use tower::{Layer, ServiceExt};
use tower_mac_auth::account::{Account, AccountError, InDoubtPolicy, RefreshError};
use tower_mac_auth::layer::{Error, MacAuth, MacAuthLayer, RequestBody};
use tower_mac_auth::provider::{Bearer, OAuth2, Provider, Xiaomi};
use tower_mac_auth::store::{Journal, SharedStore};
use tower_mac_auth::token::{HyperTransport, TokenEndpoint};

use crate::child::{Answer, Message, Order, Orders, Outcome, SAYS};
use crate::stops::Stopping;

type Inner = Client<HttpConnector, RequestBody<Full<Bytes>>>;

/// Tells the parent, in one write: a kill does not cut it in two.
pub fn say(message: &Message) {
    let line = format!("{SAYS}{}\n", serde_json::to_string(message).unwrap());
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(line.as_bytes()).unwrap();
    stdout.flush().unwrap();
}

pub async fn run(orders: Orders) {
    // Also while it is stopped. Its parent may have ended before this line.
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(orders.parent) {
        return;
    }
    let id = orders.client_id.as_str();
    let secret = orders.client_secret.as_str();
    if orders.oauth2 {
        let client = OAuth2::new(&orders.token_url, id).with_client_secret(secret);
        obey(Bearer::new(client), orders).await;
    } else {
        let client = Xiaomi::new(id, secret, orders.redirect_uri.as_str());
        obey(client.with_token_url(&orders.token_url), orders).await;
    }
}

async fn obey<P: Provider>(client: P, orders: Orders) {
    let (go, may_go) = watch::channel(false);
    let worker = Arc::new(Worker::new(client, orders, may_go).await);
    let mut clients = HashMap::new();
    for name in &worker.orders.accounts {
        clients.insert(name.clone(), worker.client(name).await);
    }
    say(&Message::Ready);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let worker = Arc::clone(&worker);
        match serde_json::from_str(&line).unwrap() {
            Order::Get { account, copies } => {
                let client = clients[&account].clone();
                tokio::spawn(async move {
                    let mut requests = tokio::task::JoinSet::new();
                    for _ in 0..copies {
                        let (worker, client) = (Arc::clone(&worker), client.clone());
                        requests.spawn(async move { worker.get(client).await });
                    }
                    say(&Message::Got(requests.join_all().await));
                });
            }
            Order::Load { account, time } => {
                let client = clients[&account].clone();
                tokio::spawn(async move {
                    let until = now() + time;
                    let mut answers = Vec::new();
                    while now() < until {
                        answers.push(worker.get(client.clone()).await);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    say(&Message::Got(answers));
                });
            }
            Order::Storm => {
                for (number, name) in worker.orders.accounts.iter().enumerate() {
                    // The first is hot.
                    for _ in 0..if number == 0 { 4 } else { 1 } {
                        let client = clients[name].clone();
                        tokio::spawn(Arc::clone(&worker).storm(name.clone(), client));
                    }
                }
            }
            Order::Go => {
                go.send_replace(true);
            }
        }
    }
    // The harness would wait for the thread that reads.
    std::process::exit(0);
}

#[expect(clippy::disallowed_methods, reason = "measures what requests take")]
fn now() -> Instant {
    Instant::now()
}

struct Worker<P: Provider> {
    orders: Orders,
    store: SharedStore,
    journal: Option<Journal>,
    endpoint: TokenEndpoint<P>,
    http: Inner,
}

impl<P: Provider> Worker<P> {
    async fn new(client: P, orders: Orders, go: watch::Receiver<bool>) -> Self {
        let transport = HyperTransport::new()
            .unwrap()
            .answer_timeout(orders.answer_timeout * 4 / 5);
        let endpoint = TokenEndpoint::builder(client)
            .requests_per_second(None)
            .transport(transport)
            .build()
            .unwrap();
        let store = Stopping {
            inner: orders.store.open().await,
            stop: orders.stop,
            done: AtomicBool::new(false),
            go,
        };
        let journal = match &orders.journal {
            Some(dir) => Some(Journal::open(dir).await.unwrap()),
            None => None,
        };
        Self {
            store: SharedStore::new(store),
            journal,
            endpoint,
            http: Client::builder(TokioExecutor::new()).build_http(),
            orders,
        }
    }

    async fn open(&self, name: &str) -> Result<Account<P>, AccountError> {
        let mut builder = Account::builder(self.endpoint.clone());
        if let Some(journal) = &self.journal {
            builder = builder.journal(journal.clone());
        }
        builder
            .store(self.store.clone())
            .in_doubt(if self.orders.may_present_again {
                InDoubtPolicy::HoldUntilDead
            } else {
                InDoubtPolicy::Never
            })
            .min_rotation_interval(Duration::ZERO)
            .answer_timeout(self.orders.answer_timeout)
            .refresh_timeout(Duration::from_secs(20))
            .open(name)
            .await
    }

    /// The store may be restarting.
    async fn client(&self, name: &str) -> MacAuth<Inner, Account<P>> {
        loop {
            match self.open(name).await {
                Ok(account) => {
                    let layer = MacAuthLayer::new(account);
                    let layer = layer.allow(&self.orders.authority).unwrap();
                    return layer.layer(self.http.clone());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn get(&self, client: MacAuth<Inner, Account<P>>) -> Answer {
        let began = now();
        let request = Request::get(format!("http://{}/", self.orders.authority))
            .body(Full::default())
            .unwrap();
        let of = |error: &RefreshError| Outcome::Refresh(format!("{:?}", error.kind()));
        let outcome = match client.oneshot(request).await {
            Ok(response) => {
                let status = response.status();
                let refresh = response.extensions().get().map(of);
                // Read to the end, so that the connection is used again.
                let body = response.into_body().collect().await;
                match (status.as_u16(), refresh) {
                    (200, _) if body.is_ok() => Outcome::Served,
                    (_, Some(refresh)) => refresh,
                    _ => Outcome::Other(status.to_string()),
                }
            }
            Err(Error::Auth(error)) => match error.refresh_error() {
                Some(error) => of(error),
                None => Outcome::Other(error.to_string()),
            },
            Err(error) => Outcome::Other(error.to_string()),
        };
        let took = began.elapsed();
        Answer { outcome, took }
    }

    async fn storm(self: Arc<Self>, name: String, mut client: MacAuth<Inner, Account<P>>) {
        loop {
            let answer = self.get(client.clone()).await;
            if answer.outcome != Outcome::Served {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(20..200))).await;
                // An account in doubt looks into its store every 30 s; a fresh one does at once.
                if matches!(answer.outcome, Outcome::Refresh(_)) {
                    client = self.client(&name).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
        }
    }
}
