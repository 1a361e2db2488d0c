"""Weights mapped from a file, and an encoder opened without what it does not need."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from container.encoder.tensor_file import map_tensors
from tests.support.container import REPOSITORY

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.weight": np.array([1.5], dtype=np.float32),
}


def test_the_tensors_are_those_of_the_file(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = map_tensors(tmp_path / "model.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], tensor)


def test_writing_to_a_tensor_leaves_the_file_as_it_is(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file(TENSORS, file)
    before = file.read_bytes()
    map_tensors(file)["a"][0, 0] = 99
    assert file.read_bytes() == before


def test_a_file_that_is_cut_short(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file(TENSORS, file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is no float32, or cut short"):
        map_tensors(file)


def test_another_type(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file({"a": np.zeros(3, dtype=np.float16)}, file)
    with pytest.raises(ValueError, match="the tensor a is no float32"):
        map_tensors(file)


@pytest.mark.parametrize("content", [b"", b"no tensors at all"])
def test_what_is_no_such_file(tmp_path, content):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(ValueError):
        map_tensors(file)


def test_opening_an_encoder_does_not_import_openvinos_converter():
    code = (
        "import sys; from container import artifact; artifact._encoder_kind();"
        "print(*[name for name in ('openvino', 'openvino.tools.ovc') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "openvino\n"
