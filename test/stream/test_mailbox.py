# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from videodepth_ros.stream.mailbox import Mailbox, MailboxCounts


def adds_up(counts: MailboxCounts) -> bool:
    return counts.received == (
        counts.published + counts.displaced + counts.rejected + counts.in_flight
    )


def test_the_newest_wins():
    mailbox: Mailbox[str] = Mailbox()
    for item in ('old', 'newer', 'newest'):
        mailbox.put(item)
    assert mailbox.take(0) == 'newest'
    mailbox.published()
    assert mailbox.take(0) is None
    assert mailbox.counts == MailboxCounts(received=3, published=1, displaced=2)


def test_an_item_in_hand_can_be_swapped_for_a_newer_one():
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put('stale')
    stale = mailbox.take(0)
    assert mailbox.take_newer(stale) == 'stale'
    mailbox.put('fresh')
    assert mailbox.take_newer(stale) == 'fresh'
    assert mailbox.counts == MailboxCounts(received=2, displaced=1, in_flight=1)


def test_take_waits_no_longer_than_told():
    begin_s = time.monotonic()
    assert Mailbox().take(0.05) is None
    assert 0.04 < time.monotonic() - begin_s < 20  # busy machines are slow to wake


def test_close_wakes_the_taker_and_displaces_what_waits():
    mailbox: Mailbox[int] = Mailbox()
    taken = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.take(120)), daemon=True)
    taker.start()
    mailbox.close()
    taker.join(60)
    assert taken == [None]
    mailbox.put(1)
    assert mailbox.counts == MailboxCounts(received=1, displaced=1)
    mailbox.reopen()
    mailbox.put(2)
    mailbox.close()
    assert mailbox.counts == MailboxCounts(received=2, displaced=2)


@pytest.mark.parametrize('ending', ['published', 'reject', 'displace'])
def test_an_item_in_hand_ends_as_said(ending):
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.take(0)
    assert mailbox.counts.in_flight == 1
    getattr(mailbox, ending)()
    assert mailbox.counts.in_flight == 0
    assert adds_up(mailbox.counts)


class MailboxMachine(RuleBasedStateMachine):
    """Any sequence of calls against a model: what waits, what is in hand, what was counted."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox: Mailbox[int] = Mailbox()
        self.sent = 0
        self.waiting: int | None = None
        self.in_hand: int | None = None
        self.is_open = True
        self.ended = {'published': 0, 'reject': 0, 'displace': 0}

    @rule()
    def put(self) -> None:
        self.sent += 1
        self.mailbox.put(self.sent)
        self.ended['displace'] += self.waiting is not None or not self.is_open
        self.waiting = self.sent if self.is_open else None

    @precondition(lambda self: self.in_hand is None)
    @rule()
    def take(self) -> None:
        self.in_hand = self.mailbox.take(0)
        assert self.in_hand == self.waiting
        self.waiting = None

    @precondition(lambda self: self.in_hand is not None)
    @rule()
    def take_newer(self) -> None:
        expected = self.in_hand if self.waiting is None else self.waiting
        self.ended['displace'] += self.waiting is not None
        self.in_hand = self.mailbox.take_newer(self.in_hand)
        assert self.in_hand == expected
        self.waiting = None

    @precondition(lambda self: self.in_hand is not None)
    @rule(ending=st.sampled_from(('published', 'reject', 'displace')))
    def end(self, ending: str) -> None:
        getattr(self.mailbox, ending)()
        self.ended[ending] += 1
        self.in_hand = None

    @rule(is_open=st.booleans())
    def close_or_reopen(self, is_open: bool) -> None:
        self.mailbox.reopen() if is_open else self.mailbox.close()
        if not is_open:
            self.ended['displace'] += self.waiting is not None
            self.waiting = None
        self.is_open = is_open

    @invariant()
    def counters_are_exact(self) -> None:
        counts = self.mailbox.counts
        in_flight = (self.waiting is not None) + (self.in_hand is not None)
        assert counts == MailboxCounts(
            self.sent,
            self.ended['published'],
            self.ended['displace'],
            self.ended['reject'],
            in_flight,
        )
        assert adds_up(counts)


TestMailboxMachine = MailboxMachine.TestCase
TestMailboxMachine.settings = settings(max_examples=40)


def test_the_counters_add_up_at_every_instant_under_load():
    mailbox: Mailbox[int] = Mailbox()
    finished = threading.Event()

    def produce() -> None:
        for item in range(5000):
            mailbox.put(item)
        finished.set()

    producers = [threading.Thread(target=produce) for _ in range(2)]
    for producer in producers:
        producer.start()
    while any(producer.is_alive() for producer in producers):
        assert adds_up(mailbox.counts)
        item = mailbox.take(0.001)
        if item is not None:
            mailbox.reject() if item % 3 == 0 else mailbox.published()
    while mailbox.take(0) is not None:
        mailbox.published()
    counts = mailbox.counts
    assert counts.received == 10000
    assert counts.in_flight == 0
    assert adds_up(counts)
