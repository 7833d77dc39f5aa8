//! What the README, the guide and the module docs tell people to do, done, before a provider that
//! counts what is presented. Other instructions have their place already:
//!
//! | do | done by |
//! |---|---|
//! | start from a code, a refresh token, the store | `rotation::an_account_starts_from_a_bare_refresh_token`, `rotation::an_account_starts_from_a_code_and_later_from_the_store` |
//! | try the same code again, if it was not sent or met a rate limit | `rotation::a_code_that_is_refused_or_not_sent_says_so`, `rate_limit::a_code_that_meets_a_rate_limit_is_not_spent_and_the_caller_learns_until_when` |
//! | tell `OAuth2` what errors mean, give `ReplayWithin` a grace window | `bearer::what_a_provider_says_of_a_refresh_decides_what_becomes_of_the_token`, `bearer::within_the_grace_window_a_lost_answer_is_had_again_and_no_user_is_asked` |
//! | name an account by its tokens, `install` those that came back | `accounts::tokens_say_whose_account_they_are_and_are_handed_back_if_they_do_not` |
//! | `revoke`, then `install`, if another user is meant | `users::a_code_or_tokens_of_another_user_change_nothing_and_are_handed_back` |
//! | bring tokens of your own in | the guide, `moving` |
//! | move to another store | `moving::` |
//! | a volume with an `fsGroup`, `chmod 0700` | `file_access::a_store_that_a_mount_opened_to_a_group_starts_again_with_its_records_and_for_its_owner_alone`, `file_access::a_directory_that_others_write_to_is_left_as_it_is_and_what_the_error_advises_is_safe` |
//! | bring a lost sealing key back | `store_faults::a_sealed_record_without_its_key_is_an_error_and_the_live_token_signs_on` |
//! | seal what was in the clear | the guide, `stores` |
//! | give up an entry of a journal | `journal::an_answer_that_nobody_can_read_any_more_is_given_up_without_presenting_its_token_again` |
//! | wait for an account in doubt, or authorize it again | `outcomes::in_doubt_a_live_token_goes_on_signing_and_a_dead_account_replays_once`, `outcomes::that_the_replay_is_lost_as_well_is_told` |
//! | `shutdown` before the process ends | `rotation::shutdown_waits_for_a_refresh_that_has_sent_and_starts_no_other`, `accounts::shutdown_waits_for_all_that_have_sent_and_opens_no_other` |
//! | `resend_cap(0)`, `inspection_limit` of zero | `resend::with_resend_off_nothing_is_resent_and_the_next_request_succeeds`, `unsigned::with_no_time_to_inspect_a_long_poll_is_handed_on_at_once` |
//! | `migrate`, `check`, the rights of a role or a user | `tests/stores`: `setup::a_role_without_a_right_is_told_which`, `fitness::a_user_without_a_right_is_told_which` |
//! | feed `examples/sign.rs` | `tests/sign_example.rs` |

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tower::{ServiceBuilder, ServiceExt};
use tower_mac_auth::Clock as _;
use tower_mac_auth::account::{
    Account, AccountBuilder, AccountErrorKind, Accounts, RefreshErrorKind, RotationStatus,
};
use tower_mac_auth::layer::{Error, MacAuthLayer};
use tower_mac_auth::provider::{Head, Provider as _, Refusal, Xiaomi};
use tower_mac_auth::store::{
    AccountName, FileStore, Generation, Journal, MemoryStore, RecordStore, StoreError,
    StoreErrorKind,
};
use tower_mac_auth::testing::{Presented, Provider, TestClock};
use tower_mac_auth::token::{HyperTransport, TokenEndpoint};

use crate::faulty::{Faulty, How, Step};
use crate::world::{HOUR, World, get, record};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const MINUTE: Duration = Duration::from_secs(60);

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

/// Its record has been rotated once: the tokens it began with are spent.
async fn rotated(provider: &Provider, clock: &TestClock, store: impl RecordStore + Clone) {
    let account = Account::builder(provider.endpoint())
        .clock(clock.clone())
        .store(store);
    let account = account.tokens(provider.issue(HOUR)).open("user").await;
    let account = account.unwrap();
    account.refresh_if_current(Generation::FIRST).await.unwrap();
    account.shutdown().await;
}

/// A provider and its clock.
fn provider() -> (Provider, TestClock) {
    let clock = TestClock::new();
    (Provider::builder().clock(clock.clone()).build(), clock)
}

