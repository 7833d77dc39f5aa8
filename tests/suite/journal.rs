//! A process dies between the token endpoint's answer and its commit, and another goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use http::StatusCode;
use tempfile::TempDir;
use tower_mac_auth::account::{Account, AccountBuilder, AccountErrorKind, Event, InDoubtPolicy};
use tower_mac_auth::store::{AccountName, FileStore, Generation, Journal, RecordStore, Status};
use tower_mac_auth::testing::{Provider, TestClock};

use crate::faulty::{Faulty, How, Step};
use crate::world::{World, record, status};

const MINUTE: Duration = Duration::from_secs(60);

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

/// The entries of a journal in this directory.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let files = fs::read_dir(path).unwrap().map(|it| it.unwrap().path());
            entries.extend(files.filter(|it| it.extension().is_some_and(|it| it == "json")));
        }
    }
    entries
}

struct Machine {
    scratch: TempDir,
    provider: Provider,
    clock: TestClock,
    store: Faulty,
}

impl Machine {
    fn new() -> Self {
        let clock = TestClock::new();
        Self {
            scratch: TempDir::new().unwrap(),
            provider: Provider::builder().clock(clock.clone()).build(),
            store: Faulty::new(clock.clone()),
            clock,
        }
    }

    async fn builder(&self) -> AccountBuilder {
        Account::builder(self.provider.endpoint())
            .clock(self.clock.clone())
            .store(self.store.clone())
            .journal(Journal::open(self.scratch.path()).await.unwrap())
    }

    fn entries(&self) -> usize {
        entries(self.scratch.path()).len()
    }

    fn fail_the_commit(&self) {
        self.store.fail(Step::Commit, How::Before);
    }

    /// A process that gets an answer and dies before the store has it.
    fn die_before_the_commit(&self, authorizes: bool) {
        let process = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        process.block_on(async {
            let tokens = self.provider.issue(60 * MINUTE);
            let code = self.provider.authorization_code_of(&tokens.access_token);
            let account = self
                .builder()
                .await
                .tokens(tokens)
                .open("user")
                .await
                .unwrap();
            for _ in 0..10 {
                self.store.fail(Step::Commit, How::Before);
            }
            let mut events = account.events();
            if authorizes {
                account.authorize(code.unwrap()).await.unwrap();
            } else {
                account.refresh_if_current(Generation::FIRST).await.unwrap();
            }
            let event = events.next().await;
            assert!(
                matches!(event, Some(Event::CommitDelayed { .. })),
                "{event:?}"
            );
        });
        // Its tasks go with it, as those of a killed process do.
        drop(process);
        self.store.clear_faults();
        assert_eq!(self.entries(), 1);
    }
}

fn run<F: Future>(work: F) -> F::Output {
    let process = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    process.block_on(work)
}

#[test]
fn an_answer_that_was_not_committed_is_there_when_the_account_is_next_opened() {
    let machine = Machine::new();
    machine.die_before_the_commit(false);
    run(async {
        let standing = record(&machine.store, &user()).await;
        assert_eq!(standing.status, Status::Sending);

        let account = machine.builder().await.open("user").await.unwrap();
        assert_eq!(account.generation(), Generation::FIRST.next());
        assert!(account.expires_at().is_some());
        assert_eq!(machine.entries(), 0);
        machine.clock.advance(2 * MINUTE);
        account
            .refresh_if_current(account.generation())
            .await
            .unwrap();
        account.shutdown().await;
        assert_eq!(machine.entries(), 0);
    });
    assert_eq!(machine.provider.presentations().len(), 2);
    assert!(machine.provider.presented_twice().is_empty());
}

#[test]
fn an_authorization_that_was_not_committed_is_there_when_the_account_is_next_opened() {
    let machine = Machine::new();
    machine.die_before_the_commit(true);
    run(async {
        let account = machine.builder().await.open("user").await.unwrap();
        assert_eq!(account.generation(), Generation::FIRST.decided());
        assert!(account.expires_at().is_some());
        assert_eq!(machine.entries(), 0);
    });
}

#[test]
fn another_process_that_finds_the_presenter_dead_takes_its_answer_and_doubts_nothing() {
    let machine = Machine::new();
    run(async {
        let tokens = machine.provider.issue(60 * MINUTE);
        let builder = machine
            .builder()
            .await
            .in_doubt(InDoubtPolicy::ReplayWithin(60 * MINUTE));
        let peer = builder.tokens(tokens).open("user").await.unwrap();
        let machine = &machine;
        // On a thread of its own: it has a runtime to lose.
        std::thread::scope(|scope| scope.spawn(|| machine.die_before_the_commit(false)).join())
            .unwrap();
        machine.clock.advance(10 * MINUTE);
        let mut events = peer.events();
        let generation = peer.refresh_if_current(Generation::FIRST).await.unwrap();
        assert_eq!(generation, Generation::FIRST.next());
        let event = events.next().await;
        assert!(matches!(event, Some(Event::Adopted { .. })), "{event:?}");
        assert!(peer.expires_at().is_some());
        assert_eq!(machine.provider.presentations().len(), 1);
        assert_eq!(machine.entries(), 0);
    });
}

