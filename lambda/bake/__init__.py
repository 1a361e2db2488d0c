"""The custom resource Custom::Bake: a corpus baked by a training job, or one found baked."""
