"""Graphs, computed by another runtime, give the model's scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import SMALL

import upnext

onnxruntime = pytest.importorskip("onnxruntime")

NETWORKS = [
    {"unit": unit, "input": inputs, **more}
    for unit in ("gru", "lstm", "rnn")
    for inputs, more in [
        ("one-hot", {}),
        ("discounted", {}),
        ("embedding", {"embedding_size": 9, "feed_forward": [12]}),
        ("shared", {}),
        ("one-hot", {"layers": [8, 6], "input_to_deeper_layers": True}),
        ("discounted", {"layers": [8, 6], "input_to_deeper_layers": True}),
        ("embedding", {"layers": [8, 6], "input_to_deeper_layers": True}),
    ]
] + [
    {"cosine_scale": 12.0},
    {"input_to_output": True, "cosine_scale": 9.0},
    {"input_to_output": True},
    {"loss": "bpr-max"},
    {"loss": "top1", "hidden_activation": "relu"},
    {"loss": "top1-max", "output_activation": "selu-1.05-1.67", "hidden_activation": "linear"},
    {"loss": "bpr", "output_activation": "leaky-0.2"},
    {"loss": "bpr", "output_activation": "relu"},
]


class Runtime:
    """Sessions in a runtime: the states that it gives are the inputs of the next event."""

    def __init__(self, path, batch: int) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.ids = json.loads(path.with_suffix(".items.json").read_text())
        self.index = {item: index for index, item in enumerate(self.ids)}
        states = [value for value in self.session.get_inputs() if value.name not in ("item", "history")]
        self.states = {value.name: np.zeros((batch, value.shape[1]), np.float32) for value in states}
        self.reads_history = any(value.name == "history" for value in self.session.get_inputs())

    def step(self, histories: list[list[str]]) -> dict[str, np.ndarray]:
        items = [[self.index[item] for item in history] for history in histories]
        if self.reads_history:
            longest = max(map(len, items)) + 2
            padded = [[-1] * (longest - len(history)) + history for history in items]
            given = {"history": np.array(padded, np.int64)}
        else:
            given = {"item": np.array([history[-1] for history in items], np.int64)}
        names = [output.name for output in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(names, given | self.states)))
        self.states = {name: found[f"new_{name}"] for name in self.states}
        return found


@pytest.mark.parametrize("fields", NETWORKS, ids=lambda fields: "-".join(map(str, fields.values())))
def test_scores_are_those_of_the_model(data, tmp_path, fields):
    model = upnext.GRU4Rec(**{**SMALL, "epochs": 1, **fields}).fit(data.train)
    path = tmp_path / "step.onnx"
    model.to_onnx(path)
    sessions = [["3", "4", "3", "9"], ["7", "7", "8", "1"], ["29", "0", "1", "29"]]
    runtime = Runtime(path, len(sessions))
    for length in range(1, 5):
        histories = [session[:length] for session in sessions]
        scores = runtime.step(histories)["scores"]
        for history, row in zip(histories, scores):
            expected = {item.id: item.score for item in model.recommend(history, k=model.n_items_)}
            given = np.array([expected[item] for item in runtime.ids])
            assert np.abs(given - row).max() <= 1e-5 + 1e-4 * np.abs(given).max(), history


def test_the_best_items_are_those_of_the_model(data, network, tmp_path):
    path = tmp_path / "step.onnx"
    network.to_onnx(path, k=5)
    found = Runtime(path, 2).step([["3"], ["8"]])
    for item, row in zip(("3", "8"), found["items"]):
        assert [str(network.items_[place]) for place in row] == network.recommend([item], k=5).ids
    assert found["scores"].shape == (2, 5)


def test_only_networks_have_a_graph(data, tmp_path):
    with pytest.raises(upnext.errors.NotSupportedError, match="graph"):
        upnext.VSTAN().fit(data.train).to_onnx(tmp_path / "step.onnx")
