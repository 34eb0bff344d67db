# What builds for sanitizers leave out, by the prefix of its CTest tests, as patterns of GoogleTest.
# The release build runs all of it.

# initrt_left_out(VARIABLE PREFIX)
function(initrt_left_out variable prefix)
  set(patterns)
  if(INITRT_SANITIZE MATCHES address)
    if(prefix STREQUAL "golden")
      # The real model: minutes of arithmetic, by code that small models run here.
      list(APPEND patterns SmolLM2Golden.*)
      # The largest of published models: minutes of names. Others have sizes beyond 32 bits too.
      list(APPEND patterns *Flagships.*/kimi_k2 *Flagships.*/deepseek_v3 *Flagships.*/qwen3_next_80b
        *Flagships.*/glm_4_6)
      # Each family again and again: ranks, chunks and what moves are the same code for all of them.
      list(APPEND patterns *Families.LogitsHaveTheSameBits*)
    elseif(prefix STREQUAL "unit.cuda")
      # Whole models on the emulator: what they ask of kernels, the devices' own tests ask too, and how they
      # are run, those of engine, memory, failures and timeline.
      # Units and planned memory are the host's, and the CPU's own tests stay.
      list(APPEND patterns *Families* *Generate* *SameBits* *UnitBytes* *QuantizedAnswers*
        *ColumnCodes* *QuantizedUnits* *PlannedMemory*)
    elseif(prefix STREQUAL "unit")
      # As SameBits of plain weights, which stay; what moves, in one precision.
      list(APPEND patterns Quantized/SameBits.ForEvery* Quantized/SameBits.*16true*)
    elseif(prefix STREQUAL "integration")
      # Worlds that generate the real model's text, by code that other worlds run; and of faults, those
      # that ranks do not survive: one that is killed reports nothing.
      list(APPEND patterns Worlds/Generate.* SmolLM2.* *Faults.*/Killed* *Faults.*/Memory* *Faults.*/Stalled*)
      # The real model once more, by code that other cases run.
      list(APPEND patterns Plan.IsWhatARun* Batch.ALine* Batch.Parts* Batch.Results* Batch.StoppedOr*)
    endif()
    # Of the emulator's minutes of attention, by kernels that other cases run.
    list(APPEND patterns DeviceAttention.ChunksHave*/cuda DeviceAttention.ARing*/cuda
      CudaAttention.ChunksHave*)
    # They limit an address space to less than AddressSanitizer reserves.
    list(APPEND patterns FailureText.Of*)
  elseif(INITRT_SANITIZE MATCHES thread)
    if(prefix STREQUAL "unit.cuda")
      # Minutes of kernels, between the same calls of streams and events as in the cases that are left.
      list(APPEND patterns *Families* *GivesAPromptTheSame* *StopsEachPrompt* *GivesEachPrompt*
        *ChoosesEachPrompt* *OfOneNewToken* *SameBits* *SampledOn* *UnitBytes* *GpuAttention*
        *QuantizedAnswers* *QuantizedUnits* *PlannedMemory*)
    else()
      # Kernels by themselves: between threads of a block nothing is seen.
      list(APPEND patterns Cuda* *DeviceAttention.*/cuda *DeviceCoded.*/cuda *DeviceElementwise.*/cuda
        *DeviceInt8.*/cuda *DeviceLinear.*/cuda *DeviceNorm.*/cuda *DeviceRo*.*/cuda)
    endif()
    # Nor do threads meet otherwise with other instructions: those of AVX2 stay, and AMX's, whose tiles
    # are a thread's own.
    list(APPEND patterns */*portable */*avx512 */*avx512_bf16)
    # Threads meet no otherwise where weights are quantized.
    list(APPEND patterns Quantized/SameBits* *ColumnCodes*)
  endif()
  list(JOIN patterns ":" patterns)
  set(${variable} "${patterns}" PARENT_SCOPE)
endfunction()
