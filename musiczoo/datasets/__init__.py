"""Data sets: their definitions, how they are prepared and labelled, and the folder that training reads.

`store` is the folder on disk, `open_music` fills one, `label` adds a teacher's tags to it.
"""
