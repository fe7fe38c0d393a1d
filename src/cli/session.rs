//! `freshgate session …`: who is logged in, and ending it.
//!
//! The state belongs to one process at a time: a running gateway is asked through its control socket; where none runs,
//! the state is opened here. One in PostgreSQL belongs to many, and is always opened here. A token comes from a file or from standard input, never as an argument.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::{ConfigArg, Failure};
use crate::config::{Config, LogFormat};
use crate::server::build;
use crate::server::control::desk::{Asked, Desk};
use crate::server::control::{self, PAGE};
use crate::store::StateStore;
use crate::store::embedded::Embedded;
use crate::store::events::{Events, FLUSH_MAX};
use crate::store::postgres::COMMAND_WAIT;
use crate::telemetry::{self, Metrics};
use crate::token::UnixTime;
use crate::token::verify::TOKEN_BYTES_MAX;

/// What a command says of what it did by itself: its events, and what went wrong with telling them.
const AUDIT: &str = "warn,freshgate::audit=info";
/// How long the gateway may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer, in bytes: ten thousand sessions take four million.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the living sessions, the last to start first.
    List {
        /// Only those of this user; the name in any spelling.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// As JSON, times in seconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// End a session, everything of a user, or one token: dead on the next request.
    Revoke(Revoke),
}

/// What to revoke: exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Revoke {
    /// The session with this id (`sid`).
    #[arg(long, value_name = "SID")]
    session: Option<String>,
    /// All sessions of this user, and every token issued up to now.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The token in this file, or on standard input with `-`.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
}

/// Runs a session verb.
///
/// # Errors
/// A mistake in the configuration, nobody to ask, or why it was not done.
pub fn run(command: SessionCommand, config: &ConfigArg) -> Result<(), Failure> {
    let config = config.load()?;
    let (asked, show): (Asked, fn(&Value) -> String) = match command {
        SessionCommand::List { user, json: true } => {
            (Asked::List { user }, |answer| format!("{answer}\n"))
        }
        SessionCommand::List { user, json: false } => (Asked::List { user }, table),
        SessionCommand::Revoke(revoke) => (revoke.asked()?, told),
    };
    let answer = ask(asked, &config)?;
    io::stdout().write_all(show(&answer).as_bytes())?;
    Ok(())
}

impl Revoke {
    fn asked(self) -> Result<Asked, Failure> {
        Ok(match (self.session, self.user, self.token) {
            (Some(id), _, _) => Asked::Session(id),
            (_, Some(name), _) => Asked::User(name),
            (_, _, Some(file)) => Asked::Token(read_token(&file)?),
            // The command line demands one.
            (None, None, None) => return Err(Failure::Words("nothing to revoke".to_owned())),
        })
    }
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let room = TOKEN_BYTES_MAX as u64 + 2;
    let mut text = Zeroizing::new(String::new());
    let read = if file == Path::new("-") {
        io::stdin().lock().take(room).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(room).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Words(format!("{}: cannot be read: {error}", file.display())))?;
    Ok(text.trim().to_owned())
}

/// Asks the gateway that runs on the state directory, or the state itself where none does.
fn ask(asked: Asked, config: &Config) -> Result<Value, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if config.shared_state.is_some() {
        // Many processes may open it: no gateway need be asked.
        let state = build::state_store(config, COMMAND_WAIT)
            .map_err(|fault| Failure::Words(fault.to_string()))?;
        return runtime.block_on(ask_desk(asked, config, state.as_ref()));
    }
    let path = control::path(&config.state_dir);
    let connected = control::short(&path).and_then(|(short, dir)| {
        let stream = runtime.block_on(UnixStream::connect(short));
        drop(dir);
        stream
    });
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => {
            return runtime.block_on(ask_state(asked, config, &path));
        }
        Err(error) => return Err(Failure::Words(format!("{}: {error}", path.display()))),
    };
    let question = ask_gateway(stream, asked);
    let answered = runtime.block_on(async { tokio::time::timeout(ANSWER_TIMEOUT, question).await });
    answered.map_err(|_| {
        Failure::Words(format!("the gateway did not answer within {ANSWER_TIMEOUT:?}"))
    })?
}

