"""Measuring models: numpy in, dict out."""
