#!/usr/bin/env python3
"""Golden values for the tests of the reference: losses and one-unit cells, from the formulas of
docs/algorithms.md, sections 1 and 3, in 60-digit decimal arithmetic. Standard library only.

    python3 golden.py > golden.json

Every formula is written in its naive form (exp, sum, divide, log): 60 digits need no stable form.
"""
import json
from decimal import Decimal as D, getcontext

getcontext().prec = 60


def sigmoid(x):
    return 1 / (1 + (-x).exp())


def tanh(x):
    return 2 * sigmoid(2 * x) - 1


def softmax(xs):
    es = [x.exp() for x in xs]
    return [e / sum(es) for e in es]


def row_loss(kind, positive, negatives, penalty):
    if not negatives:
        return D(0)
    n = D(len(negatives))
    if kind == "bpr":
        return -sum(sigmoid(positive - r).ln() for r in negatives) / n
    if kind == "top1":
        return sum(sigmoid(r - positive) + sigmoid(r * r) for r in negatives) / n
    if kind == "mrr":
        return 1 - 1 / (1 + sum(sigmoid(r - positive) for r in negatives))
    if kind == "cross-entropy":
        return -softmax([positive] + negatives)[0].ln()
    s = softmax(negatives)
    if kind == "top1-max":
        return sum(w * (sigmoid(r - positive) + sigmoid(r * r)) for w, r in zip(s, negatives))
    if kind == "bpr-max":
        inside = sum(w * sigmoid(positive - r) for w, r in zip(s, negatives))
        return -inside.ln() + penalty * sum(w * r * r for w, r in zip(s, negatives))
    raise ValueError(kind)


def batch_loss(case):
    """Mean over the configured batch size of the rows' losses; scores are B rows of B + S columns."""
    items = case["targets"] + case["samples"]
    live = len(case["targets"])
    total = D(0)
    for b, row in enumerate(case["scores"]):
        row = [D(str(r)) for r in row]
        if case["loss"] == "cross-entropy" and case["logq"] != 0:
            for c, item in enumerate(items):
                q = D(case["support"][item])
                log_q = q.ln() if c < live else D(str(case["alpha"])) * q.ln()
                row[c] -= D(str(case["logq"])) * log_q
        negatives = [
            r
            for c, r in enumerate(row)
            if c != b and not (case["mask"] and items[c] == case["targets"][b])
        ]
        total += row_loss(case["loss"], row[b], negatives, D(str(case["penalty"])))
    return total / case["batch_size"]


def loss_cases():
    shapes = [
        # Three rows, two samples; the sample 4 is row 0's target, and rows 1 and 2 have one target.
        dict(
            batch_size=3,
            targets=[4, 1, 1],
            samples=[4, 0],
            support=[9, 40, 3, 1, 17],
            scores=[
                [0.5, -0.25, 0.125, 0.5, -0.75],
                [1.5, 0.25, 0.25, -2.0, 0.0],
                [-0.5, 0.75, 0.75, 0.375, 3.0],
            ],
        ),
        # A shrunken mini-batch: two rows of four, no sample.
        dict(batch_size=4, targets=[0, 2], samples=[], support=[5, 6, 7], scores=[[0.3, -0.6], [0.9, 0.1]]),
        # One row left, one sample drawn twice.
        dict(batch_size=2, targets=[1], samples=[0, 0, 2], support=[2, 3, 64], scores=[[-1.25, 0.5, 0.5, 2.25]]),
        # One row whose only negative is its own target.
        dict(batch_size=1, targets=[1], samples=[1], support=[2, 3], scores=[[0.625, 0.625]]),
        # Large scores, where f64 needs the stable forms.
        dict(
            batch_size=2,
            targets=[0, 1],
            samples=[2],
            support=[1, 1, 1],
            scores=[[-800.0, 30.0, 750.0], [-5.0, 900.0, -900.0]],
        ),
    ]
    for kind in ["top1", "bpr", "cross-entropy", "top1-max", "bpr-max", "mrr"]:
        for shape in shapes:
            for mask in [False, True]:
                logqs = [(0, 0.75), (1, 0.75), (0.5, 0)] if kind == "cross-entropy" else [(0, 0.75)]
                penalties = [0, 0.5] if kind == "bpr-max" else [0]
                for logq, alpha in logqs:
                    for penalty in penalties:
                        case = dict(shape, loss=kind, mask=mask, logq=logq, alpha=alpha, penalty=penalty)
                        yield dict(case, value=float(batch_loss(case)))


def cell_cases():
    """One unit, one input: the state after one step, and after a second one from there."""
    x = [D("0.7"), D("-1.1")]
    w = [D("0.5"), D("-0.4"), D("0.9"), D("0.3")]
    u = [D("0.25"), D("0.8"), D("-0.6"), D("1.2")]
    b = [D("0.1"), D("-0.2"), D("0.05"), D("0.4")]
    start_h, start_c = D("0.35"), D("-0.55")

    def pre(k, x, h):
        return x * w[k] + h * u[k] + b[k]

    def gru(x, h, c):
        z, r = sigmoid(pre(0, x, h)), sigmoid(pre(1, x, h))
        candidate = tanh(pre(2, x, r * h))
        return (1 - z) * h + z * candidate, c

    def lstm(x, h, c):
        i, f, o = (sigmoid(pre(k, x, h)) for k in range(3))
        c = f * c + i * tanh(pre(3, x, h))
        return o * tanh(c), c

    def rnn(x, h, c):
        return tanh(pre(0, x, h)), c

    for name, gates, cell in [("gru", 3, gru), ("lstm", 4, lstm), ("rnn", 1, rnn)]:
        h, c = start_h, start_c
        hidden, cells = [], []
        for step in x:
            h, c = cell(step, h, c)
            hidden.append(float(h))
            cells.append(float(c))
        floats = lambda values: [float(v) for v in values]
        yield dict(
            unit=name,
            inputs=floats(x),
            weight=floats(w[:gates]),
            recurrent=floats(u[:gates]),
            bias=floats(b[:gates]),
            start_hidden=float(start_h),
            start_cell=float(start_c),
            hidden=hidden,
            cell=cells,
        )


if __name__ == "__main__":
    lines = lambda cases: ",\n".join("  " + json.dumps(case) for case in cases)
    print('{"losses": [\n%s\n], "cells": [\n%s\n]}' % (lines(loss_cases()), lines(cell_cases())))
