// SPDX-License-Identifier: Apache-2.0
// Clouds in 3D, in metres with z up: a map with the path of its camera, and the depth image of one frame. The depth image is
// unprojected by the graphics processor. Drawn when something has changed only. Where that takes long, as without a graphics
// processor, rows and columns of the depth image are left out.

const BACKGROUND = 0x14181d, PATH = 0xf0883e, FRUSTUM = 0x58a6ff, GRID = 0x2d343d;
const FIELD_OF_VIEW = 50, PITCH = 0.36, DISTANCE = 2; // degrees, radians, radii
const FIRST_STRIDE = 2, GREATEST_STRIDE = 6, FRAME_MS = 50; // of the rows and columns that are drawn, and the time for it

const MAP_VERTEX = `
in vec3 colour;
uniform float size, focal, cut;
out vec3 shade;
void main() {
  vec4 seen = modelViewMatrix * vec4(position, 1.0);
  gl_Position = position.z > cut ? vec4(2, 2, 2, 1) : projectionMatrix * seen;
  gl_PointSize = clamp(size * focal / -seen.z, 1.5, 24.0);
  shade = colour;
}`;

const FRAME_VERTEX = `
uniform highp usampler2D depth;
uniform sampler2D image, palette;
uniform vec4 camera;   // fx fy cx cy
uniform vec3 scale;    // metres of a level, nearest and farthest depth of the colours
uniform float focal;
uniform bool byDepth;
uniform int stride;
out vec3 shade;
void main() {
  ivec2 size = textureSize(depth, 0);
  int columns = (size.x + stride - 1) / stride;
  ivec2 pixel = ivec2(gl_VertexID % columns, gl_VertexID / columns) * stride;
  uint level = texelFetch(depth, pixel, 0).r;
  float z = float(level) * scale.x;
  vec4 seen = modelViewMatrix * vec4((vec2(pixel) - camera.zw) / camera.xy * z, z, 1.0);
  gl_Position = level == 0u || level == 65535u ? vec4(2, 2, 2, 1) : projectionMatrix * seen;
  gl_PointSize = clamp(1.8 * float(stride) * z / camera.x * focal / -seen.z, 1.0, 24.0);
  float share = (1.0 / z - 1.0 / scale.z) / (1.0 / scale.y - 1.0 / scale.z);
  shade = byDepth ? texture(palette, vec2(clamp(share, 0.0, 1.0), 0.5)).rgb
                  : texture(image, (vec2(pixel) + 0.5) / vec2(size)).rgb;
}`;

const FRAGMENT = `
in vec3 shade;
out vec4 colour;
void main() { colour = vec4(shade, 1.0); }`;

export const nextFrame = () => new Promise(requestAnimationFrame);
const pause = () => new Promise((resolve) => { setTimeout(resolve, 1); });

// Turbo (Mikhailov 2019), as a polynomial of a share from 0 (far, blue) to 1 (near, red).
export function turbo(x) {
  const terms = [[0.1357, 4.6154, -42.6603, 132.1311, -152.9424, 59.2864], [0.0914, 2.1942, 4.843, -14.185, 4.2773, 2.8296],
    [0.1067, 12.6419, -60.582, 110.3628, -89.9031, 27.3482]];
  return terms.map((t) => Math.round(255 * Math.min(1, Math.max(0, t.reduceRight((sum, one) => sum * x + one, 0)))));
}

// Return the cloud that results/map_cloud.py wrote: positions and colours.
export function decodeCloud(buffer, {count, low, step}) {
  const levels = new Uint16Array(buffer, 0, 3 * count), positions = new Float32Array(3 * count);
  for (let k = 0; k < positions.length; k++) positions[k] = low[k % 3] + step * levels[k];
  return {positions, colours: new Uint8Array(buffer, 6 * count, 3 * count)};
}

export class Scene {
  constructor(THREE, canvas) {
    this.three = THREE;
    THREE.ColorManagement.enabled = false; // all colours are as shown
    this.canvas = canvas;
    this.renderer = new THREE.WebGLRenderer({canvas, antialias: false});
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setClearColor(BACKGROUND);
    this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
    this.world = new THREE.Scene();
    this.eye = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.01, 1000);
    this.eye.up.set(0, 0, 1);
    this.controls = new THREE.OrbitControls(this.eye, canvas);
    this.controls.addEventListener('change', () => this.draw());
    this.radius = 0;
    this.gridStep = 1;
    this.stride = FIRST_STRIDE;
    this.drawn = Promise.resolve(); // when the graphics processor is done
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  material(vertexShader, uniforms) {
    return new this.three.ShaderMaterial({glslVersion: this.three.GLSL3, vertexShader, fragmentShader: FRAGMENT,
      uniforms: {focal: {value: 1}, ...uniforms}});
  }

