//! What a directory says of itself.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::{Disk, read};
use super::trouble::{FileTrouble, corrupt, failed};
use crate::store::StoreError;
use crate::store::error::unsuitable;

pub(super) const MARKER: &str = "store.json";
const VERSION: u32 = 1;

/// What the directory is for: so that no other use is made of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    kind: String,
    version: u32,
    label: Option<String>,
}

/// Writes down what a new directory is for, and refuses one that is for something else. The caller
/// holds the directory's lock.
pub(super) fn check(
    disk: &Disk,
    dir: &Path,
    kind: &str,
    label: Option<&str>,
) -> Result<(), StoreError> {
    let path = dir.join(MARKER);
    let ours = Marker {
        kind: kind.to_owned(),
        version: VERSION,
        label: label.map(str::to_owned),
    };
    let unsuitable = |why| {
        let what = "the directory is used for something else";
        unsuitable(what).with_source(FileTrouble::new(&path, why))
    };
    let read = read(disk, &path).map_err(failed("the directory cannot be read", &path))?;
    let Some(bytes) = read else {
        let bytes = serde_json::to_vec(&ours).map_err(|error| unsuitable(error.to_string()))?;
        let marked = disk.replace(dir, MARKER, &bytes);
        return marked.map_err(failed("the directory cannot be written", &path));
    };
    let there: Marker = serde_json::from_slice(&bytes).map_err(|_| {
        let what = "the directory's own file is damaged";
        corrupt(what, &path, "it is no JSON of this crate's making")
    })?;
    if there == ours {
        return Ok(());
    }
    Err(unsuitable(format!(
        "it says {there}, and {ours} was to be opened"
    )))
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of version {}", self.kind, self.version)?;
        match &self.label {
            Some(label) => write!(f, ", label {label:?}"),
            None => f.write_str(", no label"),
        }
    }
}
