# SPDX-License-Identifier: Apache-2.0
# docker buildx bake -f containers/docker-bake.hcl TARGET

group "default" { targets = ["cpu"] }

target "common" {
  context    = "."
  dockerfile = "containers/Dockerfile"
}

target "cpu" {
  inherits  = ["common"]
  tags      = ["videodepth:cpu"]
  platforms = ["linux/amd64"]
}

# A desktop or server GPU with a driver for CUDA 13 (580 or newer).
target "cuda" {
  inherits  = ["common"]
  tags      = ["videodepth:cuda"]
  platforms = ["linux/amd64"]
  args = {
    BASE            = "nvidia/cuda:13.0.2-base-ubuntu24.04"
    TORCH_INDEX     = "https://download.pytorch.org/whl/cu130"
    ENGINE_PACKAGES = "tensorrt-cu13==11.4.0.106 cuda-bindings==13.*"
  }
}

# Jetson Orin with JetPack 6.2: Ubuntu 22.04, CUDA 12.6 and TensorRT 10.3 are in the base image.
target "jetpack6" {
  inherits  = ["common"]
  tags      = ["videodepth:jetpack6"]
  platforms = ["linux/arm64"]
  args = {
    BASE            = "nvcr.io/nvidia/l4t-jetpack:r36.4.0"
    ROS_DISTRO      = "humble"
    ENGINE_PACKAGES = "cuda-bindings==12.*"
  }
}

# Jetson Orin and Thor with JetPack 7.2: Ubuntu 24.04; CUDA 13 is that of servers (SBSA).
target "jetpack7" {
  inherits  = ["common"]
  tags      = ["videodepth:jetpack7"]
  platforms = ["linux/arm64"]
  args = {
    BASE            = "nvidia/cuda:13.0.2-base-ubuntu24.04"
    ENGINE_PACKAGES = "tensorrt-cu13==11.4.0.106 cuda-bindings==13.*"
  }
}
