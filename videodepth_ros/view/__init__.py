# SPDX-License-Identifier: Apache-2.0
"""The page of `videodepth view`: a live node or a recording in a browser.

A process of its own, a subscriber like any other: without it, nothing of it runs in the live node.
Every browser asks for one frame at a time, so that a slow one receives fewer of them.
"""
