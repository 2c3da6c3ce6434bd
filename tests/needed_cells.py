"""Which cells of a notebook does a cell need? Those that give the names it uses, and theirs."""

import ast

INNER = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
INNER += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)  # rooms of their own
COMPOUND = (ast.For, ast.While, ast.If, ast.With, ast.Try, *INNER)


def needed(sources, wanted):
    """The places of the wanted cells and of all that they build on, in order.

    What a cell changes in an object that another cell made is not followed.
    """
    uses, gives = zip(*map(_names, sources), strict=True)
    found, asked = set(), list(wanted)
    while asked:
        place = asked.pop()
        if place in found:
            continue
        found.add(place)
        for name in uses[place]:
            asked += [n for n in range(place) if name in gives[n]][-1:]
    return sorted(found)


def _names(source):
    """The names that a cell takes from cells above, and those that it gives to cells below."""
    takes, gives = set(), set()
    for statement in ast.parse(source).body:
        loaded = {n.id for n in ast.walk(statement) if _is_loaded(n)}
        loaded |= {
            n.target.id
            for n in ast.walk(statement)
            if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
        }
        # what a loop or a function makes for itself, it does not take
        rooms = [n for n in ast.walk(statement) if isinstance(n, COMPOUND)]
        own = set().union(*(_stored(n, inner=True) for n in rooms))
        takes |= loaded - gives - own
        gives |= _stored(statement, inner=False)
    return takes, gives


def _is_loaded(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def _stored(node, *, inner):
    """Names that a piece of code binds, with those inside of functions and comprehensions or
    without.
    """
    found, todo = set(), [node]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if inner or not isinstance(node, INNER):
            todo += ast.iter_child_nodes(node)
    return found
