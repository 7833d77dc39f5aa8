//! Page by page through the accounts.

use super::Subject;
use crate::store::fixture::{draft, grant};
use crate::store::{AccountName, Draft, Listed, RecordStore as _, Status};

impl Subject {
    /// All accounts whose names begin with this one's, in pages of so many.
    async fn listed(&self, page: usize) -> Vec<Listed> {
        let mut all = Vec::<Listed>::new();
        loop {
            let after = all.last().map_or(&self.name, |last| &last.account);
            let mut listed = self.one.list(Some(after), page).await.unwrap();
            assert!(listed.len() <= page);
            listed.retain(|it| it.account.as_str().starts_with(self.name.as_str()));
            let end = listed.len() < page;
            all.extend(listed);
            if end {
                return all;
            }
        }
    }

    /// Another account, whose name begins with this one's.
    fn with(&self, end: &str) -> Self {
        let mut another = self.clone();
        another.name = format!("{}{end}", self.name).parse().unwrap();
        another
    }
}

pub(super) async fn every_name_is_an_account_of_its_own_and_pages_have_each_once_in_order(
    subject: Subject,
) {
    let long = "x".repeat(AccountName::MAX_LEN - subject.name.as_str().len() - 1);
    let [long_a, long_c] = ["a", "c"].map(|end| format!("{long}{end}"));
    let ends = [
        "b", "a", "B", "é", "a/b", "/../a", "%41", "_", "小", " ", "🔑", "'\"\\*", &long_a, &long_c,
    ];
    let mut accounts: Vec<_> = (1..).zip(ends.map(|end| subject.with(end))).collect();
    for (number, account) in &accounts {
        account.replace(None, &draft(*number)).await;
    }
    for (number, account) in &accounts {
        for process in account.processes() {
            let secrets = process.read().await.secrets;
            assert!(secrets.are(&grant(*number)), "{}", account.name);
        }
    }
    // By bytes: capitals first, and what is not ASCII last.
    accounts.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    for page in [1, 2, 5, 1000] {
        let listed = subject.listed(page).await.into_iter().map(|it| it.account);
        assert!(listed.eq(accounts.iter().map(|(_, account)| account.name.clone())));
    }
    assert_eq!(subject.other.list(None, 3).await.unwrap().len(), 3);
    assert!(subject.one.list(None, 0).await.unwrap().is_empty());
}

pub(super) async fn a_list_says_what_stands(subject: Subject) {
    let [first, second] = ["a", "b"].map(|end| subject.with(end));
    let revoked = Draft {
        status: Status::Revoked,
        expires_at: None,
        ..draft(7)
    };
    let revoked = second.replace(None, &revoked).await;
    let mut standing = None;
    for (number, process) in (3..).zip(subject.processes()) {
        let record = first.replace(standing, &draft(number)).await;
        standing = Some(record.version);
        let both = [(&first, &record), (&second, &revoked)];
        let both = both.map(|(account, record)| Listed::of(account.name.clone(), record));
        assert_eq!(process.listed(10).await, both);
    }
}
