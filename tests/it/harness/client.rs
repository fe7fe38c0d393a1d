//! A client that sends what it is told and nothing else: no path is tidied, no field is added behind the test's back
//! but `Host` and the length of a body.
//!
//! `client.get("/x").bearer(t).send()` uses a connection of its own. [`Client::connect`] keeps one open,
//! [`Client::raw`] sends bytes and returns bytes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Deref;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::PATIENCE;
use super::wire::{Message, Wire};

/// How long [`Client::raw`] waits for another byte before it takes the answer as whole.
const SILENCE: Duration = Duration::from_millis(700);

/// Speaks to one address.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Where to.
    pub address: SocketAddr,
}

impl Client {
    /// `GET path`.
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// `POST path`.
    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    /// Any method, any target, sent as written.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request {
            client: *self,
            line: format!("{method} {target} HTTP/1.1"),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Opens a connection for more than one exchange, or for a slow one.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address)
            .unwrap_or_else(|e| panic!("cannot connect to {}: {e}", self.address));
        Connection::over(stream)
    }

    /// As [`Client::connect`], from this address of loopback.
    #[track_caller]
    pub fn connect_from(&self, source: &str) -> Connection {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let source = SocketAddr::new(source.parse().expect("an address"), 0);
        socket.bind(&source.into()).expect("an address of loopback");
        socket.connect(&self.address.into()).expect("connects");
        Connection::over(socket.into())
    }

    /// Sends these bytes on one connection and returns every byte that comes back until the other side closes,
    /// or is silent for a moment. With `Connection: close` in the bytes there is no wait.
    #[track_caller]
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let mut connection = self.connect();
        connection.write(bytes);
        connection.rest()
    }

    /// Sends these bytes on one connection and reads one response.
    #[track_caller]
    pub fn raw_one(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut connection = self.connect();
        connection.write(bytes);
        connection.response()
    }
}

/// A request being written.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before .send()"]
pub struct Request {
    client: Client,
    line: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Adds a field; a second one of the same name stands beside the first.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `Authorization: Bearer TOKEN`.
    pub fn bearer(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// A body; its length is added unless the test set a framing field.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Request {
        self.body = Some(bytes.into());
        self
    }

    /// A JSON body.
    pub fn json(self, value: &serde_json::Value) -> Request {
        self.header("Content-Type", "application/json").body(value.to_string())
    }

    /// A form body, as a browser sends it.
    pub fn form(self, pairs: &[(&str, &str)]) -> Request {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sends on a connection of its own and reads the response.
    #[track_caller]
    pub fn send(self) -> Response {
        let mut connection = self.client.connect();
        self.header("Connection", "close").send_on(&mut connection)
    }

    /// Sends on an open connection and reads the response.
    #[track_caller]
    pub fn send_on(self, connection: &mut Connection) -> Response {
        let head_only = self.line.starts_with("HEAD ");
        connection.write(self.bytes());
        connection.response_to(head_only)
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.line);
        let has = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            let _ = write!(head, "Host: {}\r\n", self.client.address);
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let framed = has("content-length") || has("transfer-encoding");
        if let (Some(body), false) = (&self.body, framed) {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        [head.into_bytes(), self.body.clone().unwrap_or_default()].concat()
    }
}

/// One open connection.
pub struct Connection {
    wire: Wire<TcpStream>,
}

impl Connection {
    fn over(stream: TcpStream) -> Connection {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
        stream.set_nodelay(true).expect("a TCP socket");
        Connection { wire: Wire::new(stream) }
    }

    /// The kernel keeps about this many bytes for us that we have not read.
    pub fn receive_buffer(&mut self, bytes: usize) {
        SockRef::from(&self.wire.stream).set_recv_buffer_size(bytes).expect("a size");
    }

    /// Sends bytes. An error is left for the read to find: a gateway may answer and close before it has read all.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.wire.stream.write_all(bytes.as_ref());
    }

    /// Reads one response.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to(false)
    }

    /// Reads the head of one response and leaves its body on the wire, for [`Connection::chunk`].
    #[track_caller]
    pub fn response_head(&mut self) -> Response {
        match self.wire.head() {
            Ok(Some(message)) => Response::new(message),
            Ok(None) => panic!("the connection was closed without a response"),
            Err(e) => panic!("no response head: {e}"),
        }
    }

    /// Reads one chunk of a response whose head was read before; `None` after the last.
    #[track_caller]
    pub fn chunk(&mut self, response: &mut Response) -> Option<Vec<u8>> {
        self.wire.chunk(&mut response.message).expect("a chunk")
    }

    /// Reads this many bytes of a body and forgets them; how many came.
    #[track_caller]
    pub fn discard(&mut self, length: u64) -> u64 {
        self.wire.discard(length).expect("bytes of a body")
    }

    /// Everything up to the close, or to a moment of silence.
    pub fn rest(&mut self) -> Vec<u8> {
        self.wire.stream.set_read_timeout(Some(SILENCE)).expect("a timeout above zero");
        self.wire.rest()
    }

    /// Whether the other side has closed, waiting for it.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.wire.head(), Ok(None))
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.wire.stream.shutdown(Shutdown::Write);
    }

    #[track_caller]
    fn response_to(&mut self, head_only: bool) -> Response {
        loop {
            let mut response = self.response_head();
            if (100..200).contains(&response.status) && response.status != 101 {
                continue;
            }
            let empty = head_only || matches!(response.status, 101 | 204 | 304);
            if !empty && let Err(e) = self.wire.body(&mut response.message, true) {
                panic!("response body: {e}; head:\n{}", String::from_utf8_lossy(&response.raw));
            }
            return response;
        }
    }
}

/// A response; it derefs to the [`Message`] that carries fields and body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All of it.
    pub message: Message,
}

impl Response {
    fn new(message: Message) -> Response {
        let status = message.start.split(' ').nth(1).and_then(|code| code.parse().ok());
        Response { status: status.unwrap_or(0), message }
    }

    /// The response, if it has this status.
    ///
    /// # Panics
    /// If not, showing all of it.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        let shown = String::from_utf8_lossy(&self.message.raw);
        assert_eq!(self.status, status, "the response was:\n{shown}");
        self
    }

    /// `code` of a problem document, or an empty text.
    pub fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or("").to_owned()
    }

    /// The response, if it is a refusal with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Response {
        let response = self.expect(status);
        assert_eq!(response.code(), code, "the response was:\n{}", response.text());
        response
    }
}

impl Deref for Response {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}
