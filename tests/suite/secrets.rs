//! Canaries: no secret in any log, span, event, error, panic or Debug.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use http::StatusCode;
use tower::{Layer, Service, ServiceExt};
use tower_mac_auth::account::Account;
use tower_mac_auth::provider::xiaomi::ErrorCode;
use tower_mac_auth::store::{AccountName, Generation, Issued, MemoryStore, RecordStore};
use tower_mac_auth::testing::{Fault, Provider, TestClock};
use tower_mac_auth::token::TokenSet;
use tracing_subscriber::fmt::MakeWriter;

use crate::faulty::{Faulty, How, Step};
use crate::world::{HOUR, World, get, post, record};

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

/// Everything that was printed, and every secret there was.
#[derive(Default)]
struct Watch {
    printed: String,
    secrets: Vec<String>,
}

impl Watch {
    fn print(&mut self, thing: &impl Debug) {
        writeln!(self.printed, "{thing:?} {thing:#?}").unwrap();
    }

    fn print_error(&mut self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            writeln!(self.printed, "{error} {error:?}").unwrap();
            next = error.source();
        }
    }

    fn know(&mut self, tokens: &TokenSet) {
        self.secrets
            .push(tokens.access_token.expose_secret().to_owned());
        let mac_key = tokens.mac_key.as_ref().unwrap();
        self.secrets.push(mac_key.expose_secret().to_owned());
        let refresh_token = tokens.refresh_token.as_ref().unwrap();
        self.secrets.push(refresh_token.expose_secret().to_owned());
    }

    fn know_provider(&mut self, provider: &Provider) {
        self.secrets
            .push(provider.client_secret().expose_secret().to_owned());
        for presentation in provider.presentations() {
            self.secrets
                .push(presentation.token.expose_secret().to_owned());
        }
        for accepted in provider.accepted() {
            self.secrets
                .push(accepted.access_token.expose_secret().to_owned());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_ever_printed() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    // While there is one subscriber alone, an event is asked for once: by whichever thread meets it
    // first, and of what listens on that thread, which in the tests beside this one is nothing.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    // For the whole thread, so for the account's own tasks too.
    let guard = tracing::subscriber::set_default(subscriber);
    // A test beside this one may have met the same events first, with nobody listening.
    tracing::callsite::rebuild_interest_cache();
    let panics = Log::default();
    let before = Arc::<Hook>::from(panic::take_hook());
    panic::set_hook(Box::new({
        let (panics, before) = (panics.clone(), Arc::clone(&before));
        move |info| {
            writeln!(panics.0.lock().unwrap(), "{info}").unwrap();
            before(info);
        }
    }));
    let watch = Box::pin(everything()).await;
    panic::set_hook(Box::new(move |info| before(info)));
    drop(guard);
    let panicked = String::from_utf8(panics.0.lock().unwrap().clone()).unwrap();
    assert!(
        panicked.contains("injected") && panicked.contains("polled after it was ready"),
        "the panics were not heard"
    );
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("in doubt") && logged.contains("Refreshed"),
        "the log was not heard"
    );
    assert!(watch.secrets.len() > 30 && watch.printed.len() > 10_000);
    for secret in &watch.secrets {
        for (place, text) in [
            ("log", &logged),
            ("print", &watch.printed),
            ("panic", &panicked),
        ] {
            let at = text.find(secret.as_str());
            let around = at.map(|at| &text[at.saturating_sub(200)..at]);
            assert!(at.is_none(), "a secret in the {place}, after: {around:?}");
        }
    }
}

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// A walk through everything that can go well or wrong.
async fn everything() -> Watch {
    let mut watch = Watch::default();
    for fault in [
        None,
        Some(Fault::ConnectionRefused),
        Some(Fault::ServerError(StatusCode::BAD_GATEWAY)),
        Some(Fault::Garbage),
        Some(Fault::CutShort),
        Some(Fault::Empty200),
        Some(Fault::Html),
        Some(Fault::Hang),
        Some(Fault::ConsumedThenReset),
        Some(Fault::WrongAlgorithm),
        Some(Fault::RefuseWith(ErrorCode::RefreshTokenRejected)),
        Some(Fault::RefuseWith(ErrorCode::ClientMismatch)),
        Some(Fault::RefuseWith(ErrorCode::from_code(1))),
    ] {
        let mut world = World::new().await;
        watch.know(&world.tokens);
        world.provider.expire_access_tokens();
        if let Some(fault) = fault {
            world.provider.fault_next(fault);
        }
        let client = world.client();
        watch.print(&client);
        let mut call = client.oneshot(get("/?q=1"));
        watch.print(&world.account.refresh_if_current(world.account.generation()));
        match (&mut call).await {
            Ok(answer) => watch.print(&answer),
            Err(error) => watch.print_error(&error),
        }
        for request in [get("/?q=%"), post("https", "b"), get("/x")] {
            if let Err(error) = world.client().oneshot(request).await {
                watch.print_error(&error);
            }
        }
        if let Err(error) = world.account.authorize("no code").await {
            watch.print_error(&error);
        }
        let code = world.code();
        watch.secrets.push(code.expose_secret().to_owned());
        world.account.authorize(code).await.unwrap();
        world.account.revoke().await.unwrap();
        for event in world.events_so_far() {
            watch.print(&event);
        }
        watch.print(&world.account);
        watch.know_provider(&world.provider);
    }
    panicking(&mut watch).await;
    let provider = Provider::new();
    let store = MemoryStore::new();
    let tokens = provider.issue(HOUR);
    watch.know(&tokens);
    watch.print(&tokens);
    watch.print(&provider.endpoint());
    let builder = Account::builder(provider.endpoint())
        .store(store.clone())
        .tokens(tokens);
    watch.print(&builder);
    let account = builder.open("user").await.unwrap();
    watch.print(&store);
    watch.print(
        &store
            .load(&AccountName::new("user").unwrap())
            .await
            .unwrap(),
    );
    let layer = tower_mac_auth::layer::MacAuthLayer::new(account);
    watch.print(&layer);
    watch.print(&layer.layer(()));
    watch.know_provider(&provider);
    watch
}

