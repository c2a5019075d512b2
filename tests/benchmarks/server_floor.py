"""The floor: a bare Starlette app on the same server and loop that inserts one durable row per POST."""

import asyncio
import json
import os
import socket
import sqlite3
import sys
import uuid

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


def main(file: str) -> None:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, body TEXT)")

    async def insert(request):
        body, row = await request.json(), str(uuid.uuid4())
        connection.execute("INSERT INTO rows VALUES (?, ?)", (row, json.dumps(body)))
        return JSONResponse({"id": row}, 201)

    app = Starlette(routes=[Route("/rows", insert, methods=["POST"])])
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "pid": os.getpid()}), flush=True)
    settings = uvicorn.Config(app, http="h11", ws="none", log_config=None, access_log=False, lifespan="off")
    asyncio.run(uvicorn.Server(settings).serve([listener]))


if __name__ == "__main__":
    main(sys.argv[1])
