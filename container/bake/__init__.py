"""The bake: a training job that encodes a corpus and packs the artifact."""
