#!/usr/bin/env bash
# Puts what tests/gpu.sh runs into a directory of its own, for a machine that can neither build nor
# install: stripped programs, their libraries but for the C library's and CUDA's, and Open MPI.
#
#   tests/gpu/pack.sh BUILD DIRECTORY        # and DIRECTORY.tar.gz beside it
set -euo pipefail
die() {
  echo "error: $1" >&2
  exit 1
}
[[ $# == 2 ]] || die "what is needed is tests/gpu/pack.sh BUILD DIRECTORY"
build=$1
[[ ! -e $2 ]] || die "$2 is there already"
mkdir -p "$2"/{bin,lib/openmpi,share/openmpi}
to=$(cd "$2" && pwd)

while IFS= read -r path; do
  strip -o "$to/bin/${path##*/}" "$path"
done < <(find "$build" -type f -perm -u+x \( -name initrt -o -name '*_test_gpu' -o -name cuda_bench \
  -o -name cublaslt_probe -o -name gpu_probe \))
[[ -x $to/bin/initrt ]] || die "$build has no initrt"

# Open MPI finds all of its own below $OPAL_PREFIX. Of its plugins, those that start ranks on one
# machine and connect them: no networks, files or schedulers.
where() { ompi_info --parsable --path "$1" | cut -d: -f3-; }
for name in mpirun orted; do cp "$(readlink -f "$(command -v "$name")")" "$to/bin/$name"; done
for plugin in "$(where pkglibdir)"/mca_*.so; do
  case ${plugin##*/} in
    *ucx* | *ofi* | *psm* | *openib* | *portals* | *usnic* | *_tm.so | *slurm* | *lsf* | \
      *gridengine* | *monitoring* | mca_fs_* | mca_fbtl_* | mca_fcoll_* | mca_io_* | mca_sharedfp_*) ;;
    *) cp "$plugin" "$to/lib/openmpi/" ;;
  esac
done
cp -rL "$(where pkgdatadir)"/. "$to/share/openmpi/"
# PMIx, which starts ranks, is a library with plugins of its own.
# All of the input is read, or ldd would end by SIGPIPE; and there may be no such plugin.
pmix=$(ldd "$to"/lib/openmpi/mca_pmix_*.so | awk '/libpmix/ && !found++ {print $3}' || true)
if [[ -n $pmix ]]; then
  plugins=$(find "$(dirname "$(readlink -f "$pmix")")" "$(dirname "$pmix")" -maxdepth 2 -type d -name pmix \
    -print -quit)
  [[ -z $plugins ]] || cp -rL "$plugins" "$to/lib/pmix"
fi

# Libraries of all of these; and theirs: what is copied is looked at again until nothing is new.
not_ours='/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux[^/]*|libcuda|libnvidia[^/]*)\.so'
while :; do
  new=$(find "$to/bin" "$to/lib" -type f -exec ldd {} \; 2> /dev/null |
    awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u | grep -Ev "$not_ours" |
    while IFS= read -r library; do
      [[ $library == "$to"/* || -e $to/lib/${library##*/} ]] || printf '%s\n' "$library"
    done)
  [[ -n $new ]] || break
  xargs -d '\n' cp -L -t "$to/lib" <<< "$new"
done
find "$to/lib" -name '*.so*' -type f -exec strip --strip-unneeded {} +
tar -czf "$to.tar.gz" -C "$(dirname "$to")" "$(basename "$to")"
du -sh "$to" "$to.tar.gz"
