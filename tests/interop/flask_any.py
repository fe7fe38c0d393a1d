"""Flask-JWT-Extended in any configuration, for the tests that compare it with the gateway, and nothing of freshgate.

FLASK_OPTIONS is a JSON object of the library's own options. Every policy of the library has a view under every method,
which says what the library made of the token. The first line of output says where it listens.
"""

import json
import logging
import os
from datetime import timedelta

from flask import Flask, jsonify, request
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token
from flask_jwt_extended import get_jwt, get_jwt_identity, jwt_required
from waitress.server import create_server

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

app = Flask(__name__)
app.config.update(json.loads(os.environ["FLASK_OPTIONS"]))
# Only an exception that nobody handled is a 500 here; its traceback is not what a test is about.
app.logger.setLevel(logging.CRITICAL + 1)
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
jwt = JWTManager(app)
revoked = set()


@jwt.token_in_blocklist_loader
def is_revoked(_header, payload):
    return payload.get("jti") in revoked


def seen():
    claims = get_jwt()
    return jsonify(identity=get_jwt_identity(), type=claims.get("type"), fresh=claims.get("fresh"))


app.add_url_rule("/optional", "optional", jwt_required(optional=True)(seen), methods=METHODS)
app.add_url_rule("/access", "access", jwt_required()(seen), methods=METHODS)
app.add_url_rule("/fresh", "fresh", jwt_required(fresh=True)(seen), methods=METHODS)
app.add_url_rule("/refresh-view", "refresh", jwt_required(refresh=True)(seen), methods=METHODS)


def span(value):
    return timedelta(seconds=value["seconds"]) if isinstance(value, dict) else value


@app.post("/mint")
def mint():
    """A token as this library writes it. Only a test has such a route."""
    wanted = request.get_json()
    options = {"expires_delta": span(wanted.get("expires")), "additional_claims": wanted.get("claims")}
    if wanted.get("refresh"):
        return jsonify(create_refresh_token(wanted["identity"], **options))
    return jsonify(create_access_token(wanted["identity"], fresh=span(wanted.get("fresh", False)), **options))


@app.post("/revoke")
def revoke():
    revoked.add(request.get_json())
    return jsonify(True)


if __name__ == "__main__":
    server = create_server(app, host="127.0.0.1", port=0, threads=8)
    print(f"listening on http://127.0.0.1:{server.effective_port}", flush=True)
    server.run()
