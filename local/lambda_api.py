"""Lambda's Invoke API over HTTP, so that `boto3.client("lambda")` invokes the functions of the stack.

Source: AWS Lambda API Reference, "Invoke": POST /2015-03-31/functions/{FunctionName}/invocations.
"""

import json
import re
import uuid
from urllib.parse import unquote

from local.functions import Functions, PayloadTooLarge
from local.http import Request, Response

_INVOCATIONS = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


class LambdaApi:
    """The API as an application for `local.http.Server`."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def __call__(self, request: Request) -> Response:
        """Answer one call."""
        match = _INVOCATIONS.fullmatch(request.raw_path)
        if request.method != "POST" or not match:
            return _error(404, "UnknownOperationException", f"{request.method} {request.raw_path} is not offered here")
        name = unquote(match[1])
        pool = self._functions.named(name)
        if pool is None:
            return _error(404, "ResourceNotFoundException", f"Function not found: {name}")
        event = request.body or b"{}"
        try:
            json.loads(event)
        except ValueError as error:
            return _error(400, "InvalidRequestContentException", f"Could not parse request body into json: {error}")
        kind = request.header("X-Amz-Invocation-Type") or "RequestResponse"
        try:
            if kind == "Event":
                return Response(202, b"", [("x-amzn-RequestId", self._functions.invoke_later(pool, event))])
            if kind == "DryRun":
                return Response(204)
            request_id = str(uuid.uuid4())
            result = pool.submit(event, request_id).result()
        except PayloadTooLarge as error:
            return _error(413, "RequestTooLargeException", str(error))
        headers = [
            ("Content-Type", "application/json"),
            ("X-Amz-Executed-Version", "$LATEST"),
            ("x-amzn-RequestId", request_id),
        ]
        if result.failed:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        return Response(200, result.payload, headers)


def _error(status: int, kind: str, message: str) -> Response:
    body = json.dumps({"Type": "User", "Message": message}).encode()
    return Response(status, body, [("Content-Type", "application/json"), ("x-amzn-ErrorType", kind)])
