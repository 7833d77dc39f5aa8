//! What the flags come to, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::uri::{Authority, Scheme};
use tower_mac_auth::provider::AllowedAuthorities;
use tower_mac_auth::store::AccountName;

use super::location::{is_loopback, upstream};
use super::store::store_location;
use super::{Client, Flags, LogFormat, Problems, Secrets, Seeds};
use crate::proxy::Tenant;
use crate::store::StoreLocation;

/// All that the gateway needs to start.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Names of the admin address, in lower case and without a port.
    pub(crate) admin_hosts: Vec<String>,
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

/// Where requests go, and what is signed.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Where it connects.
    pub(crate) connect: Uri,
    /// What the API is called in what is signed, in `Host` and in `:authority`.
    pub(crate) host: Authority,
}

impl Upstream {
    /// The scheme of both.
    pub(crate) fn scheme(&self) -> Scheme {
        self.connect.scheme().cloned().unwrap_or(Scheme::HTTPS)
    }
}

impl Settings {
    /// Checks everything that can be checked without asking anybody.
    pub(crate) fn new(flags: &Flags, secrets: &Secrets) -> Result<(Self, Client), Problems> {
        let mut problems = Problems::default();
        let listen = address(&mut problems, "--listen", flags.listen.as_deref(), 8080);
        let admin = address(&mut problems, "--admin", flags.admin.as_deref(), 8081);
        let upstream = problems.note("--upstream", upstream(flags.upstream.as_deref()));
        let upstream = upstream.map(|connect| {
            let to_others = connect.scheme() == Some(&Scheme::HTTP) && !is_loopback(&connect);
            if to_others && !flags.allow_http {
                let what = "goes to another machine in the clear: give an https:// URL, or --allow-http too";
                problems.add("--upstream", what);
            }
            let host = sign_host(&mut problems, flags.sign_host.as_deref(), &connect);
            Upstream { connect, host }
        });
        let tenant = tenant(&mut problems, flags);
        let given = (flags.store.as_deref(), secrets.store.as_deref());
        let store = store_location("--store", "MAC_STORE", given.0, given.1);
        let store = store.map_err(|others| problems.add_all(others)).ok();
        let seeds = flags
            .seed
            .as_deref()
            .map_or(Ok(Seeds::default()), Seeds::read);
        let seeds = problems.note("--seed", seeds);
        let via = flags.via.as_deref().unwrap_or("mac-gateway");
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if via.is_empty() || !via.bytes().all(is_name) {
            problems.add(
                "--via",
                "is of letters, digits and - . _, as in --via gateway-1",
            );
        }
        let callback = callback(&mut problems, flags.redirect_uri.as_deref());
        let client = upstream.as_ref().and_then(|upstream| {
            let allowed = AllowedAuthorities::new([upstream.host.as_str()]);
            let allowed = allowed.map_err(|error| error.to_string());
            let allowed = problems.note("--sign-host", allowed)?;
            // Whether `http` will do was settled above, by where it connects.
            let allowed = allowed.allow_plain_http(upstream.scheme() == Scheme::HTTP);
            Client::new(flags, secrets.client_secret.as_ref(), allowed)
                .map_err(|others| problems.add_all(others))
                .ok()
        });
        if let (
            Some(listen),
            Some(admin),
            Some(upstream),
            Some(tenant),
            Some(store),
            Some(seeds),
            Some(client),
            true,
        ) = (
            listen,
            admin,
            upstream,
            tenant,
            store,
            seeds,
            client,
            problems.is_empty(),
        ) {
            let names = flags
                .admin_host
                .iter()
                .map(|name| name.to_ascii_lowercase());
            let called = callback
                .as_ref()
                .and_then(Uri::host)
                .map(str::to_ascii_lowercase);
            let settings = Self {
                listen,
                admin,
                admin_hosts: names.chain(called).collect(),
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
                secure_cookies: callback.is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS)),
                warnings: Problems::default(),
            };
            return Ok((settings, client));
        }
        Err(problems)
    }
}

fn address(
    problems: &mut Problems,
    flag: &'static str,
    given: Option<&str>,
    port: u16,
) -> Option<SocketAddr> {
    let Some(text) = given else {
        return Some(SocketAddr::from(([127, 0, 0, 1], port)));
    };
    let wrong = || format!("{text} is no address and port: give it as in {flag} 127.0.0.1:{port}");
    problems.note(flag, text.parse().map_err(|_| wrong()))
}

fn sign_host(problems: &mut Problems, given: Option<&str>, connect: &Uri) -> Authority {
    let own = connect.authority().cloned();
    let own = own.unwrap_or_else(|| Authority::from_static("localhost"));
    let Some(text) = given else { return own };
    match text.parse::<Authority>() {
        Ok(host) if !text.contains('@') && !host.host().is_empty() => host,
        _ => {
            let what = "is no host, or host and port: give it as in --sign-host api.example";
            problems.add("--sign-host", what);
            own
        }
    }
}

fn tenant(problems: &mut Problems, flags: &Flags) -> Option<Tenant> {
    const RIGHT: &str = "--account NAME if one account signs all, or --account-header x-account";
    match (&flags.account, &flags.account_header) {
        (None, None) => {
            problems.add(
                "--account",
                format!("it is not said who signs: give {RIGHT}"),
            );
            None
        }
        (Some(_), Some(_)) => {
            let what = format!("is given besides --account-header: give {RIGHT}");
            problems.add("--account", what);
            None
        }
        (Some(name), None) => {
            let wrong = |error| format!("{error}; a right one is --account alice");
            let checked = AccountName::new(name).map_err(wrong);
            problems.note("--account", checked).map(Tenant::One)
        }
        (None, Some(name)) => {
            let wrong =
                "is no header that could name an account: give it as in --account-header x-account";
            let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong);
            let name = name.and_then(|name| match name {
                AUTHORIZATION | HOST => Err(wrong),
                name => Ok(name),
            });
            problems.note("--account-header", name).map(Tenant::Header)
        }
    }
}

fn callback(problems: &mut Problems, given: Option<&str>) -> Option<Uri> {
    let uri = given?.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme().is_some() && uri.host().is_some());
    if uri.is_none() {
        let what = "is no URL: give it as in --redirect-uri https://ops.example/callback";
        problems.add("--redirect-uri", what);
    }
    uri
}
