"""A backend that trusts no network: it believes `X-Freshgate-Assertion` alone, checked by PyJWT with the gateway's JWK set.

`POST /keys` tells it where the set is: only a test has such a door. Every other request is answered with what the
assertion says, or with 401 and why not.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

AUDIENCE = "app"
keys = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        global keys
        url = self.rfile.read(int(self.headers["Content-Length"])).decode()
        keys = jwt.PyJWKClient(url)
        self.answer(200, {})

    def do_GET(self):
        assertion = self.headers["X-Freshgate-Assertion"]
        if assertion is None:
            return self.answer(401, {"why": "no assertion"})
        try:
            key = keys.get_signing_key_from_jwt(assertion)
            claims = jwt.decode(
                assertion, key, algorithms=["ES256", "EdDSA", "RS256"], audience=AUDIENCE,
                options={"require": ["exp", "iat", "sub", "aud"]},
            )
            if claims["type"] != "assertion":
                raise jwt.InvalidTokenError("another type")
        except jwt.PyJWTError as error:
            return self.answer(401, {"why": f"{type(error).__name__}: {error}"})
        header = jwt.get_unverified_header(assertion)
        self.answer(200, {"claims": claims, "header": header, "assertion": assertion})

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
