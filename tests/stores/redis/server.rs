//! Servers: the one that `scripts/test` started, and those that a test starts and breaks itself.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, cmd};
use tower_mac_auth::store::redis::RedisStore;

/// What a store accepts without being told to.
pub const SAFE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// The address of the server for tests.
pub fn shared() -> String {
    std::env::var("TOWER_MAC_AUTH_TEST_REDIS").expect("the address of a Redis server")
}

/// A server of a test's own.
pub struct Server {
    child: Option<Child>,
    args: Vec<String>,
    pub dir: PathBuf,
    pub port: u16,
}

impl Server {
    /// With these arguments beside a port, a directory and no snapshots.
    pub async fn start(args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut server = Self {
            child: None,
            args: args.iter().map(ToString::to_string).collect(),
            dir,
            port: free.local_addr().unwrap().port(),
        };
        drop(free);
        server.restart().await;
        server
    }

    pub async fn safe() -> Self {
        Self::start(&SAFE).await
    }

    /// Starts it (again), with the data it had.
    pub async fn restart(&mut self) {
        self.stop();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(&self.dir)
            .args(&self.args)
            .stdout(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server is installed"));
        before_long("the server answers", async || {
            let Ok(mut connection) = connect(&self.url()).await else {
                return false;
            };
            // A password may be asked for: that is an answer.
            let pong = cmd("PING").query_async::<String>(&mut connection).await;
            pong.is_ok() || pong.is_err_and(|error| error.code() == Some("NOAUTH"))
        })
        .await;
    }

    /// Kills it, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub async fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url()).await.unwrap()
    }

    /// Has the server do something behind the store's back.
    pub async fn tell<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = connect(&self.url()).await.unwrap();
        let mut call = cmd(command[0]);
        call.arg(&command[1..]);
        call.query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub async fn connect(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    Client::open(url)?.get_multiplexed_async_connection().await
}

/// Waits for what a process of its own will do, but not for ever.
pub async fn before_long(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited.unwrap_or_else(|_| panic!("not before long: {what}"));
}
