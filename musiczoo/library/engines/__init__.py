"""How a query finds its nearest vectors.

Conventions
-----------
- A *matrix* is ``[N, E]`` float32; each space of a row has length 1 / sqrt(number of spaces), or is zero.
- A *query* is ``[E]``: per space, the unit vector asked for, times its weight, times sqrt(number of spaces); the
  weights sum to 1. Its inner product with a row is the weighted mean of the spaces' cosines: one number, and one scan,
  whatever the weights.
- An engine names *candidates*, rows among which the k nearest are; who asks orders them in double precision.

Why no inverted lists (IVF) and no graphs (HNSW)
------------------------------------------------
They sort vectors by the unweighted geometry before the weights are known, and look only where that says. Measured on a
million clustered 256-d vectors, top 10, one thread: IVF's recall falls from 0.94 with equal weights to 0.36 with mixed
ones and 0.12 with one dimension alone; HNSW reaches 0.91 to 0.93 with a search width of 512, and far less below. Only
an engine that looks at the codes of all vectors serves every weighting: `exact` (numpy; recall 1, 100 ms), `faiss_flat`
(recall 1, 34 to 36 ms) and `faiss_pq` (recall 0.988 and more, 2.8 ms) do. benchmarks/search_million.py measures them.
"""