  // Replace an object of the scene; both are named by a property of this.
  put(name, object) {
    if (this[name]) {
      this.world.remove(this[name]);
      this[name].geometry.dispose();
      this[name].material.dispose();
    }
    this[name] = object;
    object.frustumCulled = false;
    this.world.add(object);
    return object;
  }

  lines(name, points, colour, isStrip = false) {
    const geometry = new this.three.BufferGeometry();
    geometry.setAttribute('position', new this.three.BufferAttribute(new Float32Array(points), 3));
    const kind = isStrip ? this.three.Line : this.three.LineSegments;
    return this.put(name, new kind(geometry, new this.three.LineBasicMaterial({color: colour})));
  }

  // Show a map: positions (3N) with z up, colours (3N) of 0 to 255, edge of a voxel.
  setMap({positions, colours}, voxel) {
    const geometry = new this.three.BufferGeometry();
    geometry.setAttribute('position', new this.three.BufferAttribute(positions, 3));
    geometry.setAttribute('colour', new this.three.BufferAttribute(colours, 3, true));
    this.put('map', new this.three.Points(geometry, this.material(MAP_VERTEX, {size: {value: 1.5 * voxel}, cut: {value: Infinity}})));
    this.measure(positions);
  }

  // Leave out the points of the map above a height, such as a ceiling.
  setCut(height) {
    this.map.material.uniforms.cut.value = height;
    this.draw();
  }

  setPath(points) {
    const path = this.lines('path', points, PATH, true);
    path.material.depthTest = false; // seen through walls
    path.renderOrder = 1;
    this.draw();
  }

  // Show the depth image of a frame: levels (Uint16Array), unit in metres, camera [fx, fy, cx, cy], colours [near, far], image or
  // null; pose: T_map_cam in rows, or null: the camera is level, at the origin.
  setFrame({width, height, levels, unit, camera, colours, image, pose}, byDepth) {
    const THREE = this.three;
    if (!this.frame || this.size[0] !== width || this.size[1] !== height) this.createFrame(width, height);
    const {uniforms} = this.frame.material;
    uniforms.depth.value.image.data.set(levels);
    uniforms.depth.value.needsUpdate = true;
    if (image) {
      uniforms.image.value.dispose();
      uniforms.image.value.image?.close();
      uniforms.image.value = this.texture(image);
    }
    uniforms.camera.value.set(...camera);
    uniforms.scale.value.set(unit, ...colours);
    uniforms.byDepth.value = byDepth || !image;
    const T = pose || [0, 0, 1, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 1];
    this.frame.matrixAutoUpdate = false;
    this.frame.matrix.set(...T);
    this.drawFrustum(camera, width, height, new THREE.Matrix4().set(...T), colours[0]);
    if (!this.radius) this.measureFrame(levels, unit, camera, width);
    this.draw();
  }

  createFrame(width, height) {
    const THREE = this.three, depth = new THREE.DataTexture(new Uint16Array(width * height), width, height,
      THREE.RedIntegerFormat, THREE.UnsignedShortType);
    depth.internalFormat = 'R16UI';
    const colours = new Uint8Array(4 * 256).map((_, k) => (k % 4 === 3 ? 255 : turbo((k >> 2) / 255)[k % 4]));
    const palette = new THREE.DataTexture(colours, 256, 1);
    palette.needsUpdate = true;
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute('position', new THREE.BufferAttribute(new Uint8Array(width * height), 1)); // its length counts alone
    geometry.boundingSphere = {center: new THREE.Vector3(), radius: 1};
    if (this.frame) for (const name of ['depth', 'image', 'palette']) this.frame.material.uniforms[name].value.dispose();
    this.put('frame', new THREE.Points(geometry, this.material(FRAME_VERTEX, {depth: {value: depth}, palette: {value: palette},
      image: {value: new THREE.Texture()}, camera: {value: new THREE.Vector4()}, scale: {value: new THREE.Vector3()},
      byDepth: {value: false}, stride: {value: 1}})));
    this.size = [width, height];
    this.setStride(this.stride);
  }

  setStride(stride) {
    this.stride = stride;
    if (!this.frame) return;
    const [columns, rows] = this.size.map((one) => Math.ceil(one / stride));
    this.frame.material.uniforms.stride.value = stride;
    this.frame.geometry.setDrawRange(0, columns * rows);
  }

