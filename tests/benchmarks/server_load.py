"""A client that triggers as fast as it is answered: `server_load.py HOST PORT PATH TOKEN CONNECTIONS REQUESTS`.

Each request has an idempotency key of its own. Prints requests per second, the 99th percentile of their latency in
seconds, the ids it was given, and when each request was sent and answered, in nanoseconds of the monotonic clock.
"""

import asyncio
import json
import re
import sys
import time
import uuid

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
BODY = b'{"parameters": {"name": "x", "times": 2}}'


async def one(host, port, path, token, keys, moments, ids):
    reader, writer = await asyncio.open_connection(host, port)
    before = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\nIdempotency-Key: "
    ).encode()
    after = b"\r\n\r\n" + BODY
    while keys:
        request = before + keys.pop() + after
        sent = time.monotonic_ns()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(LENGTH.search(head)[1]))
        moments.append((sent, time.monotonic_ns()))
        status = int(head[9:12])
        if status != 201:
            raise SystemExit(f"{status}: {body!r}")
        ids.append(json.loads(body)["id"])
    writer.close()


async def main(host, port, path, token, connections, requests):
    batch = uuid.uuid4().hex
    keys, moments, ids = [f"{batch}-{number}".encode() for number in range(requests)], [], []
    began = time.perf_counter()
    await asyncio.gather(*(one(host, port, path, token, keys, moments, ids) for _ in range(connections)))
    seconds = time.perf_counter() - began
    p99 = sorted(answered - sent for sent, answered in moments)[int(requests * 0.99)] / 1e9
    print(json.dumps({"rate": requests / seconds, "p99": p99, "ids": ids, "moments": moments}))


if __name__ == "__main__":
    host, port, path, token, connections, requests = sys.argv[1:]
    asyncio.run(main(host, int(port), path, token, int(connections), int(requests)))