fn copy_dir(from: &Path, to: &Path) {
    let mut cp = std::process::Command::new("cp");
    assert!(cp.arg("-a").args([from, to]).status().unwrap().success());
}

// ---- The README's code without tower, as it stands there.

async fn call(
    account: &Account,
    request: Request<Vec<u8>>,
    send: impl AsyncFn(Request<Vec<u8>>) -> Result<Response<Vec<u8>>, BoxError>,
) -> Result<Response<Vec<u8>>, BoxError> {
    let mut signed = request.clone();
    let generation = account.sign(&mut signed).await?;
    let response = send(signed).await?;
    let (status, headers, body) = (response.status(), response.headers(), response.body());
    let refusal = match account.provider().read_head(status, headers) {
        Head::Verdict(refusal) => refusal,
        Head::Read { otherwise } if body.is_empty() || body.len() > 4096 => otherwise,
        _ => account.provider().read_body(status, headers, body),
    };
    match refusal {
        // However many calls do so at once, one refresh is made.
        Some(Refusal::TokenRejected) => {
            if account.refresh_if_current(generation).await.is_err() {
                return Ok(response);
            }
        }
        Some(Refusal::SignatureRejected) => account.correct_clock(headers),
        _ => return Ok(response),
    }
    let mut signed = request;
    account.sign(&mut signed).await?;
    send(signed).await
}

#[tokio::test(start_paused = true)]
async fn however_many_calls_without_tower_are_refused_one_refresh_is_made() {
    let world = World::new().await;
    world.provider.expire_access_tokens();
    // All are signed before one is refused.
    let (all, number) = (Barrier::new(4), AtomicUsize::new(0));
    let send = async |request: Request<Vec<u8>>| {
        if number.fetch_add(1, Ordering::Relaxed) < 4 {
            all.wait().await;
        }
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let (head, body) = world.provider.api().oneshot(request).await?.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok(Response::from_parts(head, body))
    };
    let call = || {
        let request = Request::get("https://open.account.xiaomi.com/user/profile");
        call(&world.account, request.body(Vec::new()).unwrap(), send)
    };
    let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
    for answer in [a, b, c, d] {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(world.provider.refused().len(), 4);
    assert_eq!(world.presented(), 1);
}

#[tokio::test(start_paused = true)]
async fn accounts_that_are_given_clones_of_one_endpoint_share_its_limit() {
    for shared in [true, false] {
        let (provider, clock) = provider();
        let endpoint = || {
            TokenEndpoint::builder(provider.xiaomi())
                .requests_per_second(NonZeroU32::MIN)
                .transport(provider.transport())
                .build()
                .unwrap()
        };
        let one = endpoint();
        let other = if shared { one.clone() } else { endpoint() };
        let start = clock.now();
        for (name, endpoint) in [("one", one), ("other", other)] {
            let account = Account::builder(endpoint).clock(clock.clone());
            let account = account.tokens(provider.issue(HOUR)).open(name).await;
            let account = account.unwrap();
            account.refresh_if_current(Generation::FIRST).await.unwrap();
        }
        assert_eq!(
            clock.now().saturating_since(start) >= Duration::from_secs(1),
            shared
        );
        assert_eq!(provider.presentations().len(), 2);
    }
}

// ---- "Keep the tokens"

/// "The processes of one machine": each opens the directory by itself.
#[tokio::test]
async fn two_processes_on_one_directory_present_each_refresh_token_once() {
    let (scratch, (provider, clock)) = (TempDir::new().unwrap(), provider());
    let dir = scratch.path().join("tokens");
    let process = async || {
        let store = FileStore::builder(&dir).clock(clock.clone()).open();
        Account::builder(provider.endpoint())
            .clock(clock.clone())
            .store(store.await.unwrap())
    };
    let tokens = provider.issue(HOUR);
    let one = process().await.tokens(tokens.clone()).open("user").await;
    // Started with the same tokens, as programs are that have them from one place.
    let other = process().await.tokens(tokens).open("user").await;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(!one.ignored_tokens() && !other.ignored_tokens());
    for _ in 0..3 {
        let generation = one.generation();
        let (a, b) = tokio::join!(
            one.refresh_if_current(generation),
            other.refresh_if_current(generation)
        );
        assert_eq!(a.unwrap(), b.unwrap());
        clock.advance(2 * MINUTE);
    }
    assert_eq!(provider.presentations().len(), 3);
    assert!(provider.presented_twice().is_empty());
}

/// "Never start an empty store with the tokens that the program was first given": this is why.
#[tokio::test(start_paused = true)]
async fn an_empty_store_that_is_given_spent_tokens_presents_one_a_second_time() {
    let (provider, clock) = provider();
    let tokens = provider.issue(HOUR);
    for _ in 0..2 {
        let account = Account::builder(provider.endpoint()).clock(clock.clone());
        let account = account.tokens(tokens.clone()).open("user").await.unwrap();
        let _ = account.refresh_if_current(Generation::FIRST).await;
        account.shutdown().await;
    }
    assert_eq!(provider.presented_twice().len(), 1);
}

/// "With a `Journal`, first call `journal.recover(&from)`."
#[test]
fn accounts_move_with_the_answers_that_wait_in_a_journal() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (scratch, (provider, clock)) = (TempDir::new().unwrap(), provider());
    let from = Faulty::new(clock.clone());
    let builder = |store: &Faulty, journal: &Journal| -> AccountBuilder {
        Account::builder(provider.endpoint())
            .clock(clock.clone())
            .store(store.clone())
            .journal(journal.clone())
    };
    // A process that gets an answer and is killed before the store has it.
    let process = runtime();
    process.block_on(async {
        let journal = Journal::open(scratch.path()).await.unwrap();
        let account = builder(&from, &journal).tokens(provider.issue(HOUR));
        let account = account.open("user").await.unwrap();
        for _ in 0..10 {
            from.fail(Step::Commit, How::Before);
        }
        account.refresh_if_current(Generation::FIRST).await.unwrap();
    });
    drop(process);
    from.clear_faults();

    runtime().block_on(async {
        let journal = Journal::open(scratch.path()).await.unwrap();
        let recovered = journal.recover(&from).await.unwrap();
        assert_eq!((recovered.committed, recovered.kept), (1, 0));
        let to = Faulty::new(clock.clone());
        let moved = record(&from, &user()).await;
        to.import(&user(), &moved).await.unwrap();

        let account = builder(&to, &journal).open("user").await.unwrap();
        let generation = account.generation();
        assert_eq!(generation, Generation::FIRST.next());
        clock.advance(2 * MINUTE);
        account.refresh_if_current(generation).await.unwrap();
        account.shutdown().await;
    });
    assert_eq!(provider.presentations().len(), 2);
    assert!(provider.presented_twice().is_empty());
}

