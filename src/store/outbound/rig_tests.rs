//! Servers that tests ask: each answer as its test writes it, byte by byte, over TCP or TLS with certificates of its own.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A server on a free port; dropping it ends it.
pub struct Server {
    pub address: SocketAddr,
    /// The head of each request.
    pub heads: UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Calls `each` for every connection, with its number from 0 and where to put the heads.
    pub async fn start<F, Done>(each: F) -> Server
    where
        F: Fn(usize, TcpStream, UnboundedSender<String>) -> Done + Send + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (sender, heads) = unbounded_channel();
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(each(number, stream, sender.clone()));
            }
        });
        Server { address, heads, task }
    }

    /// Answers every request with these bytes, then closes.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Server {
        Server::answering_in_turn(vec![answer.into()]).await
    }

    /// Answers the first request with the first of these, and so on; all further ones with the last.
    pub async fn answering_in_turn(answers: Vec<Vec<u8>>) -> Server {
        Server::start(move |number, stream, heads| {
            let answer = answers[number.min(answers.len() - 1)].clone();
            answer_once(stream, heads, answer)
        })
        .await
    }

    /// The same over TLS.
    pub async fn answering_tls(config: Arc<ServerConfig>, answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::start(move |_, stream, heads| {
            let (acceptor, answer) = (TlsAcceptor::from(Arc::clone(&config)), answer.clone());
            async move {
                // A client that does not believe us hangs up.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                answer_once(stream, heads, answer).await;
            }
        })
        .await
    }

    pub fn uri(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.address).parse().expect("a URL")
    }

    /// The same server by another name, and over TLS.
    pub fn https(&self, host: &str) -> Uri {
        format!("https://{host}:{}/", self.address.port()).parse().expect("a URL")
    }
}

async fn answer_once(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    heads: UnboundedSender<String>,
    answer: Vec<u8>,
) {
    let head = read_head(&mut stream).await;
    let _ = heads.send(head);
    // Who has read enough may have hung up.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

/// The head of a request, to its empty line.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A whole good answer.
pub fn ok(body: &str) -> String {
    with("Content-Type: application/json\r\n", body)
}

/// The same with other fields, each with its line end.
pub fn with(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Who signs certificates in tests.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A server that shows a certificate for this name, good from and to these years.
    pub fn server(&self, name: &str, years: (i32, i32)) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private);
        Arc::new(config.expect("a key that fits"))
    }
}
