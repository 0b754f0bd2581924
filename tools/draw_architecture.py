#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/architecture.svg from the imports between the packages of videodepth_ros.

usage: tools/draw_architecture.py [--check]

A package stands above all that it imports. Arrows that follow from others (transitive imports)
are left out. With --check the file is compared, not written.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'videodepth_ros'
PICTURE = ROOT / 'docs' / 'architecture.svg'
BOX_WIDTH, BOX_HEIGHT, GAP, ROW = 112, 30, 18, 64  # [px]
MARGIN = 16

Graph = dict[str, set[str]]


def package_imports() -> Graph:
    """Return the packages, and the single modules beside them, that each one imports."""
    names: Graph = {package_of(path): set() for path in files()}
    for path in files():
        here = package_of(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module, *(f'{node.module}.{name.name}' for name in node.names)]
            elif isinstance(node, ast.Import):
                modules = [name.name for name in node.names]
            else:
                continue
            tops = {m.split('.')[1] for m in modules if m.startswith('videodepth_ros.')}
            names[here] |= (tops & set(names)) - {here}
    return names


def files() -> list[Path]:
    """Return the modules of the package, without its own __init__."""
    return [path for path in sorted(PACKAGE.rglob('*.py')) if path != PACKAGE / '__init__.py']


def package_of(path: Path) -> str:
    """Return the package of a module, or its own name if it stands beside the packages."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def levels(graph: Graph) -> dict[str, int]:
    """Return the height of each package: one more than the highest that it imports."""
    height: dict[str, int] = {}
    while len(height) < len(graph):
        ready = [n for n, needs in graph.items() if n not in height and needs <= height.keys()]
        if not ready:
            raise SystemExit(f'imports in a circle: {sorted(set(graph) - set(height))}')
        for name in ready:
            height[name] = 1 + max((height[needed] for needed in graph[name]), default=-1)
    return height


def reduced(graph: Graph) -> Graph:
    """Return the graph without the imports that follow from others."""

    def reach(name: str) -> set[str]:
        return graph[name].union(*(reach(needed) for needed in graph[name]))

    return {
        name: {n for n in needs if not any(n in reach(other) for other in needs - {n})}
        for name, needs in graph.items()
    }


def placed(graph: Graph) -> dict[str, tuple[float, float]]:
    """Return the column and row of each package, row 0 at the bottom, columns centred on 0.

    A row is ordered by the mean column of what its packages import, which avoids crossings.
    """
    height, place = levels(graph), dict[str, tuple[float, float]]()
    for row in range(max(height.values()) + 1):

        def mean_column(name: str) -> tuple[float, str]:
            columns = [place[needed][0] for needed in graph[name]]
            return (sum(columns) / len(columns) if columns else 0.0), name

        names = sorted((name for name in graph if height[name] == row), key=mean_column)
        for i, name in enumerate(names):
            place[name] = i - (len(names) - 1) / 2, row
    return place


def draw(graph: Graph) -> str:
    """Return the picture as SVG."""
    edges = reduced(graph)
    place = placed(edges)
    rows = round(max(row for _, row in place.values())) + 1
    reach = max(column for column, _ in place.values())
    width = (2 * reach + 1) * (BOX_WIDTH + GAP) - GAP + 2 * MARGIN
    tall = rows * ROW - (ROW - BOX_HEIGHT) + 2 * MARGIN
    corner = {
        name: (
            width / 2 + column * (BOX_WIDTH + GAP) - BOX_WIDTH / 2,
            MARGIN + (rows - 1 - row) * ROW,
        )
        for name, (column, row) in place.items()
    }
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {tall:g}" '
        'font-family="sans-serif" font-size="13">',
        '<!-- Written by tools/draw_architecture.py from the imports of videodepth_ros. -->',
        f'<rect width="{width:g}" height="{tall:g}" fill="white"/>',
    ]
    for name, needs in sorted(edges.items()):
        for needed in sorted(needs):
            lines.append(_arrow(corner[name], corner[needed]))
    for name, (x, y) in sorted(corner.items()):
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4" '
            'fill="#eef2f8" stroke="#34527a"/>'
        )
        lines.append(
            f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + 20:g}" text-anchor="middle">{name}</text>'
        )
    return '\n'.join([*lines, '</svg>', ''])


def _arrow(upper: tuple[float, float], lower: tuple[float, float]) -> str:
    x0, y0 = upper[0] + BOX_WIDTH / 2, upper[1] + BOX_HEIGHT
    x1, y1 = lower[0] + BOX_WIDTH / 2, lower[1]
    bend = (y1 - y0) / 2
    return (
        f'<path d="M{x0:g} {y0:g} C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}" '
        'fill="none" stroke="#8aa0bf"/>'
    )


def main() -> None:
    """Write the picture, or with --check end with status 1 if it is out of date."""
    picture = draw(package_imports())
    if '--check' not in sys.argv[1:]:
        PICTURE.write_text(picture)
    elif not PICTURE.exists() or PICTURE.read_text() != picture:
        raise SystemExit(f'{PICTURE.name} is out of date: run tools/draw_architecture.py')


if __name__ == '__main__':
    main()
