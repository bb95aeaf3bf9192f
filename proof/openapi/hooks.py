"""What the generated calls are about: things that are there, instead of ones that nobody has made.

Values that are wrong on purpose stay as they are.
"""

import json
import os
from typing import Any, Optional

import schemathesis

#: Things that are there, by name.
KNOWN = json.loads(os.environ.get("TIDINGS_KNOWN", "{}"))

#: The id in a path, by the path.
IDS = {"/webhooks/{id}": "webhook", "/bans/{id}": "ban", "/keys/{id}": "key"}

#: Calls about another app, as it would not be there afterwards, or would be slow.
HARMFUL = {
    ("DELETE", "/api/v1/apps/{app}"),
    ("PATCH", "/api/v1/apps/{app}"),
    ("PUT", "/api/v1/apps/{app}/moderation"),
    ("POST", "/api/v1/apps/{app}/revocations"),
}

#: The calls that were answered with a success.
DONE: "set[str]" = set()


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Optional[dict]) -> Optional[dict]:
    operation = context.operation
    method, path = operation.method.upper(), operation.path
    if not path_parameters:
        return path_parameters
    known = dict(KNOWN)
    if (method, path) in HARMFUL:
        known["app"] = KNOWN["other"]
    for part, name in IDS.items():
        if part in path and method != "DELETE":
            known["id"] = KNOWN[name]
    if method == "DELETE":
        known.pop("invitation", None)
    return {name: known.get(name, value) for name, value in path_parameters.items()}


@schemathesis.hook
def map_query(context: Any, query: Optional[dict]) -> Optional[dict]:
    # Nobody waits for an event that does not come.
    if query and isinstance(query.get("wait"), int) and 0 < query["wait"] <= 55:
        query["wait"] = 0
    return query


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    if 200 <= response.status_code < 300:
        DONE.add(f"{case.method.upper()} {case.operation.path}")
