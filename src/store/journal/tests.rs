use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::store::directory::{Change, Disk};
use crate::store::fixture::{HOUR, grant, name, read};
use crate::store::{Generation, Issued, MemoryStore, Record, SharedStore};

fn user() -> AccountName {
    name("user")
}

fn at(number: u64) -> Generation {
    Generation::from_number(number)
}

/// The answer to a rotation, of the first lineage.
fn rotated(number: u64, name: &str) -> Answer {
    Answer {
        generation: at(number),
        lineage: Generation::FIRST,
        decided_over: None,
        grant: grant(name),
        expires_at: Some(SystemClock.now().saturating_add(HOUR)),
        refresh_expires_at: Some(SystemClock.now().saturating_add(30 * HOUR)),
    }
}

async fn journal() -> (TempDir, Journal) {
    let scratch = TempDir::new().unwrap();
    let journal = Journal::open(scratch.path().join("journal")).await.unwrap();
    (scratch, journal)
}

/// A store in which the account was authorized and rotated up to this generation.
async fn store(number: u64) -> MemoryStore {
    let store = MemoryStore::new();
    let issued = Issued::rotated(at(number), Generation::FIRST, grant("standing"), Some(HOUR));
    let _ = store.commit(&user(), issued).await.unwrap();
    store
}

async fn standing(store: &MemoryStore) -> Record {
    read(store, &user()).await
}

async fn of_account(
    journal: &Journal,
    client: &str,
    store: &MemoryStore,
) -> Result<Recovered, StoreError> {
    let store = SharedStore::new(store.clone());
    journal
        .recover_account((&user(), client), &store, &SystemClock)
        .await
}

fn entries(journal: &Journal) -> Vec<PathBuf> {
    journal.entries(FileName::of(&user()).shard, "").unwrap()
}

fn counts(recovered: Recovered) -> (usize, usize, usize) {
    (recovered.committed, recovered.superseded, recovered.kept)
}

#[tokio::test]
async fn what_is_kept_goes_into_the_store_at_the_next_start_and_then_leaves() {
    let (_scratch, journal) = journal().await;
    let store = store(1).await;
    journal.keep(&user(), &rotated(2, "new")).await.unwrap();

    let journal = Journal::open(journal.0.directory.path()).await.unwrap();
    assert_eq!(counts(journal.recover(&store).await.unwrap()), (1, 0, 0));
    let record = standing(&store).await;
    assert!(record.secrets.are(&grant("new")));
    assert_eq!((record.generation, record.lineage), (at(2), at(1)));
    let left = record.expires_at.unwrap().saturating_since(record.now);
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    let end = record.refresh_expires_at.unwrap();
    let left = end.saturating_since(record.now);
    assert!(left <= 30 * HOUR && left > 29 * HOUR, "{left:?}");
    assert!(entries(&journal).is_empty());
    assert_eq!(journal.recover(&store).await.unwrap(), Recovered::default());
}

#[tokio::test]
async fn an_entry_is_dropped_only_if_the_store_has_it_or_something_newer() {
    let decided = |number| Some(Issued::authorized(at(number), grant("decided"), None));
    let first = |number, mark| Some(Issued::rotated(at(number), at(1), grant(mark), None));
    let new = |number| rotated(number, "new");
    let authorized = |over| Answer {
        lineage: at(3),
        decided_over: Some(at(over)),
        ..new(3)
    };
    // How many go into the store, were known there, and stay.
    let (goes, known, stays) = ((1, 0, 0), (0, 1, 0), (0, 0, 1));
    // What stands, the entry, what becomes of it, what stands then.
    let cases = [
        (None, new(2), goes, ("new", 2)),
        (first(1, "old"), new(2), goes, ("new", 2)),
        // The store had fallen far behind.
        (first(1, "old"), new(9), goes, ("new", 9)),
        // Committed, and the process died before it dropped the entry.
        (first(2, "new"), new(2), known, ("new", 2)),
        (first(3, "newer"), new(2), known, ("newer", 3)),
        (decided(3), new(2), known, ("decided", 3)),
        (decided(2), new(2), known, ("decided", 2)),
        // Somebody presented the token again, and the provider took it: nobody knows which one lives.
        (first(2, "other"), new(2), stays, ("other", 2)),
        // An authorization outranks what was made of the one before meanwhile, and no newer one.
        (first(2, "old"), authorized(1), goes, ("new", 3)),
        (first(7, "old"), authorized(1), goes, ("new", 8)),
        (first(3, "old"), authorized(1), goes, ("new", 4)),
        (decided(5), authorized(1), known, ("decided", 5)),
        (None, authorized(0), goes, ("new", 3)),
    ];
    for (number, (stands, entry, becomes, (name, generation))) in (1..).zip(cases) {
        let (_scratch, journal) = journal().await;
        let store = MemoryStore::new();
        if let Some(issued) = stands {
            let _ = store.commit(&user(), issued).await.unwrap();
        }
        journal.keep(&user(), &entry).await.unwrap();
        let recovered = journal.recover(&store).await.unwrap();
        assert_eq!(counts(recovered), becomes, "case {number}");
        assert_eq!(entries(&journal).len(), becomes.2, "case {number}");
        let record = standing(&store).await;
        assert_eq!(record.generation, at(generation), "case {number}");
        assert!(record.secrets.are(&grant(name)), "case {number}");
    }
}