/// "Never put an old copy back", and what to do if it has happened.
#[tokio::test]
async fn an_old_copy_that_was_put_back_is_harmless_only_if_its_accounts_are_revoked_first() {
    for revoked in [true, false] {
        let (scratch, (provider, clock)) = (TempDir::new().unwrap(), provider());
        let [dir, copy] = ["tokens", "copy"].map(|name| scratch.path().join(name));
        let open = async || {
            let store = FileStore::builder(&dir).clock(clock.clone()).open();
            store.await.unwrap()
        };
        rotated(&provider, &clock, open().await).await;
        copy_dir(&dir, &copy);
        clock.advance(2 * MINUTE);
        let account = Account::builder(provider.endpoint()).clock(clock.clone());
        let account = account.store(open().await).open("user").await.unwrap();
        let generation = account.generation();
        account.refresh_if_current(generation).await.unwrap();
        account.shutdown().await;
        drop(account);

        fs::remove_dir_all(&dir).unwrap();
        copy_dir(&copy, &dir);
        clock.advance(2 * MINUTE);
        let store = open().await;
        if revoked {
            for listed in store.list(None, 1000).await.unwrap() {
                store.revoke(&listed.account).await.unwrap();
            }
        }
        let account = Account::builder(provider.endpoint()).clock(clock.clone());
        let account = account.store(store).open("user").await.unwrap();
        let failed = account.refresh_if_current(account.generation()).await;
        assert_eq!(
            failed.unwrap_err().kind(),
            RefreshErrorKind::ReauthorizationRequired
        );
        assert_eq!(provider.presented_twice().is_empty(), revoked);
        let code = provider.authorization_code();
        if revoked {
            account.authorize(code).await.unwrap();
            let generation = account.generation();
            account.refresh_if_current(generation).await.unwrap();
            assert!(provider.presented_twice().is_empty());
        }
    }
}

