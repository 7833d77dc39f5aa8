//! The statements: a look, a replacement and a list.
//!
//! Each runs as a transaction of its own, so that it also goes through a pooler that hands a
//! connection on after every transaction; the settings it makes are that transaction's alone.

use std::time::Duration;

use super::tables::COLUMNS;

/// Milliseconds since the Unix epoch.
const NOW: &str = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// The channel of notifications: the table, the version of the write, and the account.
pub(super) const CHANNEL: &str = "tower_mac_auth";

/// The columns that hold a moment: see [`moment`].
const MOMENTS: [&str; 6] = [
    "issued_at",
    "expires_at",
    "refresh_expires_at",
    "deadline",
    "intended_at",
    "not_before",
];

/// The text of each statement, for one table.
pub(super) struct Statements {
    /// `$1` the account. One row: `now`, and what stands, or nulls.
    pub(super) load: String,
    /// The parameters are those of [`Values`](super::row::Values). One row: `now`, whether it is
    /// `done`, and if not, what stands, or nulls.
    pub(super) replace: String,
    /// `$1` the name that the page comes after, `$2` how many.
    pub(super) list: String,
}

impl Statements {
    /// Of `records`, a quoted name. A row that stays locked is not waited for longer than
    /// `lock_timeout`, also where nobody waits for the answer any more.
    pub(super) fn new(records: &str, lock_timeout: Duration) -> Self {
        // No integer of the database is large enough for a generation: it goes and comes as text.
        let read = COLUMNS.map(|(name, kind, _)| match kind {
            "numeric(20,0)" => format!("s.{name}::text"),
            _ => format!("s.{name}"),
        });
        let read = read.join(", ");
        Self {
            load: format!(
                "SELECT m.now, {read} FROM (SELECT {NOW} AS now) m \
                 LEFT JOIN {records} s ON s.account = $1"
            ),
            replace: replace(records, &read, lock_timeout),
            list: format!(
                "SELECT account, generation::text, status, expires_at FROM {records} \
                 WHERE account > $1 ORDER BY account LIMIT $2"
            ),
        }
    }
}

/// The row is locked first (`held`), and what is compared, written and returned is the row as it
/// stands then, at the `moment` since. Without that a statement that waits for another would answer
/// with the row as it was before both, and on the clock of before the wait.
///
/// `settings` is joined with one row of something, never with none: it would be left out. An intent
/// that is acknowledged and then lost in a crash is a refresh token presented twice: whatever the
/// role's or the database's default, the commit waits for the disk.
///
/// Not done over nothing, where nothing stands: another inserted the row since this began.
fn replace(records: &str, read: &str, lock_timeout: Duration) -> String {
    let lock_timeout = lock_timeout.as_millis().clamp(1, i32::MAX as u128);
    let names = COLUMNS.map(|(name, ..)| name).join(", ");
    let excluded = COLUMNS.map(|(name, ..)| format!("{name} = EXCLUDED.{name}"));
    let excluded = excluded.join(", ");
    // $1 is the account, $2 the version expected, $3 whether to tell of it, $4 the new version.
    let values = (4..).zip(&COLUMNS[1..]);
    let values = values.map(|(at, (name, kind, _))| as_written(name, kind, at));
    let values = values.collect::<Vec<_>>().join(", ");
    format!(
        "WITH settings AS MATERIALIZED (\
         SELECT set_config('lock_timeout', '{lock_timeout}', true), \
         CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') \
         THEN set_config('synchronous_commit', 'on', true) END), \
         ready AS MATERIALIZED (SELECT count(*) FROM settings), \
         held AS MATERIALIZED (SELECT r.* FROM ready, {records} r \
         WHERE r.account = $1 FOR UPDATE OF r), \
         moment AS MATERIALIZED (SELECT {NOW} AS now \
         FROM ready, (SELECT count(*) FROM held) AS locked), \
         written AS (INSERT INTO {records} AS r ({names}) \
         SELECT $1, {values} FROM moment m LEFT JOIN held h ON true \
         WHERE h.version IS NOT DISTINCT FROM $2 \
         ON CONFLICT (account) DO UPDATE SET {excluded} WHERE r.version = $2 \
         RETURNING CASE WHEN $3 THEN pg_notify('{CHANNEL}', '{records} ' || $4 || ' ' || $1) END) \
         SELECT m.now, EXISTS (SELECT FROM written) AS done, {read} \
         FROM moment m LEFT JOIN held s ON NOT EXISTS (SELECT FROM written)"
    )
}

fn as_written(name: &str, kind: &str, at: usize) -> String {
    match kind {
        "numeric(20,0)" => format!("${at}::numeric"),
        _ if MOMENTS.contains(&name) => moment(at),
        _ => format!("${at}"),
    }
}

/// [`Moment`](crate::store::Moment) as one number: below zero it is so long after the write, its
/// bits inverted, for zero is no distance from zero. The latest there is instead of an overflow.
fn moment(at: usize) -> String {
    let max = i64::MAX;
    format!("CASE WHEN ${at} < 0 THEN m.now + LEAST(~${at}, {max} - m.now) ELSE ${at} END")
}
