"""Threads, processes and Ctrl-C."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import SMALL

import upnext


def test_two_threads_train_at_once(data):
    def train(seed: int) -> upnext.GRU4Rec:
        return upnext.GRU4Rec(**SMALL, seed=seed).fit(data.train, n_threads=1)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        models = list(pool.map(train, [1, 2, 1]))
    assert models[0] == models[2] != models[1]


def test_the_number_of_threads_changes_no_bit(data, network):
    assert upnext.GRU4Rec(**SMALL).fit(data.train, n_threads=1) == network


def test_the_interpreter_runs_on_while_a_model_is_trained(data):
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    upnext.GRU4Rec(**{**SMALL, "epochs": 20}).fit(data.train)
    done.set()
    thread.join()
    assert counted[0] > 5


def recommended(model: upnext.Recommender) -> list:
    return model.recommend([3, 4], k=5).ids


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_models_go_to_other_processes(network, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork")
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(recommended, network).result(timeout=120) == recommended(network)


PROGRAM = """
    import signal, sys, threading, time, os
    sys.path.insert(0, {tests!r})
    from conftest import clicks, SMALL
    import pandas as pd, upnext
    frame = pd.DataFrame(clicks(3000), columns=["session", "item", "time"])
    def interrupt(event, record):
        if event == "epoch" and record["epoch"] == 1:
            global pressed
            pressed = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
    model = {model}
    try:
        {call}
        print("not interrupted")
    except KeyboardInterrupt as error:
        print("interrupted", round(time.monotonic() - pressed, 1), error)
    {after}
"""


NETWORK = "upnext.GRU4Rec(**{**SMALL, 'epochs': 100000})"
PRESS = "pressed = time.monotonic() + 2; threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()"


def run(call: str, after: str, model: str = NETWORK) -> str:
    program = textwrap.dedent(PROGRAM).format(tests=os.path.dirname(__file__), call=call, after=after, model=model)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_stops_a_training_within_a_second_and_keeps_the_model():
    shown = run("model.fit(frame, callback=interrupt)", "print(model.ended_, len(model.recommend([3], k=4)))")
    first, second = shown.strip().splitlines()
    assert first.startswith("interrupted") and float(first.split()[1]) < 1.0, shown
    assert second == "interrupted 4"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_stops_a_search_and_the_process_lives(tmp_path):
    call = f"{PRESS}; upnext.tune(frame, {{'learning_rate': [0.1, 0.2]}}, model=model, trials=2, out={str(tmp_path / 't')!r})"
    shown = run(call, "print(upnext.compare((frame, frame.head(2000)), ['pop']).names)")
    assert shown.startswith("interrupted") and "resume=True" in shown and shown.strip().endswith("['pop']"), shown
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("model", ["upnext.BPRMF(epochs=100000)", "upnext.SessionAverage(epochs=100000)"])
def test_ctrl_c_stops_kinds_without_mini_batches(model):
    shown = run(f"{PRESS}; model.fit(frame)", "print(model._fitted)", model)
    first, second = shown.strip().splitlines()
    assert first.startswith("interrupted") and float(first.split()[1]) < 1.0 and second == "None", shown


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_stops_the_call_of_this_thread_alone():
    other = "thread = threading.Thread(target=lambda: done.append(upnext.compare((frame, frame.tail(2000)), [model]).names))"
    model = "upnext.GRU4Rec(layers=[32], epochs=80); done = []"
    call = f"{other}; thread.start(); time.sleep(0.5); {PRESS}; upnext.compare((frame, frame.tail(2000)), ['pop'])"
    shown = run(call, "thread.join(); print(done)", model)
    assert shown.startswith("interrupted") and shown.strip().endswith("[['gru4rec']]"), shown
