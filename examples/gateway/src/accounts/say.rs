use std::io::{self, Write as _};

use serde_json::Value;

use crate::trouble::Trouble;

/// A line of JSON, or one for people.
pub(super) fn say(line: &Value, json: bool) -> Result<(), Trouble> {
    if json {
        writeln!(io::stdout(), "{line}")?;
        return Ok(());
    }
    let values = line.as_object().into_iter().flatten();
    let texts = values
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        });
    writeln!(io::stdout(), "{}", texts.collect::<Vec<_>>().join("  "))?;
    Ok(())
}
