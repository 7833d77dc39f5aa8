//! Who may get at the files of a store and of a journal: what a mount does to their modes, what is
//! put in their place, and whose they are.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tower_mac_auth::account::Account;
use tower_mac_auth::store::{
    AccountName, FileStore, Generation, Journal, MemoryStore, RecordStore, StoreError,
    StoreErrorKind,
};

use crate::world::{World, record as read};

const MINUTE: Duration = Duration::from_secs(60);

fn user() -> AccountName {
    AccountName::new("user").unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The directory, and all that is in it.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
        } else {
            all.push(path);
        }
    }
    all
}

/// What Kubernetes does at each mount for a pod with an `fsGroup`.
fn mount_for_a_group(dir: &Path) {
    for path in tree(dir) {
        let added = if path.is_dir() { 0o2770 } else { 0o660 };
        set_mode(&path, mode(&path) | added);
    }
}

fn assert_for_its_owner_alone(dir: &Path) {
    for path in tree(dir) {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
}

#[tokio::test]
async fn a_store_that_a_mount_opened_to_a_group_starts_again_with_its_records_and_for_its_owner_alone()
 {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("tokens");
    let store = FileStore::open(&dir).await.unwrap();
    let world = World::with(|it| it, |it| it.store(store.clone())).await;
    let first = Generation::FIRST;
    let refreshed = world.account.refresh_if_current(first).await.unwrap();
    world.account.shutdown().await;
    // A copy of one that was given up as well.
    let other = AccountName::new("other").unwrap();
    store.revoke(&other).await.unwrap();
    let record = find(&dir, "other.json");
    fs::write(record, "damaged").unwrap();
    store.revoke(&other).await.unwrap();
    drop(store);

    for restart in 1..=2 {
        mount_for_a_group(&dir);
        let store = FileStore::open(&dir).await.unwrap();
        assert_for_its_owner_alone(&dir);
        let account = Account::builder(world.provider.endpoint())
            .clock(world.clock.clone())
            .store(store)
            .tokens(world.tokens.clone())
            .open("user")
            .await
            .unwrap();
        let generation = account.generation();
        assert_eq!(generation.number(), refreshed.number() + restart - 1);
        world.clock.advance(2 * MINUTE);
        account.refresh_if_current(generation).await.unwrap();
        account.shutdown().await;
    }
    assert_eq!(world.presented(), 3);
    assert!(world.provider.presented_twice().is_empty());
}

fn find(dir: &Path, name: &str) -> PathBuf {
    let found = tree(dir).into_iter().find(|path| path.ends_with(name));
    found.unwrap()
}

#[tokio::test]
async fn a_single_file_or_directory_that_is_not_for_its_owner_alone_is_made_so_at_the_start() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("tokens");
    let store = FileStore::open(&dir).await.unwrap();
    store.revoke(&user()).await.unwrap();
    for path in tree(&dir) {
        for loose in [0o777, 0o666] {
            if path.is_dir() && loose == 0o666 {
                continue;
            }
            set_mode(&path, loose);
            FileStore::open(&dir).await.unwrap();
            assert_for_its_owner_alone(&dir);
        }
    }
}

#[tokio::test]
async fn a_journal_that_a_mount_opened_to_a_group_is_tightened_too() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("journal");
    Journal::open(&dir).await.unwrap();
    mount_for_a_group(&dir);
    Journal::open(&dir).await.unwrap();
    assert_for_its_owner_alone(&dir);
}

#[tokio::test]
async fn a_file_that_a_mount_opens_to_a_group_meanwhile_is_tightened_when_it_is_next_read() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("tokens");
    let store = FileStore::open(&dir).await.unwrap();
    store.revoke(&user()).await.unwrap();
    let record = find(&dir, "user.json");
    set_mode(&record, 0o660);
    read(&store, &user()).await;
    assert_eq!(mode(&record), 0o600);
}