#[tokio::test]
async fn one_kept_beside_another_of_its_generation_leaves_once_a_higher_one_stands() {
    let (_scratch, journal) = journal().await;
    let store = store(2).await;
    journal.keep(&user(), &rotated(2, "other")).await.unwrap();
    assert_eq!(counts(journal.recover(&store).await.unwrap()), (0, 0, 1));
    journal.keep(&user(), &rotated(3, "next")).await.unwrap();
    let recovered = of_account(&journal, "client", &store).await.unwrap();
    assert_eq!(recovered.committed, 1);
    journal.recover(&store).await.unwrap();
    assert!(entries(&journal).is_empty());
    assert!(standing(&store).await.secrets.are(&grant("next")));
}

#[tokio::test]
async fn a_revocation_is_not_undone() {
    let (_scratch, journal) = journal().await;
    let store = store(1).await;
    journal.keep(&user(), &rotated(2, "new")).await.unwrap();
    store.revoke(&user()).await.unwrap();
    assert_eq!(counts(journal.recover(&store).await.unwrap()), (0, 1, 0));
    assert!(standing(&store).await.secrets.are(&Grant::default()));
}

#[tokio::test]
async fn an_account_takes_its_own_entries_and_nobody_elses() {
    let (_scratch, journal) = journal().await;
    let store = MemoryStore::new();
    let others = ["user.2", "use", "User"].map(name);
    for other in &others {
        journal.keep(other, &rotated(2, "other")).await.unwrap();
        // As if it had the same hash.
        let mine = journal.0.directory.shard(FileName::of(&user()).shard);
        fs::create_dir_all(&mine).unwrap();
        let theirs = FileName::of(other).shard;
        let entry = journal.entries(theirs, "").unwrap().pop().unwrap();
        fs::rename(&entry, mine.join(format!("user.2-{}.json", other.as_str()))).unwrap();
    }
    let recovered = of_account(&journal, "client", &store).await.unwrap();
    assert_eq!(recovered, Recovered::default());
    let nothing = store.load(&user()).await.unwrap();
    assert!(nothing.version().is_none());
    assert_eq!(counts(journal.recover(&store).await.unwrap()).0, 3);
    for other in &others {
        assert!(read(&store, other).await.secrets.are(&grant("other")));
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_stays_and_holds_up_no_other() {
    let (_scratch, journal) = journal().await;
    let store = store(1).await;
    journal.keep(&user(), &rotated(2, "new")).await.unwrap();
    let entry = entries(&journal).pop().unwrap();
    let bytes = fs::read(&entry).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(journal.decode(&damaged, &entry).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        let cut = journal.decode(&bytes[..length], &entry);
        assert!(cut.is_err(), "{length}");
    }
    let damaged = entry.with_file_name("user.1-damaged.json");
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(counts(journal.recover(&store).await.unwrap()), (1, 0, 1));
    assert_eq!(fs::read(&damaged).unwrap(), bytes[..bytes.len() / 2]);
    // Nobody goes on as if it were not there, unless another brings the answer.
    let error = of_account(&journal, "client", &store).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    journal.keep(&user(), &rotated(3, "newer")).await.unwrap();
    let again = of_account(&journal, "client", &store).await.unwrap();
    assert_eq!(counts(again), (1, 0, 1));
}

#[tokio::test]
async fn the_answer_of_another_client_stays_and_replaces_nothing() {
    let (_scratch, journal) = journal().await;
    let theirs = |client: &str, text| Grant {
        client_id: Some(client.into()),
        ..grant(text)
    };
    let store = MemoryStore::new();
    let ours = theirs("ours", "old");
    let first = Issued::authorized(Generation::FIRST, ours.clone(), None);
    let _ = store.commit(&user(), first).await.unwrap();
    let answer = Answer {
        grant: theirs("another", "new"),
        ..rotated(2, "new")
    };
    journal.keep(&user(), &answer).await.unwrap();
    let error = of_account(&journal, "ours", &store).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    assert_eq!(counts(journal.recover(&store).await.unwrap()), (0, 0, 1));
    assert!(standing(&store).await.secrets.are(&ours));
    // For its own client it is there.
    let recovered = of_account(&journal, "another", &MemoryStore::new()).await;
    assert_eq!(recovered.unwrap().committed, 1);
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn sealed_entries_open_with_the_key_and_stay_without_it() {
    use crate::store::SealingKey;
    use base64::Engine as _;

    let scratch = TempDir::new().unwrap();
    let open = async |key: Option<u8>| {
        let mut builder = Journal::builder(scratch.path());
        if let Some(key) = key {
            let key = SealingKey::from_bytes(&[key; 32]);
            builder = builder.sealed(Keyring::new("id", key).unwrap());
        }
        builder.open().await.unwrap()
    };
    let sealed = open(Some(1)).await;
    sealed.keep(&user(), &rotated(2, "new")).await.unwrap();
    let text = fs::read_to_string(entries(&sealed).pop().unwrap()).unwrap();
    let grant_line = text.lines().last().unwrap();
    let bytes = base64::prelude::BASE64_STANDARD.decode(grant_line).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("RT-new"));

    let store = store(1).await;
    for key in [None, Some(2)] {
        let recovered = open(key).await.recover(&store).await.unwrap();
        assert_eq!(counts(recovered), (0, 0, 1));
    }
    let clear = open(None).await;
    clear.keep(&user(), &rotated(3, "clear")).await.unwrap();
    sealed.recover(&store).await.unwrap();
    assert!(standing(&store).await.secrets.are(&grant("clear")));
}

#[tokio::test]
async fn an_entry_is_on_the_disk_before_anything_else_is_done_and_for_its_owner_alone() {
    let scratch = TempDir::new().unwrap();
    let fail_at = Arc::new(AtomicUsize::new(0));
    let failing = Arc::clone(&fail_at);
    let fails = move |number| number == failing.load(Ordering::SeqCst);
    let (disk, changes) = Disk::watched(move |number, _| fails(number).then_some(Errno::NOSPC));
    let mut builder = Journal::builder(scratch.path());
    builder.disk = disk;
    let journal = builder.open().await.unwrap();
    changes.lock().unwrap().clear();

    let answer = rotated(2, "new");
    let kept = journal.keep(&user(), &answer).await.unwrap();
    let made = [Change::MakeDir, Change::SyncDir];
    let written = [&made[..], &Change::WRITTEN].concat();
    assert_eq!(*changes.lock().unwrap(), written);
    let entry = entries(&journal).pop().unwrap();
    for (path, mode) in [(&*entry, 0o600), (entry.parent().unwrap(), 0o700)] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, mode);
    }
    changes.lock().unwrap().clear();
    journal.forget(kept).await.unwrap();
    assert_eq!(*changes.lock().unwrap(), [Change::Remove, Change::SyncDir]);

    for failing in 1..=Change::WRITTEN.len() {
        changes.lock().unwrap().clear();
        fail_at.store(failing, Ordering::SeqCst);
        journal.keep(&user(), &answer).await.unwrap_err();
        fail_at.store(0, Ordering::SeqCst);
        // Written twice, it is one entry.
        let kept = journal.keep(&user(), &answer).await.unwrap();
        assert_eq!(entries(&journal).len(), 1);
        journal.forget(kept).await.unwrap();
        assert!(entries(&journal).is_empty());
    }
}

#[tokio::test]
async fn a_store_and_a_journal_do_not_share_a_directory() {
    let (_scratch, journal) = journal().await;
    let opened = crate::store::FileStore::open(journal.0.directory.path()).await;
    assert_eq!(opened.unwrap_err().kind(), StoreErrorKind::Unsuitable);
}

#[tokio::test]
async fn a_journal_that_is_gone_is_an_error_and_not_an_empty_one() {
    let (_scratch, journal) = journal().await;
    let store = store(1).await;
    fs::remove_dir_all(journal.0.directory.path()).unwrap();
    journal.recover(&store).await.unwrap_err();
    of_account(&journal, "client", &store).await.unwrap_err();
    journal.keep(&user(), &rotated(2, "new")).await.unwrap_err();
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let (_scratch, journal) = journal().await;
    let answer = rotated(2, "new");
    let builder = Journal::builder("dir").label("r");
    let text = format!("{journal:?} {builder:?} {answer:?}");
    assert!(!text.contains("-new"), "{text}");
}
