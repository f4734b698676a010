"""Data sets for training and evaluation.

`catalogue` loads, checks and cites all of them by name; each has a module with `load` and `check` (`folder`, `msd`,
`magnatagatune`, `jamendo`, `fma`, `gtzan`, `tagging_lists`, `dim_sim`, `open_music`). `prepare` writes the folder that
training reads (`prepared`), `label` adds the labels of teachers, and `hard_tags` is the rule for the tags of a track.
"""
