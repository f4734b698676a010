"""Index songs with Dask, slowly: a client to be killed. Arguments: folder of songs, out, model, scheduler or -."""

import sys

from catalogue import analyze_slowly

from musiczoo.scale.dask import index

if __name__ == "__main__":
    songs, out, model, scheduler = sys.argv[1:]
    index([songs], out, model, scheduler=None if scheduler == "-" else scheduler, workers=2, shard_size=2,
          analyze=analyze_slowly)  # fmt: skip