#[test]
fn a_store_that_fails_while_an_answer_waits_keeps_the_account_closed() {
    let machine = Machine::new();
    machine.die_before_the_commit(false);
    run(async {
        machine.fail_the_commit();
        let error = machine.builder().await.open("user").await.unwrap_err();
        assert_eq!(error.kind(), AccountErrorKind::Store);
        assert_eq!(machine.entries(), 1);
        machine.builder().await.open("user").await.unwrap();
        assert_eq!(machine.entries(), 0);
    });
    assert_eq!(machine.provider.presentations().len(), 1);
}

#[test]
fn all_answers_go_into_the_store_at_the_start_of_a_process() {
    let machine = Machine::new();
    machine.die_before_the_commit(false);
    run(async {
        let journal = Journal::open(machine.scratch.path()).await.unwrap();
        machine.fail_the_commit();
        assert_eq!(journal.recover(&machine.store).await.unwrap().kept, 1);
        assert_eq!(journal.recover(&machine.store).await.unwrap().committed, 1);
        let record = record(&machine.store, &user()).await;
        assert_eq!(record.generation, Generation::FIRST.next());
    });
}

/// The answer is there, and the file is not what it was: a flipped bit, a seal without its key.
#[test]
fn an_answer_that_cannot_be_read_keeps_its_token_from_being_presented_again() {
    let machine = Machine::new();
    machine.die_before_the_commit(false);
    let entry = entries(machine.scratch.path()).pop().unwrap();
    let whole = fs::read(&entry).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&entry, damaged).unwrap();
    run(async {
        machine.provider.expire_access_tokens();
        machine.clock.advance(10 * MINUTE);
        let error = machine.builder().await.open("user").await.unwrap_err();
        assert_eq!(error.kind(), AccountErrorKind::Store);
        let why = format!("{error:?}");
        assert!(why.contains(&*entry.file_name().unwrap().to_string_lossy()));
        assert_eq!(machine.provider.presentations().len(), 1);
        fs::write(&entry, whole).unwrap();
        let account = machine.builder().await.open("user").await.unwrap();
        assert_eq!(account.generation(), Generation::FIRST.next());
        assert_eq!(machine.entries(), 0);
    });
}

/// As the documents say. To delete the file alone is not enough: the account would be in doubt, and
/// once its access token is dead the default policy presents the refresh token once more.
#[test]
fn an_answer_that_nobody_can_read_any_more_is_given_up_without_presenting_its_token_again() {
    let machine = Machine::new();
    machine.die_before_the_commit(false);
    let entry = entries(machine.scratch.path()).pop().unwrap();
    fs::write(&entry, "damaged").unwrap();
    run(async {
        machine.clock.advance(120 * MINUTE);
        machine.builder().await.open("user").await.unwrap_err();
        machine.store.revoke(&user()).await.unwrap();
        fs::remove_file(&entry).unwrap();
        let account = machine.builder().await.open("user").await.unwrap();
        let current = account.generation();
        account.refresh_if_current(current).await.unwrap_err();
        let code = machine.provider.authorization_code();
        account.authorize(code).await.unwrap();
        assert!(account.expires_at().is_some());
    });
    assert!(machine.provider.presented_twice().is_empty());
}

#[tokio::test]
async fn a_commit_that_succeeds_in_the_end_clears_the_journal() {
    let machine = Machine::new();
    let tokens = machine.provider.issue(60 * MINUTE);
    let account = machine
        .builder()
        .await
        .tokens(tokens)
        .open("user")
        .await
        .unwrap();
    for fault in [How::Before, How::After] {
        machine.store.fail(Step::Commit, fault);
        machine.clock.advance(2 * MINUTE);
        let current = account.generation();
        account.refresh_if_current(current).await.unwrap();
        let cleared = async {
            while machine.entries() > 0 {
                machine.clock.advance(MINUTE);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), cleared);
        in_time.await.expect("the entry is dropped");
        let record = record(&machine.store, &user()).await;
        assert_eq!(record.generation, current.next());
    }
    account.shutdown().await;
    assert!(machine.provider.presented_twice().is_empty());
}

#[tokio::test]
async fn what_a_store_lost_is_on_the_disk_before_it_is_written_back() {
    let machine = Machine::new();
    let tokens = machine.provider.issue(60 * MINUTE);
    let account = machine
        .builder()
        .await
        .tokens(tokens)
        .open("user")
        .await
        .unwrap();
    let current = account.refresh_if_current(Generation::FIRST).await.unwrap();
    machine
        .store
        .fail_over(tower_mac_auth::store::MemoryStore::with_clock(
            machine.clock.clone(),
        ));
    for _ in 0..2 {
        machine.store.fail(Step::Commit, How::Before);
        machine.clock.advance(10 * MINUTE);
        account.refresh_if_current(current).await.unwrap_err();
        assert_eq!(machine.entries(), 1, "one, however often it is tried");
    }
    machine.clock.advance(10 * MINUTE);
    account.refresh_if_current(current).await.unwrap();
    account.shutdown().await;
    assert_eq!(machine.entries(), 0);
    assert_eq!(machine.provider.presentations().len(), 2);
}

