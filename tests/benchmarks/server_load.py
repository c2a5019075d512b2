"""A client that triggers as fast as it is answered: `server_load.py HOST PORT PATH TOKEN CONNECTIONS REQUESTS`.

Prints requests per second, the 99th percentile of their latency in seconds, and the ids it was given.
"""

import asyncio
import json
import re
import sys
import time

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


async def one(host, port, request, turns, taken, ids):
    reader, writer = await asyncio.open_connection(host, port)
    while turns:
        turns.pop()
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(LENGTH.search(head)[1]))
        taken.append(time.perf_counter() - began)
        status = int(head[9:12])
        if status not in (200, 201):
            raise SystemExit(f"{status}: {body!r}")
        ids.append(json.loads(body)["id"])
    writer.close()


async def main(host, port, path, token, connections, requests):
    body = b'{"parameters": {"name": "x", "times": 2}}'
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    turns, taken, ids = [None] * requests, [], []
    began = time.perf_counter()
    await asyncio.gather(*(one(host, port, request, turns, taken, ids) for _ in range(connections)))
    seconds = time.perf_counter() - began
    taken.sort()
    print(json.dumps({"rate": requests / seconds, "p99": taken[int(len(taken) * 0.99)], "ids": ids}))


if __name__ == "__main__":
    host, port, path, token, connections, requests = sys.argv[1:]
    asyncio.run(main(host, int(port), path, token, int(connections), int(requests)))
