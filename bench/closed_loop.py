# SPDX-License-Identifier: Apache-2.0
"""A robot in a loop: how many drives does depth bring to their goal? Prints JSON.

python -m bench.closed_loop [--scenes rooms corridors halls] [--runs 20]
    [--sensors lidar truth nano unfiltered] [--folder out/closed_loop]

A simulated robot with two driven wheels in synthetic scenes. At 5 Hz an image is rendered from its
pose and sent to a live node (rclpy, parameters of the preset nav2), whose `scan` of the same stamp
goes to a costmap and a controller, which moves the robot: a slow machine changes nothing. The
sensors: `lidar` (ideal ranges, no node), `truth` (the node with exact depth instead of a network),
`nano` (scale by the height of the camera) and `unfiltered` (the same without obstacles.temporal).
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.robot_control import Controller, Costmap
from bench.robot_world import Errand, Pose, Robot, RobotCamera, World, open_world
from videodepth_ros.core.arrays import Float32Array, UInt8Array

SCENES, SENSORS = ('rooms', 'corridors', 'halls'), ('lidar', 'truth', 'nano', 'unfiltered')
RUNS_PER_LAYOUT = 4
GOAL, COLLISION, FROZEN = 'goal', 'collision', 'frozen'
PERIOD_S, SUBSTEPS = 0.2, 4
CELL_PX = 3  # of a cell of the map, in the picture
COLOURS = {GOAL: (60, 150, 0), COLLISION: (0, 0, 220), FROZEN: (220, 120, 0)}  # BGR
SETTLE_STEPS = 5  # the robot stands while the scale of a network settles
REACHED_M = 0.25
FREEZE_S, FREEZE_M = 15.0, 0.3  # frozen: less far from where it was so long ago, or ...
LONGEST_S = 60.0  # ... not at the goal by then

Sense = Callable[[Pose, int], Float32Array | None]
"""Ranges (B,) from -pi on about the base at a pose, in a step; None: nothing new."""


@dataclass(frozen=True)
class Drive:
    """One drive: its path (N, 2) in the map, and how it ended."""

    layout: int
    errand: Errand
    outcome: str
    path_m: list[tuple[float, float]]


def drive(world: World, robot: Robot, errand: Errand, sense: Sense) -> tuple[str, list[Pose]]:
    """Drive an errand; return the outcome and the poses of the steps."""
    costmap = Costmap(world.blocked.shape, world.low_m, world.cell_m)
    controller = Controller(costmap, robot.radius_m, world.low_m, world.cell_m)
    poses, patience = [errand.start], round(FREEZE_S / PERIOD_S)
    for step in range(round(LONGEST_S / PERIOD_S)):
        pose = poses[-1]
        if math.dist(pose[:2], errand.goal_m) < REACHED_M:
            return GOAL, poses
        before = poses[max(0, len(poses) - patience)]
        if len(poses) > patience and math.dist(pose[:2], before[:2]) < FREEZE_M:
            return FROZEN, poses
        ranges_m = sense(pose, step)
        if ranges_m is not None:
            costmap.update(*pose, ranges_m)
        speed, turn = controller.command(*pose, errand.goal_m)
        if step < SETTLE_STEPS:
            speed = turn = 0.0
        for _ in range(SUBSTEPS):
            pose = moved(pose, speed, turn, PERIOD_S / SUBSTEPS)
            if world.distance_m(pose.x_m, pose.y_m) < robot.radius_m:
                return COLLISION, [*poses, pose]
        poses.append(pose)
    return FROZEN, poses


def moved(pose: Pose, speed: float, turn: float, seconds: float) -> Pose:
    """Return the pose after a motion of constant speed [m/s] and turn rate [rad/s]."""
    middle = pose.yaw_rad + turn * seconds / 2
    return Pose(
        pose.x_m + speed * seconds * math.cos(middle),
        pose.y_m + speed * seconds * math.sin(middle),
        pose.yaw_rad + turn * seconds,
    )


def run_layout(
    world: World, errands: list[Errand], layout: int, sensor: str, robot: Robot, first: int = 0
) -> Iterator[Drive]:
    """Drive the errands of one layout, from number ``first`` on, with one sensor."""
    if sensor == 'lidar':
        for errand in errands:
            outcome, poses = drive(world, robot, errand, lambda pose, _: world.lidar(pose))
            yield Drive(layout, errand, outcome, [pose[:2] for pose in poses])
        return
    from bench.robot_node import RobotGraph

    graph = RobotGraph(robot, sensor)
    try:
        for number, errand in enumerate(errands, first):
            camera = RobotCamera(world, robot, 100 * layout + number, PERIOD_S)
            outcome, poses = drive(world, robot, errand, graph.begin(camera))
            yield Drive(layout, errand, outcome, [pose[:2] for pose in poses])
    finally:
        graph.close()


def top_view(world: World, drives: list[Drive], robot: Robot) -> UInt8Array:
    """Return the map of a layout with its drives, (H, W, 3) uint8."""
    pixels = np.full((*world.blocked.shape, 3), 255, np.uint8)
    pixels[world.blocked] = 150
    scale = CELL_PX / world.cell_m
    picture = np.ascontiguousarray(np.kron(pixels, np.ones((CELL_PX, CELL_PX, 1), np.uint8)))

    def place(x_m: float, y_m: float) -> tuple[int, int]:
        return round((x_m - world.low_m[0]) * scale), round((y_m - world.low_m[1]) * scale)

    for each in drives:
        path = np.array([place(*point) for point in each.path_m], np.int32)
        cv2.polylines(picture, [path], False, COLOURS[each.outcome], 2, cv2.LINE_AA)
        radius_px = round(robot.radius_m * scale)
        cv2.circle(picture, place(*each.errand.start[:2]), 5, (60, 60, 60), -1, cv2.LINE_AA)
        cv2.circle(picture, tuple(path[-1]), radius_px, COLOURS[each.outcome], 2, cv2.LINE_AA)
        cv2.drawMarker(picture, place(*each.errand.goal_m), (0, 0, 0), cv2.MARKER_STAR, 12, 1)
    return np.asarray(picture[::-1], np.uint8)  # y upwards


def write_picture(path: Path, scene: str, drives: dict[str, list[Drive]], robot: Robot) -> None:
    """Write the drives in the first layout of a scene, a panel for each sensor."""
    world = open_world(scene, 0, robot)
    panels = []
    for sensor, all_drives in drives.items():
        view = top_view(world, [each for each in all_drives if each.layout == 0], robot)
        title = np.full((24, view.shape[1], 3), 255, np.uint8)
        cv2.putText(
            title, sensor, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA
        )
        panels.append(np.vstack([title, view]))
    is_long = world.blocked.shape[1] > 2 * world.blocked.shape[0]
    joined = np.vstack(panels) if is_long else np.hstack(panels)
    cv2.imwrite(str(path), joined, [cv2.IMWRITE_JPEG_QUALITY, 85])


def counts(drives: list[Drive]) -> dict[str, int]:
    """Return how many drives had each outcome."""
    found = Counter(each.outcome for each in drives)
    return {outcome: found[outcome] for outcome in (GOAL, COLLISION, FROZEN)}


def stored(path: Path) -> list[Drive]:
    """Return the drives of a file, one a line."""
    lines = path.read_text().splitlines() if path.is_file() else []
    found = []
    for line in lines:
        layout, (start, goal_m), outcome, path_m = json.loads(line)
        errand = Errand(Pose(*start), (goal_m[0], goal_m[1]))
        found.append(Drive(layout, errand, outcome, [(x, y) for x, y in path_m]))
    return found


def complete(path: Path, scene: str, layout: int, sensor: str, runs: int, robot: Robot) -> None:
    """Drive what a file lacks of a layout, and add it."""
    done = sum(each.layout == layout for each in stored(path))
    if done >= runs:
        return
    world = open_world(scene, layout, robot)
    errands = world.errands(robot, RUNS_PER_LAYOUT, layout)[done:runs]
    with path.open('a') as file:
        for each in run_layout(world, errands, layout, sensor, robot, done):
            file.write(json.dumps(astuple(each)) + '\n')
            file.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--scenes', nargs='+', default=SCENES)
    parser.add_argument('--sensors', nargs='+', default=SENSORS, choices=SENSORS)
    parser.add_argument('--runs', type=int, default=20, help='in each scene')
    parser.add_argument(
        '--folder',
        type=Path,
        default=Path('out/closed_loop'),
        help='for results, which are not computed again, and the picture',
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    robot = Robot()
    for scene in options.scenes:
        paths = {each: options.folder / f'{scene}-{each}.jsonl' for each in options.sensors}
        for layout in range(math.ceil(options.runs / RUNS_PER_LAYOUT)):
            runs = min(RUNS_PER_LAYOUT, options.runs - layout * RUNS_PER_LAYOUT)
            for sensor, path in paths.items():
                complete(path, scene, layout, sensor, runs, robot)
        for sensor, path in paths.items():
            print(json.dumps({'scene': scene, 'sensor': sensor, **counts(stored(path))}))
        drives = {sensor: stored(path) for sensor, path in paths.items()}
        write_picture(options.folder / f'{scene}.jpg', scene, drives, robot)


if __name__ == '__main__':
    main()
