//! TLS to the database.

use std::error::Error;
use std::path::Path;

use tower_mac_auth::store::{PostgresStore, StoreErrorKind};

use super::server::{Server, first, fresh, shared};

/// An authority, and a server's certificate by it for this name. The files are in `dir`.
fn certify(dir: &Path, host: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    let server = server.signed_by(&server_key, &issuer).unwrap();
    std::fs::create_dir_all(dir).unwrap();
    for (file, text) in [
        ("ca.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", server_key.serialize_pem()),
    ] {
        std::fs::write(dir.join(file), text).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The server refuses a key that others may read.
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(dir.join("server.key"), mode).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_server_is_verified_unless_told_otherwise() {
    let dir = std::env::temp_dir().join(format!("tower-mac-auth-tls-{}", fresh()));
    certify(&dir, "127.0.0.1");
    let [cert, key] = ["server.pem", "server.key"].map(|file| dir.join(file));
    let cert = format!("ssl_cert_file={}", cert.display());
    let key = format!("ssl_key_file={}", key.display());
    let server = Server::start(&["ssl=on", &cert, &key]);
    let ca = dir.join("ca.pem");

    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        server.url,
        ca.display()
    );
    let store = PostgresStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    first(&store, "user").await;
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'tower-mac-auth'";
    let sql = super::server::Sql::connect(&server.url).await;
    let encrypted: bool = sql.client.query_one(encrypted, &[]).await.unwrap().get(0);
    assert!(encrypted);

    let required = format!("{}?sslmode=require", server.url);
    let builder = PostgresStore::builder(&required).ca_file(&ca);
    builder.connect().await.unwrap();

    let not_trusted = PostgresStore::connect(&required).await.unwrap_err();
    let other_name = url.replace("127.0.0.1", "localhost");
    let other_name = PostgresStore::connect(&other_name).await.unwrap_err();
    for error in [not_trusted, other_name] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("certificate"), "{cause}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: scripts/test"]
async fn a_server_without_tls_is_not_spoken_to_in_the_clear() {
    let url = format!("{}?sslmode=require", shared());
    let error = PostgresStore::connect(&url).await.unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("server does not support TLS"), "{cause}");
    let url = url.replace("require", "prefer");
    PostgresStore::connect(&url).await.unwrap();
}