/// No socket, or one that a process left that ended at once.
fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

async fn ask_gateway(stream: UnixStream, asked: Asked) -> Result<Value, Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let serving = tokio::spawn(connection);
    let body = serde_json::to_vec(&asked)?;
    let request =
        Request::post(PAGE).header("host", "control").body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let is_done = response.status().is_success();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| Failure::Words(format!("the gateway's answer: {error}")))?;
    serving.abort();
    let answer: Value = serde_json::from_slice(&body.to_bytes())?;
    match is_done {
        true => Ok(answer),
        false => {
            Err(Failure::Words(answer["error"].as_str().unwrap_or("no reason given").to_owned()))
        }
    }
}

async fn ask_state(asked: Asked, config: &Config, socket: &Path) -> Result<Value, Failure> {
    let dir = &config.state_dir;
    if !dir.join("state.db").exists() {
        return Err(Failure::Words(format!(
            "{} holds no state: no gateway has run with it yet",
            dir.display()
        )));
    }
    let state = Embedded::open(dir).map_err(|fault| {
        Failure::Words(format!(
            "no gateway answers at {}, and the state cannot be opened either: {fault}",
            socket.display()
        ))
    })?;
    ask_desk(asked, config, &state).await
}

async fn ask_desk(asked: Asked, config: &Config, state: &dyn StateStore) -> Result<Value, Failure> {
    // No gateway hears of it: what is revoked is told from here, on standard error and to the webhook.
    let json = config.log.format.map(|format| format == LogFormat::Json);
    let _log = telemetry::start_logging(json, AUDIT).map_err(Failure::Words)?;
    let now = UnixTime::of(telemetry::clock());
    let keys = build::key_set(config, now)?;
    let events = Arc::new(Events::new(Arc::new(Metrics::new())));
    let wanted = events.ready(&config.events);
    events.follow(wanted.map_err(|fault| Failure::Words(fault.to_string()))?);
    let delivering = tokio::spawn(Arc::clone(&events).deliver());
    let desk = Desk { state, keys: &keys, rules: &config.tokens, events: &events };
    let answer = desk.answer(asked, now).await.map_err(Failure::Words);
    events.flush(FLUSH_MAX).await;
    delivering.abort();
    answer
}

/// What was revoked, in words.
fn told(answer: &Value) -> String {
    let users: Vec<&str> =
        answer["users"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let users: Vec<String> = users.iter().map(|user| one_line(user)).collect();
    let users = users.join(", ");
    if let Some(token) = answer["token"].as_str() {
        let kind = answer["type"].as_str().unwrap_or_default();
        return format!("revoked the {kind} token {} of {users}\n", one_line(token));
    }
    match answer["sessions"].as_u64() {
        Some(1) => format!("revoked 1 session of {users}\n"),
        Some(0) => format!(
            "no session lives of {users}: revoked every token up to now with just this `sub`; \
             `freshgate session list` shows who has sessions\n"
        ),
        count => format!(
            "revoked {} sessions of {users}, and every token up to now\n",
            count.unwrap_or(0)
        ),
    }
}

fn table(answer: &Value) -> String {
    let sessions = answer["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if sessions.is_empty() {
        return "no living sessions\n".to_owned();
    }
    let head = ["SESSION", "USER", "CREATED", "LAST USED", "EXPIRES", "ADDRESS", "DEVICE"];
    let mut rows = vec![head.map(str::to_owned)];
    let text = |value: &Value| value.as_str().map_or("-".to_owned(), one_line);
    let time = |value: &Value| UnixTime(value.as_u64().unwrap_or(0)).to_string();
    rows.extend(sessions.iter().map(|one| {
        [
            text(&one["sid"]),
            text(&one["user"]),
            time(&one["created"]),
            time(&one["last_used"]),
            time(&one["expires"]),
            text(&one["address"]),
            text(&one["device"]),
        ]
    }));
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len() - 1).map(width).chain([0]).collect();
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<String>>().join("  ").trim_end());
        out.push('\n');
    }
    if answer["truncated"] == true {
        out.push_str("and more: these are the last to start; --user NAME shows those of one\n");
    }
    out
}

/// Text from outside, for a terminal.
fn one_line(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).collect()
}
