use tower_mac_auth::store::{Keyring, SharedStore, StoreError};

use crate::config::{Secrets, secret, store_location};
use crate::store::{StoreLocation, migrate, open, open_existing};
use crate::trouble::Trouble;

/// Where a store is, as a flag says, which the parser of flags leaves alone: its errors would show a
/// password.
pub(super) struct Place {
    /// The flag, or the variable.
    named: &'static str,
    location: StoreLocation,
}

impl Place {
    pub(super) fn new(
        flag: &'static str,
        variable: &'static str,
        given: Option<&str>,
    ) -> Result<Self, Trouble> {
        let secret = secret(variable)?;
        let location = store_location(flag, variable, given, secret.as_deref())?;
        let named = if given.is_some() { flag } else { variable };
        if let StoreLocation::Memory = location {
            let what = "memory is a store of one process alone: give it as in";
            return Err(Trouble::Wrong(format!(
                "{named}: {what} {flag} file:/var/lib/mac-gateway"
            )));
        }
        Ok(Self { named, location })
    }

    /// The store, sealed if `MAC_SEAL_KEY` says so; made if it is not there.
    pub(super) async fn open(&self) -> Result<SharedStore, Trouble> {
        self.done(open(&self.location, keys()?).await)
    }

    /// The same, if it is there.
    pub(super) async fn open_existing(&self) -> Result<SharedStore, Trouble> {
        self.done(open_existing(&self.location, keys()?).await)
    }

    /// As it stands, without keys, if it is there.
    pub(super) async fn open_bare(&self) -> Result<SharedStore, Trouble> {
        self.done(open_existing(&self.location, None).await)
    }

    /// Makes or mends what the store needs.
    pub(super) async fn migrate(&self) -> Result<(), Trouble> {
        self.done(migrate(&self.location).await)
    }

    fn done<T>(&self, done: Result<T, StoreError>) -> Result<T, Trouble> {
        let Self { named, location } = self;
        done.map_err(|error| Trouble::of_store(&format!("{named}: {location}"), &error))
    }
}

fn keys() -> Result<Option<Keyring>, Trouble> {
    Ok(Secrets::from_environment()?.seal)
}