/// A directory of a program's own that others use as well, or everybody's, is not a store's to
/// close; and no error sends its reader to an empty store in another place.
#[tokio::test]
async fn a_directory_that_others_write_to_is_left_as_it_is_and_what_the_error_advises_is_safe() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("shared");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("of-somebody"), "").unwrap();
    for loose in [0o770, 0o2770, 0o702, 0o1777] {
        set_mode(&dir, loose);
        let error = FileStore::open(&dir).await.unwrap_err();
        let told = format!("{error:?}");
        assert!(told.contains("Unsuitable"), "{told}");
        assert!(told.contains(&format!("{loose:04o}")), "{told}");
        assert!(!told.contains("inside"), "{told}");
        assert_eq!(told.contains("`chmod 0700`"), loose & 0o1000 == 0, "{told}");
        assert_eq!(mode(&dir), loose);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing was made");
    }
    set_mode(&dir, 0o700);
    FileStore::open(&dir).await.unwrap();
}

#[tokio::test]
async fn an_empty_directory_of_ours_is_made_for_its_owner_alone_unless_it_is_everybodys() {
    let scratch = TempDir::new().unwrap();
    for (number, loose) in [0o775, 0o2777, 0o1777].into_iter().enumerate() {
        let dir = scratch.path().join(number.to_string());
        fs::create_dir(&dir).unwrap();
        set_mode(&dir, loose);
        let opened = FileStore::open(&dir).await;
        let everybodys = loose & 0o1000 != 0;
        assert_eq!(opened.is_err(), everybodys);
        assert_eq!(mode(&dir), if everybodys { loose } else { 0o700 });
    }
}

/// Puts something else in the place of a file: each of what is no file, one after another.
async fn replaced_by_odd_things(
    path: &Path,
    mut check: impl AsyncFnMut(/* what it is */ &'static str),
) {
    let whole = path.with_extension("whole");
    fs::rename(path, &whole).unwrap();
    for what in ["a FIFO", "a socket", "a symbolic link", "a directory"] {
        match what {
            "a FIFO" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
            "a socket" => drop(UnixListener::bind(path).unwrap()),
            "a symbolic link" => symlink(&whole, path).unwrap(),
            _ => fs::create_dir(path).unwrap(),
        }
        check(what).await;
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    }
    fs::rename(whole, path).unwrap();
}

fn assert_told(error: &StoreError, path: &Path, what: &str) {
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable, "{error:?}");
    let source = std::error::Error::source(error).unwrap().to_string();
    let wanted = format!("{}: it is {what}", path.display());
    assert!(source.contains(&wanted), "{source}, not {wanted}");
}

#[tokio::test]
async fn what_is_no_file_in_the_place_of_a_record_or_a_lock_is_an_error_and_holds_up_nobody() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("tokens");
    let store = FileStore::open(&dir).await.unwrap();
    store.revoke(&user()).await.unwrap();
    let record = find(&dir, "user.json");
    replaced_by_odd_things(&record, async |what| {
        assert_told(&store.load(&user()).await.unwrap_err(), &record, what);
        assert_told(&store.revoke(&user()).await.unwrap_err(), &record, what);
        let listed = store.list(None, 2).await.unwrap().pop().unwrap();
        assert_eq!((listed.account.as_str(), listed.head), ("user", None));
        // The others are not held up by it.
        let other = FileStore::open(&dir).await.unwrap();
        other
            .revoke(&AccountName::new("other").unwrap())
            .await
            .unwrap();
    })
    .await;
    let lock = record.with_file_name(".lock");
    replaced_by_odd_things(&lock, async |what| {
        assert_told(&store.revoke(&user()).await.unwrap_err(), &lock, what);
        read(&store, &user()).await;
    })
    .await;
    for name in [".lock", "store.json", "changes"] {
        let path = dir.join(name);
        replaced_by_odd_things(&path, async |what| {
            assert_told(&FileStore::open(&dir).await.unwrap_err(), &path, what);
        })
        .await;
    }
    let unknown = AccountName::new("unknown").unwrap();
    let marker = dir.join("store.json");
    replaced_by_odd_things(&marker, async |what| {
        assert_told(&store.load(&unknown).await.unwrap_err(), &marker, what);
    })
    .await;
    store.revoke(&user()).await.unwrap();
}

