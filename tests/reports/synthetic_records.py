"""Made-up records in the grammar of the real ones, for tests only: nothing here is a result."""

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from casim import record
from casim.record import Measure, Revision, RunRecord, Source
from casim.skeleton import SKELETONS
from reports import words

ARMS = {"casim": 0.66, "fixed": 0.41, "fixed_strong": 0.47, "fixed_long": 0.44}
GROUPS = ("all", "single", "pair", "pair_reversed", "while", "triple")
METRICS = ("exact_prompt", "action_recall", "side_accuracy", "order_accuracy")
PROMPTS = (
    "a person waves the left hand and then kicks with the right foot",
    "someone squats twice after raising both arms",
    "the man jumps before he turns left slowly",
    "a person claps, then bows",
    "she steps back after waving with the right hand",
    "a figure kicks with the left foot before it squats",
)
HOSTILE = "</script><script>alert('x')</script> \"quotes\" <img src=x onerror=alert(1)> \u202eRTL 💃 & $x^2$ http://evil.example/"
COMMIT = "4f1c2d3e5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d"


def entry(kind: str, name: str, config: dict[str, Any], *, command: str, commit: str = COMMIT) -> RunRecord:
    """A finished record without this machine's provenance, so that it is the same everywhere."""
    return RunRecord(
        kind=kind,
        name=name,
        status="done",
        argv=["python", "-m", *command.split()],
        config=config,
        seed=0,
        revision=Revision(commit=commit),
        packages={"casim": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        threads=2,
        started="2026-11-01T10:00:00+00:00",
        finished="2026-11-01T10:07:30+00:00",
    )


def write(folder: Path, item: RunRecord, **files: bytes) -> Path:
    """The record and its artifacts; a double underscore in a name stands for the dot."""
    for name, data in files.items():
        path = folder / name.replace("__", ".")
        record.write_atomic(path, data)
        record.attach(item, folder, path)
    record.save(item, folder)
    return folder


def run_config(arm: str, seed: int) -> dict[str, Any]:
    """The config of a run, as far as the report reads it."""
    injection = {"plugin": "casim"} if arm == "casim" else {"plugin": "fixed", "pool": "mean", "to_frames": False}
    return {
        "recipe": f"choreography_{arm}",
        "data": {"plugin": "choreography", "seed": 0},
        "text": {"plugin": "hashed"},
        "injection": {**injection, "context": {"layers": 1}},
        "backbone": {"plugin": "mdm_decoder", "width": 96},
        "training": {"seed": seed, "steps": 1600},
    }


def _weights(arm: str, seed: int) -> bytes:
    return f"{arm}{seed}".encode()


def training(root: Path, arm: str, seed: int, *, dirty: bool = False) -> Path:
    """A training with its log."""
    rng = np.random.default_rng([seed, ord(arm[0])])
    steps = np.arange(20, 1601, 20)
    loss = 0.9 * np.exp(-steps / 420) + 0.11 + 0.02 * rng.standard_normal(len(steps)) + 0.03 * (arm == "fixed")
    log = "step,loss,lr,seconds\n" + "".join(
        f"{s},{v:.5f},0.001,{s / 9:.1f}\n" for s, v in zip(steps, loss, strict=True)
    )
    name = f"choreography_{arm}_seed{seed}"
    item = entry(
        "train", name, run_config(arm, seed), command=f"casim.train choreography_{arm} --training.seed {seed}"
    )
    item.revision.dirty = dirty
    item.results = {
        "loss": Measure(value=float(loss[-1]), unit="", higher_is_better=False),
        "steps_per_second": Measure(value=8.7 + seed / 10, unit="steps/s", higher_is_better=True),
    }
    return write(root / name, item, log__csv=log.encode(), model__safetensors=_weights(arm, seed))


def evaluation(
    root: Path,
    name: str = "evaluation",
    *,
    arms: tuple[str, ...] = ("casim", "fixed", "fixed_strong", "fixed_long"),
    seeds: int = 3,
    gain: float = 1.0,
    text: str = "",
) -> Path:
    """Scores of the arms; `gain` scales what casim has over fixed, `text` replaces every other caption."""
    rng = np.random.default_rng(7)
    full = {arm: f"choreography_{arm}" for arm in arms}
    runs = {f"{full[arm]}_seed{seed}": run_config(arm, seed) for arm in arms for seed in range(seeds)}
    protocol = "protocol standard: all captions per split (test and held-out), one motion each; 95% intervals"
    item = entry("evaluate", name, {"protocol": {"name": "standard"}, "runs": runs}, command="evaluators.run")
    levels = {arm: ARMS["fixed"] + gain * (ARMS[arm] - ARMS["fixed"]) for arm in arms}
    for metric in METRICS:
        for split in ("test", "held_out"):
            for group in GROUPS:
                if metric == "order_accuracy" and group in ("single", "while"):
                    continue
                ease = 0.12 * (split == "test") + 0.15 * (group == "single") + 0.08 * METRICS.index(metric)
                place = f"{metric}/{split}/{group}"
                _fill(item, place, {a: min(v + ease, 0.98) for a, v in levels.items()}, full, seeds, rng, protocol)
    sets = {arm: 30 - 20 * gain * (level - 0.3) for arm, level in levels.items()}  # less is better
    _fill(item, "fid.oracle.raw/test/all", sets, full, seeds, rng, protocol, is_better_high=False)
    for run, config in runs.items():
        weights = _weights(words.short(config["recipe"]), config["training"]["seed"])
        item.inputs[run] = Source(run=run, sha256=hashlib.sha256(weights).hexdigest())
    return write(root / name, item, items__csv=_items(full, seeds, text))


def _fill(
    item: RunRecord,
    place: str,
    levels: dict[str, float],
    full: dict[str, str],
    seeds: int,
    rng: np.random.Generator,
    protocol: str,
    *,
    is_better_high: bool = True,
) -> None:
    def put(key: str, value: float, half: float) -> None:
        item.results[f"{key}/{place}"] = Measure(
            value=round(value, 4),
            interval=(round(value - half, 4), round(value + half, 4)),
            n=240,
            unit="share",
            higher_is_better=is_better_high,
            protocol=protocol,
        )

    for floor, value in (("real", 0.985), ("floor: wrong caption", 0.06), ("floor: swapped order", 0.21)):
        put(floor, value, 0.01)
    for arm, level in levels.items():
        values = level + 0.03 * rng.standard_normal(seeds)
        put(full[arm], float(values.mean()), 0.05)
        for seed, value in enumerate(values):
            put(f"{full[arm]}@seed{seed}", float(value), 0.04)
    arms = list(levels)
    for i, a in enumerate(arms):
        for b in arms[i + 1 :]:
            put(f"{full[a]} - {full[b]}", levels[a] - levels[b], 0.05)


def _items(full: dict[str, str], seeds: int, text: str) -> bytes:
    buffer = io.StringIO()
    out = csv.writer(buffer)
    out.writerow(["arm", "seed", "split", "item", "kind", "is_reversed", "text", *METRICS])
    for arm, name in full.items():
        for seed in range(seeds):
            for i in range(30):
                caption = text if text and i % 2 == 0 else PROMPTS[i % len(PROMPTS)]
                made = float((i * 7 + seed * 3 + len(arm)) % 10 < 10 * ARMS[arm])
                row = [name, seed, "held_out", f"c{i:04d}", "pair", i % 2 == 0, caption, made, made, made, made]
                out.writerow(row)
    return buffer.getvalue().encode()


def probe(
    root: Path, name: str = "attention", *, prompts: tuple[str, ...] = PROMPTS, word: str = "semantic"
) -> Path:
    """An attention probe with maps of these prompts."""
    config = {"protocol": {"split": "test"}, "arm": "choreography_casim", "notes": ["special tokens were kept"]}
    item = entry("probe", "attention_probe", config, command="analysis.attention_probe")
    groups = {"": 0.91, "/natural": 0.93, "/reversed": 0.88, "/pair": 0.92, "/triple": 0.9}
    nulls = {"null untrained": 0.51, "null position": 0.66, "null time reversal": 0.47, "null prompt swap": 0.55}

    def put(key: str, value: float, half: float = 0.02, protocol: str = "mean over 200 clips") -> None:
        interval = (value - half, value + half) if half else None
        item.results[key] = Measure(value=value, interval=interval, n=200, unit="AUC", protocol=protocol)

    for group, value in groups.items():
        put(f"casim/auc{group}", value)
        for seed in range(3):
            put(f"choreography_casim_seed{seed}/auc{group}", value + 0.01 * (seed - 1))
        for null, level in nulls.items():
            put(f"{null}/auc{group}", level - 0.3 * (group == "/reversed" and null == "null position"))
    put("casim - null position/auc", 0.25)
    put("casim - null position/auc/reversed", 0.52)
    put("casim - null prompt swap/auc/reversed", 0.33)
    put("casim/auc/swap_p", 0.001, 0)
    for number, weighting in enumerate(("raw", "value norm", "rollout")):
        put(f"weighting/{weighting}/auc", 0.91 - 0.01 * number)
        put(f"weighting/{weighting}/untrained", 0.51 + 0.001 * number)
    for layer in range(2):
        for head in range(3):
            put(f"head/layer{layer}/head{head}/auc", 0.6 + 0.1 * layer + 0.03 * head)
    for number, statistic in enumerate(("semantic gain", "head")):
        put(f"calibration/{statistic}", 0.03 + 0.02 * number)
    for step, rho in ((900, 0.12), (700, 0.4), (500, 0.66), (300, 0.78), (100, 0.83)):
        put(f"casim/boundary_rho/t{step}", rho, 0.08)
        put(f"null untrained/boundary_rho/t{step}", 0.03, 0.1)
    put(
        "gate/semantic gain",
        1,
        0,
        "rule: reversed captions exceed swapped prompts by 0.05; measured: over swapped prompts "
        "0.330 [0.310, 0.350], over position 0.520 [0.500, 0.540], AUC 0.880 [0.860, 0.900]",
    )
    put("gate/boundary tracking", 1, 0, "rule: correlation at the last step above 0; measured: 0.830")
    put("gate/untrained is null", 1, 0, "rule: between 0.45 and 0.55; measured: 0.510")
    put(f"verdict/{word}", 1, 0, "Attention follows what words mean in time, beyond what their position predicts.")
    return write(root / name, item, arrays__npz=_arrays(prompts))


def _arrays(prompts: tuple[str, ...]) -> bytes:
    rng = np.random.default_rng(3)
    arrays: dict[str, Any] = {"examples": len(prompts), "steps": np.array([900, 500, 100]), "fps": 20.0}
    arrays |= {"tracks/arm": np.array(["casim", "casim", "fixed"]), "tracks/seed": np.array([5, 7, 5])}
    for i, prompt in enumerate(prompts):
        tokens = prompt.replace(",", "").split()
        arrays |= {f"example{i}/{key}": value for key, value in _example(prompt, tokens, 83 + 7 * i, rng).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _example(prompt: str, tokens: list[str], frames: int, rng: np.random.Generator) -> dict[str, Any]:
    count, half = len(tokens), frames // 2
    segments = np.array([-1 if k in (0, count // 2) else int(k > count // 2) for k in range(count)])
    is_reversed = "after" in tokens
    second = (segments == 1) ^ (is_reversed & (segments >= 0))
    starts = np.where(segments < 0, 0, np.where(second, half, 0))
    ends = np.where(segments < 0, frames, np.where(second, frames, half))
    time = np.arange(frames)
    inside = (time >= starts[:, None] - 3) & (time < ends[:, None] + 3) & (segments >= 0)[:, None]
    attention = (0.15 + inside) * (0.6 + 0.4 * rng.random((count, 1))) * (0.8 + 0.4 * rng.random((count, frames)))
    attention = attention / attention.sum(0) * 0.9
    rest = SKELETONS[22].rest_offsets
    parents = SKELETONS[22].parents
    pose = np.zeros((22, 3))
    for joint, parent in enumerate(parents):
        pose[joint] = rest[joint] + (pose[parent] if parent >= 0 else [0, 0.95, 0])
    joints = np.repeat(pose[None], frames, 0)
    swing = np.sin(time / 6.0)[:, None] * 0.25
    joints[:, [18, 20], 1] += swing + 0.2
    return {
        "prompt": prompt,
        "id": f"clip{frames}",
        "kind": "pair",
        "is_reversed": is_reversed,
        "words": np.array(tokens),
        "starts": starts,
        "ends": ends,
        "segments": segments,
        "is_content": segments >= 0,
        "map": attention.astype(np.float16),
        "real": joints.astype(np.float16),
        "motions": np.stack([joints * (1 + k / 10) for k in range(3)]).astype(np.float16),
        "heads": (np.stack([np.roll(attention, k, 0) * (1 + k) for k in range(8)]) / (8 * attention.max()) * 255)
        .reshape(2, 2, 2, count, frames)
        .astype(np.uint8),
    }


EFFECTS = {"tokens": 0.31, "window": 0.01, "mask": -0.06, "norm": 0.0}
"""Main effects of the four-factor ablation; they add up to the gain."""


def confounds(root: Path, name: str = "confound", *, gain: float = 1.0, missing: tuple[str, ...] = ()) -> Path:
    """A four-factor ablation; `gain` scales all effects, `missing` names cells that leave it without any."""
    config = {"protocol": {"text": "all captions, the same noise"}, "missing": list(missing), "notes": ["a note"]}
    item = entry("probe", "confound_probe", config, command="analysis.confound_probe --runs runs/confounds")

    def put(key: str, value: float, half: float, unit: str = "share") -> None:
        interval = (round(value - half, 4), round(value + half, 4))
        item.results[key] = Measure(value=round(value, 4), interval=interval, n=240, unit=unit, protocol="p")

    total = gain * sum(EFFECTS.values())
    for split in ("test", "held_out"):
        for group in ("all", "pair", "pair_reversed"):
            place = f"exact_prompt/{split}/{group}"
            for cell, level in (("pooled_22_nomask_nonorm", 0.3), ("tokens_77_mask_norm", 0.56)):
                put(f"{cell}/{place}", level, 0.05)
                for seed in range(3):
                    put(f"{cell}@seed{seed}/{place}", level + 0.01 * (seed - 1), 0.04)
            if missing:
                continue
            put(f"gain/{place}", total, 0.06)
            put(f"interaction tokens:window + mask:norm/{place}", 0.02, 0.04)
            for factor, effect in EFFECTS.items():
                put(f"effect {factor}/{place}", gain * effect, 0.04)
                if abs(total) > 0.06:
                    put(f"share {factor}/{place}", gain * effect / total, 0.1, "share of the gain")
    for split, share in (("train", 0.011), ("test", 0.022), ("held_out", 0.02)):
        item.results[f"cut/{split}"] = Measure(value=share, n=400, unit="share of captions", protocol="p")
    return write(root / name, item)


def bench(root: Path, name: str = "features") -> Path:
    """A benchmark record."""
    item = entry("bench", name, {}, command=f"casim.bench {name}")
    item.results = {
        "joints to features": Measure(
            value=281234.0,
            interval=(270000.0, 290000.0),
            n=20,
            unit="frames/s",
            higher_is_better=True,
            protocol="median of 20 runs, batch of 64 clips",
        ),
        "peak memory": Measure(value=412.0, unit="MB", higher_is_better=False),
    }
    return write(root / name, item)


def capacity(root: Path, name: str = "capacity", word: str = "supported") -> Path:
    """A capacity probe of two sizes of latent and of VQ latents, with one cell missing."""
    names, place = ("vae1", "vae16", "vq"), "exact_prompt/held_out/pair"
    item = entry(
        "probe",
        "capacity_probe",
        {
            "protocol": {"text": "made up", "splits": ["held_out", "test"]},
            "representations": list(names),
            "beside": [],
            "missing": ["vae4 casim"],
        },
        command="python -m analysis.capacity_probe",
    )
    for number, representation in enumerate(names):
        for arm, value in (
            ("casim", 0.3 + 0.2 * number),
            ("fixed", 0.2),
            ("codec", 0.9),
            ("gain", 0.1 + 0.2 * number),
        ):
            interval = (value - 0.05, value + 0.05)
            item.results[f"{representation} {arm}/{place}"] = Measure(
                value=value, interval=interval, n=200, protocol="p"
            )
        for key, value in (("numbers", 64.0), ("bits", 90.0), ("parameters", 5e5)):
            item.results[f"{representation} budget/{key}"] = Measure(value=value, n=9, unit=key, protocol="p")
        for task in ("side", "part", "order"):
            for key, value in (("unseen", 0.8), ("selectivity", 0.2)):
                item.results[f"{representation} latent/{task}/{key}"] = Measure(value=value, n=9, protocol="p")
    for key in ("slope", "gain vae16 - vae1"):
        item.results[f"{key}/{place}"] = Measure(value=0.05, interval=(0.01, 0.09), n=200, protocol="p")
    item.results["gate/the gain rises"] = Measure(value=1.0, n=1, unit="passed", protocol="above 0; observed 0.050")
    item.results[f"verdict/{word}"] = Measure(value=1.0, n=1, unit="verdict", protocol="p")
    return write(root / name, item)


def transitions(root: Path, name: str = "transitions", word: str = "trade-off") -> Path:
    """A transition probe of three handshakes, with one cell left out."""
    cells = ["concatenate", "linear_blend h10", "linear_blend h20", "double_take h10 b10", "double_take h20 b10"]
    item = entry(
        "probe",
        "transition_probe",
        {
            "protocol": {"text": "made up"},
            "cells": cells,
            "left_out": {"double_take h40 b10": "needs segments of 110 frames, the shortest has 100"},
            "at_blend": 10,
            "window": 60,
        },
        command="python -m analysis.transition_probe",
    )

    def put(key: str, value: float) -> None:
        item.results[key] = Measure(value=value, interval=(value - 0.1, value + 0.1), n=90, protocol="p")

    for metric, value in (("peak_jerk", 9e3), ("seam_jerk", 800.0), ("distance", 20.0), ("cost", 0.2)):
        for arm in ("casim", "fixed"):
            for number, cell in enumerate(["inside", *cells]):
                put(f"{arm} {cell}/{metric}", value * (1 + number / 10))
            put(f"{arm} trend b10/{metric}", -0.05 * value)
        put(f"real, anywhere/{metric}", value / 2)
    for arm in ("real", "casim", "fixed"):
        for actions in range(2, 7):
            for stretch in ("1x", "2x"):
                put(f"one prompt {arm}/exact_prompt/{actions} actions/{stretch}", 1 / actions)
    item.results["gate/smoother"] = Measure(value=1.0, n=9, unit="passed", protocol="slope below 0; observed -1")
    item.results["gate/meaning is paid"] = Measure(value=0.0, n=9, unit="passed", protocol="above 0; observed 0.0")
    item.results[f"verdict/{word}"] = Measure(value=1.0, n=1, unit="verdict", protocol="p")
    return write(root / name, item)


def encoders(root: Path, name: str = "encoders") -> Path:
    """An encoder probe of one encoder and one set of pairs."""
    config = {"encoders": ["minilm"], "missing": {"clip": "not found; get it"}, "pairs": ["left_right"]}
    item = entry("probe", "encoder_probe", config, command="analysis.encoder_probe")

    def put(key: str, value: float, protocol: str = "p") -> None:
        item.results[key] = Measure(
            value=value, interval=(value - 0.01, value + 0.01), n=40, unit="cosine", protocol=protocol
        )

    kinds = ("raw", "centred", "standardised", "top removed")
    for place, readout in enumerate(("token", "pooled")):
        where = f"minilm/left_right/{readout}"
        for other, value in (("opposite", 0.9), ("synonym", 0.8), ("random", 0.3)):
            for number, kind in enumerate(kinds):
                put(f"{where}/{other}/{kind}", value - 0.05 * number - 0.02 * place)
        put(f"{where}/closer/standardised", -0.1 - 0.02 * place)
        put(f"{where}/probe", 0.97 - 0.1 * place)
        put(f"{where}/control", 0.52 + 0.01 * place)
    put("verdict/minilm/left_right/kept", 1.0, "rule: above .75; measured: 0.970")
    return write(root / name, item)


def everything(root: Path) -> Path:
    """A folder with a record of every kind."""
    for arm in ("casim", "fixed"):
        for seed in range(3):
            training(root, arm, seed, dirty=arm == "fixed" and seed == 2)
    evaluation(root)
    evaluation(root, "evaluation_quick", arms=("casim", "fixed"), seeds=1)
    probe(root)
    confounds(root)
    capacity(root)
    transitions(root)
    encoders(root)
    bench(root, "features")
    return root
