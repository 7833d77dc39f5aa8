//! What the flags come to, checked.

use std::net::SocketAddr;
use std::path::{PathBuf, absolute};
use std::time::Duration;

use super::addresses::{Addresses, is_name};
use super::store::store_location;
use super::tenant::tenant;
use super::{Client, Flags, LogFormat, Problems, Secrets, Seeds, Upstream};
use crate::browsers::Hosts;
use crate::proxy::Tenant;
use crate::store::StoreLocation;

/// All that the gateway needs to start.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    /// By which names requests call it.
    pub(crate) hosts: Hosts,
    pub(crate) admin: SocketAddr,
    pub(crate) admin_hosts: Hosts,
    pub(crate) upstream: Upstream,
    pub(crate) tenant: Tenant,
    pub(crate) store: StoreLocation,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) seeds: Seeds,
    pub(crate) via: String,
    pub(crate) max_body: Option<u64>,
    pub(crate) upstream_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) log: LogFormat,
    /// Whether browsers reach the admin address by TLS, so that cookies may ask for it.
    pub(crate) secure_cookies: bool,
    /// What may be meant so, and may not.
    pub(crate) warnings: Problems,
}

impl Settings {
    /// Checks everything that can be checked without asking anybody.
    pub(crate) fn new(flags: &Flags, secrets: &Secrets) -> Result<(Self, Client), Problems> {
        let mut problems = Problems::default();
        let addresses = problems.take(Addresses::new(flags));
        let upstream = problems.take(Upstream::new(flags));
        if let (Some(addresses), Some(upstream)) = (&addresses, &upstream)
            && (upstream.is_at(addresses.listen) || upstream.is_at(addresses.admin))
        {
            let what = "is an address of this gateway: give the API's, as in --upstream https://api.example";
            problems.add("--upstream", what);
        }
        let tenant = problems.take(tenant(flags));
        let given = (flags.store.as_deref(), secrets.store.as_deref());
        let store = store_location("--store", "MAC_STORE", given.0, given.1);
        let store = problems.take(store);
        let seeds = flags
            .seed
            .as_deref()
            .map_or(Ok(Seeds::default()), Seeds::read);
        let seeds = problems.note("--seed", seeds);
        if let (Some(Tenant::Header(_)), Some(seeds)) = (&tenant, &seeds) {
            // HTTP takes these off.
            let mut names = seeds
                .0
                .keys()
                .filter(|name| name.trim_matches(' ') != *name);
            if let Some(name) = names.next() {
                let what = format!(
                    "{name:?} begins or ends with a space, which no --account-header can have"
                );
                problems.add("--seed", what);
            }
        }
        if let (Some(StoreLocation::File(store)), Some(journal)) = (&store, &flags.journal)
            && let (Ok(store), Ok(journal)) = (absolute(store), absolute(journal))
            && store == journal
        {
            problems.add(
                "--journal",
                "needs a directory of its own, not that of --store",
            );
        }
        let via = flags.via.as_deref().unwrap_or("mac-gateway");
        if !is_name(via) {
            problems.add(
                "--via",
                "is of letters, digits and - . _, as in --via gateway-1",
            );
        }
        if flags.upstream_timeout().is_zero() {
            let what = "leaves no time for an answer: give it as in --upstream-timeout 60";
            problems.add("--upstream-timeout", what);
        }
        let allowed = upstream.as_ref().map(|upstream| upstream.allowed(flags));
        let allowed = allowed.and_then(|allowed| problems.take(allowed));
        // Without a good upstream too, to name all that is wrong at once.
        let secret = secrets.client_secret.as_ref();
        let client = Client::new(flags, secret, allowed.unwrap_or_default());
        let client = problems.take(client);
        if let (
            Some(addresses),
            Some(upstream),
            Some(tenant),
            Some(store),
            Some(seeds),
            Some(client),
            true,
        ) = (
            addresses,
            upstream,
            tenant,
            store,
            seeds,
            client,
            problems.is_empty(),
        ) {
            let settings = Self {
                listen: addresses.listen,
                hosts: addresses.hosts,
                admin: addresses.admin,
                admin_hosts: addresses.admin_hosts,
                upstream,
                tenant,
                store,
                journal: flags.journal.clone(),
                seeds,
                via: via.to_owned(),
                max_body: flags.max_body,
                upstream_timeout: flags.upstream_timeout(),
                drain_timeout: flags.drain_timeout(),
                log: flags.log.unwrap_or_default(),
                secure_cookies: addresses.by_tls,
                warnings: addresses.warnings,
            };
            return Ok((settings, client));
        }
        Err(problems)
    }
}
