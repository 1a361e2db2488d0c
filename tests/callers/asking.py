"""Embeds texts with one of OpenAI's clients, as its users write it; prints what it got as JSON.

Runs in the environment of requirements/clients.in. OPENAI_BASE_URL and OPENAI_API_KEY are the
clients' own variables; MODEL names the model. Nothing else is changed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version

MODEL = os.environ["MODEL"]
TEXTS = ["How cute your dog is!", "Your dog is so cute.", "Ёлка 🎄"]


def with_openai() -> dict:
    import openai

    client = openai.OpenAI()
    answer = client.embeddings.create(model=MODEL, input=TEXTS)
    plain = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float")
    wrong = {}
    for name, fields in {
        "dimensions": {"input": "a", "dimensions": 256},
        "tokens": {"input": [[1, 2, 3]]},
        "model": {"input": "a", "model": "text-embedding-3-small"},
        "empty": {"input": ""},
    }.items():
        try:
            client.embeddings.create(**{"model": MODEL, **fields})
        except openai.APIStatusError as error:
            wrong[name] = [type(error).__name__, error.code, error.param, error.message]
    refused = {}
    for name, key in {"wrong": "wrong", "another kind": "x.y.z"}.items():
        try:
            openai.OpenAI(api_key=key, max_retries=0).models.list()
        except openai.APIStatusError as error:
            refused[name] = [error.status_code, error.message]
    return {
        "vectors": [each.embedding for each in answer.data],
        "float": plain.data[0].embedding,
        "usage": answer.usage.model_dump(),
        "request_id": answer._request_id,
        "models": [model.id for model in client.models.list()],
        "model": client.models.retrieve(MODEL).id,
        "wrong": wrong,
        "refused": refused,
    }


def with_langchain() -> dict:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(model=MODEL, check_embedding_ctx_length=False)
    many = embeddings.embed_documents([f"Text {number}" for number in range(700)])
    return {
        "vectors": embeddings.embed_documents(TEXTS),
        "query": embeddings.embed_query(TEXTS[0]),
        "many": len(many),
    }


def with_llama_index() -> dict:
    from llama_index.embeddings.openai import OpenAIEmbedding

    # This client has variables for the chat models only.
    embedding = OpenAIEmbedding(model_name=MODEL, api_base=os.environ["OPENAI_BASE_URL"])
    return {
        "vectors": embedding.get_text_embedding_batch(TEXTS),
        "query": embedding.get_query_embedding(TEXTS[0]),
    }


if __name__ == "__main__":
    ask, package = {
        "openai": (with_openai, "openai"),
        "langchain": (with_langchain, "langchain-openai"),
        "llama_index": (with_llama_index, "llama-index-embeddings-openai"),
    }[sys.argv[1]]
    began = time.monotonic()
    print(json.dumps({**ask(), "package": f"{package} {version(package)}"}))
    print(f"{time.monotonic() - began:.1f} s", file=sys.stderr)
