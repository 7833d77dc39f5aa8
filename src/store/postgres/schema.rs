//! The making of the table, and whether it will do.

use std::collections::BTreeMap;

use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{IsolationLevel, Row};

use super::error::{NO_RIGHT, NOT_MIGRATED, store_error, unsuitable, will_not_do};
use super::link::{Borrowed, Link};
use super::rehearsal::rehearse;
use super::sql::Statements;
use super::tables::{COLUMNS, Tables, VERSION};
use crate::store::StoreError;

/// What there is of the tables: `None`, or their version.
async fn version(client: &Borrowed<'_>, tables: &Tables) -> Result<Option<i32>, StoreError> {
    let there = "SELECT to_regclass($1) IS NOT NULL";
    let name = tables.version();
    if !value::<bool>(&client.query(there, &[(&name, Type::TEXT)]).await?)? {
        return Ok(None);
    }
    let read = format!("SELECT max(version) FROM {name}");
    value(&client.query(&read, &[]).await?)
}

/// Makes the tables, if they are not there.
pub(super) async fn migrate(link: &Link, tables: &Tables) -> Result<(), StoreError> {
    let mut client = link.borrow().await?;
    writable(&client).await?;
    match version(&client, tables).await? {
        Some(version) => known(version)?,
        None => create(&mut client, tables).await?,
    }
    columns(&client, tables).await?;
    client.give_back();
    Ok(())
}

async fn writable(client: &Borrowed<'_>) -> Result<(), StoreError> {
    let ask = "SELECT current_setting('transaction_read_only')::boolean";
    if value(&client.query(ask, &[]).await?)? {
        client.is_read_only();
        return Err(will_not_do("its sessions are read-only"));
    }
    Ok(())
}

/// Whether the table has the columns that it was made with; it may have more.
async fn columns(client: &Borrowed<'_>, tables: &Tables) -> Result<(), StoreError> {
    let ask = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
        WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    let records = tables.records();
    let rows = client.query(ask, &[(&records, Type::TEXT)]).await?;
    let mut there = BTreeMap::new();
    for row in &rows {
        there.insert(column::<&str>(row, 0)?, column::<&str>(row, 1)?);
    }
    for (name, wanted, _) in COLUMNS {
        let why = match there.get(name) {
            Some(kind) if *kind == wanted => continue,
            Some(kind) => format!("column {name} of {records} is {kind}, not {wanted}"),
            None => format!("{records} has no column {name}"),
        };
        return Err(unsuitable("its table is not the one that is needed", why));
    }
    Ok(())
}

async fn create(client: &mut Borrowed<'_>, tables: &Tables) -> Result<(), StoreError> {
    // Two programs that start together both want to create. The lock is the transaction's, so it
    // is safe behind a pooler; "read committed", so that who waited for it sees what was made.
    let lock = "SELECT pg_advisory_xact_lock(hashtext('tower-mac-auth migrate'))::text";
    let schema = format!("CREATE SCHEMA {:?}", tables.schema);
    let transaction = client
        .client()?
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .start()
        .await
        .map_err(|error| store_error(&error))?;
    let done = async {
        transaction.query_typed(lock, &[]).await?;
        let asked: [(&(dyn ToSql + Sync), Type); 2] = [
            (&tables.records(), Type::TEXT),
            (&tables.schema, Type::TEXT),
        ];
        let there = "SELECT to_regclass($1) IS NOT NULL, to_regnamespace($2) IS NOT NULL";
        let row = transaction.query_typed_one(there, &asked).await?;
        if !row.try_get::<_, bool>(1)? {
            transaction.batch_execute(&schema).await?;
        }
        if !row.try_get::<_, bool>(0)? {
            transaction.batch_execute(&tables.create()).await?;
        }
        transaction.commit().await
    };
    done.await.map_err(|error| store_error(&error))
}

/// Whether the database will do: before the first step, so before a refresh token is spent.
pub(super) async fn check(
    link: &Link,
    tables: &Tables,
    statements: &Statements,
    accept_fsync_off: bool,
) -> Result<(), StoreError> {
    let mut client = link.borrow().await?;
    let about = "SELECT current_setting('server_version_num')::integer >= 120000, \
        current_setting('fsync') <> 'on', pg_is_in_recovery(), \
        current_setting('server_encoding')::text, current_user::text";
    let rows = client.query(about, &[]).await?;
    let about = first(&rows)?;
    if !column::<bool>(about, 0)? {
        return Err(will_not_do("PostgreSQL 12 is the oldest that will"));
    }
    if column(about, 1)? && !accept_fsync_off {
        let why = "it runs with fsync off: a crash forgets that a refresh token was presented";
        return Err(will_not_do(why));
    }
    if column(about, 2)? {
        return Err(will_not_do("it is a standby, which cannot be written to"));
    }
    writable(&client).await?;
    let encoding: &str = column(about, 3)?;
    if encoding != "UTF8" {
        return Err(will_not_do(format!("its encoding is {encoding}, not UTF8")));
    }
    let role: &str = column(about, 4)?;

    let Some(version) = version(&client, tables).await? else {
        let why = format!("{} does not exist", tables.version());
        return Err(unsuitable(NOT_MIGRATED, why));
    };
    known(version)?;
    let rights = "SELECT t.oid IS NOT NULL, c.relpersistence IS DISTINCT FROM 'p', \
        row_security_active(t.oid), \
        coalesce(has_table_privilege(t.oid, 'SELECT'), false), \
        coalesce(has_table_privilege(t.oid, 'INSERT'), false), \
        coalesce(has_table_privilege(t.oid, 'UPDATE'), false) \
        FROM (SELECT to_regclass($1)::oid AS oid) t LEFT JOIN pg_class c ON c.oid = t.oid";
    let records = tables.records();
    let rows = client.query(rights, &[(&records, Type::TEXT)]).await?;
    let row = first(&rows)?;
    if !column::<bool>(row, 0)? {
        return Err(will_not_do(format!("{records} does not exist")));
    }
    if column(row, 1)? {
        let why = format!("{records} is not logged: a crash empties it");
        return Err(will_not_do(why));
    }
    if column(row, 2)? {
        let why = format!("row level security hides rows of {records} from {role}");
        return Err(will_not_do(why));
    }
    let mut missing = Vec::new();
    for (at, right) in [(3, "SELECT"), (4, "INSERT"), (5, "UPDATE")] {
        if !column::<bool>(row, at)? {
            missing.push(right);
        }
    }
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let why = format!("role {role} lacks {missing} on {records}");
        return Err(unsuitable(NO_RIGHT, why));
    }
    columns(&client, tables).await?;
    rehearse(&mut client, statements).await?;
    client.give_back();
    Ok(())
}

fn known(version: i32) -> Result<(), StoreError> {
    if version <= VERSION {
        return Ok(());
    }
    let why = format!("the table is of version {version}, and this program knows {VERSION}");
    Err(unsuitable(
        "a later version of this crate made the table",
        why,
    ))
}

fn value<'a, T: FromSql<'a>>(rows: &'a [Row]) -> Result<T, StoreError> {
    column(first(rows)?, 0)
}

fn first(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first()
        .ok_or_else(|| will_not_do("it answered nothing"))
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(|error| store_error(&error))
}