  // Choose the stride from the time that a frame took to draw.
  adapt(milliseconds) {
    if (milliseconds > FRAME_MS && this.stride < GREATEST_STRIDE) this.setStride(this.stride + 1);
    const finer = this.stride - 1;
    if (finer && milliseconds * (this.stride / finer) ** 2 < FRAME_MS / 2) this.setStride(finer);
  }

  texture(image) {
    const texture = new this.three.Texture(image);
    texture.flipY = false;
    texture.generateMipmaps = false;
    texture.minFilter = this.three.LinearFilter;
    texture.needsUpdate = true;
    return texture;
  }

  drawFrustum([fx, fy, cx, cy], width, height, T, near) {
    const z = 0.5 * near, corners = [[0, 0], [width, 0], [width, height], [0, height]].map(([u, v]) =>
      new this.three.Vector3((u - cx) / fx * z, (v - cy) / fy * z, z).applyMatrix4(T).toArray());
    const apex = new this.three.Vector3().applyMatrix4(T).toArray();
    this.lines('frustum', corners.flatMap((one, k) => [...apex, ...one, ...one, ...corners[(k + 1) % 4]]), FRUSTUM);
  }

  measureFrame(levels, unit, [fx, fy, cx, cy], width) {
    const points = [];
    for (let k = 0; k < levels.length; k += 101) {
      if (levels[k] === 0 || levels[k] === 65535) continue;
      const z = levels[k] * unit;
      points.push(z, -((k % width) - cx) / fx * z, -(Math.floor(k / width) - cy) / fy * z);
    }
    if (points.length) this.measure(points);
  }

  // Choose the centre, the radius and the grid from positions (3N).
  measure(positions) {
    const stride = 3 * Math.max(1, Math.floor(positions.length / 30000)), axes = [[], [], []];
    for (let k = 0; k + 2 < positions.length; k += stride) for (let axis = 0; axis < 3; axis++) axes[axis].push(positions[k + axis]);
    const at = (axis, share) => axes[axis].sort((a, b) => a - b)[Math.floor(share * (axes[axis].length - 1))];
    this.centre = [0, 1, 2].map((axis) => (at(axis, 0.03) + at(axis, 0.97)) / 2);
    this.radius = Math.max(1e-3, 0.5 * Math.hypot(...[0, 1, 2].map((axis) => at(axis, 0.97) - at(axis, 0.03))));
    this.floor = at(2, 0.01);
    this.ceiling = at(2, 1);
    const step = this.radius / 4, power = 10 ** Math.floor(Math.log10(step));
    this.gridStep = power * [1, 2, 5, 10].find((digit) => digit * power >= step);
    this.drawGrid();
    this.home(this.yaw || 0);
  }

  drawGrid() {
    const [x, y] = this.centre.map((one) => Math.round(one / this.gridStep) * this.gridStep), reach = 8 * this.gridStep, lines = [];
    for (let k = -8; k <= 8; k++) {
      const at = k * this.gridStep;
      lines.push(x + at, y - reach, this.floor, x + at, y + reach, this.floor, x - reach, y + at, this.floor, x + reach, y + at, this.floor);
    }
    this.lines('grid', lines, GRID);
  }

  // Look from behind and above along a direction of the map [radians].
  home(yaw = this.yaw) {
    this.yaw = yaw;
    const away = DISTANCE * this.radius * Math.max(1, 1 / this.eye.aspect), [x, y, z] = this.centre;
    this.eye.position.set(x - away * Math.cos(yaw) * Math.cos(PITCH), y - away * Math.sin(yaw) * Math.cos(PITCH), z + away * Math.sin(PITCH));
    this.eye.near = this.radius / 500;
    this.eye.far = 100 * this.radius;
    this.eye.updateProjectionMatrix();
    this.controls.target.set(x, y, z);
    this.controls.update();
    this.draw();
  }

  resize() {
    const {clientWidth: width, clientHeight: height} = this.canvas;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.eye.aspect = width / height;
    this.eye.updateProjectionMatrix();
    this.draw();
  }

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    this.drawn = this.drawn.then(nextFrame).then(() => this.render());
  }

  // Draw, and wait until the graphics processor has: it would queue what it is too slow for.
  async render() {
    this.isDue = false;
    const focal = this.canvas.height / 2 / Math.tan(FIELD_OF_VIEW / 2 * Math.PI / 180), began = performance.now();
    for (const object of [this.map, this.frame]) if (object) object.material.uniforms.focal.value = focal;
    this.renderer.render(this.world, this.eye);
    const gl = this.renderer.getContext(), fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    while (gl.getSyncParameter(fence, gl.SYNC_STATUS) === gl.UNSIGNALED) await pause();
    gl.deleteSync(fence);
    if (this.frame) this.adapt(performance.now() - began);
  }
}