/// "Call `RecordStore::revoke(&name)` on the store, then have the user authorize again", and delete
/// the copy that is left.
#[tokio::test]
async fn a_damaged_record_is_given_up_and_its_copy_can_be_deleted() {
    let (scratch, (provider, clock)) = (TempDir::new().unwrap(), provider());
    let store = FileStore::builder(scratch.path().join("tokens"));
    let store = store.clock(clock.clone()).open().await.unwrap();
    rotated(&provider, &clock, store.clone()).await;
    let file = crate::file_store::find(scratch.path(), "user.json").unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();

    let builder = || {
        Account::builder(provider.endpoint())
            .clock(clock.clone())
            .store(store.clone())
    };
    let error = builder().open("user").await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::Store);
    let code = provider.authorization_code();
    let error = builder().authorize("user", code).await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::Store);

    store.revoke(&user()).await.unwrap();
    let code = provider.authorization_code();
    let account = builder().authorize("user", code).await.unwrap();
    let names = fs::read_dir(file.parent().unwrap()).unwrap();
    let copies: Vec<_> = names
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".unreadable-"))
        .collect();
    assert_eq!(copies.len(), 1, "{copies:?}");
    fs::remove_file(&copies[0]).unwrap();
    account.shutdown().await;
    drop(account);
    let account = builder().open("user").await.unwrap();
    account
        .refresh_if_current(account.generation())
        .await
        .unwrap();
    assert!(provider.presented_twice().is_empty());
}

#[cfg(feature = "seal")]
mod sealed {
    use tower_mac_auth::store::{Keyring, SealedStore, SealingKey, SharedStore};

    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes(&[byte; 32])
    }

    /// "A `SealedStore` goes into a `SharedStore` first."
    #[tokio::test(start_paused = true)]
    async fn accounts_that_are_opened_one_by_one_share_a_sealed_store() {
        let (provider, clock) = provider();
        let keys = Keyring::new("now", key(1)).unwrap();
        let inner = MemoryStore::with_clock(clock.clone());
        let store = SharedStore::new(SealedStore::new(inner, keys));
        let open = || {
            Account::builder(provider.endpoint())
                .clock(clock.clone())
                .store(store.clone())
        };
        let one = open().tokens(provider.issue(HOUR)).open("user").await;
        let (one, other) = (one.unwrap(), open().open("user").await.unwrap());
        let (a, b) = tokio::join!(
            one.refresh_if_current(Generation::FIRST),
            other.refresh_if_current(Generation::FIRST)
        );
        assert_eq!(a.unwrap(), b.unwrap());
        assert_eq!(provider.presentations().len(), 1);
    }

    /// "Add the new one as a retired one everywhere, then make it the first and retire the old one."
    #[tokio::test(start_paused = true)]
    async fn a_sealing_key_is_changed_while_two_processes_run() {
        let (provider, clock) = provider();
        let inner = MemoryStore::with_clock(clock.clone());
        let ring = |first: (&str, u8), retired: Option<(&str, u8)>| {
            let keys = Keyring::new(first.0, key(first.1)).unwrap();
            match retired {
                Some((id, byte)) => keys.with_retired(id, key(byte)).unwrap(),
                None => keys,
            }
        };
        let (old, new) = (("old", 1), ("new", 2));
        let open = async |keys: Keyring| {
            let store = SealedStore::new(inner.clone(), keys);
            let account = Account::builder(provider.endpoint());
            let account = account.clock(clock.clone()).store(store);
            account.tokens(provider.issue(HOUR)).open("user").await
        };
        // Each restart is of one process; the other goes on with what it has, and rotates.
        let restarts = [
            ring(old, Some(new)),
            ring(old, Some(new)),
            ring(new, Some(old)),
            ring(new, Some(old)),
            ring(new, None),
            ring(new, None),
        ];
        let first = || async { open(ring(old, None)).await.unwrap() };
        let mut processes = [first().await, first().await];
        for (number, keys) in restarts.into_iter().enumerate() {
            let at = number % 2;
            processes[at].shutdown().await;
            processes[at] = open(keys).await.unwrap();
            for process in &processes {
                clock.advance(2 * MINUTE);
                let generation = record(&inner, &user()).await.generation;
                process
                    .refresh_if_current(process.generation())
                    .await
                    .unwrap();
                if process.generation() == generation {
                    process.refresh_if_current(generation).await.unwrap();
                }
            }
        }
        assert!(open(ring(old, None)).await.is_err());
        assert!(provider.presented_twice().is_empty());
        assert!(provider.presentations().len() >= 12);
    }
}

