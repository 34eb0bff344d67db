# shellcheck shell=bash disable=SC2154,SC2034  # variables are of who sources this
# The stages of tests/gpu.sh, by steps.sh.

# score NAME RANKS SETTING...: logits of a small model, to $scratch/NAME.npy.
score() {
  local setting settings=() path
  for setting in "${@:3}"; do settings+=(--set "$setting"); done
  path=$(program initrt)
  if [[ -z $path ]]; then
    row "logits-$1" FAILED 0 "initrt was not built"
    return 1
  fi
  step "logits-$1" "" mpirun -np "$2" "$path" score --tokens 5,17,30,2,9,45,8,8,12,7,50,0 \
    --logits "$scratch/$1.npy" --set "model=$root/tests/golden/checkpoints/gqa/hf" "${settings[@]}"
}

# compare A B [TOLERANCE]: logits that score has made.
compare() {
  limit=60 step "same-$1-$2" "" python3 tests/gpu/same_logits.py "$scratch/$1.npy" \
    "$scratch/$2.npy" ${3:+"$3"}
}

stage_contact() {
  local loading test precision
  nvidia-smi -q > "$(unused nvidia-smi .txt)" 2>&1
  nvidia-smi topo -m > "$(unused topology .txt)" 2>&1
  limit=60 step machine "" python3 tests/gpu/machine.py "${nvcc:-nvcc}"
  head -c 1G /dev/urandom > "$scratch/file"
  for loading in LAZY EAGER; do
    CUDA_MODULE_LOADING=$loading step_of "gpu_probe-$loading" "" gpu_probe "$scratch/file"
  done
  rm -f "$scratch/file"
  step_of cublaslt_probe "" cublaslt_probe
  for test in device_test cuda_kernels_test gpu_linear_test gpu_attention_test sample_test sampled_sweep_test \
    quantized_answers_test; do
    test_step "$test" "${test}_gpu"
  done
  test_step families_test families_test_gpu '--gtest_filter=*Logits*'
  # Without gathers whose memory a test makes on the host, what takes minutes and no GPU, and the bits
  # of decoded weights, whose products are cuBLASLt's.
  test_step exec_test exec_test_gpu '--gtest_filter=-CollectiveGather.*:*ChosenTokens.*:*StoredBlocks*'
  for precision in 32-true bf16-true; do
    score "cpu-$precision" 1 device=cpu "precision=$precision"
    score "gpu-$precision" 1 device=cuda "precision=$precision"
    score "nccl-$precision" 1 device=cuda sharding.communicator=nccl "precision=$precision"
    score "shared-$precision" 2 device=cuda placement.share_gpu=true "precision=$precision"
    compare "gpu-$precision" "cpu-$precision" 1e-2
    compare "gpu-$precision" "nccl-$precision"
    compare "gpu-$precision" "shared-$precision"
    nccl_between_ranks "$precision"
  done
}

# nccl_between_ranks PRECISION: on as many GPUs as there are, up to 4; on one where NCCL is 2.30 or
# later, which takes several ranks there.
nccl_between_ranks() {
  local gpus name=nccl-ranks-$1
  gpus=$(nvidia-smi -L | grep -c '^GPU ')
  if ((gpus > 1)); then
    score "$name" $((gpus < 4 ? gpus : 4)) device=cuda sharding.communicator=nccl "precision=$1"
  elif python3 -c 'import ctypes, sys
version = ctypes.c_int()
ctypes.CDLL("libnccl.so.2").ncclGetVersion(ctypes.byref(version))
sys.exit(version.value < 23000)' 2> /dev/null; then
    NCCL_MULTI_RANK_GPU_ENABLE=1 score "$name" 2 device=cuda sharding.communicator=nccl \
      placement.share_gpu=true "precision=$1"
  else
    row "logits-$name" skipped 0 "one GPU, and NCCL older than 2.30"
    return
  fi
  compare "gpu-$1" "$name"
}

# job NAME SETTING...: a run of the model of `speed`, with its report.
job() {
  local setting settings=() report
  for setting in "${@:2}"; do settings+=(--set "$setting"); done
  report=$(unused "$1" .json)
  step_of "$1" "${report##*/}" initrt --set "model=$model_directory" --set device=cuda --set \
    precision=bf16-true --set generate.ignore_eos=true --progress off --report "$report" \
    "${settings[@]}" "${more[@]}"
}

drop_from_cache() {
  python3 -c 'import glob, os, sys
for path in glob.glob(sys.argv[1] + "/*"):
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)' "$model_directory"
}

stage_speed() {
  local results prompt chunk ncu more=()
  results=$(unused cuda_bench .json)
  step_of cuda_bench "${results##*/}" cuda_bench --benchmark_out="$results" \
    --benchmark_out_format=json --benchmark_min_time=0.05
  if [[ -z $model_directory ]]; then
    if ! python3 -c 'import numpy' 2> /dev/null; then
      row make_model skipped 0 "Python has no numpy to make one with: give --model"
      return
    fi
    step make_model "" python3 bench/make_model.py "$scratch/model" --size 4GB || return
    model_directory=$scratch/model
  fi
  drop_from_cache
  job load-cold generate.max_new_tokens=1 generate.prompt=Hello
  job load-warm generate.max_new_tokens=1 generate.prompt=Hello
  job decode-greedy generate.max_new_tokens=200 generate.prompt=Hello
  job decode-top_k generate.max_new_tokens=200 generate.prompt=Hello generate.temperature=0.8 \
    generate.top_k=50
  prompt=$(printf 'word %.0s' {1..1000})
  for chunk in 256 2048; do
    job "prefill-$chunk" generate.max_new_tokens=2 "generate.prompt=$prompt" \
      "generate.prefill_chunk=$chunk"
  done
  more=(--timeline "$(unused timeline-events .json)")
  job timeline generate.max_new_tokens=8 generate.prompt=Hello
  if ! ncu=$(PATH="$PATH:$cuda/bin:/usr/local/cuda/bin" command -v ncu); then
    row ncu skipped 0 "not in PATH or $cuda/bin"
    return
  fi
  # Kernels of about one layer, past the warm-up.
  step ncu "" "$ncu" --launch-skip 2000 --launch-count 40 "$(program initrt)" --set \
    "model=$model_directory" --set device=cuda --set precision=bf16-true --set \
    generate.ignore_eos=true --set generate.max_new_tokens=64 --set generate.prompt=Hello \
    --progress off
}

stage_sanitize() {
  local sanitizer tool test library
  if ! sanitizer=$(PATH="$PATH:$cuda/bin:/usr/local/cuda/bin" command -v compute-sanitizer); then
    row compute-sanitizer skipped 0 "not in PATH or $cuda/bin"
    return
  fi
  for tool in memcheck racecheck synccheck; do
    wrapper=("$sanitizer" --tool "$tool" --error-exitcode 9)
    # Libraries' kernels are not ours to check, and would take most of the time.
    for library in cutlass nvjet gemm nccl; do
      wrapper+=(--kernel-name-exclude "kernel_substring=$library")
    done
    for test in device_test cuda_kernels_test gpu_linear_test gpu_attention_test sample_test; do
      test_step "$tool-$test" "${test}_gpu"
    done
    # All but what runs many worlds, which takes hours, and gathers as above.
    test_step "$tool-exec_test" exec_test_gpu \
      '--gtest_filter=-CollectiveGather.*:*ChosenTokens.*:*Generate.*:*SameBits.*:*UnitBytes.*:*StoredBlocks*'
  done
  wrapper=()
}
