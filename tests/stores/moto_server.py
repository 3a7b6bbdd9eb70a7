"""A server of S3 on loopback with one bucket; it prints its port, and ends with its input.

Each line of its input is a list of keys in JSON. It makes a bucket ``filled`` with an empty object
under each key, and prints the number of keys. Through the port, ten thousand objects would take a
minute.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    import boto3  # noqa: PLC0415 - it runs in a process of its own
    from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415
    from moto.s3.models import s3_backends  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106 - the server takes any
    ).create_bucket(Bucket=sys.argv[1])
    print(port, flush=True)  # noqa: T201 - the test reads it
    for line in sys.stdin:
        names, backend = json.loads(line), s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        backend.create_bucket("filled", "us-east-1")
        for each in names:
            backend.put_object("filled", each, b"")
        print(len(names), flush=True)  # noqa: T201 - likewise
    server.stop()


if __name__ == "__main__":
    main()
