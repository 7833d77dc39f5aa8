//! A worker process, as its parent sees it: orders go in by its standard input, what it says comes
//! out by its standard output. It ends with its parent, however that ends.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::backend::StoreSpec;
use crate::stops::Stop;

/// The environment variable with a worker's [`Orders`].
pub const ORDERS: &str = "TOWER_MAC_AUTH_FLEET_WORKER";
/// What a worker says begins so: the test harness talks as well.
pub const SAYS: &str = "@ ";
/// Nothing that a worker is asked for takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a worker is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    pub parent: u32,
    pub store: StoreSpec,
    pub journal: Option<PathBuf>,
    pub oauth2: bool,
    pub authority: String,
    pub token_url: String,
    pub client_id: String,
    pub client_secret: String,
    pub redirect_uri: String,
    pub accounts: Vec<String>,
    pub answer_timeout: Duration,
    pub may_present_again: bool,
    pub stop: Option<Stop>,
}

/// What a worker is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make so many requests at once, and say how they went.
    Get { account: String, copies: usize },
    /// Make one request after the other for so long, and say how they went.
    Load { account: String, time: Duration },
    /// Make requests to every account until killed.
    Storm,
    /// Go on from where it stopped.
    Go,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Its accounts are open.
    Ready,
    /// It stands at this step.
    Reached(Stop),
    Got(Vec<Answer>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub outcome: Outcome,
    pub took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    Served,
    /// The kind of the refresh error.
    Refresh(String),
    /// Refused or failed otherwise.
    Other(String),
}

pub struct Child {
    process: tokio::process::Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts a worker. It dies with the thread that starts it, which is the test's own.
    pub fn start(orders: &Orders) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker", "--ignored", "--nocapture"])
            .env(ORDERS, serde_json::to_string(orders).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            stdin,
            stdout,
        }
    }

    /// Starts a worker and waits until its accounts are open.
    pub async fn ready(orders: &Orders) -> Self {
        let mut child = Self::start(orders);
        child.is_ready().await;
        child
    }

    pub async fn is_ready(&mut self) {
        let message = self.hear().await;
        assert!(matches!(message, Message::Ready), "{message:?}");
    }

    pub async fn tell(&mut self, order: &Order) {
        let line = format!("{}\n", serde_json::to_string(order).unwrap());
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    pub async fn hear(&mut self) -> Message {
        let said = async {
            loop {
                let line = self.stdout.next_line().await.unwrap();
                let line = line.expect("the worker ended by itself");
                // The harness may have begun the line.
                if let Some((_, message)) = line.split_once(SAYS) {
                    return serde_json::from_str(message).unwrap();
                }
            }
        };
        let said = tokio::time::timeout(PATIENCE, said).await;
        said.expect("the worker says nothing")
    }

    pub async fn reached(&mut self, stop: Stop) {
        let message = self.hear().await;
        assert!(
            matches!(message, Message::Reached(at) if at == stop),
            "{message:?}"
        );
    }

    pub async fn answers(&mut self) -> Vec<Answer> {
        match self.hear().await {
            Message::Got(answers) => answers,
            message => panic!("{message:?}"),
        }
    }

    /// How one request goes.
    pub async fn get(&mut self, account: &str) -> Outcome {
        self.ask(account).await;
        self.answers().await.remove(0).outcome
    }

    /// Has it make one request.
    pub async fn ask(&mut self, account: &str) {
        let account = account.to_owned();
        self.tell(&Order::Get { account, copies: 1 }).await;
    }

    /// SIGKILL, and waits for its end.
    pub async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// SIGSTOP, and waits until every thread has stopped: one takes the signal, and until it has
    /// its turn the others run on.
    pub async fn pause(&self) {
        self.signal(Signal::STOP);
        let stopped = async {
            while !self.is_stopped() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let stopped = tokio::time::timeout(PATIENCE, stopped).await;
        stopped.expect("the worker does not stop");
    }

    fn is_stopped(&self) -> bool {
        let threads = format!("/proc/{}/task", self.process.id().expect("it runs"));
        std::fs::read_dir(threads).unwrap().all(|thread| {
            let stat = thread.unwrap().path().join("stat");
            // One that has ended meanwhile does not run.
            let stat = std::fs::read_to_string(stat).unwrap_or_default();
            // After the name, which may hold anything.
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            state.is_none_or(|state| state.starts_with('T'))
        })
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.id().expect("it runs");
        let pid = Pid::from_raw(id.try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}
