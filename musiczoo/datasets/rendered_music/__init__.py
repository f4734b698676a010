"""rendered_music: music in many styles, and singing, rendered from free packages to widen what a model learns.

`styles` composes and plays, `voices` sings, `effects` mixes and damages, `plan` lists what is rendered, and `loader`
renders it.
"""
