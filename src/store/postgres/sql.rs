//! The statements: one for each step, each a compare-and-set on the server's clock.
//!
//! Each runs as a transaction of its own, so that it also goes through a pooler that hands a
//! connection on after every transaction; the settings it makes are that transaction's alone.
//!
//! The row is locked first (`held`), and what is decided, written and returned is the row as it
//! stands then. Without that a statement that waits for another would answer with the row as it
//! was before both, and on the clock of before the wait.
//!
//! A row that this version cannot read is left as it is by all but `revoke`, which gives it up.

use std::time::Duration;

use crate::store::blob;

/// What is selected, in the order of [`super::row`]. No integer of the database is large enough for
/// a generation, and numbers that are go as text.
const RECORD: &str = "generation::text, lineage::text, status, secret, issued_at, expires_at, \
    fence, owner, deadline, intended_at, replayed, not_before, fails, last_error";

const COLUMNS: &str = "generation, lineage, status, secret, issued_at, expires_at, \
    fence, owner, deadline, intended_at, replayed, not_before, fails, last_error";

/// Milliseconds since the Unix epoch.
const NOW: &str = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// The channel of notifications; the payload is a hash of the account's name.
pub(super) const CHANNEL: &str = "tower_mac_auth";

/// The text of each statement, for one table. `$1` is the account and, where the statement
/// writes, `$2` the payload of a notification, needed or not.
pub(super) struct Statements {
    pub(super) read: String,
    pub(super) acquire: String,
    pub(super) intend: String,
    pub(super) commit: String,
    pub(super) release: String,
    pub(super) doubt: String,
    pub(super) reject: String,
    pub(super) revoke: String,
}

impl Statements {
    /// Of `records`, a quoted name. A row that stays locked is not waited for longer than
    /// `lock_timeout`, also where nobody waits for the answer any more.
    pub(super) fn new(records: &str, lock_timeout: Duration) -> Self {
        let table = Table {
            records,
            lock_timeout: lock_timeout.as_millis().clamp(1, i32::MAX as u128),
        };
        let notify = notify();
        Self {
            read: format!("SELECT {RECORD}, {NOW} AS now FROM {records} WHERE account = $1"),
            acquire: table.acquire(),
            // $3 generation, $4 fence, $5 milliseconds to answer within
            intend: table.guarded(
                &format!(
                    "status = 'sending', intended_at = s.now, deadline = {}",
                    later("s.now", "$5")
                ),
                "'leased'",
                NOBODY,
            ),
            commit: table.commit(),
            // $3 generation, $4 fence, $5 milliseconds of back-off, $6 why,
            // $7 whether the lease was taken from a doubt, $8 its `intended_at`
            release: table.guarded(
                &format!(
                    "status = CASE WHEN $7 THEN 'in_doubt' ELSE 'active' END, replayed = false, \
                     intended_at = $8, not_before = {}, last_error = $6, \
                     fails = LEAST(r.fails + 1, {})",
                    later("s.now", "$5"),
                    u32::MAX
                ),
                "'leased', 'sending', 'in_doubt'",
                &notify,
            ),
            // $3 generation, $4 fence, $5 why
            doubt: table.guarded("status = 'in_doubt', last_error = $5", "'sending'", &notify),
            reject: table.guarded(
                "status = 'revoked', last_error = $5",
                "'sending', 'in_doubt'",
                &notify,
            ),
            revoke: table.revoke(),
        }
    }
}

struct Table<'a> {
    records: &'a str,
    lock_timeout: u128,
}

