"""Metrics: arrays in, dictionaries of numbers out."""
