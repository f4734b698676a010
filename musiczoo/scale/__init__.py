"""Beyond one machine: embedding on a cluster, searching in a vector database.

`manifest` cuts a catalogue into shards, `shard` turns one into a Parquet part, `child` protects it from files that
kill their decoder; none of them knows what engine runs them. `dask` runs them on a cluster, `parquet` says what a
part holds and brings parts into a library, and `milvus` searches catalogues that no single machine holds.
"""
