# initrt for CPUs. From the root of the repository:
#   docker build -f docker/cpu.Dockerfile -t initrt:cpu .
#   docker run --rm -v "$PWD/models:/initrt/models" initrt:cpu \
#     mpirun -np 2 initrt --config configs/smollm2.json
# (launch/quickstart.sh fetches the model.)
FROM debian:12 AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /initrt
# The packages alone first: an edit of the sources does not install them again.
COPY launch/setup.sh launch/
RUN . launch/setup.sh && install_packages "${packages[@]}"
COPY . .
RUN . launch/setup.sh && build release initrt

FROM debian:12-slim
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /initrt
COPY launch/setup.sh launch/
RUN . launch/setup.sh && install_packages "${runtime_packages[@]}" && rm -rf /var/lib/apt/lists/*
COPY --from=build /initrt/build/release/launch/initrt /usr/local/bin/
COPY configs configs
# As in launch/setup.sh: mpirun as root, more ranks than cores, no binding to one core.
ENV OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
CMD ["initrt", "--help"]
