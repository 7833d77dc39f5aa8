//! The one connection that hears of changes, for all accounts of a store.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::task::AbortOnDropHandle;

use super::error::told;
use super::sql::CHANNEL;
use crate::store::Change;
use crate::store::changes::{Changes, named};

/// Between two attempts: doubled from the first to the last, and half of it by chance.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(200)..Duration::from_secs(30);
/// A connection that died without a word is noticed this late.
const HEARTBEAT: Duration = Duration::from_secs(30);

pub(super) struct Listener {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    pub(super) timeout: Duration,
    pub(super) changes: Changes,
    /// Which table's changes.
    pub(super) records: String,
}

impl Listener {
    /// Listens until the handle is dropped.
    pub(super) fn start(self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(self.listen()))
    }

    async fn listen(self) {
        let mut pause = PAUSE.start;
        loop {
            match timeout(self.timeout, self.connect()).await {
                Ok(Ok((client, hearing))) => {
                    // What changed before now was not heard.
                    self.changes.tell(|| Change::Any);
                    pause = PAUSE.start;
                    self.heartbeat(&client, hearing).await;
                    tracing::debug!("the connection that listens for changes ended");
                }
                Ok(Err(error)) => {
                    tracing::debug!(error = told(&error), "cannot listen for changes");
                }
                Err(_) => tracing::debug!("cannot listen for changes: no answer in time"),
            }
            // Nothing is heard for now, and callers poll.
            self.changes.tell(|| Change::Any);
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(PAUSE.end);
        }
    }

    async fn connect(&self) -> Result<(Client, AbortOnDropHandle<()>), tokio_postgres::Error> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let (changes, records) = (self.changes.clone(), self.records.clone());
        let hearing = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(told) = message
                    && let Some(change) = change(told.payload(), &records)
                {
                    changes.tell(|| change);
                }
            }
        }));
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok((client, hearing))
    }

    /// Ends when the connection has.
    async fn heartbeat(&self, client: &Client, mut hearing: AbortOnDropHandle<()>) {
        let beats = async {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                let beat = timeout(self.timeout, client.check_connection()).await;
                if !matches!(beat, Ok(Ok(()))) {
                    return;
                }
            }
        };
        let mut beats = pin!(beats);
        poll_fn(|cx| match Pin::new(&mut hearing).poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => beats.as_mut().poll(cx),
        })
        .await;
    }
}

/// What a notification tells of, if it is of this table.
fn change(payload: &str, records: &str) -> Option<Change> {
    named(payload.strip_prefix(records)?.strip_prefix(' ')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Version;
    use crate::store::fixture::name;

    #[test]
    fn what_is_told_of_another_table_or_by_another_program_is_passed_over() {
        let heard = change(r#""s"."t" 7 小 米"#, r#""s"."t""#);
        let told = Change::Record(name("小 米"), Version::from_number(7));
        assert_eq!(heard, Some(told));
        for other in [
            r#""s"."u" 7 user"#,
            r#""s"."t"2 7 user"#,
            r#""s"."t" 7"#,
            r#""s"."t" x user"#,
            "",
        ] {
            assert_eq!(change(other, r#""s"."t""#), None, "{other}");
        }
    }
}
