"""The gRPC front end: the same table of methods, Google's messages in binary."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penstock_emulator.faults import Lost
from penstock_vertex_emulator.emulator import Emulator
from penstock_vertex_emulator.errors import ApiError
from penstock_vertex_emulator.messages import refuse_unknown
from penstock_vertex_emulator.methods import Method

_AT_ONCE = 16


class GrpcServer:
    """Serves one emulator on 127.0.0.1; port 0 takes a free one. Raises OSError when the port is taken.

    No web page reaches it: a browser speaks no HTTP/2 without TLS.
    """

    def __init__(self, emulator: Emulator, port: int) -> None:
        import grpc

        services: dict[str, dict[str, Any]] = {}
        for method in emulator.methods:
            services.setdefault(method.service, {})[method.name] = grpc.unary_unary_rpc_method_handler(
                _answering(emulator, method),
                request_deserializer=method.request.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        self._server = grpc.server(ThreadPoolExecutor(_AT_ONCE), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, found) for service, found in services.items()]
        )
        try:
            self.port = int(self._server.add_insecure_port(f"127.0.0.1:{port}"))
        except RuntimeError as error:
            raise OSError(None, str(error)) from None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve in threads of its own."""
        self._server.start()

    def stop(self) -> None:
        """End, once the calls that are being answered are."""
        self._server.stop(1).wait()


def _answering(emulator: Emulator, method: Method) -> Callable[[Any, Any], Any]:
    import grpc

    codes = {code.value[0]: code for code in grpc.StatusCode}

    def answer(request: Any, context: Any) -> Any:
        try:
            refuse_unknown(request)
            return emulator.do(method, request)
        except ApiError as error:
            context.abort(codes[error.number], error.message)
        except Lost:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection was lost")

    return answer