/// The user authorizes, and a peer takes the answer from the journal and spends its refresh token
/// while the commit is still under way.
async fn a_peer_is_quicker(rotations_meanwhile: usize) {
    let machine = Machine::new();
    let tokens = machine.provider.issue(60 * MINUTE);
    let code = machine.provider.authorization_code_of(&tokens.access_token);
    let builder = async || {
        machine
            .builder()
            .await
            .min_rotation_interval(Duration::ZERO)
    };
    let account = builder().await.tokens(tokens).open("user").await.unwrap();
    let peer = builder().await.open("user").await.unwrap();
    machine.store.take_steps();
    machine.store.fail(Step::Commit, How::Held);
    let authorizing = tokio::spawn({
        let (account, code) = (account.clone(), code.unwrap());
        async move { account.authorize(code).await }
    });
    let held = async {
        while !machine.store.take_steps().contains(&Step::Commit) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), held);
    in_time.await.expect("it commits");
    for _ in 0..rotations_meanwhile {
        let current = peer.generation();
        peer.refresh_if_current(current).await.unwrap();
    }
    let quicker = builder().await.open("user").await.unwrap();
    assert_eq!(machine.entries(), 0, "it has the answer");
    let current = quicker.generation();
    let rotated = quicker.refresh_if_current(current).await.unwrap();

    machine.store.let_go();
    authorizing.await.unwrap().unwrap();
    let current = account.generation();
    let rotated_again = account.refresh_if_current(current).await;
    assert!(machine.provider.presented_twice().is_empty());
    assert_eq!((current, rotated_again.unwrap()), (rotated, rotated.next()));
}

#[tokio::test]
async fn an_authorization_that_a_peer_took_from_the_journal_and_rotated_is_not_put_back() {
    a_peer_is_quicker(0).await;
}

#[tokio::test]
async fn nor_is_one_that_the_peer_had_to_put_above_rotations_of_the_old_grant() {
    a_peer_is_quicker(3).await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_costs_no_answer() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("journal");
    let journal = Journal::open(&dir).await.unwrap();
    let world = World::with(|it| it, |it| it.journal(journal.clone())).await;
    fs::remove_dir_all(&dir).unwrap();
    world
        .account
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap();
    assert_eq!(status(&world.get("/on").await), StatusCode::OK);
    assert_eq!(world.presented(), 1);
    // But what may be in it must be known before an account is opened.
    let builder = Account::builder(world.provider.endpoint()).journal(journal);
    let error = builder.tokens(world.tokens).open("user").await.unwrap_err();
    assert_eq!(error.kind(), AccountErrorKind::Store);
}

#[tokio::test]
#[ignore = "run by others as a process of its own"]
async fn as_a_process_that_refreshes() {
    let dir = PathBuf::from(std::env::var_os("TOKENS").unwrap());
    let store = FileStore::open(dir.join("tokens")).await.unwrap();
    let journal = Journal::open(dir.join("journal")).await.unwrap();
    let world = World::with(|it| it, |it| it.store(store).journal(journal)).await;
    println!("PRESENTING");
    world
        .account
        .refresh_if_current(Generation::FIRST)
        .await
        .unwrap();
    println!("ANSWERED");
    world.account.shutdown().await;
}

/// From the kernel's side: the entry is on the disk before the store's first byte, and leaves after
/// its last.
#[test]
#[ignore = "needs strace: scripts/test"]
fn the_kernel_sees_an_answer_synced_in_the_journal_before_it_goes_to_the_store() {
    let scratch = TempDir::new().unwrap();
    let trace = scratch.path().join("trace");
    let done = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-s",
            "200",
            "-e",
            "trace=openat,write,fsync,fdatasync,/rename,/unlink",
        ])
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--nocapture",
            "--exact",
            "journal::as_a_process_that_refreshes",
        ])
        .env("TOKENS", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(done.unwrap().success());
    let trace = fs::read_to_string(trace).unwrap();
    let mut calls = trace.lines();
    for wanted in [
        &["write", "PRESENTING"][..],
        &["write", "/tokens/", "/.new>", "generation\\\":1", "sending"],
        &["rename", "/tokens/", "user.json"],
        &["openat", "/journal/", "/.new\"", "O_EXCL", "0600"],
        &[
            "write",
            "/journal/",
            "/.new>",
            "tower-mac-auth answer 1",
            "generation\\\":2",
        ],
        &["fsync", "/journal/", "/.new>"],
        &["rename", "/journal/", "/user.2-"],
        &["fsync", "/journal/"],
        &["openat", "/tokens/", "/.new\"", "O_EXCL"],
        &["write", "/tokens/", "/.new>", "generation\\\":2", "active"],
        &["fsync", "/tokens/", "/.new>"],
        &["rename", "/tokens/", "user.json"],
        &["fsync", "/tokens/"],
        &["unlink", "/journal/", "/user.2-"],
    ] {
        let found = calls.any(|call| wanted.iter().all(|part| call.contains(part)));
        assert!(found, "{wanted:?}, in this order, in\n{trace}");
    }
}
