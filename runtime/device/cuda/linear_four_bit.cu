// Products with weights of four bits.
#include "runtime/convert/four_bit.h"
#include "runtime/device/cuda/decoded_linear.cuh"
#include "runtime/device/cuda/scale_codes.cuh"

namespace initrt::cuda {

void linear_four_bit(cudaStream_t stream, const LinearWeights& weights, const CodedRows& rows) {
  const bool nf4 = with_float_scales(weights.format) == WeightFormat::Nf4;
  const float* const table = nf4 ? kNf4Values.data() : kFp4Values.data();
  if (has_coded_scales(weights.format)) {
    launch_decoded<FourBit<ScaleCodes>>(stream, weights, rows, table);
  } else {
    launch_decoded<FourBit<FloatScales>>(stream, weights, rows, table);
  }
}

}  // namespace initrt::cuda
