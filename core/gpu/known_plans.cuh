// Which stream has which of cuDNN's plans of attention.
#pragma once
#include "core/gpu/cudnn/attention_plans.cuh"

namespace granule::gpu {

/// The plans of the Context whose stream it is. They are made when they are first asked for, for the current
/// device of the thread.
[[nodiscard]] dnn::AttentionPlans& attention_plans(cudaStream_t stream);
/// Empty if nobody has asked for plans.
[[nodiscard]] std::string attention_remarks(cudaStream_t stream);
/// To be called before a stream is destroyed.
void forget_attention_plans(cudaStream_t stream);

}  // namespace granule::gpu