impl Table<'_> {
    /// `held` is the row, locked, and `moment` the time since. `settings` is joined with one row
    /// of something, never with none: it would be left out.
    ///
    /// An intent that is acknowledged and then lost in a crash is a refresh token presented
    /// twice: whatever the role's or the database's default, the commit waits for the disk.
    fn held(&self) -> String {
        let Self {
            records,
            lock_timeout,
        } = self;
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
             standing AS MATERIALIZED (SELECT held.*, moment.now FROM held, moment), "
        )
    }

    /// $3 generation, $4 owner, $5 milliseconds of lease, $6 whether from a doubt.
    fn acquire(&self) -> String {
        let held = self.held();
        let records = self.records;
        let deadline = later("s.now", "$5");
        let [backing_off, leased] = ["s.not_before", "s.deadline"].map(ahead);
        let readable = readable("s");
        format!(
            "{held} moved AS (UPDATE {records} r SET status = 'leased', fence = r.fence + 1, \
             owner = $4, deadline = {deadline}, replayed = r.replayed OR $6 \
             FROM standing s WHERE r.account = s.account AND s.generation = $3::numeric AND {readable} \
             AND CASE s.status \
             WHEN 'active' THEN NOT $6 AND NOT {backing_off} \
             WHEN 'leased' THEN NOT $6 AND NOT {leased} \
             WHEN 'in_doubt' THEN $6 AND NOT s.replayed AND NOT {backing_off} \
             ELSE false END RETURNING r.*, s.now) \
             SELECT {RECORD}, now, true AS moved FROM moved \
             UNION ALL SELECT {RECORD}, now, false FROM standing \
             WHERE NOT EXISTS (SELECT FROM moved)"
        )
    }

    /// $3 generation, $4 fence: a step that answers only whether its guard held, and nothing also
    /// where it did not; `false` is a row that cannot be read.
    fn guarded(&self, set: &str, from: &str, told: &str) -> String {
        let held = self.held();
        let records = self.records;
        let readable = readable("s");
        format!(
            "{held} moved AS (UPDATE {records} r SET {set} FROM standing s \
             WHERE r.account = s.account AND s.generation = $3::numeric AND s.fence = $4 \
             AND s.status IN ({from}) AND {readable} RETURNING {told}) \
             SELECT true AS moved FROM moved \
             UNION ALL SELECT false FROM standing s WHERE NOT {readable}"
        )
    }

    /// $3 generation, $4 lineage, $5 secret, $6 milliseconds until it expires.
    ///
    /// No row at all: another inserted one, of this generation or a higher, since we began.
    fn commit(&self) -> String {
        let insert = self.insert(
            "$3::numeric, $4::numeric, 'active', $5",
            &format!("CASE WHEN $6 IS NOT NULL THEN {} END", later("m.now", "$6")),
            "generation = EXCLUDED.generation, lineage = EXCLUDED.lineage, fence = r.fence + 1",
        );
        let notify = notify();
        let readable = readable("r");
        format!(
            "{insert} WHERE r.generation < EXCLUDED.generation AND {readable} \
             RETURNING r.*, r.issued_at AS now, {notify}) \
             SELECT {RECORD}, now, true AS moved FROM moved \
             UNION ALL SELECT {RECORD}, now, false FROM standing \
             WHERE NOT EXISTS (SELECT FROM moved)"
        )
    }

    /// $3 the secret of nothing.
    ///
    /// What is no generation is followed by the milliseconds: generations are counted one by one,
    /// so none has come as far.
    fn revoke(&self) -> String {
        let max = u64::MAX;
        let next = format!(
            "CASE WHEN r.generation BETWEEN 0 AND {max} THEN LEAST(r.generation + 2, {max}) \
             ELSE EXCLUDED.issued_at END"
        );
        let fence = format!("GREATEST(LEAST(r.fence, {} - 1) + 1, 0)", i64::MAX);
        let insert = self.insert(
            "1, 1, 'revoked', $3",
            "NULL",
            &format!("generation = {next}, lineage = {next}, fence = {fence}"),
        );
        let notify = notify();
        format!(
            "{insert} RETURNING r.*, r.issued_at AS now, {notify}) SELECT {RECORD}, now FROM moved"
        )
    }

    /// A record as just written, over what stands.
    fn insert(&self, issued: &str, expires_at: &str, counted: &str) -> String {
        let held = self.held();
        let records = self.records;
        format!(
            "{held} moved AS (INSERT INTO {records} AS r (account, {COLUMNS}) \
             SELECT $1, {issued}, m.now, {expires_at}, 0, NULL, m.now, NULL, false, 0, 0, NULL \
             FROM moment m ON CONFLICT (account) DO UPDATE SET {counted}, \
             status = EXCLUDED.status, secret = EXCLUDED.secret, \
             issued_at = EXCLUDED.issued_at, expires_at = EXCLUDED.expires_at, \
             owner = EXCLUDED.owner, deadline = EXCLUDED.deadline, \
             intended_at = EXCLUDED.intended_at, replayed = EXCLUDED.replayed, \
             not_before = EXCLUDED.not_before, fails = EXCLUDED.fails, \
             last_error = EXCLUDED.last_error"
        )
    }
}

/// A while after a moment; "never" instead of an overflow.
fn later(moment: &str, millis: &str) -> String {
    format!("LEAST({moment}::numeric + {millis}, {})::bigint", i64::MAX)
}

/// `Record::is_ahead`: what lies further ahead was written before the clock was set back.
fn ahead(moment: &str) -> String {
    let longest = crate::store::Record::LONGEST_WAIT.as_millis();
    format!("({moment} - s.now BETWEEN 1 AND {longest})")
}

/// Whether [`super::row::record`] can read the row, as far as that can be told here: the database
/// has no SHA-1, so a secret that was damaged is found by whoever reads it.
fn readable(row: &str) -> String {
    let forms = blob::FORMS.map(|form| format!("'{form:02x}'")).join(", ");
    let generation = format!("BETWEEN 0 AND {}", u64::MAX);
    // What is NULL is passed over by LEAST.
    let times = [
        "issued_at",
        "expires_at",
        "deadline",
        "intended_at",
        "not_before",
    ];
    let times = times.map(|time| format!("{row}.{time}")).join(", ");
    format!(
        "({row}.status IN ('active', 'leased', 'sending', 'in_doubt', 'revoked') \
         AND encode(substring({row}.secret FROM 1 FOR 1), 'hex') IN ({forms}) \
         AND {row}.generation {generation} AND {row}.lineage {generation} \
         AND LEAST({times}, {row}.fence) >= 0 AND {row}.fails BETWEEN 0 AND {})",
        u32::MAX
    )
}

/// Nobody waits for the start of a rotation.
const NOBODY: &str = "1";

fn notify() -> String {
    format!("pg_notify('{CHANNEL}', $2)")
}
