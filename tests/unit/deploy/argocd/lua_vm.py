"""Runs Lua as Argo CD does (util/lua of 3.6), on a real interpreter of the same language, Lua 5.1.

What matters of Argo CD's own: of Lua's libraries there are only the base functions, `table` and `os.time`; a number is a
double; a null is not there at all; an empty table comes back as a list, and as a map where the object had one; what an
action returns becomes a JSON merge patch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lupa import lua51

Object = dict[str, Any]

STATUSES = ("Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown")
LIBRARIES = ("coroutine", "debug", "io", "math", "string", "python")
"""What Argo CD does not open for the scripts of argocd-cm, nor for any action."""


class LuaReturnError(ValueError):
    """The script returned what Argo CD does not take."""


def health(obj: Object, script: str, libraries: bool = False) -> Object:
    """The health, as `{"status": …, "message": …}`, that a health.lua gives. `libraries`: as for a built-in script."""
    found = run(obj, script, libraries)
    if not isinstance(found, dict) or found.get("status") not in STATUSES:
        raise LuaReturnError(f"expected a table with one of {', '.join(STATUSES)} as its status, got {found!r}")
    return found


def discover(obj: Object, script: str) -> dict[str, Object]:
    """What a discovery.lua offers: by the action's name, whether it is disabled, its icon and display name."""
    found = run(obj, script)
    if found == []:
        return {}
    if not isinstance(found, dict):
        raise LuaReturnError(f"expected a table by the names of actions, got {found!r}")
    return found


def act(obj: Object, script: str) -> Object:
    """The object that an action.lua makes of `obj`."""
    found = run(obj, script)
    if not isinstance(found, dict):
        raise LuaReturnError(f"expected the changed object, got {found!r}")
    return with_empty_maps(found, obj)


def run(obj: Object, script: str, libraries: bool = False) -> Any:
    """What the script returned, as JSON. Raises lupa's LuaError, as Argo CD shows it, where the script fails."""
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
        raise LuaReturnError("the same table stands in two places")
    seen.add(identity)
    items = list(value.items())
    keys = [key for key, _ in items]
    if all(isinstance(key, str) for key in keys) and keys:
        return {key: encoded(item, seen) for key, item in items}
    if keys != list(range(1, len(keys) + 1)):
        raise LuaReturnError(f"neither a list nor a map: {keys}")
    return [encoded(item, seen) for _, item in items]


def with_empty_maps(new: Any, old: Any) -> Any:
    """What Lua returned, with an empty map where an empty list stands and the object had a map."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {
            key: {} if value == [] and isinstance(old.get(key), dict) else with_empty_maps(value, old.get(key))
            for key, value in new.items()
        }
    if isinstance(new, list) and isinstance(old, list):
        return [*(with_empty_maps(*pair) for pair in zip(new, old, strict=False)), *new[len(old) :]]
    return new


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))
