# SPDX-License-Identifier: Apache-2.0
"""``videodepth weights``: models, their licences, and the paths of their weights."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from videodepth_ros.cli.model_facts import ModelFacts, model_facts
from videodepth_ros.cli.options import describe
from videodepth_ros.cli.outcome import Outcome, outcome


@dataclass(frozen=True)
class WeightsFacts:
    """The requested models."""

    models: tuple[ModelFacts, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Without an action: list. `fetch` downloads weights from their authors on the Hugging\n'
        'Face hub ($HF_ENDPOINT: a mirror), verifies and imports them; the same command resumes\n'
        'a broken download. `import` takes a checkpoint or a folder, or the ONNX file of a\n'
        'network of your own and writes its card (docs/models.md). The store is\n'
        '$VIDEODEPTH_WEIGHTS, or else videodepth/weights in $XDG_DATA_HOME or ~/.local/share.',
        'weights',
        'weights fetch flashdepth-s',
        'weights fetch --all-free',
        'weights import iter_14001.pth',
        'weights import zipdepth.onnx --card zipdepth',
        "weights import net.onnx --set output='depth in metres' --set licence=MIT",
        'weights path nano',
    )
    parser.add_argument(
        'action',
        nargs='?',
        default='list',
        choices=('list', 'fetch', 'import', 'path'),
        help='list models, download or import weights, or print paths (default: %(default)s)',
    )
    parser.add_argument(
        'what',
        nargs='*',
        metavar='FILE|FOLDER|MODEL',
        help='checkpoint or folder to import; models to fetch; model to list or to locate '
        '(default: all)',
    )
    parser.add_argument(
        '--all-free', action='store_true', help='fetch: all weights without licence restrictions'
    )
    parser.add_argument(
        '--accept-licence', action='store_true', help='fetch: accept a restrictive licence'
    )
    parser.add_argument(
        '--revision', metavar='REV', help='fetch: commit, branch or tag (default: as before, main)'
    )
    _add_import_arguments(parser)


def _add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the import."""
    parser.add_argument(
        '--as',
        dest='name',
        metavar='MODEL',
        help='import: name of the network, where the file does not decide it',
    )
    parser.add_argument(
        '--card',
        metavar='CARD',
        help='import of an ONNX file: card of the package, such as zipdepth, for its entries',
    )
    parser.add_argument(
        '--set',
        dest='entries',
        metavar='ENTRY=VALUE',
        action='append',
        default=[],
        help='import of an ONNX file: entry of its card, such as multiple=14',
    )
    parser.add_argument(
        '--picture',
        metavar='FILE',
        help='import of an ONNX file: picture to run the network on (default: a synthetic one)',
    )


def run(args: argparse.Namespace) -> Outcome:
    """List, fetch, import or locate weights."""
    if args.action == 'fetch':
        return _fetch(args)
    if len(args.what) > 1:
        args.parser.error(f'weights {args.action} takes one name, not {len(args.what)}')
    what = args.what[0] if args.what else None
    if args.action == 'import':
        return _import(args, what or '')
    if args.action == 'path':
        return _print_paths(what)
    from videodepth_ros.models.catalogue import weights_card

    facts = WeightsFacts(tuple(model_facts(name) for name in _names(what)))
    for path in () if what else _imported_networks():
        print(f'{path}  network of your own: --model {path}')
    for model in facts.models:
        use = '' if model.commercial_use else ' (no commercial use)'
        print(
            f'{model.name}  {model.licence}{use}\n    {model.variant}\n'
            f'    {model.path or f"not here: {weights_card(model.name).how_to_get}"}'
        )
    return outcome(facts)


def _imported_networks() -> tuple[Path, ...]:
    from videodepth_ros.models.network_import import imported_networks

    return imported_networks()


def _names(name: str | None) -> tuple[str, ...]:
    """Return a name of the catalogue; without one all names."""
    from videodepth_ros.models.catalogue import weights_card, weights_cards

    return (weights_card(name).name,) if name else tuple(each.name for each in weights_cards())


def _print_paths(name: str | None) -> Outcome:
    """Print the path of one model, which must exist, or of all that exist."""
    from videodepth_ros.models.catalogue import weights_card, weights_path

    if name:
        print(weights_path(weights_card(name)))
        return outcome(WeightsFacts((model_facts(name),)))
    facts = WeightsFacts(tuple(filter(lambda model: model.path, map(model_facts, _names(None)))))
    for model in facts.models:
        print(f'{model.name}\t{model.path}')
    return outcome(facts)


def _fetch(args: argparse.Namespace) -> Outcome:
    """Download and import the named models, or all without licence restrictions."""
    from videodepth_ros.models.catalogue import weights_card
    from videodepth_ros.models.fetching import fetch_weights, free_cards

    if bool(args.what) == args.all_free:
        args.parser.error('weights fetch needs names of models, or --all-free')
    wanted = free_cards() if args.all_free else tuple(weights_card(name) for name in args.what)
    fetched = []
    for card in wanted:
        fetch_weights(card, print, accept_licence=args.accept_licence, revision=args.revision)
        facts = model_facts(card.name)
        print(f'{facts.name}: {facts.path}')
        if card.notice:
            print(card.notice)
        fetched.append(facts)
    return outcome(WeightsFacts(tuple(fetched)))


def _import(args: argparse.Namespace, source: str) -> Outcome:
    if not source:
        args.parser.error('weights import needs the FILE to import')
    if source.endswith('.onnx'):
        from videodepth_ros.cli.weights_network import import_onnx

        return outcome(WeightsFacts((import_onnx(args, Path(source)),)))
    from videodepth_ros.models.importing import import_weights

    card = import_weights(source, args.name)
    imported = model_facts(card.name)
    print(f'{imported.name}: {imported.variant}, licence {imported.licence}\n{imported.path}')
    if card.notice:
        print(card.notice)
    return outcome(WeightsFacts((imported,)))