/// What the guide says of volumes: `FileStore` in a directory inside one, and bind mounts.
#[tokio::test]
async fn a_volume_of_another_owner_is_refused_by_name_and_a_directory_inside_it_will_do() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    let scratch = TempDir::new().unwrap();
    let me = fs::metadata(scratch.path()).unwrap().uid();
    if me != 0 {
        // Only root can make what belongs to another. This belongs to root.
        let error = FileStore::open("/").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
        return;
    }
    let volume = scratch.path().join("volume");
    fs::create_dir(&volume).unwrap();
    chown(&volume, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o2777)).unwrap();
    let error = FileStore::open(&volume).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    let told = format!("{error:?}");
    let wanted = "it belongs to uid 1000, and this process runs as uid 0";
    assert!(told.contains(wanted), "{told}");

    let inside = FileStore::open(volume.join("tokens")).await.unwrap();
    inside.revoke(&user()).await.unwrap();
    // The other way: the directory itself is given to us.
    let mounted = scratch.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    chown(&mounted, Some(1000), None).unwrap();
    assert!(FileStore::open(&mounted).await.is_err());
    chown(&mounted, Some(me), None).unwrap();
    FileStore::open(&mounted).await.unwrap();
}

/// "Stop, `cp -a`, start": a directory that is given another place.
#[tokio::test]
async fn a_directory_that_is_moved_as_it_is_goes_on() {
    let (scratch, (provider, clock)) = (TempDir::new().unwrap(), provider());
    let [old, new] = ["old", "new"].map(|name| scratch.path().join(name));
    let open = async |dir: &Path| -> Result<FileStore, StoreError> {
        FileStore::builder(dir).clock(clock.clone()).open().await
    };
    rotated(&provider, &clock, open(&old).await.unwrap()).await;
    copy_dir(&old, &new);
    fs::remove_dir_all(&old).unwrap();
    clock.advance(2 * MINUTE);
    let account = Account::builder(provider.endpoint()).clock(clock.clone());
    let account = account.store(open(&new).await.unwrap()).open("user").await;
    let account = account.unwrap();
    let generation = account.generation();
    assert_eq!(generation, Generation::FIRST.next());
    account.refresh_if_current(generation).await.unwrap();
    assert!(provider.presented_twice().is_empty());
}

// ---- "When things fail"

/// What the guide says of a client's secret.
#[tokio::test(start_paused = true)]
async fn a_wrong_client_secret_costs_no_grant_and_the_right_one_is_used_once_the_back_off_is_over()
{
    let (provider, clock) = provider();
    let store = MemoryStore::with_clock(clock.clone());
    let tokens = provider.issue(HOUR);
    let start = async |secret: &str| {
        let xiaomi = Xiaomi::new(provider.client_id(), secret, provider.redirect_uri());
        let account = Account::builder(provider.endpoint_of(xiaomi));
        let account = account.clock(clock.clone()).store(store.clone());
        account.tokens(tokens.clone()).open("user").await.unwrap()
    };
    let kind = async |account: &Account| {
        let refreshed = account.refresh_if_current(Generation::FIRST).await;
        refreshed.err().map(|error| error.kind())
    };
    let wrong = start("wrong").await;
    assert_eq!(kind(&wrong).await, Some(RefreshErrorKind::Refused));
    wrong.shutdown().await;
    drop(wrong);

    let right = start(provider.client_secret().expose_secret()).await;
    let early = kind(&right).await;
    assert!(
        matches!(early, Some(RefreshErrorKind::BackingOff { .. })),
        "a restart does not end it: {early:?}"
    );
    let mut request = Request::get("https://open.account.xiaomi.com/")
        .body(())
        .unwrap();
    let signed = right.sign(&mut request).await;
    assert_eq!(
        signed.unwrap_err().refresh_error().unwrap().kind(),
        early.unwrap()
    );

    tokio::time::sleep(6 * MINUTE).await;
    assert_eq!(kind(&right).await, None);
    // Not a spent one: the provider has looked at the client first.
    let outcomes = provider.presentations().into_iter().map(|it| it.outcome);
    let outcomes: Vec<_> = outcomes.collect();
    assert!(matches!(
        outcomes[..],
        [Presented::Refused(_), Presented::Rotated]
    ));
}

