#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# usage: tools/vendor_three.sh
# Write videodepth_ros/web/three.min.js anew: what scene.js uses of three.js, as one module. Needs npm; users need nothing of it.
set -euo pipefail
web=$(dirname "$(dirname "$(realpath "$0")")")/videodepth_ros/web
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent three@0.187.0 esbuild@0.28.2
cat > three.js <<'EOF'
export {BufferAttribute, BufferGeometry, ColorManagement, DataTexture, GLSL3, Line, LinearFilter, LinearSRGBColorSpace, LineBasicMaterial, LineSegments, Matrix4,
  PerspectiveCamera, Points, RedIntegerFormat, Scene, ShaderMaterial, Texture, UnsignedShortType, Vector3, Vector4, WebGLRenderer} from 'three';
export {OrbitControls} from 'three/addons/controls/OrbitControls.js';
EOF
npx esbuild three.js --bundle --minify --format=esm --outfile="$web/three.min.js"
cp node_modules/three/LICENSE "$web/three.LICENSE"
