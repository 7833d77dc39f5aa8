//! Where requests, operators and browsers come in, and where browsers are sent.

use std::net::{IpAddr, SocketAddr};

use http::Uri;
use http::uri::{Authority, Scheme};

use super::{Flags, Problems};
use crate::browsers::{Hosts, without_brackets};

pub(super) struct Addresses {
    pub(super) listen: SocketAddr,
    pub(super) hosts: Hosts,
    pub(super) admin: SocketAddr,
    pub(super) admin_hosts: Hosts,
    /// Whether browsers reach the admin address by TLS.
    pub(super) by_tls: bool,
    pub(super) warnings: Problems,
}

impl Addresses {
    pub(super) fn new(flags: &Flags) -> Result<Self, Problems> {
        let (mut problems, mut warnings) = (Problems::default(), Problems::default());
        let listen = address("--listen", flags.listen.as_deref(), 8080);
        let listen = problems.note("--listen", listen);
        let admin = address("--admin", flags.admin.as_deref(), 8081);
        let admin = problems.note("--admin", admin);
        let both = listen.zip(admin);
        if both.is_some_and(|(listen, admin)| are_one(listen, admin)) {
            let what = "is the address of --listen: give another, as in --admin 127.0.0.1:8081";
            problems.add("--admin", what);
        }
        let mut admin_names = Vec::new();
        for text in &flags.admin_host {
            admin_names.extend(problems.note("--admin-host", name("--admin-host", text)));
        }
        let mut names = Vec::new();
        let any = flags.host.iter().any(|text| text == "*");
        for text in flags.host.iter().filter(|text| *text != "*") {
            names.extend(problems.note("--host", name("--host", text)));
        }
        if let Some(url) = &flags.authorize_url {
            problems.note("--authorize-url", authorize_url(url));
        }
        let callback = flags.redirect_uri.as_deref().map(callback);
        let callback = callback.and_then(|uri| problems.note("--redirect-uri", uri));
        let mut by_tls = false;
        if let Some(uri) = callback {
            let host = uri.host();
            admin_names.extend(host.and_then(|host| name("--redirect-uri", host).ok()));
            by_tls = uri.scheme() == Some(&Scheme::HTTPS);
            if flags.has_login() && uri.path() != "/callback" {
                let what = "leads to another path than /callback, where a login at the admin address ends: see \
                            that it gets there, or register --redirect-uri https://ops.example/callback";
                warnings.add("--redirect-uri", what);
            }
        }
        let addresses = both.map(|(listen, admin)| Self {
            listen,
            hosts: match listen.ip() {
                _ if any => Hosts::Open,
                ip if ip.is_loopback() || !names.is_empty() => Hosts::Own { ip, names },
                _ => Hosts::Every,
            },
            admin,
            admin_hosts: Hosts::Own {
                ip: admin.ip(),
                names: admin_names,
            },
            by_tls,
            warnings,
        });
        problems.none_or(addresses)
    }
}

/// An address and a port; without one given, this port of this machine.
fn address(flag: &str, given: Option<&str>, port: u16) -> Result<SocketAddr, String> {
    let Some(text) = given else {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    };
    let wrong = |_| format!("{text} is no address and port: give it as in {flag} 127.0.0.1:{port}");
    text.parse().map_err(wrong)
}

/// Whether only one of them can be listened at. Port 0 is each time another.
fn are_one(one: SocketAddr, other: SocketAddr) -> bool {
    // All addresses of IPv6 are those of IPv4, too.
    let has = |any: IpAddr, ip: IpAddr| any.is_unspecified() && (any.is_ipv6() || ip.is_ipv4());
    let (a, b) = (one.ip(), other.ip());
    one.port() != 0 && one.port() == other.port() && (a == b || has(a, b) || has(b, a))
}

/// Whether a host could be called so.
pub(super) fn is_name(text: &str) -> bool {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.bytes().all(of_names)
}

/// A name of an address, in lower case and without brackets.
fn name(flag: &str, text: &str) -> Result<String, String> {
    let bare = without_brackets(text);
    if !is_name(text) && bare.parse::<IpAddr>().is_err() {
        return Err(format!(
            "is no name alone: give it without scheme and port, as in {flag} ops.example"
        ));
    }
    Ok(bare.to_ascii_lowercase())
}

/// Whether HTTP leads there.
pub(super) fn is_web(uri: &Uri) -> bool {
    [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme())
}

/// Where users agree.
fn authorize_url(text: &str) -> Result<(), &'static str> {
    let host = |uri: &Uri| {
        uri.authority()
            .map(Authority::host)
            .is_some_and(|it| !it.is_empty())
    };
    let uri = text
        .parse::<Uri>()
        .ok()
        .filter(|uri| is_web(uri) && host(uri));
    let wrong = "is no URL that a browser can go to: give it as in --authorize-url \
                 https://accounts.example/authorize";
    uri.map(drop).ok_or(wrong)
}

/// Where users come back to.
fn callback(text: &str) -> Result<Uri, &'static str> {
    let uri = text.parse::<Uri>().ok();
    let uri = uri.filter(|uri| is_web(uri) && uri.host().is_some());
    uri.ok_or("is no URL: give it as in --redirect-uri https://ops.example/callback")
}
