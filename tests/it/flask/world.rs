//! The library and the gateway side by side: the same key, the same policies, and no way from one to the other.
//!
//! The library's application is `tests/interop/flask_any.py`; behind the gateway is a backend that always answers, so
//! what each of them says is its own decision.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::tools::{self, Server};
use crate::harness::{Client, Gateway, Response, Setup, client::Request, forge};
use crate::keys;

/// The environments with the library: as it is now, and of the 4.6 line.
pub const LIBRARIES: [&str; 2] = ["venv", "venv46"];

/// The views, and the policy of each.
pub const VIEWS: [(&str, &str); 4] = [
    ("/optional", "optional"),
    ("/access", "access-required"),
    ("/fresh", "fresh-required"),
    ("/refresh-view", "refresh-only"),
];

/// How a world is made.
#[derive(Clone, Debug)]
pub struct Plan<'p> {
    /// One of [`LIBRARIES`].
    pub library: &'p str,
    /// The algorithm of the key they share.
    pub algorithm: &'p str,
    /// Options of the library besides.
    pub options: Value,
    /// Lines of `[tokens]`.
    pub tokens: &'p str,
    /// Lines of `[login]`.
    pub login: &'p str,
}

impl Plan<'_> {
    /// Tokens from header and cookie, with HS256, and all else as it is by default.
    pub fn simple(library: &str) -> Plan<'_> {
        Plan {
            library,
            algorithm: "HS256",
            options: json!({}),
            tokens: "accept = [\"header\", \"cookie\"]\ncookie = \"access_token_cookie\"\n\
                     refresh_cookie = \"refresh_token_cookie\"\n",
            login: "",
        }
    }

    /// Starts both.
    pub fn start(&self) -> World {
        let Plan { algorithm, tokens, login, .. } = self;
        let routes: String =
            VIEWS.iter().map(|(path, policy)| format!("\"{path}\" = \"{policy}\"\n")).collect();
        let shared = algorithm.starts_with("HS");
        let key = if shared {
            "secret = { env = \"SHARED\" }"
        } else {
            "private = { file = \"key.pem\" }"
        };
        let setup = Setup::new(&format!(
            "upstream = \"builtin:whoami\"\n[tokens]\n{tokens}[login]\n{login}[routes]\n{routes}\
             [[tokens.key]]\nid = \"k\"\nalg = \"{algorithm}\"\n{key}\n"
        ));
        let mut options = json!({
            "JWT_TOKEN_LOCATION": ["headers", "cookies"],
            "JWT_ALGORITHM": algorithm,
            "JWT_SECRET_KEY": forge::SECRET,
        });
        if !shared {
            keys::openssl(&setup, &format!("{} -out key.pem", keys::recipe(algorithm)));
            keys::private(&setup, "key.pem");
            let read =
                |line: &str| String::from_utf8(keys::openssl(&setup, line)).expect("PEM is ASCII");
            options["JWT_PRIVATE_KEY"] = json!(read("pkey -in key.pem"));
            options["JWT_PUBLIC_KEY"] = json!(read("pkey -in key.pem -pubout"));
        }
        for (name, value) in self.options.as_object().expect("an object") {
            options[name] = value.clone();
        }
        let mut command = Command::new(tools::python_of(self.library));
        let app = tools::root().join("tests/interop/flask_any.py");
        command.arg(app).env("FLASK_OPTIONS", options.to_string());
        let server = Server::announcing(&mut command);
        let library = Client { address: server.address };
        let gateway = setup.env("SHARED", forge::SECRET).start();
        World { _server: server, library, gateway }
    }
}

/// Both of them, running.
pub struct World {
    _server: Server,
    /// The library's application.
    pub library: Client,
    /// The gateway.
    pub gateway: Gateway,
}

impl World {
    /// A token that the library minted: `{"identity": …, "fresh": …, "expires": …, "claims": …, "refresh": true}`.
    #[track_caller]
    pub fn minted(&self, wanted: &Value) -> String {
        let mut all = json!({"identity": "admin"});
        for (name, value) in wanted.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let token = self.library.post("/mint").json(&all).send().expect(200).json();
        token.as_str().expect("a token").to_owned()
    }

    /// The answers of the library and of the gateway to the same request.
    #[track_caller]
    pub fn ask(&self, write: impl Fn(Client) -> Request) -> (Response, Response) {
        (write(self.library).send(), write(self.gateway.client()).send())
    }
}

/// Where a token is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer`.
    Header,
    /// The cookie of its kind.
    Cookie,
}

impl Place {
    /// Puts a token there, for the view of this path.
    pub fn put(self, path: &str, token: &str, request: Request) -> Request {
        match self {
            Place::Header => request.bearer(token),
            Place::Cookie => {
                let kind = if path == "/refresh-view" { "refresh" } else { "access" };
                request.header("Cookie", &format!("{kind}_token_cookie={token}"))
            }
        }
    }
}
