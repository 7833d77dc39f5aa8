//! What the tables are called, and what is in them.

use super::error::unsuitable;
use crate::store::StoreError;

/// What this version of the crate reads and writes.
pub(super) const VERSION: i32 = 1;

/// The names of a store's tables, quoted.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) schema: String,
    prefix: String,
}

impl Tables {
    pub(super) fn new(schema: &str, prefix: &str) -> Result<Self, StoreError> {
        for name in [schema, prefix] {
            let plain = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            // The server cuts names at 63 bytes, and ours get a word behind them.
            if !plain || name.is_empty() || name.len() > 48 {
                let why = "up to 48 of a to z, 0 to 9 and _ will do";
                return Err(unsuitable(
                    "the schema's name or the prefix cannot be used",
                    why,
                ));
            }
        }
        Ok(Self {
            schema: schema.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    pub(super) fn records(&self) -> String {
        self.quoted("records")
    }

    pub(super) fn version(&self) -> String {
        self.quoted("version")
    }

    fn quoted(&self, word: &str) -> String {
        format!(r#""{}"."{}{word}""#, self.schema, self.prefix)
    }

    /// See the [module docs](super) for why each column is as it is.
    pub(super) fn create(&self) -> String {
        let (records, version) = (self.records(), self.version());
        let columns = COLUMNS.map(|(name, kind, more)| format!("    {name} {kind} {more}"));
        let columns = columns.join(",\n");
        format!(
            "CREATE TABLE {records} (\n{columns}\n) WITH (fillfactor = 50);\n\
             CREATE TABLE {version} (version integer NOT NULL);\n\
             INSERT INTO {version} VALUES ({VERSION});"
        )
    }
}

/// Name, type as the server calls it, and what else there is to say of it.
pub(super) const COLUMNS: [(&str, &str, &str); 17] = [
    ("account", "text", r#"COLLATE "C" PRIMARY KEY"#),
    ("version", "bigint", "NOT NULL"),
    ("generation", "numeric(20,0)", "NOT NULL"),
    ("lineage", "numeric(20,0)", "NOT NULL"),
    ("status", "text", "NOT NULL"),
    ("secret", "bytea", "NOT NULL"),
    ("issued_at", "bigint", "NOT NULL"),
    ("expires_at", "bigint", ""),
    ("refresh_expires_at", "bigint", ""),
    ("lease", "bigint", ""),
    ("owner", "text", ""),
    ("deadline", "bigint", "NOT NULL"),
    ("intended_at", "bigint", ""),
    ("presented_again", "boolean", "NOT NULL"),
    ("not_before", "bigint", "NOT NULL"),
    ("fails", "bigint", "NOT NULL"),
    ("last_error", "text", ""),
];