#[tokio::test]
async fn what_is_no_directory_in_the_place_of_one_is_an_error_at_the_start() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("tokens");
    let store = FileStore::open(&dir).await.unwrap();
    store.revoke(&user()).await.unwrap();
    let shard = find(&dir, "user.json").parent().unwrap().to_owned();
    let elsewhere = scratch.path().join("elsewhere");
    fs::rename(&shard, &elsewhere).unwrap();
    symlink(&elsewhere, &shard).unwrap();
    let error = FileStore::open(&dir).await.unwrap_err();
    assert_told(&error, &shard, "a symbolic link");
    fs::remove_file(&shard).unwrap();
    fs::write(&shard, "").unwrap();
    let error = FileStore::open(&dir).await.unwrap_err();
    assert_told(&error, &shard, "a regular file");
    fs::remove_file(&shard).unwrap();
    fs::rename(&elsewhere, &shard).unwrap();
    let store = FileStore::open(&dir).await.unwrap();
    read(&store, &user()).await;
    // Whoever names the directory may do so by a link.
    let link = scratch.path().join("link");
    symlink(&dir, &link).unwrap();
    let store = FileStore::open(&link).await.unwrap();
    read(&store, &user()).await;
}

#[tokio::test]
async fn what_is_no_file_in_the_place_of_an_entry_keeps_its_account_from_opening_and_no_other() {
    let scratch = TempDir::new().unwrap();
    let dir = scratch.path().join("journal");
    let journal = Journal::open(&dir).await.unwrap();
    let world = World::with(|it| it, |it| it.journal(journal.clone())).await;
    // As if an answer to this account had been kept here.
    let shard = dir.join(shard_of(&user()));
    fs::create_dir(&shard).unwrap();
    let entry = shard.join("user.2-0123456789abcdef.json");
    fs::write(&entry, "").unwrap();
    replaced_by_odd_things(&entry, async |what| {
        let open = |name| {
            Account::builder(world.provider.endpoint())
                .clock(world.clock.clone())
                .journal(journal.clone())
                .tokens(world.tokens.clone())
                .open(name)
        };
        let error = open("user").await.unwrap_err();
        let told = format!("{error:?}");
        let wanted = format!("it is {what}");
        assert!(told.contains(&wanted), "{told}, not {wanted}");
        assert!(told.contains("user.2-0123456789abcdef.json"), "{told}");
        open("other").await.unwrap();
        let recovered = journal.recover(&MemoryStore::new()).await.unwrap();
        assert_eq!((recovered.committed, recovered.kept), (0, 1));
    })
    .await;
}

/// The directory, below the store's or the journal's, in which the files of an account are.
fn shard_of(account: &AccountName) -> String {
    use sha1::{Digest, Sha1};
    format!("{:02x}", Sha1::digest(account.as_str())[0])
}

/// Root is no exception: it would leave files there that the owner cannot read.
#[tokio::test]
async fn a_directory_of_another_owner_is_refused_and_left_as_it_is() {
    let scratch = TempDir::new().unwrap();
    let mine = fs::metadata(scratch.path()).unwrap().uid();
    let dir = if mine == 0 {
        let dir = scratch.path().join("tokens");
        FileStore::open(&dir).await.unwrap();
        std::os::unix::fs::chown(&dir, Some(1), None).unwrap();
        dir
    } else {
        PathBuf::from("/")
    };
    let owner = fs::metadata(&dir).unwrap().uid();
    let error = FileStore::open(&dir).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsuitable);
    let told = format!("{error:?}");
    let wanted = format!("it belongs to uid {owner}, and this process runs as uid {mine}");
    assert!(told.contains(&wanted), "{told}");
    assert_eq!(fs::metadata(&dir).unwrap().uid(), owner);
}
