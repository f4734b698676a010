"""musicnn as its users run it: one call of its own code for each song, with librosa and a TensorFlow session."""

from typing import Any

from musicnn.extractor import extractor
from serve import serve


def tag(path: str) -> dict[str, Any]:
    """Mean of the taggram, every 3 s, as `musicnn.tagger.top_tags` sums it up."""
    taggram, tags = extractor(path, model="MSD_musicnn", input_length=3, input_overlap=False, extract_features=False)
    return dict(zip(tags, taggram.mean(axis=0).tolist(), strict=True))


if __name__ == "__main__":
    serve(tag)
