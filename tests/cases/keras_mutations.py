"""Damaged Keras models: values of configurations changed, bytes of JSON and archives changed."""

from __future__ import annotations

import io
import json
import zipfile
from random import Random
from typing import Any

STRANGE: list[Any] = [None, True, False, -1, 0, 1, 2, 3, 7, 64, 10**6, 1 << 31, 1 << 62, 10**30]
STRANGE += [0.5, -2.5, 1e308, float("inf"), float("nan"), "", "x", "same", "linear", "\x1b[31m"]
STRANGE += [[], {}, [None], [1, 2], [[1, 0, 0]], [-1], [1 << 40] * 3, ["x", 0, 0], "a" * 5000]


def mutated_config(random: Random, config: Any) -> Any:
    """One to three changes of a configuration."""
    changed = json.loads(json.dumps(config))
    for _ in range(random.randint(1, 3)):
        owner, key = random.choice(list(_places(changed)))
        kind = random.randrange(6)
        if kind == 0 and isinstance(owner, dict):
            del owner[key]
        elif kind == 0:
            owner.pop(key)
        elif kind == 1 and isinstance(owner, list):
            owner.append(owner[key])
        elif kind == 1:
            owner[f"{key}2"] = owner[key]
        elif kind == 2:
            other, place = random.choice(list(_places(changed)))
            owner[key] = json.loads(json.dumps(other[place]))
        elif isinstance(owner[key], int) and not isinstance(owner[key], bool) and kind < 5:
            owner[key] = random.choice(
                [owner[key] + 1, owner[key] - 1, 2 * owner[key], 0, -1, 1 << 40]
            )
        else:
            owner[key] = json.loads(json.dumps(random.choice(STRANGE)))
        if not changed:
            break
    return changed


def _places(config: Any) -> list[tuple[Any, Any]]:
    """All values in a configuration, as what holds them and where."""
    found: list[tuple[Any, Any]] = []
    waiting = [config]
    while waiting:
        one = waiting.pop()
        items = list(one.items() if isinstance(one, dict) else enumerate(one))
        found += [(one, key) for key, _ in items]
        waiting += [value for _, value in items if isinstance(value, (dict, list))]
    return found


def archive(config: str) -> bytes:
    """A .keras file without weights."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        opened.writestr("config.json", config)
    return stream.getvalue()
