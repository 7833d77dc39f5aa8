//! The flags, and the keys of the file: one list of both.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;

/// All that is not secret. A secret is never a flag: other users of the machine see those.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Flags {
    /// Where requests come in [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// A name by which requests may call the gateway, and whose web pages may; may be repeated. `*` is any of
    /// both [default: on loopback its own, elsewhere any name and no page of another]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// Where operators ask: health, metrics, accounts, logins [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// A name by which browsers may call the admin address, beside its own; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) admin_host: Vec<String>,
    /// Where requests go: scheme, host and perhaps a port of the API
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// The host that is signed and that the API sees as Host, if it is not that of --upstream
    #[arg(long, value_name = "HOST")]
    pub(crate) sign_host: Option<String>,
    /// How requests are signed; oauth2 and bearer are the same: bearer tokens of an OAuth 2 endpoint
    #[arg(long, value_enum)]
    pub(crate) provider: Option<ProviderName>,
    /// The token endpoint
    #[arg(long, value_name = "URL")]
    pub(crate) token_url: Option<String>,
    /// Where users agree
    #[arg(long, value_name = "URL")]
    pub(crate) authorize_url: Option<String>,
    /// The id of the client
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// How the client authenticates; not for xiaomi [default: body, or none without a secret]
    #[arg(long, value_enum)]
    pub(crate) client_auth: Option<ClientAuth>,
    /// Where the provider sends users back to: /callback of the admin address, as browsers see it
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Option<String>,
    /// What users are asked to agree to
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Option<String>,
    /// The revision of the draft, for http-mac [default: 01]
    #[arg(long, value_enum)]
    pub(crate) draft: Option<DraftName>,
    /// Where tokens are kept: `memory`, `file:DIR`, `postgres://…`, `redis://…`
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// A directory of this machine for tokens that the store does not have yet
    #[arg(long, value_name = "DIR")]
    pub(crate) journal: Option<PathBuf>,
    /// The one account that signs everything
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// The header by which each request names its account
    #[arg(long, value_name = "NAME")]
    pub(crate) account_header: Option<String>,
    /// A file of JSON, account to refresh token, for accounts that the store does not know
    #[arg(long, value_name = "FILE")]
    pub(crate) seed: Option<PathBuf>,
    /// Allows http:// to other machines, where anybody on the way can read the tokens
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// The name of this gateway in Via, to find loops [default: mac-gateway]
    #[arg(long, value_name = "NAME")]
    pub(crate) via: Option<String>,
    /// The longest body of a request; without it there is no limit
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_body: Option<u64>,
    /// How long nothing may move before the API, or a caller who uploads, is given up [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) upstream_timeout: Option<u64>,
    /// How long requests may take to end after SIGTERM [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) drain_timeout: Option<u64>,
    /// How log lines look [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) log: Option<LogFormat>,
    /// A file of TOML with the names above as its keys; a flag wins over it
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Checks everything, the store too, and starts nothing: 0 good, 1 not reachable, 2 wrong
    #[arg(long)]
    #[serde(skip)]
    pub(crate) check: bool,
}

/// Whose words the API speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProviderName {
    Xiaomi,
    Oauth2,
    HttpMac,
    Bearer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientAuth {
    Body,
    Basic,
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
pub(crate) enum DraftName {
    #[value(name = "00")]
    #[serde(rename = "00")]
    V00,
    #[default]
    #[value(name = "01")]
    #[serde(rename = "01")]
    V01,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Flags {
    /// These, and what is not among them from `file`.
    pub(crate) fn over(self, file: Self) -> Self {
        // Either way to say who signs is a flag's to overrule the other with.
        let signs = self.account.is_some() || self.account_header.is_some();
        let (account, account_header) = if signs {
            (self.account, self.account_header)
        } else {
            (file.account, file.account_header)
        };
        Self {
            listen: self.listen.or(file.listen),
            host: over(self.host, file.host),
            admin: self.admin.or(file.admin),
            admin_host: over(self.admin_host, file.admin_host),
            upstream: self.upstream.or(file.upstream),
            sign_host: self.sign_host.or(file.sign_host),
            provider: self.provider.or(file.provider),
            token_url: self.token_url.or(file.token_url),
            authorize_url: self.authorize_url.or(file.authorize_url),
            client_id: self.client_id.or(file.client_id),
            client_auth: self.client_auth.or(file.client_auth),
            redirect_uri: self.redirect_uri.or(file.redirect_uri),
            scope: self.scope.or(file.scope),
            draft: self.draft.or(file.draft),
            store: self.store.or(file.store),
            journal: self.journal.or(file.journal),
            account,
            account_header,
            seed: self.seed.or(file.seed),
            allow_http: self.allow_http || file.allow_http,
            via: self.via.or(file.via),
            max_body: self.max_body.or(file.max_body),
            upstream_timeout: self.upstream_timeout.or(file.upstream_timeout),
            drain_timeout: self.drain_timeout.or(file.drain_timeout),
            log: self.log.or(file.log),
            config: self.config,
            check: self.check,
        }
    }

    /// Whether a user can log in here: it is known where users agree.
    pub(crate) fn has_login(&self) -> bool {
        self.provider == Some(ProviderName::Xiaomi) || self.authorize_url.is_some()
    }

    pub(crate) fn upstream_timeout(&self) -> Duration {
        Duration::from_secs(self.upstream_timeout.unwrap_or(60))
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout.unwrap_or(30))
    }
}

/// A list, or that of the file if it is empty.
fn over(flags: Vec<String>, file: Vec<String>) -> Vec<String> {
    if flags.is_empty() { file } else { flags }
}

fn bytes(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "give a whole number of bytes, as in --max-body 1048576")
}

fn seconds(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "give a whole number of seconds, as in --drain-timeout 30")
}