/// "Get both from `Accounts`": a log-out reaches those who `get` for each request.
#[tokio::test(start_paused = true)]
async fn a_user_who_is_logged_out_everywhere_is_signed_for_by_no_process_that_gets_and_may_return()
{
    let (provider, clock) = provider();
    let store = MemoryStore::with_clock(clock.clone());
    let process = || {
        let accounts = Accounts::builder(provider.endpoint()).clock(clock.clone());
        accounts.store(store.clone()).build()
    };
    let processes = [process(), process(), process()];
    let code = provider.authorization_code();
    processes[0].authorize("user", code).await.unwrap();
    let as_user = async |accounts: &Accounts| {
        let account = accounts.get("user").await.unwrap();
        let client = ServiceBuilder::new()
            .layer(MacAuthLayer::per_request(accounts.provider()))
            .service(provider.api());
        let mut request = Request::get("https://open.account.xiaomi.com/")
            .body(Full::<Bytes>::default())
            .unwrap();
        request.extensions_mut().insert(account);
        client.oneshot(request).await.is_ok()
    };
    for process in &processes {
        assert!(as_user(process).await);
    }
    store.revoke(&user()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for process in &processes {
        assert!(!as_user(process).await);
    }
    let code = provider.authorization_code();
    processes[1].authorize("user", code).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for process in &processes {
        let rotation = process.get("user").await.unwrap().status().rotation;
        assert_eq!(rotation, RotationStatus::Idle);
        assert!(as_user(process).await);
    }
    assert_eq!(provider.presentations().len(), 0);
}

// ---- "When it does not compile", "Through a proxy"

/// "Put a `tower::buffer::Buffer` around one that is not `Clone`", and with a boxed error
/// `.map_err(Error::into_boxed)`.
#[tokio::test]
async fn a_service_that_is_no_clone_is_buffered_and_all_errors_come_in_one_box() {
    struct NoClone(tower_mac_auth::testing::Api);

    impl<B: http_body::Body + Send + 'static> tower::Service<Request<B>> for NoClone {
        type Response = Response<Full<Bytes>>;
        type Error = std::convert::Infallible;
        type Future = <tower_mac_auth::testing::Api as tower::Service<Request<B>>>::Future;

        fn poll_ready(
            &mut self,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            tower::Service::<Request<B>>::poll_ready(&mut self.0, cx)
        }

        fn call(&mut self, request: Request<B>) -> Self::Future {
            self.0.call(request)
        }
    }

    let world = World::new().await;
    let client = ServiceBuilder::new()
        .map_err(Error::<BoxError>::into_boxed)
        .layer(world.layer())
        .buffer(16)
        .service(NoClone(world.provider.api()));
    world.provider.expire_access_tokens();
    let answer = client.clone().oneshot(get("/")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(world.presented(), 1);
    let elsewhere = Request::get("https://elsewhere.example/").body(Full::default());
    let error = client.oneshot(elsewhere.unwrap()).await.unwrap_err();
    assert!(error.is::<tower_mac_auth::layer::AuthError>(), "{error}");
}

/// "Any connector to the token endpoint: that of hyper-util for `CONNECT` proxies".
#[tokio::test]
async fn the_token_endpoint_is_reached_through_a_connect_proxy() {
    let provider = Provider::new();
    let server = provider.serve().await.unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let to = server.addr();
    let proxied = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
        String::from_utf8(head).unwrap()
    });

    let connector = Tunnel::new(address.parse().unwrap(), HttpConnector::new());
    let endpoint = TokenEndpoint::builder(server.xiaomi())
        .transport(HyperTransport::with_connector(connector))
        .build()
        .unwrap();
    let account = Account::builder(endpoint).tokens(provider.issue(HOUR));
    let account = account.open("user").await.unwrap();
    account.refresh_if_current(Generation::FIRST).await.unwrap();
    assert_eq!(provider.presentations().len(), 1);
    let head = proxied.await.unwrap();
    assert!(head.starts_with(&format!("CONNECT {to} HTTP/1.1\r\n")));
    let secret = provider.client_secret().expose_secret();
    assert!(!head.contains(secret) && !head.contains("refresh_token"));
}
