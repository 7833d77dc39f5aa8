use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where records are kept. `Display` shows no password.
#[derive(Clone)]
pub(crate) enum StoreLocation {
    Memory,
    File(PathBuf),
    Postgres(String),
    Redis(String),
}

impl FromStr for StoreLocation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "file" if !rest.is_empty() => Ok(Self::File(rest.into())),
            "postgres" | "postgresql" => Ok(Self::Postgres(text.to_owned())),
            "redis" | "rediss" => Ok(Self::Redis(text.to_owned())),
            _ => Err("is none of memory, file:DIR, postgres://HOST/DATABASE and redis://HOST"),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres"),
            Self::Redis(_) => f.write_str("redis"),
        }
    }
}

impl fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
