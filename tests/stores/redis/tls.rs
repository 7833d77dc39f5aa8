//! TLS to the server.

use std::sync::Arc;
use std::time::Duration;

use tower_mac_auth::store::redis::rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tower_mac_auth::store::{RecordStore, RedisStore, StoreErrorKind};

use super::server::{SAFE, Server};
use super::{issued, user, whole};

#[tokio::test]
async fn connecting_installs_no_cryptography_for_the_whole_process() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    let closing = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
    });
    let error = RedisStore::connect(&url).await.unwrap_err();
    closing.await.unwrap();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(CryptoProvider::get_default().is_none());
}

#[tokio::test]
#[ignore = "needs a Redis server: scripts/test"]
async fn tls_is_checked_against_the_certificates_given() {
    let certificate = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (ours, other) = (certificate(), certificate());
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cert = write("cert.pem", ours.cert.pem());
    let others = write("other.pem", other.cert.pem());
    let key = write("key.pem", ours.signing_key.serialize_pem());
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let port = port.to_string();
    #[rustfmt::skip]
    let tls = [
        "--tls-port", &port,
        "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &cert,
        "--tls-auth-clients", "optional",
    ];
    let server = Server::start(&[&SAFE[..], &tls].concat()).await;

    let url = format!("rediss://127.0.0.1:{port}");
    let builder = || RedisStore::builder(&url).timeout(Duration::from_secs(5));
    let store = builder().ca_file(&cert).connect().await.unwrap();
    let other_store = builder().ca_file(&cert).connect().await.unwrap();
    let mut watch = other_store.watch().unwrap();
    let _ = store.commit(&user(), issued(1)).await.unwrap();
    watch.next().await;

    for stranger in [builder(), builder().ca_file(&others)] {
        let error = stranger.connect().await.unwrap_err();
        assert!(whole(&error).contains("ertificate"), "{}", whole(&error));
    }

    server
        .tell::<()>(&["CONFIG", "SET", "tls-auth-clients", "yes"])
        .await;
    let nobody = builder().ca_file(&cert).connect().await.unwrap_err();
    assert_eq!(nobody.kind(), StoreErrorKind::Unavailable);
    let mut roots = RootCertStore::empty();
    roots.add(ours.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::from_pem_file(&key).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![ours.cert.der().clone()], key)
        .unwrap();
    let store = builder().tls_config(config).connect().await.unwrap();
    let _ = store.commit(&user(), issued(2)).await.unwrap();
    assert!(CryptoProvider::get_default().is_none());
}
