"""The hybrid: texture equals its definition pixel by pixel, the graph names what scikit-learn names."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml

from fercore.contracts.card import FACE_SIZE
from fercore.inference.repository import scan_repository
from tests.training.architecture_case import Case, random_crops, serve
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.config import ForestConfig, TextureConfig
from training.errors import TrainingError
from training.exporting import hybrid
from training.exporting.hybrid import fit_forest, forest_logits
from training.measuring import graphs
from training.networks.lbp import BINS, TextureHistograms, number_uniform_patterns

AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
FOREST = {"trees": 7, "depth": 5, "fewest_faces": 1, "texture": {"radius": 1, "cells": 2}}


def reference_histograms(grey: np.ndarray, radius: int, cells: int) -> np.ndarray:
    """Count uniform patterns as their definition says, one pixel after the other."""
    side = len(grey)
    uniform = [p for p in range(256) if sum((p >> i & 1) != (p >> (i + 1) % 8 & 1) for i in range(8)) <= 2]
    found = np.zeros((cells, cells, BINS))
    for y in range(side):
        for x in range(side):
            pattern = 0
            for bit, (down, right) in enumerate(AROUND):
                row = min(max(y + down * radius, 0), side - 1)
                column = min(max(x + right * radius, 0), side - 1)
                pattern |= (int(grey[row, column]) >= int(grey[y, x])) << bit
            where = uniform.index(pattern) if pattern in uniform else BINS - 1
            found[y * cells // side, x * cells // side, where] += 1
    return (found / found.sum(axis=2, keepdims=True)).ravel()


@pytest.mark.parametrize(("radius", "cells", "side"), [(1, 1, 12), (1, 3, 20), (2, 4, 16), (3, 2, 15)])
def test_texture_equals_its_definition(radius, cells, side):
    random = np.random.default_rng(radius)
    for levels in (256, 4):  # with few levels many neighbours are equal
        grey = random.integers(0, levels, (2, side, side), dtype=np.uint8)
        crops = torch.from_numpy(grey[..., None].repeat(3, axis=3))
        texture = TextureHistograms(TextureConfig(radius=radius, cells=cells), side)
        expected = [reference_histograms(face, radius, cells) for face in grey]
        np.testing.assert_allclose(texture(crops).numpy(), expected, atol=1e-6)


def test_of_256_patterns_58_are_uniform():
    labels = number_uniform_patterns()
    assert len(labels) == 256
    assert (labels < 58).sum() == 58
    assert labels[[0b00000000, 0b11111111, 0b00011100, 0b10000001]].max() < 58
    assert labels[[0b00000101, 0b10101010]].tolist() == [58, 58]


def test_luma_is_rounded_to_the_nearest_integer():
    texture = TextureHistograms(TextureConfig(radius=1, cells=1), 3)
    crops = torch.full((1, 3, 3, 3), 100, dtype=torch.uint8)
    crops[0, 1, 1] = torch.tensor([100, 100, 104])  # luma 100.456: no brighter than its neighbours
    assert texture.patterns(crops)[0, 1, 1] == number_uniform_patterns()[0b11111111]
    crops[0, 1, 1] = torch.tensor([100, 100, 105])  # 100.57: brighter
    assert texture.patterns(crops)[0, 1, 1] == number_uniform_patterns()[0b00000000]


def extractor() -> hybrid.FeatureExtractor:
    return hybrid.FeatureExtractor(Case("cnn3").servable(), ForestConfig.model_validate(FOREST)).eval()


def test_one_graph_answers_as_scikit_learn_does_with_labels_that_it_never_saw(tmp_path):
    made, crops = extractor(), random_crops(60)
    vectors = made(torch.from_numpy(crops))[0].detach().numpy()
    labels = np.random.default_rng(2).choice([0, 1, 4, 6], 60)
    forest = fit_forest(vectors, labels, ForestConfig.model_validate(FOREST), seed=1, threads=1)
    graph = hybrid.build_graph(made, forest, 8)
    model = onnx.load_model_from_string(graph)
    assert model.ir_version <= 9
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == 17
    assert len(model.opset_import) == len({opset.domain for opset in model.opset_import})
    expected = forest_logits(forest, vectors, 8)
    logits, features = serve(graph, crops, tmp_path)
    assert features.shape == (60, 128, 6, 6)
    assert hybrid.check_agreement(expected, logits) >= 0.99
    np.testing.assert_allclose(logits[:, [2, 3, 5, 7]], np.log(1e-6), rtol=1e-6)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-4)
    assert (np.abs(logits - expected).max(axis=1) < 1e-4).mean() >= 0.95


def test_the_same_seed_gives_the_same_forest_with_any_number_of_threads():
    random = np.random.default_rng(4)
    vectors, labels = random.random((80, 9), dtype=np.float32), random.integers(0, 3, 80)
    config = ForestConfig.model_validate(FOREST)

    def answers(seed: int, threads: int) -> np.ndarray:
        return forest_logits(fit_forest(vectors, labels, config, seed=seed, threads=threads), vectors, 3)

    np.testing.assert_array_equal(answers(1, 1), answers(1, 2))
    assert not np.array_equal(answers(1, 1), answers(2, 1))


def test_a_forest_keeps_its_bounds():
    random = np.random.default_rng(5)
    vectors, labels = random.random((400, 9), dtype=np.float32), random.integers(0, 8, 400)
    config = ForestConfig(trees=3, depth=6, leaves=9)
    forest = fit_forest(vectors, labels, config, seed=1, threads=1)
    assert len(forest.estimators_) == 3
    assert all(tree.get_n_leaves() <= 9 and tree.get_depth() <= 6 for tree in forest.estimators_)


def test_a_graph_that_names_other_emotions_is_refused():
    expected = np.eye(8, dtype=np.float32)[np.arange(200) % 8]
    served = expected.copy()
    served[:2] = np.roll(served[:2], 1, axis=1)
    assert hybrid.check_agreement(expected, served) == pytest.approx(0.99)
    served[2] = np.roll(served[2], 1)
    with pytest.raises(TrainingError, match=r"export refused: .* 98\.50% of the faces"):
        hybrid.check_agreement(expected, served)


@pytest.fixture
def hybrid_config(config_file: Path) -> Path:
    content = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    content["fit"]["epochs"] = 1
    config_file.write_text(yaml.safe_dump({**content, "forest": FOREST}), encoding="utf-8")
    return config_file


def test_a_run_becomes_a_served_hybrid_by_two_commands(fer: FerFolder, hybrid_config, tmp_path, capsys):
    places = ["--data", str(fer.write())]
    runs, repository = tmp_path / "runs", tmp_path / "models"
    assert main(["train", str(hybrid_config), *places, "--runs", str(runs)]) == 0
    assert main(["export", str(runs / "tiny"), *places, "--repository", str(repository)]) == 1
    assert "python -m training hybrid" in capsys.readouterr().err
    arguments = ["hybrid", str(runs / "tiny"), *places, "--repository", str(repository), "--name", "forest"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\d\.\d MB, 7 trees", printed)
    found = re.search(r"accuracy on PublicTest: forest (0\.\d{4}), network (0\.\d{4})\n", printed)
    assert found
    scan = scan_repository(repository)
    assert scan.broken == ()
    (model,) = scan.models
    assert model.card.architecture == "random forest on cnn3 and texture"
    forest = model.card.training_config["forest"]
    assert isinstance(forest, dict)
    assert forest["trees"] == 7
    logits = graphs.run_folder(model.path, random_crops(3))
    assert logits.shape == (3, 8)
    assert FACE_SIZE == 112
    for answering, accuracy in zip((model.path, runs / "tiny"), found.groups(), strict=True):
        assert main(["evaluate", str(answering), *places]) == 0
        assert f"accuracy {accuracy}" in capsys.readouterr().out


def test_a_config_whose_network_is_random_says_so_and_one_without_a_forest_is_refused(
    fer: FerFolder, hybrid_config, tmp_path, capsys
):
    arguments = ["hybrid", str(hybrid_config), "--data", str(fer.write()), "--repository", str(tmp_path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "its features are random" in printed
    assert ", network" not in printed  # its last layer was never trained
    content = yaml.safe_load(hybrid_config.read_text(encoding="utf-8"))
    del content["forest"]
    hybrid_config.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(arguments) == 1
    assert "no section `forest`" in capsys.readouterr().err
