//! An error says one thing, and its cause is in `source` alone.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_mac_auth::AuthorizationCode;
use tower_mac_auth::account::{Account, AccountErrorKind, InDoubtPolicy, RefreshErrorKind};
use tower_mac_auth::layer::{self, RequestBody};
use tower_mac_auth::provider::xiaomi::{ErrorCode, SigningRules};
use tower_mac_auth::provider::{AllowedAuthorities, Presented, Provider as _, Xiaomi};
use tower_mac_auth::sign::Algorithm;
use tower_mac_auth::store::{AccountName, FileStore, MemoryStore, RecordStore, StoreErrorKind};
use tower_mac_auth::testing::Fault;
use tower_mac_auth::token::{Outcome, TokenEndpoint};
use tower_mac_auth::verify::MacAuthorization;

use crate::faulty::{Faulty, How, Step};
use crate::world::{HOST, HOUR, World};

/// A body that cannot be read.
struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::Error::other("disk on fire"))))
    }
}

/// How many errors were looked at, and how many of them had a cause.
#[derive(Debug, Default)]
struct Looked {
    at: usize,
    causes: usize,
}

impl Looked {
    fn at(&mut self, error: &(dyn Error + 'static)) {
        self.at += 1;
        let mut above = error;
        while let Some(cause) = above.source() {
            self.causes += 1;
            let (said, cause_said) = (above.to_string(), cause.to_string());
            assert!(!cause_said.is_empty(), "{error:?}");
            assert!(!said.contains(&cause_said), "{said:?} has {cause_said:?}");
            above = cause;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_error_prints_its_cause() {
    let mut looked = Looked::default();
    requests(&mut looked).await;
    refreshes(&mut looked).await;
    accounts(&mut looked).await;
    stores(&mut looked).await;
    the_rest(&mut looked);
    assert!(looked.at > 45 && looked.causes > 30, "{looked:?}");
}

/// Of the layer.
async fn requests(looked: &mut Looked) {
    let rules = SigningRules::new().sign_form(true);
    let world = World::with(|it| it.signing_rules(rules), |it| it).await;
    for uri in [
        "https://elsewhere.example/",
        "http://api.example/",
        "/no-host",
        "https://api.example/?a=%zz",
    ] {
        let request = Request::get(uri).body(Full::<Bytes>::default()).unwrap();
        looked.at(&world.client().oneshot(request).await.unwrap_err());
    }
    let form = || {
        Request::post(format!("https://{HOST}/"))
            .header("content-type", "application/x-www-form-urlencoded")
    };
    let client = world.client();
    let long = form()
        .body(Full::<Bytes>::from(vec![b'a'; 65 * 1024]))
        .unwrap();
    looked.at(&client.clone().oneshot(long).await.unwrap_err());
    let broken = form().body(Broken).unwrap();
    looked.at(&client.oneshot(broken).await.unwrap_err());
    // The body that the inner service reads.
    let reads = service_fn(|request: Request<RequestBody<Broken>>| async {
        let read = request.into_body().collect().await;
        Err::<Response<Full<Bytes>>, _>(read.map(drop).unwrap_err())
    });
    let request = Request::post(format!("https://{HOST}/"));
    let request = request.body(Broken).unwrap();
    looked.at(&world
        .layer()
        .layer(reads)
        .oneshot(request)
        .await
        .unwrap_err());
    let invalid = AllowedAuthorities::new(["a b"]);
    looked.at(&invalid.unwrap_err());
}

/// Of a refresh, as it is and as a request gets it.
async fn refreshes(looked: &mut Looked) {
    for fault in [
        Fault::ConnectionRefused,
        Fault::Reset,
        Fault::Hang,
        Fault::Garbage,
        Fault::Empty200,
        Fault::ServerError(StatusCode::BAD_GATEWAY),
        Fault::WrongAlgorithm,
        Fault::RefuseWith(ErrorCode::ClientMismatch),
        Fault::RefuseWith(ErrorCode::RefreshTokenRejected),
        Fault::RefuseWith(ErrorCode::from_code(7)),
        Fault::RateLimited { retry_after: None },
        Fault::RateLimited {
            retry_after: Some(HOUR),
        },
    ] {
        let clock = tower_mac_auth::testing::TestClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let builder = |account: tower_mac_auth::account::AccountBuilder| {
            let account = account.clock(clock.clone()).store(store.clone());
            account.in_doubt(InDoubtPolicy::Never)
        };
        let world = World::with(|provider| provider.clock(clock.clone()), builder).await;
        world.provider.fault_next(fault);
        let refresh = async |account: &Account| {
            let refresh = account.refresh_if_current(account.generation());
            refresh.await.unwrap_err()
        };
        looked.at(&refresh(&world.account).await);
        looked.at(&refresh(&world.account).await);
        // Asked for before its time, also by one who has that from the record.
        let reopened = builder(Account::builder(world.provider.endpoint()));
        let reopened = reopened.open("user").await.unwrap();
        looked.at(&refresh(&reopened).await);
        looked.at(&refresh(&reopened).await);
        world.provider.expire_access_tokens();
        if let Err(error) = world.get("/").await {
            looked.at(&error);
        }
    }
    let world = World::new().await;
    world.account.shutdown().await;
    world.clock.advance(2 * HOUR);
    let error = world.get("/").await.unwrap_err();
    looked.at(&error);
    looked.at(error_of(&error));
}

fn error_of<E>(error: &layer::Error<E>) -> &tower_mac_auth::account::RefreshError {
    let layer::Error::Auth(error) = error else {
        panic!("it is the account's")
    };
    let error = error.refresh_error().unwrap();
    assert_eq!(error.kind(), RefreshErrorKind::Closed);
    error
}

/// Of opening and authorizing.
async fn accounts(looked: &mut Looked) {
    let world = World::new().await;
    let builder = || Account::builder(world.provider.endpoint());
    looked.at(&builder().open("").await.unwrap_err());
    looked.at(&builder().open("nobody").await.unwrap_err());
    let mut tokens = world.provider.issue(HOUR);
    tokens.mac_key = Some(String::new().into());
    looked.at(&builder().tokens(tokens).open("user").await.unwrap_err());
    for fault in [
        Fault::ConnectionRefused,
        Fault::Reset,
        Fault::Hang,
        Fault::Garbage,
        Fault::RefuseWith(ErrorCode::CodeRejected),
        Fault::RefuseWith(ErrorCode::from_code(7)),
        Fault::RateLimited { retry_after: None },
    ] {
        world.provider.fault_next(fault);
        let code = world.code();
        looked.at(&world.account.authorize(code).await.unwrap_err());
    }
    let code = world.provider.authorization_code();
    let other = world.account.authorize(code).await.unwrap_err();
    assert_eq!(other.kind(), AccountErrorKind::OtherUser);
    looked.at(&other);
    let store = Faulty::new(world.clock.clone());
    let builder = builder().store(store.clone()).clock(world.clock.clone());
    let tokens = world.provider.issue(HOUR);
    let account = builder.tokens(tokens).open("user").await.unwrap();
    store.fail(Step::Revoke, How::Before);
    looked.at(&account.revoke().await.unwrap_err());
    store.fail(Step::Acquire, How::Before);
    let refresh = account.refresh_if_current(account.generation());
    looked.at(&refresh.await.unwrap_err());
}

/// Of what is on a disk.
async fn stores(looked: &mut Looked) {
    let scratch = tempfile::TempDir::new().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    looked.at(&FileStore::open(&file).await.unwrap_err());
    looked.at(&FileStore::open(file.join("below")).await.unwrap_err());
    let store = FileStore::open(scratch.path().join("store")).await.unwrap();
    let world = World::with(|it| it, |it| it.store(store.clone())).await;
    let record = crate::file_store::find(&scratch.path().join("store"), "user.json").unwrap();
    for damaged in [&b"{"[..], b"", b"\xff"] {
        std::fs::write(&record, damaged).unwrap();
        let loaded = store.load(world.account.name()).await.unwrap();
        let error = loaded.into_record().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        looked.at(&error);
    }
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir(&record).unwrap();
    looked.at(&store.load(world.account.name()).await.unwrap_err());
}

fn xiaomi() -> Xiaomi {
    Xiaomi::new("1", "s", "https://client.example/")
}

/// What an answer to a code means.
fn outcome(status: StatusCode, answer: &'static [u8]) -> Outcome {
    let code = AuthorizationCode::new("C");
    let mut response = Response::new(Bytes::from_static(answer));
    *response.status_mut() = status;
    xiaomi().token_answer(Presented::AuthorizationCode(&code), &response)
}

fn the_rest(looked: &mut Looked) {
    for url in ["a b", "https://", "ftp://host/", "http://host.example/"] {
        let builder = TokenEndpoint::builder(xiaomi().with_token_url(url));
        looked.at(&builder.build().unwrap_err());
    }
    for incomplete in [
        Xiaomi::new("", "s", "https://client.example/"),
        Xiaomi::new("1", "", "https://client.example/"),
        Xiaomi::new("1", "s", ""),
    ] {
        looked.at(&TokenEndpoint::builder(incomplete).build().unwrap_err());
    }
    let answer = br#"{"access_token":"a","mac_key":"k","mac_algorithm":"x","expires_in":9}"#;
    let Outcome::Ambiguous(ambiguous) = outcome(StatusCode::OK, answer) else {
        panic!("an algorithm that nobody knows")
    };
    looked.at(&ambiguous);
    looked.at(&AccountName::new("a\0b").unwrap_err());
    looked.at(&"CANARY".parse::<Algorithm>().unwrap_err());
    let Outcome::RateLimited(limited) = outcome(StatusCode::TOO_MANY_REQUESTS, b"") else {
        panic!("a 429 is no verdict")
    };
    looked.at(&limited);
    let Outcome::Refused(refused) = outcome(StatusCode::BAD_REQUEST, br#"{"error":96013}"#) else {
        panic!("a refusal")
    };
    looked.at(&refused);
    #[cfg(feature = "seal")]
    looked.at(&tower_mac_auth::store::SealingKey::from_base64("short").unwrap_err());
    let unsignable = r#"MAC access_token="a", nonce="", mac="m""#;
    looked.at(&MacAuthorization::parse(unsignable).unwrap_err());
}