/// A store that panics at each step, and a future that is polled after its end.
async fn panicking(watch: &mut Watch) {
    for step in [
        Step::Read,
        Step::Acquire,
        Step::Intend,
        Step::Commit,
        Step::Release,
    ] {
        let clock = TestClock::new();
        let store = Faulty::new(clock.clone());
        let provider = Provider::builder().clock(clock.clone()).build();
        let builder = Account::builder(provider.endpoint());
        let builder = builder.clock(clock).store(store.clone());
        let account = builder.tokens(provider.issue(HOUR)).open("user").await;
        let account = account.unwrap();
        store.fail(step, How::Panic);
        if step == Step::Release {
            provider.fault_next(Fault::ConnectionRefused);
        }
        let refresh = account.refresh_if_current(account.generation());
        if let Err(error) = refresh.await {
            watch.print_error(&error);
        }
        account.shutdown().await;
        watch.know_provider(&provider);
    }
    let world = World::new().await;
    watch.know(&world.tokens);
    // The service in memory is always ready.
    let mut call = pin!(world.client().call(get("/?q=1")));
    assert!(call.as_mut().await.is_ok());
    let cx = &mut Context::from_waker(Waker::noop());
    let again = panic::catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx).is_ready()));
    assert!(again.is_err(), "a future that is done is not polled again");
}

#[tokio::test(start_paused = true)]
async fn a_signed_request_marks_its_authorization_sensitive() {
    let world = World::new().await;
    let looked = tower::service_fn(|request: http::Request<_>| {
        let value = request.headers()["authorization"].clone();
        assert!(value.is_sensitive());
        assert_eq!(format!("{value:?}"), "Sensitive");
        std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(
            http_body_util::Full::<bytes::Bytes>::default(),
        )))
    });
    world.layer().layer(looked).oneshot(get("/")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whatever_is_logged_by_default_says_whose_it_is() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // As above: so that no other thread decides for this one.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();
    troubles("whose").await;
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for heard in [
        "InDoubt",
        "could not be committed",
        "refused the refresh",
        "writing back",
    ] {
        assert!(logged.contains(heard), "{heard}: {logged}");
    }
    for line in logged.lines() {
        assert!(line.contains("account=whose"), "{line}");
    }
}

/// What may go wrong with a refresh, and be logged where it happens.
async fn troubles(name: &str) {
    let clock = TestClock::new();
    let provider = Provider::builder().clock(clock.clone()).build();
    let store = Faulty::new(clock.clone());
    let builder = Account::builder(provider.endpoint()).clock(clock.clone());
    let tokens = provider.issue(HOUR);
    let access_token = tokens.access_token.clone();
    let account = builder
        .store(store.clone())
        .tokens(tokens)
        .open(name)
        .await
        .unwrap();
    let first = record(&store.inner(), account.name()).await;
    let refresh = async || {
        clock.advance(HOUR / 4);
        let _ = account.refresh_if_current(account.generation()).await;
    };
    provider.fault_next(Fault::RefuseWith(ErrorCode::ClientMismatch));
    refresh().await;
    // Brought to the store by a task that the refresh leaves behind, and by an authorization.
    store.fail(Step::Commit, How::Before);
    refresh().await;
    tokio::time::sleep(HOUR / 60).await;
    store.fail(Step::Commit, How::Before);
    let code = provider.authorization_code_of(&access_token).unwrap();
    account.authorize(code).await.unwrap();
    tokio::time::sleep(HOUR / 60).await;
    // Written back by a revocation.
    let behind = MemoryStore::with_clock(clock.clone());
    let issued = Issued::authorized(
        Generation::FIRST,
        first.grant().unwrap().clone(),
        Some(HOUR),
    );
    let _ = behind.commit(account.name(), issued).await.unwrap();
    store.fail_over(behind);
    provider.fault_next(Fault::ConsumedThenReset);
    refresh().await;
    account.revoke().await.unwrap();
}
