"""Validates every file named against docs/gateway.schema.json: prints `good` or the first mistake, a line each."""

import json
import sys
import tomllib

from jsonschema import Draft202012Validator

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
for name in sys.argv[2:]:
    with open(name, "rb") as file:
        document = tomllib.load(file)
    errors = sorted(validator.iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    print("good" if not errors else " ".join(f"{'.'.join(map(str, error.absolute_path))}:{error.validator}" for error in errors))
