"""More music than one machine holds: embed it on a cluster, search it in a vector database.

`shards` cuts a catalogue into shards and turns each into a Parquet part; it does not depend on the cluster. `dask` runs
that on a Dask cluster. `parquet` defines the parts and imports them into a library, and `milvus` searches catalogues in
the vector database Milvus. `remote_files` reads and writes files of object stores.
"""
