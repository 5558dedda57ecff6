"""Runs Lua scripts as Argo CD does (util/lua of 3.6), on a Lua 5.1 interpreter.

It reproduces these properties of Argo CD: the only libraries are the base functions, `table` and `os.time`; numbers are doubles;
nulls are omitted; an empty table becomes a list, or a map if the object had one; the result of an action becomes a JSON merge patch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lupa import lua51

Object = dict[str, Any]

STATUSES = ("Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown")
LIBRARIES = ("coroutine", "debug", "io", "math", "string", "python")
"""Libraries that Argo CD does not open for the scripts of argocd-cm and for actions."""


class LuaReturnError(ValueError):
    """The script returned a value that Argo CD rejects."""


def health(obj: Object, script: str, libraries: bool = False) -> Object:
    """Result of a health.lua, `{"status": …, "message": …}`. `libraries`: open them, as for a built-in script."""
    found = run(obj, script, libraries)
    if not isinstance(found, dict) or found.get("status") not in STATUSES:
        raise LuaReturnError(f"expected a table with one of {', '.join(STATUSES)} as its status, got {found!r}")
    return found


def discover(obj: Object, script: str) -> dict[str, Object]:
    """Result of a discovery.lua: by action name, whether it is disabled, its icon and display name."""
    found = run(obj, script)
    if found == []:
        return {}
    if not isinstance(found, dict):
        raise LuaReturnError(f"expected a table by the names of actions, got {found!r}")
    return found


def act(obj: Object, script: str) -> Object:
    """Result of an action.lua: the changed object."""
    found = run(obj, script)
    if not isinstance(found, dict):
        raise LuaReturnError(f"expected the changed object, got {found!r}")
    return with_empty_maps(found, obj)


def run(obj: Object, script: str, libraries: bool = False) -> Any:
    """Result of the script, as JSON. Raises lupa's LuaError if the script fails."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=False)
    if not libraries:
        lua.execute("debug.setmetatable('', nil)")
        for name in LIBRARIES:
            lua.globals()[name] = None
        lua.execute("os = { time = os.time }")
    lua.globals()["obj"] = decoded(lua, obj)
    return encoded(lua.execute(script), set())


def decoded(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: decoded(lua, item) for key, item in value.items() if item is not None})
    if isinstance(value, list):
        return lua.table_from([decoded(lua, item) for item in value if item is not None])
    return value if isinstance(value, bool | str) or value is None else float(value)


def encoded(value: Any, seen: set[str]) -> Any:
    if lua51.lua_type(value) != "table":
        return int(value) if isinstance(value, float) and value.is_integer() else value
    identity = str(value)
    if identity in seen:
        raise LuaReturnError("the same table is used twice")
    seen.add(identity)
    items = list(value.items())
    keys = [key for key, _ in items]
    if all(isinstance(key, str) for key in keys) and keys:
        return {key: encoded(item, seen) for key, item in items}
    if keys != list(range(1, len(keys) + 1)):
        raise LuaReturnError(f"neither a list nor a map: {keys}")
    return [encoded(item, seen) for _, item in items]


def with_empty_maps(new: Any, old: Any) -> Any:
    """The result with each empty list replaced by an empty map if the object had a map there."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {
            key: {} if value == [] and isinstance(old.get(key), dict) else with_empty_maps(value, old.get(key))
            for key, value in new.items()
        }
    if isinstance(new, list) and isinstance(old, list):
        return [*(with_empty_maps(*pair) for pair in zip(new, old, strict=False)), *new[len(old) :]]
    return new


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))
