"""A backend as its authors would write it: Flask-JWT-Extended, unmodified, and nothing of freshgate.

It shares one HS256 secret with the gateway (FLASK_JWT_SECRET) and trusts the tokens it receives. The first
line of output says where it listens: `listening on http://127.0.0.1:PORT`; the port is the first argument, 0 by default.
"""

import logging
import os
import sys

from flask import Flask, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token
from flask_jwt_extended import get_jwt, get_jwt_identity, jwt_required
from waitress.server import create_server

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = os.environ["FLASK_JWT_SECRET"]
JWTManager(app)
# Under load waitress would write a line for nearly every request.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def seen():
    """What the token said, what the library made of it, and which identity headers came with it."""
    claims = get_jwt()
    headers = {name: value for name, value in request.headers.items() if name.startswith("X-User")}
    return jsonify(
        identity=get_jwt_identity(),
        jti=claims.get("jti"),
        type=claims.get("type"),
        fresh=claims.get("fresh"),
        claims=claims,
        headers=headers,
    )


@app.get("/public")
def public():
    return jsonify(authorization=request.headers.get("Authorization"))


@app.get("/optional")
@jwt_required(optional=True)
def optional():
    return seen()


@app.get("/account")
@jwt_required()
def account():
    return seen()


@app.post("/account/password")
@jwt_required(fresh=True)
def password():
    return seen()


@app.post("/session/renew")
@jwt_required(refresh=True)
def renew():
    return seen()


@app.post("/mint")
def mint():
    """Tokens as this library writes them, for the gateway to read. Only a test has such a route."""
    subject = request.args["sub"]
    return jsonify(
        stale=create_access_token(subject),
        fresh=create_access_token(subject, fresh=True),
        refresh=create_refresh_token(subject),
    )


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = create_server(app, host="127.0.0.1", port=port)
    print(f"listening on http://127.0.0.1:{server.effective_port}", flush=True)
    server.run()
