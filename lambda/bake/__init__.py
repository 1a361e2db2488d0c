"""The custom resource Custom::Bake: a training job bakes the corpus, unless it was baked before."""
