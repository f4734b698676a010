"""The metrics, one module per task: NumPy arrays in, dicts ready for JSON out.

`tagging` (ROC-AUC, average precision), `retrieval` (R@K), `triplets` (triplet prediction), `agreement` (with teachers),
`artist_retrieval` (same artist, same album), `voices` (music with and without a singer) and `training_time`.
"""
