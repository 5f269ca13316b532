"""A spec is named by its fields, and survives the file that it is kept in."""

import hashlib
import json
from dataclasses import replace

import pytest

from src.contracts.errors import ConfigError
from src.contracts.preprocessing_spec import PreprocessingSpec

CHANGES = {
    "size": 128,
    "resize": "pad",
    "crop_fraction": 0.875,
    "interpolation": "bilinear",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "decoding": "full",
}
OF_BEFORE = {
    "size": 224,
    "resize": "crop",
    "crop_fraction": 1.0,
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
"""As checkpoints and bundles hold it that were made before `decoding` was a field."""


def test_the_hash_is_that_of_the_canonical_json() -> None:
    # Written out: if this changes, every checkpoint and bundle there is stops matching.
    canonical = (
        '{"crop_fraction": 1.0, %s"interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "resize": "crop", "size": 224, '
        '"std": [0.5, 0.5, 0.5]}'
    )
    for decoding, field in (("full", ""), ("reduced", '"decoding": "reduced", ')):
        expected = hashlib.sha256((canonical % field).encode()).hexdigest()[:16]
        assert PreprocessingSpec(decoding=decoding).hash == expected


def test_a_spec_of_before_there_was_a_choice_keeps_its_hash_and_decodes_all_pixels() -> None:
    spec = PreprocessingSpec.from_dict({**OF_BEFORE, "hash": "160115ac0a9e8224"})
    assert spec == PreprocessingSpec(decoding="full")
    assert spec.to_dict() == {**OF_BEFORE, "hash": "160115ac0a9e8224"}
    assert PreprocessingSpec.from_dict({**OF_BEFORE, "decoding": "full", "hash": "160115ac0a9e8224"}) == spec


@pytest.mark.parametrize("decoding", ["full", "reduced"])
def test_either_decoding_survives_a_dictionary(decoding: str) -> None:
    spec = PreprocessingSpec(decoding=decoding)
    assert PreprocessingSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("name", CHANGES)
def test_each_field_changes_the_hash(name: str) -> None:
    assert replace(PreprocessingSpec(), **{name: CHANGES[name]}).hash != PreprocessingSpec().hash


def test_equal_specs_have_equal_hashes() -> None:
    whole = PreprocessingSpec(crop_fraction=1, mean=[0, 0, 0], std=[1, 1, 1])
    floats = PreprocessingSpec(crop_fraction=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    assert whole == floats
    assert whole.hash == floats.hash


def test_a_spec_survives_a_dictionary() -> None:
    spec = PreprocessingSpec(**CHANGES)
    assert PreprocessingSpec.from_dict(spec.to_dict()) == spec
    assert spec.to_dict()["hash"] == spec.hash


def test_a_dictionary_that_is_no_spec_is_refused() -> None:
    data = PreprocessingSpec().to_dict()
    with pytest.raises(ConfigError, match=r"\['gamma'\] are unknown or missing"):
        PreprocessingSpec.from_dict({**data, "gamma": 2.2})
    with pytest.raises(ConfigError, match=r"\['std'\] are unknown or missing"):
        PreprocessingSpec.from_dict({name: value for name, value in data.items() if name != "std"})
    changed = {**data, "size": 100}
    with pytest.raises(ConfigError) as caught:
        PreprocessingSpec.from_dict(changed)
    assert data["hash"] in str(caught.value)
    assert PreprocessingSpec(size=100).hash in str(caught.value)


def test_all_bad_fields_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        PreprocessingSpec(size=4, resize="fit", crop_fraction=0, interpolation="area", std=(0, 1, 1), decoding="half")
    for name in ("size=4", "resize=fit", "crop_fraction=0", "interpolation=area", "std", "decoding=half"):
        assert f"preprocessing.{name}" in str(caught.value)
