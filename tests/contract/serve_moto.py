"""moto's server on a port of loopback, one request at a time.

Its own command answers each request in a thread and locks no table, so that one of two writes of an
item is lost. AWS loses none.

    python serve_moto.py PORT
"""

import sys
from threading import Lock

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

services = DomainDispatcherApplication(create_backend_app)
serial = Lock()


def one_at_a_time(environ, start_response):
    with serial:
        return services(environ, start_response)


# Threads nevertheless: a client may hold a connection open that it does not use.
run_simple(
    "127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True, request_handler=MotoRequestHandler
)
