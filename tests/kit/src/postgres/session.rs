//! A connection to a test's server that stays open between questions. A `psql` for each question of a wait would take a
//! good part of a core from the processes under test.
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// Limit of a new connection: a server that is stopped or frozen does not answer.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Limit of an answer: a server may freeze while the connection is open.
const ANSWER_MAX: Duration = Duration::from_secs(30);

struct Question {
    statement: String,
    answer: Sender<Option<String>>,
}

/// A thread with a connection to one database. The connection is opened by the first question and again after it broke.
pub(super) struct Session {
    questions: Sender<Question>,
}

impl Session {
    /// Starts the thread; it is in the network namespace of its caller and ends with the value.
    pub(super) fn start(url: String) -> Session {
        let (questions, received) = channel();
        std::thread::spawn(move || serve(&url, &received));
        Session { questions }
    }

    /// The first row of the answer, its columns separated by `|` as `psql` prints them; `None` while the server does not
    /// answer.
    pub(super) fn ask(&self, statement: &str) -> Option<String> {
        let (answer, answered) = channel();
        self.questions
            .send(Question {
                statement: statement.to_owned(),
                answer,
            })
            .ok()?;
        answered.recv().ok()?
    }
}

fn serve(url: &str, questions: &Receiver<Question>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    let mut client = None;
    for question in questions {
        let answer = runtime.block_on(async {
            let kept = client.take();
            let was_open = kept.is_some();
            let mut answer = ask(url, kept, &question.statement).await;
            if answer.is_none() && was_open {
                // The server has restarted or has ended this session since the last question.
                answer = ask(url, None, &question.statement).await;
            }
            let (kept, row) = answer?;
            client = Some(kept);
            Some(row)
        });
        // The test may have ended.
        question.answer.send(answer).ok();
    }
}

async fn ask(url: &str, kept: Option<Client>, statement: &str) -> Option<(Client, String)> {
    let client = match kept {
        Some(client) => client,
        None => tokio::time::timeout(CONNECT_MAX, connect(url))
            .await
            .ok()??,
    };
    let messages = tokio::time::timeout(ANSWER_MAX, client.simple_query(statement))
        .await
        .ok()?
        .ok()?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let columns = row.map(|row| {
        (0..row.len())
            .map(|at| row.get(at).unwrap_or_default())
            .collect::<Vec<_>>()
    });
    Some((client, columns.unwrap_or_default().join("|")))
}

async fn connect(url: &str) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}
