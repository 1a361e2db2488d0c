"""botocore's descriptions of services, as the local AWS reads them."""

from __future__ import annotations

from pathlib import Path

import botocore
import pytest
from botocore.loaders import JSONFileLoader

from local_aws.service_models import DescriptionFiles


@pytest.mark.parametrize("name", ["endpoints", "sts/2011-06-15/service-2", "sts/none"])
def test_files_are_read_as_botocore_reads_them(name):
    path = str(Path(botocore.__file__).parent / "data" / name)
    assert DescriptionFiles().load_file(path) == JSONFileLoader().load_file(path)
