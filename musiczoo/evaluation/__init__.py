"""Evaluate models.

`benchmark` evaluates models on a prepared data set and returns a report, which `report` writes. `metrics` has the
metrics, `ground_truth` the tags and triplets, `bootstrap` the intervals. `own_music` evaluates models on a library.
"""
