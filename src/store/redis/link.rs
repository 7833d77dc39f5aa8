//! The connection that steps share, opened anew when it is lost, and the server looked at again from
//! time to time.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::Mutex;

use super::address::{Address, Connection};
use super::checks::Rules;
use super::error::{late, refusal, told};
use super::script::Keys;
use crate::store::StoreError;
use crate::store::error::unavailable;
use crate::{Clock, Timestamp};

/// For how long a server that was found fit is taken to be.
const FIT_FOR: Duration = Duration::from_secs(30);

pub(super) struct Link {
    address: Address,
    timeout: Duration,
    rules: Rules,
    clock: Arc<dyn Clock>,
    keys: Keys,
    open: Mutex<Open>,
    /// The latest connection that was found to be lost. Not under the lock, which is held for as
    /// long as connecting takes.
    lost: AtomicU64,
}

#[derive(Default)]
struct Open {
    /// And when the server at its other end was last found fit.
    connection: Option<(Connection, Timestamp)>,
    /// How often one was opened: tells a connection from its successor.
    count: u64,
}

/// What a step does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It changes nothing, so it is run again if the connection turns out to be lost: a process
    /// that was idle finds out with the load that each flight begins with.
    Read,
    /// It must not be lost in a failover, as far as replicas can see to that.
    Write,
    /// The same, and it is run again as a [`Read`](Self::Read) is: it knows what it did itself.
    Repeatable,
}

impl Link {
    pub(super) fn new(
        address: Address,
        timeout: Duration,
        rules: Rules,
        clock: Arc<dyn Clock>,
        keys: Keys,
    ) -> Self {
        Self {
            address,
            timeout,
            rules,
            clock,
            keys,
            open: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// Sees that there is a connection to a server that is fit.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        let connected = tokio::time::timeout(self.timeout, self.connection()).await;
        connected.map_err(|_| late())?.map(|_| ())
    }

    pub(super) async fn run<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        kind: Kind,
        step: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError> {
        let mut used = None;
        let running = async {
            loop {
                let (mut connection, count, fresh) = self.connection().await?;
                used = Some(count);
                let error = match step(connection.commands.clone()).await {
                    Ok(answer) => {
                        if kind != Kind::Read {
                            self.replicate(&mut connection.commands).await?;
                        }
                        return Ok(answer);
                    }
                    Err(error) => error,
                };
                if is_lost(&error) {
                    self.lost.fetch_max(count, Ordering::Relaxed);
                    if kind != Kind::Write && !fresh {
                        continue;
                    }
                }
                return Err(refusal("a step", &error));
            }
        };
        if let Ok(done) = tokio::time::timeout(self.timeout, running).await {
            return done;
        }
        // Whatever is silent so long may be so for ever.
        if let Some(count) = used {
            self.lost.fetch_max(count, Ordering::Relaxed);
        }
        Err(late())
    }

    /// Asks the server whether it will still do.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let check = async {
            let (mut connection, ..) = self.connection().await?;
            // All of it: a server out of memory shows in no other way.
            let commands = &mut connection.commands;
            self.rules.check(commands, &self.keys).await
        };
        let checked = tokio::time::timeout(self.timeout, check).await;
        checked.unwrap_or_else(|_| Err(late()))
    }

    async fn replicate(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
        if self.rules.replicas == 0 {
            return Ok(());
        }
        let millis = u64::try_from(self.timeout.as_millis() / 2).unwrap_or(u64::MAX);
        let mut wait = Cmd::new();
        // Zero would be for ever.
        wait.arg("WAIT").arg(self.rules.replicas).arg(millis.max(1));
        let confirmed: u32 = wait.query_async(connection).await.map_err(|it| told(&it))?;
        if confirmed < self.rules.replicas {
            return Err(unavailable("too few replicas of Redis confirmed it"));
        }
        Ok(())
    }

    /// The connection, its number, and whether it was opened just now.
    async fn connection(&self) -> Result<(Connection, u64, bool), StoreError> {
        let mut open = self.open.lock().await;
        let stands = self.lost.load(Ordering::Relaxed) < open.count;
        // Taken, so that one on which nothing is answered, until who asks gives up, is given up too.
        if let Some((mut connection, fit_at)) = open.connection.take().filter(|_| stands) {
            let now = self.clock.now();
            // The clock may have been set back.
            let recent = fit_at <= now && now.saturating_since(fit_at) < FIT_FOR;
            if recent
                || self
                    .rules
                    .check_server(&mut connection.commands)
                    .await
                    .is_ok()
            {
                let fit_at = if recent { fit_at } else { now };
                open.connection = Some((connection.clone(), fit_at));
                return Ok((connection, open.count, false));
            }
            // Another connection could do better, and tells why if it does not.
        }
        let fit_at = self.clock.now();
        let mut connection = self.address.connect().await.map_err(|it| told(&it))?;
        let check = self.rules.check(&mut connection.commands, &self.keys);
        check.await?;
        open.connection = Some((connection.clone(), fit_at));
        open.count += 1;
        Ok((connection, open.count, true))
    }
}

/// Whether another connection could do better: the server did not answer, or was demoted.
fn is_lost(error: &RedisError) -> bool {
    error.code().is_none() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
