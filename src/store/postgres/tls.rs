//! Where the database is and how it is reached: the URL, `sslmode`, and the roots of trust.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::unsuitable;
use crate::store::StoreError;
use crate::tls::Trust;

/// Reads a URL. The file of its `sslrootcert`, if it names one, goes to `trust`.
pub(super) fn parse(url: &str, trust: &mut Trust) -> Result<Config, StoreError> {
    // Nothing of the URL is quoted in an error: it has the password in it.
    let what = "the database's URL cannot be used";
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(unsuitable(what, "it has to start with postgres://"));
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let mut mode = None;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            // The driver knows three of the six modes, and leaves the roots to us.
            Some(("sslmode", name)) => {
                mode = Some(match name {
                    "disable" => SslMode::Disable,
                    "allow" | "prefer" => SslMode::Prefer,
                    "require" | "verify-ca" | "verify-full" => SslMode::Require,
                    _ => return Err(unsuitable(what, "its sslmode is not known")),
                });
            }
            Some(("sslrootcert", "system")) => *trust = Trust::Platform,
            Some(("sslrootcert", path)) => {
                let path = percent_decode_str(path).decode_utf8();
                let path = path.map_err(|_| unsuitable(what, "its sslrootcert is no text"))?;
                *trust = Trust::CaFile(PathBuf::from(&*path));
            }
            _ => rest.push(pair),
        }
    }
    let mut config: Config = format!("{place}?{}", rest.join("&"))
        .parse()
        .map_err(|_| unsuitable(what, "it, or one of its options, cannot be read"))?;
    config.ssl_mode(mode.unwrap_or(if is_local(&config) {
        SslMode::Disable
    } else {
        SslMode::Require
    }));
    Ok(config)
}

/// Whether nothing leaves this machine.
fn is_local(config: &Config) -> bool {
    let local_host = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    let addresses = config.get_hostaddrs();
    if addresses.is_empty() {
        config.get_hosts().iter().all(local_host)
    } else {
        addresses.iter().all(IpAddr::is_loopback)
    }
}

/// What makes the connection's TLS, if it is to have any.
pub(super) fn connector(config: &Config, trust: &Trust) -> Result<MakeRustlsConnect, StoreError> {
    let what = "TLS to the database cannot be set up";
    let unused = config.get_ssl_mode() == SslMode::Disable;
    let trust = if unused { &Trust::Nobody } else { trust };
    let mut tls = trust
        .config()
        .map_err(|error| unsuitable(what, error.to_string()))?;
    if config.get_ssl_negotiation() == SslNegotiation::Direct {
        tls.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(tls))
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::path::Path;

    use super::*;

    fn mode(url: &str) -> SslMode {
        parse(url, &mut Trust::Platform).unwrap().get_ssl_mode()
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_and_verified_unless_told_otherwise() {
        for local in [
            "postgres://u:p@localhost/db",
            "postgres://u@127.0.0.1:5433,[::1]/db",
            "postgres:///db?host=/run/postgresql&user=u",
        ] {
            assert_eq!(mode(local), SslMode::Disable, "{local}");
        }
        for remote in [
            "postgresql://u:p@db.example/db",
            "postgres://u@127.0.0.1,db.example/db",
            "postgres://u@localhost/db?hostaddr=10.0.0.1",
            "postgres://u@localhost/db?sslmode=verify-full",
            "postgres://u@localhost/db?sslmode=verify-ca&application_name=a",
        ] {
            assert_eq!(mode(remote), SslMode::Require, "{remote}");
        }
        assert_eq!(mode("postgres://u@db/db?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://u@db/db?sslmode=prefer"), SslMode::Prefer);
    }

    #[test]
    fn a_url_names_the_file_of_the_authority() {
        let mut trust = Trust::Platform;
        let url = "postgres://u@db/db?sslrootcert=%2Fetc%2Fmy%20ca.pem&connect_timeout=3";
        let config = parse(url, &mut trust).unwrap();
        assert!(matches!(&trust, Trust::CaFile(path) if path == Path::new("/etc/my ca.pem")));
        assert!(config.get_connect_timeout().is_some());
        let error = connector(&config, &trust).err().unwrap();
        let source = error.source().unwrap().to_string();
        assert!(source.contains("/etc/my ca.pem"), "{source}");
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_quoted() {
        for url in [
            "http://u:canary@db/db",
            "postgres://u:canary@db:canary/db",
            "postgres://u:canary@db/db?sslmode=canary",
            "postgres://u:canary@db/db?canary=canary",
            "postgres://u:canary@db/db?sslrootcert=%FF",
            "canary",
        ] {
            let error = parse(url, &mut Trust::Platform).unwrap_err();
            let text = format!("{error} {error:?} {}", error.source().unwrap());
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
