# SPDX-License-Identifier: Apache-2.0
"""Multi-view stereo on plain arrays: images, intrinsics, poses and a depth prior give depth.

`depth.estimate_depth` runs the whole of it; its parts, in order: `views` (neighbours by parallax),
`matching` (ZNCC, semi-global matching), `fusion` (agreement between frames), `bending` (the prior
where stereo is blind), `upsampling` (edges of the full-size image), `motion` (what moves).
"""
