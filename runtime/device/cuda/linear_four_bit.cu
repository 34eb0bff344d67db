// Products with weights of four bits.
#include "runtime/convert/four_bit.h"
#include "runtime/device/cuda/decoded_linear.cuh"

namespace initrt::cuda {

void linear_four_bit(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows) {
  const auto& table = weights.format == WeightFormat::Nf4 ? kNf4Values : kFp4Values;
  launch_decoded<FourBit>(stream, weights, rows, table.data());
}

}  // namespace initrt::cuda
